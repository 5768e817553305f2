"""Files of the embedded survey, in the layout of the Kaggle Galaxy Challenge, drawn on all cores."""

from __future__ import annotations

import csv
import json
import os
from collections.abc import Iterable, Iterator
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
from joblib import Parallel, delayed
from numpy.typing import NDArray
from PIL import Image

from galaxycnn.errors import UserError
from galaxycnn.files import atomic_path
from galaxycnn.progress import track
from galaxycnn.simulate.population import Galaxy, draw_galaxy
from galaxycnn.simulate.scene import render
from galaxycnn.simulate.volunteers import vote
from galaxycnn.tree import GALAXY_ZOO_2

VERSION = 1
"""Raised when the same arguments draw different galaxies than before."""
IMAGES, LABELS, TRUTH, STAMP = "images_training_rev1", "training_solutions_rev1.csv", "truth.csv", "survey.json"
FIRST_ID = 100_000
JPEG: dict[str, Any] = {"quality": 95, "subsampling": 0}
CHUNK = 128


class Drawn(NamedTuple):
    """One galaxy as the survey holds it."""

    galaxy: Galaxy
    image: NDArray[np.uint8]
    fractions: NDArray[np.float64]


class Row(NamedTuple):
    """What the tables say of one galaxy; nine decimals keep the sums of the tree to 1e-8."""

    identifier: str
    galaxy: Galaxy
    fractions: list[str]


@dataclass(frozen=True)
class Survey:
    """What a survey is made from; the same survey always holds the same galaxies.

    Galaxy ``i`` depends on nothing but the seed and ``i`` (its cutout on the image size and its
    votes on the number of volunteers too), so a smaller survey is the beginning of a larger one.
    """

    galaxies: int
    seed: int = 48
    image_size: int = 64
    volunteers: int = 40

    def __post_init__(self) -> None:
        for name, least in (("galaxies", 1), ("seed", 0), ("image_size", 16), ("volunteers", 1)):
            if getattr(self, name) < least:
                raise UserError(f"a simulated survey needs '{name}' of at least {least}, not {getattr(self, name)}")

    def draw(self, number: int) -> Drawn:
        """Draw galaxy ``number``, its cutout and its vote fractions."""
        sky, camera, crowd = map(np.random.default_rng, np.random.SeedSequence([self.seed, number]).spawn(3))
        galaxy = draw_galaxy(sky)
        return Drawn(galaxy, render(galaxy, self.image_size, camera), vote(galaxy, self.volunteers, crowd))


def simulate_survey(
    folder: Path,
    galaxies: int,
    seed: int = 48,
    image_size: int = 64,
    volunteers: int = 40,
    processes: int | None = None,
) -> Path:
    """Draw a survey of simulated galaxies and write it in the layout of the Kaggle challenge.

    Writes ``images_training_rev1/<GalaxyID>.jpg``, ``training_solutions_rev1.csv`` (GalaxyID and
    the 37 vote fractions), ``truth.csv`` (GalaxyID, redshift and every other physical parameter)
    and the stamp ``survey.json``. The folder appears when all of it is written.

    Args:
        folder: where the survey goes; made if need be.
        galaxies: how many galaxies.
        seed: the same seed draws the same galaxies, whatever their number and that of the processes.
        image_size: side of a cutout, pixels.
        volunteers: how many classify each galaxy.
        processes: how many draw at a time; by default one per core.

    Returns:
        The folder.

    Raises:
        UserError: the folder holds something already, or a number is too small.

    Example:
        >>> import tempfile
        >>> folder = simulate_survey(Path(tempfile.mkdtemp()) / "survey", galaxies=3)
        >>> sorted(path.name for path in folder.iterdir())
        ['images_training_rev1', 'survey.json', 'training_solutions_rev1.csv', 'truth.csv']
    """
    folder = Path(folder)
    survey = Survey(galaxies, seed, image_size, volunteers)
    _refuse_if_taken(folder)
    with atomic_path(folder.absolute()) as unfinished:  # workers may have another working directory
        (unfinished / IMAGES).mkdir(parents=True)
        _write_tables(unfinished, _draw_all(survey, unfinished / IMAGES, processes or os.cpu_count() or 1))
        (unfinished / STAMP).write_text(json.dumps(_stamp(survey), indent=2) + "\n")
    return folder


def survey_matches(folder: Path, galaxies: int, seed: int = 48, image_size: int = 64, volunteers: int = 40) -> bool:
    """Whether ``folder`` holds the very survey that these arguments make."""
    try:
        found = json.loads((Path(folder) / STAMP).read_text())
    except (OSError, ValueError):
        return False
    return bool(found == _stamp(Survey(galaxies, seed, image_size, volunteers)))


def _stamp(survey: Survey) -> dict[str, int]:
    return {"version": VERSION, **asdict(survey)}


def _refuse_if_taken(folder: Path) -> None:
    if folder.is_dir() and not any(folder.iterdir()):
        return
    if (folder / STAMP).exists():
        raise UserError(f"{folder} already holds a simulated survey; remove it or name another folder")
    if folder.exists():
        raise UserError(f"{folder} exists already and is not empty; name a new folder for the simulated survey")


def _draw_all(survey: Survey, images: Path, processes: int) -> Iterator[Row]:
    """Draw every galaxy, save its cutout and yield its row, in order.

    The processes of loky do not import the caller's script again, so it needs no main guard.
    """
    starts = range(0, survey.galaxies, CHUNK)
    chunks = (delayed(_draw_chunk)(survey, start, images) for start in starts)
    parallel = Parallel(n_jobs=min(processes, len(starts)), return_as="generator")
    rows = (row for chunk in parallel(chunks) for row in chunk)
    return track(rows, "drawing galaxies", total=survey.galaxies)


def _draw_chunk(survey: Survey, start: int, images: Path) -> list[Row]:
    rows = []
    for number in range(start, min(start + CHUNK, survey.galaxies)):
        drawn = survey.draw(number)
        identifier = str(FIRST_ID + number)
        Image.fromarray(drawn.image).save(images / f"{identifier}.jpg", **JPEG)
        rows.append(Row(identifier, drawn.galaxy, [f"{fraction:.9f}" for fraction in drawn.fractions]))
    return rows


def _write_tables(folder: Path, rows: Iterable[Row]) -> None:
    with (folder / LABELS).open("w", newline="") as labels, (folder / TRUTH).open("w", newline="") as truth:
        votes, parameters = csv.writer(labels), csv.writer(truth)
        votes.writerow(["GalaxyID", *GALAXY_ZOO_2.columns])
        parameters.writerow(["GalaxyID", *Galaxy.__dataclass_fields__])
        for identifier, galaxy, fractions in rows:
            votes.writerow([identifier, *fractions])
            parameters.writerow([identifier, *asdict(galaxy).values()])
