"""Two galaxies as every control changes them, beside the scores that a network reaches then."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from matplotlib.axes import Axes

from galaxycnn.controls.measuring import UNCHANGED, Controlled
from galaxycnn.controls.report import words
from galaxycnn.plots.style import BLUE, GREY, INK, PALE, RED, picture

Results = dict[str, Any]

LEFT, SIDE, GAP, ABOVE, BELOW = 1.75, 0.8, 0.05, 0.75, 0.8
"""Inches: of the words, of a cutout, between cutouts, above the rows and below them."""
PANEL, SPACE = 2.6, 0.25
"""Inches: of a panel of scores, between panels."""
BRIGHTENED = 0.7
"""Power of the pixels that are shown, so that the sky is seen."""
WORST = -1.5
"""Scores below this stand at the edge with their number."""
NOTE = (
    "Bars and the grey band, that of the galaxies as they are: 95 % intervals. Dotted: a network that never looks.\n"
    "Cutouts are brightened; what a control takes from another galaxy, it took from the other one in the row."
)


def controls_figure(controlled: Controlled, path: str | Path, *, name: str = "the network") -> Path:
    """Draw a row for each control: two galaxies as it changes them, and each score with its 95 % interval.

    Args:
        controlled: what :func:`galaxycnn.controls.measure_controls` returned.
        path: where to write; its ending decides the format.
        name: the network's name, for the title.
    """
    panels = [
        (f"{output}: {score}", figures)
        for output, scores in controlled.results["outputs"].items()
        for score, figures in scores.items()
    ]
    rows = list(panels[0][1]["controls"])
    cutouts = 2 * (SIDE + GAP)
    width = LEFT + cutouts + len(panels) * (PANEL + SPACE) + SPACE
    height = ABOVE + len(rows) * (SIDE + GAP) + BELOW
    title = f"What {name} reads: {controlled.results['n']:,} galaxies"
    with picture(path, width, height, title) as figure:
        figure.set_layout_engine("none")

        def place(left: float, top: float, wide: float, high: float) -> Axes:
            return figure.add_axes((left / width, (height - top - high) / height, wide / width, high / height))

        for row, control in enumerate(rows):
            top = ABOVE + row * (SIDE + GAP)
            middle = 1 - (top + SIDE / 2) / height
            figure.text((LEFT - 0.1) / width, middle, words(control), ha="right", va="center", color=INK)
            for column, cutout in enumerate(controlled.examples.get(control, ())):
                axes = place(LEFT + column * (SIDE + GAP), top, SIDE, SIDE)
                axes.imshow((cutout.squeeze() / 255) ** BRIGHTENED, cmap="gray", vmin=0, vmax=1)
                axes.set_axis_off()
        for column, (heading, figures) in enumerate(panels):
            left = LEFT + cutouts + SPACE + column * (PANEL + SPACE)
            axes = place(left, ABOVE, PANEL, len(rows) * (SIDE + GAP) - GAP)
            _panel(axes, figures, rows)
            axes.set_title(heading)
        figure.text(0.12 / width, 0.12 / height, NOTE, color=INK, size=8)
    return Path(path)


def _panel(axes: Axes, figures: Results, rows: list[str]) -> None:
    low, high = figures["controls"][UNCHANGED]["interval"]
    if low is not None:
        axes.axvspan(low, high, color=PALE, linewidth=0, zorder=0)
    axes.axvline(figures["floor"], linestyle=":", color=GREY, zorder=1)
    for row, name in enumerate(rows):
        _score(axes, row, figures["controls"][name], BLUE if name == UNCHANGED else RED)
    axes.set_ylim(len(rows) - 0.5, -0.5)
    axes.set_yticks([])
    axes.grid(axis="y", visible=False)


def _score(axes: Axes, row: int, figures: Results, colour: str) -> None:
    value, (low, high) = figures["value"], figures["interval"]
    if value is None:
        return
    if value < WORST:
        axes.plot(WORST, row, "<", color=colour)
        number = f"{value:.1f}".replace("-", "\N{MINUS SIGN}")
        axes.annotate(number, (WORST, row), (8, 0), textcoords="offset points", va="center", size=8, color=INK)
        return
    if low is not None and high is not None:
        axes.hlines(row, max(low, WORST), high, color=colour, linewidth=1.4)
    axes.plot(value, row, "o", color=colour)
