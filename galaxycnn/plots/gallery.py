"""The galaxies that a network predicts best and worst, with both walks down the tree in words."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from textwrap import fill

import numpy as np
from matplotlib.axes import Axes
from numpy.typing import ArrayLike, NDArray

from galaxycnn.errors import DataError
from galaxycnn.evaluation import galaxy_errors
from galaxycnn.plots.style import BLUE, GREY, INK, RED, part_title, picture
from galaxycnn.tree import DecisionTree
from galaxycnn.walks import walks_in_words

Floats = NDArray[np.float64]
SIDE, GAP, LINE, TITLE = 2.2, 0.16, 0.15, 0.34
"""Sizes in inches: of a cutout, between cutouts, of a line of its caption, of its title."""
LETTERS = 38
"""Letters in a line of a caption as wide as a cutout."""


def gallery(
    tree: DecisionTree,
    images: NDArray[np.uint8],
    ids: Sequence[object],
    truth: ArrayLike,
    predicted: ArrayLike,
    path: str | Path,
    *,
    part: str,
    name: str = "",
    count: int = 6,
) -> Path:
    """Draw the ``count`` galaxies with the smallest and as many with the largest error.

    Below each cutout: the volunteers' most likely walk down the tree, the network's (blue where they
    agree, red where not), and the answer whose fraction is missed by most.

    Args:
        tree: the questions.
        images: cutouts, uint8, shape (galaxies, height, width, 1 or 3).
        ids: one per galaxy.
        truth: vote fractions, shape (galaxies, columns).
        predicted: predicted fractions, the same shape.
        path: where to write; its ending decides the format.
        part: the part of the sample, for the title.
        name: the run's name, for the title.
        count: galaxies in each row; fewer where the sample is smaller.

    Raises:
        DataError: images, ids, truth and predictions are not of equally many galaxies, or of none.
    """
    truth, predicted = np.asarray(truth, float), np.asarray(predicted, float)
    sizes = {len(images), len(ids), len(truth), len(predicted)}
    if len(sizes) > 1 or 0 in sizes:
        raise DataError(
            f"the gallery needs equally many images, ids, labels and predictions, at least one; got "
            f"{len(images)}, {len(ids)}, {len(truth)} and {len(predicted)}"
        )
    errors = galaxy_errors(truth, predicted)
    order = np.argsort(errors, kind="stable")
    count = min(count, max(len(order) // 2, 1))
    rows = {"best": order[:count], "worst": order[::-1][:count]}
    captions = {i: _captions(tree, truth[i], predicted[i]) for galaxies in rows.values() for i in galaxies.tolist()}
    deepest = max(sum(text.count("\n") + 1 for text, _ in lines) for lines in captions.values())

    title = part_title("Best and worst predictions", name, part, len(order))
    band = TITLE + SIDE + deepest * LINE + GAP
    width, height = max(count, 3) * (SIDE + GAP) + GAP, len(rows) * band + 2 * TITLE
    with picture(path, width, height, title) as figure:
        figure.set_layout_engine("none")
        for row, (kind, galaxies) in enumerate(rows.items()):
            top = height - 2 * TITLE - row * band
            for column, i in enumerate(galaxies.tolist()):
                left = GAP + column * (SIDE + GAP)
                axes = figure.add_axes((left / width, (top - SIDE) / height, SIDE / width, SIDE / height))
                axes.imshow(images[i].squeeze(), cmap="gray", vmin=0, vmax=255, interpolation="bicubic")
                axes.set_axis_off()
                axes.set_title(f"{kind} {column + 1}: {ids[i]}, RMSE {errors[i]:.3f}", fontsize=9)
                _write_below(axes, captions[i])
    return Path(path)


def _captions(tree: DecisionTree, truth: Floats, predicted: Floats) -> list[tuple[str, str]]:
    """Lines and their colours: both walks, and the answer whose fraction is missed by most."""
    (true,), (guessed,) = walks_in_words(tree, truth[None]), walks_in_words(tree, predicted[None])
    miss = int(np.abs(predicted - truth).argmax())
    column = tree.columns[miss]
    answer = f'{column.rsplit(".", 1)[0]} "{tree.answer_name(column)}"'
    lines = [
        (f"volunteers: {true}", INK),
        (f"network: {guessed}", BLUE if true == guessed else RED),
        (f"{answer}: {truth[miss]:.2f}, predicted {round(predicted[miss], 2) + 0.0:.2f}", GREY),
    ]
    return [(fill(text, LETTERS, break_on_hyphens=False), colour) for text, colour in lines]


def _write_below(axes: Axes, captions: list[tuple[str, str]]) -> None:
    depth = 0
    for text, colour in captions:
        offset = 0, -5 - depth * LINE * 72
        axes.annotate(
            text, (0, 0), offset, "axes fraction", "offset points", va="top", fontsize=8, color=colour, linespacing=1.15
        )
        depth += text.count("\n") + 1
