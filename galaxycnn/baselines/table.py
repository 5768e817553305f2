"""Baselines as tables for an 80-column terminal."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from typing import Any

import numpy as np
from rich.table import Table
from rich.text import Text

from galaxycnn.tables import number, plain_table, short_limits

Results = dict[str, Any]


def baselines_tables(results: Results) -> list[Table]:
    """The baselines of :func:`galaxycnn.baselines.measure`: a table of vote fractions or of classes, one per quantity.

    A row for each baseline that predicts it, the best last; 95 % intervals in brackets.

    - Vote fractions: RMSE over all columns, and accuracy: the mean, over the questions, of the share of the galaxies
      whose volunteers come to the question and whose favourite answer is predicted.
    - Classes: accuracy, the mean F1 of the classes, and of two classes the average precision (AP) of the rarer one.
    - Quantities: R² and RMSE.
    """
    measured = [part for _, part in _parts(results)]
    tables = []
    if any("classes" in part for part in measured):
        tables.append(_class_table(results))
    elif any("overall" in part for part in measured):
        tables.append(_fraction_table(results))
    names = dict.fromkeys(name for part in measured for name in part.get("quantities", {}))
    return tables + [_quantity_table(results, name) for name in names]


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


def _parts(results: Results) -> Iterator[tuple[str, Results]]:
    """Every part on which a baseline was measured: its name, and what was measured."""
    for baseline in results["baselines"].values():
        yield from baseline["parts"].items()


def _fraction_table(results: Results) -> Table:
    def cells(part: Results) -> list[str]:
        low, high = part["overall"]["intervals"]["rmse"]
        return [f"{part['overall']['rmse']:.4f} [{low:.3f} {high:.3f}]", number(mean_accuracy(part))]

    def find(part: Results) -> Results | None:
        return part if "overall" in part else None

    return _table(results, "", ["RMSE [95 %]", "acc."], find, cells, lambda part: -part["overall"]["rmse"])


def _class_table(results: Results) -> Table:
    example = next(part["classes"] for _, part in _parts(results) if "classes" in part)
    support = example["per_class"]["support"]
    rare = support.index(min(support)) if len(support) == 2 else None
    headings, about = ["acc.", "macro F1 [95 %]"], ""
    if rare is not None:
        headings, about = ["acc.", "F1", "AP [95 %]"], f"; AP: average precision of {example['classes'][rare]}"

    def cells(classes: Results) -> list[str]:
        ends = classes["intervals"]
        accuracy, f1 = number(classes["accuracy"]), number(classes["macro"]["f1"])
        if rare is None:
            return [accuracy, f"{f1} [{short_limits(ends['macro']['f1'])}]"]
        precision, limits = (of["per_class"]["average_precision"][rare] for of in (classes, ends))
        return [accuracy, f1, number(precision) + _shortest(limits)]

    def find(part: Results) -> Results | None:
        return part.get("classes")

    return _table(results, about, headings, find, cells, lambda classes: classes["macro"]["f1"])


def _quantity_table(results: Results, name: str) -> Table:
    def cells(quantity: Results) -> list[str]:
        return [number(quantity["r2"]) + _limits(quantity["intervals"]["r2"]), f"{quantity['rmse']:.2g}"]

    def find(part: Results) -> Results | None:
        return part.get("quantities", {}).get(name)

    return _table(results, f": {name}", ["R² [95 %]", "RMSE"], find, cells, lambda quantity: -quantity["rmse"])


def _table(
    results: Results,
    about: str,
    headings: Sequence[str],
    find: Callable[[Results], Results | None],
    cells: Callable[[Results], list[str]],
    score: Callable[[Results], float],
) -> Table:
    """A row for each baseline, and columns for each part, of which ``find`` finds the figures that the table shows."""
    counts = results["galaxies"]
    names = [name for name in counts if any(part == name and find(measured) for part, measured in _parts(results))]
    rows = {
        name: [find(baseline["parts"].get(part, {})) for part in names]
        for name, baseline in results["baselines"].items()
    }
    shown = {name: figures for name, figures in rows.items() if any(figures)}
    title = f"baselines of {results['model_name']}, fitted on {counts['train']:,} galaxies{about}"
    table, widest = plain_table(title), next(heading for heading in headings if "95" in heading)
    table.add_column("baseline", no_wrap=True)
    for name in names:
        for heading in headings:
            above = f"{name}: {counts[name]:,}" if heading == widest else ""
            table.add_column(f"{above}\n{heading}", justify="right", no_wrap=True)
    table.add_column("fit\ns", justify="right", no_wrap=True)
    for name in sorted(shown, key=lambda name: [score(figures) for figures in shown[name] if figures]):
        row = [cell for figures in shown[name] for cell in (cells(figures) if figures else [""] * len(headings))]
        table.add_row(name, *map(Text, row), f"{results['baselines'][name]['seconds']:.1f}")
    return table


def _limits(interval: Sequence[float | None]) -> str:
    return "" if None in interval else f" [{' '.join(f'{limit:.2f}' for limit in interval)}]"


def _shortest(interval: Sequence[float | None]) -> str:
    """Both ends of an interval within 0…1 in three characters each."""
    return "" if None in interval else f" [{' '.join(f'{limit:.2f}'.removeprefix('0')[:3] for limit in interval)}]"
