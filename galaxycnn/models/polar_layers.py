"""Cutouts seen around their centre, for :mod:`galaxycnn.models.polar`."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import keras
import numpy as np
from keras import ops
from numpy.typing import NDArray

from galaxycnn.models.interpolation import Bilinear
from galaxycnn.models.layers import PACKAGE


@keras.saving.register_keras_serializable(package=PACKAGE)
class PolarSampling(keras.layers.Layer):
    """Reads a cutout along rays from its centre to its nearest edge.

    Turning the cutout shifts the rays, and mirroring it reverses their order. Values between pixels are interpolated
    bilinearly. The corners are not read.

    Input shape (batch, height, width, channels), output shape (batch, radii, rays, channels).

    Args:
        radii: values along a ray, from the centre outwards; they are ``((i + 1/2) / radii) ** power`` of the way.
        rays: how many, counterclockwise; the first lies just above the right.
        power: 1 for steps that are all alike; more for finer steps near the centre.

    Raises:
        ValueError: height or width is not known, or less than 2.

    Example:
        >>> tuple(PolarSampling(8, 24)(keras.ops.ones((2, 16, 16, 3))).shape)
        (2, 8, 24, 3)
    """

    def __init__(self, radii: int, rays: int, power: float = 1.0, **kwargs: Any) -> None:
        super().__init__(**kwargs)
        self.radii = radii
        self.rays = rays
        self.power = power

    def build(self, input_shape: Sequence[int | None]) -> None:
        _, height, width, _ = input_shape
        if height is None or width is None or min(height, width) < 2:
            raise ValueError(f"PolarSampling: cannot read rays in {height}×{width} pixels")
        self._places = self._between_pixels(height, width)
        super().build(input_shape)

    def _between_pixels(self, height: int, width: int) -> Bilinear:
        """Where in a cutout of that size each value of each ray lies, circle by circle."""
        radius = _reach(height, width) * ((np.arange(self.radii) + 0.5) / self.radii) ** self.power
        angle = 2 * np.pi * (np.arange(self.rays) + 0.5) / self.rays
        row = ((height - 1) / 2 - np.outer(radius, np.sin(angle))).ravel()
        column = ((width - 1) / 2 + np.outer(radius, np.cos(angle))).ravel()
        return Bilinear.at(row, column, height, width)

    def numbers(self, height: int, width: int) -> tuple[NDArray[np.floating], NDArray[np.floating]]:
        """For each pixel of a cutout of that size its place among the radii and among the rays, both from 0."""
        up, right = (height - 1) / 2 - np.arange(height)[:, None], np.arange(width) - (width - 1) / 2
        share = np.hypot(up, right) / _reach(height, width)
        turn = np.arctan2(up, right) / (2 * np.pi) % 1
        return self.radii * share ** (1 / self.power) - 0.5, self.rays * turn - 0.5

    def compute_output_shape(self, input_shape: Sequence[int | None]) -> tuple[int | None, ...]:
        return input_shape[0], self.radii, self.rays, input_shape[-1]

    def call(self, inputs: Any) -> Any:
        return ops.reshape(self._places.read(inputs), (-1, self.radii, self.rays, inputs.shape[-1]))

    def get_config(self) -> dict[str, Any]:
        return {**super().get_config(), "radii": self.radii, "rays": self.rays, "power": self.power}


def _reach(height: int, width: int) -> float:
    """From the centre to the middle of the nearest edge's pixels."""
    return (min(height, width) - 1) / 2


@keras.saving.register_keras_serializable(package=PACKAGE)
class PolarPadding(keras.layers.Layer):
    """One more value at each end of rays and circles, so that a 3×3 convolution keeps their number.

    A circle goes on where it began; beyond the centre a ray goes on as the opposite one; at the edge its last value is
    repeated.

    Input shape (batch, radii, rays, channels), output shape (batch, radii + 2, rays + 2, channels).

    Raises:
        ValueError: the number of rays is not even.

    Example:
        >>> tuple(PolarPadding()(keras.ops.ones((2, 8, 24, 3))).shape)
        (2, 10, 26, 3)
    """

    def build(self, input_shape: Sequence[int | None]) -> None:
        rays = input_shape[2]
        if rays is None or rays % 2:
            raise ValueError(f"PolarPadding: {rays} rays do not lie opposite each other")
        super().build(input_shape)

    def compute_output_shape(self, input_shape: Sequence[int | None]) -> tuple[int | None, ...]:
        batch, radii, rays, channels = input_shape
        return batch, *(None if count is None else count + 2 for count in (radii, rays)), channels

    def call(self, inputs: Any) -> Any:
        half = inputs.shape[2] // 2
        beyond = ops.concatenate([inputs[:, :1, half:], inputs[:, :1, :half]], axis=2)
        longer = ops.concatenate([beyond, inputs, inputs[:, -1:]], axis=1)
        return ops.concatenate([longer[:, :, -1:], longer, longer[:, :, :1]], axis=2)
