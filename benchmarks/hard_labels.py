"""What a network says of galaxies once it is told their hard labels.

    python benchmarks/hard_labels.py submission.csv labels.csv -o told.csv
    python benchmarks/hard_labels.py metrics_plots/NAME/predictions_test.csv training_solutions_rev1.csv

The second file has, for each galaxy, the column with the largest of all fractions (``largest_of_37``) and the class
whose thresholds its fractions pass (``clean_class``: one of round, in_between, cigar, edge_on and spiral; empty where
they pass none). Galaxies that have only such labels can so be given fractions, for a network to learn from
(``paths.extra_labels_path``). Or it holds the fractions themselves, from which the hard labels are then taken: the
RMSE is printed before and after.

Within each question the network's shares are taken for the mean of a Dirichlet distribution of ``--precision``. Of
draws from it, multiplied down the tree, those are kept for which the labels hold; their mean is written.
"""

from __future__ import annotations

import argparse
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pandas as pd
from command import start
from numpy.typing import NDArray

from galaxycnn.data.label_files import numbers, read_table
from galaxycnn.errors import DataError, nearest
from galaxycnn.files import atomic_path
from galaxycnn.tree import GALAXY_ZOO_2 as TREE

Floats = NDArray[np.floating]
Ints = NDArray[np.integer]

LARGEST, CLASS = "largest_of_37", "clean_class"
HARD = {LARGEST, CLASS}
CLEAN = {
    "round": {"Class1.1": 0.469, "Class7.1": 0.5},
    "in_between": {"Class1.1": 0.469, "Class7.2": 0.5},
    "cigar": {"Class1.1": 0.469, "Class7.3": 0.5},
    "edge_on": {"Class1.2": 0.430, "Class2.1": 0.602},
    "spiral": {"Class1.2": 0.430, "Class2.2": 0.715, "Class4.1": 0.619},
}
"""The least fractions of each class: Zhu et al. (2019, Ap&SS 364, 55), after Willett et al. (2013, MNRAS 435, 2835)."""
DRAWS = 3000
FEWEST = 30
"""Draws whose mean is taken at least: where the labels hold for fewer, those that miss them least."""
NEVER = 1e-3
"""Shares are at least this, so that no answer is ruled out."""


def main() -> None:
    arguments = _arguments()
    predicted, known = _read(arguments.predicted), _read(arguments.known)
    absent = [name for name in predicted.index if name not in known.index]
    if absent:
        raise DataError(f"{arguments.known}: has no galaxy {absent[0]} of {arguments.predicted}")
    known = known.loc[predicted.index]
    fractions = _fractions(predicted, arguments.predicted)
    instead = f", and not {LARGEST} and {CLASS}"
    truth = None if set(known.columns) >= HARD else _fractions(known, arguments.known, instead)
    labels = HardLabels.read(known, arguments.known) if truth is None else HardLabels.of(truth)
    told = tell(fractions, labels, arguments.precision, np.random.default_rng(arguments.seed))
    own = HardLabels.of(fractions)
    largest, clean = (np.mean(getattr(own, name) == getattr(labels, name)) for name in ("largest", "clean"))
    print(f"{len(told):,} galaxies; the network knew the largest fraction of {largest:.1%}, the class of {clean:.1%}")
    if truth is not None:
        print(f"RMSE {_rmse(fractions, truth):.4f}; once it is told {_rmse(told, truth):.4f}")
    if arguments.out:
        table = pd.DataFrame(told, index=predicted.index, columns=list(TREE.columns))
        with atomic_path(arguments.out) as temporary:
            table.to_csv(temporary, index_label="GalaxyID", float_format="%.6f")
        print(f"written: {arguments.out}")


def _arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("predicted", type=Path, help="a submission, or a run's predictions")
    parser.add_argument("known", type=Path, help=f"ids, and {LARGEST} and {CLASS}, or all fractions")
    parser.add_argument("-o", "--out", type=Path, help="where to write the fractions, in the form of a submission")
    parser.add_argument("--precision", type=float, default=10, help="votes that a prediction is worth (default: 10)")
    parser.add_argument("--seed", type=int, default=48)
    return parser.parse_args()


def _read(path: Path) -> pd.DataFrame:
    table = read_table(path)
    return table.set_index(table.columns[0])


def _fractions(table: pd.DataFrame, path: Path, instead: str = "") -> Floats:
    absent = [column for column in TREE.columns if column not in table]
    if absent:
        raise DataError(f"{path}: has no column {absent[0]}{instead}")
    fractions = numbers(table[list(TREE.columns)]).astype(np.float64)
    wrong = ~((fractions >= 0) & (fractions <= 1))
    if wrong.any():
        row, column = np.argwhere(wrong)[0]
        raise DataError(f"{path}: {TREE.columns[column]} of galaxy {table.index[row]} is no fraction in 0…1")
    return fractions


@dataclass(frozen=True)
class HardLabels:
    """What is known of some galaxies.

    Attributes:
        largest: the position of the largest column, shape (galaxies,).
        clean: the position of the class in ``CLEAN``, -1 for none, shape (galaxies,).
    """

    largest: Ints
    clean: Ints

    @classmethod
    def read(cls, known: pd.DataFrame, path: Path) -> HardLabels:
        """From a table of text that has them."""
        columns = {name: number for number, name in enumerate(TREE.columns)}
        classes = {"": -1, **{name: number for number, name in enumerate(CLEAN)}}
        return cls(_numbered(known[LARGEST], columns, path), _numbered(known[CLASS], classes, path))

    @classmethod
    def of(cls, fractions: Floats) -> HardLabels:
        """From fractions, shape (galaxies, columns)."""
        passed = _short_of_classes(fractions) <= 0
        return cls(fractions.argmax(axis=1), np.where(passed.any(axis=1), passed.argmax(axis=1), -1))


def _numbered(names: pd.Series, choices: dict[str, int], path: Path) -> Ints:
    unknown = names[~names.isin(choices)]
    if len(unknown):
        hint = nearest(unknown.iloc[0], filter(None, choices))
        raise DataError(f"{path}: {names.name} of galaxy {unknown.index[0]} is {unknown.iloc[0]!r}{hint}")
    return names.map(choices).to_numpy(np.intp)


def _short_of_classes(fractions: Floats) -> Floats:
    """How far fractions are below the thresholds of each class, at most 0 where they pass: (galaxies, classes)."""
    return np.stack(
        [np.max(list(least.values()) - fractions[:, TREE.indices(least)], axis=1) for least in CLEAN.values()], axis=1
    )


def tell(fractions: Floats, labels: HardLabels, precision: float, rng: np.random.Generator) -> Floats:
    """Fractions (galaxies, columns) given that the labels hold."""
    shares = np.maximum(np.nan_to_num(TREE.conditional(fractions)), NEVER)
    told = []
    for own, largest, clean in zip(shares, labels.largest, labels.clean, strict=True):
        drawn = _drawn(precision * own, rng)
        missed = drawn.max(axis=1) - drawn[:, largest] + _misses_class(drawn, clean)
        told.append(drawn[missed <= np.partition(missed, FEWEST)[FEWEST]].mean(axis=0))
    return np.stack(told)


def _drawn(concentrations: Floats, rng: np.random.Generator) -> Floats:
    drawn = np.maximum(rng.gamma(concentrations, size=(DRAWS, len(concentrations))), np.finfo(np.float64).tiny)
    for question in TREE.questions:
        drawn[:, TREE.slice(question)] /= drawn[:, TREE.slice(question)].sum(axis=1, keepdims=True)
    return TREE.fractions(drawn)


def _misses_class(drawn: Floats, clean: int) -> Floats:
    """How far each draw is from its class, or inside another's where it is to pass none."""
    short = _short_of_classes(drawn)
    return np.maximum(short[:, clean] if clean >= 0 else -short.min(axis=1), 0)


def _rmse(predicted: Floats, truth: Floats) -> float:
    return float(np.sqrt(np.mean((predicted - truth) ** 2)))


if __name__ == "__main__":
    start(main)
