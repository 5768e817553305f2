"""Folders of image files and the CSV tables that label them."""

from __future__ import annotations

import os
import re
from pathlib import Path

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from galaxycnn.errors import DataError

IMAGE_ENDINGS = (".jpg", ".jpeg", ".png", ".tif", ".tiff", ".bmp", ".webp")
"""Endings of image files, in the order in which they are tried for a name without one."""

ID_COLUMNS = (
    *("file", "filename", "imagefile", "imagepath", "imagename", "path", "image"),
    *("galaxyid", "imageid", "objid", "dr7objid", "dr8objid", "iauname", "id", "name"),
)
"""Names of the label column that says which image a row is about, best first, compared without
case, spaces, dashes and underscores (``Image_Path`` counts, too)."""


def list_images(folder: Path) -> dict[str, Path]:
    """Image files below ``folder`` by their relative name, sorted: ``{"spiral/7.jpg": Path(…)}``.

    Raises:
        DataError: there are none.
    """
    found: dict[str, Path] = {}
    for parent, _, names in os.walk(folder):
        prefix = Path(parent).relative_to(folder).as_posix() + "/" if Path(parent) != folder else ""
        for name in names:
            if not name.startswith(".") and name.lower().endswith(IMAGE_ENDINGS):
                found[prefix + name] = Path(parent, name)
    if not found:
        raise DataError(f"there are no images ({' '.join(IMAGE_ENDINGS)}) in {folder}")
    return dict(sorted(found.items()))


def read_table(labels: Path, rows: int | None = None) -> pd.DataFrame:
    """A label file as a table of stripped text, ``""`` for what is not there.

    Raises:
        DataError: there is no such file, or it is no CSV.
    """
    try:
        table = pd.read_csv(labels, dtype=str, keep_default_na=False, nrows=rows, encoding="utf-8-sig")
    except FileNotFoundError as error:
        raise DataError(f"there is no file {labels}") from error
    except (pd.errors.ParserError, pd.errors.EmptyDataError, UnicodeDecodeError) as error:
        raise DataError(f"{labels} cannot be read as a CSV table: {error}") from error
    table.columns = table.columns.str.strip()
    return table.apply(lambda column: column.fillna("").str.strip())


def id_column(table: pd.DataFrame, labels: Path) -> str:
    """The column that says which image a row is about (see :data:`ID_COLUMNS`).

    Raises:
        DataError: there is none.
    """
    plain = {re.sub(r"[ _-]", "", column.lower()): column for column in reversed(table.columns)}
    for name in ID_COLUMNS:
        if name in plain:
            return plain[name]
    raise DataError(
        f"{labels} has no column that says which image a row is about: "
        f"name one of its columns ({', '.join(table.columns)}) 'file' or 'id'"
    )


def numbers(table: pd.DataFrame) -> NDArray[np.float32]:
    """Columns of text as float32, NaN where a cell is no number."""
    columns = [pd.to_numeric(table[column], errors="coerce") for column in table.columns]
    return np.stack(columns, axis=1).astype(np.float32) if columns else np.zeros((len(table), 0), np.float32)


def numeric_columns(table: pd.DataFrame) -> pd.DataFrame:
    """The columns of text that hold numbers and gaps and nothing else, as float64 with NaN for the gaps.

    Example:
        >>> numeric_columns(pd.DataFrame({"redshift": ["0.05", "", "nan"], "survey": ["SDSS", "SDSS", "1"]}))
           redshift
        0      0.05
        1       NaN
        2       NaN
    """
    gaps = {"", "nan", "null", "none", "na", "n/a", "--", "masked"}
    found = {}
    for column in table.columns:
        values = pd.to_numeric(table[column], errors="coerce").replace([np.inf, -np.inf], np.nan)
        empty = table[column].str.lower().isin(gaps)
        if (values.notna() | empty).all() and values.notna().any():
            found[column] = values.astype(np.float64)
    return pd.DataFrame(found, index=table.index)
