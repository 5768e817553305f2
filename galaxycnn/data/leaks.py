"""Galaxies of different parts that are the same image: a leak from the test set into training.

Files with the same content are found by their digest. Near-duplicates (saved again, rescaled,
brightened) are found by what no two galaxies share: the fine detail of structure and sky noise.
Thumbnails of 32x32 pixels are taken to their square root, which evens out the noise, their smooth
part is removed, and what remains is compared by cosine similarity.

Measured on cutouts of 3,580 Kaggle and 5,314 Galaxy Zoo 1 images (20 million pairs): the closest two
different galaxies reach 0.52, while 300 copies of each set stay above 0.90 if saved as JPEG of
quality 60, at half size or 30 % brighter, and above 0.77 at quality 30. Plain thumbnails would not
do: two round smooth galaxies reach 0.99. Not found are turned and mirrored copies, copies shifted by
more than a pixel of the thumbnail, and two exposures of one galaxy (one such pair, 953804 and 955788
of the Kaggle images, reaches 0.53).
"""

from __future__ import annotations

import zipfile
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from itertools import combinations
from typing import Protocol

import cv2
import numpy as np
from numpy.typing import NDArray

from galaxycnn.data.cache import Cutouts
from galaxycnn.errors import DataError
from galaxycnn.files import atomic_path
from galaxycnn.progress import track

SIMILAR = 0.7
"""Cosine similarity above which two cutouts are called the same galaxy."""

_VERSION = 1
"""Counts up whenever the same cutouts would give other twins."""

_SIDE, _BLUR = 32, 1.0
"""Side of a thumbnail, and the standard deviation of what is called its smooth part, in its pixels."""

_SKETCH, _MARGIN = 128, 0.12
"""Length of a random projection, and how far its cosines may err: four standard deviations at 0.8."""

_BATCH, _TILE = 256, 4096
"""Cutouts that are looked at, and projections that are compared, at a time."""


class _HasGalaxies(Protocol):
    """What a part must have here: names, and the positions of its galaxies in the packed array."""

    @property
    def ids(self) -> NDArray[np.str_]: ...
    @property
    def rows(self) -> NDArray[np.intp]: ...


@dataclass(frozen=True)
class Twins:
    """Pairs of rows of a packed array that look the same, most similar first.

    Args:
        left, right: the rows, shape (pairs,), ``left`` < ``right``.
        similarity: up to 1, shape (pairs,).
        compared: how many rows were compared: none if the cutouts show too little detail.
    """

    left: NDArray[np.intp]
    right: NDArray[np.intp]
    similarity: NDArray[np.float32]
    compared: int


@dataclass(frozen=True)
class LeakReport:
    """Pairs of galaxies in different parts that look the same, most similar first.

    Args:
        pairs: the two ids and their similarity, up to 1.
        compared: how many galaxies were compared: none if the cutouts show too little detail.
    """

    pairs: list[tuple[str, str, float]]
    compared: int

    def __str__(self) -> str:
        if not self.compared:
            return f"no copies between parts; look-alikes not sought in cutouts below {_SIDE}x{_SIDE} pixels"
        if not self.pairs:
            return f"no leaks: no two of {self.compared:,} galaxies in different parts look the same"
        one, other, similarity = self.pairs[0]
        return (
            f"{len(self.pairs)} possible leaks: pairs of galaxies in different parts look the same, "
            f"{one} and {other} for one (similarity {similarity:.3f})"
        )


def load_twins(cutouts: Cutouts) -> Twins:
    """The twins among all distinct files of a cache, found once and then kept beside it."""
    path = cutouts.path.with_suffix(f".twins{_VERSION}.npz")
    try:
        with np.load(path) as arrays:
            return Twins(arrays["left"], arrays["right"], arrays["similarity"], int(arrays["compared"]))
    except (OSError, ValueError, KeyError, EOFError, zipfile.BadZipFile):
        _, distinct = np.unique(cutouts.digests, axis=0, return_index=True)
        twins = find_twins(cutouts.images, rows=np.sort(distinct))
    with atomic_path(path) as temporary:
        np.savez(temporary, allow_pickle=False, **asdict(twins))
    return twins


def find_twins(images: NDArray[np.uint8], threshold: float = SIMILAR, rows: NDArray[np.intp] | None = None) -> Twins:
    """Compare every cutout with every other.

    Memory stays below about 1 kB per galaxy: candidates are found among random projections of the
    thumbnails (Johnson & Lindenstrauss 1984), block by block, and only they are compared in full.

    Args:
        images: uint8, shape (galaxies, height, width, channels); none are compared if they have fewer
            pixels than a thumbnail, because different galaxies reach 0.9 then.
        threshold: the least similarity of twins.
        rows: the cutouts to compare, ascending; all by default.
    """
    rows = np.arange(len(images)) if rows is None else rows
    if min(images.shape[1:3]) < _SIDE:
        rows = rows[:0]
    starts = range(0, len(rows), _TILE)
    sketches = _sketches(images, rows)
    pairs = [np.empty((0, 2), np.intp)]
    for start in track(starts, "Comparing images", total=len(starts)) if len(starts) > 2 else starts:
        block = sketches[start : start + _TILE]
        for other in range(start, len(rows), _TILE):
            alike = block @ sketches[other : other + _TILE].T > threshold - _MARGIN
            if alike.any():
                found = np.argwhere(alike) + np.array([start, other])
                pairs.append(found[found[:, 0] < found[:, 1]])
    left, right = rows[np.concatenate(pairs)].T
    similarity = np.empty(len(left), np.float32)
    for start in range(0, len(left), _BATCH):
        some = slice(start, start + _BATCH)
        similarity[some] = (details(images[left[some]]) * details(images[right[some]])).sum(axis=1)
    order = np.argsort(-similarity, kind="stable")[: int((similarity > threshold).sum())]
    return Twins(left[order], right[order], similarity[order], len(rows))


def _sketches(images: NDArray[np.uint8], rows: NDArray[np.intp]) -> NDArray[np.float32]:
    """Unit vectors whose cosines are close to those of :func:`details`: (rows, _SKETCH)."""
    projection = np.random.default_rng(0).standard_normal((_SIDE**2, _SKETCH)).astype(np.float32)
    sketches = np.empty((len(rows), _SKETCH), np.float32)
    for start in range(0, len(rows), _BATCH):
        some = slice(start, start + _BATCH)
        sketches[some] = _unit(details(images[rows[some]]) @ projection)
    return sketches


def details(images: NDArray[np.uint8]) -> NDArray[np.float32]:
    """The fine detail of each image as a vector of length 1, or 0 if there is none: (images, 1024)."""
    thumbnails = np.empty((len(images), _SIDE, _SIDE), np.float32)
    for thumbnail, image in zip(thumbnails, images, strict=True):
        small = cv2.resize(image.astype(np.float32), (_SIDE, _SIDE), interpolation=cv2.INTER_AREA)
        root = np.sqrt(small.reshape(_SIDE, _SIDE, -1).mean(axis=2))
        thumbnail[:] = root - cv2.GaussianBlur(root, (0, 0), _BLUR, borderType=cv2.BORDER_REFLECT)
    flat = thumbnails.reshape(len(images), _SIDE**2)
    return _unit(flat - flat.mean(axis=1, keepdims=True))


def _unit(vectors: NDArray[np.float32]) -> NDArray[np.float32]:
    length = np.linalg.norm(vectors, axis=1, keepdims=True)
    return np.divide(vectors, length, out=np.zeros_like(vectors), where=length > 1e-3)


def find_leaks(parts: Mapping[str, _HasGalaxies], digests: NDArray[np.uint8], twins: Twins) -> LeakReport:
    """Check that the parts share no galaxy, and report the twins among them.

    Args:
        parts: the parts by name.
        digests: of the files, shape (rows of the packed array, bytes).
        twins: of the packed array.

    Raises:
        DataError: an id, or a file's content, is in two parts.
    """
    for (name, part), (other_name, other) in combinations(parts.items(), 2):
        shared = np.intersect1d(part.ids, other.ids)
        if len(shared):
            raise DataError(f"{len(shared)} galaxies are in both {name} and {other_name}, {shared[0]} for one")
        contents, other_contents = (digests[p.rows].view(f"V{digests.shape[1]}").ravel() for p in (part, other))
        copied = np.flatnonzero(np.isin(contents, other_contents))
        if len(copied):
            raise DataError(
                f"{len(copied)} images of {name} have the same content as images of {other_name}, "
                f"{part.ids[copied[0]]} for one"
            )
    home, names = np.full(len(digests), -1), np.empty(len(digests), dtype=object)
    for number, part in enumerate(parts.values()):
        home[part.rows], names[part.rows] = number, part.ids
    apart = (home[twins.left] != home[twins.right]) & (home[twins.left] >= 0) & (home[twins.right] >= 0)
    pairs = zip(names[twins.left[apart]], names[twins.right[apart]], twins.similarity[apart], strict=True)
    compared = int((home >= 0).sum()) if twins.compared else 0
    return LeakReport([(str(a), str(b), float(s)) for a, b, s in pairs], compared)
