"""Where in a cutout each pixel of a feature map looks."""

from __future__ import annotations

from typing import Any, NamedTuple

import cv2
import keras
import numpy as np
from keras import layers

from galaxycnn.explain.network import Array
from galaxycnn.models.group_convolution import GroupConv2D
from galaxycnn.models.layers import AlignedParts
from galaxycnn.models.polar_layers import PolarPadding, PolarSampling

_WINDOWS = (
    *(layers.Conv2D, layers.DepthwiseConv2D, layers.SeparableConv2D, GroupConv2D),
    *(layers.MaxPooling2D, layers.AveragePooling2D),
)


class Axis(NamedTuple):
    """The centres of what the pixels of a feature map see, along one axis: ``start + step × number``, in pixels.

    Source: Araujo, Norris and Sim 2019, "Computing Receptive Fields of Convolutional Neural Networks", Distill.
    """

    start: float = 0.0
    step: float = 1.0

    def moved(self, by: float, stride: int = 1) -> Axis:
        """The same after a layer whose first pixel is centred ``by`` pixels of this map from its first one."""
        return Axis(self.start + by * self.step, self.step * stride)


class Grid(NamedTuple):
    """Down and to the right; or, where the cutout was read along ``rays``, outwards and around."""

    down: Axis = Axis()
    right: Axis = Axis()
    rays: PolarSampling | None = None

    def moved(self, down: tuple[float, int], right: tuple[float, int]) -> Grid:
        """The same after a layer that moves on so along each axis."""
        return Grid(self.down.moved(*down), self.right.moved(*right), self.rays)


PIXELS = Grid()
"""The grid of a cutout itself."""
_AROUND = 2
"""Pixels that a map of rays is continued by at both sides, for interpolation."""


def place(maps: Array, grid: Grid, size: tuple[int, int]) -> Array:
    """Maps (…, height, width) of a layer over the cutouts, at their size: bicubic, and nowhere negative where none was.

    Stretching a map over the cutout, as is the custom, would shift it where padding is not the same on both sides: the
    last map of EfficientNet by 15.5 pixels.

    Example:
        >>> large = place(np.eye(2, dtype=np.float32), Grid(Axis(1, 4), Axis(1, 4)), (8, 8))
        >>> large[1::2, 1::2][:3, :3].round(1).tolist()
        [[1.0, 0.5, 0.0], [0.5, 0.5, 0.5], [0.0, 0.5, 1.0]]
    """
    flat = maps.reshape(-1, *maps.shape[-2:])
    if grid.rays is None:
        large = _read(flat, grid, *np.indices(size))
    else:
        radii, rays = grid.rays.numbers(*size)
        closed = np.pad(flat, ((0, 0), (0, 0), (_AROUND, _AROUND)), mode="wrap")
        large = _read(closed, grid.moved((0, 1), (-_AROUND, 1)), radii, rays)
        large[:, radii > grid.rays.radii] = 0
    return np.maximum(large, min(0, float(maps.min()))).reshape(*maps.shape[:-2], *size)


def _read(maps: Array, grid: Grid, down: Array, right: Array) -> Array:
    """The values of maps (maps, height, width) so far down and to the right, both of the same shape."""
    rows, columns = (
        ((far - axis.start) / axis.step).astype(np.float32) for far, axis in ((down, grid.down), (right, grid.right))
    )
    flags = {"interpolation": cv2.INTER_CUBIC, "borderMode": cv2.BORDER_REPLICATE}
    return np.stack([cv2.remap(one, columns, rows, **flags) for one in maps])


def grids(model: keras.Model, entry: Grid = PIXELS) -> dict[str, Grid]:
    """The grid of every layer with a feature map, by its name; the parts of a galaxy begin anew.

    Args:
        model: the network; models nested in it are looked into.
        entry: the grid of its pixels.
    """
    found: dict[str, Grid] = {}
    for layer in model.layers:
        sources = [found[source.name] for source in _sources(layer) if source.name in found]
        before = sources[0] if sources else entry
        if isinstance(layer, keras.Model):
            inner = grids(layer, before)
            found |= inner
            before = list(inner.values())[-1]
        found[layer.name] = _after(layer, before)
    return found


def _sources(layer: keras.layers.Layer) -> list[keras.layers.Layer]:
    nodes = layer._inbound_nodes
    return [tensor._keras_history.operation for tensor in nodes[0].input_tensors] if nodes else []


def _after(layer: keras.layers.Layer, before: Grid) -> Grid:
    if isinstance(layer, AlignedParts):
        return PIXELS
    if isinstance(layer, PolarSampling):
        return Grid(rays=layer)
    if isinstance(layer, PolarPadding):
        return before.moved((-1, 1), (-1, 1))
    if isinstance(layer, layers.ZeroPadding2D):
        (top, _), (left, _) = layer.padding
        return before.moved((-top, 1), (-left, 1))
    if isinstance(layer, layers.Cropping2D):
        (top, _), (left, _) = layer.cropping
        return before.moved((top, 1), (left, 1))
    if isinstance(layer, _WINDOWS):
        height, width = layer.input.shape[1:3]
        return before.moved(_window(layer, 0, height), _window(layer, 1, width))
    return before


def _window(layer: Any, axis: int, length: int) -> tuple[float, int]:
    """Where the middle of the first window of a convolution or pooling lies, and by how much it moves on."""
    size = layer.kernel_size if hasattr(layer, "kernel_size") else layer.pool_size
    dilation = getattr(layer, "dilation_rate", (1, 1))
    width, stride = (size[axis] - 1) * dilation[axis] + 1, layer.strides[axis]
    missing = max((-(-length // stride) - 1) * stride + width - length, 0) if layer.padding == "same" else 0
    return (width - 1) / 2 - missing // 2, stride
