"""Kaggle's Galaxy Challenge: ``<GalaxyID>.jpg`` and a CSV of vote fractions ``Class1.1 … Class11.6``."""

from __future__ import annotations

from pathlib import Path

import numpy as np

from galaxycnn.data.catalogue import Catalogue, Problem, assemble
from galaxycnn.data.label_files import id_column, list_images, numbers, numeric_columns, read_table
from galaxycnn.errors import DataError, nearest
from galaxycnn.registry import LAYOUTS
from galaxycnn.tree import GALAXY_ZOO_2, DecisionTree

SUM_TOLERANCE = 0.05
"""How far the answers to a question may sum to something else than the tree says. The challenge's
own labels keep to 2e-6; fractions rounded to two decimals may be off by 0.04 for seven answers."""


@LAYOUTS.register("kaggle")
def read_kaggle(images: Path, labels: Path | None) -> Catalogue:
    """Read the challenge's layout; the CSV may hold all eleven questions or some whole ones.

    Fractions that are not numbers, lie outside 0…1 or do not sum to their parents' are problems.

    Raises:
        DataError: a column or the label file is missing.
    """
    if labels is None:
        raise DataError("the Kaggle layout needs its label file: give paths.labels_path (training_solutions_rev1.csv)")
    table = read_table(labels)
    tree = _tree_of(list(table.columns), labels)
    name_column = id_column(table, labels)
    names = table[name_column].tolist()
    fractions = numbers(table[list(tree.columns)])
    known = numeric_columns(table.drop(columns=[name_column, *tree.columns]))
    return assemble(tree, names, fractions, list_images(images), _invalid(tree, names, fractions), known)


def _tree_of(columns: list[str], labels: Path) -> DecisionTree:
    """The questions of which the label file has at least one answer; they must be whole."""
    present = set(columns)
    questions = [q for q in GALAXY_ZOO_2.questions if present & set(q.columns)]
    if not questions:
        raise DataError(f"{labels} has no column of Galaxy Zoo 2 (Class1.1 … Class11.6)")
    others = present - set(GALAXY_ZOO_2.columns)
    for question in questions:
        for column in question.columns:
            if column not in present:
                raise DataError(f"{labels} has no column {column!r}{nearest(column, others)}")
    return GALAXY_ZOO_2.subset([q.name for q in questions])


def _invalid(tree: DecisionTree, names: list[str], fractions: np.ndarray) -> list[Problem]:
    with np.errstate(invalid="ignore"):
        outside = ~((fractions >= 0) & (fractions <= 1)) & ~np.isnan(fractions).all(axis=1, keepdims=True)
        broken = np.abs(tree.deviations(fractions)) > SUM_TOLERANCE
    problems = []
    for row in np.flatnonzero(outside.any(axis=1) | broken.any(axis=1)):
        if outside[row].any():
            column = tree.columns[int(outside[row].argmax())]
            reason = f"its {column} is not a number between 0 and 1"
        else:
            question = tree.questions[int(broken[row].argmax())]
            reason = f"its answers to {question.name} do not sum to {' + '.join(question.parents) or 1}"
        problems.append(Problem("invalid", names[row], reason))
    return problems
