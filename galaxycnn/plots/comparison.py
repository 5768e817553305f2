"""Models side by side: each score with its 95 % interval, and what a model reaches that never looks."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import NamedTuple

from matplotlib.axes import Axes

from galaxycnn.errors import DataError
from galaxycnn.plots.style import BLUE, GREY, INK, PALE, RED, panels, picture

WORST = -1.0
"""Scores below this, which R² can have, stand at the edge with their number."""
COLUMNS = 3
WIDTH, PANEL, ROW, MARGINS = 9.0, 0.75, 0.27, 0.9
"""Inches: of the figure, of what a panel takes beside its rows, of a row, and of title and legend."""
LOOKS = {False: ("network", BLUE, "o"), True: ("baseline", RED, "s")}


class Estimate(NamedTuple):
    """A score, the ends of its 95 % interval where there is one, and what a model reaches that never looks."""

    value: float
    low: float | None
    high: float | None
    floor: float | None


def compared_scores(
    models: Mapping[str, bool],
    scores: Mapping[str, Sequence[Estimate | None]],
    path: str | Path,
    *,
    title: str = "Scores with 95 % intervals",
) -> Path:
    """Draw one panel per score with a row for each model.

    The dotted line is what a model reaches that never looks at a galaxy; where the models were measured on different
    galaxies, each has its own.

    Args:
        models: names from top to bottom, and whether each is a baseline rather than a network.
        scores: by what they are called, one per model; None where a model has no such score.
        path: where to write; its ending decides the format.
        title: of the figure.

    Raises:
        DataError: there are no scores.

    Example:
        >>> import tempfile
        >>> scores = {"accuracy": [Estimate(0.71, 0.66, 0.76, 0.5), None]}
        >>> compared_scores({"cnn": False, "mean": True}, scores, f"{tempfile.mkdtemp()}/models.png").name
        'models.png'
    """
    if not models or not scores:
        raise DataError(f"{path}: there are no scores to draw")
    columns = 2 if len(scores) == 4 else min(COLUMNS, len(scores))
    rows = -(-len(scores) // columns)
    with picture(path, WIDTH, rows * (ROW * len(models) + PANEL) + MARGINS, title) as figure:
        axes = panels(figure, len(scores), columns)
        for i, (name, estimates) in enumerate(scores.items()):
            _panel(axes[i], estimates, list(models.values()))
            axes[i].set_title(name)
            axes[i].set_yticks(range(len(models)), list(models) if i % columns == 0 else [""] * len(models))
        handles = {
            label: handle for each in axes for handle, label in zip(*each.get_legend_handles_labels(), strict=True)
        }
        figure.legend(handles.values(), handles, loc="outside lower left", ncols=len(handles))
    return Path(path)


def _panel(axes: Axes, estimates: Sequence[Estimate | None], baselines: Sequence[bool]) -> None:
    shown = [estimate for estimate in estimates if estimate]
    beyond = min(estimate.value for estimate in shown) < WORST
    for row, (estimate, is_baseline) in enumerate(zip(estimates, baselines, strict=True)):
        if estimate:
            _row(axes, row, estimate, is_baseline)
    axes.set_ylim(len(estimates) - 0.5, -0.5)
    axes.tick_params(axis="y", length=0)
    axes.grid(axis="y", visible=False)
    for row in range(0, len(estimates), 2):
        axes.axhspan(row - 0.5, row + 0.5, color=PALE, alpha=0.35, zorder=0, linewidth=0)
    if beyond:
        axes.set_xlim(left=WORST - 0.05)


def _row(axes: Axes, row: int, estimate: Estimate, is_baseline: bool) -> None:
    label, colour, marker = LOOKS[is_baseline]
    if estimate.floor is not None and estimate.floor >= WORST:
        axes.plot([estimate.floor] * 2, [row - 0.5, row + 0.5], ":", color=GREY, label="without looking", zorder=1)
    if estimate.value < WORST:
        axes.plot(WORST, row, "<", color=colour)
        words = f"{estimate.value:.2f}".replace("-", "\N{MINUS SIGN}")
        axes.annotate(words, (WORST, row), (7, 0), textcoords="offset points", va="center", size=8, color=INK)
        return
    if estimate.low is not None and estimate.high is not None:
        axes.hlines(row, max(estimate.low, WORST), estimate.high, color=colour, linewidth=1.4)
    axes.plot(estimate.value, row, marker, color=colour, label=label)
