"""Galaxies and where they are, out of any table that has their positions."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from galaxycnn.errors import DataError, nearest
from galaxycnn.predicting.lists import list_of
from galaxycnn.predicting.tables import Meaning, meanings_of

NAMES = (
    *(("ra", "dec"), ("ra_deg", "dec_deg"), ("radeg", "dedeg"), ("raj2000", "dej2000"), ("ra_j2000", "dec_j2000")),
    *(("_raj2000", "_dej2000"), ("ra_icrs", "de_icrs"), ("alpha_j2000", "delta_j2000"), ("ramean", "decmean")),
    *(("target_ra", "target_dec"), ("right_ascension", "declination")),
)
"""Columns of positions, best first, in small letters; a table of the Virtual Observatory may have others."""

UCDS = ("pos.eq.ra", "pos.eq.dec")
SCALE = re.compile(r"\s*(?:(?P<factor>[\d.eE+-]+)\s*\*)?\s*(?P<column>\w[\w. -]*?)\s*")


@dataclass(frozen=True, eq=False)
class Positions:
    """Galaxies by name.

    Attributes:
        names: what each is called, which is what its file is called without the ending; none twice.
        ra, dec: degrees, shape (galaxies,), NaN where they are not known.
        known: all other columns, as text.
    """

    names: list[str]
    ra: NDArray[np.float64]
    dec: NDArray[np.float64]
    known: pd.DataFrame

    @classmethod
    def of(cls, table: Path | Any) -> Positions:
        """The galaxies of a file (CSV, Parquet, ECSV, VOTable, FITS) or of a table of pandas or astropy.

        Right ascension and declination are degrees unless their columns have another unit; text such as
        ``12:30:49.4`` and ``12 23 28`` is hours and degrees. Sky coordinates of any frame will do.

        Raises:
            DataError: there are no positions, or two galaxies have one name.

        Example:
            >>> found = Positions.of(pd.DataFrame({"RA": ["12:30:00", "10"], "Dec": ["+12:30:00", "-1.5"]}))
            >>> found.ra.round(6).tolist(), found.dec.tolist(), found.names[0]
            ([187.5, 10.0], [12.5, -1.5], 'J123000.00+123000.0')
        """
        listed = list_of(table)
        text = listed.text()
        meanings = meanings_of(listed.table) if listed.of_astronomers else {}
        columns = _columns(listed.name, list(map(str, text)), meanings)
        ra, dec = _degrees(text, columns, [meanings.get(name, Meaning()).unit for name in columns])
        names = [_as_file(name) for name in text[listed.id_column]] if listed.id_column else [""] * len(text)
        names = [name or _by_position(*place) for name, place in zip(names, zip(ra, dec, strict=True), strict=True)]
        for name, count in pd.Series(names).value_counts().items():
            if count > 1 and name:
                raise DataError(f"{listed.name}: {count} galaxies are called {name}; give each a name in a column 'id'")
        return cls(names, ra, dec, text.drop(columns=list(columns)))

    def __len__(self) -> int:
        return len(self.names)

    def scales(self, scale: float | str) -> NDArray[np.float64]:
        """Arcseconds to a pixel of each galaxy's cutout, shape (galaxies,); NaN where that is not known.

        Args:
            scale: a number for all, a column, or a column times a number, such as ``0.02*petroR90_r``.

        Raises:
            DataError: there is no such column, or a number is not positive.

        Example:
            >>> galaxies = pd.DataFrame({"ra": [1.0], "dec": [2.0], "petroR90_r": [20.0]})
            >>> Positions.of(galaxies).scales("0.02*petroR90_r").tolist()
            [0.4]
        """
        try:
            scales = np.full(len(self), float(scale))
        except ValueError:
            scales = self._of_column(str(scale))
        wrong = scales[(scales <= 0) | np.isinf(scales)]
        if len(wrong):
            raise DataError(f"the scale {scale!r} has to be above 0 and finite, unlike {wrong[0]:g}")
        return scales

    def _of_column(self, words: str) -> NDArray[np.float64]:
        match = SCALE.fullmatch(words)
        column, factor = (match["column"], match["factor"] or 1) if match else (words, 1)
        if column not in self.known:
            raise DataError(
                f"the scale {words!r}: there is no column {column!r}{nearest(column, map(str, self.known))}"
            )
        return np.round(pd.to_numeric(self.known[column], errors="coerce").to_numpy(float) * float(factor), 9)


def _columns(table: str, names: Sequence[str], meanings: Mapping[str, Meaning]) -> tuple[str, str]:
    """The columns of right ascension and declination, of all ``names`` in a table."""
    plain = {name.lower(): name for name in reversed(names)}
    for ra, dec in NAMES:
        if ra in plain and dec in plain:
            return plain[ra], plain[dec]
    by_ucd = [next((n for n, m in meanings.items() if m.ucd.startswith(ucd)), "") for ucd in UCDS]
    if all(by_ucd):
        return by_ucd[0], by_ucd[1]
    raise DataError(f"{table} has no positions: name two of its columns ({', '.join(names)}) 'ra' and 'dec'")


def _degrees(
    text: pd.DataFrame, columns: tuple[str, str], units: list[str]
) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    from astropy.units import Unit

    values = []
    for name, unit, words in zip(columns, units, ("hourangle", "deg"), strict=True):
        numbers = pd.to_numeric(text[name], errors="coerce").to_numpy(float)
        numbers = numbers * Unit(unit or "deg").to("deg")
        for row in np.flatnonzero(np.isnan(numbers) & (text[name] != "")):
            numbers[row] = _sexagesimal(text[name].iloc[row], words)
        values.append(numbers)
    ra, dec = values
    unknown = ~(np.isfinite(ra) & (np.abs(dec) <= 90))
    return np.where(unknown, np.nan, ra % 360), np.where(unknown, np.nan, dec)


def _sexagesimal(words: str, unit: str) -> float:
    from astropy.coordinates import Angle

    try:
        return float(Angle(words, unit=unit).deg)
    except ValueError:
        return np.nan


def _by_position(ra: float, dec: float) -> str:
    """A galaxy's name as the International Astronomical Union forms them; ``""`` where it is nowhere."""
    from astropy.coordinates import Angle

    if np.isnan(ra):
        return ""
    hours = Angle(ra, "deg").to_string("hourangle", sep="", precision=2, pad=True)
    return f"J{hours}{Angle(dec, 'deg').to_string('deg', sep='', precision=1, pad=True, alwayssign=True)}"


def _as_file(name: str) -> str:
    return re.sub(r"[^\w.+-]+", "_", name).strip("._")
