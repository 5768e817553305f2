"""Heat maps over galaxies, one for each question, laid out as the decision tree is."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from textwrap import fill, wrap

import cv2
import numpy as np
from matplotlib.axes import Axes
from matplotlib.colors import to_rgb
from matplotlib.figure import Figure
from matplotlib.patches import PathPatch
from matplotlib.path import Path as Curve
from numpy.typing import NDArray

from galaxycnn.plots.style import GREY, INK, ORANGE, PALE, SKY, picture
from galaxycnn.tree import DecisionTree

SIDE, ACROSS, HEAD, TITLE, FOOT, MARGIN = 1.9, 0.6, 0.62, 0.5, 0.4, 0.15
"""Sizes in inches: of a panel, from one to the next across, of its heading, of the figure's title and foot."""
LINE, LETTERS_AN_INCH = 0.15, 14
"""Of the note below the foot: the height of a line, and letters in an inch of it."""
LETTERS = 31
"""Letters in a line of a heading."""
PIXELS = 288
"""Side at which a map is painted over its galaxy."""
STRONGEST = 0.5
"""How much of the galaxy's own light a map covers where it is largest."""
BRIGHTENED = 0.8
"""Exponent of the galaxy's light, so that faint arms are seen under a map."""
SMOOTHED = 1 / 40
"""Standard deviation of what maps are smoothed by, in sides of the cutout: single pixels cannot be seen."""
LEVEL = 0.5
"""Share of the largest value that is outlined."""


@dataclass(frozen=True)
class Panel:
    """One question, or quantity, in a figure.

    Attributes:
        name: of the question or quantity.
        heading: what is asked.
        answer: the answer in words, with its fraction.
        image: the galaxy, uint8, shape (height, width, 1 or 3).
        heat: the map over it, shape (height, width): above 0 what speaks for the answer, below 0 against it; None to
            show the galaxy alone.
        reached: whether the galaxy comes to the question.
    """

    name: str
    heading: str
    answer: str
    image: NDArray[np.uint8]
    heat: NDArray[np.floating] | None
    reached: bool = True


def explanation_tree(
    tree: DecisionTree, galaxy: Panel, panels: Sequence[Panel], path: str | Path, *, title: str, note: str = ""
) -> Path:
    """Draw a galaxy and beside it, from left to right down the tree, the map of each question.

    Orange is what speaks for an answer, outlined where it is above half of its largest value; blue is what speaks
    against it. Maps are smoothed by a fortieth of the cutout. Questions that the galaxy does not come to are pale.

    Args:
        tree: the questions.
        galaxy: what stands at the root.
        panels: the questions, in the order of the tree, then quantities.
        path: where to write; its ending decides the format.
        title: the figure's title.
        note: what stands below, besides the meaning of the colours.
    """
    columns = _columns(tree, [panel.name for panel in panels])
    by_name = {panel.name: panel for panel in panels}
    rows = max(len(column) for column in columns)
    step, band = SIDE + ACROSS, HEAD + SIDE
    width = 2 * MARGIN + (len(columns) + 1) * step - ACROSS
    lines = wrap(note, int((width - 2 * MARGIN) * LETTERS_AN_INCH))
    height = TITLE + rows * band + FOOT + len(lines) * LINE
    with picture(path, width, height, title) as figure:
        figure.set_layout_engine("none")

        def draw(panel: Panel, column: int, row: int, of: int) -> tuple[float, float]:
            """Draw a panel and return the middle of its left side, in inches."""
            top = height - TITLE - (rows - of) * band / 2 - row * band
            left, bottom = MARGIN + column * step, top - band
            _draw(figure.add_axes((left / width, bottom / height, SIDE / width, SIDE / height)), panel)
            return left, bottom + SIDE / 2

        root = draw(galaxy, 0, 0, 1)
        places: dict[str, tuple[float, float]] = {}
        for number, column in enumerate(columns, start=1):
            for row, name in enumerate(column):
                places[name] = draw(by_name[name], number, row, len(column))
                start = places.get(_parent(tree, name, by_name) or "", root)
                _connect(figure, start, places[name], INK if by_name[name].reached else PALE)
        _write_foot(figure, panels, lines)
    return Path(path)


def _parent(tree: DecisionTree, name: str, shown: dict[str, Panel]) -> str | None:
    """The question that leads to that one, if both are shown."""
    if name not in {question.name for question in tree.questions}:
        return None
    parent = tree.parent_question(tree.question(name))
    return parent.name if parent is not None and parent.name in shown else None


def _columns(tree: DecisionTree, names: Sequence[str]) -> list[list[str]]:
    """Names by how deep they stand in the tree, each column in the order of its parents."""
    shown = {name: None for name in names}
    parents = {name: _parent(tree, name, shown) for name in names}  # type: ignore[arg-type]
    columns = [[name for name in names if parents[name] is None]]
    while column := [name for parent in columns[-1] for name in names if parents[name] == parent]:
        columns.append(column)
    return columns


def _draw(axes: Axes, panel: Panel) -> None:
    grey = panel.image.mean(axis=-1).astype(np.float32) / 255
    if panel.heat is None:
        axes.imshow(panel.image.squeeze(), cmap="gray", vmin=0, vmax=255, interpolation="bicubic")
    else:
        size = PIXELS, round(PIXELS * grey.shape[0] / grey.shape[1])
        heat = shown(panel.heat, size)
        axes.imshow(painted(cv2.resize(grey, size, interpolation=cv2.INTER_CUBIC).clip(0, 1), heat))
        if heat.max() > LEVEL:
            axes.contour(heat, [LEVEL], colors=[ORANGE], linewidths=0.9)
    axes.set_xticks([])
    axes.set_yticks([])
    axes.grid(False)
    for spine in axes.spines.values():
        spine.set(visible=True, color=INK if panel.reached else PALE, linewidth=1.2)
    lines = [*fill(panel.heading, LETTERS).splitlines()[:2], fill(panel.answer, LETTERS).splitlines()[0]]
    for line, text in enumerate(reversed(lines)):
        axes.annotate(
            text,
            *((0, 1), (0, 4 + 10.5 * line), "axes fraction", "offset points"),
            fontsize=8.5 if line == 0 else 7.5,
            weight="bold" if line == 0 and panel.reached else "normal",
            color=INK if panel.reached else GREY,
        )


def shown(heat: NDArray[np.floating], size: tuple[int, int]) -> NDArray[np.float32]:
    """A map at another size, smoothed, in units of its largest value: -1…1.

    Args:
        heat: shape (height, width).
        size: width and height in pixels.

    Example:
        >>> shown(np.eye(4), (8, 8)).max()
        np.float32(1.0)
    """
    large = cv2.resize(heat.astype(np.float32), size, interpolation=cv2.INTER_LINEAR)
    smooth = np.asarray(cv2.GaussianBlur(large, (0, 0), SMOOTHED * size[0]), np.float32)
    largest = float(np.abs(smooth).max())
    return smooth / np.float32(largest) if largest > 0 else smooth


def painted(grey: NDArray[np.floating], heat: NDArray[np.floating]) -> NDArray[np.float64]:
    """A galaxy under a map, as colours: orange for, blue against, both as strong as the map.

    Args:
        grey: brightness 0…1, shape (height, width).
        heat: -1…1, the same shape.

    Example:
        >>> painted(np.zeros((1, 2)), np.array([[0.0, 1.0]])).round(1).tolist()
        [[[0.0, 0.0, 0.0], [0.5, 0.3, 0.0]]]
    """
    strength = STRONGEST * np.abs(heat)[..., None]
    colour = np.where(heat[..., None] > 0, to_rgb(ORANGE), to_rgb(SKY))
    return grey[..., None] ** BRIGHTENED * (1 - strength) + colour * strength


def _connect(figure: Figure, start: tuple[float, float], end: tuple[float, float], colour: str) -> None:
    """A line from the right side of one panel to the left of another."""
    width, height = figure.get_size_inches()
    (left, upper), (right, lower) = (start[0] + SIDE, start[1]), end
    middle = (left + right) / 2
    corners = [(left, upper), (middle, upper), (middle, lower), (right, lower)]
    curve = Curve([(x / width, y / height) for x, y in corners], [Curve.MOVETO, *[Curve.CURVE4] * 3])
    figure.add_artist(PathPatch(curve, fill=False, edgecolor=colour, linewidth=1.4, transform=figure.transFigure))


def _write_foot(figure: Figure, panels: Sequence[Panel], note: Sequence[str]) -> None:
    width, height = figure.get_size_inches()
    against = any(panel.heat is not None and panel.heat.min() < 0 for panel in panels)
    words = [(ORANGE, "speaks for the answer"), *([(SKY, "speaks against it")] if against else [])]
    x, y = MARGIN, 0.14 + len(note) * LINE
    for colour, text in words:
        figure.text(x / width, y / height, "■", color=colour, fontsize=11)
        figure.text((x + 0.18) / width, (y + 0.01) / height, text, fontsize=8, color=INK)
        x += 1.75
    for line, text in enumerate(reversed(note)):
        figure.text(MARGIN / width, (0.08 + line * LINE) / height, text, fontsize=8, color=GREY)
