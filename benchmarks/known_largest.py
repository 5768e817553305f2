"""What a network says of galaxies once it is told which of all their vote fractions is the largest.

    python benchmarks/known_largest.py submission.csv hard_labels.csv -o told.csv
    python benchmarks/known_largest.py metrics_plots/NAME/predictions_test.csv training_solutions_rev1.csv

The second file names the largest column of each galaxy (``largest_of_37``), or holds the fractions themselves: then the
RMSE is printed before and after. Galaxies that have such a label only can so be named by a network for another one to
learn from (``paths.extra_labels_path``).

Within each question the network's shares are taken for the mean of a Dirichlet distribution of ``--precision``. Of
draws from it, multiplied down the tree, those are kept in which the known answer is the largest; their mean is written.
"""

from __future__ import annotations

import argparse
import sys
from pathlib import Path

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from galaxycnn.errors import DataError, UserError
from galaxycnn.files import atomic_path
from galaxycnn.tree import GALAXY_ZOO_2, DecisionTree

Floats = NDArray[np.float64]

LARGEST = "largest_of_37"
DRAWS = 3000
FEWEST = 30
"""Draws whose mean is taken at least: where fewer have the known answer as the largest, those that miss it least."""
NEVER = 1e-3
"""Shares are at least this, so that no answer is ruled out."""


def main() -> None:
    arguments = _arguments()
    predicted, known = _read(arguments.predicted), _read(arguments.known)
    absent = [name for name in predicted.index if name not in known.index]
    if absent:
        raise DataError(f"{arguments.known}: has no galaxy {absent[0]} of {arguments.predicted}")
    known = known.loc[predicted.index]
    fractions = predicted[list(GALAXY_ZOO_2.columns)].to_numpy(np.float64)
    largest, truth = largest_columns(known)
    told = tell(GALAXY_ZOO_2, fractions, largest, arguments.precision, np.random.default_rng(arguments.seed))
    agreed = np.mean(fractions.argmax(axis=1) == largest)
    print(f"{len(told):,} galaxies; the network's largest fraction was the known one for {agreed:.1%}")
    if truth is not None:
        print(f"RMSE {_rmse(fractions, truth):.4f}; of what is written {_rmse(told, truth):.4f}")
    if arguments.out:
        table = pd.DataFrame(told, index=predicted.index, columns=list(GALAXY_ZOO_2.columns))
        with atomic_path(arguments.out) as temporary:
            table.to_csv(temporary, index_label="GalaxyID", float_format="%.6f")
        print(f"written: {arguments.out}")


def _arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("predicted", type=Path, help="a submission, or a run's predictions")
    parser.add_argument("known", type=Path, help=f"ids, and {LARGEST} or all fractions")
    parser.add_argument("-o", "--out", type=Path, help="where to write the fractions, in the form of a submission")
    parser.add_argument("--precision", type=float, default=10, help="votes that a prediction is worth (default: 10)")
    parser.add_argument("--seed", type=int, default=48)
    return parser.parse_args()


def _read(path: Path) -> pd.DataFrame:
    table = pd.read_csv(path, dtype={0: str})
    return table.set_index(table.columns[0])


def largest_columns(known: pd.DataFrame) -> tuple[NDArray[np.intp], Floats | None]:
    """The position of each galaxy's largest column, and all its fractions where they are known."""
    columns = list(GALAXY_ZOO_2.columns)
    if LARGEST in known.columns:
        return np.array(GALAXY_ZOO_2.indices(known[LARGEST])), None
    if not set(columns) <= set(known.columns):
        raise DataError(f"the known labels have neither {LARGEST!r} nor all columns of the challenge")
    truth = known[columns].to_numpy(np.float64)
    return truth.argmax(axis=1), truth


def tell(
    tree: DecisionTree, fractions: Floats, largest: NDArray[np.intp], precision: float, rng: np.random.Generator
) -> Floats:
    """Fractions (galaxies, columns) given that the column at ``largest`` (galaxies,) has the largest."""
    shares = np.maximum(np.nan_to_num(tree.conditional(fractions)), NEVER)
    return np.stack([_told(tree, precision * own, column, rng) for own, column in zip(shares, largest, strict=True)])


def _told(tree: DecisionTree, concentrations: Floats, column: int, rng: np.random.Generator) -> Floats:
    drawn = np.maximum(rng.gamma(concentrations, size=(DRAWS, len(concentrations))), np.finfo(np.float64).tiny)
    for question in tree.questions:
        drawn[:, tree.slice(question)] /= drawn[:, tree.slice(question)].sum(axis=1, keepdims=True)
    drawn = tree.fractions(drawn)
    missing = drawn.max(axis=1) - drawn[:, column]
    return drawn[missing <= max(0, np.partition(missing, FEWEST - 1)[FEWEST - 1])].mean(axis=0)


def _rmse(predicted: Floats, truth: Floats) -> float:
    return float(np.sqrt(np.mean((predicted - truth) ** 2)))


if __name__ == "__main__":
    try:
        main()
    except UserError as error:
        sys.exit(str(error))
