"""Classes and quantities as tables for an 80-column terminal, and several models side by side, also in Markdown."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from rich.table import Table
from rich.text import Text

from galaxycnn import detection, quantities
from galaxycnn.errors import DataError
from galaxycnn.markdown import markdown
from galaxycnn.plain import at
from galaxycnn.tables import WIDTH, evaluation_table, in_words, number, plain_table, short_limits

Results = dict[str, Any]
MOST_CLASSES = 3
"""Up to so many classes have a column of their own beside each other; more share one of their mean."""

LONGEST_NAME = 20
"""Names of models have so many letters in a line."""

ROUNDING = 1e-12
"""Figures below this are 0 but for rounding."""

QUANTITY_ROWS = {
    "r2": "R²",
    "mse": "MSE",
    "rmse": "RMSE",
    "mae": "mean |error|",
    "bias": "bias",
    "nmad": "σ_NMAD",
    "outlier_fraction": "outliers",
    "robust_outlier_fraction": "outliers beyond 3 σ_NMAD",
    "within_one_std": "within one std of the truth",
    "spread_ratio": "spread / that of the truth",
    "slope": "slope against the truth",
}
"""Figures of :func:`galaxycnn.quantities.evaluate_quantity` in words, as its table lists them."""


def part_tables(results: Results, part: str) -> list[Table]:
    """All tables of what :func:`galaxycnn.measuring.measure` measured: answers, classes, quantities."""
    tables = [evaluation_table(results, part)] if "outputs" in results else []
    if "classes" in results:
        tables += [class_table(results["classes"], part), confusion_table(results["classes"])]
    return tables + [quantity_table(quantity, part) for quantity in results.get("quantities", {}).values()]


def part_in_words(results: Results) -> str:
    """The sentences that stand below these tables: what was learned."""
    sentences = [in_words(results)] if "outputs" in results else []
    if "classes" in results:
        sentences.append(detection.verdict(results["classes"]))
    sentences += [f"{name}: {quantities.verdict(each)}" for name, each in results.get("quantities", {}).items()]
    return "\n".join(sentences)


def class_table(results: Results, part: str) -> Table:
    """Precision, recall, F1 and support of each class of :func:`galaxycnn.detection.evaluate_classes`, and their means.

    Beside them what the ranking of the galaxies reaches, one class against the rest: area under the ROC curve, and
    average precision with its 95 % interval.
    """
    at = results["threshold"]
    chosen = "" if at is None else f", {results['classes'][1]} from probability {at:.3f} on"
    table = plain_table(f"{part}: {results['n']:,} galaxies{chosen}")
    table.add_column("class", max_width=25)
    for heading in ("precision", "recall", "F1", "support", "ROC\nAUC", "average precision\n[95 %]"):
        table.add_column(heading, justify="right", no_wrap=True)
    per_class, ends = results["per_class"], results["intervals"]
    for i, label in enumerate(_labels(results)):
        figures = {name: values[i] for name, values in per_class.items()}
        limits = ends["per_class"]["average_precision"][i]
        table.add_row(Text(label), *_class_cells(figures, figures["support"], limits))
    n = str(results["n"])
    table.add_row("accuracy", "", "", number(results["accuracy"]), n, "", "")
    table.add_row("macro average", *_class_cells(results["macro"], n, ends["macro"]["average_precision"]))
    table.add_row("weighted average", *_class_cells(results["weighted"], n))
    return table


def confusion_table(results: Results) -> Table:
    """How many galaxies of each true class (row) were taken for each class (column); many classes are numbered.

    Example:
        >>> from galaxycnn.tables import render
        >>> results = {"classes": ["non-merger", "merger"], "confusion": [[331, 2], [18, 3]]}
        >>> print(render(confusion_table(results)))
        true, predicted: non-merger (0) merger (1)
        non-merger (0)              331          2
        merger (1)                   18          3
    """
    labels, heading = _labels(results), "true, predicted:"
    widest = max(len(text) for text in (*labels, heading))
    fits = widest + sum(len(label) + 1 for label in labels) <= WIDTH
    table = plain_table()
    table.add_column(heading)
    for i, label in enumerate(labels):
        table.add_column(Text(label if fits else f"({i})"), justify="right", no_wrap=True)
    for label, counts in zip(labels, results["confusion"], strict=True):
        table.add_row(Text(label), *map(str, counts))
    return table


def quantity_table(results: Results, part: str) -> Table:
    """The figures of :func:`galaxycnn.quantities.evaluate_quantity` with 95 % intervals, beside predict-the-mean's."""
    quantity, unknown = results["quantity"], results["unknown"]
    left_out = f" ({unknown:,} more of unknown {quantity['name']})" if unknown else ""
    table = plain_table(f"{part}: {quantity['name']} of {results['n']:,} galaxies{left_out}")
    table.add_column(quantity["name"])
    for heading in ("", "[95 %]", "predict-the-mean"):
        table.add_column(heading, justify="right", no_wrap=True)
    for name, words in QUANTITY_ROWS.items():
        if results[name] is not None:
            limit = f" beyond {quantity['outlier_limit']:g}" if name == "outlier_fraction" else ""
            _add_figure(table, words + limit, name, results)
    stated = results["uncertainty"]
    if stated is not None:
        _add_figure(table, "CRPS", "crps", stated)
        _add_figure(table, "negative log likelihood", "nll", stated)
        coverage, ends = stated["coverage"], stated["intervals"]["coverage"]
        for level, share, limits in zip(coverage["levels"], coverage["shares"], ends, strict=True):
            table.add_row(f"within the stated {100 * level:.0f} %", _small(share), _between(limits), "")
        table.add_row("KS distance of the PIT", _small(stated["pit"]["ks"]), "", "")
    return table


def _add_figure(table: Table, words: str, name: str, figures: Results) -> None:
    limits = figures["intervals"].get(name)
    table.add_row(words, _small(figures[name]), _between(limits), _small(figures["baseline"].get(name)))


# -- models side by side -------------------------------------------------------------------------


@dataclass(frozen=True)
class ComparedModel:
    """A row among models.

    Attributes:
        name: of the model.
        classes: what :func:`galaxycnn.detection.evaluate_classes` returned, where it tells classes apart.
        quantity: what :func:`galaxycnn.quantities.evaluate_quantity` returned, where it predicts one.
        notes: what sets it apart, in a few words.
    """

    name: str
    classes: Results | None = None
    quantity: Results | None = None
    notes: str = ""


def models_table(models: Sequence[ComparedModel]) -> Table:
    """One row per model: accuracy, F1 of each class (their mean where there are many), MSE and R², and notes.

    Raises:
        DataError: no models.
    """
    table = plain_table()
    (name, *headings, notes), *rows = _model_rows(models, intervals=False)
    table.add_column(name, min_width=min(LONGEST_NAME, max(len(row[0]) for row in rows)), overflow="fold")
    for heading in headings:
        table.add_column(heading.replace(" (", "\n("), justify="right", no_wrap=True)
    table.add_column(notes, min_width=12, overflow="fold")
    for row in rows:
        table.add_row(*map(Text, row))
    return table


def models_markdown(models: Sequence[ComparedModel]) -> str:
    """The rows of :func:`models_table` in Markdown, with 95 % intervals.

    Raises:
        DataError: no models.

    Example:
        >>> print(models_markdown([ComparedModel("predict-the-mean", notes="never looks | at all")]))
        | Model | Accuracy | MSE | R² | Notes |
        |---|---:|---:|---:|---|
        | predict-the-mean | – | – | – | never looks \\| at all |
    """
    heading, *rows = _model_rows(models, intervals=True)
    return markdown(heading, rows, right=range(1, len(heading) - 1))


def _model_rows(models: Sequence[ComparedModel], intervals: bool) -> list[list[str]]:
    """Headings, then the cells of each model."""
    if not models:
        raise DataError("there are no models to compare")
    names = list(dict.fromkeys(name for model in models if model.classes for name in model.classes["classes"]))
    f1 = [f"F1 ({name})" for name in names] if len(names) <= MOST_CLASSES else ["macro F1"]
    rows = [["Model", "Accuracy", *f1, "MSE", "R²", "Notes"]]
    for model in models:
        cells = [model.name, _figure(model.classes, ["accuracy"], intervals)]
        if len(names) <= MOST_CLASSES:
            cells += [_f1_of_class(model.classes, name, intervals) for name in names]
        else:
            cells.append(_figure(model.classes, ["macro", "f1"], intervals))
        cells += [_figure(model.quantity, ["mse"], intervals, 5), _figure(model.quantity, ["r2"], intervals, 2)]
        rows.append([*cells, model.notes])
    return rows


def _f1_of_class(classes: Results | None, name: str, intervals: bool) -> str:
    if classes is None or name not in classes["classes"]:
        return "–"
    return _figure(classes, ["per_class", "f1", classes["classes"].index(name)], intervals)


def _figure(results: Results | None, keys: Sequence[Any], intervals: bool, digits: int = 2) -> str:
    """A figure, found by its keys, and the limits found by the same keys among the intervals."""
    if results is None:
        return "–"
    figure, limits = at(results, keys), at(results["intervals"], keys)
    if figure is None:
        return "–"

    def rounded(value: float) -> str:
        return f"{round(value, digits) + 0.0:.{digits}f}"  # no -0.00

    words = rounded(figure)
    if intervals and None not in limits:
        words += f" [{rounded(limits[0])}, {rounded(limits[1])}]"
    return words.replace("-", "\N{MINUS SIGN}")


# -- cells ---------------------------------------------------------------------------------------


def _labels(results: Results) -> list[str]:
    return [f"{name} ({i})" for i, name in enumerate(results["classes"])]


def _class_cells(figures: Results, support: int | str, limits: list[float | None] | None = None) -> list[str]:
    precision = number(figures.get("average_precision"))
    if limits is not None and None not in limits:
        precision += f" [{short_limits(limits)}]"
    if "average_precision" not in figures:
        precision = ""
    auc = number(figures["roc_auc"]) if "roc_auc" in figures else ""
    return [*(number(figures[name]) for name in ("precision", "recall", "f1")), str(support), auc, precision]


def _between(limits: Sequence[float | None] | None) -> str:
    return "" if limits is None or None in limits else f"[{' '.join(map(_small, limits))}]"


def _small(value: float | None) -> str:
    """Four decimals, or four figures of what is smaller than a hundredth or large."""
    if value is None:
        return "-"
    if abs(value) < ROUNDING:
        return f"{0:.4f}"
    return f"{value:.4f}" if 0.01 <= abs(value) < 100 else f"{value:.3g}"
