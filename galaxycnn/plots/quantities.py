"""Predicted against true quantities, and whether their stated uncertainties hold."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
from matplotlib.axes import Axes
from matplotlib.collections import PolyCollection
from matplotlib.ticker import PercentFormatter
from numpy.typing import ArrayLike, NDArray

from galaxycnn.errors import DataError
from galaxycnn.plots.style import (
    BLUE,
    COLOUR_MAP,
    GREEN,
    GREY,
    INK,
    ORANGE,
    PALE,
    RED,
    part_title,
    picture,
)
from galaxycnn.quantities import Quantity, collapsed

Results = dict[str, Any]
Floats = NDArray[np.float64]

MANY = 400
"""From so many galaxies on, cells are shaded by how many they hold; fewer are drawn as points."""

CORE = (0.5, 99.5)
"""Axes show at least this range of the predictions, in per cent; those beyond stand at the edge."""

BINS = 10
"""Bins of equally many galaxies whose median difference is drawn."""

SMALLEST = 1e-16
"""Chances below this are not told apart."""

PLATE = {"facecolor": "white", "alpha": 0.75, "edgecolor": "none", "pad": 1.5}
"""What keeps words readable on what is drawn below them."""


def predicted_against_true(
    truth: ArrayLike, predicted: ArrayLike, results: Results, path: str | Path, *, part: str, name: str = ""
) -> Path:
    """Draw predictions against the truth, and below them the differences, both with the limits of an outlier.

    The line fitted to the predictions shows a collapse: it is flat, and lies on predict-the-mean. Galaxies beyond the
    axes stand as triangles at the edge and are counted.

    Args:
        truth: true values, shape (n,); NaN where unknown.
        predicted: predicted values, the same shape.
        results: what :func:`galaxycnn.quantities.evaluate_quantity` returned for them.
        path: where to write; its ending decides the format.
        part: the part of the sample, for the title.
        name: the run's name, for the title.

    Raises:
        DataError: truth and predictions are not those of the results.
    """
    true, guessed = flat(truth), flat(predicted)
    known = ~np.isnan(true)
    if len(true) != len(guessed) or known.sum() != results["n"]:
        raise DataError(
            f"{path}: the results are of {results['n']} galaxies, but there are {known.sum()} true values and "
            f"{len(guessed)} predictions"
        )
    true, guessed = true[known], guessed[known]
    quantity = Quantity(**results["quantity"])
    title = part_title(f"Predicted {quantity.name}", name, part, len(true))
    with picture(path, 7.2, 8.2, title) as figure:
        upper, lower = figure.subplots(2, 1, sharex=True, height_ratios=[2.4, 1])
        cells = _values(upper, true, guessed, results, quantity)
        _differences(lower, true, guessed, results, quantity)
        if cells is not None:
            bar = figure.colorbar(cells, ax=[upper, lower], pad=0.02, aspect=45)
            bar.set_label("galaxies per cell of the upper panel")
        upper.set_title("\n".join(_in_words(results, quantity)), fontsize=9)
        figure.legend(*upper.get_legend_handles_labels(), loc="outside lower left", ncols=2)
    return Path(path)


def _values(
    axes: Axes, truth: Floats, predicted: Floats, results: Results, quantity: Quantity
) -> PolyCollection | None:
    """The upper panel: predicted against true."""
    axes.set(xlim=_frame(truth, truth), ylim=_frame(truth, predicted), ylabel=f"predicted {quantity.label}")
    cells = _galaxies(axes, truth, predicted, rows=36)
    ends = np.array(axes.get_xlim())
    axes.plot(ends, ends, color=INK, linewidth=1.2, label="predicted = true")
    scale = 1 + ends if quantity.relative else np.ones(2)
    for limit, style, words in _limits(results, quantity):
        low, high = axes.get_ylim()
        if (ends + limit * scale).min() < high or (ends - limit * scale).max() > low:
            axes.plot(ends, ends + limit * scale, color=GREY, linestyle=style, linewidth=1, label=words)
            axes.plot(ends, ends - limit * scale, color=GREY, linestyle=style, linewidth=1)
    mean, slope = results["baseline"]["value"], results["slope"]
    axes.axhline(mean, color=GREEN, linestyle="-.", linewidth=1.2, label=f"predict-the-mean: {mean:.3g}")
    if slope is not None:
        fitted = predicted.mean() + slope * (ends - truth.mean())
        axes.plot(ends, fitted, color=RED, linewidth=2, label=f"fitted to the predictions: slope {_sign(slope, '.2f')}")
    if collapsed(results):
        words = f"collapsed: predictions spread only {results['spread_ratio']:.2f} as wide as the truth"
        axes.text(0.5, 0.04, words, transform=axes.transAxes, color=RED, ha="center", weight="bold", bbox=PLATE)
    return cells


def _differences(axes: Axes, truth: Floats, predicted: Floats, results: Results, quantity: Quantity) -> None:
    """The lower panel: differences against the truth."""
    differences, symbol = quantity.differences(truth, predicted), quantity.symbol or quantity.name
    words = f"Δ{symbol} / (1 + {symbol})" if quantity.relative else "predicted \N{MINUS SIGN} true"
    reach = max(3.45 * results["nmad"], 1.1 * np.percentile(np.abs(differences), CORE[1])) or 0.1
    axes.set(ylim=(-reach, reach), xlabel=f"true {quantity.label}", ylabel=words)
    _galaxies(axes, truth, differences, rows=14)
    axes.axhline(0, color=INK, linewidth=1.2)
    for limit, style, _ in _limits(results, quantity):
        for side in (limit, -limit):
            axes.axhline(side, color=GREY, linestyle=style, linewidth=1)
    bins = np.array_split(np.argsort(truth, kind="stable"), min(BINS, max(len(truth) // 10, 1)))
    middles = [[np.median(values[chosen]) for chosen in bins] for values in (truth, differences)]
    axes.plot(*middles, "o-", color=RED, markeredgecolor="white", linewidth=1.2, label="median in bins")
    axes.legend(loc="best")


def _frame(truth: Floats, values: Floats) -> tuple[float, float]:
    """From the lowest to the highest of the truth and the core of the values, and a little beyond."""
    ends = [truth.min(), truth.max(), *np.percentile(values, CORE)]
    margin = 0.04 * (max(ends) - min(ends)) or 0.1
    return min(ends) - margin, max(ends) + margin


def _galaxies(axes: Axes, x: Floats, y: Floats, rows: int) -> PolyCollection | None:
    """Points, or shaded cells where there are many; triangles where the axes end before."""
    low, high = axes.get_ylim()
    inside, cells = (y >= low) & (y <= high), None
    if len(x) < MANY:
        axes.plot(x[inside], y[inside], "o", color=BLUE, markersize=3.5, alpha=0.5, markeredgewidth=0)
    else:
        look: dict[str, Any] = {"bins": "log", "mincnt": 1, "cmap": COLOUR_MAP, "linewidths": 0}
        cells = axes.hexbin(x[inside], y[inside], gridsize=(36, rows), extent=(*axes.get_xlim(), low, high), **look)
    for beyond, marker, place, side in ((y > high, "^", 0.985, "above"), (y < low, "v", 0.015, "below")):
        if beyond.any():
            at_edge = np.full(beyond.sum(), place)
            axes.plot(x[beyond], at_edge, marker, color=ORANGE, markersize=4, transform=axes.get_xaxis_transform())
            words, upright = f"{beyond.sum():,} {side}", "top" if side == "above" else "bottom"
            axes.annotate(
                words,
                (0.99, place),
                (0, -6 if side == "above" else 6),
                "axes fraction",
                "offset points",
                ha="right",
                va=upright,
                fontsize=8,
                bbox=PLATE,
            )
    return cells


def _limits(results: Results, quantity: Quantity) -> list[tuple[float, Any, str]]:
    """Half-width, line style and words of what is drawn on both sides of the diagonal."""
    limits: list[tuple[float, Any, str]] = [(3 * results["nmad"], ":", "3 σ_NMAD")]
    if quantity.outlier_limit is not None:
        limits.append((quantity.outlier_limit, "--", f"outliers: beyond {quantity.outlier_limit:g}"))
    return limits


def _in_words(results: Results, quantity: Quantity) -> list[str]:
    r2, limits = "R² not defined", results["intervals"]["r2"]
    if results["r2"] is not None:
        between = "" if None in limits else f" [{' '.join(_sign(limit, '.3f') for limit in limits)}]"
        reference = _sign(results["baseline"]["r2"], ".3f")
        r2 = f"R² {_sign(results['r2'], '.3f')}{between}, of predict-the-mean {reference}"
    outliers = f"{100 * results['robust_outlier_fraction']:.1f} % beyond 3 σ_NMAD"
    if quantity.outlier_limit is not None:
        outliers = f"{100 * results['outlier_fraction']:.1f} % beyond {quantity.outlier_limit:g}, {outliers}"
    return [
        f"{r2}; RMSE {results['rmse']:.3g}",
        f"bias {_sign(results['bias'], '+.2g')}, σ_NMAD {results['nmad']:.3g}, {outliers}",
    ]


def _sign(value: float, form: str) -> str:
    """A number with a proper minus, and none before a zero."""
    words = f"{value:{form}}"
    return words.lstrip("-") if not float(words) else words.replace("-", "\N{MINUS SIGN}")


def flat(values: ArrayLike) -> Floats:
    """One number for each galaxy, from shape (n,) or (n, 1): shape (n,)."""
    return np.asarray(values, dtype=float).ravel()


# -- stated uncertainties ------------------------------------------------------------------------


def stated_uncertainties(results: Results, path: str | Path, *, part: str, name: str = "") -> Path:
    """Draw how the true values fall into their predicted distributions: PIT histogram, and coverage of intervals.

    Uncertainties that hold have a flat histogram: a hump in the middle means too wide, both ends too narrow, a slope a
    bias. The band holds 95 % of the bars of such a sample.

    Args:
        results: what :func:`galaxycnn.quantities.evaluate_quantity` returned, with stated uncertainties.
        path: where to write; its ending decides the format.
        part: the part of the sample, for the title.
        name: the run's name, for the title.

    Raises:
        DataError: the predictions state no uncertainty.
    """
    stated, quantity = results["uncertainty"], Quantity(**results["quantity"])
    if stated is None:
        raise DataError(f"{path}: the predictions of {quantity.name} state no uncertainty")
    title = part_title(f"{quantity.name.capitalize()} uncertainties", name, part, results["n"])
    with picture(path, 8.6, 4.2, title) as figure:
        left, right = figure.subplots(1, 2, width_ratios=[1.25, 1])
        _pit(left, stated["pit"], results["n"])
        _coverage(right, stated)
        scores = f"CRPS {stated['crps']:.3g} (training part's Gaussian {stated['baseline']['crps']:.3g})"
        right.set_title(f"mean stated spread {stated['mean_spread']:.3g}\n{scores}", fontsize=9)
    return Path(path)


def _pit(axes: Axes, pit: Results, n: int) -> None:
    share = 1 / len(pit["counts"])
    width = 1.96 * np.sqrt(n * share * (1 - share))
    axes.axhspan(n * share - width, n * share + width, color=PALE, label="95 % of the bars if they hold")
    axes.axhline(n * share, color=GREY, linewidth=1)
    axes.stairs(pit["counts"], pit["edges"], color=BLUE, fill=True, alpha=0.35)
    axes.stairs(pit["counts"], pit["edges"], color=BLUE, linewidth=1.4)
    axes.set(xlim=(0, 1), ylim=(0, None), xlabel="share of the predicted distribution below the truth (PIT)")
    axes.set_ylabel("galaxies")
    chance = f"p = {pit['p_value']:.2g}" if pit["p_value"] >= SMALLEST else f"p below {SMALLEST:g}"
    distance = f"Kolmogorov\N{EN DASH}Smirnov distance from uniform {pit['ks']:.3f}"
    axes.set_title(f"{distance}\n{chance}", fontsize=9)
    axes.legend(loc="lower center")


def _coverage(axes: Axes, stated: Results) -> None:
    levels, shares = np.array(stated["coverage"]["levels"]), np.array(stated["coverage"]["shares"])
    low, high = np.transpose(np.array(stated["intervals"]["coverage"], float))
    axes.plot([0, 1], [0, 1], color=GREY, linestyle=":", linewidth=1)
    axes.errorbar(levels, shares, np.maximum([shares - low, high - shares], 0), fmt="o", color=BLUE, capsize=2)
    for level, share in zip(levels, shares, strict=True):
        below = share < level
        axes.annotate(
            f"{100 * share:.0f} %",
            (level, share),
            (7, -3) if below else (-7, -3),
            textcoords="offset points",
            ha="left" if below else "right",
            fontsize=8,
        )
    start = min(0.4, shares.min() - 0.05)
    axes.set(xlim=(0.4, 1.05), ylim=(start, 1.03), xlabel="stated central interval [%]", ylabel="true values in it [%]")
    axes.set_xticks(levels, [f"{100 * level:.0f}" for level in levels])
    axes.yaxis.set_major_formatter(PercentFormatter(1, 0, symbol=None))
