"""Centre, ellipse and rings of a galaxy's light."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np

from galaxycnn.measurements.arithmetic import PIXEL_VARIANCE, Array, grid, ratio, total


class Ellipse(NamedTuple):
    """Centre, shape and direction of the light, and every pixel's place in it; lengths in pixels."""

    x: Array  # of the centre, from the middle of the cutout to the right, (galaxies,)
    y: Array  # the same, downwards
    angle: Array  # of the major axis, degrees
    axis_ratio: Array
    minor_axis: Array  # standard deviation of the light along it
    distance: Array  # of every pixel from the centre, (galaxies, height, width)
    radius: Array  # semi-major axis of the ellipse through every pixel
    direction: Array  # to every pixel, where the ellipse is stretched to a circle: complex, of length 1


def fit_ellipse(light: Array, side: float) -> Ellipse:
    """Second moments around the centre."""
    y, x = grid(light)
    row, column = _centre(light, y, x, side / 12)
    down, right = y - row[:, None], x - column[:, None]
    xx = ratio(np.einsum("nhw,nw->n", light, right**2), total(light))
    yy = ratio(np.einsum("nhw,nh->n", light, down**2), total(light))
    xy = ratio((np.einsum("nhw,nw->nh", light, right) * down).sum(axis=1), total(light))
    mean, spread = (xx + yy) / 2, np.hypot((xx - yy) / 2, xy)
    major, minor = (np.sqrt(np.maximum(variance, PIXEL_VARIANCE)) for variance in (mean + spread, mean - spread))
    axis_ratio = minor / major
    angle = np.arctan2(-2 * xy, xx - yy) / 2
    offset = (right[:, None, :] - 1j * down[:, :, None]).astype(np.complex64)
    along = offset * np.exp(-1j * angle)[:, None, None].astype(np.complex64)
    circle = along.real + 1j * along.imag / axis_ratio[:, None, None].astype(np.float32)
    radius = np.abs(circle)
    direction = np.divide(circle, radius, out=np.zeros_like(circle), where=radius > 0)
    return Ellipse(column, row, np.degrees(angle), axis_ratio, minor, np.abs(offset), radius, direction)


def _centre(light: Array, y: Array, x: Array, width: float) -> tuple[Array, Array]:
    """Mean row and column under a Gaussian window that follows them, so that a companion does not pull them away
    (the windowed centroid of SExtractor, Bertin and Arnouts 1996, A&AS 117, 393)."""
    row, column = np.zeros(len(light)), np.zeros(len(light))
    for _ in range(8):
        down = np.exp(-(((y - row[:, None]) / width) ** 2) / 2)
        right = np.exp(-(((x - column[:, None]) / width) ** 2) / 2)
        rows = np.einsum("nhw,nw->nh", light, right) * down
        columns = np.einsum("nhw,nh->nw", light, down) * right
        row, column = ratio(rows @ y, rows.sum(axis=1)), ratio(columns @ x, columns.sum(axis=1))
    return row, column


class Rings(NamedTuple):
    """Rings one pixel wide around the centre; ring k is k pixels from it."""

    mean: Array  # light per pixel, (galaxies, rings)
    growth: Array  # light of all rings up to each, (galaxies, rings)
    edges: Array  # (rings + 1,)

    def radius(self, share: float) -> Array:
        """Radius in pixels that holds this share of the light, 0 where there is none."""
        wanted = share * self.growth[:, -1]
        ring, row = (self.growth < wanted[:, None]).sum(axis=1), np.arange(len(wanted))
        before = np.where(ring > 0, self.growth[row, ring - 1], 0)
        part = ratio(wanted - before, self.growth[row, ring] - before)
        inner, outer = self.edges[ring] ** 2, self.edges[ring + 1] ** 2
        return np.asarray(np.where(wanted > 0, np.sqrt(inner + part * (outer - inner)), 0))

    @property
    def petrosian(self) -> Array:
        """Radius in pixels of the ring whose light is a fifth of the mean within it, 0 where there is none."""
        share = ratio(self.mean, self.growth / (np.pi * self.edges[1:] ** 2))
        share[self.growth == 0] = 1  # rings in the middle that are narrower than a pixel
        ring, row = np.maximum((share < 0.2).argmax(axis=1), 1), np.arange(len(share))
        before, after = share[row, ring - 1], share[row, ring]
        return np.asarray(np.where(before > 0, ring - 1 + ratio(before - 0.2, before - after), 0))


def make_rings(radius: Array, light: Array) -> Rings:
    """The light at each radius: every pixel is shared out between the two rings next to it."""
    galaxies, count = len(radius), 2 * max(radius.shape[1:])
    place = np.minimum(radius.reshape(galaxies, -1), count - 2)
    inner = place.astype(np.intp)
    share = place - inner
    index = (inner + count * np.arange(galaxies)[:, None]).ravel()

    def in_rings(weights: Array) -> Array:
        sums = np.bincount(index, ((1 - share) * weights).ravel(), galaxies * count)
        sums += np.bincount(index + 1, (share * weights).ravel(), galaxies * count)
        return sums.reshape(galaxies, count)

    mean = ratio(in_rings(light.reshape(galaxies, -1)), in_rings(np.ones(1, dtype=np.float32)))
    edges = np.concatenate([[0], np.arange(count) + 0.5])
    return Rings(mean, np.cumsum(mean * np.pi * np.diff(edges**2), axis=1), edges)
