"""How the light is distributed within a galaxy: concentration, asymmetry, clumpiness, Gini, M20, symmetry, colour."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray
from scipy import ndimage

from galaxycnn.measurements.arithmetic import PIXEL_VARIANCE, Array, Mask, mean_where, ratio, total
from galaxycnn.measurements.ellipse import Ellipse, make_rings

ZONES = {"inside": (0.0, 1.0), "outside": (1.0, 2.5)}
"""Inner and outer edge in half-light radii."""
REACH = 4
"""The centre of least asymmetry is looked for up to so many half pixels from the centre of light."""


def concentration(distance: Array, light: Array) -> Array:
    rings = make_rings(distance, light)
    r20, r80 = rings.radius(0.2), rings.radius(0.8)
    return 5 * np.log10(np.where(r20 > 0, ratio(r80, r20), 1))


def asymmetry(light: Array, ellipse: Ellipse, noise: Array | float = 0.0) -> Array:
    """The least over centres on whole and half pixels, where a turn by 180° needs no interpolation."""
    _, height, width = light.shape
    turned = np.pad(light, ((0, 0), (1, 1), (1, 1)))[
        np.arange(len(light))[:, None, None],
        _opposite(ellipse.y, height)[:, :, None],
        _opposite(ellipse.x, width)[:, None, :],
    ]
    moved = [
        total(np.abs(light - turned[:, down : down + height, right : right + width]))
        for down in range(2 * REACH + 1)
        for right in range(2 * REACH + 1)
    ]
    expected = total(light > 0) * noise * 2 / np.sqrt(np.pi)
    return ratio(np.min(moved, axis=0) - expected, total(light))


def _opposite(centre: Array, size: int) -> NDArray[np.intp]:
    """Which row of an array padded by 1 a turn about the centre brings to each; what comes from beyond is row 0."""
    twice = np.rint(2 * centre).astype(np.intp) + size - 1
    source = twice[:, None] + REACH - np.arange(size + 2 * REACH)
    return np.where((source >= 0) & (source < size), source + 1, 0)


def clumpiness(grey: Array, galaxy: Mask, radius: Array, petrosian: Array, noise: Array) -> Array:
    """Without the bright middle, up to a quarter of the Petrosian radius, and less what noise alone would show."""
    boxes = 2 * np.maximum(np.rint(petrosian / 8).astype(int), 1) + 1
    detail = np.empty_like(grey)
    for box in np.unique(boxes):
        chosen = boxes == box
        detail[chosen] = grey[chosen] - ndimage.uniform_filter(grey[chosen], (0, box, box))
    body = galaxy & (radius > 0.25 * petrosian[:, None, None])
    expected = total(body) * noise * np.sqrt((1 - 1 / boxes**2) / (2 * np.pi))
    return ratio(total(detail.clip(0) * body) - expected, total(grey * body))


def gini(light: Array, galaxy: Mask) -> Array:
    """Equation 6 of Lotz et al. (2004); pixels that are not the galaxy's are 0 and come first."""
    rising = np.sort(light.reshape(len(light), -1), axis=1)
    pixels = total(galaxy)
    rank = np.arange(rising.shape[1]) + 1 - (rising.shape[1] - pixels[:, None])
    return ratio(((2 * rank - pixels[:, None] - 1) * rising).sum(axis=1), total(light) * (pixels - 1))


def m20(light: Array, distance: Array) -> Array:
    """Equation 8 of Lotz et al. (2004); pixels as bright as the last of the fifth count in part."""
    light = light.reshape(len(light), -1)
    moments = light * (distance.reshape(light.shape) ** 2 + 2 * PIXEL_VARIANCE)
    falling = -np.sort(-light, axis=1)
    fifth = 0.2 * light.sum(axis=1)
    last = np.minimum((np.cumsum(falling, axis=1) < fifth[:, None]).sum(axis=1), light.shape[1] - 1)
    limit = falling[np.arange(len(light)), last][:, None]
    above, equal = light > limit, light == limit
    part = ratio(fifth - (light * above).sum(axis=1), (light * equal).sum(axis=1))
    of_fifth = (moments * above).sum(axis=1) + part * (moments * equal).sum(axis=1)
    share = ratio(of_fifth, moments.sum(axis=1))
    return np.log10(np.where(share > 0, share, 1))


def fourier(light: Array, ellipse: Ellipse, half: Array) -> dict[str, Array]:
    """Where the ellipse is stretched to a circle: 1 is lopsidedness, 2 a bar or two arms, 3 three arms, ...."""
    reach = ratio(ellipse.radius, half[:, None, None])
    measures, power = {}, np.ones_like(ellipse.direction)
    for m in (1, 2, 3, 4):
        power = power * ellipse.direction
        for zone, (inner, outer) in ZONES.items():
            part = light * ((reach > inner) & (reach <= outer))
            measures[f"fourier{m}_{zone}"] = ratio(np.abs(total(part * power)), total(part))
    return measures


def colours(bands: Array, galaxy: Mask, inside: Mask) -> dict[str, Array]:
    """A band counts with at least one unit of 255, so that every colour is finite."""
    measures = {}
    for zone, mask in {"inside": galaxy & inside, "outside": galaxy & ~inside}.items():
        red, green, blue = (2.5 * np.log10(np.maximum(mean_where(bands[..., i], mask), 1)) for i in range(3))
        measures[f"red_green_{zone}"] = red - green
        measures[f"green_blue_{zone}"] = green - blue
    return measures


def second_peak(smooth: Array, galaxy: Mask, distance: Array, half: Array) -> dict[str, Array]:
    """The brightest maximum beyond half a half-light radius: a companion, a knot, the end of a bar."""
    width = 2 * max(1, min(smooth.shape[1:]) // 32) + 1
    maxima = galaxy & (smooth == ndimage.maximum_filter(smooth, (0, width, width)))
    heights = np.where(maxima & (distance > 0.5 * half[:, None, None]), smooth, 0).reshape(len(smooth), -1)
    highest = heights.max(axis=1)
    nearest = np.where(heights == highest[:, None], distance.reshape(heights.shape), np.inf).min(axis=1)
    return {
        "second_peak": ratio(highest, (smooth * galaxy).max(axis=(1, 2))),
        "second_peak_distance": np.where(highest > 0, ratio(nearest, half), 0),
    }
