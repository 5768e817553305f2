"""What all pictures share: the look, and how they are written.

Pictures are made with Matplotlib's object interface, so that drawing needs no display, keeps no
figure open and leaves the settings of a notebook alone.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from math import ceil
from pathlib import Path
from textwrap import fill
from typing import Any

import matplotlib
from matplotlib.axes import Axes
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.figure import Figure
from matplotlib.layout_engine import ConstrainedLayoutEngine

from galaxycnn.errors import UserError, nearest
from galaxycnn.files import atomic_path

BLUE, ORANGE, GREEN, PINK, SKY, RED, YELLOW = (
    "#0072B2",
    "#E69F00",
    "#009E73",
    "#CC79A7",
    "#56B4E9",
    "#D55E00",
    "#F0E442",
)
INK, GREY, PALE = "#222222", "#8A8A8A", "#E6E6E6"
COLOURS = (BLUE, RED, GREEN, PINK, ORANGE, SKY, INK)
"""Colours of lines, told apart with any colour vision (Okabe & Ito 2008)."""
MARKERS = ("o", "s", "^", "D", "v", "P", "X")
COLOUR_MAP = "cividis"

FORMATS = ("png", "pdf", "svg")
"""The endings that a picture's path may have."""

LETTERS_PER_INCH = 9
"""How many letters of a figure's title fit in an inch."""

_SETTINGS: dict[Any, Any] = {
    "axes.axisbelow": True,
    "axes.edgecolor": GREY,
    "axes.grid": True,
    "axes.labelcolor": INK,
    "axes.labelsize": 9,
    "axes.spines.right": False,
    "axes.spines.top": False,
    "axes.titlelocation": "left",
    "axes.titlesize": 10,
    "axes.titley": 1.0,
    "figure.autolayout": False,
    "figure.constrained_layout.use": False,
    "figure.dpi": 150,
    "figure.titlesize": 12,
    "figure.titleweight": "bold",
    "font.family": "DejaVu Sans",
    "font.size": 9,
    "grid.color": PALE,
    "legend.fontsize": 8,
    "legend.frameon": False,
    "lines.linewidth": 1.6,
    "lines.markersize": 4.5,
    "pdf.fonttype": 42,
    "savefig.dpi": 150,
    "svg.fonttype": "none",
    "xtick.color": INK,
    "xtick.labelsize": 8,
    "ytick.color": INK,
    "ytick.labelsize": 8,
}


@contextmanager
def picture(
    path: str | Path, width: float, height: float, title: str = "", *, also: Sequence[Path] = ()
) -> Iterator[Figure]:
    """Yield an empty figure of this size in inches that the end of the block writes to ``path`` and ``also``.

    The ending of a path is the format. Nothing is written when the block raises.

    Raises:
        UserError: the ending is none of :data:`FORMATS`.

    Example:
        >>> import tempfile
        >>> path = f"{tempfile.mkdtemp()}/line.png"
        >>> with picture(path, 3, 2, "A line") as figure:
        ...     _ = figure.add_subplot().plot([0, 1])
        >>> Path(path).stat().st_size > 0
        True
    """
    paths = (path, *also)
    for each in paths:
        check_format(each)
    with matplotlib.rc_context(_SETTINGS):
        layout = ConstrainedLayoutEngine()
        figure = Figure(figsize=(width, height), layout=layout)
        FigureCanvasAgg(figure)
        if title:
            figure.suptitle(fill(title, int(width * LETTERS_PER_INCH)), x=0.01, horizontalalignment="left")
        yield figure
        if figure.get_layout_engine() is layout:
            layout.execute(figure)  # savefig would draw the picture twice for that
            figure.set_layout_engine(None)
        for each in paths:
            with atomic_path(each) as temporary:
                figure.savefig(temporary)


def check_format(path: str | Path) -> None:
    """Raise a UserError where the ending of ``path`` is not a picture's."""
    ending = Path(path).suffix.lower().removeprefix(".")
    if ending not in FORMATS:
        raise UserError(f"{path}: cannot write a picture with the ending {ending!r}{nearest(ending, FORMATS)}")


def panels(figure: Figure, count: int, columns: int) -> list[Axes]:
    """``count`` axes in rows of at most ``columns``."""
    columns = min(columns, count)
    rows = ceil(count / columns)
    return [figure.add_subplot(rows, columns, i + 1) for i in range(count)]


def grid_columns(count: int) -> int:
    """How many columns a grid of ``count`` panels has on a page that is wider than high.

    Example:
        >>> [grid_columns(count) for count in (1, 3, 4, 9, 11)]
        [1, 3, 3, 3, 4]
    """
    return min(count, 3 if count <= 9 else 4)


def grid_size(count: int, columns: int, width: float, height: float, header: float = 0.5) -> tuple[float, float]:
    """Width and height in inches of a figure of panels of this size under a title."""
    used = min(columns, count)
    return used * width, ceil(count / used) * height + header


def part_title(what: str, name: str, part: str, galaxies: int) -> str:
    """A picture's title: what it shows, of which run, on which part of the sample.

    Example:
        >>> part_title("Calibration", "quickstart", "test", 1480)
        'Calibration of quickstart: test, 1,480 galaxies'
    """
    return f"{what}{' of ' + name if name else ''}: {part}, {galaxies:,} galaxies"
