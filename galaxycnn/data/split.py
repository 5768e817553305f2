"""Which galaxies train, validate and test: drawn once, saved as a list of ids, and read again."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pandas as pd
from numpy.typing import NDArray
from sklearn.model_selection import train_test_split

from galaxycnn.errors import DataError, nearest
from galaxycnn.files import atomic_path

PARTS = ("train", "validation", "test")


@dataclass(frozen=True)
class Split:
    """The ids of the three parts; no id is in two of them."""

    train: list[str]
    validation: list[str]
    test: list[str]

    def __iter__(self) -> Iterator[tuple[str, list[str]]]:
        """Each part's name and ids."""
        return ((part, getattr(self, part)) for part in PARTS)

    def save(self, path: str | Path) -> None:
        """Write a CSV with the columns ``id`` and ``part``.

        Example:
            >>> import tempfile
            >>> file = f"{tempfile.mkdtemp()}/split.csv"
            >>> split = Split(["1", "2"], ["3"], ["04"])
            >>> split.save(file)
            >>> Split.load(file) == split
            True
        """
        rows = [(name, part) for part, ids in self for name in ids]
        with atomic_path(path) as temporary:
            pd.DataFrame(rows, columns=["id", "part"]).to_csv(temporary, index=False)

    @classmethod
    def load(cls, path: str | Path) -> Split:
        """Read what :meth:`save` wrote.

        Raises:
            DataError: the file is missing or no list of ids and parts, or has an id twice.
        """
        try:
            table = pd.read_csv(path, dtype=str, keep_default_na=False)
        except FileNotFoundError:
            raise DataError(f"there is no split at {path}") from None
        except (pd.errors.ParserError, pd.errors.EmptyDataError, UnicodeDecodeError) as error:
            raise DataError(f"{path} cannot be read as a split: {error}") from error
        if list(table.columns) != ["id", "part"]:
            raise DataError(f"{path} is no split: its columns are {', '.join(table.columns)} instead of id, part")
        for line, part in enumerate(table["part"], start=2):
            if part not in PARTS:
                raise DataError(f"{path}, line {line}: there is no part {part!r}{nearest(part, PARTS)}")
        if table["id"].duplicated().any():
            raise DataError(f"{path} has {table['id'][table['id'].duplicated()].iloc[0]!r} twice")
        return cls(**{part: table["id"][table["part"] == part].tolist() for part in PARTS})

    def with_training(self, ids: Iterable[str]) -> Split:
        """The same split with more galaxies to train on, those that it has no part for."""
        known = {name for _, names in self for name in names}
        return Split([*self.train, *(str(name) for name in ids if name not in known)], self.validation, self.test)

    def rows(self, ids: NDArray[np.str_]) -> dict[str, NDArray[np.intp]]:
        """Where each part's galaxies stand among ``ids``.

        Raises:
            DataError: a galaxy of the split is not among them.
        """
        position = {str(name): row for row, name in enumerate(ids)}
        absent = [name for _, names in self for name in names if name not in position]
        if absent:
            raise DataError(
                f"the saved split does not fit these data: {len(absent)} of its galaxies are not there or left out "
                f"by data_preprocessing, {absent[0]} for one"
            )
        return {part: np.array([position[name] for name in names], dtype=np.intp) for part, names in self}


def make_split(
    ids: Sequence[str] | NDArray[np.str_],
    strata: NDArray[np.integer] | None,
    training_size: float,
    test_size: float,
    seed: int,
) -> Split:
    """Draw a split in two steps: ``training_size`` is the share that is left after validation, and
    ``test_size`` is the share of that which is cut out as the test set.

    The same ids give the same split in whichever order they come.

    Args:
        ids: names, each once.
        strata: a class per id; each part gets each class in the same proportion. Classes that are
            too rare to be shared out are pooled with the next rarer ones. None: at random.
        training_size: above 0, up to 1, which leaves no validation part.
        test_size: above 0, below 1.
        seed: makes the draw repeatable.

    Raises:
        DataError: there are too few galaxies for three parts.

    Example:
        >>> split = make_split([f"{i}" for i in range(100)], None, training_size=0.8, test_size=0.2, seed=48)
        >>> {part: len(ids) for part, ids in split}
        {'train': 64, 'validation': 20, 'test': 16}
    """
    order = np.argsort(np.asarray(ids, dtype=np.str_))
    sorted_ids = np.asarray(ids, dtype=np.str_)[order]
    classes = np.zeros(len(order), np.intp) if strata is None else np.asarray(strata)[order]
    validation = round(len(order) * (1 - training_size))
    test = round((len(order) - validation) * test_size)
    sizes = {"train": len(order) - validation - test, "validation": validation, "test": test}
    for part, size in sizes.items():
        if size < 1 and not (part == "validation" and training_size == 1):
            raise DataError(
                f"{len(order)} galaxies with data_preprocessing.training_size {training_size:g} and "
                f"test_size {test_size:g} leave none for {part}"
            )
    rest, validation_rows = _cut(np.arange(len(order)), classes, validation, seed)
    train_rows, test_rows = _cut(rest, classes, test, seed)
    return Split(*(sorted_ids[rows].tolist() for rows in (train_rows, validation_rows, test_rows)))


def _cut(
    rows: NDArray[np.intp], classes: NDArray[np.integer], size: int, seed: int
) -> tuple[NDArray[np.intp], NDArray[np.intp]]:
    """Cut ``size`` rows out of ``rows``: what remains and what was cut out, each ascending."""
    if size == 0:
        return rows, rows[:0]
    pooled = _pool(classes[rows], most=min(size, len(rows) - size))
    kept, cut = train_test_split(rows, test_size=size, random_state=seed, stratify=pooled)
    return np.sort(kept), np.sort(cut)


def _pool(classes: NDArray[np.integer], most: int) -> NDArray[np.integer]:
    """Join the two rarest classes until each has two members and there are at most ``most``."""
    pooled = classes.copy()
    while True:
        names, counts = np.unique(pooled, return_counts=True)
        if len(names) == 1 or (counts.min() >= 2 and len(names) <= most):
            return pooled
        rarest, next_rarest = names[np.argsort(counts, kind="stable")[:2]]
        pooled[pooled == rarest] = next_rarest
