"""Lists of images: a CSV or Parquet file, or a table in memory, with a column of files and any others beside it."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any

import pandas as pd

from galaxycnn.data.label_files import id_column
from galaxycnn.errors import DataError, UserError

ENDINGS = (".csv", ".parquet")
ROWS = 4096
"""Rows of a list that are read at a time."""

IDENTIFIERS = ("objid", "galaxyid", "dr7objid", "dr8objid", "iauname", "id", "name")
"""Columns that name a galaxy, best first, in small letters without spaces, dashes and underscores."""


def is_list(path: Path) -> bool:
    """Whether a file is a list by its ending."""
    return path.suffix.lower() in ENDINGS


def list_of(table: Path | Any, folder: str | Path | None = None) -> Listed:
    """The list that a file or a table of pandas or astropy is.

    Args:
        folder: what the names of files in it are relative to; None: the folder of the list.

    Raises:
        DataError: no column says which image a row is about.
    """
    if isinstance(table, Path):
        return Listed(table, Path(folder) if folder is not None else table.parent)
    frame = table if isinstance(table, pd.DataFrame) else table.to_pandas()
    return Listed(frame.reset_index(drop=True), Path(folder or "."))


@dataclass(frozen=True, eq=False)
class Listed:
    """The rows of a list as text, some at a time.

    Example:
        >>> galaxies = pd.DataFrame({"objid": [7, 8], "file": ["a.jpg", "b.jpg"], "ra": [180.5, 181.0]})
        >>> listed = list_of(galaxies)
        >>> listed.file_column, listed.id_column, listed.columns, next(listed.rows())[1]["ra"]
        ('file', 'objid', ('ra',), '180.5')
    """

    table: Path | pd.DataFrame
    folder: Path

    @cached_property
    def _header(self) -> pd.DataFrame:
        return next(self._tables(), pd.DataFrame())

    @cached_property
    def file_column(self) -> str:
        """The column that names the images."""
        return id_column(self._header, Path(self._name))

    @cached_property
    def id_column(self) -> str:
        """The column that names the galaxies, ``""`` for none: their files do."""
        plain = {str(c).lower().replace(" ", "").replace("_", "").replace("-", ""): str(c) for c in self._header}
        return next((plain[name] for name in IDENTIFIERS if name in plain), "")

    @cached_property
    def columns(self) -> tuple[str, ...]:
        """All other columns."""
        return tuple(str(name) for name in self._header if name not in (self.file_column, self.id_column))

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
                    raise DataError(f"{self._name}: row {number} names no image ({self.file_column!r} is empty)")
                yield row[self.file_column], row

    @property
    def _name(self) -> str:
        return str(self.table) if isinstance(self.table, Path) else "the table"

    def _tables(self) -> Iterator[pd.DataFrame]:
        """Parts of the list, all of text."""
        if isinstance(self.table, pd.DataFrame):
            parts: Iterator[pd.DataFrame] = (
                self.table.iloc[start : start + ROWS] for start in range(0, len(self.table), ROWS)
            )
            yield from (_as_text(part) for part in parts)
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
    except ImportError:
        raise UserError("Parquet needs pyarrow: pip install 'galaxycnn[parquet]', or use CSV") from None
    return parquet


def _as_text(table: pd.DataFrame) -> pd.DataFrame:
    """Numbers as short as they can be read back, ``""`` for what is not there."""
    text = {
        str(name): [
            "" if missing else (value.decode() if isinstance(value, bytes) else str(value)).strip()
            for value, missing in zip(column.tolist(), column.isna().tolist(), strict=True)
        ]
        for name, column in table.items()
    }
    return pd.DataFrame(text, index=table.index)
