"""Sky, and the sources that stand out of it: the galaxy in the middle and its neighbours."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray
from scipy import ndimage

from galaxycnn.measurements.arithmetic import Array, Mask, grid, ratio
from galaxycnn.measurements.ellipse import Ellipse
from galaxycnn.robust import robust_deviation

FAINTEST = 2.0
"""Least brightness above the sky, of 255, that counts as a source."""
NOISE_LIMIT = 4.0
"""Least brightness in units of the noise."""
ISOPHOTE = 0.2
"""Least brightness in units of the peak in the middle: the outline of a galaxy does not change with its brightness,
and faint light between a galaxy and its neighbour does not join them."""


class Sky(NamedTuple):
    """Cutouts less their background."""

    bands: Array  # (galaxies, height, width, 3)
    grey: Array  # (galaxies, height, width): their mean
    level: Array  # (galaxies,)
    noise: Array  # (galaxies,)


def subtract_sky(cutouts: NDArray[np.uint8]) -> Sky:
    """Median and scaled median deviation of a frame along the edges: a star in it moves neither."""
    pixels = np.broadcast_to(cutouts, (*cutouts.shape[:3], 3)).astype(np.float32)
    frame = np.ones(cutouts.shape[1:3], dtype=bool)
    width = max(1, min(frame.shape) // 16)
    frame[width:-width, width:-width] = False
    level = np.median(pixels[:, frame], axis=1)
    bands = pixels - level[:, None, None]
    grey = bands.mean(axis=-1)
    edge = grey[:, frame]
    return Sky(bands, grey, level.mean(axis=1), robust_deviation(edge, axis=1))


class Sources(NamedTuple):
    """Connected regions above the isophote."""

    labels: NDArray[np.int32]  # (galaxies, height, width); 0 is sky
    owner: NDArray[np.intp]  # (labels,): the cutout that each lies in
    target: NDArray[np.intp]  # (galaxies,): the label of the galaxy, 0 for none

    @property
    def galaxy(self) -> Mask:
        """The pixels of the galaxies, (galaxies, height, width)."""
        target = self.target[:, None, None]
        return np.asarray((self.labels == target) & (target > 0))


def find_sources(smooth: Array, noise: Array) -> Sources:
    """The galaxy is the source with most light within an eighth of the side from the middle."""
    y, x = grid(smooth)
    middle = smooth * (np.hypot(y[:, None], x) <= min(smooth.shape[1:]) / 8)
    threshold = np.maximum(np.maximum(FAINTEST, NOISE_LIMIT * noise), ISOPHOTE * middle.max(axis=(1, 2)))
    within_a_cutout = np.zeros((3, 3, 3), dtype=int)
    within_a_cutout[1] = 1
    labels, count = ndimage.label(smooth > threshold[:, None, None], within_a_cutout)
    owner = np.zeros(count + 1, dtype=np.intp)
    owner[labels] = np.arange(len(labels))[:, None, None]
    return Sources(labels, owner, _brightest(_light(labels, middle, count + 1), owner, len(labels)))


def _light(labels: NDArray[np.int32], image: Array, count: int) -> Array:
    """Sum over the pixels of each label, none for the sky."""
    light = np.bincount(labels.ravel(), image.ravel(), count)
    light[0] = 0
    return light


def _brightest(light: Array, owner: NDArray[np.intp], cutouts: int) -> NDArray[np.intp]:
    """The label with most light in each cutout, 0 where none has any."""
    brightest = np.zeros(cutouts, dtype=np.intp)
    rising = np.argsort(light)
    rising = rising[light[rising] > 0]
    brightest[owner[rising]] = rising
    return brightest


def neighbours(sources: Sources, grey: Array, ellipse: Ellipse, side: float) -> dict[str, Array]:
    """How many other sources there are, and the light and distance of the brightest."""
    count = len(sources.owner)
    light = _light(sources.labels, grey, count)
    galaxy = light[sources.target]
    light[sources.target] = 0
    other = _brightest(light, sources.owner, len(grey))
    y, x = (np.broadcast_to(axis, grey.shape) for axis in np.ix_(*grid(grey)))
    right, down = (ratio(_light(sources.labels, grey * axis, count), light)[other] for axis in (x, y))
    found = other > 0
    return {
        "neighbours": np.bincount(sources.owner[light > 0], minlength=len(grey)),
        "neighbour_light": np.where(found, ratio(light[other], galaxy).clip(0, 10), 0),
        "neighbour_distance": np.where(found, np.hypot(right - ellipse.x, down - ellipse.y) / side, 1),
    }
