"""What controls found, as a table for each output and in sentences."""

from __future__ import annotations

from typing import Any

from rich.table import Table
from rich.text import Text

from galaxycnn.controls.measuring import UNCHANGED
from galaxycnn.controls.scoring import INFORMED, LOWER_IS_BETTER
from galaxycnn.tables import plain_table

Results = dict[str, Any]

ALONE = "without_the_source"
"""The control that leaves nothing but the sky."""

LABELS = "with_other_labels"
"""The control that changes no galaxy: a floor, not something that a network may need."""

MINUS = "\N{MINUS SIGN}"

LITTLE_SKY = 0.25
"""From this share of cutouts without sky on, the sky is hardly put to the test."""


def control_tables(results: Results, galaxies: str) -> list[Table]:
    """One table per output of :func:`galaxycnn.controls.measure_controls`: the scores of each control, with intervals.

    A star stands for a change from the galaxies as they are whose 95 % interval leaves out 0.
    """
    return [
        _table(scores, f"{galaxies}: {output} of {results['n']:,} galaxies")
        for output, scores in results["outputs"].items()
    ]


def _table(scores: Results, title: str) -> Table:
    table = plain_table(title)
    table.caption, table.caption_justify = "* changed (95 %)", "left"
    table.add_column("galaxies")
    for score in scores:
        table.add_column(f"{score}\n[95 %]  ", justify="right", no_wrap=True)
    for name in next(iter(scores.values()))["controls"]:
        cells = (_cell(score, figures["controls"][name]) for score, figures in scores.items())
        table.add_row(Text(words(name)), *cells)
    floors = (f"{_number(figures['floor'], score)}  " for score, figures in scores.items())
    table.add_row("never looked at", *floors)
    return table


def in_words(results: Results) -> str:
    """What the network needs and what not, whether the sky alone tells it anything, and how far that can be known."""
    sentences = [each for output, scores in results["outputs"].items() for each in _sentences(output, scores)]
    if results["without_sky"] >= LITTLE_SKY:
        sentences.append(
            f"careful: sources fill {100 * results['without_sky']:.0f} % of the cutouts so far that no sky is left; "
            "controls gave these the sky of others"
        )
    return "\n".join(sentences)


def _sentences(output: str, scores: Results) -> list[str]:
    score, judged = next(iter(scores.items()))
    controls = {name: figures for name, figures in judged["controls"].items() if name not in (UNCHANGED, LABELS)}
    worse = {name: figures for name, figures in controls.items() if _changed(figures, -_better(score))}
    usual = _number(judged["controls"][UNCHANGED]["value"], score)
    told = []
    if worse:
        ordered = sorted(worse, key=lambda name: -abs(worse[name]["change"]))
        listed = ", ".join(f"to {_left(scores, score, name)}" for name in ordered)
        told.append(f"{output}: {score} of {usual} {'falls' if _better(score) > 0 else 'rises'} {listed}")
    same = [name for name in controls if name not in worse]
    if same:
        listed = ", ".join(f"{words(name)} ({_number(controls[name]['value'], score)})" for name in same)
        told.append(f"{output}: {score} of {usual} is not measurably worse {listed}")
    return [*told, f"{output}: {_of_the_sky(scores)}"] if ALONE in controls else told


def _left(scores: Results, score: str, name: str) -> str:
    """What a score is under a control, and what is left of what the network knows."""
    value = _number(scores[score]["controls"][name]["value"], score)
    informed = [f"{each} {_number(scores[each]['controls'][name]['value'])}" for each in scores if each in INFORMED]
    return f"{value} {words(name)} ({', '.join(informed)})"


def _of_the_sky(scores: Results) -> str:
    """Whether predictions without the source know anything of the truth."""
    score = next(each for each in scores if each in INFORMED)
    figures = scores[score]["controls"][ALONE]
    if None in figures["interval"]:
        return "too few galaxies to know whether the sky alone tells the network anything"
    told = f"({score} {_number(figures['value'])} {_interval(figures['interval'])} without the source)"
    if figures["interval"][0] > 0:
        return f"careful: the sky alone, neighbours included, tells the network something {told}"
    return f"the sky alone tells the network nothing measurable {told}"


def _better(score: str) -> int:
    """In which direction a score is better."""
    return -1 if score in LOWER_IS_BETTER else 1


def _changed(figures: Results, direction: int | None = None) -> bool:
    """Whether a score has changed beyond what chance does, in a direction (1: risen) or in either."""
    low, high = figures["change_interval"]
    if low is None or high is None:
        return False
    return (low > 0 and direction != -1) or (high < 0 and direction != 1)


def words(name: str) -> str:
    """A control's name in words.

    Example:
        >>> words("on_another_sky")
        'on another sky'
    """
    return name.replace("_", " ")


# -- cells ---------------------------------------------------------------------------------------


def _number(value: float | None, score: str = "") -> str:
    """Two decimals, more of small errors and fewer of what is large; a dash for what is not defined."""
    if value is None:
        return "-"
    digits = 1 if abs(value) >= 10 else 4 if score in LOWER_IS_BETTER else 2
    return f"{round(value, digits) + 0.0:.{digits}f}".replace("-", MINUS)


def _interval(ends: list[float], score: str = "") -> str:
    """Both ends, without the 0 before the point."""
    told = (_number(end, score) for end in ends)
    return f"[{' '.join(each.replace('0.', '.', 1) if each.lstrip(MINUS)[0] == '0' else each for each in told)}]"


def _cell(score: str, figures: Results) -> str:
    """A score with its interval, and a star where it has changed."""
    told = _number(figures["value"], score)
    if None not in figures["interval"]:
        told += f" {_interval(figures['interval'], score)}"
    return f"{told} {'*' if _changed(figures) else ' '}"
