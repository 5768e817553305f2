"""What is to be predicted: files, folders, patterns, HDF5 files, lists and arrays as one stream of images.

Nothing is opened before it is needed, and names are kept of one folder at a time.
"""

from __future__ import annotations

import glob
import os
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Protocol

import h5py
import numpy as np
from numpy.typing import NDArray
from PIL import Image

from galaxycnn.data.label_files import IMAGE_ENDINGS
from galaxycnn.data.pictures import IMAGES, StoredPicture, images_of, is_hdf5, open_hdf5
from galaxycnn.errors import DataError, nearest
from galaxycnn.predicting.lists import Listed, is_list, list_of
from galaxycnn.predicting.tables import FITS_ENDINGS, Meaning, meaning_of

COMPRESSED = (".gz", ".fz")
ENDINGS = (*IMAGE_ENDINGS, *FITS_ENDINGS, *(fits + packed for fits in FITS_ENDINGS for packed in COMPRESSED))
"""Endings of the files that are taken out of a folder."""

ID = "id"
"""The data set of an HDF5 file that names its images."""

ROWS = 256
"""Rows of an HDF5 file whose numbers are read at a time."""

Pixels = NDArray[Any] | Image.Image


@dataclass(frozen=True)
class Item:
    """One image.

    Attributes:
        id: what its galaxy is called.
        file: where it is, in words.
        picture: a file, its content, an image in an HDF5 file, or pixels.
        given: what else is known of it, by column.
    """

    id: str
    file: str
    picture: Path | bytes | StoredPicture | Pixels
    given: Mapping[str, Any] = field(default_factory=dict)


class Source(Protocol):
    """Where images come from."""

    @property
    def columns(self) -> Mapping[str, Meaning]:
        """What is known of every image beside its pixels, and of each of these."""

    def __len__(self) -> int: ...

    def __iter__(self) -> Iterator[Item]: ...


def check_inputs(source: Source, inputs: Iterable[str]) -> None:
    """Refuse images of which it is not known what the network needs beside them.

    Raises:
        DataError: there is no such column.
    """
    for name in inputs:
        if name not in source.columns:
            raise DataError(
                f"the network needs {name} of every image: give a list with a column {name!r}"
                f"{nearest(name, source.columns) if source.columns else ''}"
            )


@dataclass(frozen=True)
class Several:
    """Several sources, one after the other.

    Example:
        >>> several = Several((Arrays(np.zeros((2, 8, 8, 3), np.uint8)), Arrays([np.zeros((9, 9), np.uint8)])))
        >>> len(several), [item.id for item in several]
        (3, ['0', '1', '0'])
    """

    sources: tuple[Source, ...]

    @property
    def columns(self) -> Mapping[str, Meaning]:
        known: dict[str, Meaning] = {}
        for source in reversed(self.sources):
            known = {**source.columns, **{n: m for n, m in known.items() if n not in source.columns}}
        return known

    def __len__(self) -> int:
        return sum(len(source) for source in self.sources)

    def __iter__(self) -> Iterator[Item]:
        for source in self.sources:
            yield from source


@dataclass(frozen=True)
class Files:
    """Image files, called by their names without the ending."""

    paths: Sequence[Path]
    columns: Mapping[str, Meaning] = field(default_factory=dict)

    def __len__(self) -> int:
        return len(self.paths)

    def __iter__(self) -> Iterator[Item]:
        return (Item(without_ending(path.name), str(path), path) for path in self.paths)


@dataclass(frozen=True)
class Folder:
    """The images in a folder and those below it, called by their names relative to it."""

    path: Path
    columns: Mapping[str, Meaning] = field(default_factory=dict)

    def __len__(self) -> int:
        return sum(1 for _ in self._names())

    def __iter__(self) -> Iterator[Item]:
        for name in self._names():
            path = self.path / name
            yield Item(without_ending(name), str(path), path)

    def _names(self) -> Iterator[str]:
        for parent, folders, names in os.walk(self.path):
            folders[:] = sorted(folder for folder in folders if not folder.startswith("."))
            prefix = "" if parent == str(self.path) else f"{Path(parent).relative_to(self.path).as_posix()}/"
            yield from (
                prefix + name for name in sorted(names) if name.lower().endswith(ENDINGS) and not name.startswith(".")
            )


@dataclass(frozen=True)
class Stored:
    """The images of an HDF5 file, called as its ``id`` says or by their position, with its columns of numbers."""

    path: Path

    @property
    def columns(self) -> Mapping[str, Meaning]:
        with open_hdf5(self.path) as file:
            return {name: meaning_of(name) for name in _numbers(file)}

    def __len__(self) -> int:
        with open_hdf5(self.path) as file:
            return len(images_of(file))

    def __iter__(self) -> Iterator[Item]:
        with open_hdf5(self.path) as file:
            count, names = len(images_of(file)), _numbers(file)
            for start in range(0, count, ROWS):
                rows = slice(start, min(start + ROWS, count))
                columns = {name: file[name][rows].tolist() for name in names}
                ids = _ids(file, rows)
                for number, name in enumerate(ids):
                    picture = StoredPicture(self.path, start + number)
                    given = {column: values[number] for column, values in columns.items()}
                    yield Item(str(name), str(picture), picture, given)


def _ids(file: h5py.File, rows: slice) -> list[Any]:
    if ID not in file:
        return list(range(rows.start, rows.stop))
    ids = file[ID]
    return list(ids[rows] if ids.dtype.kind in "iu" else ids.asstr()[rows])


def _numbers(file: h5py.File) -> list[str]:
    """The data sets that hold one number for each image."""
    count = len(images_of(file))
    others = {name: values for name, values in file.items() if name not in (IMAGES, ID)}
    sets = {name: values for name, values in others.items() if isinstance(values, h5py.Dataset) and values.ndim == 1}
    found = {name: len(values) for name, values in sets.items() if values.dtype.kind in "iuf"}
    for name, length in found.items():
        if length != count:
            raise DataError(f"{file.filename}: {name!r} has {length} values for {count} images")
    return list(found)


@dataclass(frozen=True)
class Arrays:
    """Pixels that are in memory: an array (images, height, width[, channels]), or a sequence of arrays or of images."""

    images: NDArray[Any] | Sequence[Pixels]
    columns: Mapping[str, Meaning] = field(default_factory=dict)

    def __len__(self) -> int:
        return len(self.images)

    def __iter__(self) -> Iterator[Item]:
        for number, image in enumerate(self.images):
            yield Item(str(number), getattr(image, "filename", "") or f"image {number}", image)


@dataclass(frozen=True)
class InList:
    """The images that a list names, with the other columns of the list."""

    listed: Listed

    @property
    def columns(self) -> Mapping[str, Meaning]:
        return self.listed.meanings

    def __len__(self) -> int:
        return len(self.listed)

    def __iter__(self) -> Iterator[Item]:
        for name, row in self.listed.rows():
            path = find_file(self.listed.folder / name)
            given = {column: row[column] for column in self.columns}
            yield Item(row.get(self.listed.id_column) or without_ending(Path(name).name), str(path), path, given)


def find_file(path: Path) -> Path:
    """``path``, or the file of that name with one of the :data:`ENDINGS`, as lists of identifiers leave them out."""
    if path.is_file() or path.name.lower().endswith(ENDINGS):
        return path
    return next((found for ending in ENDINGS if (found := path.with_name(path.name + ending)).is_file()), path)


def without_ending(name: str) -> str:
    """A file's name without the ending of an image.

    Example:
        >>> without_ending("NGC 4414.fits.gz"), without_ending("J1234.5+12"), without_ending("spiral/7.JPG")
        ('NGC 4414', 'J1234.5+12', 'spiral/7')
    """
    ending = max((ending for ending in ENDINGS if name.lower().endswith(ending)), key=len, default="")
    return name[: len(name) - len(ending)]


def as_images(images: Any, folder: str | Path | None = None) -> Source:
    """Whatever holds images, as a stream of them.

    Args:
        images: a path or several: image files, folders, patterns (``"cutouts/*.fits"``), HDF5 files, lists
            (:mod:`galaxycnn.predicting.lists`); a table with a column of files; an array of uint8 (images, height,
            width[, channels]) or several; an image of Pillow's or several.
        folder: what the names in a list are relative to; None: the folder of the list.

    Raises:
        DataError: a file or folder is not there, or holds nothing.
    """
    if isinstance(images, str | Path):
        return _named(images, folder)
    if isinstance(images, Image.Image) or (isinstance(images, np.ndarray) and images.ndim == 2):
        return Arrays([images])
    if hasattr(images, "columns"):  # of pandas or astropy
        return InList(list_of(images, folder))
    if isinstance(images, np.ndarray) and images.ndim == 3 and images.shape[2] in (1, 3, 4):
        return Arrays(images[None])
    if isinstance(images, np.ndarray):
        return Arrays(images)
    listed = list(images)
    if not listed:
        raise DataError("there are no images to predict")
    if all(isinstance(image, str | Path) for image in listed):
        return Several(tuple(_joined(listed, folder)))
    return Arrays(listed)


def _joined(words: Iterable[str | Path], folder: str | Path | None) -> Iterator[Source]:
    """A source for each word, but one for files in a row: a shell may unfold a pattern to thousands."""
    files: list[Path] = []
    for word in words:
        source = _named(word, folder)
        if isinstance(source, Files):
            files += source.paths
            continue
        if files:
            yield Files(files)
            files = []
        yield source
    if files:
        yield Files(files)


def _named(word: str | Path, folder: str | Path | None) -> Source:
    path = Path(word)
    if path.is_dir():
        found = Folder(path)
        if next(iter(found), None) is None:
            raise DataError(f"there are no images ({' '.join(ENDINGS[:9])} …) in {path}")
        return found
    if is_hdf5(path):
        return Stored(path)
    if path.is_file():
        return InList(list_of(path, folder)) if is_list(path) else Files([path])
    if glob.has_magic(str(word)):
        paths = sorted(Path(name) for name in glob.iglob(str(word), recursive=True) if os.path.isfile(name))
        if not paths:
            raise DataError(f"no file is called {word}")
        return Files(paths)
    near = os.listdir(path.parent) if path.parent.is_dir() else []
    hint = nearest(path.name, near) if len(near) < 1000 else ""
    raise DataError(f"there is no image, folder or list at {path}{hint if 'did you' in hint else ''}")
