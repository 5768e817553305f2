"""What the benchmarks of networks' speed have in common: the columns of a speed, and the table written and shown."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import numpy as np
import pandas as pd

from galaxycnn.files import atomic_path
from galaxycnn.machine import machine
from galaxycnn.markdown import markdown


def spread(name: str, speeds: Sequence[float]) -> dict[str, float]:
    """The last columns of a row: the median of all repeats, called ``name``, the slowest and the fastest."""
    return {name: float(np.median(speeds)), "slowest": min(speeds), "fastest": max(speeds)}


def report(table: pd.DataFrame, out: Path, headings: Sequence[str]) -> None:
    """Write ``table``, whose last columns are a :func:`spread`, as CSV, and show it with the machine as Markdown."""
    with atomic_path(out) as temporary:
        table.to_csv(temporary, index=False)
    found = machine()
    print(f"{', '.join(found['gpus']) or found['processor']}, {found['cores']} cores, {found['backend']}\n")
    print(markdown(headings, [_cells(row) for row in table.itertuples(index=False)]))


def _cells(row: tuple[object, ...]) -> list[str]:
    *what, median, slowest, fastest = row
    named = [f"{each:,}" if isinstance(each, int) else str(each) for each in what]
    return [*named, f"{median:.1f}", f"{slowest:.1f}, {fastest:.1f}"]
