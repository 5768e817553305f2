"""Galaxies with their true and predicted redshifts, or another quantity, written on them, and their classes below."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from textwrap import fill

import numpy as np
from matplotlib.axes import Axes
from numpy.typing import ArrayLike, NDArray

from galaxycnn.errors import DataError
from galaxycnn.plots.quantities import flat
from galaxycnn.plots.style import INK, ORANGE, RED, SKY, part_title, picture
from galaxycnn.quantities import Quantity

SIDE, GAP, LINE, TITLE = 2.3, 0.12, 0.15, 0.45
"""Sizes in inches: of a cutout, between cutouts, of a line below it, of the title."""
PLATE = {"facecolor": "black", "alpha": 0.5, "edgecolor": "none", "pad": 1.5}
"""What keeps words readable on a galaxy."""
COLUMNS, MIN_COLUMNS, LETTERS = 4, 3, 34
"""Cutouts beside each other; how many the picture has at least room for; letters in a line below one."""


def example_galaxies(
    images: NDArray[np.uint8],
    truth: ArrayLike,
    predicted: ArrayLike,
    path: str | Path,
    *,
    quantity: Quantity,
    part: str,
    name: str = "",
    spread: ArrayLike | None = None,
    classes: Sequence[str] | None = None,
    predicted_classes: Sequence[str] | None = None,
    ids: Sequence[object] | None = None,
    count: int = 12,
) -> Path:
    """Draw cutouts with the true and the predicted quantity on them, and their class below.

    They are spaced evenly through the sample, from the lowest to the highest true value. Predictions that miss by more
    than twice their spread are orange, and wrong classes red.

    Args:
        images: cutouts, uint8, shape (n, height, width, 1 or 3); may be memory-mapped, ``count`` are read.
        truth: true values, shape (n,); galaxies of unknown value (NaN) are not shown.
        predicted: predicted values, the same shape.
        path: where to write; its ending decides the format.
        quantity: what is predicted.
        part: the part of the sample, for the title.
        name: the run's name, for the title.
        spread: stated standard deviations, shape (n,).
        classes: the true class of each galaxy in words.
        predicted_classes: the predicted one.
        ids: one per galaxy.
        count: at most so many galaxies are shown.

    Raises:
        DataError: what is given is not of equally many galaxies, or no value is known.
    """
    true, guessed = flat(truth), flat(predicted)
    spreads = np.full_like(true, np.nan) if spread is None else flat(spread)
    given = (images, true, guessed, spreads, classes, predicted_classes, ids)
    sizes = sorted({len(values) for values in given if values is not None})
    known = np.flatnonzero(~np.isnan(true))
    if len(sizes) > 1 or not len(known):
        raise DataError(
            f"{path}: images, values and classes must be of equally many galaxies, some of known {quantity.name}; got "
            f"{', '.join(map(str, sizes))} galaxies, {len(known)} of them known"
        )
    ordered = known[np.argsort(true[known], kind="stable")]
    shown = ordered[np.unique(np.linspace(0, len(ordered) - 1, count).round().astype(int))].tolist()
    below = [_below(i, ids, classes, predicted_classes) for i in shown]
    lines = max(text.count("\n") + 1 if text else 0 for text, _ in below)
    digits = max(0, 2 - int(np.floor(np.log10(np.std(true[shown]) or abs(true[shown[0]]) or 1))))
    title = part_title(f"{len(shown)} examples", name, part, len(true))
    columns, band = min(len(shown), COLUMNS), SIDE + GAP + LINE * lines
    width, height = GAP + (SIDE + GAP) * max(columns, MIN_COLUMNS), TITLE + band * -(-len(shown) // columns)
    with picture(path, width, height, title) as figure:
        figure.set_layout_engine("none")
        for place, (i, (text, colour)) in enumerate(zip(shown, below, strict=True)):
            row, column = divmod(place, columns)
            left, bottom = GAP + column * (SIDE + GAP), height - TITLE - row * band - SIDE
            axes = figure.add_axes((left / width, bottom / height, SIDE / width, SIDE / height))
            axes.imshow(images[i].squeeze(), cmap="gray", vmin=0, vmax=255, interpolation="bicubic")
            axes.set_axis_off()
            _overlay(axes, quantity, true[i], guessed[i], spreads[i], digits)
            axes.annotate(text, (0, 0), (0, -4), "axes fraction", "offset points", va="top", fontsize=8, color=colour)
    return Path(path)


def _overlay(axes: Axes, quantity: Quantity, true: float, predicted: float, spread: float, digits: int) -> None:
    guess, missed = f"predicted {predicted:.{digits}f}", abs(predicted - true) > 2 * spread
    if np.isfinite(spread):
        guess += f" ± {spread:.{digits}f}"
    label = quantity.symbol or quantity.name
    for height, text, colour in (
        (0.97, f"{label} = {true:.{digits}f}", "white"),
        (0.87, guess, ORANGE if missed else SKY),
    ):
        axes.text(0.03, height, text, transform=axes.transAxes, va="top", color=colour, bbox=PLATE)


def _below(
    i: int, ids: Sequence[object] | None, classes: Sequence[str] | None, predicted: Sequence[str] | None
) -> tuple[str, str]:
    """What stands below a cutout, and its colour."""
    lines, colour = [str(ids[i])] if ids is not None else [], INK
    if classes is not None:
        lines.append(classes[i])
    if predicted is not None:
        lines.append(f"predicted: {predicted[i]}")
        if classes is not None and classes[i] != predicted[i]:
            colour = RED
    return "\n".join(fill(line, LETTERS) for line in lines), colour
