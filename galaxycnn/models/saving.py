"""Model files that carry their recipe: what they answer and how a cutout is prepared for them."""

from __future__ import annotations

import json
import logging
import zipfile
from collections.abc import Mapping
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import h5py
import keras

import galaxycnn.losses
import galaxycnn.metrics
import galaxycnn.models.group_convolution
import galaxycnn.models.heads
import galaxycnn.models.layers
import galaxycnn.models.polar_layers
import galaxycnn.models.pretrained_layers
import galaxycnn.models.quantity_heads
import galaxycnn.optimizers  # noqa: F401 - with those above: registers what saved models refer to
from galaxycnn.config import Config, load_config
from galaxycnn.errors import ConfigError, UserError, nearest
from galaxycnn.files import atomic_path
from galaxycnn.models.builder import CNNBuilder
from galaxycnn.models.typical import Typical, store_typical
from galaxycnn.pretrained import ENSEMBLES, PRETRAINED, model_file
from galaxycnn.quiet import quiet
from galaxycnn.tree import GALAXY_ZOO_2, DecisionTree

SUFFIXES = (".keras", ".h5")
_RECIPE = "galaxycnn_recipe"


@dataclass(frozen=True)
class Recipe:
    """What a model file needs to be used: its configuration, its questions, its training baseline.

    Attributes:
        config: the resolved configuration of the training.
        tree: the questions answered; its columns are the outputs, in order.
        baseline: plain values of what predict-the-mean and predict-the-majority say.
        threshold: the second of two classes is chosen from this probability on; None: the more probable class is.
    """

    config: Config
    tree: DecisionTree
    baseline: Mapping[str, Any]
    threshold: float | None = None

    def to_json(self) -> str:
        content = {"config": self.config.model_dump(mode="json"), "tree": self.tree.to_dict()}
        return json.dumps({**content, "baseline": dict(self.baseline), "threshold": self.threshold})

    @classmethod
    def from_json(cls, text: str) -> Recipe:
        content = json.loads(text)
        config, tree = load_config(content["config"]), DecisionTree.from_dict(content["tree"])
        return cls(config, tree, content["baseline"], content.get("threshold"))


def save_model(model: keras.Model, path: str | Path, recipe: Recipe, typical: Typical | None = None) -> Path:
    """Write ``model`` with its recipe inside, as ``.keras`` (with the optimizer) or ``.h5`` (without).

    What it finds typical goes into the file, too, where that is known.
    Where both are written, write ``.keras`` first: Keras' writing of ``.h5`` disturbs the optimizer.
    """
    path = Path(path)
    with atomic_path(path) as temporary:
        if path.suffix == ".h5":
            with quiet("absl", level=logging.ERROR):  # Keras advises against .h5; people ask for it knowingly
                model.save(temporary, include_optimizer=False)
            with h5py.File(temporary, "a") as file:
                file.attrs[_RECIPE] = recipe.to_json()
        else:
            model.save(temporary)
            with zipfile.ZipFile(temporary, "a") as archive:
                archive.writestr(f"{_RECIPE}.json", recipe.to_json())
        if typical is not None:
            store_typical(temporary, typical)
    return path


def read_recipe(path: str | Path) -> Recipe:
    """The recipe inside a model file that :func:`save_model` wrote.

    Raises:
        UserError: there is no such file, or it holds no recipe.
    """
    path = _existing(path)
    text = None
    if zipfile.is_zipfile(path):
        with zipfile.ZipFile(path) as archive:
            if f"{_RECIPE}.json" in archive.namelist():
                text = archive.read(f"{_RECIPE}.json").decode()
    elif h5py.is_hdf5(path):
        with h5py.File(path) as file:
            text = file.attrs.get(_RECIPE)
    if text is None:
        raise UserError(f"{path}: holds no galaxycnn recipe; give the YAML file that the model was trained with")
    return Recipe.from_json(text)


def load_model(path: str | Path, config: Config | str | Path | None = None) -> keras.Model:
    """Reload a saved network, uncompiled and ready to predict.

    Args:
        path: a ``.keras`` or ``.h5`` file of this project, or a whole-model ``.h5`` of Keras 2.
        config: for a Keras 2 file: the configuration (or its YAML file) that describes the
            network. It is built anew and takes the file's weights.

    Returns:
        The network. Its input is pixels 0–255 of shape (batch, height, width, channels).

    Raises:
        UserError: no such file, not a model file, or weights that do not fit the configuration.
    """
    path = _existing(path)
    if config is not None:
        return _rebuilt(path, config if isinstance(config, Config) else load_config(config))
    if path.suffix == ".h5" and _keras_version(path).startswith("2."):
        raise UserError(f"{path}: was written by Keras 2; give the YAML file of its network as well (--config FILE)")
    try:
        return keras.saving.load_model(path, compile=False)
    except (OSError, ValueError, TypeError, KeyError) as error:
        raise UserError(f"{path}: cannot be read as a model ({_first_line(error)})") from None


def _rebuilt(path: Path, config: Config) -> keras.Model:
    tree = GALAXY_ZOO_2
    with suppress(UserError):
        tree = read_recipe(path).tree
    model = CNNBuilder(config, tree).build()
    try:
        model.load_weights(path)
    except (OSError, ValueError, KeyError) as error:
        reason = _first_line(error)
        raise ConfigError(f"{path}: its weights do not fit the network of the configuration ({reason})") from None
    return model


def _existing(path: str | Path) -> Path:
    path = model_file(path)
    if not path.is_file():
        models = sorted(str(p) for p in path.parent.glob("*") if p.suffix in SUFFIXES) if path.parent.is_dir() else []
        known = [*models, *PRETRAINED, *ENSEMBLES]
        raise UserError(f"{path}: there is no such model file{nearest(str(path), known)}")
    if path.suffix not in SUFFIXES:
        raise UserError(f"{path}: a model file ends with {' or '.join(SUFFIXES)}")
    return path


def _keras_version(path: Path) -> str:
    if not h5py.is_hdf5(path):
        return ""
    with h5py.File(path) as file:
        return str(file.attrs.get("keras_version", ""))


def _first_line(error: Exception) -> str:
    return next(iter(str(error).strip().splitlines()), type(error).__name__)
