"""What a network is to learn: the chosen questions and quantities, of the galaxies whose labels are clear enough."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from galaxycnn.config.schema import DataPreprocessing
from galaxycnn.data.catalogue import Catalogue, Problem
from galaxycnn.data.classes import regroup
from galaxycnn.data.sampling import strata
from galaxycnn.errors import DataError
from galaxycnn.tree import DecisionTree


@dataclass(frozen=True)
class Targets:
    """Labels of the chosen questions and quantities for the chosen galaxies.

    Args:
        tree: the questions to learn.
        rows: positions in the catalogue, ascending, shape (galaxies,).
        fractions: float32 vote fractions, or zeros and ones, shape (galaxies, columns of ``tree``).
        problems: galaxies that lack an answer, a quantity or an input.
        quantities: float32 numbers to learn, shape (galaxies, quantities).
        inputs: float32 numbers that the network is given, shape (galaxies, inputs).

    Answers and quantities that are not known are NaN; there are none where ``missing`` is ``drop``.
    """

    tree: DecisionTree
    rows: NDArray[np.intp]
    fractions: NDArray[np.float32]
    problems: list[Problem]
    quantities: NDArray[np.float32]
    inputs: NDArray[np.float32]

    @property
    def strata(self) -> NDArray[np.intp]:
        """What the parts of a split shall hold in the same proportions, shape (galaxies,)."""
        return strata(self.tree, self.fractions, self.quantities)


def make_targets(catalogue: Catalogue, preprocessing: DataPreprocessing) -> Targets:
    """Pick the questions, group their answers, drop unclear galaxies, and make one-hot labels if asked for.

    Kept are galaxies whose largest vote fraction among the chosen questions is at least
    ``preprocessing.min``. One-hot labels follow the most likely walk down the catalogue's tree: a
    question off that walk is all zeros, and a galaxy with no chosen question on it is dropped.
    Galaxies that lack something become problems, but with ``missing: mask`` only where nothing to learn
    is known of them, or an input is not.

    Raises:
        UserError: the labels do not answer a chosen question, or have no such class or quantity.
        DataError: no galaxy is left.
    """
    quantities, inputs = catalogue.known(preprocessing.quantities), catalogue.known(preprocessing.inputs)
    tree = preprocessing.target_tree(catalogue.tree)
    columns = catalogue.tree.indices(tree.columns)
    fractions = catalogue.fractions[:, columns]
    problems = _problems(catalogue.ids, preprocessing, fractions, quantities, inputs)
    usable = np.ones(len(catalogue), dtype=bool)
    usable[list(problems)] = False
    clear, unanswered = usable, np.isnan(fractions).any(axis=1)
    if preprocessing.classes is not None:
        tree, fractions, chosen = regroup(tree, fractions, preprocessing.classes)
        clear = clear & chosen
    if preprocessing.min is not None and tree.columns:
        clear = clear & (unanswered | (np.nan_to_num(fractions).max(axis=1) >= preprocessing.min))
    if preprocessing.one_hot_labels:
        grouped = preprocessing.classes is not None
        hot = tree.one_hot(fractions) if grouped else catalogue.tree.one_hot(catalogue.fractions)[:, columns]
        clear = clear & (unanswered | hot.any(axis=1))
        fractions = np.where(np.isnan(fractions), np.float32(np.nan), hot)
    rows = np.flatnonzero(clear)
    if not len(rows):
        raise DataError(_why_none(bool(usable.any()), preprocessing, [q.name for q in tree.questions]))
    known = (numbers[rows].astype(np.float32) for numbers in (quantities, inputs))
    return Targets(tree, rows, fractions[rows], [problems[row] for row in sorted(problems)], *known)


def _problems(
    ids: NDArray[np.str_],
    preprocessing: DataPreprocessing,
    fractions: NDArray[np.float32],
    quantities: NDArray[np.float64],
    inputs: NDArray[np.float64],
) -> dict[int, Problem]:
    """The galaxies that lack something, by row."""
    unanswered, unknown = np.isnan(fractions), np.isnan(quantities)
    lacking = _not_known(preprocessing.inputs, inputs)
    if preprocessing.missing == "mask":
        nothing = np.hstack([unanswered, unknown]).all(axis=1)
        lacking.append((np.flatnonzero(nothing), "nothing that is learnt is known of it"))
    else:
        lacking.append((np.flatnonzero(unanswered.any(axis=1)), "not all questions are answered"))
        lacking += _not_known(preprocessing.quantities, quantities)
    problems: dict[int, Problem] = {}
    for rows, reason in lacking:
        for row in rows.tolist():
            problems.setdefault(row, Problem("unlabelled", str(ids[row]), reason))
    return problems


def _not_known(names: Sequence[str], numbers: NDArray[np.float64]) -> list[tuple[NDArray[np.intp], str]]:
    unknown = (np.flatnonzero(np.isnan(column)) for column in numbers.T)
    return [(rows, f"its {name} is not known") for name, rows in zip(names, unknown, strict=True)]


def _why_none(any_usable: bool, preprocessing: DataPreprocessing, questions: list[str]) -> str:
    wanted = ", ".join([*questions, *preprocessing.quantities, *preprocessing.inputs])
    if not any_usable:
        return f"no galaxy has {'a value' if preprocessing.quantities else 'an answer'} to all of {wanted}"
    if preprocessing.min is None:
        return f"no galaxy is of the classes of {', '.join(preprocessing.classes or questions)}"
    return (
        f"no galaxy has a vote fraction of {preprocessing.min} or more in {', '.join(questions)}; "
        "choose a smaller data_preprocessing.min"
    )
