"""A saved network as it is exported: in float32, with a name for every output."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any

import keras
import numpy as np
from numpy.typing import NDArray

from galaxycnn.data.generator import CUTOUT
from galaxycnn.errors import UserError
from galaxycnn.models.outputs import Outputs
from galaxycnn.models.saving import Recipe, load_model, read_recipe

Arrays = dict[str, NDArray[np.float32]]
"""Inputs or outputs by their names."""

TOLERANCE = 1e-4
"""Largest difference between a network's outputs and those of its export, and as a share of outputs beyond 1."""


@dataclass(frozen=True)
class Exported:
    """What was written.

    Attributes:
        path: the ONNX file, or the folder of this version below the one that TensorFlow Serving is given.
        difference: the largest difference of any output from the network's own, on made-up cutouts.
    """

    path: Path
    difference: float

    def __str__(self) -> str:
        return f"{self.path}: gives what the network gives, to {self.difference:.0e}"


@dataclass(frozen=True, eq=False)
class Exportable:
    """A network that gives a dict of its outputs, its recipe, and the file that it is from."""

    path: Path
    network: keras.Model
    outputs: Outputs
    recipe: Recipe

    @classmethod
    def load(cls, path: Path) -> Exportable:
        """The network of a model file with a recipe.

        Raises:
            UserError: there is no such file, or it has no recipe.
        """
        recipe = read_recipe(path)
        saved = _plain(in_float32(load_model(path)))
        outputs = Outputs.of(saved, recipe.tree)
        tensors = saved.output
        if not isinstance(tensors, Mapping):
            tensors = dict(zip(outputs.names, keras.tree.flatten(tensors), strict=True))
        return cls(path, keras.Model(saved.input, dict(tensors), name=saved.name), outputs, recipe)

    @property
    def inputs(self) -> list[Any]:
        """What each of the network's inputs is: shape, type and name, as Keras' exports take it."""
        specs = {t.name: keras.InputSpec(shape=t.shape, dtype="float32", name=t.name) for t in self.network.inputs}
        return [specs] if len(specs) > 1 else list(specs.values())

    @cached_property
    def made_up(self) -> tuple[Arrays, Arrays]:
        """Three made-up cutouts, with inputs where it takes any, and what the network gives for them."""
        random, given = np.random.default_rng(0), {}
        for tensor in self.network.inputs:
            values = random.random((3, *tensor.shape[1:]))
            given[tensor.name] = (values * (255 if tensor.name == CUTOUT else 1)).astype(np.float32)
        fed = given if len(given) > 1 else given[CUTOUT]
        return given, {name: np.asarray(each) for name, each in self.network.predict_on_batch(fed).items()}

    def compare(self, found: Mapping[str, Any], tolerance: float = TOLERANCE) -> float:
        """The largest difference of ``found`` from what the network gives for :attr:`made_up`.

        Args:
            found: outputs by their names.
            tolerance: how large it may be, as a share of the largest output from 1 on.

        Raises:
            UserError: it is not that of rounding.
        """
        expected = self.made_up[1]
        if set(found) != set(expected):
            raise UserError(f"the export gives {', '.join(found)} instead of {', '.join(expected)}")
        differences = {name: float(np.abs(found[name] - each).max()) for name, each in expected.items()}
        for name, each in expected.items():
            if not differences[name] <= tolerance * max(1.0, float(np.abs(each).max())):
                raise UserError(f"the export gives another {name} than the network, by {differences[name]:.2g}")
        return max(differences.values())


def in_float32(network: keras.Model) -> keras.Model:
    """The same network with the same weights, whose layers compute in float32 whatever they did before."""

    def copied(layer: keras.layers.Layer) -> keras.layers.Layer:
        return layer.__class__.from_config({**layer.get_config(), "dtype": "float32"})

    again = keras.models.clone_model(network, clone_function=copied, recursive=True)
    for before, after in zip(network.layers, again.layers, strict=True):
        after.set_weights(before.get_weights())
        if isinstance(after, keras.layers.Normalization):
            after.finalize_state()
    return again


def _plain(network: keras.Model) -> keras.Model:
    """The same, with numbers where a layer holds tensors that tf2onnx takes for inputs."""

    def plain(layer: keras.layers.Layer) -> keras.layers.Layer:
        if not isinstance(layer, keras.layers.Normalization):
            return layer
        mean, deviation = (keras.ops.convert_to_numpy(each) for each in (layer.mean, layer.variance**0.5))
        deviation = np.maximum(deviation, keras.config.epsilon())
        return keras.layers.Rescaling(1 / deviation, -mean / deviation, name=layer.name, dtype="float32")

    return keras.models.clone_model(network, clone_function=plain)
