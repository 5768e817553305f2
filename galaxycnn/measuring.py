"""All that is measured of the predictions for one part of the galaxies: vote fractions, classes and quantities."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from typing import Any

import numpy as np
from numpy.typing import NDArray

from galaxycnn.detection import choose_threshold, evaluate_classes
from galaxycnn.evaluation import Baseline, evaluate_fractions
from galaxycnn.quantities import REDSHIFT, Quantity, QuantityBaseline, evaluate_quantity
from galaxycnn.tree import DecisionTree, Floats
from galaxycnn.views import Seen

Results = dict[str, Any]

REDSHIFTS = ("redshift", "z", "z_spec", "zspec", "specz")
"""Columns of labels that are taken for redshifts, in small letters."""


@dataclass(frozen=True)
class Known:
    """What is known of some galaxies.

    Attributes:
        tree: the questions.
        fractions: the volunteers' answers, shape (galaxies, columns of ``tree``), NaN where unknown.
        quantities: by name, each of shape (galaxies,), NaN where unknown.
    """

    tree: DecisionTree
    fractions: Floats
    quantities: Mapping[str, Floats] = field(default_factory=dict)

    @property
    def answered(self) -> NDArray[np.bool_]:
        """The galaxies whose answers are all known, shape (galaxies,); none where there is no question."""
        if not self.tree.questions:
            return np.zeros(len(self.fractions), bool)
        return np.asarray(np.isfinite(self.fractions).all(axis=1))

    @property
    def are_classes(self) -> bool:
        """Whether every galaxy is wholly of one class: one question that all are asked, answered by 0 and 1."""
        fractions = self.fractions[self.answered]
        return len(self.tree.questions) == 1 and bool(len(fractions)) and bool(np.isin(fractions, (0, 1)).all())


@dataclass(frozen=True)
class NeverLooked:
    """What a model that never looks at the image predicts, learnt from the training part.

    Attributes:
        answers: None where there is no question.
        quantities: by name.
    """

    answers: Baseline | None
    quantities: Mapping[str, QuantityBaseline] = field(default_factory=dict)

    @classmethod
    def fit(cls, training: Known) -> NeverLooked:
        """Learn from what is known of the training part."""
        answered = training.answered
        answers = Baseline.fit(training.tree, training.fractions[answered]) if answered.any() else None
        return cls(answers, {name: QuantityBaseline.fit(values) for name, values in training.quantities.items()})

    def to_dict(self) -> dict[str, Any]:
        """Plain values, as saved with a model."""
        quantities = {name: baseline.to_dict() for name, baseline in self.quantities.items()}
        return {
            **(self.answers.to_dict() if self.answers else {}),
            **({"quantities": quantities} if quantities else {}),
        }

    @classmethod
    def from_dict(cls, values: Mapping[str, Any]) -> NeverLooked:
        """What :meth:`to_dict` described."""
        answers = {name: value for name, value in values.items() if name != "quantities"}
        quantities = values.get("quantities", {})
        return cls(
            Baseline.from_dict(answers) if answers else None,
            {name: QuantityBaseline.from_dict(value) for name, value in quantities.items()},
        )


def quantity_named(name: str, outlier_limit: float | None = None) -> Quantity:
    """How differences of the quantity of that name are counted: those of a redshift as of photometric ones.

    Args:
        name: a column of the labels.
        outlier_limit: differences beyond this are outliers; None: as usual for the quantity.

    Example:
        >>> quantity_named("redshift").relative, quantity_named("mass", 0.3).outlier_limit
        (True, 0.3)
    """
    quantity = replace(REDSHIFT, name=name) if name.lower() in REDSHIFTS else Quantity(name)
    return quantity if outlier_limit is None else replace(quantity, outlier_limit=outlier_limit)


def measure(
    known: Known,
    seen: Seen,
    baseline: NeverLooked,
    *,
    outlier_limit: float | None = None,
    threshold: float | None = None,
    seed: int = 0,
) -> Results:
    """Measure predictions of galaxies against what is known of them.

    Args:
        known: the truth.
        seen: the predictions, of the same galaxies in the same order.
        baseline: what a model that never looks would have said.
        outlier_limit: see :func:`quantity_named`.
        threshold: the second of two classes is chosen from this probability on; None: the more probable class is.
        seed: makes the intervals reproducible.

    Returns:
        Plain numbers: ``views``; where there are answers ``single_view_rmse`` and what
        :func:`~galaxycnn.evaluation.evaluate_fractions` returns, and if they are classes, under ``classes``, what
        :func:`~galaxycnn.detection.evaluate_classes` does; under ``quantities``, by name, what
        :func:`~galaxycnn.quantities.evaluate_quantity` does. What is not known of any galaxy is not measured.
    """
    results: Results = {"views": seen.views}
    answered = known.answered
    if answered.any() and baseline.answers is not None:
        truth, predicted = known.fractions[answered], seen.mean[answered]
        results |= seen.summary(known.fractions)
        results |= evaluate_fractions(known.tree, truth, predicted, baseline.answers, seed=seed)
        if known.are_classes:
            names = [answer.name for answer in known.tree.questions[0].answers]
            shares = baseline.answers.fractions
            chosen: Results = {"threshold": threshold, "training_shares": shares, "seed": seed}
            results["classes"] = evaluate_classes(truth, predicted, names, **chosen)
    quantities = {
        name: evaluate_quantity(
            values,
            seen.quantities[name],
            baseline=baseline.quantities[name],
            quantity=quantity_named(name, outlier_limit),
            seed=seed,
        )
        for name, values in known.quantities.items()
        if np.isfinite(values).any()
    }
    return {**results, **({"quantities": quantities} if quantities else {})}


def best_threshold(known: Known, seen: Seen) -> float | None:
    """From which probability of the second of two classes on it is best chosen: where F1 of the rarer one is largest.

    Args:
        known: of validation galaxies.
        seen: their predictions.

    Returns:
        None where the galaxies are not of two classes that both occur.
    """
    if not known.are_classes or len(known.tree.columns) != 2:
        return None
    truth, predicted = (fractions[known.answered] for fractions in (known.fractions, seen.mean))
    counts = truth.sum(axis=0)
    if not counts.all():
        return None
    rare = int(counts.argmin())
    threshold = choose_threshold(truth[:, rare], predicted[:, rare])
    return threshold if rare == 1 else 1 - threshold
