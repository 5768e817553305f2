"""The results of an evaluation as a table for an 80-column terminal, and as one sentence."""

from __future__ import annotations

from io import StringIO
from typing import Any

from rich.console import Console
from rich.table import Table

Results = dict[str, Any]
WIDTH = 80
ROUNDING = 1e-6
"""A sum holds where it is missed by less than float32 rounding."""


def evaluation_table(results: Results, part: str) -> Table:
    """One row per output of :func:`galaxycnn.evaluation.evaluate_fractions`, and one for all columns.

    What the model has to beat, both learnt from the training part: ``majority`` is the accuracy of
    predict-the-majority, ``mean`` the RMSE of predict-the-mean. Figures are over all galaxies, those
    marked ``reached`` over the galaxies whose volunteers' walk comes to the question.
    """
    table = Table(
        title=f"{part}: {results['n']:,} galaxies", title_justify="left", box=None, padding=(0, 1, 0, 0), pad_edge=False
    )
    table.add_column("output", no_wrap=True, max_width=11)
    headings = "accuracy\n[95 %]", "majority", "reached\nn", "reached\nacc.", "macro\nF1", "RMSE", "mean\nRMSE", "MSE"
    for heading in headings:
        table.add_column(heading, justify="right", no_wrap=True)
    for name, output in results["outputs"].items():
        reached = output["confusion"]["true_walk"]
        table.add_row(
            name,
            f"{_number(output['accuracy'])} [{_limits(output['intervals']['accuracy'])}]",
            _number(output["baseline"]["accuracy"]),
            str(reached["n"]),
            _number(reached["accuracy"]),
            _number(output["macro_f1"]),
            *_errors(output),
        )
    table.add_row("all columns", "", "", "", "", "", *_errors(results["overall"]), style="bold")
    return table


def verdict(results: Results) -> str:
    """Whether the model learned: its RMSE against predict-the-mean's, its accuracies against predict-the-majority's.

    A model counts as better where its 95 % interval lies wholly on the better side of the baseline.

    Example:
        >>> overall = {"rmse": 0.112, "intervals": {"rmse": [0.110, 0.114]}, "baseline": {"rmse": 0.169}}
        >>> verdict({"overall": overall, "outputs": {}})
        'learned: RMSE 0.112 against 0.169 for predict-the-mean'
    """
    overall, outputs = results["overall"], results["outputs"].values()
    won = overall["intervals"]["rmse"][1] < overall["baseline"]["rmse"]
    sentence = (
        f"{'learned' if won else 'did not beat predict-the-mean'}: RMSE {_number(overall['rmse'])} "
        f"against {_number(overall['baseline']['rmse'])} for predict-the-mean"
    )
    if not outputs:
        return sentence
    better = sum(output["intervals"]["accuracy"][0] > output["baseline"]["accuracy"] for output in outputs)
    return f"{sentence}; accuracy above predict-the-majority in {better} of {len(outputs)} outputs"


def sums_sentence(results: Results) -> str:
    """How far each question's answers miss the sum that the decision tree gives them, on average.

    Example:
        >>> sums_sentence({"outputs": {"Class1": {"sums": {"mean": 2e-8}}, "Class2": {"sums": {"mean": 0.0312}}}})
        "the tree's sums: Class1 holds, Class2 missed by 0.031"
    """
    missed = {name: output["sums"]["mean"] for name, output in results["outputs"].items()}
    questions = [
        f"{name} {'holds' if miss < ROUNDING else f'missed by {_number(miss)}'}"
        for name, miss in missed.items()
        if miss is not None
    ]
    return f"the tree's sums: {', '.join(questions) or 'none is determined by these questions'}"


def in_words(results: Results) -> str:
    """The sentences that stand below a table: the verdict, and how far the tree's sums are missed."""
    return f"{verdict(results)}\n{sums_sentence(results)}"


def render(table: Table, width: int = WIDTH) -> str:
    """The table as plain text without colour codes, for log files.

    Example:
        >>> table = Table("output", box=None, pad_edge=False)
        >>> table.add_row("Class1")
        >>> print(render(table))
        output
        Class1
    """
    text = StringIO()
    Console(file=text, width=width, color_system=None, force_terminal=False, force_jupyter=False).print(table)
    return "\n".join(line.rstrip() for line in text.getvalue().splitlines())


def _errors(figures: Results) -> tuple[str, str, str]:
    return _number(figures["rmse"]), _number(figures["baseline"]["rmse"]), _number(figures["mse"], 4)


def _limits(interval: list[float]) -> str:
    """Both ends in four characters each: ``.931 1.00``."""
    return " ".join(f"{limit:.3f}".removeprefix("0")[:4] for limit in interval)


def _number(value: float | None, digits: int = 3) -> str:
    return "-" if value is None else f"{value:.{digits}f}"
