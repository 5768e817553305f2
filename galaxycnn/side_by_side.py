"""Models side by side: as tables for an 80-column terminal, in Markdown, and the scores of their picture."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

from rich.table import Table
from rich.text import Text

from galaxycnn.baselines.table import mean_accuracy
from galaxycnn.comparing import Measured, failures, warnings
from galaxycnn.errors import UserError
from galaxycnn.files import atomic_path
from galaxycnn.markdown import table_markdown
from galaxycnn.plain import at
from galaxycnn.plots.comparison import Estimate, compared_scores
from galaxycnn.reports import (
    LONGEST_NAME,
    MOST_CLASSES,
    ComparedModel,
    class_table,
    confusion_table,
    models_markdown,
    models_table,
    quantity_table,
)
from galaxycnn.tables import number, plain_table

Results = dict[str, Any]


def details(model: Measured, part: str = "test") -> list[Table]:
    """What is told of a model by itself: classification report, confusion matrix, figures of its quantities."""
    title = f"{model.name}, {part}"
    tables = [class_table(model.classes, title), confusion_table(model.classes)] if model.classes else []
    return tables + [quantity_table(quantity, title) for quantity in model.quantities.values()]


def side_by_side(models: Sequence[Measured]) -> list[Table]:
    """The tables that compare: of classes and the first quantity, of each other quantity, of vote fractions."""
    votes = [model for model in models if model.votes]
    return [models_table(rows) for rows in _rows(models)] + ([_votes_table(votes)] if votes else [])


def page(models: Sequence[Measured], part: str = "test", picture: str | None = None) -> str:
    """All of it in Markdown: the comparison, what limits it, a picture where there is one, and then each model."""
    votes = [model for model in models if model.votes]
    tables = [models_markdown(rows) for rows in _rows(models)] + (
        [table_markdown(_votes_table(votes))] if votes else []
    )
    sections = [
        f"# {len(models)} models on {part!r}",
        *tables,
        *(f"**Careful:** {each}." for each in warnings(models, part)),
    ]
    if picture:
        sections.append(f"![Scores with 95 % intervals]({picture})")
    for model in models:
        told = details(model, part)
        sections += [f"## {model.name}", *map(table_markdown, told)] if told else []
    return "\n\n".join(sections) + "\n"


def write_page(models: Sequence[Measured], path: Path, part: str = "test") -> list[Path]:
    """Write :func:`page`, and beside it the picture of the :func:`scores`.

    Raises:
        UserError: ``path`` does not end in ``.md``.
    """
    if path.suffix != ".md":
        raise UserError(f"{path}: a comparison is written as Markdown, to a file that ends in '.md'")
    names = {model.name: model.is_baseline for model in models}
    picture = compared_scores(names, scores(models), path.with_suffix(".png"))
    with atomic_path(path) as temporary:
        temporary.write_text(page(models, part, picture.name), encoding="utf-8")
    return [path, picture]


def scores(models: Sequence[Measured]) -> dict[str, list[Estimate | None]]:
    """What :func:`galaxycnn.plots.comparison.compared_scores` draws: scores by name, one for each model."""
    classes = list(dict.fromkeys(name for model in models if model.classes for name in model.classes["classes"]))
    found: dict[str, list[Estimate | None]] = {}
    if classes:
        found["accuracy"] = [_estimate(model.classes, "accuracy") for model in models]
        found["macro F1"] = [_estimate(model.classes, "macro", "f1") for model in models]
    if len(classes) > MOST_CLASSES:
        found["macro average precision"] = [_estimate(model.classes, "macro", "average_precision") for model in models]
    else:
        for measure, words in (("f1", "F1"), ("average_precision", "average precision")):
            for name in classes:
                found[f"{words}: {name}"] = [_of_class(model.classes, measure, name) for model in models]
    for name in dict.fromkeys(name for model in models for name in model.quantities):
        found[f"R²: {name}"] = [_estimate(model.quantities.get(name), "r2") for model in models]
    if any(model.votes for model in models):
        found["RMSE of vote fractions (less is better)"] = [
            _estimate(model.votes and model.votes["overall"], "rmse") for model in models
        ]
    return {name: estimates for name, estimates in found.items() if any(estimates)}


def _estimate(results: Results | None, *keys: str | int) -> Estimate | None:
    """The figure that is found by these keys, and by the same ones among the intervals and the baseline."""
    if results is None:
        return None
    figure, (low, high), floor = (at(of, keys) for of in (results, results["intervals"], results["baseline"]))
    return None if figure is None else Estimate(figure, low, high, floor)


def _of_class(classes: Results | None, measure: str, name: str) -> Estimate | None:
    if classes is None or name not in classes["classes"]:
        return None
    return _estimate(classes, "per_class", measure, classes["classes"].index(name))


def _rows(models: Sequence[Measured]) -> list[list[ComparedModel]]:
    """The rows of each table of classes and quantities: of the classes with the first quantity, and of other ones."""
    names = list(dict.fromkeys(name for model in models for name in model.quantities))
    told = [model for model in models if model.classes or model.quantities]
    tables = []
    for i, name in enumerate(names or [""]):
        members = [model for model in told if name in model.quantities or (i == 0 and model.classes)]
        tables.append(
            [
                ComparedModel(
                    model.name,
                    model.classes if i == 0 else None,
                    model.quantities.get(name),
                    _notes(model, _counted(model.about.get("parameters"), "parameters")),
                )
                for model in members
            ]
        )
    return [rows for rows in tables if rows]


def _votes_table(models: Sequence[Measured]) -> Table:
    """RMSE with its 95 % interval, accuracy, size and speed."""
    table = plain_table()
    table.add_column("Model", min_width=min(LONGEST_NAME, max(len(model.name) for model in models)), overflow="fold")
    for heading in ("RMSE\n[95 %]", "accu-\nracy", "para-\nmeters", "training", "images\na second"):
        table.add_column(heading, justify="right", no_wrap=True)
    table.add_column("Notes", min_width=10, overflow="fold")
    for model in models:
        overall, views = model.results["overall"], model.results.get("views", 1)
        low, high = overall["intervals"]["rmse"]
        table.add_row(
            Text(model.name),
            f"{overall['rmse']:.4f} [{low:.3f} {high:.3f}]",
            number(mean_accuracy(model.results)),
            _counted(model.about.get("parameters")),
            _duration(model.about.get("training_seconds")),
            _counted(model.images_per_second),
            Text(_notes(model, _counted(views if views > 1 else None, "views"))),
        )
    return table


def _notes(model: Measured, *facts: str) -> str:
    """What a model is, facts about it, and what its results show to be wrong with it."""
    what = model.about.get("text") or model.about.get("model_type") or ""
    return "; ".join(filter(None, [what, *facts, *failures(model)]))


def _counted(number: float | None, what: str = "") -> str:
    return "" if number is None else f"{number:,.0f} {what}".strip()


def _duration(seconds: float | None) -> str:
    if seconds is None:
        return ""
    unit, size = next(((unit, size) for unit, size in (("h", 3600), ("min", 60)) if seconds >= size), ("s", 1))
    return f"{seconds / size:.1f} {unit}"
