"""Which galaxies there are: names, pictures, vote fractions, other numbers, and what is wrong with the rest.

A layout (:mod:`galaxycnn.data.layouts`) turns a folder of images and a label file into a
:class:`Catalogue`; nothing is decoded here.
"""

from __future__ import annotations

import os
import re
from collections import Counter
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Literal

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from galaxycnn.config.schema import Paths
from galaxycnn.data.pictures import HDF5_ENDINGS, Picture, is_hdf5
from galaxycnn.errors import DataError, nearest
from galaxycnn.registry import LAYOUTS
from galaxycnn.tree import GALAXY_ZOO_2, DecisionTree

IMAGE_ENDINGS = (".jpg", ".jpeg", ".png", ".tif", ".tiff", ".bmp", ".webp")
"""Endings of image files, in the order in which they are tried for a name without one."""

ID_COLUMNS = (
    *("file", "filename", "imagefile", "imagepath", "imagename", "path", "image"),
    *("galaxyid", "imageid", "objid", "dr7objid", "dr8objid", "iauname", "id", "name"),
)
"""Names of the label column that says which image a row is about, best first, compared without
case, spaces, dashes and underscores (``Image_Path`` counts, too)."""

Kind = Literal["missing", "unlabelled", "invalid", "corrupt", "blank", "small", "duplicate", "conflicting"]


@dataclass(frozen=True)
class Problem:
    """A galaxy that cannot be used.

    Kinds: ``missing`` (a label without an image file), ``unlabelled`` (an image without a label, or
    without one for the questions and quantities asked for), ``invalid`` (vote fractions that cannot be), ``corrupt``
    (a file that is no readable image), ``blank`` (a picture of nothing), ``small`` (an image smaller
    than the crop), ``duplicate`` (the same image and labels as another galaxy, which is kept) and
    ``conflicting`` (the same image or id as another galaxy, but other labels: neither is kept).
    """

    kind: Kind
    name: str
    reason: str


@dataclass(frozen=True)
class Catalogue:
    """The galaxies of a folder or file: one row per picture that has labels.

    Args:
        tree: the questions that the labels answer; none where there are numbers only.
        ids: names, shape (galaxies,), each once.
        pictures: image files or stored images, in the order of ``ids``.
        fractions: float32 vote fractions 0…1, shape (galaxies, columns), in the order of
            ``tree.columns``; NaN where a galaxy has no answer to a question.
        problems: the galaxies that were left out.
        extra: how many of the galaxies, the last ones, are for training only.
        numbers: what else is known, such as ``redshift``, ``ra`` and ``dec``: one row per galaxy, one column of
            float64 per quantity; NaN where it is not known. None stands for no columns.
    """

    tree: DecisionTree
    ids: NDArray[np.str_]
    pictures: list[Picture]
    fractions: NDArray[np.float32]
    problems: list[Problem] = field(default_factory=list)
    extra: int = 0
    numbers: pd.DataFrame = None  # type: ignore[assignment]

    def __post_init__(self) -> None:
        if self.numbers is None:
            object.__setattr__(self, "numbers", pd.DataFrame(index=range(len(self.pictures))))

    def __len__(self) -> int:
        return len(self.pictures)

    def joined(self, other: Catalogue) -> Catalogue:
        """These galaxies and then those of ``other`` as extra ones.

        Raises:
            DataError: the two answer other questions, or share a name.
        """
        if other.tree.columns != self.tree.columns:
            raise DataError(
                f"paths.extra_labels_path: its labels are of {', '.join(q.name for q in other.tree.questions)}, but the"
                f" others of {', '.join(q.name for q in self.tree.questions)}"
            )
        shared = np.intersect1d(self.ids, other.ids)
        if len(shared):
            raise DataError(
                f"paths.extra_images_path: {len(shared)} of the galaxies are among the others, {shared[0]} for one"
            )
        return Catalogue(
            self.tree,
            np.concatenate([self.ids, other.ids]),
            [*self.pictures, *other.pictures],
            np.concatenate([self.fractions, other.fractions]),
            [*self.problems, *other.problems],
            len(other),
            pd.concat([self.numbers, other.numbers], ignore_index=True),
        )

    def only(self, rows: NDArray[np.intp]) -> Catalogue:
        """The galaxies at these rows, none of them extra, with no problems."""
        pictures, known = [self.pictures[row] for row in rows], self.numbers.iloc[rows].reset_index(drop=True)
        return Catalogue(self.tree, self.ids[rows], pictures, self.fractions[rows], numbers=known)

    def known(self, names: Sequence[str]) -> NDArray[np.float64]:
        """The numbers of these names, shape (galaxies, names); NaN where one is not known.

        Raises:
            DataError: the labels have no such column of numbers.
        """
        for name in names:
            if name not in self.numbers:
                raise DataError(f"the labels have no column of numbers {name!r}{nearest(name, map(str, self.numbers))}")
        return self.numbers[list(names)].to_numpy(np.float64)

    def labelled(self, quantities: Sequence[str]) -> Catalogue:
        """The galaxies that have an answer to a question, or one of the quantities; the others become problems.

        Raises:
            DataError: the labels answer no question, and no quantity is asked for.
        """
        if not self.tree.columns and not quantities:
            raise DataError(
                f"{self.tree.name} has no label column: name one of its columns ({', '.join(self.numbers.columns)})"
                " 'label' if it holds classes, or 'Question.answer' if it holds vote fractions between 0 and 1, or"
                " learn the numbers as they are: data_preprocessing.quantities"
            )
        known = self.numbers.reindex(columns=list(quantities)).notna().to_numpy()
        has_labels = known.any(axis=1) | ~np.isnan(self.fractions).all(axis=1)
        if has_labels.all():
            return self
        kept = self.only(np.flatnonzero(has_labels))
        lost = (Problem("unlabelled", str(name), "its labels are empty") for name in self.ids[~has_labels])
        return replace(kept, problems=[*self.problems, *lost])


def read_catalogue(paths: Paths, layout: str = "auto", quantities: Sequence[str] = ()) -> Catalogue:
    """Read images and labels with the named layout.

    ``auto`` takes ``galaxy10`` where ``images_path`` is an HDF5 file, ``folders`` where there is no label file,
    ``kaggle`` where the label file has a column of Galaxy Zoo 2 (``Class1.1``), and ``table`` otherwise.

    The galaxies of ``paths.extra_images_path`` come last.

    Args:
        quantities: numbers that count as labels: a galaxy that has one of them needs no classes.

    Raises:
        DataError: a file or folder is missing, or no galaxy has both an image and labels.
    """
    if paths.extra_images_path is not None:
        extra = Paths(images_path=paths.extra_images_path, labels_path=paths.extra_labels_path)
        alone = paths.model_copy(update={"extra_images_path": None})
        return read_catalogue(alone, layout, quantities).joined(read_catalogue(extra, layout, quantities))
    _refuse_absent(paths)
    name = _guess_layout(paths) if layout == "auto" else layout
    found: Catalogue = LAYOUTS[name](paths.images_path, paths.labels_path)
    catalogue = found.labelled(quantities)
    if not len(catalogue):
        kinds = Counter(problem.kind for problem in catalogue.problems)
        counts = ", ".join(f"{count} {kind}" for kind, count in kinds.items())
        first = catalogue.problems[0]
        raise DataError(
            f"no galaxy in {paths.images_path} has both an image and usable labels ({counts}; "
            f"the first is {first.name}: {first.reason})"
        )
    return catalogue


def _refuse_absent(paths: Paths) -> None:
    images, labels = paths.images_path, paths.labels_path
    if images.is_file() and not is_hdf5(images):
        raise DataError(
            f"paths.images_path: {images} is a file; name a folder of images, or a file in Galaxy10's layout"
            f" ({' or '.join(HDF5_ENDINGS)})"
        )
    if not images.exists():
        raise DataError(
            f"paths.images_path: there is no {'file' if images.suffix in HDF5_ENDINGS else 'folder of images'} at"
            f" {images}; name yours (--set paths.images_path=DIR), or fetch Galaxy Zoo's with 'galaxycnn data download"
            " kaggle'"
        )
    if labels is not None and not labels.is_file():
        raise DataError(f"there is no label file at {labels} (paths.labels_path)")


def _guess_layout(paths: Paths) -> str:
    if is_hdf5(paths.images_path):
        return "galaxy10"
    if paths.labels_path is None:
        return "folders"
    return "kaggle" if set(read_table(paths.labels_path, rows=0).columns) & set(GALAXY_ZOO_2.columns) else "table"


# -- what layouts share --------------------------------------------------------------------------


def list_images(folder: Path) -> dict[str, Path]:
    """Image files below ``folder`` by their relative name, sorted: ``{"spiral/7.jpg": Path(…)}``.

    Raises:
        DataError: there are none.
    """
    found: dict[str, Path] = {}
    for parent, _, names in os.walk(folder):
        prefix = Path(parent).relative_to(folder).as_posix() + "/" if Path(parent) != folder else ""
        for name in names:
            if not name.startswith(".") and name.lower().endswith(IMAGE_ENDINGS):
                found[prefix + name] = Path(parent, name)
    if not found:
        raise DataError(f"there are no images ({' '.join(IMAGE_ENDINGS)}) in {folder}")
    return dict(sorted(found.items()))


def read_table(labels: Path, rows: int | None = None) -> pd.DataFrame:
    """A label file as a table of stripped text, ``""`` for what is not there.

    Raises:
        DataError: the file is no CSV.
    """
    try:
        table = pd.read_csv(labels, dtype=str, keep_default_na=False, nrows=rows, encoding="utf-8-sig")
    except (pd.errors.ParserError, pd.errors.EmptyDataError, UnicodeDecodeError) as error:
        raise DataError(f"{labels} cannot be read as a CSV table: {error}") from error
    table.columns = table.columns.str.strip()
    return table.apply(lambda column: column.fillna("").str.strip())


def id_column(table: pd.DataFrame, labels: Path) -> str:
    """The column that says which image a row is about (see :data:`ID_COLUMNS`).

    Raises:
        DataError: there is none.
    """
    plain = {re.sub(r"[ _-]", "", column.lower()): column for column in reversed(table.columns)}
    for name in ID_COLUMNS:
        if name in plain:
            return plain[name]
    raise DataError(
        f"{labels} has no column that says which image a row is about: "
        f"name one of its columns ({', '.join(table.columns)}) 'file' or 'id'"
    )


def numbers(table: pd.DataFrame) -> NDArray[np.float32]:
    """Columns of text as float32, NaN where a cell is no number."""
    columns = [pd.to_numeric(table[column], errors="coerce") for column in table.columns]
    return np.stack(columns, axis=1).astype(np.float32) if columns else np.zeros((len(table), 0), np.float32)


def numeric_columns(table: pd.DataFrame) -> pd.DataFrame:
    """The columns of text that hold numbers and gaps and nothing else, as float64 with NaN for the gaps.

    Example:
        >>> numeric_columns(pd.DataFrame({"redshift": ["0.05", "", "nan"], "survey": ["SDSS", "SDSS", "1"]}))
           redshift
        0      0.05
        1       NaN
        2       NaN
    """
    gaps = {"", "nan", "null", "none", "na", "n/a", "--", "masked"}
    found = {}
    for column in table.columns:
        values = pd.to_numeric(table[column], errors="coerce").replace([np.inf, -np.inf], np.nan)
        empty = table[column].str.lower().isin(gaps)
        if (values.notna() | empty).all() and values.notna().any():
            found[column] = values.astype(np.float64)
    return pd.DataFrame(found, index=table.index)


def assemble(
    tree: DecisionTree,
    names: Sequence[str],
    fractions: NDArray[np.float32],
    images: dict[str, Path],
    invalid: Iterable[Problem] = (),
    known: pd.DataFrame | None = None,
) -> Catalogue:
    """Join label rows to image files; whatever has no counterpart becomes a problem.

    Args:
        names: what each label row calls its image: a relative name, with or without an ending.
        fractions: shape (rows, columns); a row of NaN has no labels at all.
        images: as :func:`list_images` gives them.
        invalid: rows that are already known to be unusable, by name.
        known: what else is known of each row, as in :attr:`Catalogue.numbers`.
    """
    known = pd.DataFrame(index=range(len(names))) if known is None else known
    labels = fractions if tree.columns else known.to_numpy()
    problems = list(invalid)
    refused = {problem.name for problem in problems}
    lookup = _lookup(images)
    first_row: dict[Path, int] = {}
    conflicting: set[Path] = set()
    named: set[Path] = set()
    unlabelled = (np.isnan(fractions).all(axis=1) & known.isna().all(axis=1).to_numpy()).tolist()
    for row, name in enumerate(names):
        path = lookup.get(name) or lookup.get(name.replace("\\", "/").rsplit("/", 1)[-1])
        if path is not None:
            named.add(path)
        if name in refused:
            continue
        if path is None:
            problems.append(Problem("missing", name, "there is no image of this name"))
        elif unlabelled[row]:
            problems.append(Problem("unlabelled", name, "its labels are empty"))
        elif path not in first_row:
            first_row[path] = row
        elif np.array_equal(labels[first_row[path]], labels[row], equal_nan=True):
            problems.append(Problem("duplicate", name, "the label file has this galaxy twice"))
        else:
            conflicting.add(path)
    for path in conflicting:
        problems.append(Problem("conflicting", names[first_row.pop(path)], "the label file gives it different labels"))
    problems += (Problem("unlabelled", n, "no label names it") for n, p in images.items() if p not in named)
    rows = list(first_row.values())
    ids = np.array([_stem(names[row]) for row in rows], dtype=np.str_)
    if len(set(ids)) < len(ids):
        ids = np.array([names[row] for row in rows], dtype=np.str_)
    return Catalogue(
        tree, ids, list(first_row), fractions[rows], problems, numbers=known.iloc[rows].reset_index(drop=True)
    )


def _stem(name: str) -> str:
    return name.rsplit(".", 1)[0] if name.lower().endswith(IMAGE_ENDINGS) else name


def _lookup(images: dict[str, Path]) -> dict[str, Path]:
    """Image files by relative name, by relative name without its ending, and by bare name."""

    def by_ending(name: str) -> int:
        return next(i for i, ending in enumerate(IMAGE_ENDINGS) if name.lower().endswith(ending))

    def keys(name: str) -> Iterator[str]:
        bare = name.rsplit("/", 1)[-1]
        yield from (name, _stem(name), bare, _stem(bare))

    lookup: dict[str, Path] = {}
    for name in sorted(images, key=by_ending):
        for key in keys(name):
            lookup.setdefault(key, images[name])
    return lookup
