"""Where the error sits: the RMSE of every answer down the tree, and the sums of the tree that are missed."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
from matplotlib.axes import Axes

from galaxycnn.errors import DataError
from galaxycnn.evaluation import missed_sums
from galaxycnn.plots.style import BLUE, GREY, PALE, part_title, picture
from galaxycnn.tree import DecisionTree, Question

Results = dict[str, Any]
WIDTH, ROW, BAR, MARGINS = 8.4, 0.19, 0.32, 1.2
INDENT, LETTER = 10, 5.5
"""Points that a question stands to the right of the one before it, and that a letter of a label takes."""


def answer_errors(tree: DecisionTree, results: Results, path: str | Path, *, part: str, name: str = "") -> Path:
    """Draw the RMSE of every answer with its 95 % interval beside that of predict-the-mean.

    Questions stand below the one that leads to them, indented, as the volunteers come to them.

    Args:
        tree: the questions.
        results: what :func:`galaxycnn.evaluation.evaluate_fractions` returned.
        path: where to write; its ending decides the format.
        part: the part of the sample, for the title.
        name: the run's name, for the title.
    """
    walk = list(_down(tree))
    rows = sum(len(question) + 1 for question, _ in walk)
    longest = max(INDENT * depth + LETTER * len(label) for question, depth in walk for label in _labels(tree, question))
    title = part_title("RMSE of each answer", name, part, results["n"])
    with picture(path, WIDTH, rows * ROW + MARGINS, title) as figure:
        axes = figure.add_subplot(xlabel="RMSE")
        row = 0
        for question, depth in walk:
            for i, label in enumerate(_labels(tree, question)):
                place = INDENT * (depth + (i > 0)) - longest, 0
                weight = "normal" if i else "bold"
                axes.annotate(
                    label, (0, row + i), place, axes.get_yaxis_transform(), "offset points", va="center", weight=weight
                )
            _answers(axes, results["outputs"][question.name]["per_answer"], row + 1 + np.arange(len(question)))
            axes.axhline(row - 0.5, color=PALE, linewidth=0.8)
            row += len(question) + 1
        for figures, colour in ((results["overall"]["baseline"], GREY), (results["overall"], BLUE)):
            axes.axvline(figures["rmse"], color=colour, linestyle=":", linewidth=1.2, zorder=0)
        axes.set(xlim=(0, None), ylim=(rows - 0.5, -0.5), yticks=[])
        legend = dict(zip(*reversed(axes.get_legend_handles_labels()), strict=True))
        figure.legend(legend.values(), legend, loc="outside lower right", ncols=3, title="dotted: over all answers")
    return Path(path)


def _down(tree: DecisionTree, parent: Question | None = None, depth: int = 0) -> Iterator[tuple[Question, int]]:
    """Every question with its depth, each after the one that leads to it."""
    for question in tree.questions:
        if tree.parent_question(question) is parent:
            yield question, depth
            yield from _down(tree, question, depth + 1)


def _labels(tree: DecisionTree, question: Question) -> list[str]:
    """The question, with the answers that lead to it, and below it its answers."""
    heading = question.text if question.name == question.text else f"{question.name}: {question.text}"
    if tree.gate(question):
        heading += f" ({' or '.join(tree.answer_name(column) for column in question.parents)})"
    return [heading, *(answer.name for answer in question.answers)]


def _answers(axes: Axes, figures: Results, rows: Any) -> None:
    rmse, mean = figures["rmse"], figures["baseline"]["rmse"]
    axes.hlines(rows, rmse, mean, color=PALE, linewidth=3, zorder=1)
    axes.plot(mean, rows, "o", color=GREY, markerfacecolor="white", label="predict-the-mean")
    axes.hlines(rows, *np.transpose(figures["intervals"]["rmse"]), color=BLUE, linewidth=1.4)
    axes.plot(rmse, rows, "o", color=BLUE, label="network, 95 % interval")


def sum_deviations(results: Results, path: str | Path, *, part: str, name: str = "") -> Path:
    """Draw by how much the predicted answers miss the sums of the tree, for the questions that miss theirs.

    Bars are the mean absolute deviation over all galaxies; beside them stand the largest one and the share
    of galaxies with an answer that is larger than the answers that lead to it.

    Args:
        results: what :func:`galaxycnn.evaluation.evaluate_fractions` returned.
        path: where to write; its ending decides the format.
        part: the part of the sample, for the title.
        name: the run's name, for the title.

    Raises:
        DataError: every sum holds, so that there is nothing to draw.
    """
    missed = missed_sums(results)
    if not missed:
        raise DataError(f"{path}: all sums of the tree hold, there are no deviations to draw")
    questions = [question for question in results["outputs"] if question in missed]
    title = part_title("Missed sums", name, part, results["n"])
    with picture(path, WIDTH, len(questions) * BAR + MARGINS, title) as figure:
        axes = figure.add_subplot()
        bars = axes.barh(range(len(questions)), [missed[q]["mean"] for q in questions], color=BLUE, height=0.6)
        axes.bar_label(bars, fmt="%.3f", padding=3, fontsize=8)
        for row, question in enumerate(questions):
            beside = _beside(missed[question])
            axes.annotate(beside, (1, row), (6, 0), axes.get_yaxis_transform(), "offset points", va="center", size=8)
        axes.set_yticks(range(len(questions)), [f"{q}: {results['outputs'][q]['text']}" for q in questions])
        axes.set_xlabel("|sum of the answers \N{MINUS SIGN} what it must be|, mean over the galaxies")
        axes.set_ylim(len(questions) - 0.5, -0.5)
        axes.margins(x=0.15)
        axes.grid(False, axis="y")
        axes.tick_params(axis="y", length=0)
    return Path(path)


def _beside(sums: Results) -> str:
    largest = f"at most {sums['max']:.2f}"
    above = sums["exceeds_parent"]
    return largest if above is None else f"{largest}; answer above its parent: {100 * above:.0f} %"
