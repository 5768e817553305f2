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
from dataclasses import asdict, dataclass, field
from itertools import combinations, product
from typing import Protocol

import cv2
import numpy as np
from numpy.typing import NDArray

from galaxycnn.data.cache import Cutouts
from galaxycnn.errors import DataError
from galaxycnn.files import atomic_path
from galaxycnn.progress import track

SAME_PLACE = 2.0
"""Separation in arcseconds below which two positions are called the same galaxy."""

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
class Neighbours:
    """Pairs of rows of a packed array at one place in the sky, nearest first.

    Args:
        left, right: the rows, shape (pairs,).
        separation: in arcseconds, shape (pairs,).
    """

    left: NDArray[np.intp]
    right: NDArray[np.intp]
    separation: NDArray[np.float64]


@dataclass(frozen=True)
class LeakReport:
    """Pairs of galaxies in different parts that look the same, most similar first.

    Args:
        pairs: the two ids and their similarity, up to 1.
        compared: how many galaxies were compared: none if the cutouts show too little detail.
        neighbours: galaxies of different parts at one place in the sky, nearest first: the two ids and their
            separation in arcseconds.
    """

    pairs: list[tuple[str, str, float]]
    compared: int
    neighbours: list[tuple[str, str, float]] = field(default_factory=list)

    def __str__(self) -> str:
        if not self.neighbours:
            return self._look_alikes
        one, other, separation = self.neighbours[0]
        return (
            f"{self._look_alikes}; {len(self.neighbours)} pairs in different parts are within"
            f' {SAME_PLACE:g}" in the sky, {one} and {other} for one ({separation:.2f}")'
        )

    @property
    def _look_alikes(self) -> str:
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


def find_neighbours(ra: NDArray[np.float64], dec: NDArray[np.float64], within: float = SAME_PLACE) -> Neighbours:
    """Pairs of positions that are one in the sky: a galaxy that is in a catalogue twice, or two parts of one.

    Args:
        ra, dec: right ascension and declination in degrees, shape (galaxies,); NaN where they are not known.
        within: the largest separation in arcseconds.

    Example:
        >>> found = find_neighbours(np.array([10.0, 50.0, 10.0003]), np.array([0.0, 0.0, 0.0]))
        >>> found.left.tolist(), found.right.tolist(), found.separation.round(2).tolist()
        ([0], [2], [1.08])
    """
    # Imported late: it takes a second, and few label files have positions.
    from astropy import units
    from astropy.coordinates import SkyCoord

    rows = np.flatnonzero(np.isfinite(ra) & (np.abs(dec) <= 90))
    places = SkyCoord(ra[rows], dec[rows], unit="deg")
    left, right, separation, _ = places.search_around_sky(places, within * units.arcsec)
    once = np.flatnonzero(left < right)
    nearest = once[np.argsort(separation[once], kind="stable")]
    return Neighbours(rows[left[nearest]], rows[right[nearest]], separation[nearest].arcsec)


def find_leaks(
    parts: Mapping[str, _HasGalaxies],
    digests: NDArray[np.uint8],
    twins: Twins,
    neighbours: Neighbours | None = None,
) -> LeakReport:
    """Check that the parts share no galaxy, and report the twins and the neighbours among them.

    Args:
        parts: the parts by name.
        digests: of the files, shape (rows of the packed array, bytes).
        twins: of the packed array.
        neighbours: of the packed array, where positions are known.

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

    def apart(left: NDArray[np.intp], right: NDArray[np.intp], value: NDArray) -> list[tuple[str, str, float]]:
        """The pairs whose galaxies are in two parts, by their names."""
        chosen = np.flatnonzero((home[left] != home[right]) & (home[left] >= 0) & (home[right] >= 0))
        return [(str(names[left[i]]), str(names[right[i]]), float(value[i])) for i in chosen]

    compared = int((home >= 0).sum()) if twins.compared else 0
    near = apart(neighbours.left, neighbours.right, neighbours.separation) if neighbours is not None else []
    return LeakReport(apart(twins.left, twins.right, twins.similarity), compared, near)


# -- whole pixels --------------------------------------------------------------------------------


def most_similar(images: NDArray[np.uint8], rows: NDArray[np.intp], others: NDArray[np.intp]) -> tuple[int, int, float]:
    """The two images, one of each set, whose pixels have the largest cosine similarity.

    This is the check of Kempster-Taylor (2025) on her split: below 1, no image of the training part is in the test
    part. It tells copies apart from nothing else, since any two round galaxies on dark sky come close to 1. Cutouts
    larger than 64x64 pixels are reduced to that.

    Args:
        images: uint8, shape (images, height, width, channels).
        rows, others: the positions of the two sets in ``images``.

    Returns:
        The position of each in its own set, and their similarity, 0…1.

    Example:
        >>> images = np.zeros((3, 8, 8, 1), np.uint8)
        >>> images[0, 2], images[1, 3], images[2, 2:4] = 9, 9, 9
        >>> [round(value, 3) for value in most_similar(images, np.array([0, 1]), np.array([2]))]
        [0, 0, 0.707]
    """
    best = (0, 0, -1.0)
    tiles = list(product(range(0, len(others), 4 * _BATCH), range(0, len(rows), _BATCH)))
    block = np.empty((0, 0), np.float32)
    for there, here in track(tiles, "Comparing pixels", total=len(tiles)) if len(tiles) > 8 else tiles:
        if here == 0:
            block = _pixels(images, others[there : there + 4 * _BATCH])
        alike = _pixels(images, rows[here : here + _BATCH]) @ block.T
        one, other = np.unravel_index(alike.argmax(), alike.shape)
        best = max(best, (here + int(one), there + int(other), float(alike[one, other])), key=lambda found: found[2])
    return best


def _pixels(images: NDArray[np.uint8], rows: NDArray[np.intp]) -> NDArray[np.float32]:
    """Pixels of the cutouts at these rows as vectors of length 1."""
    height, width = (min(side, 64) for side in images.shape[1:3])
    small = [cv2.resize(images[row], (width, height), interpolation=cv2.INTER_AREA).ravel() for row in rows]
    return _unit(np.array(small, dtype=np.float32))
