"""What the measures share: types, coordinates, means and quotients that are always finite."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

Array = NDArray[Any]
Mask = NDArray[np.bool_]

PIXEL_VARIANCE = 1 / 12
"""Second moment of a pixel along an axis, pixels²: no light is narrower."""


def grid(images: Array) -> tuple[Array, Array]:
    """Distances of rows and of columns from the middle of the images, pixels."""
    height, width = images.shape[1:]
    return np.arange(height) - (height - 1) / 2, np.arange(width) - (width - 1) / 2


def total(images: Array) -> Array:
    """Sum over each image."""
    return np.asarray(images.sum(axis=(1, 2)))


def mean_where(images: Array, where: Mask) -> Array:
    """Mean of each image over the pixels of a mask, 0 where there are none."""
    return ratio(total(images * where), total(where))


def ratio(numerator: Array, denominator: Array) -> Array:
    """The quotient, and 0 where the denominator is not positive."""
    numerator, denominator = np.broadcast_arrays(numerator, denominator)
    return np.divide(numerator, denominator, out=np.zeros(numerator.shape), where=denominator > 0)
