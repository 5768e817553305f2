"""Measures of probabilities of classes, with their 95 % intervals and those of a model that never looks."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray
from sklearn.metrics import average_precision_score, log_loss, roc_auc_score

from galaxycnn.bootstrap import interval
from galaxycnn.confusion import class_scores, confusion_counts, mean_where
from galaxycnn.detection.arrays import UNKNOWN, checked_probabilities, class_positions
from galaxycnn.detection.ranking import resampled_average_precisions
from galaxycnn.errors import DataError
from galaxycnn.plain import plain

Floats = NDArray[np.float64]
Integers = NDArray[np.int64]
Results = dict[str, Any]


def evaluate_classes(
    truth: ArrayLike,
    probabilities: ArrayLike,
    names: Sequence[str],
    *,
    threshold: float | None = None,
    training_shares: ArrayLike | None = None,
    resamples: int = 1000,
    seed: int = 0,
) -> Results:
    """Measure the probabilities of classes that exclude each other.

    Args:
        truth: positions in ``names``, shape (n,), or one-hot, shape (n, classes); unknown: -1 or NaN.
        probabilities: in 0..1, shape (n, classes). Rows need not sum to 1 (those of a sigmoid do not): rankings and
            choices take them as they are, ``log_loss`` and ``brier`` divided by their sum.
        names: of the classes, at least two.
        threshold: the second of two classes is chosen from this probability on; None: the most probable class is.
        training_shares: how frequent each class is in the training part, shape (classes,), for the baseline; None:
            how frequent it is here.
        resamples: bootstrap resamples of the galaxies behind each 95 % interval.
        seed: makes the intervals reproducible.

    Returns:
        Plain numbers all through, None where a figure is not defined:

        - ``classes``: the names; ``n`` galaxies measured, ``unknown`` left out; ``threshold``.
        - ``accuracy``; ``balanced_accuracy``, the mean recall of the classes that occur; ``log_loss``; ``brier``, the
          mean of Σ(probability - truth)² over the classes, halved for two (Brier 1950; scikit-learn's convention).
        - ``per_class``: lists of ``support``, ``precision``, ``recall``, ``f1``, and one class against the rest
          ``roc_auc`` and ``average_precision`` (of a ranking at random: 0.5 and the share of the class).
        - ``macro``: their mean over the classes; ``weighted``: precision, recall and F1 weighted by support.
        - ``confusion``: counts, rows true, columns predicted.
        - ``intervals``: 95 %, nested alike, of accuracies, F1 and average precision. Galaxies are drawn again; for
          average precision, they keep their ranks and are counted as often as drawn, so each resample is a
          cumulative sum. Resamples without a galaxy of a class say nothing about its average precision.
        - ``baseline``: the same figures of a model that never looks: the training part's shares for every galaxy.

        A class that is never predicted has precision 0; one that neither occurs nor is predicted is in no mean.

    Raises:
        DataError: nothing is known, shapes that do not fit, or values out of range.

    Example:
        >>> probabilities = [[0.9, 0.1], [0.8, 0.2], [0.4, 0.6], [0.2, 0.8]]
        >>> results = evaluate_classes([0, 0, 0, 1], probabilities, ["other", "merger"])
        >>> results["accuracy"], results["per_class"]["precision"], results["macro"]["average_precision"]
        (0.75, [1.0, 0.5], 1.0)
        >>> results["confusion"], results["baseline"]["accuracy"], results["baseline"]["balanced_accuracy"]
        ([[2, 1], [0, 1]], 0.75, 0.5)
    """
    classes = class_positions(truth, names)
    scores = checked_probabilities(probabilities, len(names))
    if len(classes) != len(scores):
        raise DataError(f"there are probabilities for {len(scores)} galaxies, but classes for {len(classes)}")
    if threshold is not None and len(names) != 2:
        raise DataError(f"a threshold chooses between two classes, there are {len(names)}: {', '.join(names)}")
    known = classes != UNKNOWN
    if not known.any():
        raise DataError("the class of no galaxy is known, there is nothing to measure")
    classes, scores = classes[known], scores[known]

    shares = _shares(classes, training_shares, len(names))
    constant, majority = np.tile(shares, (len(classes), 1)), np.full_like(classes, shares.argmax())
    chosen = scores.argmax(axis=1) if threshold is None else (scores[:, 1] >= threshold).astype(int)
    counts = confusion_counts(classes, chosen, len(names))
    return plain(
        {
            "classes": list(names),
            "n": len(classes),
            "unknown": int((~known).sum()),
            "threshold": threshold,
            **_figures(classes, scores, counts),
            "confusion": counts,
            "intervals": _intervals(classes, scores, counts, resamples, np.random.default_rng(seed)),
            "baseline": _figures(classes, constant, confusion_counts(classes, majority, len(names))),
        }
    )


def verdict(results: Results) -> str:
    """Whether the classes are told apart: balanced accuracy against chance, accuracy against the majority's.

    A model counts as better where the 95 % interval of its balanced accuracy lies above that of one choice for all.

    Example:
        >>> truth = np.repeat([0, 1], 50)
        >>> sentence = verdict(evaluate_classes(truth, np.eye(2)[truth], ["other", "merger"]))
        >>> for part in sentence.split("; "):
        ...     print(part)
        learned: balanced accuracy 1.000 [1.000 1.000] against 0.500 by chance
        accuracy 1.000 [1.000 1.000] against 0.500 for predict-the-majority
    """
    reference = results["baseline"]
    told_apart = results["intervals"]["balanced_accuracy"][0] > reference["balanced_accuracy"]
    return (
        f"{'learned' if told_apart else 'not told apart'}: "
        f"balanced accuracy {_with_ends(results, 'balanced_accuracy')} "
        f"against {reference['balanced_accuracy']:.3f} by chance; "
        f"accuracy {_with_ends(results, 'accuracy')} against {reference['accuracy']:.3f} for predict-the-majority"
    )


def _with_ends(results: Results, name: str) -> str:
    low, high = results["intervals"][name]
    return f"{results[name]:.3f} [{low:.3f} {high:.3f}]"


def _shares(classes: Integers, training_shares: ArrayLike | None, size: int) -> Floats:
    if training_shares is None:
        return np.bincount(classes, minlength=size) / len(classes)
    shares = np.asarray(training_shares, dtype=float)
    if shares.shape != (size,) or not (shares >= 0).all() or shares.sum() == 0:
        raise DataError(f"the training part needs a share for each of {size} classes, got {shares.tolist()}")
    return shares / shares.sum()


# -- figures -------------------------------------------------------------------------------------


def _figures(classes: Integers, scores: Floats, counts: Integers) -> Results:
    """Everything that is measured, of scores of shape (n, classes) and the confusion of what is chosen by them."""
    figures, size = class_scores(counts), scores.shape[1]
    against_rest = classes[:, None] == np.arange(size)
    for name, measure in (("roc_auc", roc_auc_score), ("average_precision", average_precision_score)):
        values = np.array(
            [
                measure(here, scores[:, i]) if here.any() and not here.all() else np.nan
                for i, here in enumerate(against_rest.T)
            ]
        )
        figures["per_class"][name] = values
        figures["macro"][name] = mean_where(~np.isnan(values), values)
    figures["per_class"]["support"] = counts.sum(axis=1)
    sums = scores.sum(axis=1, keepdims=True)
    shares = np.divide(scores, sums, out=np.full_like(scores, 1 / size), where=sums > 0)
    brier = np.square(shares - against_rest).sum(axis=1).mean()
    return figures | {
        "log_loss": log_loss(classes, shares, labels=range(size)),
        "brier": brier / 2 if size == 2 else brier,
    }


# -- 95 % intervals ------------------------------------------------------------------------------


def _intervals(
    classes: Integers, scores: Floats, counts: Integers, resamples: int, generator: np.random.Generator
) -> Results:
    """Drawing galaxies again is, for what only counts them, drawing the cells of their confusion matrix."""
    drawn = generator.multinomial(len(classes), counts.ravel() / len(classes), size=resamples)
    resampled = class_scores(drawn.reshape(-1, *counts.shape))
    precisions = resampled_average_precisions(classes, scores, resamples, generator)
    macro = mean_where(~np.isnan(precisions), np.nan_to_num(precisions))
    return {
        "accuracy": interval(resampled["accuracy"]),
        "balanced_accuracy": interval(resampled["balanced_accuracy"]),
        "macro": {"f1": interval(resampled["macro"]["f1"]), "average_precision": _defined_interval(macro)},
        "per_class": {
            "f1": [_defined_interval(values) for values in resampled["per_class"]["f1"].T],
            "average_precision": [_defined_interval(values) for values in precisions.T],
        },
    }


def _defined_interval(resampled: Floats) -> Floats:
    defined = resampled[~np.isnan(resampled)]
    return interval(defined) if len(defined) else np.full(2, np.nan)
