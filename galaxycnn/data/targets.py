"""What a network is to learn: the chosen questions, of the galaxies whose labels are clear enough."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from galaxycnn.config.schema import DataPreprocessing
from galaxycnn.data.catalogue import Catalogue, Problem
from galaxycnn.errors import DataError
from galaxycnn.tree import DecisionTree


@dataclass(frozen=True)
class Targets:
    """Labels of the chosen questions for the chosen galaxies.

    Args:
        tree: the questions to learn.
        rows: positions in the catalogue, ascending, shape (galaxies,).
        fractions: float32 vote fractions, or zeros and ones, shape (galaxies, columns of ``tree``).
        problems: galaxies that lack an answer to a chosen question.
    """

    tree: DecisionTree
    rows: NDArray[np.intp]
    fractions: NDArray[np.float32]
    problems: list[Problem]


def make_targets(catalogue: Catalogue, preprocessing: DataPreprocessing) -> Targets:
    """Pick the questions, drop unclear galaxies, and make one-hot labels if asked for.

    Kept are galaxies whose largest vote fraction among the chosen questions is at least
    ``preprocessing.min``. One-hot labels follow the most likely walk down the catalogue's tree: a
    question off that walk is all zeros, and a galaxy with no chosen question on it is dropped.

    Raises:
        UserError: the labels do not answer a chosen question.
        DataError: no galaxy is left.
    """
    tree = preprocessing.target_tree(catalogue.tree)
    columns = catalogue.tree.indices(tree.columns)
    fractions = catalogue.fractions[:, columns]
    unanswered = np.isnan(fractions).any(axis=1)
    problems = [
        Problem("unlabelled", str(name), "not all questions are answered") for name in catalogue.ids[unanswered]
    ]
    clear = ~unanswered
    if preprocessing.min is not None:
        clear &= np.nan_to_num(fractions).max(axis=1) >= preprocessing.min
    if preprocessing.one_hot_labels:
        fractions = catalogue.tree.one_hot(catalogue.fractions)[:, columns]
        clear &= fractions.any(axis=1)
    rows = np.flatnonzero(clear)
    if not len(rows):
        raise DataError(_why_none(fractions[~unanswered], preprocessing, [q.name for q in tree.questions]))
    return Targets(tree, rows, fractions[rows], problems)


def _why_none(answered: NDArray[np.float32], preprocessing: DataPreprocessing, questions: list[str]) -> str:
    if not len(answered):
        return f"no galaxy has an answer to all of {', '.join(questions)}"
    return (
        f"no galaxy has a vote fraction of {preprocessing.min} or more in {', '.join(questions)}; "
        "choose a smaller data_preprocessing.min"
    )
