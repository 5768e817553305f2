"""Whether predicted fractions mean what they say: reliability curves, and predicted against true."""

from __future__ import annotations

from math import ceil
from pathlib import Path
from typing import Any

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from numpy.typing import ArrayLike, NDArray

from galaxycnn.plots.style import (
    BLUE,
    COLOUR_MAP,
    COLOURS,
    GREY,
    MARKERS,
    RED,
    grid_columns,
    grid_size,
    panels,
    part_title,
    picture,
)
from galaxycnn.tree import DecisionTree

Results = dict[str, Any]
Floats = NDArray[np.float64]
FEW = 10
"""Below this many galaxies in a bin its mean is mostly noise."""
STEP = 0.2
"""Axes end at a multiple of this."""


def calibration_curves(results: Results, path: str | Path, *, part: str, name: str = "") -> Path:
    """Draw one panel per question: mean true against mean predicted fraction in bins, above how many galaxies.

    On the diagonal a fraction means what it says; below it the network claims too much. Points of fewer
    than :data:`FEW` galaxies are hollow. Axes end above the largest mean fraction, since answers far down
    the tree are given by few.

    Args:
        results: what :func:`galaxycnn.evaluation.evaluate_fractions` returned.
        path: where to write; its ending decides the format.
        part: the part of the sample, for the title.
        name: the run's name, for the title.
    """
    outputs = results["outputs"]
    title = f"{part_title('Calibration', name, part, results['n'])} (hollow: fewer than {FEW})"
    columns = grid_columns(len(outputs))
    rows = -(-len(outputs) // columns)
    with picture(path, *grid_size(len(outputs), columns, 4.2, 4.8), title) as figure:
        grid = figure.add_gridspec(2 * rows, columns, height_ratios=[3, 1] * rows)
        for i, (question, output) in enumerate(outputs.items()):
            row, column = divmod(i, columns)
            upper = figure.add_subplot(grid[2 * row, column])
            lower = figure.add_subplot(grid[2 * row + 1, column], sharex=upper)
            _reliability(upper, lower, question, output)
    return Path(path)


def _reliability(upper: Axes, lower: Axes, question: str, output: Results) -> None:
    calibration = output["calibration"]
    means = [mean for key in ("predicted", "true") for row in calibration[key] for mean in row if mean is not None]
    end = min(1.0, STEP * ceil(max(means) / STEP)) if max(means) > 0 else STEP
    upper.plot([0, end], [0, end], color=GREY, linestyle=":", linewidth=1)
    for i, answer in enumerate(output["answers"]):
        colour, marker = COLOURS[i % len(COLOURS)], MARKERS[i % len(MARKERS)]
        predicted, true, count = (np.array(calibration[key][i], float) for key in ("predicted", "true", "count"))
        many = count >= FEW
        upper.plot(predicted[many], true[many], color=colour, marker=marker, label=answer, markeredgecolor="white")
        upper.plot(predicted[~many], true[~many], marker, color=colour, markerfacecolor="none")
        lower.stairs(count, calibration["edges"], color=colour, linewidth=1.4)
    upper.set_title(f"{question}: {output['text']}\nexpected error {calibration['error']:.3f}")
    upper.set(xlim=(-0.02 * end, 1.02 * end), ylim=(-0.02 * end, 1.02 * end))
    upper.set_ylabel("mean fraction of volunteers")
    upper.tick_params(labelbottom=False)
    upper.legend(loc="best", handlelength=1.6)
    lower.set(xlabel="predicted fraction", ylabel="galaxies", yscale="log", ylim=(0.7, None))


def fraction_scatter(
    tree: DecisionTree, truth: ArrayLike, predicted: ArrayLike, path: str | Path, *, part: str, name: str = ""
) -> Path:
    """Draw predicted against true fractions of all galaxies, one density panel per question.

    Where the labels are one-hot, the panel shows instead how the predicted fractions of the right and of
    the wrong answers are distributed.

    Args:
        tree: the questions.
        truth: vote fractions, shape (galaxies, columns).
        predicted: predicted fractions, the same shape.
        path: where to write; its ending decides the format.
        part: the part of the sample, for the title.
        name: the run's name, for the title.
    """
    truth, predicted = np.asarray(truth, float), np.asarray(predicted, float)
    title = part_title("Predicted against true fractions", name, part, len(truth))
    count, columns = len(tree.questions), grid_columns(len(tree.questions))
    with picture(path, *grid_size(count, columns, 4.2, 4.0), title) as figure:
        for axes, question in zip(panels(figure, count, columns), tree.questions, strict=True):
            where = tree.slice(question)
            true, guessed = truth[:, where].ravel(), predicted[:, where].ravel()
            if np.isin(true, (0, 1)).all():
                _two_histograms(axes, true == 1, guessed)
            else:
                _density(figure, axes, true, guessed)
            rmse = np.sqrt(np.square(guessed - true).mean())
            axes.set_title(f"{question.name}: {question.text}\n{len(question)} answers, RMSE {rmse:.3f}")
    return Path(path)


def _density(figure: Figure, axes: Axes, true: Floats, predicted: Floats) -> None:
    extent = (0, 1, min(0.0, predicted.min()), max(1.0, predicted.max()))
    cells = axes.hexbin(
        true, predicted, gridsize=36, extent=extent, bins="log", mincnt=1, cmap=COLOUR_MAP, linewidths=0
    )
    axes.plot([0, 1], [0, 1], color=RED, linestyle="--", linewidth=1)
    axes.set(xlabel="fraction of volunteers", ylabel="predicted fraction", xlim=(-0.02, 1.02))
    figure.colorbar(cells, ax=axes, pad=0.02).set_label("fractions per cell")


def _two_histograms(axes: Axes, right: NDArray[np.bool_], predicted: Floats) -> None:
    bins = np.linspace(min(0.0, predicted.min()), max(1.0, predicted.max()), 41)
    for answers, label, colour in ((right, "right answers", BLUE), (~right, "wrong answers", RED)):
        axes.stairs(*np.histogram(predicted[answers], bins), linewidth=1.6, color=colour, label=label)
    axes.set(xlabel="predicted fraction", ylabel="fractions per bin", yscale="log", ylim=(0.7, None))
    axes.legend(loc="upper center")
