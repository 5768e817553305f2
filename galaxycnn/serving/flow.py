"""Votes flowing down the decision tree, as a drawing in SVG: all widths are fractions of the volunteers.

- Wide: questions in columns, from left to right down the tree; a band joins each answer to those that follow it.
- Upright, for a phone: questions below each other, each strip right below the answer that leads to it.
- A tree without branches is drawn as bars.

The same volunteers are asked several questions one after the other, so that the bands to them leave an answer from the
same place. Where several answers lead to one question, how its votes came from them is not known: they are shared out
in the same proportion.

The drawing has no colours of its own. Its classes are ``question``, ``answer`` and ``bands``, with ``walk`` for what
the most likely walk down the tree comes to; questions and answers carry ``data-question`` and ``data-column``.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from xml.sax.saxutils import escape, quoteattr

import numpy as np

from galaxycnn.tree import Answer, DecisionTree, Floats, Question

WIDTH, UPRIGHT_WIDTH, BARS_WIDTH = 1180.0, 360.0, 620.0
SCALE = 112.0
"""Height of all volunteers, in a wide drawing."""
BAR, STRIP = 9.0, 15.0
"""Thickness of an answer's bar, wide and upright."""
LINE, GAP, BETWEEN = 17.0, 3.0, 26.0
"""From one line of text to the next, from one answer to the next, from one question to the next."""
HEAD = 18.0
"""Height of a question's heading."""
LETTER, WALK_LETTER = 7.0, 8.0
"""Width of a letter of an answer, on average and where it is on the walk."""
LAST = 230.0
"""Width of the last column, in a wide drawing."""
THINNEST = 0.2
"""Bands that are thinner are left out."""


@dataclass(frozen=True)
class Votes:
    """What is drawn: the fractions of a galaxy, and the answers of its most likely walk.

    Args:
        tree: the questions.
        fractions: 0…1, shape (columns,).
        walk: 1 for the answers of the most likely walk, 0 for all others, the same shape.
    """

    tree: DecisionTree
    fractions: Floats
    walk: Floats

    def of(self, column: str) -> float:
        """The fraction of an answer."""
        return float(self.fractions[self.tree.columns.index(column)])

    def total(self, columns: Sequence[str]) -> float:
        """The fraction of several answers."""
        return sum(self.of(column) for column in columns)

    def on_walk(self, column: str) -> bool:
        """Whether the most likely walk gives this answer."""
        return bool(self.walk[self.tree.columns.index(column)] > 0)

    def parents(self, question: Question) -> tuple[str, ...]:
        """The answers in the tree that lead to ``question``."""
        return question.parents if self.tree.gate(question) else ()


def draw_flow(tree: DecisionTree, fractions: Floats, walk: Floats | None = None, upright: bool = False) -> str:
    """Draw the vote fractions of one galaxy.

    Args:
        tree: the questions.
        fractions: 0…1, shape (columns,).
        walk: 1 for the answers of the most likely walk, the same shape; None for :meth:`DecisionTree.one_hot`.
        upright: for a screen that is higher than wide.

    Returns:
        An ``<svg>`` element.

    Example:
        >>> from galaxycnn.tree import GALAXY_ZOO_2
        >>> tree = GALAXY_ZOO_2.subset(["Class1", "Class7"])
        >>> drawing = draw_flow(tree, np.array([0.9, 0.1, 0.0, 0.5, 0.3, 0.1]))
        >>> drawing.startswith("<svg"), drawing.count('class="answer')
        (True, 6)
    """
    votes = Votes(tree, fractions, tree.one_hot(fractions[None])[0] if walk is None else walk)
    branched = any(tree.gate(question) for question in tree.questions)
    if not branched:
        width, height, shapes = _bars(votes, UPRIGHT_WIDTH if upright else BARS_WIDTH)
    elif upright:
        width, height, shapes = _upright(votes)
    else:
        width, height, shapes = _wide(votes)
    return (
        f'<svg xmlns="http://www.w3.org/2000/svg" class="flow" viewBox="0 0 {_(width)} {_(height)}" role="group"'
        f' aria-label="The decision tree; widths are fractions of all votes">{"".join(shapes)}</svg>'
    )


# -- parts ---------------------------------------------------------------------------------------


def _(number: float) -> str:
    return f"{number:.2f}".rstrip("0").rstrip(".")


def percent(fraction: float) -> str:
    """A fraction in per cent, as short as it can be.

    Example:
        >>> [percent(fraction) for fraction in (0, 0.004, 0.996, 1)]
        ['0 %', '<1 %', '>99 %', '100 %']
    """
    if 0.0005 <= fraction < 0.005:
        return "<1 %"
    return ">99 %" if 0.995 <= fraction < 0.9995 else f"{fraction:.0%}".replace("%", " %")


def _words(votes: Votes, answer: Answer) -> str:
    return f"{answer.name} {percent(votes.of(answer.column))}"


def _question(votes: Votes, question: Question, box: tuple[float, float, float, float], answers: Sequence[str]) -> str:
    """A question: its heading and its answers, and what can be pressed (left, top, width, height)."""
    left, top, width, height = map(_, box)
    said = ", ".join(_words(votes, answer) for answer in question.answers)
    walk = " walk" if any(map(votes.on_walk, question.columns)) else ""
    return (
        f'<g class="question{walk}" tabindex="0" role="button" data-question={quoteattr(question.name)}'
        f" aria-label={quoteattr(f'{question.text} {said}')}>"
        f'<rect class="touch" x="{left}" y="{top}" width="{width}" height="{height}" fill="none" pointer-events="all"/>'
        f'<text class="heading" x="{left}" y="{_(box[1] + HEAD - 6)}">{escape(question.text)}</text>'
        f"{''.join(answers)}</g>"
    )


def _answer(votes: Votes, answer: Answer, bar: tuple[float, float, float, float], x: float, y: float) -> str:
    """An answer: its bar (left, top, width, height), and its words at ``(x, y)``."""
    left, top, width, height = map(_, bar)
    walk, share = " walk" if votes.on_walk(answer.column) else "", escape(percent(votes.of(answer.column)))
    return (
        f'<g class="answer{walk}" data-column={quoteattr(answer.column)}><title>{escape(_words(votes, answer))}</title>'
        f'<rect x="{left}" y="{top}" width="{width}" height="{height}"/>'
        f'<text x="{_(x)}" y="{_(y)}">{escape(answer.name)} <tspan>{share}</tspan></text></g>'
    )


def _grouped(plain: Sequence[str], walked: Sequence[str]) -> list[str]:
    """Bands, below all else; those of the walk above the others."""
    return [f'<g class="bands">{"".join(plain)}</g>', f'<g class="bands walk">{"".join(walked)}</g>']


# -- wide ----------------------------------------------------------------------------------------


def _wide(votes: Votes) -> tuple[float, float, list[str]]:
    columns = _columns(votes)
    step = (WIDTH - LAST) / (len(columns) - 1)
    heights = [sum(_height(votes, q) for q in column) + BETWEEN * (len(column) - 1) for column in columns]
    tops: dict[str, float] = {}
    shapes: list[str] = []
    for number, column in enumerate(columns):
        y = (max(heights) - heights[number]) / 2
        for question in column:
            x, top, answers = number * step, y, []
            y += HEAD
            for answer in question.answers:
                slot, thick = _slot(votes, answer), SCALE * votes.of(answer.column)
                tops[answer.column] = y + (slot - thick) / 2
                answers.append(
                    _answer(votes, answer, (x, tops[answer.column], BAR, thick), x + BAR + 6, y + slot / 2 + 4)
                )
                y += slot
            shapes.append(_question(votes, question, (x, top, LAST, y - top), answers))
            y += BETWEEN
    lefts = {c: number * step for number, column in enumerate(columns) for q in column for c in q.columns}
    return WIDTH, max(heights), [*_bands(votes, lefts, tops), *shapes]


def _slot(votes: Votes, answer: Answer) -> float:
    return max(SCALE * votes.of(answer.column) + GAP, LINE)


def _height(votes: Votes, question: Question) -> float:
    return HEAD + sum(_slot(votes, answer) for answer in question.answers)


def _columns(votes: Votes) -> list[list[Question]]:
    """Questions by how deep they stand in the tree, each column in the order of the answers that lead there."""
    order = {column: place for place, column in enumerate(votes.tree.columns)}
    columns = [[question for question in votes.tree.questions if not votes.parents(question)]]
    while True:
        above = [c for question in columns[-1] for c in question.columns]
        place = {column: number for number, column in enumerate(above)}
        below = [q for q in votes.tree.questions if votes.parents(q) and votes.parents(q)[0] in place]
        if not below:
            return columns
        below.sort(key=lambda q: (np.mean([place[c] for c in votes.parents(q)]), order[q.columns[0]]))
        columns.append(below)


def _bands(votes: Votes, lefts: dict[str, float], tops: dict[str, float]) -> list[str]:
    """From each answer to those of the questions that follow it."""
    plain: list[str] = []
    walked: list[str] = []
    for question in votes.tree.questions:
        parents = votes.parents(question)
        asked, answered = votes.total(parents), votes.total(question.columns)
        if min(asked, answered) <= 0:
            continue
        arrived = dict.fromkeys(question.columns, 0.0)
        for parent in parents:
            left = 0.0
            for column in question.columns:
                share = votes.of(column) / answered
                start = tops[parent] + left, SCALE * votes.of(parent) * share
                end = tops[column] + arrived[column], SCALE * votes.of(column) * votes.of(parent) / asked
                left += start[1]
                arrived[column] += end[1]
                if max(start[1], end[1]) < THINNEST:
                    continue
                on_walk = votes.on_walk(parent) and votes.on_walk(column)
                band = _band(lefts[parent] + BAR, start, lefts[column], end)
                (walked if on_walk else plain).append(band)
    return _grouped(plain, walked)


def _band(x: float, start: tuple[float, float], end_x: float, end: tuple[float, float]) -> str:
    """A band between two edges, each given by its top and its height."""
    middle = (x + end_x) / 2
    (a, thick), (b, thick_end) = start, end
    return (
        f'<path d="M{_(x)} {_(a)}C{_(middle)} {_(a)} {_(middle)} {_(b)} {_(end_x)} {_(b)}'
        f'V{_(b + thick_end)}C{_(middle)} {_(b + thick_end)} {_(middle)} {_(a + thick)} {_(x)} {_(a + thick)}Z"/>'
    )


# -- upright -------------------------------------------------------------------------------------


def _upright(votes: Votes) -> tuple[float, float, list[str]]:
    questions, spans = _downwards(votes), _spans(votes)
    bottoms: dict[str, float] = {}
    reaches: dict[str, float] = {}
    shapes: list[str] = []
    y = 0.0
    for question in questions:
        top = y + HEAD
        reaches |= dict.fromkeys(votes.parents(question), top)
        answers, line, words = [], top + STRIP + LINE - 2, 0.0
        for answer in question.answers:
            x, width = spans[answer.column]
            bottoms[answer.column] = top + STRIP
            letter = WALK_LETTER if votes.on_walk(answer.column) else LETTER
            length = letter * len(_words(votes, answer)) + 2 * LETTER
            if words > 0 and words + length > UPRIGHT_WIDTH + 2 * LETTER:
                line, words = line + LINE, 0.0
            answers.append(_answer(votes, answer, (x, top, width, STRIP), words, line))
            words += length
        shapes.append(_question(votes, question, (0, y, UPRIGHT_WIDTH, line + GAP - y), answers))
        y = line + BETWEEN
    bands = {
        column: f'<rect x="{_(spans[column][0])}" y="{_(bottoms[column])}" width="{_(spans[column][1])}"'
        f' height="{_(reach - bottoms[column])}"/>'
        for column, reach in reaches.items()
        if spans[column][1] >= THINNEST
    }
    plain = [band for column, band in bands.items() if not votes.on_walk(column)]
    walked = [band for column, band in bands.items() if votes.on_walk(column)]
    return UPRIGHT_WIDTH, y - BETWEEN + GAP, _grouped(plain, walked) + shapes


def _spans(votes: Votes) -> dict[str, tuple[float, float]]:
    """Left side and width of each answer: side by side, from where the answers begin that lead to them."""
    lefts: dict[str, float] = {}
    for question in votes.tree.questions:
        left = min((lefts[parent] for parent in votes.parents(question)), default=0.0)
        for column in question.columns:
            lefts[column] = left
            left += votes.of(column)
    right = max(left + votes.of(column) for column, left in lefts.items())
    unit = UPRIGHT_WIDTH / max(1.0, right)  # above 1 where sums do not hold
    return {column: (unit * left, unit * votes.of(column)) for column, left in lefts.items()}


def _downwards(votes: Votes) -> list[Question]:
    """The questions in the order in which a walk comes to them, branch after branch."""

    def below(question: Question) -> Iterator[Question]:
        yield question
        for column in question.columns:
            for other in votes.tree.questions:
                parents = votes.parents(other)
                if parents and parents[-1] == column:
                    yield from below(other)

    return [q for root in votes.tree.questions if not votes.parents(root) for q in below(root)]


# -- bars ----------------------------------------------------------------------------------------


def _bars(votes: Votes, width: float) -> tuple[float, float, list[str]]:
    names = [answer.name for question in votes.tree.questions for answer in question.answers]
    left = min(0.5 * width, LETTER * (max(map(len, names), default=0) + 6) + 6)
    shapes, y = [], 0.0
    for question in votes.tree.questions:
        answers, top = [], y
        y += HEAD
        for answer in question.answers:
            long = (width - left) * votes.of(answer.column)
            answers.append(_answer(votes, answer, (left, y + 3, long, LINE), 0, y + LINE))
            y += LINE + 2 * GAP
        shapes.append(_question(votes, question, (0, top, width, y - top), answers))
        y += BETWEEN
    return width, max(y - BETWEEN, 1.0), shapes
