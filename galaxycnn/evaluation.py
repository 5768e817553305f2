"""How well predicted vote fractions agree with the volunteers', measured per question.

Everything here works on NumPy arrays and a :class:`~galaxycnn.tree.DecisionTree`: no network, no
files. :func:`evaluate_fractions` returns one nested dictionary of plain numbers that can be written
as JSON; the tables and plots are made from it.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

from galaxycnn.bootstrap import interval, rmse_intervals
from galaxycnn.confusion import class_scores, confusion_counts
from galaxycnn.errors import DataError
from galaxycnn.plain import plain
from galaxycnn.tree import DecisionTree

Floats = NDArray[np.float64]
Integers = NDArray[np.int64]
Results = dict[str, Any]

WALKS = {"true_walk": "volunteers' walk", "predicted_walk": "predicted walk"}
"""Which galaxies a confusion matrix counts: those whose walk down the tree comes to the question."""

EXCESS = 1e-3
"""A fraction exceeds its parent's where it is larger by more than this (rounding is not a violation)."""

ROUNDING = 1e-6
"""A sum holds where it is missed by less than float32 rounding."""


@dataclass(frozen=True)
class Baseline:
    """What a model that never looks at the image predicts, learnt from the training part.

    Attributes:
        fractions: mean training fraction of every column, shape (columns,): predict-the-mean.
        answers: most frequent answer to each question over all training galaxies, shape
            (questions,): predict-the-majority.
        reached_answers: the same among the galaxies whose walk down the tree comes to the question.

    Example:
        >>> tree = DecisionTree.from_classes({"shape": ["smooth", "disk"]})
        >>> baseline = Baseline.fit(tree, [[0.9, 0.1], [0.6, 0.4], [0.0, 1.0]])
        >>> baseline.fractions.tolist(), baseline.answers.tolist()
        ([0.5, 0.5], [0])
    """

    fractions: Floats
    answers: Integers
    reached_answers: Integers

    @classmethod
    def fit(cls, tree: DecisionTree, training_truth: ArrayLike) -> Baseline:
        """Learn both predictions from fractions of shape (galaxies, columns).

        Raises:
            DataError: no galaxies, a wrong number of columns, or values that are not finite.
        """
        truth = _fractions(tree, training_truth, "training labels")
        answers, reached = chosen_answers(tree, truth), tree.reached(truth)
        everywhere, on_the_walk = [], []
        for i, question in enumerate(tree.questions):
            everywhere.append(_majority(answers[:, i], len(question)))
            walkers = answers[reached[:, i], i]
            on_the_walk.append(_majority(walkers, len(question)) if len(walkers) else everywhere[-1])
        return cls(truth.mean(axis=0), np.array(everywhere), np.array(on_the_walk))

    def to_dict(self) -> dict[str, list[Any]]:
        """Plain values, as saved with a model."""
        return {name: values.tolist() for name, values in vars(self).items()}

    @classmethod
    def from_dict(cls, values: Mapping[str, list[Any]]) -> Baseline:
        """The baseline that :meth:`to_dict` described."""
        return cls(**{name: np.asarray(value) for name, value in values.items()})


def chosen_answers(tree: DecisionTree, fractions: ArrayLike) -> Integers:
    """The position of the largest fraction within each question: (galaxies, questions)."""
    fractions = np.asarray(fractions)
    return np.stack([fractions[:, tree.slice(q)].argmax(axis=1) for q in tree.questions], axis=1)


def galaxy_errors(truth: ArrayLike, predicted: ArrayLike) -> Floats:
    """Root mean square error of each galaxy over all columns: shape (galaxies,)."""
    return np.sqrt(np.square(np.asarray(predicted, float) - np.asarray(truth, float)).mean(axis=1))


def evaluate_fractions(
    tree: DecisionTree,
    truth: ArrayLike,
    predicted: ArrayLike,
    baseline: Baseline,
    *,
    resamples: int = 1000,
    seed: int = 0,
) -> Results:
    """Measure predictions against labels, question by question and overall.

    Args:
        tree: the questions, whose columns are those of both arrays.
        truth: labels as vote fractions in 0..1 or one-hot, shape (galaxies, columns).
        predicted: predicted fractions, the same shape.
        baseline: predict-the-mean and predict-the-majority, fitted on the training part.
        resamples: bootstrap resamples of the galaxies behind each 95 % interval.
        seed: makes the intervals reproducible.

    Returns:
        ``{"n", "overall", "outputs"}``, plain numbers all through, None where a figure is not
        defined (a question that no galaxy reaches has no accuracy there):

        - ``overall``: ``mse``, ``rmse`` over all columns, ``intervals`` and ``baseline`` of them.
        - ``outputs[question]``: ``text``, ``columns``, ``answers``, ``n``, then over all galaxies
          ``mse``, ``rmse``, ``accuracy``, ``macro_f1``, ``weighted_f1`` (of the largest fraction within the
          question, as the Keras metric takes it), ``intervals`` (95 %) and ``baseline`` (predict-the-mean,
          predict-the-majority);
          ``per_answer``: ``rmse``, ``intervals`` and ``baseline`` of each answer, in the order of ``answers``;
          ``confusion["true_walk"]`` and ``["predicted_walk"]``: ``n``, ``counts`` (rows true, columns
          predicted), scores and the ``baseline`` accuracy among the galaxies for which the walk down
          the true, or the predicted, tree comes to the question;
          ``sums``: by how much the predicted answers miss their total (``mean``, ``max``, absolute) and the
          share of galaxies with an answer above its parent (``exceeds_parent``);
          ``calibration``: see :func:`reliability`.

        F1 scores are over the answers that occur in truth or prediction, as scikit-learn's are.

    Raises:
        DataError: no galaxies, shapes that do not fit, or values that are not finite.

    Example:
        >>> tree = DecisionTree.from_classes({"shape": ["smooth", "disk"]})
        >>> truth = [[0.9, 0.1], [0.2, 0.8]]
        >>> results = evaluate_fractions(tree, truth, [[0.8, 0.2], [0.6, 0.4]], Baseline.fit(tree, truth))
        >>> shape = results["outputs"]["shape"]
        >>> shape["accuracy"], round(shape["rmse"], 3), shape["confusion"]["true_walk"]["counts"]
        (0.5, 0.292, [[1, 0], [1, 0]])
    """
    truth = _fractions(tree, truth, "labels")
    predicted = _fractions(tree, predicted, "predictions")
    if len(truth) != len(predicted):
        raise DataError(f"there are predictions for {len(predicted)} galaxies, but labels for {len(truth)}")

    generator = np.random.default_rng(seed)
    errors = _squared_errors(tree, truth, predicted)
    mse, intervals = errors.mean(axis=0), rmse_intervals(errors, resamples, generator)
    baseline_mse = _squared_errors(tree, truth, baseline.fractions).mean(axis=0)
    overall, answer = len(tree.questions), len(tree.questions) + 1 + np.arange(len(tree.columns))
    answers = chosen_answers(tree, truth), chosen_answers(tree, predicted)
    walks = dict(zip(WALKS, (tree.reached(truth), tree.reached(predicted)), strict=True))
    sums = _sums(tree, predicted)

    outputs = {}
    for i, question in enumerate(tree.questions):
        here, size = tree.slice(question), len(question)
        true, guessed = answers[0][:, i], answers[1][:, i]
        counts = confusion_counts(true, guessed, size)
        outputs[question.name] = {
            "text": question.text,
            "columns": question.columns,
            "answers": [answer.name for answer in question.answers],
            "n": len(truth),
            **_errors(mse[i]),
            **scores(counts),
            "intervals": {**_score_intervals(counts, resamples, generator), "rmse": intervals[i]},
            "baseline": {
                **_errors(baseline_mse[i]),
                **scores(confusion_counts(true, baseline.answers[i], size)),
                "answer": question.answers[baseline.answers[i]].name,
            },
            "per_answer": {
                "rmse": np.sqrt(mse[answer[here]]),
                "intervals": {"rmse": intervals[answer[here]]},
                "baseline": {"rmse": np.sqrt(baseline_mse[answer[here]])},
            },
            "confusion": {
                walk: _confusion(true[reached[:, i]], guessed[reached[:, i]], size, baseline.reached_answers[i])
                for walk, reached in walks.items()
            },
            "sums": sums[i],
            "calibration": reliability(truth[:, here], predicted[:, here]),
        }
    total = {
        **_errors(mse[overall]),
        "intervals": {"rmse": intervals[overall]},
        "baseline": _errors(baseline_mse[overall]),
    }
    return plain({"n": len(truth), "overall": total, "outputs": outputs})


# -- classification ------------------------------------------------------------------------------


def scores(counts: NDArray[Any]) -> dict[str, Any]:
    """Accuracy, macro and weighted F1 of :func:`galaxycnn.confusion.class_scores`."""
    figures = class_scores(counts)
    means = {f"{mean}_f1": figures[mean]["f1"] for mean in ("macro", "weighted")}
    return {"accuracy": figures["accuracy"], **means}


def _confusion(true: Integers, predicted: Integers, size: int, majority: int) -> Results:
    counts = confusion_counts(true, predicted, size)
    majority_accuracy = scores(confusion_counts(true, np.full_like(true, majority), size))["accuracy"]
    return {"n": len(true), "counts": counts, **scores(counts), "baseline": {"accuracy": majority_accuracy}}


def _majority(answers: Integers, size: int) -> int:
    return int(np.bincount(answers, minlength=size).argmax())


# -- vote fractions ------------------------------------------------------------------------------


def reliability(truth: ArrayLike, predicted: ArrayLike, bins: int = 10) -> Results:
    """Whether a predicted fraction means what it says, for the answers of one question.

    Args:
        truth: fractions, shape (galaxies, answers).
        predicted: predicted fractions, the same shape; values outside 0..1 count in the end bins.
        bins: equal bins of the predicted fraction.

    Returns:
        ``edges`` (bins + 1) and, per answer and bin, the ``count`` of galaxies, the mean ``predicted`` and
        the mean ``true`` fraction (NaN in empty bins), each of shape (answers, bins); ``error``: the
        expected calibration error, the count-weighted mean of |mean true - mean predicted| over
        all bins of all answers (class-wise ECE: Kull et al. 2019, NeurIPS 32).
    """
    truth, predicted = np.asarray(truth, float), np.asarray(predicted, float)
    answers = predicted.shape[1]
    bin_of = np.clip((predicted * bins).astype(int), 0, bins - 1) + bins * np.arange(answers)

    def total(values: NDArray[Any] | None = None) -> NDArray[Any]:
        weights = None if values is None else values.ravel()
        return np.bincount(bin_of.ravel(), weights, minlength=answers * bins).reshape(answers, bins)

    count, of_predicted, of_true = total(), total(predicted), total(truth)
    with np.errstate(invalid="ignore"):
        return {
            "error": np.abs(of_true - of_predicted).sum() / count.sum(),
            "edges": np.linspace(0, 1, bins + 1),
            "count": count,
            "predicted": of_predicted / count,
            "true": of_true / count,
        }


def _squared_errors(tree: DecisionTree, truth: Floats, predicted: Floats) -> Floats:
    """Mean square error of each galaxy for each question, over all columns, and of each column."""
    squares = np.square(predicted - truth)
    questions = [squares[:, tree.slice(q)].mean(axis=1) for q in tree.questions]
    return np.column_stack([*questions, squares.mean(axis=1), squares])


def _errors(mse: float) -> dict[str, float]:
    return {"mse": mse, "rmse": np.sqrt(mse)}


def _sums(tree: DecisionTree, predicted: Floats) -> list[Results]:
    """How far each question's predicted answers are from their total, and answers above their parents."""
    deviations, totals = np.abs(tree.deviations(predicted)), tree.totals(predicted)
    found = []
    for i, question in enumerate(tree.questions):
        largest = predicted[:, tree.slice(question)].max(axis=1)
        gated = tree.gate(question) is not None
        exceeds = (largest > totals[:, i] + EXCESS).mean() if gated else np.nan
        found.append({"mean": deviations[:, i].mean(), "max": deviations[:, i].max(), "exceeds_parent": exceeds})
    return found


def missed_sums(results: Results) -> dict[str, Results]:
    """The ``sums`` of the questions whose answers miss their total, worst first.

    Example:
        >>> missed_sums({"outputs": {"Class1": {"sums": {"mean": 2e-8}}, "Class2": {"sums": {"mean": 0.0312}}}})
        {'Class2': {'mean': 0.0312}}
    """
    sums = {name: output["sums"] for name, output in results["outputs"].items()}
    missed = [name for name, figures in sums.items() if (figures["mean"] or 0) >= ROUNDING]
    return {name: sums[name] for name in sorted(missed, key=lambda name: -sums[name]["mean"])}


# -- 95 % intervals ------------------------------------------------------------------------------


def _score_intervals(counts: Integers, resamples: int, generator: np.random.Generator) -> dict[str, Floats]:
    """Resampling galaxies is drawing the cells of their confusion matrix from a multinomial."""
    n = counts.sum()
    drawn = generator.multinomial(n, counts.ravel() / n, size=resamples).reshape(-1, *counts.shape)
    resampled = scores(drawn)
    return {name: interval(resampled[name]) for name in ("accuracy", "macro_f1")}


# -- in and out ----------------------------------------------------------------------------------


def _fractions(tree: DecisionTree, values: ArrayLike, what: str) -> Floats:
    fractions = np.asarray(values, dtype=np.float64)
    columns = len(tree.columns)
    if fractions.ndim != 2 or fractions.shape[1] != columns:
        raise DataError(f"the {what} have shape {fractions.shape}, expected (galaxies, {columns}) for {tree.name}")
    if len(fractions) == 0:
        raise DataError(f"the {what} are empty: there are no galaxies to measure on")
    bad = ~np.isfinite(fractions)
    if bad.any():
        column = tree.columns[int(bad.any(axis=0).argmax())]
        rows = int(bad.any(axis=1).sum())
        raise DataError(f"the {what} of {rows} galaxies are not finite numbers, first in column {column!r}")
    return fractions
