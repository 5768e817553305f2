"""What the order tells in which a model ranks the galaxies: average precision in resamples, and where to cut."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

from galaxycnn.bootstrap import weights
from galaxycnn.detection.arrays import UNKNOWN, checked_probabilities, class_positions
from galaxycnn.errors import DataError, UserError, nearest

Floats = NDArray[np.float64]
Integers = NDArray[np.int64]
Booleans = NDArray[np.bool_]

Rates = Callable[[NDArray[Any], NDArray[Any], int, int], Floats]
THRESHOLD_MEASURES: dict[str, Rates] = {
    "f1": lambda found, wrong, positives, negatives: 2 * found / (found + wrong + positives),
    "balanced_accuracy": lambda found, wrong, positives, negatives: (found / positives + 1 - wrong / negatives) / 2,
}
"""From galaxies rightly and wrongly chosen, and how many there are of both kinds, to what is made largest."""


def choose_threshold(truth: ArrayLike, probability: ArrayLike, measure: str = "f1") -> float:
    """The probability from which on a galaxy is best taken for one of the class looked for.

    To be chosen on validation data, and used on the test part by :func:`evaluate_classes`. It stands midway between two
    probabilities that occur; among equally good ones, nearest to ½.

    Args:
        truth: 1 for the class looked for, 0 for the other, -1 or NaN where unknown; shape (n,).
        probability: of the class looked for, shape (n,).
        measure: what is made largest: ``"f1"`` of the class looked for, or ``"balanced_accuracy"`` (Youden 1950).

    Raises:
        DataError: one of the classes does not occur, shapes that do not fit, or values out of range.
        UserError: a measure of another name.

    Example:
        >>> round(choose_threshold([0, 0, 1, 0, 1], [0.1, 0.2, 0.3, 0.4, 0.9]), 3)
        0.25
    """
    if measure not in THRESHOLD_MEASURES:
        raise UserError(f"a threshold cannot be chosen by {measure!r}{nearest(measure, THRESHOLD_MEASURES)}")
    classes = class_positions(truth, ("other", "looked for"))
    scores = checked_probabilities(np.asarray(probability, float)[:, None], 1)[:, 0]
    if len(classes) != len(scores):
        raise DataError(f"there are probabilities for {len(scores)} galaxies, but classes for {len(classes)}")
    positive, scores = classes[classes != UNKNOWN] == 1, scores[classes != UNKNOWN]
    positives, negatives = int(positive.sum()), int((~positive).sum())
    if not positives or not negatives:
        raise DataError(f"a threshold needs galaxies of both classes, got {positives} and {negatives}")

    cuts, position = np.unique(scores, return_inverse=True)
    found = np.cumsum(np.bincount(position, positive)[::-1])[::-1]
    wrong = np.cumsum(np.bincount(position, ~positive)[::-1])[::-1]
    reached = THRESHOLD_MEASURES[measure](found, wrong, positives, negatives)
    below = np.concatenate([[0.0], cuts[:-1]])
    middles = (cuts + below) / 2
    thresholds = np.where(middles > below, middles, cuts)
    best = thresholds[np.isclose(reached, reached.max(), rtol=1e-12, atol=0)]
    return float(best[np.abs(best - 0.5).argmin()])


def resampled_average_precisions(
    classes: Integers, scores: Floats, resamples: int, generator: np.random.Generator
) -> Floats:
    """Average precision of each class against the rest, in resamples of the galaxies.

    Args:
        classes: positions of the classes, shape (n,).
        scores: shape (n, classes).
        resamples: how often the galaxies are drawn again.
        generator: decides the draws.

    Returns:
        Shape (resamples, classes), NaN where no galaxy of a class is drawn, or where none of another occurs.
    """
    ordered = np.lexsort((classes, *scores.T))  # so that the order of the galaxies does not matter
    rankings = [_Ranking.of(classes[ordered] == i, scores[ordered, i]) for i in range(scores.shape[1])]
    drawn = weights(len(classes), resamples, generator)
    return np.array([[ranking.average_precision(shares) for ranking in rankings] for shares in drawn])


@dataclass(frozen=True)
class _Ranking:
    """Galaxies by falling score, made once; resampled galaxies keep their ranks and are counted as often as drawn.

    Attributes:
        order: of the galaxies.
        right: the ranks of those of the class looked for.
        last: for each of these, the rank of the last galaxy with its score; they share its precision.
        last_right: the same, counted among those of the class.
    """

    order: Integers
    right: Integers
    last: Integers
    last_right: Integers

    @classmethod
    def of(cls, looked_for: Booleans, scores: Floats) -> _Ranking:
        order = np.argsort(-scores, kind="stable")
        falling = -scores[order]
        right = np.flatnonzero(looked_for[order]) if not looked_for.all() else np.array([], int)
        last = np.searchsorted(falling, falling[right], side="right") - 1
        return cls(order, right, last, np.searchsorted(right, last, side="right") - 1)

    def average_precision(self, shares: Floats) -> float:
        """Σ (rise in recall) · precision, with each galaxy counted by its share."""
        ranked = shares[self.order]
        found = ranked[self.right]
        if not found.any():
            return np.nan
        hits, taken = np.cumsum(found)[self.last_right], np.cumsum(ranked)[self.last]
        precision = hits / np.maximum(taken, np.finfo(float).tiny)
        return found @ precision / found.sum()
