"""Classes and probabilities as they come, checked and brought into one form."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from numpy.typing import ArrayLike, NDArray

from galaxycnn.errors import DataError

Floats = NDArray[np.float64]
Integers = NDArray[np.int64]

UNKNOWN = -1
"""The position of the class of a galaxy whose class is not known."""


def class_positions(truth: ArrayLike, names: Sequence[str]) -> Integers:
    """The class of each galaxy as a position in ``names``, from positions or one-hot: shape (n,), -1 where unknown.

    Raises:
        DataError: another shape, rows that are not one-hot, positions without a name, or fewer than two names.

    Example:
        >>> class_positions([[0, 1], [1, 0], [np.nan, np.nan]], ["other", "merger"]).tolist()
        [1, 0, -1]
    """
    if len(names) < 2:
        raise DataError(f"classes are told apart from two on, got {len(names)}")
    values = np.asarray(truth, dtype=float)
    if values.ndim == 2 and values.shape[1] == len(names):
        unknown = np.isnan(values).any(axis=1)
        hot = values[~unknown]
        if not (np.isin(hot, (0, 1)).all() and (hot.sum(axis=1) == 1).all()):
            raise DataError("the true classes are not one-hot: every row needs one 1 and else 0")
        values = np.where(unknown, UNKNOWN, np.nan_to_num(values).argmax(axis=1))
    if values.ndim != 1:
        raise DataError(f"the true classes have shape {values.shape}, expected (galaxies,) or (galaxies, {len(names)})")
    values = np.where(np.isnan(values), UNKNOWN, values)
    odd = ~np.isin(values, np.arange(UNKNOWN, len(names)))
    if odd.any():
        raise DataError(f"a true class is {values[odd][0]:g}, expected 0 to {len(names) - 1} for {', '.join(names)}")
    return values.astype(int)


def checked_probabilities(probabilities: ArrayLike, size: int) -> Floats:
    """Probabilities as an array of doubles of shape (n, size), all in 0..1.

    Raises:
        DataError: another shape, or values out of range.
    """
    values = np.asarray(probabilities, dtype=float)
    if values.ndim != 2 or values.shape[1] != size:
        raise DataError(f"the probabilities have shape {values.shape}, expected (galaxies, {size})")
    if not ((values >= 0) & (values <= 1)).all():
        bad = int((~((values >= 0) & (values <= 1))).any(axis=1).sum())
        raise DataError(f"the probabilities of {bad} galaxies are not numbers between 0 and 1")
    return values
