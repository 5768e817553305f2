"""Confusion matrices of every question, as counts and as shares of each true answer."""

from __future__ import annotations

from pathlib import Path
from textwrap import fill
from typing import Any

import numpy as np
from matplotlib.axes import Axes
from matplotlib.colors import LinearSegmentedColormap
from matplotlib.figure import SubFigure
from numpy.typing import NDArray

from galaxycnn.evaluation import WALKS
from galaxycnn.plots.style import BLUE, INK, PALE, part_title, picture

Results = dict[str, Any]
WIDTH, CELL, MARGIN = 7.4, 0.44, 1.45
SHADES = LinearSegmentedColormap.from_list("shades", ["white", BLUE])


def confusion_matrices(results: Results, path: str | Path, *, part: str, name: str = "") -> Path:
    """Draw, per question, counts beside row shares: on the volunteers' walk and on the predicted walk.

    Rows are the volunteers' most likely answers, columns the predicted ones. A question that every
    galaxy is asked has one pair of matrices, any other has two: one over the galaxies whose volunteers' walk
    down the tree comes to it, one over those whose predicted walk does.

    Args:
        results: what :func:`galaxycnn.evaluation.evaluate_fractions` returned.
        path: where to write; its ending decides the format.
        part: the part of the sample, for the title.
        name: the run's name, for the title.
    """
    outputs = results["outputs"]
    pairs = max(len(_walks(output)) for output in outputs.values())
    heights = [max(len(output["answers"]) * CELL, 1.1) + MARGIN for output in outputs.values()]
    title = part_title("Confusion matrices", name, part, results["n"])
    with picture(path, WIDTH * pairs, sum(heights) + 0.5, title) as figure:
        blocks = figure.subfigures(len(outputs), pairs, height_ratios=heights, squeeze=False)
        for row, (question, output) in zip(blocks, outputs.items(), strict=True):
            for block, (confusion, whom) in zip(row, _walks(output), strict=False):
                _pair(block, f"{question}: {output['text']}", confusion, whom, output["answers"])
    return Path(path)


def _walks(output: Results) -> list[tuple[Results, str]]:
    """The confusions of a question with whom they count; one where both walks come to it for everyone."""
    confusions = output["confusion"]
    if all(confusion["n"] == output["n"] for confusion in confusions.values()):
        return [(confusions["true_walk"], "galaxies (all)")]
    return [(confusions[walk], f"galaxies on the {whose}") for walk, whose in WALKS.items()]


def _pair(figure: SubFigure, question: str, confusion: Results, whom: str, answers: list[str]) -> None:
    counts = np.array(confusion["counts"])
    support = counts.sum(axis=1, keepdims=True)
    shares = np.divide(counts, support, out=np.full(counts.shape, np.nan), where=support > 0)
    title = f"{question}\n{confusion['n']:,} {whom}"
    if confusion["n"]:
        title += (
            f": accuracy {confusion['accuracy']:.3f} (majority {confusion['baseline']['accuracy']:.3f}), "
            f"macro F1 {confusion['macro_f1']:.3f}"
        )
    figure.suptitle(title, x=0.02, ha="left", fontsize=10, fontweight="normal")
    left, right = figure.subplots(1, 2)
    _matrix(left, shares, [[f"{count:,}" for count in row] for row in counts], answers)
    left.set(title="galaxies", ylabel="volunteers' answer")
    left.set_yticks(range(len(answers)), answers)
    percent = [["-" if np.isnan(share) else f"{100 * share:.0f} %" for share in row] for row in shares]
    _matrix(right, shares, percent, answers)
    right.set(title="share of the volunteers' answer", yticks=[])


def _matrix(axes: Axes, shares: NDArray[np.float64], texts: list[list[str]], answers: list[str]) -> None:
    """Cells coloured by ``shares``, 0 to 1, with ``texts`` in them."""
    axes.imshow(np.nan_to_num(shares), cmap=SHADES, vmin=0, vmax=1, aspect="auto")
    for (i, j), share in np.ndenumerate(shares):
        colour = "white" if share > 0.6 else INK
        axes.text(j, i, texts[i][j], ha="center", va="center", color=colour)
    if len(answers) > 4:
        axes.set_xticks(range(len(answers)), answers, rotation=30, ha="right", rotation_mode="anchor")
    else:
        axes.set_xticks(range(len(answers)), [fill(answer, 12) for answer in answers])
    axes.set_xlabel("predicted answer")
    between = np.arange(len(answers) - 1) + 0.5
    axes.set_xticks(between, minor=True)
    axes.set_yticks(between, minor=True)
    axes.grid(False)
    axes.set_axisbelow(False)
    axes.grid(True, which="minor", color="white", linewidth=1.5)
    axes.tick_params(which="both", length=0)
    axes.spines[:].set_color(PALE)
    axes.spines[:].set_visible(True)
