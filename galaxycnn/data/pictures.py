"""Pictures: what the rows of a catalogue point to, an image file or one of the images that an HDF5 file holds."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from pathlib import Path
from threading import Lock
from typing import Any

import h5py
import numpy as np
from numpy.typing import NDArray

from galaxycnn.errors import DataError

HDF5_ENDINGS = (".h5", ".hdf5")
IMAGES = "images"
"""The data set of an HDF5 file that holds its images: uint8, shape (images, height, width, 3)."""

_CHUNK_CACHE = {"rdcc_nbytes": 512 * 2**20, "rdcc_nslots": 400_009, "rdcc_w0": 1.0}
"""What HDF5 keeps of the compressed chunks that it has opened. A chunk of Galaxy10 holds a corner of several hundred
images, and would otherwise be opened again for every batch of them. It is let go once it has been read to its end."""


@dataclass(frozen=True)
class StoredPicture:
    """One image of an HDF5 file: row ``row`` of its data set :data:`IMAGES`.

    Example:
        >>> picture = StoredPicture(Path("data/Galaxy10_DECals.h5"), 42)
        >>> picture.name
        'Galaxy10_DECals.h5[42]'
    """

    file: Path
    row: int

    @property
    def name(self) -> str:
        return f"{self.file.name}[{self.row}]"

    def __str__(self) -> str:
        return f"{self.file}[{self.row}]"


Picture = Path | StoredPicture
Content = bytes | NDArray[np.uint8]
"""An encoded image, or the pixels of one: (height, width, 3)."""


def is_hdf5(path: Path) -> bool:
    """Whether ``path`` is a file with the ending of HDF5."""
    return path.suffix.lower() in HDF5_ENDINGS and path.is_file()


@contextmanager
def open_hdf5(path: Path) -> Iterator[h5py.File]:
    """An HDF5 file to read from.

    Raises:
        DataError: it is none, or is damaged: a download that broke off, most often.
    """
    try:
        file = h5py.File(path, "r", locking="best-effort", **_CHUNK_CACHE)
    except OSError as error:
        raise DataError(f"{path} cannot be read as an HDF5 file, fetch it again: {error}") from error
    with file:
        yield file


def images_of(file: h5py.File) -> h5py.Dataset:
    """The images that an HDF5 file holds.

    Raises:
        DataError: it holds none, or not as uint8 of shape (images, height, width, 3).
    """
    images: Any = file.get(IMAGES)
    if not isinstance(images, h5py.Dataset):
        raise DataError(f"{file.filename} has no data set {IMAGES!r}; it has {', '.join(file) or 'nothing'}")
    if images.dtype != np.uint8 or images.ndim != 4 or images.shape[-1] != 3:
        raise DataError(
            f"{file.filename}: {IMAGES!r} must be uint8 of shape (images, height, width, 3), not {images.dtype} of"
            f" shape {images.shape}"
        )
    return images


class PictureReader:
    """Reads pictures, some at a time, from any number of threads; HDF5 files stay open until the end of the block.

    Example:
        >>> import tempfile
        >>> path = Path(tempfile.mkdtemp()) / "two.h5"
        >>> with h5py.File(path, "w") as file:
        ...     _ = file.create_dataset("images", data=np.zeros((2, 8, 8, 3), np.uint8))
        >>> with PictureReader() as reader:
        ...     [content.shape for content in reader.read([StoredPicture(path, 0), StoredPicture(path, 1)])]
        [(8, 8, 3), (8, 8, 3)]
    """

    def __init__(self) -> None:
        self._open = ExitStack()
        self._images: dict[Path, h5py.Dataset] = {}
        self._lock = Lock()

    def __enter__(self) -> PictureReader:
        return self

    def __exit__(self, *_: object) -> None:
        self._open.close()

    def read(self, pictures: Sequence[Picture]) -> list[Content | OSError]:
        """The content of each picture, or the error that reading it met."""
        stored = [picture for picture in pictures if isinstance(picture, StoredPicture)]
        if len(stored) == len(pictures) and len({picture.file for picture in stored}) == 1:
            try:
                return list(self._rows(stored[0].file, [picture.row for picture in stored]))
            except OSError:  # a damaged chunk: it must not take the other pictures with it
                pass
        return [self._one(picture) for picture in pictures]

    def _one(self, picture: Picture) -> Content | OSError:
        try:
            if isinstance(picture, StoredPicture):
                return self._rows(picture.file, [picture.row])[0]
            return picture.read_bytes()
        except OSError as error:
            return error

    def _rows(self, path: Path, rows: Sequence[int]) -> NDArray[np.uint8]:
        """Images of one file; those that lie side by side are read as one block."""
        with self._lock:
            if path not in self._images:
                self._images[path] = images_of(self._open.enter_context(open_hdf5(path)))
        ascending, places = np.unique(rows, return_inverse=True)
        first, last = int(ascending[0]), int(ascending[-1])
        whole = last - first + 1 == len(ascending)
        return self._images[path][slice(first, last + 1) if whole else ascending][places]
