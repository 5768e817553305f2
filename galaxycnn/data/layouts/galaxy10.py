"""Galaxy10 (Leung & Bovy): one HDF5 file with images, a class for each and, for DECaLS, redshifts and positions."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import replace
from pathlib import Path

import h5py
import numpy as np
import pandas as pd
from numpy.typing import NDArray

from galaxycnn.data.catalogue import Catalogue, Problem
from galaxycnn.data.pictures import IMAGES, Picture, StoredPicture, images_of, open_hdf5
from galaxycnn.errors import DataError
from galaxycnn.files import atomic_path
from galaxycnn.registry import LAYOUTS
from galaxycnn.tree import DecisionTree

QUESTION = "class"
"""What the one question of this layout is called."""

DECALS_CLASSES = (
    *("Disturbed", "Merging", "Round Smooth", "In-between Round Smooth", "Cigar Shaped Smooth"),
    *("Barred Spiral", "Unbarred Tight Spiral", "Unbarred Loose Spiral"),
    *("Edge-on without Bulge", "Edge-on with Bulge"),
)
"""Classes of Galaxy10 DECaLS, 17,736 images of 256x256 pixels
(https://astronn.readthedocs.io/en/latest/galaxy10.html)."""

SDSS_CLASSES = (
    *("Disk, Face-on, No Spiral", "Smooth, Completely round", "Smooth, in-between round", "Smooth, Cigar shaped"),
    *("Disk, Edge-on, Rounded Bulge", "Disk, Edge-on, Boxy Bulge", "Disk, Edge-on, No Bulge"),
    *("Disk, Face-on, Tight Spiral", "Disk, Face-on, Medium Spiral", "Disk, Face-on, Loose Spiral"),
)
"""Classes of Galaxy10 SDSS, 21,785 images of 69x69 pixels
(https://astronn.readthedocs.io/en/latest/galaxy10sdss.html)."""

ANSWERS, IDS, NAMES = "ans", "id", "classes"
"""The data sets of classes (whole numbers from 0, -1 for none) and, where there is one, of names; and the attribute of
the former that names the classes."""


@LAYOUTS.register("galaxy10")
def read_galaxy10(images: Path, labels: Path | None) -> Catalogue:
    """Read a file with the data sets ``images`` and, as far as they are there, ``ans`` and any columns of numbers.

    The classes answer the question ``class``. What they are called is said by the attribute ``classes`` of ``ans``,
    or known: images of 69x69 pixels are Galaxy10 SDSS, those of 256x256 or with a ``pxscale`` Galaxy10 DECaLS. The
    classes of other files are called by their numbers. Galaxies are called by their position, from 0, or as the data
    set ``id`` says. Numbers that are no class of the list are problems.

    Raises:
        DataError: the file cannot be read or has no images, a data set has another length, or a label file is given.
    """
    if labels is not None:
        raise DataError(f"{images} holds its own labels: leave out paths.labels_path ({labels})")
    with open_hdf5(images) as file:
        stored = images_of(file)
        count = len(stored)
        columns = {name: _column(file, name, count) for name in file if name not in (IMAGES, IDS)}
        ids = file[IDS].asstr()[:] if IDS in file else np.arange(count)
        names = _class_names(file, stored.shape[1], columns.get(ANSWERS))
    answers = columns.pop(ANSWERS, None)
    known = pd.DataFrame({name: values for name, values in columns.items() if values is not None}, index=range(count))
    tree = DecisionTree.from_classes({QUESTION: names} if names else {}, name=images.stem if names else images.name)
    fractions, invalid = _one_hot(np.full(count, np.nan) if answers is None else answers, len(names), ids)
    pictures: list[Picture] = [StoredPicture(images, row) for row in range(count)]
    catalogue = Catalogue(tree, np.asarray(ids, dtype=np.str_), pictures, fractions, numbers=known)
    valid = np.setdiff1d(np.arange(count), list(invalid))
    return replace(catalogue.only(valid), problems=list(invalid.values()))


def _column(file: h5py.File, name: str, count: int) -> NDArray[np.float64] | None:
    """A data set of one number per image; None for anything else."""
    values = file[name]
    if not isinstance(values, h5py.Dataset) or values.ndim != 1 or values.dtype.kind not in "iufb":
        return None
    if len(values) != count:
        raise DataError(f"{file.filename}: {name!r} has {len(values)} values for {count} images")
    return values[:].astype(np.float64)


def _class_names(file: h5py.File, side: int, answers: NDArray[np.float64] | None) -> list[str]:
    if answers is None:
        return []
    if NAMES in file[ANSWERS].attrs:
        return [str(name) for name in file[ANSWERS].attrs[NAMES]]
    if side == 69:
        return list(SDSS_CLASSES)
    if side == 256 or "pxscale" in file:
        return list(DECALS_CLASSES)
    return [str(number) for number in range(int(np.nanmax(answers, initial=0)) + 1)]


def _one_hot(
    answers: NDArray[np.float64], classes: int, ids: NDArray
) -> tuple[NDArray[np.float32], dict[int, Problem]]:
    """Fractions of shape (galaxies, classes), NaN where there is no class; and the galaxies of a wrong one, by row."""
    numbers = np.where(np.isnan(answers), -1, answers)
    wrong = (numbers >= classes) | (numbers < -1) | (numbers != np.round(numbers))
    invalid = {
        row: Problem("invalid", str(ids[row]), f"its class {numbers[row]:g} is none of the {classes}, from 0 on")
        for row in np.flatnonzero(wrong).tolist()
    }
    fractions = np.full((len(answers), classes), np.nan, np.float32)
    labelled = np.flatnonzero(~wrong & (numbers >= 0))
    fractions[labelled] = np.eye(classes, dtype=np.float32)[numbers[labelled].astype(np.intp)]
    return fractions, invalid


Block = tuple[NDArray[np.uint8], pd.DataFrame]
"""Some images, uint8 (some, height, width, 3), and a row for each: ``ans``, ``redshift``, …, and texts as ``id``."""


def write_galaxy10(path: Path, blocks: Iterable[Block], count: int, classes: Sequence[str] = ()) -> Path:
    """Write a file that :func:`read_galaxy10` reads; it appears when all of it is written.

    Args:
        path: the file, replaced where it is there.
        blocks: images and rows, one block after the other.
        count: how many images there are in all blocks together.
        classes: what the classes in ``ans`` are called, from 0 on.

    Example:
        >>> import tempfile
        >>> rows = pd.DataFrame({"ans": [0, 1], "redshift": [0.1, np.nan]})
        >>> blocks = [(np.zeros((2, 8, 8, 3), np.uint8), rows)]
        >>> path = write_galaxy10(Path(tempfile.mkdtemp()) / "two.h5", blocks, 2, ["round", "merger"])
        >>> read_galaxy10(path, None).tree.columns
        ('class.round', 'class.merger')
    """
    tables = []
    with atomic_path(path) as temporary, h5py.File(temporary, "w") as file:
        start = 0
        for images, table in blocks:
            stored = file.require_dataset(IMAGES, (count, *images.shape[1:]), np.uint8)
            stored[start : start + len(images)] = images
            start += len(images)
            tables.append(table)
        for name, values in pd.concat(tables).items():
            text = not pd.api.types.is_numeric_dtype(values)
            file[str(name)] = values.to_numpy(h5py.string_dtype() if text else None)
        if classes:
            file[ANSWERS].attrs[NAMES] = list(classes)
    return Path(path)
