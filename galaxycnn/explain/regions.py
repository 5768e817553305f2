"""Where in a cutout the galaxy is, where other sources are and where the sky, and how much of a map falls on each."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray
from scipy import ndimage

from galaxycnn.explain.network import Array, Images
from galaxycnn.measurements.ellipse import fit_ellipse, make_rings
from galaxycnn.measurements.sources import find_sources, subtract_sky

Mask = NDArray[np.bool_]

APERTURE = 1.5
"""How far a galaxy reaches, in Petrosian radii: what Lotz, Primack and Madau 2004 (AJ 128, 163) measure it within."""


class Regions(NamedTuple):
    """Masks of shape (galaxies, height, width) that share out the pixels."""

    galaxy: Mask
    other_sources: Mask
    sky: Mask

    def shares(self, attention: Array) -> dict[str, Array]:
        """How much of some attention falls on each region, and how much of the cutout the galaxy covers.

        Args:
            attention: shape (questions, galaxies, height, width), as :func:`attention_of` gives it.

        Returns:
            ``galaxy``, ``other_sources`` and ``sky``, which sum to 1 (NaN where a map is empty), and ``area``, each of
            shape (galaxies, questions).
        """
        shares = {name: (attention * mask).sum(axis=(2, 3)).T for name, mask in self._asdict().items()}
        area = self.galaxy.mean(axis=(1, 2), dtype=np.float32)
        return {**shares, "area": np.repeat(area[:, None], len(attention), axis=1)}


def find_regions(cutouts: Images) -> Regions:
    """The galaxy is the source in the middle and the ellipse of 1.5 Petrosian radii around it, but for other sources.

    Args:
        cutouts: uint8, shape (galaxies, height, width, 1 or 3).

    Example:
        >>> y, x = np.indices((64, 64)) - 31.5
        >>> light = 200 * np.exp(-np.hypot(x, y) / 4) + 150 * np.exp(-((x - 24) ** 2 + y**2) / 8)
        >>> regions = find_regions(light[None, :, :, None].astype(np.uint8))
        >>> [bool(mask[0, 31, 31 + right]) for mask in regions for right in (6, 24)]
        [True, False, False, True, False, False]
    """
    sky = subtract_sky(cutouts)
    side = float(np.sqrt(np.prod(cutouts.shape[1:3])))
    blur = max(0.75, side / 64)
    sources = find_sources(ndimage.gaussian_filter(sky.grey, (0, blur, blur)), sky.noise)
    light = np.where(sources.galaxy, sky.grey, 0).clip(0)
    ellipse = fit_ellipse(light, side)
    reach = APERTURE * make_rings(ellipse.radius, light).petrosian[:, None, None]
    other_sources = (sources.labels > 0) & ~sources.galaxy
    aperture = (ellipse.radius <= reach) & sources.galaxy.any(axis=(1, 2), keepdims=True)
    galaxy = (sources.galaxy | aperture) & ~other_sources
    return Regions(galaxy, other_sources, ~(galaxy | other_sources))


def attention_of(maps: Array) -> Array:
    """What of each map speaks for its answer, as shares that sum to 1 over the cutout (NaN where nothing does).

    Args:
        maps: shape (…, height, width).

    Example:
        >>> attention_of(np.array([[[1.0, -2.0], [0.0, 3.0]]])).tolist()
        [[[0.25, 0.0], [0.0, 0.75]]]
    """
    positive = np.maximum(maps, 0)
    total = positive.sum(axis=(-2, -1), keepdims=True)
    return np.divide(positive, total, out=np.full_like(positive, np.nan), where=total > 0)


def empty_sky(cutouts: Images) -> Array:
    """The cutouts without their sources: the median colour of the frame around each, everywhere."""
    sky = cutouts - subtract_sky(cutouts).bands
    return np.ascontiguousarray(sky[..., : cutouts.shape[-1]])
