"""The finished table as CSV, Parquet, FITS or VOTable, a few thousand rows at a time.

Text is UTF-8 but in FITS, which knows ASCII alone: there other letters become ``?``.
"""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator, Mapping
from dataclasses import replace
from io import BytesIO
from pathlib import Path
from typing import Any
from xml.sax.saxutils import escape

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from galaxycnn.errors import UserError, nearest
from galaxycnn.files import atomic_path
from galaxycnn.predicting.lists import pyarrow_parquet
from galaxycnn.predicting.rows import Kind
from galaxycnn.predicting.tables import Meaning

ROWS = 4096
"""Rows that are converted at a time."""

FITS_BLOCK = 2880
"""Bytes of which a FITS file is made up."""

Kinds = Mapping[str, Kind]
Meanings = Mapping[str, Meaning]
"""By the name of a column in the table: what it holds, and its unit and the like where they are known."""

DTYPES = {"float": "f4", "number": "f8", "integer": "i8"}


def writer_of(path: Path) -> Callable[[Path, Path, Kinds, Meanings], None]:
    """What turns a CSV file of rows into the file at ``path``, by its ending.

    Raises:
        UserError: there is no such format, or its library is not installed.
    """
    ending = path.suffix.lower()
    if ending not in WRITERS:
        raise UserError(f"{path}: the table ends with {' '.join(WRITERS)}{nearest(ending, WRITERS)}")
    if ending == ".parquet":
        pyarrow_parquet()
    return WRITERS[ending]


def typed(table: pd.DataFrame, kinds: Kinds) -> pd.DataFrame:
    """Columns of text as what they hold: numbers where all that is known of one is a number.

    Example:
        >>> table = pd.DataFrame({"id": ["7"], "objid": ["587741"], "ra": ["180.5"], "z": [""]})
        >>> kinds = {"id": "text", "objid": "given", "ra": "given", "z": "given"}
        >>> typed(table, kinds).dtypes.astype(str).tolist()
        ['str', 'int64', 'float64', 'str']
    """
    held = _Held(kinds)
    held.see(table)
    return pd.DataFrame({name: held.values(table[name]) for name in table}, index=table.index)


class _Held:
    """What the columns of a table hold, found out part by part."""

    def __init__(self, kinds: Kinds) -> None:
        self.kinds: dict[str, str] = {name: {"given": "unknown"}.get(kind, kind) for name, kind in kinds.items()}
        self.widths = dict.fromkeys(kinds, 1)
        self.rows = 0
        self._given = [name for name, kind in kinds.items() if kind == "given"]
        self._gaps: set[str] = set()

    def see(self, table: pd.DataFrame) -> None:
        """Take notice of some rows of text."""
        self.rows += len(table)
        for name in self._given:
            self._narrow(name, table[name])
        for name, kind in self.kinds.items():
            if kind in ("text", "unknown") or name in self._given:
                self.widths[name] = max(self.widths[name], *(len(str(value)) for value in table[name]), 1)

    def _narrow(self, name: str, column: pd.Series) -> None:
        known = column[column != ""]
        self._gaps |= {name} if len(known) < len(column) else set()
        if self.kinds[name] == "text" or not len(known):
            return
        if pd.to_numeric(known, errors="coerce").isna().any() and not known.str.lower().isin(["nan"]).all():
            self.kinds[name] = "text"
        elif self.kinds[name] != "number":
            whole = known.str.fullmatch(r"-?(0|[1-9]\d{0,17})").all()
            self.kinds[name] = "integer" if whole else "number"

    def kind(self, name: str) -> str:
        """``text``, ``float`` (32 bits), ``number`` (64 bits) or ``integer``."""
        kind = self.kinds[name]
        if kind == "unknown":
            return "text"
        return "number" if kind == "integer" and name in self._gaps else kind

    def values(self, column: pd.Series) -> Any:
        """A column of text as what it holds."""
        kind = self.kind(str(column.name))
        if kind == "text":
            return column
        if kind == "integer":
            return column.astype(np.int64)
        return pd.to_numeric(column, errors="coerce").astype(np.float32 if kind == "float" else np.float64)


def _parts(rows: Path) -> Iterator[pd.DataFrame]:
    with pd.read_csv(rows, dtype=str, keep_default_na=False, chunksize=ROWS) as parts:
        yield from parts


def _held(rows: Path, kinds: Kinds) -> _Held:
    held = _Held(kinds)
    for part in _parts(rows):
        held.see(part)
    return held


# -- formats -------------------------------------------------------------------------------------


def _write_csv(rows: Path, output: Path, kinds: Kinds, meanings: Meanings) -> None:
    os.replace(rows, output)


def _write_parquet(rows: Path, output: Path, kinds: Kinds, meanings: Meanings) -> None:
    import pyarrow

    held = _held(rows, kinds)
    types = {"text": pyarrow.string(), "float": pyarrow.float32(), "number": pyarrow.float64()}
    schema = pyarrow.schema([(name, types.get(held.kind(name), pyarrow.int64())) for name in kinds])
    with atomic_path(output) as temporary, pyarrow_parquet().ParquetWriter(temporary, schema) as writer:
        for part in _parts(rows):
            table = pd.DataFrame({name: held.values(part[name]) for name in kinds})
            writer.write_table(pyarrow.Table.from_pandas(table, schema, preserve_index=False))


def _write_fits(rows: Path, output: Path, kinds: Kinds, meanings: Meanings) -> None:
    from astropy.io import fits

    held = _held(rows, kinds)
    dtype = np.dtype(
        [(name, f">{DTYPES[k]}" if (k := held.kind(name)) in DTYPES else f"S{held.widths[name]}") for name in kinds]
    )
    header = fits.BinTableHDU(np.zeros(1, dtype)).header
    header["NAXIS2"] = held.rows
    for number, name in enumerate(kinds, start=1):
        meaning = _of_what_is_held(name, held, meanings)
        said = {"TUNIT": _unit(meaning.unit, "fits"), "TUCD": meaning.ucd, "TCOMM": meaning.description}
        for keyword, text in said.items():
            if text:
                header[f"{keyword}{number}"] = text.encode("ascii", "replace").decode()
    with atomic_path(output) as temporary, temporary.open("wb") as file:
        file.write(fits.PrimaryHDU().header.tostring().encode("ascii") + header.tostring().encode("ascii"))
        for part in _parts(rows):
            file.write(_records(part, held, dtype).tobytes())
        file.write(b"\0" * (-file.tell() % FITS_BLOCK))


def _records(part: pd.DataFrame, held: _Held, dtype: np.dtype[Any]) -> NDArray[Any]:
    records = np.zeros(len(part), dtype)
    for name in dtype.names or ():
        values = held.values(part[name])
        text = held.kind(name) == "text"
        records[name] = [str(value).encode("ascii", "replace") for value in values] if text else values.to_numpy()
    return records


def _write_votable(rows: Path, output: Path, kinds: Kinds, meanings: Meanings) -> None:
    held = _held(rows, kinds)
    before, end, after = _votable_header(held, meanings).partition(b"</TABLE>")
    text = [held.kind(name) == "text" for name in kinds]
    with atomic_path(output) as temporary, temporary.open("wb") as file:
        file.write(before + b"<DATA><TABLEDATA>\n")
        for part in _parts(rows):
            for row in part[list(kinds)].itertuples(index=False):
                cells = (escape(v) if plain else v.replace("nan", "") for v, plain in zip(row, text, strict=True))
                file.write(f"<TR>{''.join(f'<TD>{cell}</TD>' for cell in cells)}</TR>\n".encode())
        file.write(b"</TABLEDATA></DATA>\n" + end + after)


def _votable_header(held: _Held, meanings: Meanings) -> bytes:
    """A VOTable without rows."""
    from astropy.io.votable import from_table
    from astropy.table import Column, Table

    columns = []
    for name in held.kinds:
        kind = held.kind(name)
        meaning = _of_what_is_held(name, held, meanings)
        meta = {"ucd": meaning.ucd} if meaning.ucd else {}
        said = {"unit": _unit(meaning.unit, "vounit") or None, "description": meaning.description or None, "meta": meta}
        columns.append(Column(np.zeros(0, DTYPES.get(kind, f"U{held.widths[name]}")), name, **said))
    content = BytesIO()
    from_table(Table(columns)).to_xml(content)
    return content.getvalue()


def _of_what_is_held(name: str, held: _Held, meanings: Meanings) -> Meaning:
    """What a column means; one of text, such as ``12:30:00``, has no unit."""
    meaning = meanings.get(name, Meaning())
    return replace(meaning, unit="") if held.kind(name) == "text" else meaning


def _unit(unit: str, form: str) -> str:
    """A unit as a format writes it, or as it is where that has no word for it."""
    from astropy.units import Unit

    try:
        return str(Unit(unit).to_string(form)) if unit else ""
    except ValueError:
        return unit


WRITERS = {
    ".csv": _write_csv,
    ".parquet": _write_parquet,
    ".fits": _write_fits,
    ".vot": _write_votable,
    ".xml": _write_votable,
}
"""How a table is written, by the ending of its file."""
