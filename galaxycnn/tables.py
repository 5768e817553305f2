"""The results of an evaluation as tables for an 80-column terminal, and in sentences."""

from __future__ import annotations

from collections.abc import Sequence
from io import StringIO
from typing import Any

from rich.console import Console
from rich.table import Table
from rich.text import Text

from galaxycnn.evaluation import missed_sums
from galaxycnn.leaderboard import leaderboard_sentence

Results = dict[str, Any]
WIDTH = 80
MOST_NAMED = 3
"""How many of the questions whose sums are missed a sentence names."""


def evaluation_table(results: Results, part: str) -> Table:
    """One row per output of :func:`galaxycnn.evaluation.evaluate_fractions`, and one for all columns.

    What the model has to beat, both learnt from the training part: ``majority`` is the accuracy of
    predict-the-majority, ``mean`` the RMSE of predict-the-mean. Figures are over all galaxies, those
    marked ``reached`` over the galaxies whose volunteers' walk comes to the question.
    """
    table = plain_table(f"{part}: {results['n']:,} galaxies")
    table.add_column("output", no_wrap=True, max_width=11)
    headings = "accuracy\n[95 %]", "majority", "reached\nn", "reached\nacc.", "macro\nF1", "RMSE", "mean\nRMSE", "MSE"
    for heading in headings:
        table.add_column(heading, justify="right", no_wrap=True)
    for name, output in results["outputs"].items():
        reached = output["confusion"]["true_walk"]
        table.add_row(
            name,
            f"{number(output['accuracy'])} [{short_limits(output['intervals']['accuracy'])}]",
            number(output["baseline"]["accuracy"]),
            str(reached["n"]),
            number(reached["accuracy"]),
            number(output["macro_f1"]),
            *_errors(output),
        )
    table.add_row("all columns", "", "", "", "", "", *_errors(results["overall"]), style="bold")
    return table


def answer_table(results: Results) -> Table:
    """One row per answer: its RMSE with the 95 % interval, and that of predict-the-mean.

    Example:
        >>> figures = {"rmse": [0.11, 0.09], "intervals": {"rmse": [[0.10, 0.12], [0.08, 0.1]]}}
        >>> per_answer = figures | {"baseline": {"rmse": [0.26, 0.262]}}
        >>> outputs = {"Class1": {"answers": ["smooth", "disk"], "per_answer": per_answer}}
        >>> print(render(answer_table({"outputs": outputs})))
                                   RMSE  mean
        output answer            [95 %]  RMSE
        Class1 smooth 0.110 [.100 .120] 0.260
               disk   0.090 [.080 .100] 0.262
    """
    table = plain_table()
    table.add_column("output", no_wrap=True, max_width=20)
    table.add_column("answer", no_wrap=True, max_width=32)
    for heading in ("RMSE\n[95 %]", "mean\nRMSE"):
        table.add_column(heading, justify="right", no_wrap=True)
    for name, output in results["outputs"].items():
        figures = output["per_answer"]
        columns = output["answers"], figures["rmse"], figures["intervals"]["rmse"], figures["baseline"]["rmse"]
        for i, (answer, rmse, limits, mean) in enumerate(zip(*columns, strict=True)):
            named = Text(answer)  # which may hold what Rich takes for markup
            table.add_row("" if i else name, named, f"{number(rmse)} [{short_limits(limits)}]", number(mean))
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
        f"{'learned' if won else 'did not beat predict-the-mean'}: RMSE {number(overall['rmse'])} "
        f"against {number(overall['baseline']['rmse'])} for predict-the-mean"
    )
    if not outputs:
        return sentence
    better = sum(output["intervals"]["accuracy"][0] > output["baseline"]["accuracy"] for output in outputs)
    return f"{sentence}; accuracy above predict-the-majority in {better} of {len(outputs)} outputs"


def sums_sentence(results: Results) -> str:
    """Which questions' answers miss the sum that the decision tree gives them, and by how much on average.

    Example:
        >>> sums_sentence({"outputs": {"Class1": {"sums": {"mean": 2e-8}}, "Class2": {"sums": {"mean": 0.0312}}}})
        "the tree's sums: 1 of 2 holds; missed on average by 0.031 in Class2"
    """
    determined = sum(output["sums"]["mean"] is not None for output in results["outputs"].values())
    missed = missed_sums(results)
    if not missed:
        return f"the tree's sums: {'all hold' if determined else 'none is determined by these questions'}"
    hold = determined - len(missed)
    named = ", ".join(f"{number(sums['mean'])} in {name}" for name, sums in list(missed.items())[:MOST_NAMED])
    others = f", less in {len(missed) - MOST_NAMED} others" if len(missed) > MOST_NAMED else ""
    return (
        f"the tree's sums: {hold or 'none'} of {determined} hold{'s' if hold < 2 else ''}; "
        f"missed on average by {named}{others}"
    )


def in_words(results: Results) -> str:
    """The sentences that stand below a table: the verdict, which of the tree's sums are missed, the place of 2014."""
    sentences = verdict(results), sums_sentence(results), leaderboard_sentence(results)
    return "\n".join(sentence for sentence in sentences if sentence)


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
    return number(figures["rmse"]), number(figures["baseline"]["rmse"]), number(figures["mse"], 4)


# -- what tables are made of ---------------------------------------------------------------------


def plain_table(title: str | None = None) -> Table:
    """A table without lines, as narrow as its cells."""
    return Table(title=title, title_justify="left", box=None, padding=(0, 1, 0, 0), pad_edge=False)


def number(value: float | None, digits: int = 3) -> str:
    """A figure with so many decimals, and a dash for one that is not defined.

    Example:
        >>> number(0.98765), number(0.98765, 2), number(None)
        ('0.988', '0.99', '-')
    """
    return "-" if value is None else f"{value:.{digits}f}"


def short_limits(interval: Sequence[float | None]) -> str:
    """Both ends of an interval within 0…1, which is defined, in four characters each.

    Example:
        >>> short_limits([0.9312, 1.0])
        '.931 1.00'
    """
    return " ".join(f"{limit:.3f}".removeprefix("0")[:4] for limit in interval)
