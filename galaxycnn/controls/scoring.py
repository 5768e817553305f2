"""The scores of a control, each with its interval and how far it is from that of the galaxies as they are.

The same galaxies are drawn again for both, which takes out what makes some of them hard in any case: changes are known
far better than the scores that they are between.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from galaxycnn.bootstrap import interval, weights
from galaxycnn.confusion import class_scores
from galaxycnn.measuring import Known, Results
from galaxycnn.models.outputs import flat_name
from galaxycnn.plain import at, plain
from galaxycnn.quantities import best_estimate
from galaxycnn.tree import Floats
from galaxycnn.views import Seen

RESAMPLES = 1000

SMALLEST = 1e-20
"""Variances below this are rounding."""

VOTES = "vote fractions"
"""What the answers to questions are called that are not classes."""

LOWER_IS_BETTER = ("RMSE",)

INFORMED = ("r", "κ")
"""Scores that are 0 where predictions know nothing of the truth, however far off they all are."""

FIGURES = {"R²": ("r2",), "accuracy": ("accuracy",), "macro F1": ("macro", "f1"), "RMSE": ("rmse",)}
"""Where the other scores stand among the figures of an evaluation."""

Weighted = Callable[[Floats], float]
"""A score as a function of how much each galaxy counts: shares of shape (galaxies,)."""


class Key(NamedTuple):
    """Which score is meant: the question, quantity or :data:`VOTES`, and ``R²``, ``accuracy`` or the like."""

    output: str
    score: str


def weighted_scores(known: Known, seen: Seen, threshold: float | None = None) -> dict[Key, Weighted]:
    """The scores of predictions; the first of each output is what it is judged by, the last is :data:`INFORMED`.

    Quantities have R² and the correlation r; classes accuracy, macro F1 and Cohen's κ (1960, Educational and
    Psychological Measurement 20, 37), accuracy beyond what the same choices reach by chance; vote fractions the RMSE
    over all columns, and the correlation of what they differ by from the mean of each.

    Args:
        known: the truth.
        seen: predictions of the same galaxies.
        threshold: the second of two classes is chosen from this probability on; None: the more probable class is.

    Example:
        >>> from galaxycnn.tree import DecisionTree
        >>> z = np.array([0.02, 0.05, 0.08])
        >>> known = Known(DecisionTree("none", ()), np.zeros((3, 0)), {"redshift": z})
        >>> seen = Seen(np.zeros((3, 0)), np.zeros((3, 0)), np.zeros((3, 0)), 1, {"redshift": z + 0.03})
        >>> {key.score: round(score(np.full(3, 1 / 3)), 2) for key, score in weighted_scores(known, seen).items()}
        {'R²': -0.5, 'r': 1.0}
    """
    found: dict[Key, Weighted] = {}
    if known.are_classes:
        scores = _of_classes(known.fractions, seen.mean, known.answered, threshold)
        found |= {Key(flat_name(known.tree), name): score for name, score in scores.items()}
    elif known.answered.any():
        _, rmse, r = _of_numbers(known.fractions, seen.mean, known.answered)
        found |= {Key(VOTES, "RMSE"): rmse, Key(VOTES, "r"): r}
    for name, values in known.quantities.items():
        if np.isfinite(values).any():
            r2, _, r = _of_numbers(values[:, None], best_estimate(seen.quantities[name])[:, None], np.isfinite(values))
            found |= {Key(name, "R²"): r2, Key(name, "r"): r}
    return found


def _of_classes(
    truth: Floats, probabilities: Floats, known: NDArray[np.bool_], threshold: float | None
) -> dict[str, Weighted]:
    """Accuracy, macro F1 and κ; ``truth`` is one-hot where known, shape (galaxies, classes)."""
    truth, probabilities = truth[known], probabilities[known]
    size = truth.shape[1]
    chosen = probabilities.argmax(axis=1) if threshold is None else (probabilities[:, 1] >= threshold).astype(int)
    cells = truth.argmax(axis=1) * size + chosen

    def counts(w: Floats) -> Floats:
        return np.asarray(np.bincount(cells, w[known] * len(w), size**2), float).reshape(size, size)

    def kappa(w: Floats) -> float:
        shares = counts(w) / counts(w).sum()
        chance = shares.sum(axis=0) @ shares.sum(axis=1)
        return float((np.trace(shares) - chance) / (1 - chance)) if chance < 1 else 0.0

    return {
        "accuracy": lambda w: float(class_scores(counts(w))["accuracy"]),
        "macro F1": lambda w: float(class_scores(counts(w))["macro"]["f1"]),
        "κ": kappa,
    }


def _of_numbers(truth: Floats, predicted: Floats, known: NDArray[np.bool_]) -> tuple[Weighted, Weighted, Weighted]:
    """R², RMSE and correlation of numbers of shape (galaxies, columns), all columns together."""
    truth, predicted = np.asarray(truth[known], float), np.asarray(predicted[known], float)
    errors = np.square(predicted - truth).mean(axis=1)
    truth, predicted = truth - truth.mean(axis=0), predicted - predicted.mean(axis=0)
    products = np.stack([truth * truth, predicted * predicted, truth * predicted]).mean(axis=2)

    def mse(w: Floats) -> float:
        return float(w[known] @ errors / w[known].sum())

    def variances(w: Floats) -> Floats:
        """Of truth and predictions, and their covariance: means over the columns."""
        w = w[known] / w[known].sum()
        left, right = w @ truth, w @ predicted
        return products @ w - np.stack([left * left, right * right, left * right]).mean(axis=1)

    def r2(w: Floats) -> float:
        variance = variances(w)[0]
        return float(1 - mse(w) / variance) if variance > 0 else np.nan

    def r(w: Floats) -> float:
        left, right, together = variances(w)
        return float(together / np.sqrt(left * right)) if min(left, right) > SMALLEST else 0.0

    return r2, lambda w: mse(w) ** 0.5, r


def compared(
    controls: Mapping[str, Mapping[Key, Weighted]], measured: Mapping[str, Results], galaxies: int, seed: int
) -> Results:
    """The scores of every control beside those of the first.

    Args:
        controls: by name, what :func:`weighted_scores` returned.
        measured: by the same names, what :func:`galaxycnn.measuring.measure` returned, whose intervals are taken.
        galaxies: how many.
        seed: makes intervals reproducible.

    Returns:
        Plain numbers by output and score: ``floor``, what a model reaches that never looks, and ``controls``: by name
        ``value``, its 95 % ``interval``, the ``change`` from the first control, and its ``change_interval``.
    """
    first = next(iter(controls))
    drawn: dict[tuple[str, Key], list[float]] = {(name, key): [] for name, keys in controls.items() for key in keys}
    for share in weights(galaxies, RESAMPLES, np.random.default_rng(seed)):
        for name, key in drawn:
            drawn[name, key].append(controls[name][key](share))
    even = np.full(galaxies, 1 / galaxies)
    found: Results = {}
    for key, usual in controls[first].items():
        told = {}
        for name, scores in controls.items():
            value, resampled = scores[key](even), np.array(drawn[name, key])
            ends = _figure(measured[name], key, "intervals") if key.score in FIGURES else interval(resampled)
            told[name] = {
                "value": value,
                "interval": ends,
                "change": value - usual(even),
                "change_interval": interval(resampled - np.array(drawn[first, key])),
            }
        floor = _figure(measured[first], key, "baseline") if key.score in FIGURES else 0.0
        found.setdefault(key.output, {})[key.score] = {"floor": floor, "controls": told}
    return dict(plain(found))


def _figure(results: Results, key: Key, among: str) -> Any:
    """A score's interval or baseline, as an evaluation has it."""
    figures = results["overall"] if key.output == VOTES else results.get("quantities", {}).get(key.output)
    return at((figures or results["classes"])[among], FIGURES[key.score])
