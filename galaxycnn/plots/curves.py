"""Training curves: every quantity of a run's history, for the training and validation part."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
from matplotlib.axes import Axes
from matplotlib.ticker import MaxNLocator
from numpy.typing import NDArray

from galaxycnn.errors import DataError
from galaxycnn.plots.style import BLUE, GREY, INK, RED, grid_size, picture

WIDTH, HEIGHT, MOST_COLUMNS = 3.4, 2.4, 4
LOG_SPAN = 20
"""A panel whose largest value is more than this times its smallest is drawn on a logarithmic axis."""
ABBREVIATIONS = {"mse": "MSE", "rmse": "RMSE", "mae": "MAE", "f1": "F1"}

History = Mapping[str, Sequence[float]]


def training_curves(history: History, path: str | Path, *, name: str = "", monitor: str = "val_loss") -> Path:
    """Draw one panel per quantity: first the loss and learning rate, then a row per metric with a panel per output.

    Args:
        history: a data frame or mapping of columns, one value per epoch: ``loss``, ``val_loss``,
            ``Class1_accuracy``, ``val_Class1_accuracy``, …, ``learning_rate``.
        path: where to write; its ending decides the format.
        name: the run's name, for the title.
        monitor: the column whose best epoch is marked.

    Raises:
        DataError: the history has no epochs.
    """
    curves = {str(column): np.asarray(history[column], dtype=float) for column in history if column != "epoch"}
    epochs = max((len(curve) for curve in curves.values()), default=0)
    if not epochs:
        raise DataError("the training history has no epochs to draw")
    rows = _rows(curves)
    columns = min(MOST_COLUMNS, max(len(row) for row in rows))
    lines = [row[i : i + columns] for row in rows for i in range(0, len(row), columns)]
    best = best_epoch(curves, monitor)
    title = f"Training of {name}" if name else "Training"
    if best is not None:
        title += f": best epoch {best} of {epochs} ({monitor} {curves[monitor][best - 1]:.4g})"
    width, height = grid_size(columns * len(lines), columns, WIDTH, HEIGHT)
    with picture(path, max(width, 2 * WIDTH), height, title) as figure:
        for i, line in enumerate(lines):
            for j, quantity in enumerate(line):
                axes = figure.add_subplot(len(lines), columns, i * columns + j + 1)
                _panel(axes, curves, quantity, best)
        labelled = [axes for axes in figure.axes if axes.get_legend_handles_labels()[1]]
        if labelled:
            labelled[0].legend()
    return Path(path)


def best_epoch(history: Mapping[str, Any], monitor: str = "val_loss") -> int | None:
    """The epoch, counted from 1, in which ``monitor`` was best; None where it was not recorded.

    Example:
        >>> best_epoch({"val_loss": [0.3, 0.1, 0.2]}), best_epoch({"val_accuracy": [0.3, 0.9]}, "val_accuracy")
        (2, 2)
    """
    values = np.asarray(history.get(monitor, []), dtype=float)
    if not np.isfinite(values).any():
        return None
    larger_is_better = monitor.endswith(("accuracy", "acc", "f1", "auc"))
    return int(np.nanargmax(values) if larger_is_better else np.nanargmin(values)) + 1


def _rows(curves: Mapping[str, Any]) -> list[list[str]]:
    """The quantities in reading order: general ones, then each metric with its outputs side by side."""
    quantities = [column for column in curves if not column.startswith("val_")]
    quantities += [c[4:] for c in curves if c.startswith("val_") and c[4:] not in curves]
    outputs = sorted((q.removesuffix("_loss") for q in quantities if q.endswith("_loss")), key=len, reverse=True)
    first = [q for q in quantities if q in ("loss", "learning_rate")]
    metrics: dict[str, list[str]] = {}
    for quantity in quantities:
        if quantity not in first:
            output = next((o for o in outputs if quantity.startswith(f"{o}_")), "")
            metrics.setdefault(quantity.removeprefix(f"{output}_"), []).append(quantity)
    if not outputs:
        return [sorted(quantities, key="learning_rate".__eq__)]
    rows: list[list[str]] = [first, *metrics.values()]
    return [row for row in rows if row]


def _panel(axes: Axes, curves: Mapping[str, NDArray[Any]], quantity: str, best: int | None) -> None:
    if quantity == "learning_rate":
        shown = [("", quantity, INK, "-")]
    else:
        both = ("training", quantity, BLUE, "-"), ("validation", f"val_{quantity}", RED, "--")
        shown = [line for line in both if line[1] in curves]
    for part, column, colour, stroke in shown:
        values = curves[column]
        epochs = np.arange(1, len(values) + 1)
        axes.plot(epochs, values, stroke, color=colour, marker="o" if len(values) < 3 else "", label=part)
        if best is not None and part:
            axes.plot(best, values[best - 1], "o", color=colour, markersize=6, markeredgecolor="white")
    if best is not None:
        axes.axvline(best, color=GREY, linestyle=":", linewidth=1, zorder=0)
    if _spans_decades(np.concatenate([curves[column] for _, column, _, _ in shown])):
        axes.set_yscale("log")
    words = _in_words(quantity)
    axes.set(title=words, xlabel="epoch", ylabel=words if quantity == "learning_rate" else words.rsplit(" ", 1)[-1])
    axes.xaxis.set_major_locator(MaxNLocator(integer=True, min_n_ticks=1))


def _spans_decades(values: NDArray[Any]) -> bool:
    values = values[np.isfinite(values)]
    return len(values) > 0 and values.min() > 0 and values.max() > LOG_SPAN * values.min()


def _in_words(quantity: str) -> str:
    return " ".join(ABBREVIATIONS.get(word, word) for word in quantity.split("_"))
