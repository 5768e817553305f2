"""Tables of astronomers: what their columns hold as text, their units and UCDs, and predictions beside them.

Sky coordinates become ``ra`` and ``dec`` (ICRS, degrees) in text, times ISO 8601, quantities numbers in their unit.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np
import pandas as pd

from galaxycnn.errors import DataError

if TYPE_CHECKING:  # slow to import, and not needed for pictures
    from astropy.table import Table

FITS_ENDINGS = (".fits", ".fit", ".fts")
ENDINGS = (".ecsv", ".vot", ".xml")
"""Endings of files that hold such a table, beside FITS."""


@dataclass(frozen=True)
class Meaning:
    """What is known of a column beside its values, ``""`` for nothing.

    Attributes:
        unit: as astropy writes it.
        ucd: the Unified Content Descriptor of the Virtual Observatory.
        description: words.
    """

    unit: str = ""
    ucd: str = ""
    description: str = ""


POSITIONS = {
    "ra": Meaning("deg", "pos.eq.ra;meta.main", "right ascension"),
    "dec": Meaning("deg", "pos.eq.dec;meta.main", "declination"),
}
"""What columns of these names hold where nothing is said of them."""


def meaning_of(name: str) -> Meaning:
    """What a column holds as far as its name says, whatever its case.

    Example:
        >>> meaning_of("RA").unit, meaning_of("plate").unit
        ('deg', '')
    """
    return POSITIONS.get(name.lower(), Meaning())


class Column(NamedTuple):
    """One column as text would have it."""

    name: str
    values: Iterable[Any]
    missing: Iterable[bool]
    meaning: Meaning


def text_of(table: Table) -> pd.DataFrame:
    """The columns of a table as text, ``""`` for what is masked.

    Raises:
        DataError: a column holds arrays.

    Example:
        >>> from astropy.coordinates import SkyCoord
        >>> from astropy.table import QTable
        >>> table = QTable({"file": ["a.jpg"], "sky": SkyCoord([180.5], [-2.0], unit="deg")})
        >>> text_of(table)
            file     ra   dec
        0  a.jpg  180.5  -2.0
    """
    return pd.DataFrame({column.name: as_text(column.values, column.missing) for column in _columns(table)}, dtype=str)


def meanings_of(table: Table) -> dict[str, Meaning]:
    """What is known of the columns of :func:`text_of`."""
    return {column.name: column.meaning for column in _columns(table[:0])}


def as_text(values: Iterable[Any], missing: Iterable[bool]) -> list[str]:
    """Numbers as short as they can be read back, ``""`` for what is not there.

    Example:
        >>> as_text([np.float32(0.1), b"SDSS ", None], [False, False, True])
        ['0.1', 'SDSS', '']
    """
    return [
        "" if gone else (value.decode() if isinstance(value, bytes) else str(value)).strip()
        for value, gone in zip(values, missing, strict=True)
    ]


def _columns(table: Table) -> Iterator[Column]:
    from astropy.coordinates import SkyCoord
    from astropy.time import Time

    sky = [name for name in table.colnames if isinstance(table[name], SkyCoord)]
    plain = {name.lower() for name in table.colnames}
    for name in table.colnames:
        column = table[name]
        if isinstance(column, SkyCoord):
            prefix = "" if name == sky[0] and not plain & set(POSITIONS) else f"{name}."
            for angle, meaning in POSITIONS.items():
                degrees = np.ma.masked_array(getattr(column.icrs, angle).deg)
                yield Column(prefix + angle, degrees.data, np.ma.getmaskarray(degrees), meaning)
        elif column.ndim > 1:
            raise DataError(
                f"the column {name!r} holds an array in each row, which text does not: leave it out, or predict with"
                " as_table=True"
            )
        else:
            times = column.isot if isinstance(column, Time) else column
            bare = getattr(times, "unmasked", times)
            missing = np.broadcast_to(getattr(times, "mask", False), bare.shape)
            yield Column(name, np.asarray(getattr(bare, "value", bare)), missing, _meaning(table, name))


def _meaning(table: Table, name: str) -> Meaning:
    info, number = table[name].info, table.colnames.index(name) + 1
    ucd = (info.meta or {}).get("ucd") or table.meta.get(f"TUCD{number}") or ""
    usual = meaning_of(name)
    return Meaning(str(info.unit or usual.unit), str(ucd or usual.ucd), str(info.description or usual.description))


# -- files ---------------------------------------------------------------------------------------


def is_table(path: Path) -> bool:
    """Whether a file holds such a table, by its ending, or as a FITS file whose first data are a table."""
    if path.suffix.lower() in ENDINGS:
        return path.is_file()
    if path.suffix.lower() not in FITS_ENDINGS or not path.is_file():
        return False
    with path.open("rb") as file:  # most images are told from tables by what comes first
        begin = file.read(2880)
    return b"NAXIS   =                    0 " in begin and b"SIMPLE" in begin and _first_is_table(path)


def _first_is_table(path: Path) -> bool:
    from astropy.io import fits

    try:
        with fits.open(path) as units:
            return len(units) > 1 and isinstance(units[1], fits.BinTableHDU | fits.TableHDU)
    except OSError:
        return False


def read_table(path: Path) -> Table:
    """The table in a file.

    Raises:
        DataError: it cannot be read.
    """
    from astropy.table import Table

    kinds = {".ecsv": "ascii.ecsv", ".vot": "votable", ".xml": "votable"}
    try:
        return Table.read(path, format=kinds.get(path.suffix.lower(), "fits"))
    except Exception as error:  # a reader may raise anything at all on damaged files
        raise DataError(f"{path} cannot be read as a table: {' '.join(str(error).split())}") from error


# -- predictions beside a table ------------------------------------------------------------------


def table_of(images: Any) -> Table | None:
    """The table that names the images, in memory or in a file; None where something else does."""
    if hasattr(images, "colnames"):
        return images
    named = isinstance(images, str | Path) and is_table(Path(images))
    return read_table(Path(images)) if named else None


def narrow(table: Table) -> Table:
    """The columns of a table that hold one value in each row."""
    return table[[name for name in table.colnames if table[name].ndim == 1]]


def beside(predicted: pd.DataFrame, given: Iterable[str], table: Table | None) -> Table:
    """Predictions as a table: the columns of the one that names the images as they are, then what is predicted.

    Args:
        predicted: what :func:`galaxycnn.predict` returns.
        given: the columns of ``predicted`` that were carried through.
        table: its units, sky coordinates, masks and metadata are kept; None: there is none.
    """
    from astropy.table import Table

    if table is None:
        made = Table({name: _array(predicted[name]) for name in predicted})
        for name, meaning in POSITIONS.items():
            if name in given and made[name].dtype.kind == "f":
                made[name].unit, made[name].description = meaning.unit, meaning.description
        return made
    made = table.copy(copy_data=False)
    for name in predicted.columns.drop(["id", "file", *given]):
        if name in made.colnames:
            made.rename_column(name, f"given_{name}")
        made[name] = _array(predicted[name])
    return made


def _array(column: pd.Series) -> Any:
    return column.to_numpy() if column.dtype.kind in "iuf" else np.array(column.tolist(), str)
