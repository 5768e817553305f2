"""From a table of positions to a folder of cutouts, the list that predictions are made from, and what is missing."""

from __future__ import annotations

import json
import re
from concurrent.futures import ThreadPoolExecutor
from dataclasses import asdict, dataclass, fields
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from galaxycnn.data.cutouts import Unusable
from galaxycnn.errors import UserError, nearest
from galaxycnn.files import atomic_path, write_json
from galaxycnn.predicting.opening import Opener
from galaxycnn.progress import progress_bar
from galaxycnn.registry import SURVEYS
from galaxycnn.sky.client import Client, Passing, Refused
from galaxycnn.sky.positions import Positions
from galaxycnn.sky.survey import Cutout, Survey
from galaxycnn.views import ahead

LIST, MISSING, MADE_WITH = "cutouts.csv", "not_fetched.csv", "cutouts.json"
"""Files in the folder: the list, the galaxies without a cutout and why, and what the cutouts were asked for with."""

SIZE = 256
"""Pixels across a cutout."""
FLAT = 0.75
"""Share of pixels of the very same brightness from which on a picture shows nothing, or words: of 1,100 cutouts of SDSS
none has more than 0.41, and the page that its server sends instead of one has 0.90."""


@dataclass(frozen=True)
class Fetched:
    """A folder of cutouts.

    Attributes:
        path: the list that ``galaxycnn predict`` takes: ``file``, ``ra``, ``dec`` and all other columns of the table.
        missing: the galaxies without a cutout and the ``reason``, with the same columns; None where there are none.
        files: of each row of the table the file in the folder, ``""`` for none.
        new: how many were fetched now; the others were there.
    """

    path: Path
    missing: Path | None
    files: list[str]
    new: int

    def __str__(self) -> str:
        count = sum(map(bool, self.files))
        there = f" ({count - self.new:,} of them were there)" if self.new < count else ""
        lost = f"; {len(self.files) - count:,} not fetched, {self.missing} says why" if self.missing else ""
        return f"{self.path}: {count:,} cutouts{there}{lost}"


def fetch_cutouts(
    table: Any,
    folder: str | Path,
    survey: str = "legacy",
    *,
    size: int = SIZE,
    scale: float | str | None = None,
    client: Client | None = None,
    workers: int = 4,
    **choices: str,
) -> Fetched:
    """Fetch the cutouts of galaxies from the server of a survey; those that are there are kept.

    Args:
        table: a file (CSV, Parquet, ECSV, VOTable, FITS) or a table of pandas or astropy with positions
            (:class:`galaxycnn.sky.positions.Positions`).
        folder: where they go, as ``<name>.jpg``, with the list.
        survey: an entry of :data:`galaxycnn.registry.SURVEYS`.
        size: pixels across.
        scale: arcseconds to a pixel, or the column that says so, or ``0.02*petroR90_r``; None: the survey's own.
        client: how politely the server is asked.
        workers: cutouts that are asked for at the same time.
        choices: ``layer``, ``form``, ``url``, and for the Legacy Surveys ``bands``.

    Raises:
        UserError: there is no such survey, choice or column, or the folder holds other cutouts.

    Example:
        >>> from astropy.table import QTable
        >>> galaxies = QTable.read("galaxies.ecsv")  # doctest: +SKIP
        >>> fetched = fetch_cutouts(galaxies, "cutouts", "sdss", size=424, scale="0.02*petroR90_r")  # doctest: +SKIP
        >>> galaxies["file"] = fetched.files  # doctest: +SKIP
        >>> seen = galaxies[galaxies["file"] != ""]  # doctest: +SKIP
        >>> galaxycnn.predict(seen, folder="cutouts", as_table=True)  # doctest: +SKIP
    """
    asked, folder, client = _survey(survey, choices), Path(folder), client or Client()
    asked.check(size)
    scale = asked.scale if scale is None else scale
    positions = Positions.of(Path(table) if isinstance(table, str) else table)
    scales = positions.scales(scale)
    _same_as_before(folder, {"survey": survey, "size": size, "scale": scale, **asdict(asked)})
    names = [f"{name}.{asked.form}" if name else "" for name in positions.names]
    places = zip(positions.ra.tolist(), positions.dec.tolist(), scales.tolist(), strict=True)
    cutouts = [Cutout(ra, dec, size, at_scale) for ra, dec, at_scale in places]
    there = [bool(name) and (folder / name).is_file() for name in names]
    reasons = []
    with progress_bar() as bar, ThreadPoolExecutor(workers) as pool:
        task = bar.add_task("Fetching", total=len(names))
        try:
            fetch = partial(_fetched, asked, client, folder)
            for reason in ahead(pool, fetch, zip(names, cutouts, strict=True), workers):
                reasons.append(reason)
                bar.advance(task)
        except BaseException:
            client.close()
            pool.shutdown(cancel_futures=True)
            raise
    return _listed(folder, positions, names, reasons, there)


def _survey(name: str, choices: dict[str, str]) -> Survey:
    kind: type[Survey] = SURVEYS[name]
    known = [field.name for field in fields(kind)]
    for choice in choices:
        if choice not in known:
            raise UserError(f"the survey {name!r} has no {choice!r}{nearest(choice, known)}")
    return kind(**choices)


def _same_as_before(folder: Path, made_with: dict[str, Any]) -> None:
    """Note what cutouts are asked for with; no folder holds those of two kinds."""
    record = folder / MADE_WITH
    before = json.loads(record.read_text()) if record.exists() else made_with
    for name, value in made_with.items():
        if name != "url" and before.get(name) != value:
            raise UserError(
                f"{folder} holds cutouts of {name} {before.get(name)!r}, not {value!r}: name another folder"
            )
    write_json(record, made_with)


def _fetched(survey: Survey, client: Client, folder: Path, asked: tuple[str, Cutout]) -> str:
    """Fetch a cutout that is not there; returns why it cannot be had, or ``""``."""
    name, cutout = asked
    if not name or np.isnan(cutout.ra):
        return "it has no position"
    if np.isnan(cutout.scale):
        return "it has no scale"
    path = folder / name
    if path.is_file():
        return ""
    try:
        content = client.get(*survey.request(cutout), partial(_looked_at, cutout.size))
    except Refused as refused:
        return str(refused)
    with atomic_path(path) as temporary:
        temporary.write_bytes(content)
    return ""


def _looked_at(size: int, content: bytes, kind: str) -> bytes:
    """The content of a file, which is a picture of that size with something in it.

    Raises:
        Passing: it is damaged.
        Refused: it is something else.
    """
    if kind.startswith("text/") or content.lstrip()[:1] in (b"<", b"{"):
        words = " ".join(re.sub(r"<[^>]*>", " ", content[:2000].decode("utf-8", "replace")).split())
        raise Refused(f"the server sent words instead of a picture: {words[:100]}")
    try:
        image = Opener()(content).image
        image.load()
    except Unusable as problem:
        if problem.kind == "blank":
            raise Refused("blank: the survey has no image there") from None
        raise Passing(f"the picture is damaged: {problem}") from None
    except Exception as error:  # a decoder may raise anything at all on damaged bytes
        raise Passing(f"the picture is damaged: {' '.join(str(error).split())}") from None
    if image.size != (size, size):
        raise Refused(f"it has {image.width}x{image.height} pixels instead of {size}x{size}")
    if max(image.convert("L").histogram()) > FLAT * size**2:
        raise Refused("blank: the survey has no image there")
    return content


def _listed(folder: Path, positions: Positions, names: list[str], reasons: list[str], there: list[bool]) -> Fetched:
    """Write the list, and the galaxies without a cutout."""
    known = positions.known.rename(columns={name: f"given_{name}" for name in ("file", "ra", "dec", "reason")})
    table = pd.DataFrame({"file": names, "ra": positions.ra, "dec": positions.dec})
    table = pd.concat([table, known.reset_index(drop=True)], axis=1)
    why = pd.Series(reasons, dtype=str)
    had, path, missing = (why == "").to_numpy(), folder / LIST, folder / MISSING
    with atomic_path(path) as temporary:
        table[had].to_csv(temporary, index=False)
    missing.unlink(missing_ok=True)
    if not had.all():
        with atomic_path(missing) as temporary:
            table.drop(columns="file").assign(reason=why)[~had].to_csv(temporary, index=False)
    files = [name if has else "" for name, has in zip(names, had, strict=True)]
    return Fetched(path, None if had.all() else missing, files, int(had.sum()) - sum(there))
