"""Confusion matrices of every question, as counts and as shares of each true answer."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from textwrap import fill
from typing import Any

import numpy as np
from matplotlib.axes import Axes
from matplotlib.colors import LinearSegmentedColormap
from matplotlib.figure import SubFigure

from galaxycnn.evaluation import WALKS
from galaxycnn.plots.style import BLUE, INK, PALE, part_title, picture

Results = dict[str, Any]
WIDTH, CELL, MARGIN = 4.3, 0.46, 1.75
FEW = 3
"""Up to so many questions stand below each other; more stand in two columns."""
SHADES = LinearSegmentedColormap.from_list("shades", ["white", BLUE])


def confusion_matrices(
    results: Results, path: str | Path, *, part: str, name: str = "", also: Sequence[Path] = ()
) -> Path:
    """Draw, per question, how many galaxies of each true answer were predicted as each answer, and their share.

    Rows are the volunteers' most likely answers, columns the predicted ones; colours and percentages are
    shares of a row. A question that every galaxy is asked has one matrix, any other has two: one over the
    galaxies whose volunteers' walk down the tree comes to it, one over those whose predicted walk does.

    Args:
        results: what :func:`galaxycnn.evaluation.evaluate_fractions` returned.
        path: where to write; its ending decides the format.
        part: the part of the sample, for the title.
        name: the run's name, for the title.
        also: where else to write it, for example as a PDF.
    """
    outputs = list(results["outputs"].items())
    walks = max(len(_walks(output)) for _, output in outputs)
    columns = 1 if len(outputs) <= FEW else 2
    lines = [outputs[i : i + columns] for i in range(0, len(outputs), columns)]
    heights = [max(max(len(output["answers"]) * CELL, 1.1) for _, output in line) + MARGIN for line in lines]
    title = part_title("Confusion matrices", name, part, results["n"])
    with picture(path, WIDTH * walks * columns, sum(heights) + 0.5, title, also=also) as figure:
        blocks = figure.subfigures(len(lines), columns, height_ratios=heights, squeeze=False)
        for row, line in zip(blocks, lines, strict=True):
            for block, (question, output) in zip(row, line, strict=False):
                _question(block, question, output, walks)
    return Path(path)


def _walks(output: Results) -> list[tuple[Results, str]]:
    """The confusions of a question with whom they count; one where both walks come to it for everyone."""
    confusions = output["confusion"]
    if all(confusion["n"] == output["n"] for confusion in confusions.values()):
        return [(confusions["true_walk"], "galaxies (all)")]
    return [(confusions[walk], f"galaxies on the {whose}") for walk, whose in WALKS.items()]


def _question(figure: SubFigure, question: str, output: Results, walks: int) -> None:
    figure.suptitle(f"{question}: {output['text']}", x=0.02, ha="left", fontsize=10)
    for i, (confusion, whom) in enumerate(_walks(output)):
        axes = figure.add_subplot(1, walks, i + 1)
        _matrix(axes, confusion, output["answers"])
        title = f"{confusion['n']:,} {whom}"
        if confusion["n"]:
            title += (
                f"\naccuracy {confusion['accuracy']:.3f} (majority {confusion['baseline']['accuracy']:.3f}), "
                f"macro F1 {confusion['macro_f1']:.3f}"
            )
        axes.set_title(title, fontsize=9)
        axes.set_yticks(range(len(output["answers"])), output["answers"] if i == 0 else [])
        if i == 0:
            axes.set_ylabel("volunteers' answer")


def _matrix(axes: Axes, confusion: Results, answers: list[str]) -> None:
    """Counts, with their share of the row below them; the shares colour the cells."""
    counts = np.array(confusion["counts"])
    support = counts.sum(axis=1, keepdims=True)
    shares = np.divide(counts, support, out=np.zeros(counts.shape), where=support > 0)
    axes.imshow(shares, cmap=SHADES, vmin=0, vmax=1, aspect="auto")
    for (i, j), count in np.ndenumerate(counts):
        text = f"{count:,}\n{100 * shares[i, j]:.0f} %" if count else "0"
        axes.text(j, i, text, ha="center", va="center", color="white" if shares[i, j] > 0.6 else INK, fontsize=8)
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
