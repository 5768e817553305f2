"""Cutouts: every picture decoded once, cropped and resized, into one packed array on disk.

The array is memory-mapped, so that 61,578 galaxies take no more memory than a handful, and is named
after a digest of the files (paths, sizes, modification times) and of the settings, so that a second
run only opens it.
"""

from __future__ import annotations

import io
import os
import shutil
import warnings
import zipfile
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from hashlib import blake2b
from itertools import chain
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from PIL import Image, UnidentifiedImageError

from galaxycnn.config.schema import DataPreprocessing
from galaxycnn.data.catalogue import Catalogue, Kind, Problem
from galaxycnn.data.cutouts import Unusable, centre_box, cut_out, eight_bits, is_blank
from galaxycnn.data.pictures import Content, PictureReader, StoredPicture
from galaxycnn.errors import DataError
from galaxycnn.files import atomic_path
from galaxycnn.progress import track

FORMAT = 3
"""Counts up whenever the same file and settings would give other pixels or problems."""

BATCH = 32
"""Files that a thread decodes before it reports."""


@dataclass(frozen=True)
class Cutouts:
    """The prepared images of a catalogue.

    Args:
        images: uint8 pixels 0…255, shape (galaxies, height, width, channels), memory-mapped and
            read-only; row i belongs to galaxy i of the catalogue, and is black if it is unusable.
        keep: the rows that can be used, ascending.
        digests: 16 bytes that tell file contents apart, shape (galaxies, 16).
        sizes: height and width of the original images in pixels, shape (galaxies, 2); 0 if unreadable.
        problems: one for each row that is not kept.
        path: the file that ``images`` lies in; what is derived from it may be kept beside it.
    """

    images: NDArray[np.uint8]
    keep: NDArray[np.intp]
    digests: NDArray[np.uint8]
    sizes: NDArray[np.int32]
    problems: list[Problem]
    path: Path


def load_cutouts(catalogue: Catalogue, preprocessing: DataPreprocessing, cache_path: str | Path) -> Cutouts:
    """Open the packed cutouts of a catalogue, decoding the images in parallel if that was not done before.

    Files that cannot be used become problems: ``corrupt`` (no readable image), ``blank`` (nothing in
    the middle), ``small`` (smaller than the crop), ``duplicate`` (same content and labels as an
    earlier galaxy, which is kept), and ``conflicting`` (same content as another galaxy but different
    labels: which of them is right cannot be known, so none is kept).

    Raises:
        DataError: no image can be used, or the disk has no room for the cache.
    """
    shape = "x".join(map(str, preprocessing.input_shape))
    pixels = Path(cache_path) / f"cutouts-{shape}-{_key(catalogue, preprocessing)}.npy"
    record = pixels.with_suffix(".npz")
    opened = _open(pixels, record, len(catalogue))
    if opened is None:
        _build(catalogue, preprocessing, pixels, record)
        opened = _open(pixels, record, len(catalogue))
        assert opened is not None
    images, digests, sizes, kinds, reasons = opened
    problems = {
        int(row): Problem(kinds[row], str(catalogue.ids[row]), f"{catalogue.pictures[row].name}: {reasons[row]}")
        for row in np.flatnonzero(kinds != "")
    }
    if len(problems) == len(catalogue):
        raise DataError(_nothing_left(catalogue, kinds, reasons))
    labels = np.hstack([catalogue.fractions, catalogue.known(preprocessing.quantities)])
    problems |= _copies(catalogue, digests, labels, usable=kinds == "")
    keep = np.setdiff1d(np.arange(len(catalogue)), list(problems))
    if not len(keep):
        raise DataError(f"every image is a copy of another with other labels, {catalogue.pictures[0]} for one")
    return Cutouts(images, keep, digests, sizes, [problems[row] for row in sorted(problems)], pixels)


def read_cutout(file: str | Path | bytes, preprocessing: DataPreprocessing) -> NDArray[np.uint8]:
    """Decode one image file (or its bytes), crop its centre and resize it: uint8 (height, width, channels).

    Raises:
        DataError: it is no readable image, blank, or smaller than the crop.
    """
    content = file if isinstance(file, bytes) else Path(file).read_bytes()
    try:
        return _decode(content, preprocessing)[0]
    except Unusable as error:
        raise DataError(f"{'the image' if isinstance(file, bytes) else file}: {error}") from error


# -- one image -----------------------------------------------------------------------------------


def _decode(
    content: Content, preprocessing: DataPreprocessing, crop_size: int = 0
) -> tuple[NDArray[np.uint8], tuple[int, int]]:
    """The prepared cutout, and the height and width that the image had; ``crop_size`` wins over the configured one."""
    try:
        image: Image.Image
        image = Image.open(io.BytesIO(content)) if isinstance(content, bytes) else Image.fromarray(content)
        width, height = image.size
        box = centre_box(width, height, crop_size or (preprocessing.crop_size if preprocessing.crop else None))
        cutout = cut_out(eight_bits(image), preprocessing, box)
    except Unusable:
        raise
    except UnidentifiedImageError as error:
        raise Unusable("corrupt", "not an image, or its beginning is damaged") from error
    except Exception as error:  # a decoder may raise anything at all on damaged bytes
        raise Unusable("corrupt", str(error) or type(error).__name__) from error
    if is_blank(cutout):
        raise Unusable("blank", "its middle is a single colour, as in an error page of an image server")
    return cutout, (height, width)


# -- the packed array ----------------------------------------------------------------------------


def _key(catalogue: Catalogue, preprocessing: DataPreprocessing) -> str:
    crop = preprocessing.crop_size if preprocessing.crop else None
    digest = blake2b(repr((FORMAT, crop, preprocessing.input_shape)).encode(), digest_size=8)
    status: dict[Path, str] = {}
    for picture, size in zip(catalogue.pictures, catalogue.crop_sizes.tolist(), strict=True):
        file = picture.file if isinstance(picture, StoredPicture) else picture
        if file not in status:
            status[file] = _fingerprint(file)
        own_crop = f"\0{size}" if size else ""
        digest.update(f"{os.path.abspath(str(picture))}\0{status[file]}{own_crop}\n".encode())
    return digest.hexdigest()


def _fingerprint(path: Path) -> str:
    try:
        status = path.stat()
    except OSError:
        return "unreadable"
    return f"{status.st_size} {status.st_mtime_ns}"


def _open(pixels: Path, record: Path, count: int) -> tuple[NDArray, ...] | None:
    """The five arrays of a finished cache, or None if there is none or it is damaged."""
    try:
        images = np.load(pixels, mmap_mode="r")
        with np.load(record) as arrays:
            rest = tuple(arrays[name] for name in ("digests", "sizes", "kinds", "reasons"))
    except (OSError, ValueError, KeyError, EOFError, zipfile.BadZipFile):
        return None
    return (images, *rest) if len(images) == count else None


def _build(catalogue: Catalogue, preprocessing: DataPreprocessing, pixels: Path, record: Path) -> None:
    shape = (len(catalogue), *preprocessing.input_shape)
    with atomic_path(pixels) as temporary:
        _check_room(temporary.parent, int(np.prod(shape)))
        images = np.lib.format.open_memmap(temporary, mode="w+", dtype=np.uint8, shape=shape)
        arrays = _fill(images, catalogue, preprocessing)
        images.flush()
    with atomic_path(record) as temporary:
        np.savez(temporary, allow_pickle=False, **arrays)


def _fill(images: NDArray[np.uint8], catalogue: Catalogue, preprocessing: DataPreprocessing) -> dict[str, NDArray]:
    """Decode every picture into its row of ``images``; what else there is to know about each, by name."""
    pictures, crops = catalogue.pictures, catalogue.crop_sizes.tolist()
    digests = np.zeros((len(pictures), 16), np.uint8)
    sizes = np.zeros((len(pictures), 2), np.int32)
    problems: dict[int, Unusable] = {}

    def decode(start: int) -> range:
        rows = range(start, min(start + BATCH, len(pictures)))
        for row, content in zip(rows, reader.read(pictures[rows.start : rows.stop]), strict=True):
            try:
                if isinstance(content, OSError):
                    raise Unusable("corrupt", content.strerror or str(content)) from content
                encoded = content if isinstance(content, bytes) else content.tobytes()
                digests[row] = np.frombuffer(blake2b(encoded, digest_size=16).digest(), np.uint8)
                images[row], sizes[row] = _decode(content, preprocessing, crops[row])
            except Unusable as problem:
                problems[row] = problem
        return rows

    with PictureReader() as reader:
        for _ in track(_in_parallel(decode, len(pictures)), "Decoding images", total=len(pictures)):
            pass
    kinds = np.array([problems[row].kind if row in problems else "" for row in range(len(pictures))])
    reasons = np.array([str(problems.get(row, "")) for row in range(len(pictures))])
    return {"digests": digests, "sizes": sizes, "kinds": kinds, "reasons": reasons}


def _in_parallel(decode: Callable[[int], range], count: int) -> Iterator[int]:
    """Yield each row once a thread has decoded it. Pillow lets threads run side by side."""
    pool = ThreadPoolExecutor(os.cpu_count())
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("error", Image.DecompressionBombWarning)
            yield from chain.from_iterable(pool.map(decode, range(0, count, BATCH)))
    finally:
        pool.shutdown(cancel_futures=True)


def _check_room(folder: Path, needed: int) -> None:
    free = shutil.disk_usage(folder).free
    if needed > free:
        raise DataError(
            f"the cache of prepared images needs {needed / 1e9:.1f} GB in {folder.parent}, where {free / 1e9:.1f} GB "
            "are free: set paths.cache_path to another disk"
        )


# -- copies --------------------------------------------------------------------------------------


def _copies(
    catalogue: Catalogue, digests: NDArray[np.uint8], labels: NDArray[np.floating], usable: NDArray[np.bool_]
) -> dict[int, Problem]:
    """Galaxies whose pictures have the same content, by row: those whose ``labels`` contradict each other, and others.

    Of the latter, the one of which most is known is kept. ``labels`` has the shape (galaxies, …).
    """
    rows = np.flatnonzero(usable)
    _, group, counts = np.unique(digests[rows].view("V16").ravel(), return_inverse=True, return_counts=True)
    problems = {}
    for copied in np.flatnonzero(counts > 1):
        copies = rows[group == copied]
        first, *others = copies[np.argsort(np.isnan(labels[copies]).sum(axis=1), kind="stable")]
        agree = not (np.abs(labels[others] - labels[first]) > 1e-6).any()
        for row in others if agree else [first, *others]:
            other = others[0] if row == first else first
            reason = f"{catalogue.pictures[row].name} has the same content as {catalogue.pictures[other].name}"
            kind: Kind = "duplicate" if agree else "conflicting"
            problems[int(row)] = Problem(kind, str(catalogue.ids[row]), reason if agree else f"{reason}, other labels")
    return problems


def _nothing_left(catalogue: Catalogue, kinds: NDArray[np.str_], reasons: NDArray[np.str_]) -> str:
    first = f"{catalogue.pictures[0]}: {reasons[0]}"
    if (kinds == "small").all():
        return f"data_preprocessing.crop_size is larger than all {len(catalogue)} images ({first})"
    return f"none of the {len(catalogue)} images can be used ({first})"
