"""The spread of values that a few outliers do not move."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

NMAD = 1.4826
"""Median absolute deviation times this is the standard deviation of a Gaussian."""


def robust_deviation(values: NDArray[Any], axis: int | None = None) -> Any:
    """Scaled median absolute deviation from the median, along ``axis`` or of all values.

    Example:
        >>> float(robust_deviation(np.array([1.0, 2.0, 3.0, 4.0, 900.0])))
        1.4826
    """
    return NMAD * np.median(np.abs(values - np.median(values, axis=axis, keepdims=True)), axis=axis)
