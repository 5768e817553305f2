"""What may be wrong with an image, found in its pixels.

A network answers all the same, and its answers may mean little. Limits were set on real cutouts: of 1,200 of the Galaxy
Challenge, 1,200 of Galaxy Zoo 1 and 1,200 nearby spirals none is ``saturated``, and about one per cent of each are
``off_centre``.
"""

from __future__ import annotations

import cv2
import numpy as np
from numpy.typing import NDArray
from PIL import Image
from scipy import ndimage

from galaxycnn.data.cutouts import Box, is_blank
from galaxycnn.measurements.arithmetic import grid
from galaxycnn.measurements.sources import find_sources, subtract_sky
from galaxycnn.predicting.opening import Opened

FLAGS = {
    "unreadable": "no picture in the file; `reason` says why, and there are no predictions",
    "empty": "nothing stands out of the sky, or the middle is a single colour",
    "off_centre": "no source in the middle, or one whose light is centred elsewhere",
    "saturated": "pixels at the end of their range: white, or a plateau of fluxes",
    "too_small": "fewer pixels than the network takes, or than were cut out in training",
    "missing_pixels": "pixels that are no numbers",
    "atypical": "further from the training galaxies than 99 % of galaxies like them; only where the model knows",
}
"""Every flag, and what it says."""

WHITE = 254
"""All channels from this brightness on: a picture's pixel is saturated."""
SATURATED = 0.001
"""Share of such pixels from which on a cutout is flagged."""
MISSING = 0.01
"""Share of missing pixels from which on a cutout is flagged."""
OFF_CENTRE = 0.15
"""Largest distance of the galaxy's light from the middle, in sides of the cutout."""
SIDE = 64
"""Larger cutouts are looked at in this size."""


def flags_of_image(opened: Opened, box: Box, network_side: int, crop_size: int | None) -> list[str]:
    """What is wrong with the pixels of an image within ``box``.

    Args:
        network_side: the shorter side of the cutout that the network takes.
        crop_size: side of the centre that was cut out in training; None for whole images.
    """
    left, top, right, bottom = box
    side, found = min(right - left, bottom - top), []
    if _share(opened.ceiling, box) > SATURATED or (opened.ceiling is None and _white(opened.image, box) > SATURATED):
        found.append("saturated")
    if side < max(network_side, crop_size or 0):
        found.append("too_small")
    if _share(opened.missing, box) > MISSING:
        found.append("missing_pixels")
    return found


def _share(mask: NDArray[np.bool_] | None, box: Box) -> float:
    left, top, right, bottom = box
    return 0.0 if mask is None else float(mask[top:bottom, left:right].mean())


def _white(image: Image.Image, box: Box) -> float:
    """The share of white pixels; what its brightest pixel says first spares most images the rest."""
    part = image.crop(box).convert("RGB" if image.mode not in ("L", "RGB") else image.mode)
    bands = part.getextrema()
    tops = [top for _, top in bands] if isinstance(bands[0], tuple) else [bands[1]]
    if min(tops) < WHITE:
        return 0.0
    pixels = np.asarray(part)
    return float((pixels >= WHITE).reshape(*pixels.shape[:2], -1).all(axis=2).mean())


def flags_of_cutouts(cutouts: NDArray[np.uint8]) -> list[list[str]]:
    """Whether each cutout shows a galaxy in its middle.

    Args:
        cutouts: shape (galaxies, height, width, 1 or 3).

    Example:
        >>> y, x = np.indices((64, 64)) - 31.5
        >>> galaxy = (200 * np.exp(-np.hypot(x, y) / 5)).astype(np.uint8)
        >>> shown = np.stack([galaxy, np.roll(galaxy, 20, axis=1), np.zeros_like(galaxy)])[..., None]
        >>> flags_of_cutouts(shown)
        [[], ['off_centre'], ['empty']]
    """
    small = np.stack([_small(cutout) for cutout in cutouts])
    sky = subtract_sky(small)
    smooth = ndimage.gaussian_filter(sky.grey, (0, 1, 1))
    sources = find_sources(smooth, sky.noise)
    anywhere = np.bincount(sources.owner[1:], minlength=len(small)) > 0
    light = np.where(sources.galaxy, sky.grey.clip(0), 0)
    total = np.maximum(light.sum(axis=(1, 2)), 1e-9)
    y, x = grid(light)
    across, down = (light.sum(axis=1) * x).sum(axis=1) / total, (light.sum(axis=2) * y).sum(axis=1) / total
    off = np.hypot(across / small.shape[2], down / small.shape[1]) > OFF_CENTRE
    off |= sources.target == 0
    return [
        ["empty"] if is_blank(cutout) or not some else (["off_centre"] if away else [])
        for cutout, some, away in zip(cutouts, anywhere, off, strict=True)
    ]


def _small(cutout: NDArray[np.uint8]) -> NDArray[np.uint8]:
    height, width, channels = cutout.shape
    size = min(width, SIDE), min(height, SIDE)
    small = cutout if size == (width, height) else cv2.resize(cutout, size, interpolation=cv2.INTER_AREA)
    return small.reshape(size[1], size[0], channels)
