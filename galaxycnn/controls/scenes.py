"""Cutouts taken apart into the source in the middle and the sky around it, to be put together in other ways."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Any

import cv2
import numpy as np
from numpy.typing import NDArray
from scipy import ndimage

from galaxycnn.data.augmentation import affine_matrices, warp
from galaxycnn.measurements.ellipse import fit_ellipse, make_rings
from galaxycnn.measurements.sources import FAINTEST, NOISE_LIMIT, find_sources, subtract_sky
from galaxycnn.robust import robust_deviation

Images = NDArray[np.uint8]
Floats = NDArray[Any]
Mask = NDArray[np.bool_]

FADED = 0.5, 0.03
"""A source ends at the first ring whose median is less than this above the sky: in units of the noise of a pixel, and
of its peak, whichever is more."""

MARGIN = 1.1
"""And so many times as far, for what is fainter still."""

UNSEEN = 1 / 8
"""How far a source reaches that is too faint to be found, in sides: where one is looked for."""

SCARCE = 0.1
"""A cutout of which less than this is sky shows none: what lies in its corners is light of the source, too."""

FAR_OUT = 3.0
"""A source fills its cutout where the sky is brighter than in three of four others by more than this, in units of the
range of half of them (Tukey 1977, Exploratory Data Analysis, section 2D)."""

PIECES = 16
"""How many pieces of its sky are laid over a source."""


@dataclass(frozen=True)
class Scenes:
    """Sources on their skies; each array has one entry for every cutout.

    Attributes:
        cutouts: uint8, shape (galaxies, height, width, channels).
        share: how far each pixel belongs to the source, from 1 on it to 0, (galaxies, height, width).
        level: median of the sky, (galaxies, channels).
        radius: half-light radius of the source, in pixels along its major axis, (galaxies,); 0 where none was found.
        sky: the cutouts without their source, of the shape of ``cutouts``.
        bare: whether a cutout shows so little sky that ``sky`` and ``level`` are those of another one, (galaxies,).
    """

    cutouts: Images
    share: Floats
    level: Floats
    radius: Floats
    sky: Images
    bare: Mask

    @classmethod
    def of(cls, cutouts: Images, generator: np.random.Generator) -> Scenes:
        """Take ``cutouts`` apart; ``generator`` decides which pieces of its sky are laid over a source.

        All that lies within the outline of a source goes with it, also a star in front of it.

        Example:
            >>> y, x = np.indices((64, 64)) - 31.5
            >>> light = 200 * np.exp(-np.hypot(x, y) / 4) + np.random.default_rng(0).normal(20, 3, (64, 64))
            >>> scenes = Scenes.of(light[None, :, :, None].clip(0, 255).astype(np.uint8), np.random.default_rng(0))
            >>> [round(float(images[0, 28:36, 28:36].mean()), -1) for images in (scenes.cutouts, scenes.sky)]
            [120.0, 20.0]
        """
        share, clear, radius = _found(cutouts)
        level = np.stack([np.median(image[mask], axis=0) for image, mask in zip(cutouts, clear, strict=True)])
        pieces = _pieces(cutouts, share > 0, clear, generator)
        sky = _blend(pieces - level[:, None, None], cutouts - level[:, None, None], share, level)
        bright = _far_out(level.mean(axis=1))
        share[bright] = 1
        bare = (share == 0).mean(axis=(1, 2)) < SCARCE
        if not bare.all():
            others = generator.choice(np.flatnonzero(~bare), np.count_nonzero(bare))
            sky[bare], level[bare] = sky[others], level[others]
        return cls(cutouts, share, level, radius, sky, bare)

    @property
    def light(self) -> Floats:
        """What is brighter than the sky, shape (galaxies, height, width, channels)."""
        return self.cutouts - self.level[:, None, None]

    @property
    def flux(self) -> Floats:
        """Light of each source, the mean of its channels, shape (galaxies,)."""
        return np.asarray((self.light.mean(axis=-1) * self.share).sum(axis=(1, 2)))

    def on(self, sky: Images, level: Floats) -> Images:
        """The sources on other skies, whose levels are ``level``."""
        return _blend(self.light, sky - level[:, None, None], self.share, level)

    def brightened(self, factor: Floats) -> Images:
        """The cutouts with sources so many times as bright, up to white."""
        gain = 1 + self.share * (factor[:, None, None] - 1)
        return _pixels(self.light * gain[..., None] + self.level[:, None, None])

    def zoomed(self, factor: Floats) -> Images:
        """The cutouts with sources so many times as large, on the same skies."""
        matrices = affine_matrices(self.cutouts.shape[1:], zoom=1 / factor)
        share = self.share * _faded(_middle(self.cutouts), _edge(self.cutouts))
        zoomed = warp(np.rint(255 * share).astype(np.uint8)[..., None], matrices, "constant")[..., 0] / 255
        large = replace(self, cutouts=warp(self.cutouts, matrices, "nearest"), share=zoomed)
        return large.on(self.sky, self.level)


def _found(cutouts: Images) -> tuple[Floats, Mask, Floats]:
    """The share of the sources, the pixels of clear sky, both (galaxies, height, width), half-light radii in pixels."""
    side = float(np.sqrt(np.prod(cutouts.shape[1:3])))
    blur = max(0.75, side / 64)
    sky = subtract_sky(cutouts)
    smooth = ndimage.gaussian_filter(sky.grey, (0, blur, blur))
    sources = find_sources(smooth, sky.noise)
    light = np.where(sources.galaxy, sky.grey, 0).clip(0)
    ellipse = fit_ellipse(light, side)
    half = make_rings(ellipse.radius, light).radius(0.5)

    corner, dark, noise = _dark_corner(sky.grey)
    faintest = dark + np.maximum(FADED[0] * noise, FADED[1] * (smooth * sources.galaxy).max(axis=(1, 2)))
    above = make_rings(ellipse.radius, (sky.grey > faintest[:, None, None]).astype(np.float32)).mean
    faded = (above <= 0.5) & (np.arange(above.shape[1]) > half[:, None])
    reach = np.where(sources.target > 0, MARGIN * faded.argmax(axis=1), UNSEEN * side)
    source = (ellipse.radius <= reach[:, None, None]) | sources.galaxy

    share = np.stack([_faded(each, _edge(cutouts)) for each in source])
    clear = (share == 0) & (smooth < (dark + np.maximum(FAINTEST, NOISE_LIMIT * noise))[:, None, None])
    filled = ~clear.any(axis=(1, 2))
    clear[filled] = corner[filled]
    return share, clear, half


def _dark_corner(grey: Floats) -> tuple[Mask, Floats, Floats]:
    """The second darkest corner of each image, which a galaxy or a star hardly reaches: pixels, median and noise."""
    height, width = grey.shape[1:]
    corner = np.zeros((height, width), bool)
    corner[: max(1, height // 6), : max(1, width // 6)] = True
    corners = np.stack([corner, corner[::-1], corner[:, ::-1], corner[::-1, ::-1]])
    pixels = np.stack([grey[:, corner] for corner in corners])
    medians = np.median(pixels, axis=2)
    chosen, row = medians.argsort(axis=0)[1], np.arange(len(grey))
    median = medians[chosen, row]
    return corners[chosen], median, robust_deviation(pixels[chosen, row], axis=1)


def _far_out(level: Floats) -> Mask:
    """The cutouts that a source fills to the edge, so that its light passes for the level of the sky."""
    quarter, three_quarters = np.percentile(level, [25, 75])
    return np.asarray(level > three_quarters + FAR_OUT * max(three_quarters - quarter, 1))


def _edge(cutouts: Images) -> int:
    """How many pixels wide sources and skies are blended."""
    return max(1, min(cutouts.shape[1:3]) // 16)


def _middle(cutouts: Images) -> Mask:
    """All of a cutout but a frame as wide as :func:`_edge`."""
    edge = _edge(cutouts)
    middle = np.zeros(cutouts.shape[1:3], bool)
    middle[edge:-edge, edge:-edge] = True
    return middle


def _faded(mask: Mask, width: int) -> NDArray[np.float32]:
    """1 on the mask, falling to 0 over ``width`` pixels around it."""
    if mask.all() or not mask.any():
        return mask.astype(np.float32)
    distance = cv2.distanceTransform((~mask).astype(np.uint8), cv2.DIST_L2, cv2.DIST_MASK_5)
    return np.cos(np.pi * np.minimum(distance / (width + 1), 1)).astype(np.float32) / 2 + np.float32(0.5)


def _blend(light: Floats, sky: Floats, share: Floats, level: Floats) -> Images:
    """Light and sky, both without their levels, mixed so that noise is as strong where they meet as elsewhere."""
    share = share[..., None]
    return _pixels((share * light + (1 - share) * sky) / np.hypot(share, 1 - share) + level[:, None, None])


def _pixels(values: Floats) -> Images:
    return np.rint(values).clip(0, 255).astype(np.uint8)


def _pieces(cutouts: Images, wanted: Mask, clear: Mask, generator: np.random.Generator) -> Images:
    """The cutouts with clear sky of their own where ``wanted``.

    It comes in whole pieces, by moving the cutout, so that it keeps the grain that JPEG and resizing give it; single
    pixels drawn at random fill what they leave open.
    """
    filled, wanted = cutouts.copy(), wanted.copy()
    for _ in range(PIECES):
        move = generator.integers(wanted.shape[1:])
        here = wanted & np.roll(clear, move, axis=(1, 2))
        filled[here] = np.roll(cutouts, move, axis=(1, 2))[here]
        wanted &= ~here
    for image, original, left, pixels in zip(filled, cutouts, wanted, clear, strict=True):
        image[left] = generator.choice(original[pixels], np.count_nonzero(left))
    return filled
