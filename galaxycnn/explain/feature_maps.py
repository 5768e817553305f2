"""Layers whose numbers have a place in the cutout: found, read out, and put in the place of others."""

from __future__ import annotations

from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass
from typing import Any

import keras
import numpy as np
from keras import layers, ops

from galaxycnn.errors import UserError, nearest
from galaxycnn.explain.gradients import Tensor, gradients
from galaxycnn.explain.intercepting import all_layers, intercepted
from galaxycnn.explain.network import Array, Images, Scores, tensor
from galaxycnn.explain.placing import grids, place
from galaxycnn.models.layers import AlignedParts

_SKIPPED = (
    *(layers.MaxPooling2D, layers.AveragePooling2D, layers.GlobalAveragePooling2D, layers.GlobalMaxPooling2D),
    *(layers.Dropout, layers.SpatialDropout2D, layers.InputLayer),
)
"""What adds nothing but a coarser or thinner map of the layer before it, and the pixels themselves."""

FINE_ENOUGH = 4
"""The least height and width of a feature map that is chosen where there is such a one."""


@dataclass(frozen=True)
class FeatureMap:
    """A layer that gives a feature map (batch, height, width, channels), or tokens (batch, tokens, channels).

    Attributes:
        layer: the layer.
        size: height and width of the map. Tokens are patches row by row; a class token may follow them.
    """

    layer: keras.layers.Layer
    size: tuple[int, int]

    def on_grid(self, values: Array) -> Array:
        """Values of the layer's shape, with any number of axes before it, as (…, batch, height, width, channels)."""
        if len(self.layer.output.shape) == 4:
            return values
        height, width = self.size
        return values[..., : height * width, :].reshape(*values.shape[:-2], height, width, values.shape[-1])

    def read(self, scores: Scores, cutouts: Images) -> tuple[Array, Array]:
        """The feature maps (batch, height, width, channels), and the gradients of the scores there (questions, …)."""
        features, slopes = self._raw(scores, cutouts)
        return self.on_grid(features), self.on_grid(slopes)

    def slopes(self, scores: Scores, cutouts: Images) -> Array:
        """The gradients of the scores in the layer's own shape, (questions, batch, …)."""
        return self._raw(scores, cutouts)[1]

    def _raw(self, scores: Scores, cutouts: Images) -> tuple[Array, Array]:
        read: list[Tensor] = []

        def record(call: Callable[..., Tensor], *args: Any, **kwargs: Any) -> Tensor:
            read.append(call(*args, **kwargs))
            return read[-1]

        pixels = tensor(cutouts)
        with intercepted(self.layer, record):
            scores(pixels)

        def given(features: Tensor) -> Tensor:
            with intercepted(self.layer, lambda *args, **kwargs: features):
                return scores(pixels)

        _, (slopes,) = gradients(given, read[0])
        features, slopes = (ops.convert_to_numpy(ops.cast(values, "float32")) for values in (read[0], slopes))
        return features, slopes


def feature_maps(model: keras.Model) -> list[FeatureMap]:
    """The layers of ``model`` with a feature map, from the pixels on."""
    found: list[FeatureMap] = []
    grid = (0, 0)
    for layer in all_layers(model):
        shape = _output_shape(layer)
        if isinstance(layer, (keras.Model, *_SKIPPED)) or None in shape[1:]:
            continue
        if len(shape) == 4 and min(shape[1:3]) > 1:
            grid = shape[1:3]
            found.append(FeatureMap(layer, grid))
        elif len(shape) == 3 and shape[1] in (grid[0] * grid[1], grid[0] * grid[1] + 1):
            found.append(FeatureMap(layer, grid))
    return found


def _output_shape(layer: keras.layers.Layer) -> tuple[Any, ...]:
    with suppress(AttributeError, ValueError):
        if keras.backend.is_keras_tensor(layer.output):
            return tuple(layer.output.shape)
    return ()


def named_feature_map(model: keras.Model, name: str) -> FeatureMap:
    """The feature map of the layer of that name.

    Raises:
        UserError: there is no such layer, or it has none.
    """
    found = {feature_map.layer.name: feature_map for feature_map in feature_maps(model)}
    if name not in found:
        known = name in {layer.name for layer in all_layers(model)}
        problem = f"the layer {name!r} has no feature map" if known else f"the network has no layer {name!r}"
        raise UserError(f"{problem}{nearest(name, found)}")
    return found[name]


def last_feature_maps(scores: Scores, cutouts: Images) -> list[FeatureMap]:
    """For each question the last feature map that its answer depends on, if there is one of at least 4×4 pixels.

    Which these are is tried out on the first galaxy: the questions of some networks have layers of their own, and the
    last patches of a transformer do not matter any more where its answers are read off one token.

    Raises:
        UserError: the network has no feature map.
    """
    found = feature_maps(scores.network.model)[::-1]
    if not found:
        raise UserError("the network has no layer with a feature map; explain it with 'integrated_gradients'")
    found.sort(key=lambda feature_map: min(feature_map.size) < FINE_ENOUGH)
    chosen: dict[int, FeatureMap] = {}
    first = scores.of(slice(1))
    for candidate in found:
        open_ones = [i for i in range(len(scores.names)) if i not in chosen]
        if not open_ones:
            break
        _, slopes = candidate.read(first.only(open_ones), cutouts[:1])
        places = np.any(slopes, axis=(1, 4)).sum(axis=(1, 2))
        chosen |= {i: candidate for i, count in zip(open_ones, places, strict=True) if count > 1}
    return [chosen.get(i, found[0]) for i in range(len(scores.names))]


# -- from a layer back to the cutout ---------------------------------------------------------------


def on_cutouts(model: keras.Model, feature_map: FeatureMap, maps: Array, cutouts: Images) -> Array:
    """Maps (questions, batch, height, width) of a layer as (questions, galaxies, height, width) of the cutouts.

    Maps of the parts into which a network cuts its galaxies are put back where the parts came from and averaged.
    """
    grid = grids(model)[feature_map.layer.name]
    if maps.shape[1] == len(cutouts):
        return place(maps, grid, cutouts.shape[1:3])
    cut = next(layer for layer in all_layers(model) if isinstance(layer, AlignedParts))
    weights = tensor(place(maps, grid, (cut.part_size, cut.part_size)))

    def weighted(pixels: Tensor) -> Tensor:
        parts = ops.mean(cut(pixels), axis=-1)
        sums = [ops.sum(parts * weight, axis=(1, 2)) for weight in (*weights, ops.ones_like(weights[0]))]
        return ops.stack([ops.sum(ops.reshape(total, (len(cutouts), -1)), axis=1) for total in sums], axis=1)

    _, (found,) = gradients(weighted, tensor(cutouts))
    *placed, coverage = ops.convert_to_numpy(found).sum(axis=-1)
    return np.divide(placed, coverage, out=np.zeros_like(placed), where=coverage > 0)
