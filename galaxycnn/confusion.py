"""Confusion counts of galaxies that are of one class each, and the scores that they give."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

Floats = NDArray[np.float64]
Integers = NDArray[np.int64]


def confusion_counts(true: ArrayLike, predicted: ArrayLike, size: int) -> Integers:
    """How often each true class (row) was predicted as each class (column): (size, size).

    Example:
        >>> confusion_counts([0, 0, 1], [0, 1, 1], size=2).tolist()
        [[1, 1], [0, 1]]
    """
    cells = np.asarray(true) * size + np.asarray(predicted)
    return np.bincount(cells, minlength=size * size).reshape(size, size)


def class_scores(counts: NDArray[Any]) -> dict[str, Any]:
    """Scores of confusion counts, rows true and columns predicted; leading axes are kept (resamples).

    Args:
        counts: galaxies, shape (…, classes, classes).

    Returns:
        ``accuracy``; ``balanced_accuracy``, the mean recall of the classes that occur; ``per_class``: ``precision``,
        ``recall`` and ``f1``, each of shape (…, classes); ``macro``: their mean over the classes; ``weighted``: their
        mean weighted by how often a class occurs. A class that is never predicted has precision 0; one that neither
        occurs nor is predicted has NaN and is in no mean. Means without any class or galaxy are NaN.

    Example:
        >>> scores = class_scores(np.array([[331, 2], [18, 3]]))  # Kempster-Taylor (2025), table 1
        >>> round(float(scores["accuracy"]), 2), scores["per_class"]["f1"].round(2).tolist()
        (0.94, [0.97, 0.23])
    """
    hits = np.diagonal(counts, axis1=-2, axis2=-1)
    support, guesses = counts.sum(axis=-1), counts.sum(axis=-2)
    n, present = support.sum(axis=-1), support + guesses > 0
    per_class = {
        "precision": hits / np.maximum(guesses, 1),
        "recall": hits / np.maximum(support, 1),
        "f1": 2 * hits / np.maximum(support + guesses, 1),
    }
    with np.errstate(invalid="ignore"):
        return {
            "accuracy": hits.sum(axis=-1) / n,
            "balanced_accuracy": mean_where(support > 0, per_class["recall"]),
            "per_class": {name: np.where(present, values, np.nan) for name, values in per_class.items()},
            "macro": {name: mean_where(present, values) for name, values in per_class.items()},
            "weighted": {name: (values * support).sum(axis=-1) / n for name, values in per_class.items()},
        }


def mean_where(defined: NDArray[np.bool_], values: Floats) -> Floats:
    """Mean over the last axis of what is defined, NaN where nothing is.

    Example:
        >>> mean_where(np.array([True, True, False]), np.array([1.0, 2.0, 9.0]))
        array(1.5)
    """
    count = defined.sum(axis=-1)
    total = np.where(defined, values, 0).sum(axis=-1)
    return np.divide(total, count, out=np.full(np.shape(total), np.nan), where=count > 0)
