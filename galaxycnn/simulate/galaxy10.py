"""The embedded survey as a file in Galaxy10's layout: ten classes, pairs in interaction, and redshifts that show.

The frame is of one size in the sky but for a scatter, so that distant galaxies look smaller, besides redder and
fainter: without that, a redshift could not be read from an image.
"""

from __future__ import annotations

import os
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
import pandas as pd
from joblib import Parallel, delayed
from numpy.typing import NDArray

from galaxycnn.data.layouts.galaxy10 import DECALS_CLASSES, Block, write_galaxy10
from galaxycnn.errors import UserError
from galaxycnn.progress import progress_bar
from galaxycnn.simulate.population import Galaxy, draw_galaxy
from galaxycnn.simulate.profiles import band_fluxes
from galaxycnn.simulate.scene import Partner, render
from galaxycnn.simulate.volunteers import clarity

SHARES = np.array([1081, 1853, 2645, 2027, 334, 2043, 1829, 2628, 1423, 1873]) / 17736
"""How often each class occurs in Galaxy10 DECaLS."""

FIELD = 40.0
"""Side of a frame in arcseconds: that of the central 152 of Galaxy10 DECaLS's 256 pixels."""

FIELD_SCATTER = 0.15
"""Standard deviation of the logarithm of a frame's side."""

MISSING_REDSHIFTS = 92 / 17736
"""Share of galaxies without a redshift, as in Galaxy10 DECaLS."""

SUPERPOSED = 0.08
"""Share of galaxies that only seem to have a partner: another galaxy behind or in front of them."""

LEAST_CLARITY = 0.25
"""How well the structure of a galaxy can be seen at least, 0 to 1: of others volunteers do not agree on a class."""

CHUNK = 32
"""Galaxies that are drawn and written at a time."""


@dataclass(frozen=True)
class Galaxy10Survey:
    """What a file is made from; galaxy ``i`` depends on the seed, the image size and ``i`` alone."""

    galaxies: int
    seed: int = 48
    image_size: int = 64

    def __post_init__(self) -> None:
        for name, least in (("galaxies", 1), ("seed", 0), ("image_size", 16)):
            if getattr(self, name) < least:
                raise UserError(f"a simulated survey needs '{name}' of at least {least}, not {getattr(self, name)}")

    def draw(self, number: int) -> tuple[NDArray[np.uint8], dict[str, float]]:
        """Draw galaxy ``number``: its image, and what the file says of it by data set."""
        sky, camera, notes = map(np.random.default_rng, np.random.SeedSequence([self.seed, number]).spawn(3))
        answer = int(sky.choice(len(SHARES), p=SHARES))
        galaxy, partner = draw_scene(answer, sky)
        field = FIELD * sky.lognormal(0, FIELD_SCATTER)
        image = render(galaxy, self.image_size, camera, field, partner)
        return image, {"ans": answer, "pxscale": field / self.image_size, **_measured(galaxy, notes)}


def simulate_galaxy10(
    path: str | Path, galaxies: int, seed: int = 48, image_size: int = 64, processes: int | None = None
) -> Path:
    """Draw a survey of simulated galaxies and write it in the layout of Galaxy10 DECaLS.

    The file has its data sets ``images``, ``ans``, ``redshift``, ``ra``, ``dec`` and ``pxscale`` (arcseconds), its
    classes and their shares, and a measured magnitude ``mag_r`` and colour ``g_r`` besides.

    Args:
        path: the file to write, ``.h5``.
        galaxies: how many galaxies.
        seed: the same seed draws the same galaxies, whatever their number and that of the processes.
        image_size: side of an image in pixels.
        processes: how many draw at a time; by default one per core.

    Raises:
        UserError: there is something at ``path`` already, or a number is too small.

    Example:
        >>> import tempfile
        >>> path = simulate_galaxy10(Path(tempfile.mkdtemp()) / "simulated.h5", galaxies=3)
        >>> from galaxycnn.data.layouts.galaxy10 import read_galaxy10
        >>> sorted(read_galaxy10(path, None).numbers)
        ['dec', 'g_r', 'mag_r', 'pxscale', 'ra', 'redshift']
    """
    path, survey = Path(path), Galaxy10Survey(galaxies, seed, image_size)
    if path.exists():
        raise UserError(f"{path} is there already; remove it or name another file")
    starts = range(0, galaxies, CHUNK)
    parallel = Parallel(n_jobs=min(processes or os.cpu_count() or 1, len(starts)), return_as="generator")
    blocks = parallel(delayed(_draw_block)(survey, start) for start in starts)
    return write_galaxy10(path, _counted(blocks, galaxies), galaxies, DECALS_CLASSES)


def _draw_block(survey: Galaxy10Survey, start: int) -> Block:
    images, rows = zip(*map(survey.draw, range(start, min(start + CHUNK, survey.galaxies))), strict=True)
    return np.stack(images), pd.DataFrame(list(rows))


def _counted(blocks: Iterable[Block], galaxies: int) -> Iterator[Block]:
    """The same blocks, under a bar that counts galaxies."""
    with progress_bar() as bar:
        task = bar.add_task("drawing galaxies", total=galaxies)
        for images, table in blocks:
            yield images, table
            bar.advance(task, len(images))


# -- what there is to see ------------------------------------------------------------------------


def draw_scene(answer: int, rng: np.random.Generator) -> tuple[Galaxy, Partner | None]:
    """A galaxy of one of Galaxy10's classes, and what else is in its frame.

    Args:
        answer: the number of the class.
        rng: draws galaxies until one is of the class, and plain enough for volunteers to agree on.

    Returns:
        The galaxy, and its partner: always in *Merging*, and now and then, at another redshift, elsewhere.
    """
    galaxy = _draw_plain(DECALS_CLASSES[answer], rng)
    if DECALS_CLASSES[answer] == "Merging":
        return _pair(galaxy, rng)
    if DECALS_CLASSES[answer] == "Disturbed":
        galaxy = replace(galaxy, disturbance=float(rng.uniform(0.6, 1.0)))
    if rng.random() >= SUPERPOSED:
        return galaxy, None
    other = _draw_plain("any", rng)
    while other.radius > galaxy.radius:
        other = _draw_plain("any", rng)
    return galaxy, _placed(other, rng.uniform(2.5, 4.5) * galaxy.radius, rng.uniform(0, 360))


def _draw_plain(wanted: str, rng: np.random.Generator) -> Galaxy:
    """An undisturbed galaxy of a class; one of any that is not seen edge-on, where the word is no such class."""
    while True:
        galaxy = _undisturbed(draw_galaxy(rng))
        if galaxy.kind in ("elliptical", "disk") and clarity(galaxy) > LEAST_CLARITY and _fits(galaxy, wanted):
            return galaxy


def _fits(galaxy: Galaxy, wanted: str) -> bool:
    ratio, smooth = galaxy.apparent_axis_ratio, galaxy.kind == "elliptical"
    spiral = galaxy.arms > 0 and galaxy.arm_strength > 0.5 and not galaxy.edge_on and ratio > 0.4
    fits = {
        "Round Smooth": smooth and ratio > 0.85,
        "In-between Round Smooth": smooth and 0.5 < ratio < 0.8,
        "Cigar Shaped Smooth": smooth and ratio < 0.4,
        "Barred Spiral": spiral and galaxy.bar_length > 0.5,
        "Unbarred Tight Spiral": spiral and not galaxy.bar_length and galaxy.pitch_angle < 15,
        "Unbarred Loose Spiral": spiral and not galaxy.bar_length and galaxy.pitch_angle > 18,
        "Edge-on without Bulge": galaxy.edge_on and galaxy.bulge_fraction < 0.1,
        "Edge-on with Bulge": galaxy.edge_on and galaxy.bulge_fraction > 0.2,
    }
    return fits.get(wanted, not galaxy.edge_on)


def _undisturbed(galaxy: Galaxy) -> Galaxy:
    return replace(galaxy, disturbance=0.0, companion=0.0, arc=0.0, defect="none")


def _pair(galaxy: Galaxy, rng: np.random.Generator) -> tuple[Galaxy, Partner]:
    """Two galaxies at one redshift, close enough to overlap, each drawn out along the line between them."""
    other = _draw_plain("any", rng)
    size = galaxy.radius_kpc * rng.uniform(0.55, 1.1)
    angle = rng.uniform(0, 360)
    near, far = (
        replace(
            each,
            redshift=galaxy.redshift,
            seeing=galaxy.seeing,
            disturbance=float(rng.uniform(0.6, 1.0)),
            companion_angle=float(angle + turn + rng.normal(0, 25)),
            handedness=galaxy.handedness,
        )
        for each, turn in ((galaxy, 180.0), (replace(other, radius_kpc=float(size)), 0.0))
    )
    return near, _placed(far, rng.uniform(0.8, 2.2) * near.radius, angle)


def _placed(galaxy: Galaxy, distance: float, angle: float) -> Partner:
    radians = np.radians(angle)
    return Partner(galaxy, float(distance * np.cos(radians)), float(distance * np.sin(radians)))


def _measured(galaxy: Galaxy, rng: np.random.Generator) -> dict[str, float]:
    """What a catalogue says: position in the footprint of the survey, redshift, magnitude and colour."""
    south, north = np.sin(np.radians([-18.8, 31.0]))
    colours = band_fluxes(0.6 * galaxy.star_formation, galaxy.redshift)[:, 0, 0]
    brightness = galaxy.apparent_surface_brightness - 2.5 * np.log10(2 * np.pi * galaxy.radius**2)
    return {
        "redshift": np.nan if rng.random() < MISSING_REDSHIFTS else galaxy.redshift,
        "ra": rng.uniform(0, 360),
        "dec": float(np.degrees(np.arcsin(rng.uniform(south, north)))),
        "mag_r": brightness + rng.normal(0, 0.05),
        "g_r": float(-2.5 * np.log10(colours[2])) + rng.normal(0, 0.05),
    }
