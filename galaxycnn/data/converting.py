"""Any images and labels as one file in Galaxy10's layout."""

from __future__ import annotations

import tempfile
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pandas as pd

from galaxycnn.config.schema import DataPreprocessing, Paths
from galaxycnn.data.cache import Cutouts, load_cutouts
from galaxycnn.data.catalogue import Catalogue, Problem, read_catalogue
from galaxycnn.data.layouts.galaxy10 import Block, write_galaxy10
from galaxycnn.data.sampling import class_numbers
from galaxycnn.errors import DataError
from galaxycnn.progress import track
from galaxycnn.tree import DecisionTree

SCALES = ("pxscale", "arcsec_per_pix", "arcsec_per_pixel", "pixel_scale")
"""Names of a column of pixel scales in arcseconds; the file has ``pxscale``, of its own pixels."""

BLOCK = 256
"""Images that are written at a time."""


@dataclass(frozen=True)
class Conversion:
    """A file that was written.

    Args:
        path: where it is.
        images: how many images it holds, of ``size`` by ``size`` pixels.
        size: in pixels.
        classes: what the classes are called; none where the labels are numbers only.
        columns: the numbers that each galaxy has.
        problems: the galaxies that were left out.
    """

    path: Path
    images: int
    size: int
    classes: list[str]
    columns: list[str]
    problems: list[Problem]

    def __str__(self) -> str:
        classes = f"classes {', '.join(self.classes)}" if self.classes else "no classes"
        numbers = f"; {', '.join(self.columns)}" if self.columns else ""
        left_out = f"; {len(self.problems):,} left out" if self.problems else ""
        return f"{self.path}: {self.images:,} images of {self.size}×{self.size} pixels, {classes}{numbers}{left_out}"


def convert(
    images: str | Path,
    labels: str | Path | None,
    output: str | Path,
    *,
    size: int | None = None,
    crop: int | None = None,
    question: str | None = None,
) -> Conversion:
    """Write images and labels of any layout as one HDF5 file in that of Galaxy10.

    Every galaxy that has a class or a number is in it; a class that is not known is -1, a number NaN. Of vote
    fractions, the most likely answer becomes the class. Images that cannot be used, and copies, are left out.

    Args:
        images: folder of images, or a file in Galaxy10's layout.
        labels: CSV of labels; None for a folder per class or such a file.
        output: the file to write, ``.h5``.
        size: side of the stored images in pixels; None for that of all of these, which must be one then.
        crop: side of the centre to cut out before that, in pixels.
        question: which question is the class, where the labels answer several.

    Raises:
        UserError: the images or labels cannot be used, are of several sizes, or answer no such question.
    """
    catalogue = read_catalogue(
        Paths(images_path=Path(images), labels_path=None if labels is None else Path(labels)), quantities=None
    )
    tree = _one_question(catalogue.tree, question)
    home = Path(output).absolute().parent
    home.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(dir=home, prefix=".part-") as folder:
        cutouts = _cutouts(catalogue, size, crop, folder)
        table = _table(catalogue, tree, cutouts, crop)
        path = write_galaxy10(Path(output), _blocks(cutouts, table), len(table), _classes(tree))
    columns = [str(name) for name in table if name not in ("id", "ans")]
    problems = [*catalogue.problems, *cutouts.problems]
    return Conversion(path, len(table), cutouts.images.shape[1], _classes(tree), columns, problems)


def _one_question(tree: DecisionTree, name: str | None) -> DecisionTree:
    """The question that is the class; none where there is none."""
    if name is not None:
        return tree.subset([name])
    if len(tree.questions) > 1:
        raise DataError(
            f"the labels answer {len(tree.questions)} questions, {', '.join(q.name for q in tree.questions)}: say which"
            " is the class (--question)"
        )
    return tree


def _classes(tree: DecisionTree) -> list[str]:
    return [answer.name for question in tree.questions for answer in question.answers]


def _cutouts(catalogue: Catalogue, size: int | None, crop: int | None, folder: str) -> Cutouts:
    """The images at their size; where none is given, they are looked at once to find theirs."""
    if size is None and crop is None:
        first = load_cutouts(catalogue, _preparation(16, None), folder)
        sizes = np.unique(first.sizes[first.keep], axis=0)
        if len(sizes) > 1 or sizes[0, 0] != sizes[0, 1]:
            shown = ", ".join(f"{width}x{height}" for height, width in sizes[:4])
            raise DataError(f"the images are not squares of one size ({shown}{', …' * (len(sizes) > 4)}): give --size")
        size = int(sizes[0, 0])
    return load_cutouts(catalogue, _preparation(size or crop or 0, crop), folder)


def _preparation(size: int, crop: int | None) -> DataPreprocessing:
    return DataPreprocessing(img_size=[size, size], crop=crop is not None, crop_size=crop)


def _table(catalogue: Catalogue, tree: DecisionTree, cutouts: Cutouts, crop: int | None) -> pd.DataFrame:
    """One row for each image that can be used."""
    kept = catalogue.only(cutouts.keep)
    table = kept.numbers.rename(columns=lambda name: "pxscale" if str(name).lower() in SCALES else str(name))
    if "pxscale" in table:
        table["pxscale"] *= (crop or cutouts.sizes[cutouts.keep, 1]) / cutouts.images.shape[2]
    if tree.questions:
        table["ans"] = class_numbers(tree, kept.fractions[:, kept.tree.indices(tree.columns)])
    table["id"] = kept.ids
    return table


def _blocks(cutouts: Cutouts, table: pd.DataFrame) -> Iterator[Block]:
    starts = range(0, len(table), BLOCK)
    for start in track(starts, "Writing images", total=len(starts)):
        rows = slice(start, start + BLOCK)
        yield cutouts.images[cutouts.keep[rows]], table.iloc[rows]
