"""Baselines as a table for an 80-column terminal."""

from __future__ import annotations

from typing import Any

import numpy as np
from rich.table import Table

from galaxycnn.tables import plain_table

Results = dict[str, Any]


def baselines_table(results: Results) -> Table:
    """One row per baseline of :func:`galaxycnn.baselines.measure`, the best last.

    For each part the RMSE over all columns with its 95 % interval, and the accuracy: the mean, over the questions, of
    the share of the galaxies whose volunteers come to the question and whose favourite answer is predicted.
    """
    counts = results["galaxies"]
    table = plain_table(f"baselines of {results['model_name']}, fitted on {counts['train']:,} galaxies")
    table.add_column("baseline", no_wrap=True)
    measured = sorted(results["baselines"].items(), key=_errors, reverse=True)
    for part in measured[0][1]["parts"]:
        table.add_column(f"{part}: {counts[part]:,}\nRMSE [95 %]", justify="right", no_wrap=True)
        table.add_column("\nacc.", justify="right", no_wrap=True)
    table.add_column("fit\ns", justify="right", no_wrap=True)
    for name, baseline in measured:
        cells = [cell for part in baseline["parts"].values() for cell in (_rmse(part), f"{mean_accuracy(part):.3f}")]
        table.add_row(name, *cells, f"{baseline['seconds']:.1f}")
    return table


def mean_accuracy(part: Results) -> float:
    """Mean over the questions of the accuracy among the galaxies whose volunteers come to the question.

    Example:
        >>> def output(accuracy):
        ...     return {"confusion": {"true_walk": {"accuracy": accuracy}}}
        >>> mean_accuracy({"outputs": {"Class1": output(0.8), "Class2": output(0.6), "Class3": output(None)}})
        0.7
    """
    reached = [output["confusion"]["true_walk"]["accuracy"] for output in part["outputs"].values()]
    return float(np.mean([accuracy for accuracy in reached if accuracy is not None]))


def _errors(entry: tuple[str, Results]) -> list[float]:
    return [part["overall"]["rmse"] for part in entry[1]["parts"].values()]


def _rmse(part: Results) -> str:
    overall = part["overall"]
    low, high = overall["intervals"]["rmse"]
    return f"{overall['rmse']:.4f} [{low:.3f} {high:.3f}]"
