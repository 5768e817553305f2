"""Lists of images: a table in a file or in memory, with a column of files and any others beside it."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any

import pandas as pd

from galaxycnn.data.label_files import id_column
from galaxycnn.errors import DataError, MissingExtra
from galaxycnn.predicting.tables import (
    POSITIONS,
    Meaning,
    as_text,
    is_table,
    meaning_of,
    meanings_of,
    read_table,
    text_of,
)

ENDINGS = (".csv", ".parquet")
ROWS = 4096
"""Rows of a list that are read at a time."""

IDENTIFIERS = ("objid", "galaxyid", "dr7objid", "dr8objid", "iauname", "id", "name")
"""Columns that name a galaxy, best first, in small letters without spaces, dashes and underscores."""


def is_list(path: Path) -> bool:
    """Whether a file is a list: CSV, Parquet, ECSV, VOTable, or a FITS file with a table."""
    return path.suffix.lower() in ENDINGS or is_table(path)


def list_of(table: Path | Any, folder: str | Path | None = None) -> Listed:
    """The list that a file or a table of pandas or astropy is.

    Args:
        folder: what the names of files in it are relative to; None: the folder of the list.

    Raises:
        DataError: no column says which image a row is about.
    """
    if isinstance(table, Path):
        return Listed(read_table(table) if is_table(table) else table, Path(folder or table.parent), str(table))
    frame = table.reset_index(drop=True) if isinstance(table, pd.DataFrame) else table
    return Listed(frame, Path(folder or "."))


@dataclass(frozen=True, eq=False)
class Listed:
    """The rows of a list as text, some at a time.

    Example:
        >>> galaxies = pd.DataFrame({"objid": [7, 8], "file": ["a.jpg", "b.jpg"], "ra": [180.5, 181.0]})
        >>> listed = list_of(galaxies)
        >>> listed.file_column, listed.id_column, listed.columns, next(listed.rows())[1]["ra"]
        ('file', 'objid', ('ra',), '180.5')
    """

    table: Path | pd.DataFrame | Any
    folder: Path
    name: str = "the table"

    @cached_property
    def _header(self) -> pd.DataFrame:
        return next(self._tables(), pd.DataFrame())

    @cached_property
    def file_column(self) -> str:
        """The column that names the images.

        Raises:
            DataError: there is none.
        """
        try:
            return id_column(self._header, Path(self.name))
        except DataError as error:
            if {str(name).lower() for name in self._header} >= set(POSITIONS):
                raise DataError(f"{error}; 'galaxycnn cutouts' fetches images by their positions") from None
            raise

    @cached_property
    def id_column(self) -> str:
        """The column that names the galaxies, ``""`` for none: their files do."""
        plain = {str(c).lower().replace(" ", "").replace("_", "").replace("-", ""): str(c) for c in self._header}
        return next((plain[name] for name in IDENTIFIERS if name in plain), "")

    @cached_property
    def columns(self) -> tuple[str, ...]:
        """All other columns."""
        return tuple(str(name) for name in self._header if name not in (self.file_column, self.id_column))

    @cached_property
    def meanings(self) -> dict[str, Meaning]:
        """What is known of these columns beside their values."""
        known = meanings_of(self.table) if self.of_astronomers else {}
        return {name: known.get(name, meaning_of(name)) for name in self.columns}

    @property
    def of_astronomers(self) -> bool:
        """Whether it is a table of astropy's, with units and the like."""
        return not isinstance(self.table, Path | pd.DataFrame)

    def __len__(self) -> int:
        return sum(len(table) for table in self._tables())

    def rows(self) -> Iterator[tuple[str, dict[str, str]]]:
        """The file that each row names, and the row.

        Raises:
            DataError: a row names none.
        """
        number = 0
        for table in self._tables():
            names = [str(name) for name in table]
            for values in table.itertuples(index=False):
                row = dict(zip(names, values, strict=True))
                number += 1
                if not row[self.file_column]:
                    raise DataError(f"{self.name}: row {number} names no image ({self.file_column!r} is empty)")
                yield row[self.file_column], row

    def text(self) -> pd.DataFrame:
        """The whole list as text."""
        return pd.concat(self._tables(), ignore_index=True)

    def _tables(self) -> Iterator[pd.DataFrame]:
        """Parts of the list, all of text."""
        if not isinstance(self.table, Path):
            text = text_of if self.of_astronomers else _as_text
            for start in range(0, max(len(self.table), 1), ROWS):
                yield text(self.table[start : start + ROWS])
        elif self.table.suffix.lower() == ".parquet":
            yield from (_as_text(part) for part in _parquet(self.table))
        else:
            yield from _csv(self.table)


def _csv(path: Path) -> Iterator[pd.DataFrame]:
    try:
        with pd.read_csv(path, dtype=str, keep_default_na=False, chunksize=ROWS, encoding="utf-8-sig") as parts:
            for part in parts:
                part.columns = part.columns.str.strip()
                yield part.apply(lambda column: column.fillna("").str.strip())
    except (pd.errors.ParserError, pd.errors.EmptyDataError, UnicodeDecodeError) as error:
        raise DataError(f"{path} cannot be read as a CSV table: {error}") from error


def _parquet(path: Path) -> Iterator[pd.DataFrame]:
    parquet = pyarrow_parquet()
    try:
        with parquet.ParquetFile(path) as file:
            yield from (part.to_pandas() for part in file.iter_batches(ROWS))
    except (OSError, ValueError) as error:
        raise DataError(f"{path} cannot be read as a Parquet file: {error}") from error


def pyarrow_parquet() -> Any:
    """The library that reads and writes Parquet.

    Raises:
        UserError: it is not installed.
    """
    try:
        from pyarrow import parquet
    except ImportError as error:
        raise MissingExtra("a Parquet file", "parquet") from error
    return parquet


def _as_text(table: pd.DataFrame) -> pd.DataFrame:
    text = {str(name): as_text(column.tolist(), column.isna().tolist()) for name, column in table.items()}
    return pd.DataFrame(text, index=table.index)
