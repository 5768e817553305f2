"""What galaxies the embedded survey holds: their physical parameters and their redshifts.

The mix follows a flux-limited sample of nearby galaxies like that of Galaxy Zoo 2 (Willett et al.
2013, MNRAS 435, 2835): early types, disks at random inclination, a few irregulars and mergers, and
the odd star or spoilt frame.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import lru_cache
from typing import Any, Literal

import numpy as np
from numpy.typing import NDArray

Kind = Literal["elliptical", "disk", "irregular", "star", "artifact"]
BulgeShape = Literal["rounded", "boxy", "none"]
Defect = Literal["none", "trail", "wash", "blank"]

REDSHIFT_RANGE = (0.01, 0.25)
EDGE_ON_INCLINATION = 80.0
"""Degrees from which a disk is drawn as a slab seen from the side."""


@lru_cache(maxsize=1)
def _scale_table() -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    from astropy.cosmology import FlatLambdaCDM

    redshifts = np.linspace(0.005, 0.5, 496)
    cosmology = FlatLambdaCDM(H0=70, Om0=0.3)
    return redshifts, cosmology.arcsec_per_kpc_proper(redshifts).value


def arcsec_per_kpc(redshift: float) -> float:
    """Apparent size in arcseconds of one proper kiloparsec (flat ΛCDM, H0 = 70, Ωm = 0.3; tabulated).

    Example:
        >>> round(arcsec_per_kpc(0.1), 2)
        0.54
    """
    return float(np.interp(redshift, *_scale_table()))


@dataclass(frozen=True)
class Galaxy:
    """The physical truth of one galaxy and of the night it was seen in.

    Lengths called "in half-light radii" are measured in the plane of the disk.
    """

    kind: Kind
    redshift: float
    radius_kpc: float
    """Half-light radius, face-on, kpc."""
    surface_brightness: float
    """Mean r-band surface brightness within the half-light radius, face-on and undimmed, mag/arcsec²."""
    axis_ratio: float
    """Apparent for an elliptical, intrinsic thickness for a disk."""
    inclination: float
    """Degrees, 0 is face-on; 0 for anything but disks."""
    position_angle: float
    """Degrees from the x axis of the cutout, counter-clockwise."""
    star_formation: float
    """0 is red and dead, 1 is blue."""
    sersic_index: float
    bulge_fraction: float
    bulge_radius: float
    """In half-light radii."""
    bulge_shape: BulgeShape
    arms: int
    """Number of spiral arms, 0 for none."""
    pitch_angle: float
    """Degrees: small is tightly wound."""
    handedness: int
    """+1 or -1: the sense in which the arms wind outwards."""
    arm_strength: float
    flocculence: float
    bar_length: float
    """In half-light radii, 0 for none."""
    bar_angle: float
    """Degrees from the line of nodes, in the plane of the disk."""
    ring: float
    dust_lane: float
    arc: float
    disturbance: float
    """0 is undisturbed; 1 has strong tidal tails."""
    companion: float
    """Flux of an interacting companion relative to the galaxy, 0 for none."""
    companion_distance: float
    """In half-light radii."""
    companion_angle: float
    """Degrees."""
    defect: Defect
    seeing: float
    """Full width at half maximum of the point-spread function in r, arcseconds."""

    @property
    def radius(self) -> float:
        """Apparent half-light radius, face-on, arcseconds."""
        return self.radius_kpc * arcsec_per_kpc(self.redshift)

    @property
    def apparent_surface_brightness(self) -> float:
        """Mean surface brightness after cosmological dimming by (1 + z)^4, mag/arcsec²."""
        return float(self.surface_brightness + 10 * np.log10(1 + self.redshift))

    @property
    def edge_on(self) -> bool:
        return self.kind == "disk" and self.inclination >= EDGE_ON_INCLINATION

    @property
    def apparent_axis_ratio(self) -> float:
        """Minor over major axis on the sky; a disk of finite thickness (Hubble 1926)."""
        cosine = np.cos(np.radians(self.inclination))
        return float(np.sqrt(cosine**2 + (1 - cosine**2) * self.axis_ratio**2)) if self.inclination else self.axis_ratio


def draw_redshift(rng: np.random.Generator) -> float:
    """A redshift of a flux-limited sample: peaks near 0.07, between 0.01 and 0.25."""
    while True:
        redshift = rng.gamma(3.0, 0.031)
        if REDSHIFT_RANGE[0] <= redshift <= REDSHIFT_RANGE[1]:
            return float(redshift)


def draw_galaxy(rng: np.random.Generator) -> Galaxy:
    """Draw one galaxy of the survey.

    Example:
        >>> galaxy = draw_galaxy(np.random.default_rng(3))
        >>> 0.01 <= galaxy.redshift <= 0.25
        True
    """
    kind: Kind = rng.choice(
        ["elliptical", "disk", "irregular", "star", "artifact"], p=[0.372, 0.585, 0.035, 0.004, 0.004]
    )
    redshift = draw_redshift(rng)
    parameters = _common(rng, kind, redshift)
    parameters |= {"disk": _disk, "irregular": _irregular}.get(kind, _elliptical)(rng)
    parameters |= _interaction(rng)
    plain: dict[str, Any] = {name: _plain(value) for name, value in parameters.items()}
    return Galaxy(**plain)


def _plain(value: object) -> object:
    return value.item() if isinstance(value, np.generic) else value


def _common(rng: np.random.Generator, kind: Kind, redshift: float) -> dict[str, Any]:
    """What every galaxy has. The flux limit makes distant ones in the sample a little larger."""
    typical_kpc, brightness = {"elliptical": (3.8, 20.2), "irregular": (3.6, 21.7)}.get(kind, (5.4, 21.0))
    malmquist = (max(redshift, 0.02) / 0.08) ** 0.25
    defect = rng.choice(["trail", "wash", "blank"], p=[0.4, 0.35, 0.25])
    return {
        "kind": kind,
        "redshift": redshift,
        "radius_kpc": np.clip(typical_kpc * malmquist * rng.lognormal(0, 0.28), 1.5, 20),
        "surface_brightness": np.clip(rng.normal(brightness, 0.45), 18.8, 22.8),
        "inclination": 0.0,
        "position_angle": rng.uniform(0, 360),
        "bulge_fraction": 0.0,
        "bulge_radius": 0.3,
        "bulge_shape": "none",
        "sersic_index": 1.0,
        "arms": 0,
        "pitch_angle": 20.0,
        "handedness": rng.choice([-1, 1]),
        "arm_strength": 0.0,
        "flocculence": 0.0,
        "bar_length": 0.0,
        "bar_angle": 0.0,
        "ring": 0.0,
        "dust_lane": 0.0,
        "arc": rng.uniform(0.5, 1) if rng.random() < 0.008 else 0.0,
        "defect": defect if kind == "artifact" else "wash" if rng.random() < 0.012 else "none",
        "seeing": np.clip(rng.lognormal(np.log(1.22), 0.1), 0.9, 1.8),
    }


def _elliptical(rng: np.random.Generator) -> dict[str, Any]:
    return {
        "axis_ratio": np.clip(rng.beta(4.0, 1.9), 0.28, 1.0),
        "star_formation": np.clip(rng.beta(1.2, 7), 0, 0.6),
        "sersic_index": np.clip(rng.normal(3.0, 0.8), 1.2, 5.0),
        "dust_lane": rng.uniform(0.5, 1.2) if rng.random() < 0.006 else 0.0,
    }


def _irregular(rng: np.random.Generator) -> dict[str, Any]:
    return {
        "axis_ratio": rng.uniform(0.4, 0.95),
        "star_formation": rng.uniform(0.6, 1.0),
        "flocculence": rng.uniform(0.6, 1.0),
    }


def _disk(rng: np.random.Generator) -> dict[str, Any]:
    bulge_fraction = rng.beta(1.3, 3.2)
    spiral = rng.random() < 0.63
    cosine = rng.uniform(0, 1)
    barred = rng.random() < 0.27
    ringed = rng.random() < 0.09
    return {
        "axis_ratio": np.clip(rng.normal(0.19, 0.05), 0.09, 0.32),
        "inclination": np.degrees(np.arccos(cosine)),
        "star_formation": np.clip(rng.normal(0.7 - 0.6 * bulge_fraction, 0.25), 0.05, 1.0),
        "sersic_index": np.clip(rng.normal(2.2, 0.8), 1, 4),
        "bulge_fraction": 0.0 if bulge_fraction < 0.05 else bulge_fraction,
        "bulge_radius": rng.uniform(0.13, 0.33) * (0.6 + bulge_fraction),
        "bulge_shape": "none" if bulge_fraction < 0.1 else "boxy" if rng.random() < 0.14 else "rounded",
        "arms": rng.choice([1, 2, 3, 4, 5, 6], p=[0.06, 0.58, 0.15, 0.08, 0.07, 0.06]) if spiral else 0,
        "pitch_angle": np.clip(rng.normal(19.5 - 12 * bulge_fraction, 7), 7, 42),
        "arm_strength": rng.uniform(0.35, 1.0) if spiral else 0.0,
        "flocculence": rng.beta(2, 3),
        "bar_length": rng.uniform(0.45, 1.0) if barred else 0.0,
        "bar_angle": rng.uniform(0, 180),
        "ring": rng.uniform(0.4, 1.0) if ringed else 0.0,
        "dust_lane": rng.uniform(0.4, 1.5) if rng.random() < 0.3 else 0.0,
    }


def _interaction(rng: np.random.Generator) -> dict[str, Any]:
    """Pairs in interaction, recent mergers and the undisturbed rest."""
    pair = rng.random() < 0.06
    disturbed = rng.random() < (0.6 if pair else 0.035)
    return {
        "disturbance": rng.uniform(0.3, 1.0) if disturbed else 0.0,
        "companion": 10 ** rng.uniform(-0.9, 0.1) if pair else 0.0,
        "companion_distance": rng.uniform(0.8, 3.2),
        "companion_angle": rng.uniform(0, 360),
    }
