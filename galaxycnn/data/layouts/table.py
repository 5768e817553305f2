"""Any CSV with a column that names the image and columns that hold its labels."""

from __future__ import annotations

import re
from pathlib import Path

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from galaxycnn.data.catalogue import Catalogue, Problem, assemble
from galaxycnn.data.label_files import id_column, list_images, numbers, numeric_columns, read_table
from galaxycnn.errors import DataError
from galaxycnn.registry import LAYOUTS
from galaxycnn.tree import DecisionTree

LABEL_WORDS = {"label", "labels", "class", "classes", "type", "morphology", "category", "target", "answer"}
"""A column is taken for classes if a word of its name is one of these (``clean_class``, ``galaxyType``)."""

MAX_CLASSES = 100
"""A column with more different texts than this holds something else than classes."""


@LAYOUTS.register("table")
def read_table_layout(images: Path, labels: Path | None) -> Catalogue:
    """Read a CSV with one row per image.

    The image column is found by its name (:data:`~galaxycnn.data.label_files.ID_COLUMNS`). Labels are

    1. *vote fractions*, if there are columns of numbers in 0…1 named ``Question.answer``: one
       question per part before the dot, in the order of the file; or else
    2. *classes*: every column of text or whole numbers that has one of :data:`LABEL_WORDS` in its
       name: one question each, its classes sorted.

    Every other column of numbers (coordinates, redshifts) is kept as such, and may be all that there is. Empty cells
    are unlabelled.

    Raises:
        DataError: the label file is missing, or has neither labels nor numbers.
    """
    if labels is None:
        raise DataError("the table layout needs a label file: give paths.labels_path")
    table = read_table(labels)
    name_column = id_column(table, labels)
    names = table[name_column].tolist()
    others = table.drop(columns=name_column)
    votes = _vote_columns(others)
    invalid: list[Problem] = []
    if votes:
        tree = DecisionTree.from_classes(votes, name=labels.stem)
        fractions = numbers(others[list(tree.columns)])
        invalid = _outside(names, tree, fractions)
        known = numeric_columns(others.drop(columns=list(tree.columns)))
    else:
        tree, fractions = _one_hot(others, labels)
        known = numeric_columns(others.drop(columns=[question.name for question in tree.questions]))
    if not tree.columns and known.empty:
        raise DataError(
            f"{labels} has no label column: name one of its columns ({', '.join(others.columns) or 'there are none'}) "
            "'label' if it holds classes, or 'Question.answer' if it holds vote fractions between 0 and 1"
        )
    return assemble(tree, names, fractions, list_images(images), invalid, known)


# -- vote fractions ------------------------------------------------------------------------------


def _vote_columns(table: pd.DataFrame) -> dict[str, list[str]]:
    """Questions and their answers, from columns named ``Question.answer`` that hold numbers."""
    questions: dict[str, list[str]] = {}
    for column in table.columns:
        question, dot, answer = column.partition(".")
        if question and dot and answer and np.nanmedian(_values(table[column])) <= 1:
            questions.setdefault(question, []).append(answer)
    return {question: answers for question, answers in questions.items() if len(answers) > 1}


def _values(column: pd.Series) -> NDArray[np.float64]:
    """A column of text as numbers; infinity, which is no fraction, where a cell is none."""
    values = pd.to_numeric(column.where(column != "", "nan"), errors="coerce")
    return np.where(np.isnan(values) & (column != ""), np.inf, values)


def _outside(names: list[str], tree: DecisionTree, fractions: NDArray[np.float32]) -> list[Problem]:
    wrong = (fractions < 0) | (fractions > 1)
    return [
        Problem("invalid", names[row], f"its {tree.columns[int(wrong[row].argmax())]} is not between 0 and 1")
        for row in np.flatnonzero(wrong.any(axis=1))
    ]


# -- classes -------------------------------------------------------------------------------------


def _one_hot(table: pd.DataFrame, labels: Path) -> tuple[DecisionTree, NDArray[np.float32]]:
    classes = {column: _classes(table[column]) for column in table.columns if _is_label(column)}
    classes = {column: names for column, names in classes.items() if 2 <= len(names) <= MAX_CLASSES}
    tree = DecisionTree.from_classes(classes, name=labels.stem if classes else labels.name)
    parts = [np.empty((len(table), 0), np.float32)]
    for column, names in classes.items():
        codes = pd.Index(names).get_indexer(pd.Index(table[column].map(_plain)))
        one_hot = np.eye(len(names), dtype=np.float32)[codes]
        one_hot[codes < 0] = np.nan
        parts.append(one_hot)
    return tree, np.concatenate(parts, axis=1)


def _is_label(column: str) -> bool:
    words = re.sub(r"(?<=[a-z])(?=[A-Z])", " ", column)
    return bool(LABEL_WORDS & set(re.findall(r"[a-z]+", words.lower())))


def _classes(column: pd.Series) -> list[str]:
    """The classes in a column, numbers in numeric order; none if it holds numbers that are not whole."""
    names = {_plain(value) for value in column.unique()} - {""}
    if all(re.fullmatch(r"-?\d+", name) for name in names):
        return sorted(names, key=int)
    if all(re.fullmatch(r"[-+\d.eE]+", name) for name in names):
        return []
    return sorted(names)


def _plain(value: str) -> str:
    """``"3.0"``, as tables with gaps write whole numbers, is ``"3"``."""
    return value[:-2] if re.fullmatch(r"-?\d+\.0", value) else value
