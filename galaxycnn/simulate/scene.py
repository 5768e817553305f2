"""From a galaxy to a survey cutout: neighbours, seeing, sky noise, artefacts and the colour stretch."""

from __future__ import annotations

from functools import lru_cache
from typing import NamedTuple

import numpy as np
from astropy.visualization import make_lupton_rgb
from numpy.typing import NDArray
from scipy.fft import irfft2, rfft2

from galaxycnn.simulate.population import Galaxy
from galaxycnn.simulate.profiles import Array, band_fluxes, boxy_radius, galaxy_light, rotate, smooth_field

SUPERSAMPLING = 2
NATIVE_PIXEL = 0.396
"""Pixel of the survey's camera, arcseconds."""
SEEING_BY_BAND = np.array([0.95, 1.0, 1.08], dtype=np.float32)
"""Seeing in i, r, g relative to r."""
TYPICAL_RADIUS = 3.2
"""Half-light radius of a galaxy whose cutout is scaled as in Galaxy Zoo, arcseconds."""
REGISTRATION = 0.045
"""Scatter of each band's position, arcseconds."""
SKY_NOISE = np.array([0.029, 0.021, 0.016], dtype=np.float32)
"""Standard deviation of the sky in i, r, g per native pixel, nanomaggies per square arcsecond."""
BAND_SCALES = np.array([4.9, 5.6, 8.6], dtype=np.float32)
"""Weights of i, r, g in the colour image: those of the SDSS, matched to the colours of its JPEG cutouts."""
WASHES = (((1.2, 0.25, 0.13), 1.0), ((0.15, 0.22, 0.26), 0.1), ((0.4, 0.25, 0.15), 0.6))
"""Tints in i, r, g of frames lit by a bright star or the moon, and how steeply they brighten across."""
STRETCH, SOFTENING = 6.1, 9.0
"""Of the asinh stretch, matched to the brightness of the SDSS's JPEG cutouts."""
SKY_LEVEL = (-0.13, -0.13, -0.09)
"""What is black in red, green and blue: a little below the mean sky."""


def field_of_view(galaxy: Galaxy) -> float:
    """Side of the cutout in arcseconds.

    Galaxy Zoo scaled its cutouts to the Petrosian radius that holds 90 % of the light; the central
    256 of the Kaggle frame's 424 pixels span 5.12 of them. Here the frame follows the apparent size
    only as its power 0.8, so that near galaxies still look larger than distant ones.
    """
    seen = np.hypot(galaxy.radius, 0.4 * galaxy.seeing)
    concentration = 2.05 + 0.25 * galaxy.sersic_index if galaxy.kind == "elliptical" else 2.25
    return float(5.12 * concentration * TYPICAL_RADIUS * (seen / TYPICAL_RADIUS) ** 0.8)


class Partner(NamedTuple):
    """A second galaxy in the frame of a first, and how far to the right of it and above it, in arcseconds."""

    galaxy: Galaxy
    right: float
    above: float


def render(
    galaxy: Galaxy,
    image_size: int,
    rng: np.random.Generator,
    field: float | None = None,
    partner: Partner | None = None,
) -> NDArray[np.uint8]:
    """Draw the colour cutout of a galaxy.

    Args:
        galaxy: what to draw.
        image_size: side in pixels.
        rng: draws the irregular detail, the neighbours and the noise.
        field: side of the cutout in arcseconds; by default :func:`field_of_view`.
        partner: another galaxy in the same frame.

    Returns:
        Shape (image_size, image_size, 3), uint8, red, green and blue from i, r and g.

    Example:
        >>> from galaxycnn.simulate.population import draw_galaxy
        >>> rng = np.random.default_rng(3)
        >>> render(draw_galaxy(rng), 64, rng).shape
        (64, 64, 3)
    """
    field = field_of_view(galaxy) if field is None else field
    pixel = field / image_size
    margin = image_size // 8
    side = (image_size + 2 * margin) * SUPERSAMPLING
    x, y = _unit_grid(side)
    cell = np.float32(pixel / SUPERSAMPLING)
    x, y = x * cell, y * cell
    light = np.zeros((3, side, side), dtype=np.float32)
    if galaxy.kind not in ("star", "artifact"):
        light += galaxy_light(galaxy, x, y, rng)
    elif galaxy.kind == "star":
        _add_star(light, side / 2, side / 2, 10 ** rng.uniform(2.2, 3.6), rng.uniform(0, 1), float(cell))
    if partner is not None:
        light += galaxy_light(partner.galaxy, x - np.float32(partner.right), y - np.float32(partner.above), rng)
    _add_neighbours(light, galaxy, float(cell), rng)
    shifts = (rng.standard_normal((3, 2)) * REGISTRATION / cell).astype(np.float32)
    image = _blur(light, galaxy.seeing / float(cell), shifts)
    image = _bin(image)[:, margin:-margin, margin:-margin]
    image = image + _sky(image_size, pixel, rng)
    _add_defect(image, galaxy, rng)
    return _stretch(image)


@lru_cache(maxsize=8)
def _unit_grid(side: int) -> tuple[Array, Array]:
    """Coordinates in grid cells from the centre, x to the right and y upwards."""
    axis = (np.arange(side) - (side - 1) / 2).astype(np.float32)
    x, y = np.meshgrid(axis, -axis)
    return x, y


def _bin(image: Array) -> Array:
    """Means over squares of SUPERSAMPLING cells."""
    bands, side, _ = image.shape
    squares = image.reshape(bands, side // SUPERSAMPLING, SUPERSAMPLING, side // SUPERSAMPLING, SUPERSAMPLING)
    return np.einsum("bhiwj->bhw", squares) / np.float32(SUPERSAMPLING**2)


@lru_cache(maxsize=8)
def _frequencies(side: int) -> tuple[Array, Array, Array]:
    """Wave numbers down, across and in length, radians per cell, of the transform of a real image."""
    down = (2 * np.pi * np.fft.fftfreq(side)[:, None]).astype(np.float32)
    across = (2 * np.pi * np.fft.rfftfreq(side)[None]).astype(np.float32)
    return down, across, np.hypot(down, across)


def _blur(light: Array, seeing: float, shifts: Array) -> Array:
    """Convolve with a Moffat (1969) profile of β = 2.5, whose transform is (1 + a·k)·exp(-a·k).

    Args:
        seeing: full width at half maximum in r, grid cells.
        shifts: how far each band is out of register, down and across, shape (3, 2), grid cells.
    """
    side = light.shape[1]
    width = seeing * SEEING_BY_BAND / np.float32(2 * np.sqrt(2 ** (1 / 2.5) - 1))
    down, across, length = _frequencies(side)
    scaled = width[:, None, None] * length
    transfer = (1 + scaled) * np.exp(-scaled)
    phase = np.exp(-1j * shifts[:, 0, None, None] * down) * np.exp(-1j * shifts[:, 1, None, None] * across)
    return irfft2(rfft2(light) * (transfer * phase), s=(side, side))


def _add_star(light: Array, column: float, row: float, flux: float, redness: float, cell: float) -> None:
    """A point source: its flux (nanomaggies) is shared among the four nearest cells."""
    side = light.shape[1]
    left, top = int(np.floor(column)), int(np.floor(row))
    if not (0 <= left < side - 1 and 0 <= top < side - 1):
        return
    across, down = column - left, row - top
    g_r = 0.15 + 1.25 * redness
    r_i = 0.08 + 0.36 * g_r + 2.5 * max(0.0, redness - 0.75)
    bands = np.array([10 ** (0.4 * r_i), 1.0, 10 ** (-0.4 * g_r)], dtype=np.float32)[:, None, None] * np.float32(
        flux / cell**2
    )
    shares = np.outer([1 - down, down], [1 - across, across]).astype(np.float32)
    light[:, top : top + 2, left : left + 2] += bands * shares
    if flux > 300:
        _add_spikes(light, left, top, bands[:, 0, 0] * np.float32(0.001))


def _add_spikes(light: Array, column: int, row: int, bands: Array) -> None:
    """Diffraction spikes of a bright star, fading with distance, along rows and columns."""
    cells = np.arange(light.shape[1], dtype=np.float32)
    length = np.float32(0.05 * len(cells))
    for centre, line in ((column, light[:, row, :]), (row, light[:, :, column])):
        line += bands[:, None] * np.exp(-np.abs(cells - centre) / length)


def _add_neighbours(light: Array, galaxy: Galaxy, cell: float, rng: np.random.Generator) -> None:
    """Stars and small galaxies of the field, their counts rising towards the faint end."""
    side = light.shape[1]
    area = (side * cell / 60) ** 2
    for _ in range(min(25, rng.poisson(2.2 * area))):
        flux = 10 ** (0.15 + rng.exponential(0.52))
        column, row = rng.uniform(0, side, 2)
        _add_star(light, column, row, min(flux, 3000.0), rng.beta(1.1, 1.1), cell)
    x, y = _unit_grid(side)
    for _ in range(min(12, rng.poisson(2.2 * area + (0.6 if galaxy.kind == "elliptical" else 0.1)))):
        column, row = rng.uniform(0, side, 2).astype(int)
        flux, size = 10 ** (0.1 + rng.exponential(0.33)), rng.uniform(0.35, 1.1)
        reach = int(6 * size / cell) + 1
        rows, columns = slice(max(0, row - reach), row + reach), slice(max(0, column - reach), column + reach)
        near = rotate(
            (x[rows, columns] - x[row, column]) * np.float32(cell),
            (y[rows, columns] - y[row, column]) * np.float32(cell),
            rng.uniform(0, 180),
        )
        ratio = rng.uniform(0.4, 1.0)
        blob = np.exp(-boxy_radius(*near, ratio) / np.float32(size)) * np.float32(flux / (2 * np.pi * size**2 * ratio))
        light[:, rows, columns] += blob * band_fluxes(rng.beta(1, 2.5), rng.uniform(0.05, 0.35))


def _sky(image_size: int, pixel: float, rng: np.random.Generator) -> Array:
    """Sky noise: averaged down where a pixel covers several of the camera's, else smooth between them.

    Part of it is common to the bands, as the colour compression of the survey's JPEG leaves it.
    """
    smoothing = max(0.6, 0.55 * NATIVE_PIXEL / pixel)
    noise = smooth_field(rng, image_size, int(0.375 * image_size / smoothing), planes=4)
    noise = np.float32(0.8) * noise[3] + np.float32(0.6) * noise[:3]
    return noise * SKY_NOISE[:, None, None] * np.float32(min(1.0, NATIVE_PIXEL / pixel) * rng.lognormal(0, 0.25))


def _add_defect(image: Array, galaxy: Galaxy, rng: np.random.Generator) -> None:
    """Spoil a frame in place: a satellite trail, a wash of one colour, or noise only."""
    side = image.shape[1]
    along, across = rotate(*_unit_grid(side), rng.uniform(0, 360))
    if galaxy.defect == "trail":
        trail = np.exp(-(((across - rng.uniform(-0.15, 0.15) * side) / np.float32(rng.uniform(0.6, 1.3))) ** 2))
        image += trail * (rng.dirichlet([1, 1, 1]) * 10 ** rng.uniform(-0.3, 0.7)).astype(np.float32)[:, None, None]
    elif galaxy.defect == "wash":
        tint, slope = WASHES[rng.integers(len(WASHES))]
        glow = np.exp(np.float32(2 * slope / side) * along + np.float32(0.06) * smooth_field(rng, side, 5))
        grain = 1 + np.float32(0.2) * rng.standard_normal((3, side, side), dtype=np.float32)
        image += glow * grain * np.float32(10 ** rng.uniform(-0.9, -0.1)) * np.array(tint, np.float32)[:, None, None]
    elif galaxy.defect == "blank":
        image += rng.standard_normal((3, side, side), dtype=np.float32) * np.float32(rng.uniform(0.5, 2))


def _stretch(image: Array) -> NDArray[np.uint8]:
    """The asinh colour stretch of Lupton et al. (2004, PASP 116, 133)."""
    scaled = image * BAND_SCALES[:, None, None]
    return make_lupton_rgb(*scaled, minimum=SKY_LEVEL, stretch=STRETCH, Q=SOFTENING)
