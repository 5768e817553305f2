"""Which galaxies there are: names, pictures, vote fractions, other numbers, and what is wrong with the rest.

A layout (:mod:`galaxycnn.data.layouts`) turns a folder of images and a label file into a
:class:`Catalogue`; nothing is decoded here.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Literal

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from galaxycnn.config.schema import Paths
from galaxycnn.data.label_files import IMAGE_ENDINGS, read_table
from galaxycnn.data.pictures import HDF5_ENDINGS, Picture, is_hdf5
from galaxycnn.errors import DataError, nearest
from galaxycnn.registry import LAYOUTS
from galaxycnn.tree import GALAXY_ZOO_2, DecisionTree

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
        crop_sizes: sides of the centres to cut out, shape (galaxies,), in pixels; 0 where
            ``data_preprocessing.crop_size`` says it. None stands for zeros.
    """

    tree: DecisionTree
    ids: NDArray[np.str_]
    pictures: list[Picture]
    fractions: NDArray[np.float32]
    problems: list[Problem] = field(default_factory=list)
    extra: int = 0
    numbers: pd.DataFrame = None  # type: ignore[assignment]
    crop_sizes: NDArray[np.intp] = None  # type: ignore[assignment]

    def __post_init__(self) -> None:
        if self.numbers is None:
            object.__setattr__(self, "numbers", pd.DataFrame(index=range(len(self.pictures))))
        if self.crop_sizes is None:
            object.__setattr__(self, "crop_sizes", np.zeros(len(self.pictures), np.intp))

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
        return replace(self.beside(other), extra=len(other))

    def beside(self, other: Catalogue, prefix: str = "") -> Catalogue:
        """These galaxies and then those of ``other``, with the questions and numbers of both.

        An answer that only one of the two knows to a question of both is nobody's in the other.

        Args:
            prefix: comes before the names of the others where the two share one.

        Raises:
            DataError: a question of both is asked of different galaxies.
        """
        tree = _united(self.tree, other.tree)
        names = other.ids
        if np.isin(names, self.ids).any():
            names = np.array([f"{prefix}{name}" for name in names], dtype=np.str_)
        return Catalogue(
            tree,
            np.concatenate([self.ids, names]),
            [*self.pictures, *other.pictures],
            np.concatenate([_spread(self, tree), _spread(other, tree)]),
            [*self.problems, *other.problems],
            numbers=pd.concat([self.numbers, other.numbers], ignore_index=True),
            crop_sizes=np.concatenate([self.crop_sizes, other.crop_sizes]),
        )

    def only(self, rows: NDArray[np.intp]) -> Catalogue:
        """The galaxies at these rows, none of them extra, with no problems."""
        return Catalogue(
            self.tree,
            self.ids[rows],
            [self.pictures[row] for row in rows],
            self.fractions[rows],
            numbers=self.numbers.iloc[rows].reset_index(drop=True),
            crop_sizes=self.crop_sizes[rows],
        )

    def known(self, names: Sequence[str]) -> NDArray[np.float64]:
        """The numbers of these names, shape (galaxies, names); NaN where one is not known.

        Raises:
            DataError: the labels have no such column of numbers.
        """
        for name in names:
            if name not in self.numbers:
                raise DataError(f"the labels have no column of numbers {name!r}{nearest(name, map(str, self.numbers))}")
        return self.numbers[list(names)].to_numpy(np.float64)

    def labelled(self, quantities: Sequence[str] | None) -> Catalogue:
        """The galaxies that have an answer to a question, or one of the quantities; the others become problems.

        Any number is a quantity where ``quantities`` is None.

        Raises:
            DataError: the labels answer no question, and no quantity is asked for.
        """
        quantities = [str(name) for name in self.numbers] if quantities is None else quantities
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


def read_catalogue(paths: Paths, layout: str = "auto", quantities: Sequence[str] | None = ()) -> Catalogue:
    """Read images and labels with the named layout.

    ``auto`` takes ``galaxy10`` where ``images_path`` is an HDF5 file, ``folders`` where there is no label file,
    ``kaggle`` where the label file has a column of Galaxy Zoo 2 (``Class1.1``), and ``table`` otherwise.

    The galaxies of ``paths.more`` come after the others, and those of ``paths.extra_images_path`` last.

    Args:
        quantities: numbers that count as labels: a galaxy that has one of them needs no classes; None for any.

    Raises:
        DataError: a file or folder is missing, or no galaxy has both an image and labels.
    """
    catalogue = _read("paths", paths.images_path, paths.labels_path, layout, quantities)
    for number, more in enumerate(paths.more):
        other = _read(f"paths.more[{number}]", more.images_path, more.labels_path, more.layout, quantities)
        sizes = np.full(len(other), more.crop_size or 0, np.intp)
        catalogue = catalogue.beside(replace(other, crop_sizes=sizes), prefix=f"more{number}/")
    if paths.extra_images_path is not None:
        extra = _read("paths.extra", paths.extra_images_path, paths.extra_labels_path, layout, quantities)
        catalogue = catalogue.joined(extra)
    return catalogue


def _read(key: str, images: Path, labels: Path | None, layout: str, quantities: Sequence[str] | None) -> Catalogue:
    """One set of galaxies; ``key`` is what its paths are called in a configuration."""
    _refuse_absent(key, images, labels)
    found: Catalogue = LAYOUTS[_guess_layout(images, labels) if layout == "auto" else layout](images, labels)
    catalogue = found.labelled(quantities)
    if not len(catalogue):
        kinds = Counter(problem.kind for problem in catalogue.problems)
        counts = ", ".join(f"{count} {kind}" for kind, count in kinds.items())
        first = catalogue.problems[0]
        raise DataError(
            f"no galaxy in {images} has both an image and usable labels ({counts}; "
            f"the first is {first.name}: {first.reason})"
        )
    return catalogue


def _refuse_absent(key: str, images: Path, labels: Path | None) -> None:
    key = f"{key}_" if key == "paths.extra" else f"{key}."
    if images.is_file() and not is_hdf5(images):
        raise DataError(
            f"{key}images_path: {images} is a file; name a folder of images, or a file in Galaxy10's layout"
            f" ({' or '.join(HDF5_ENDINGS)})"
        )
    if not images.exists() and images.suffix in HDF5_ENDINGS:
        raise DataError(
            f"{key}images_path: there is no file at {images}; name yours (--set {key}images_path=FILE), or draw one"
            f" with 'galaxycnn data simulate --layout galaxy10 -n 3000 -o {images}'"
        )
    if not images.exists():
        raise DataError(
            f"{key}images_path: there is no folder of images at {images}; name yours (--set {key}images_path=DIR), or"
            " fetch Galaxy Zoo's with 'galaxycnn data download kaggle'"
        )
    if labels is not None and not labels.is_file():
        raise DataError(f"there is no label file at {labels} ({key}labels_path)")


def _guess_layout(images: Path, labels: Path | None) -> str:
    if is_hdf5(images):
        return "galaxy10"
    if labels is None:
        return "folders"
    return "kaggle" if set(read_table(labels, rows=0).columns) & set(GALAXY_ZOO_2.columns) else "table"


# -- two catalogues as one -----------------------------------------------------------------------


def _united(one: DecisionTree, other: DecisionTree) -> DecisionTree:
    """The questions of both, each with the answers that either has."""
    questions = {question.name: question for question in one.questions}
    for question in other.questions:
        ours = questions.setdefault(question.name, question)
        if ours.parents != question.parents:
            raise DataError(f"paths.more: its {question.name} is asked of other galaxies than that of the first set")
        new = [answer for answer in question.answers if answer.column not in ours.columns]
        questions[question.name] = replace(ours, answers=(*ours.answers, *new))
    return DecisionTree(one.name, tuple(questions.values()))


def _spread(catalogue: Catalogue, tree: DecisionTree) -> NDArray[np.float32]:
    """Fractions under the columns of a larger tree; 0 for answers that these labels do not have to their questions."""
    spread = np.full((len(catalogue), len(tree.columns)), np.nan, np.float32)
    for question in catalogue.tree.questions:
        fractions = catalogue.fractions[:, catalogue.tree.slice(question)]
        spread[~np.isnan(fractions).any(axis=1), tree.slice(question.name)] = 0
        spread[:, tree.indices(question.columns)] = fractions
    return spread


# -- what layouts share --------------------------------------------------------------------------


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
