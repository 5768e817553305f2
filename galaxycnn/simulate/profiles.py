"""The light of one galaxy: bulge, disk, arms, bar, ring, dust, companion, in the bands i, r and g.

Everything works on float32 coordinate grids in arcseconds and gives surface brightness in
nanomaggies per square arcsecond, before blurring and noise.
"""

from __future__ import annotations

from functools import lru_cache

import numpy as np
from numpy.typing import NDArray
from scipy.fft import irfft2
from scipy.special import gamma, gammaincinv, k1

from galaxycnn.simulate.population import Galaxy

Array = NDArray[np.floating]

DUST_OPACITY = np.array([0.75, 1.0, 1.35], dtype=np.float32)[:, None, None]
"""Optical depth in i, r, g relative to r."""


def band_fluxes(star_formation: float, redshift: float) -> Array:
    """Fluxes in i, r and g relative to r, of shape (3, 1, 1), for a stellar population at a redshift.

    Colours go from those of an old population (g-r 0.80, r-i 0.37) to those of a starburst, and
    redden with redshift as the 4000 Å break moves through g (K-corrections after Chilingarian et
    al. 2010, MNRAS 405, 1409, straightened).
    """
    g_r = 0.80 - 0.77 * star_formation + (2.3 - 1.9 * star_formation) * redshift
    r_i = 0.37 - 0.37 * star_formation + 0.5 * redshift
    return np.array([10 ** (0.4 * r_i), 1.0, 10 ** (-0.4 * g_r)], dtype=np.float32)[:, None, None]


@lru_cache(maxsize=16)
def _envelope(side: int, blobs: int) -> Array:
    """Amplitudes of the lowest Fourier modes of a smooth field, half of its plane."""
    modes = np.hypot(np.fft.fftfreq(side, 1 / side)[:, None], np.arange(min(2 * blobs, side // 2)))
    envelope = np.exp(-((modes / (0.6 * blobs)) ** 2))
    envelope[0, 0] = 0
    return (envelope * side**2 / np.sqrt(4 * (envelope**2).sum())).astype(np.float32)


def smooth_field(rng: np.random.Generator, side: int, blobs: int, planes: int = 1) -> Array:
    """Smooth periodic random fields, each about N(0, 1), with ``blobs`` bumps per side.

    Returns:
        Shape (planes, side, side), or (side, side) for one plane.
    """
    envelope = _envelope(side, blobs)
    spectrum = np.zeros((planes, side, side // 2 + 1), dtype=np.complex64)
    modes = rng.standard_normal((planes, *envelope.shape, 2), dtype=np.float32).view(np.complex64)[..., 0]
    spectrum[:, :, : envelope.shape[1]] = modes * envelope
    return irfft2(spectrum[0] if planes == 1 else spectrum, s=(side, side))


def rotate(x: Array, y: Array, degrees: float) -> tuple[Array, Array]:
    """Coordinates along and across a direction ``degrees`` counter-clockwise from x."""
    cosine, sine = np.float32(np.cos(np.radians(degrees))), np.float32(np.sin(np.radians(degrees)))
    return x * cosine + y * sine, y * cosine - x * sine


def boxy_radius(x: Array, y: Array, axis_ratio: float, power: float = 2.0) -> Array:
    """Radius of the (super)ellipse through each point, along its major axis; 2 is an ellipse, 3 a box."""
    ratio = np.float32(axis_ratio)
    if power == 2.0:
        return np.sqrt(x * x + (y / ratio) ** 2)
    return ((np.abs(x) ** power + np.abs(y / ratio) ** power) ** np.float32(1 / power)).astype(np.float32)


def sersic(radius: Array, half_light: float, index: float, softening: float) -> Array:
    """A Sérsic (1968) profile of unit total flux for circular isophotes, softened inside one grid cell."""
    b = gammaincinv(2 * index, 0.5)
    total = 2 * np.pi * index * half_light**2 * np.exp(b) * b ** (-2 * index) * gamma(2 * index)
    scaled = np.sqrt(radius * radius + np.float32(softening**2)) / np.float32(half_light)
    return np.exp(np.float32(-b) * (scaled ** np.float32(1 / index) - 1)) / np.float32(total)


def slab(x: Array, z: Array, scale: float, height: float) -> Array:
    """An exponential disk seen from the side, of unit flux: R·K1(R) times sech² (van der Kruit & Searle 1981)."""
    table = np.linspace(1e-3, 12, 600)
    along = np.interp(np.abs(x) / scale, table, table * k1(table), right=0).astype(np.float32)
    across = 1 / np.cosh(np.clip(z / np.float32(height), -20, 20)) ** 2
    return along * across / np.float32(np.pi * scale * 2 * height)


def galaxy_light(galaxy: Galaxy, x: Array, y: Array, rng: np.random.Generator) -> Array:
    """Surface brightness of a galaxy with all its parts and its companion, shape (3, H, W): i, r, g.

    Args:
        x, y: coordinates relative to the galaxy's centre, arcseconds, y upwards.
        rng: draws the irregular detail (star-forming knots, flocculence).
    """
    flux = 2 * np.pi * galaxy.radius**2 * 10 ** (-0.4 * (galaxy.apparent_surface_brightness - 22.5))
    if galaxy.disturbance:
        x, y = _bent(galaxy, x, y, rng)
    body = {"disk": _disk_galaxy, "irregular": _irregular}.get(galaxy.kind, _elliptical)
    light = body(galaxy, *rotate(x, y, galaxy.position_angle), rng)
    if galaxy.disturbance:
        light = light + _tidal_tail(galaxy, x, y, galaxy.companion_angle)
    if galaxy.companion:
        light = light + _companion(galaxy, x, y)
    if galaxy.arc:
        light = light + _arc(galaxy, x, y)
    return light * np.float32(flux)


def _elliptical(galaxy: Galaxy, x: Array, y: Array, rng: np.random.Generator) -> Array:
    radius = boxy_radius(x, y, galaxy.axis_ratio)
    light = sersic(radius, galaxy.radius, galaxy.sersic_index, _cell(x, y)) / np.float32(galaxy.axis_ratio)
    colours = band_fluxes(galaxy.star_formation * 0.5, galaxy.redshift)
    return light * colours * _dust_lane(galaxy, x, y, 0.08)


def _cell(x: Array, y: Array) -> float:
    """Distance between neighbouring points of a grid."""
    return float(np.hypot(x[0, 1] - x[0, 0], y[0, 1] - y[0, 0]))


def _disk_galaxy(galaxy: Galaxy, x: Array, y: Array, rng: np.random.Generator) -> Array:
    disk = _slab_disk(galaxy, x, y, rng) if galaxy.edge_on else _tilted_disk(galaxy, x, y, rng)
    light = disk * np.float32(1 - galaxy.bulge_fraction)
    if galaxy.bulge_fraction:
        roundness = 0.62 if galaxy.edge_on else max(0.62, galaxy.apparent_axis_ratio)
        radius = boxy_radius(x, y, roundness, 3.2 if galaxy.edge_on and galaxy.bulge_shape == "boxy" else 2.0)
        size = galaxy.bulge_radius * galaxy.radius
        bulge = sersic(radius, size, galaxy.sersic_index, _cell(x, y)) / np.float32(roundness)
        light = light + bulge * band_fluxes(0.35 * galaxy.star_formation, galaxy.redshift) * np.float32(
            galaxy.bulge_fraction
        )
    return light * _dust_lane(galaxy, x, y, 0.06) if galaxy.edge_on else light


def _slab_disk(galaxy: Galaxy, x: Array, y: Array, rng: np.random.Generator) -> Array:
    scale = 0.8 * galaxy.radius / 1.678
    height = 1.5 * galaxy.axis_ratio * scale
    clumps = 1 + np.float32(0.25 * galaxy.star_formation) * smooth_field(rng, len(x), 24)
    old = slab(x, y, scale, height) * band_fluxes(0.6 * galaxy.star_formation, galaxy.redshift)
    young = slab(x, y, 1.15 * scale, 0.65 * height) * clumps * band_fluxes(galaxy.star_formation, galaxy.redshift)
    return np.float32(0.35) * (old + young) * _truncation(np.abs(x), 4.0 * scale, 0.5 * scale)


def _truncation(radius: Array, end: float, width: float) -> Array:
    """1 inside and 0 outside of ``end``, with a soft edge."""
    return 1 / (1 + np.exp(np.clip((radius - np.float32(end)) / np.float32(width), -20, 20)))


def _tilted_disk(galaxy: Galaxy, x: Array, y: Array, rng: np.random.Generator) -> Array:
    """An old exponential disk, a wider young one that arms, ring and knots shape, and a bar."""
    ratio = galaxy.apparent_axis_ratio
    y = y / np.float32(ratio)
    radius = np.sqrt(x * x + y * y)
    reach = radius / np.float32(galaxy.radius)
    scale = galaxy.radius / 1.678
    colours = band_fluxes(0.55 * galaxy.star_formation, galaxy.redshift)
    pattern = min(1.0, galaxy.arm_strength + galaxy.ring)
    old = _exponential(radius, scale, ratio) * np.float32(1 - 0.4 * pattern)
    shape = np.full_like(radius, 0.25 * (1 - 0.8 * pattern))
    if galaxy.arms:
        shape += np.float32(2.4 * galaxy.arm_strength) * _arms(galaxy, x, y, reach, rng)
    if galaxy.ring:
        shape += np.float32(2.2 * galaxy.ring) * np.exp(-(((reach - np.float32(1.35)) / np.float32(0.18)) ** 2))
    shape *= np.exp(np.float32(0.15 + 0.3 * galaxy.flocculence) * smooth_field(rng, len(x), 32))
    young = _exponential(radius, 1.3 * scale, ratio) * shape * np.float32(0.4 + 0.6 * galaxy.star_formation)
    light = old * colours + young * band_fluxes(min(1.0, 0.3 + 0.75 * galaxy.star_formation), galaxy.redshift)
    if galaxy.bar_length:
        light = light + _bar(galaxy, x, y, ratio) * band_fluxes(0.3 * galaxy.star_formation, galaxy.redshift)
    return light * _truncation(reach, 2.6, 0.25)


def _exponential(radius: Array, scale: float, axis_ratio: float) -> Array:
    """An exponential disk of unit flux."""
    return np.exp(radius / np.float32(-scale)) / np.float32(2 * np.pi * scale**2 * axis_ratio)


def _arms(galaxy: Galaxy, x: Array, y: Array, reach: Array, rng: np.random.Generator) -> Array:
    """Contrast of logarithmic spiral arms r = r0·exp(φ·tan(pitch)), broken up by flocculence."""
    start = max(0.35, galaxy.bar_length)
    winding = np.log(np.maximum(reach, 0.05) / np.float32(start)) / np.float32(np.tan(np.radians(galaxy.pitch_angle)))
    phase = np.arctan2(y, x) - np.float32(galaxy.handedness) * winding - np.float32(np.radians(galaxy.bar_angle))
    wobble = np.float32(0.25 + 1.3 * galaxy.flocculence) * smooth_field(rng, len(x), 10)
    crest = np.exp(np.float32(2.6) * (np.cos(np.float32(galaxy.arms) * phase + wobble) - 1))
    inner = 1 - _truncation(reach, 0.8 * start, 0.11)
    patches = np.clip(1 + np.float32(0.8 * galaxy.flocculence) * smooth_field(rng, len(x), 14), 0.1, None)
    return crest * inner * patches


def _bar(galaxy: Galaxy, x: Array, y: Array, ratio: float) -> Array:
    along, across = rotate(x, y, galaxy.bar_angle)
    length = np.float32(galaxy.bar_length * galaxy.radius)
    width = length * np.float32(0.27)
    shape = np.exp(-((boxy_radius(along, across, 0.27, 2.6) / length) ** 3))
    return shape * np.float32(0.14 / (3.1 * length * width * ratio))


def _irregular(galaxy: Galaxy, x: Array, y: Array, rng: np.random.Generator) -> Array:
    side = len(x)
    reach = np.float32(0.35 * galaxy.radius)
    x = x + reach * smooth_field(rng, side, 7)
    y = y + reach * smooth_field(rng, side, 7)
    smooth = sersic(boxy_radius(x, y, galaxy.axis_ratio), galaxy.radius, 0.9, _cell(x, y)) / np.float32(
        galaxy.axis_ratio
    )
    knots = np.exp(np.float32(1.1 * galaxy.flocculence) * smooth_field(rng, side, 22) - np.float32(0.3))
    old = smooth * band_fluxes(0.6 * galaxy.star_formation, galaxy.redshift)
    return np.float32(0.5) * (old + smooth * knots * band_fluxes(galaxy.star_formation, galaxy.redshift))


def _dust_lane(galaxy: Galaxy, x: Array, y: Array, thickness: float) -> Array | np.float32:
    if not galaxy.dust_lane:
        return np.float32(1)
    height = np.float32(thickness * galaxy.radius)
    lane = np.exp(-(((y - height * np.float32(0.4)) / height) ** 2) - (x / np.float32(1.6 * galaxy.radius)) ** 2)
    return np.exp(-DUST_OPACITY * np.float32(galaxy.dust_lane) * lane)


def _bent(galaxy: Galaxy, x: Array, y: Array, rng: np.random.Generator) -> tuple[Array, Array]:
    """Coordinates of a body pulled out of shape: bent, lopsided and crumpled."""
    along, across = rotate(x, y, galaxy.companion_angle)
    unit = np.float32(galaxy.radius)
    pull = np.float32(0.16 * galaxy.disturbance)
    across = across + pull * along * along / (unit + np.abs(along))
    crumple = np.float32(0.22 * galaxy.disturbance) * unit
    along = along + crumple * smooth_field(rng, len(x), 7)
    across = across + crumple * smooth_field(rng, len(x), 7)
    return rotate(along, across, -galaxy.companion_angle)


def _tidal_tail(galaxy: Galaxy, x: Array, y: Array, angle: float) -> Array:
    """Two open arms of faint stars drawn out to several radii."""
    along, across = rotate(x, y, angle)
    reach = np.sqrt(along * along + across * across) / np.float32(galaxy.radius)
    phase = np.arctan2(across, along) - np.float32(galaxy.handedness * 0.9) * np.log(np.maximum(reach, 0.2))
    crest = np.exp(np.float32(14) * (np.cos(phase) - 1)) + np.float32(0.5) * np.exp(
        np.float32(20) * (-np.cos(phase) - 1)
    )
    envelope = np.exp(-reach / np.float32(1.3)) * np.clip(reach - np.float32(0.6), 0, 1)
    strength = 0.8 * galaxy.disturbance**1.5 / (np.pi * galaxy.radius**2)
    return crest * envelope * np.float32(strength) * band_fluxes(0.3 + 0.5 * galaxy.star_formation, galaxy.redshift)


def _companion(galaxy: Galaxy, x: Array, y: Array) -> Array:
    angle = np.radians(galaxy.companion_angle)
    distance = galaxy.companion_distance * galaxy.radius
    x = x - np.float32(distance * np.cos(angle))
    y = y - np.float32(distance * np.sin(angle))
    size = galaxy.radius * min(1.0, 0.35 + 0.6 * galaxy.companion)
    index = 2.5 if galaxy.kind == "elliptical" else 1.3
    along, across = rotate(x, y, 2 * galaxy.companion_angle + galaxy.position_angle)
    light = sersic(boxy_radius(along, across, 0.65), size, index, _cell(x, y)) / np.float32(0.65)
    return light * np.float32(galaxy.companion) * band_fluxes(0.6 * galaxy.star_formation, galaxy.redshift)


def _arc(galaxy: Galaxy, x: Array, y: Array) -> Array:
    """A blue, lensed arc around the galaxy."""
    along, across = rotate(x, y, galaxy.companion_angle)
    reach = np.sqrt(along * along + across * across) / np.float32(galaxy.radius)
    arc = np.exp(-(((reach - 2.0) / 0.13) ** 2)) * np.exp(np.float32(3) * (np.cos(np.arctan2(across, along)) - 1))
    return arc * np.float32(0.035 * galaxy.arc / galaxy.radius**2) * band_fluxes(0.9, 0.1)
