"""Progress bars with an ETA, on the error stream, so that the output stream stays clean for pipes."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from contextvars import ContextVar
from importlib.util import find_spec
from typing import TypeVar

from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeElapsedColumn, TimeRemainingColumn

T = TypeVar("T")
_SILENT = ContextVar("_SILENT", default=False)


def progress_bar(count: bool = True) -> Progress:
    """A bar for one or more tasks: description, bar, count where asked for, elapsed and remaining time.

    In a notebook it needs ipywidgets, and is not shown without.
    """
    hidden = _SILENT.get() or (Console().is_jupyter and find_spec("ipywidgets") is None)
    return Progress(
        TextColumn("{task.description}"),
        BarColumn(bar_width=20),
        *([MofNCompleteColumn()] if count else []),
        TimeElapsedColumn(),
        TextColumn("left"),
        TimeRemainingColumn(),
        console=Console(stderr=True, quiet=hidden),
        disable=hidden,
    )


@contextmanager
def silent_progress() -> Iterator[None]:
    """Bars that begin inside the block are not shown: the one around them is."""
    token = _SILENT.set(True)
    try:
        yield
    finally:
        _SILENT.reset(token)


def track(items: Iterable[T], description: str, total: int) -> Iterator[T]:
    """Iterate over ``items`` under a progress bar.

    Example:
        >>> sum(track([1, 2, 3], "adding", total=3))
        6
    """
    with progress_bar() as bar:
        yield from bar.track(items, total=total, description=description)
