"""How well the classes are ranked: ROC and precision-recall curves, one class against the rest."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
from matplotlib.axes import Axes
from numpy.typing import ArrayLike, NDArray
from sklearn.metrics import precision_recall_curve, roc_curve

from galaxycnn.detection.arrays import UNKNOWN, checked_probabilities, class_positions
from galaxycnn.errors import DataError
from galaxycnn.plots.style import COLOURS, GREY, MARKERS, part_title, picture

Results = dict[str, Any]
LINES = ("-", "--", ":")
CHOICE = "marker: the choice that the model makes"
LEGEND_LINE = 0.2
"""Height in inches of a line of the legend."""


def ranking_curves(
    truth: ArrayLike, probabilities: ArrayLike, results: Results, path: str | Path, *, part: str, name: str = ""
) -> Path:
    """Draw the ROC and the precision-recall curve of every class, with what a ranking at random reaches (dotted).

    A marker stands where the model's own choice is: the most probable class, or the threshold of the results.

    Args:
        truth: positions of the classes, shape (n,), or one-hot, shape (n, classes); unknown: -1 or NaN.
        probabilities: shape (n, classes).
        results: what :func:`galaxycnn.detection.evaluate_classes` returned for them.
        path: where to write; its ending decides the format.
        part: the part of the sample, for the title.
        name: the run's name, for the title.

    Raises:
        DataError: truth and probabilities are not those of the results.
    """
    names = results["classes"]
    classes, scores = class_positions(truth, names), checked_probabilities(probabilities, len(names))
    known = classes != UNKNOWN
    if len(classes) != len(scores) or known.sum() != results["n"]:
        raise DataError(
            f"{path}: the results are of {results['n']} galaxies, but there are {known.sum()} known classes and "
            f"{len(scores)} probabilities"
        )
    classes, scores = classes[known], scores[known]
    title = part_title("Ranking of the classes", name, part, len(classes))
    with picture(path, 9.0, 4.9 + LEGEND_LINE * (len(names) + 1), title) as figure:
        roc, recall = figure.subplots(1, 2)
        for i in range(len(names)):
            if results["per_class"]["average_precision"][i] is not None:
                _class(roc, recall, classes == i, scores[:, i], results, i)
        roc.plot([0, 1], [0, 1], color=GREY, linestyle=":", linewidth=1)
        roc.set(xlabel="share of the other galaxies taken for the class", ylabel="share of its galaxies found")
        recall.set(
            xlabel="share of its galaxies found (recall)", ylabel="share of those chosen that are right (precision)"
        )
        for axes, words in ((roc, "ROC"), (recall, "Precision and recall")):
            axes.set(xlim=(-0.02, 1.02), ylim=(-0.02, 1.02))
            axes.set_title(words)
        figure.legend(*recall.get_legend_handles_labels(), loc="outside lower left", title=CHOICE, alignment="left")
    return Path(path)


def _class(roc: Axes, recall: Axes, here: NDArray[np.bool_], scores: NDArray[Any], results: Results, i: int) -> None:
    turn = i // len(COLOURS)  # where colours come again, with other lines and markers
    look: dict[str, Any] = {
        "color": COLOURS[i % len(COLOURS)],
        "linestyle": LINES[turn % len(LINES)],
        "marker": MARKERS[(i + 3 * turn) % len(MARKERS)],
        "markeredgecolor": "white",
        "markersize": 8,
    }
    figures = {name: values[i] for name, values in results["per_class"].items()}
    counts, chance = np.array(results["confusion"]), here.mean()
    wrongly = (counts[:, i].sum() - counts[i, i]) / (counts.sum() - counts[i].sum())

    false, found, _ = roc_curve(here, scores)
    roc.plot(false, found, markevery=[], **look)
    roc.plot(wrongly, figures["recall"], **look)

    precision, at_recall, _ = precision_recall_curve(here, scores)
    words = _in_words(results["classes"][i], figures, results["intervals"]["per_class"]["average_precision"][i], chance)
    recall.plot(at_recall, precision, drawstyle="steps-post", markevery=[], label=words, **look)
    recall.plot(figures["recall"], figures["precision"], **look)
    recall.axhline(chance, color=look["color"], linestyle=":", linewidth=1)


def _in_words(name: str, figures: Results, limits: list[float | None], chance: float) -> str:
    between = "" if None in limits else f" [{limits[0]:.3f} {limits[1]:.3f}]"
    return (
        f"{name}, {figures['support']:,} galaxies: ROC area {figures['roc_auc']:.3f}, "
        f"average precision {figures['average_precision']:.3f}{between}, at random {chance:.3f}"
    )
