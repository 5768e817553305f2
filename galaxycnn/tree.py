"""The decision tree of a galaxy survey: its questions, answers, columns, parents and sums.

Everything that needs to know which column belongs to which question (targets, gates, losses,
metrics, plots, the simulator's volunteers) asks a :class:`DecisionTree`; no other module knows a
column number.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import asdict, dataclass, field
from functools import cached_property
from typing import Any

import numpy as np
from numpy.typing import NDArray

from galaxycnn.errors import UserError, nearest

Floats = NDArray[np.floating]


@dataclass(frozen=True)
class Answer:
    """One answer to a question: its label column and its name in words."""

    column: str
    name: str


@dataclass(frozen=True)
class Question:
    """One question of the tree.

    ``parents`` are the columns of the answers that lead here. The fractions of this question's
    answers sum to the sum of the parents' fractions, or to 1 where there are no parents.
    """

    name: str
    key: str
    text: str
    answers: tuple[Answer, ...]
    parents: tuple[str, ...] = ()

    @property
    def columns(self) -> tuple[str, ...]:
        return tuple(answer.column for answer in self.answers)

    def __len__(self) -> int:
        return len(self.answers)


@dataclass(frozen=True)
class DecisionTree:
    """An ordered set of questions, parents before children.

    Args:
        name: what the tree is called in messages and saved files.
        questions: the questions, each after the questions it depends on.

    Example:
        >>> tree = GALAXY_ZOO_2.subset(["Class1", "Class2", "Class7"])
        >>> tree.columns
        ('Class1.1', 'Class1.2', 'Class1.3', 'Class2.1', 'Class2.2', 'Class7.1', 'Class7.2', 'Class7.3')
        >>> tree.question("roundness").parents
        ('Class1.1',)
    """

    name: str
    questions: tuple[Question, ...]
    _by_name: Mapping[str, Question] = field(init=False, repr=False, compare=False)

    def __post_init__(self) -> None:
        by_name = {q.name: q for q in self.questions} | {q.key: q for q in self.questions}
        object.__setattr__(self, "_by_name", by_name)

    # -- looking things up -------------------------------------------------------------------

    @cached_property
    def columns(self) -> tuple[str, ...]:
        """All label columns, in order."""
        return tuple(column for question in self.questions for column in question.columns)

    @cached_property
    def _index(self) -> dict[str, int]:
        return {column: i for i, column in enumerate(self.columns)}

    def question(self, name: str) -> Question:
        """The question called ``name`` (``"Class7"``) or with that key (``"roundness"``)."""
        if name not in self._by_name:
            raise UserError(f"the tree {self.name!r} has no question {name!r}{nearest(name, self._by_name)}")
        return self._by_name[name]

    def slice(self, question: Question | str) -> slice:
        """Where a question's answers stand among :attr:`columns`."""
        if isinstance(question, str):
            question = self.question(question)
        start = self._index[question.columns[0]]
        return slice(start, start + len(question))

    def indices(self, columns: Iterable[str]) -> list[int]:
        """The positions of ``columns`` among :attr:`columns`."""
        return [self._index[column] for column in columns]

    def answer_name(self, column: str) -> str:
        """A column's answer in words: ``"Class1.1"`` is ``"smooth"``."""
        return self._answers[column].name

    @cached_property
    def _answers(self) -> dict[str, Answer]:
        return {a.column: a for q in self.questions for a in q.answers}

    def parent_question(self, question: Question) -> Question | None:
        """The question whose answers lead to ``question``, where it is part of this tree."""
        for candidate in self.questions:
            if question.parents and set(question.parents) <= set(candidate.columns):
                return candidate
        return None

    def gate(self, question: Question) -> tuple[Question, list[int]] | None:
        """The parent question and the positions of the answers in it that lead to ``question``."""
        parent = self.parent_question(question)
        if parent is None:
            return None
        return parent, [parent.columns.index(column) for column in question.parents]

    # -- trees from trees --------------------------------------------------------------------

    def subset(self, names: Sequence[str]) -> DecisionTree:
        """The tree of the named questions only, in this tree's order."""
        wanted = {self.question(name).name for name in names}
        return DecisionTree(self.name, tuple(q for q in self.questions if q.name in wanted))

    @classmethod
    def from_classes(cls, classes: Mapping[str, Sequence[str]], name: str = "classes") -> DecisionTree:
        """A tree of independent questions, one per entry: ``{"label": ["spiral", "elliptical"]}``."""
        questions = tuple(
            Question(title, title, title, tuple(Answer(f"{title}.{value}", str(value)) for value in values))
            for title, values in classes.items()
        )
        return cls(name, questions)

    def to_dict(self) -> dict[str, Any]:
        """The tree as plain values, as saved with a model."""
        return {"name": self.name, "questions": [asdict(question) for question in self.questions]}

    @classmethod
    def from_dict(cls, values: Mapping[str, Any]) -> DecisionTree:
        """The tree that :meth:`to_dict` described."""
        questions = tuple(
            Question(
                q["name"], q["key"], q["text"], tuple(Answer(**answer) for answer in q["answers"]), tuple(q["parents"])
            )
            for q in values["questions"]
        )
        return cls(values["name"], questions)

    # -- arithmetic on vote fractions --------------------------------------------------------

    def totals(self, fractions: Floats) -> Floats:
        """What each question's answers must sum to, given the parents' fractions.

        Args:
            fractions: shape (galaxies, columns), in the order of :attr:`columns`.

        Returns:
            Shape (galaxies, questions): 1 for questions without parents, NaN for questions whose
            parents are not part of this tree.
        """
        return np.stack([self._total(fractions, q) for q in self.questions], axis=1)

    def _total(self, fractions: Floats, question: Question) -> Floats:
        if not question.parents:
            return np.ones(len(fractions), dtype=fractions.dtype)
        if not set(question.parents) <= set(self._index):
            return np.full(len(fractions), np.nan, dtype=fractions.dtype)
        return fractions[:, self.indices(question.parents)].sum(axis=1)

    def deviations(self, fractions: Floats) -> Floats:
        """Sum of the answers minus what it must be, per galaxy and question (NaN: not determined)."""
        sums = np.stack([fractions[:, self.slice(q)].sum(axis=1) for q in self.questions], axis=1)
        return sums - self.totals(fractions)

    def reached(self, fractions: Floats) -> NDArray[np.bool_]:
        """Whether the most likely walk down the tree comes to each question: (galaxies, questions).

        A question without parents in this tree is always reached; any other is reached where its
        parent question is, and the parent's largest fraction is one of the answers leading to it.
        """
        reached = np.ones((len(fractions), len(self.questions)), dtype=bool)
        position = {q.name: i for i, q in enumerate(self.questions)}
        for i, question in enumerate(self.questions):
            gate = self.gate(question)
            if gate is not None:
                parent, answers = gate
                chosen = fractions[:, self.slice(parent)].argmax(axis=1)
                reached[:, i] = reached[:, position[parent.name]] & np.isin(chosen, answers)
        return reached

    def one_hot(self, fractions: Floats) -> Floats:
        """1 for the most likely answer of every question on the most likely walk, 0 elsewhere."""
        hot = np.zeros_like(fractions)
        rows = np.arange(len(fractions))
        for question, reached in zip(self.questions, self.reached(fractions).T, strict=True):
            where = self.slice(question)
            hot[rows, where.start + fractions[:, where].argmax(axis=1)] = reached
        return hot

    def conditional(self, fractions: Floats) -> Floats:
        """Fractions among those who were asked: each question divided by its total (NaN where it is 0)."""
        totals = self.totals(fractions)
        asked = np.repeat(totals, [len(q) for q in self.questions], axis=1)
        return np.divide(fractions, asked, out=np.full_like(fractions, np.nan), where=asked > 0)

    def fractions(self, shares: Floats) -> Floats:
        """Shares among those who were asked, multiplied down the tree: what :meth:`conditional` undoes.

        Args:
            shares: shape (galaxies, columns); NaN counts as 0.

        Returns:
            Of the same shape; NaN for questions whose parents are not part of this tree.
        """
        fractions = np.nan_to_num(shares)
        for question in self.questions:
            fractions[:, self.slice(question)] *= self._total(fractions, question)[:, None]
        return fractions


def _question(number: int, key: str, text: str, answers: Sequence[str], parents: Sequence[str] = ()) -> Question:
    name = f"Class{number}"
    named = tuple(Answer(f"{name}.{i}", answer) for i, answer in enumerate(answers, start=1))
    return Question(name, key, text, named, tuple(f"Class{parent}" for parent in parents))


GALAXY_ZOO_2 = DecisionTree(
    "Galaxy Zoo 2",
    (
        _question(1, "shape", "Smooth, features or disk, or star?", ["smooth", "features or disk", "star or artifact"]),
        _question(2, "edge_on", "Could this be a disk viewed edge-on?", ["edge-on", "not edge-on"], ["1.2"]),
        _question(3, "bar", "Is there a sign of a bar?", ["bar", "no bar"], ["2.2"]),
        _question(4, "spiral", "Is there a spiral pattern?", ["spiral", "no spiral"], ["2.2"]),
        _question(
            5,
            "bulge",
            "How prominent is the central bulge?",
            ["no bulge", "just noticeable", "obvious", "dominant"],
            ["4.1", "4.2"],
        ),
        _question(6, "odd", "Is there anything odd?", ["odd", "not odd"]),
        _question(7, "roundness", "How rounded is it?", ["round", "in between", "cigar-shaped"], ["1.1"]),
        _question(
            8,
            "odd_feature",
            "What is the odd feature?",
            ["ring", "lens or arc", "disturbed", "irregular", "other", "merger", "dust lane"],
            ["6.1"],
        ),
        _question(9, "edge_on_bulge", "What shape is the edge-on bulge?", ["rounded", "boxy", "no bulge"], ["2.1"]),
        _question(
            10, "arm_winding", "How tightly wound are the arms?", ["tight arms", "medium arms", "loose arms"], ["4.1"]
        ),
        _question(
            11,
            "arm_count",
            "How many arms?",
            ["1 arm", "2 arms", "3 arms", "4 arms", "more than 4 arms", "can't tell"],
            ["4.1"],
        ),
    ),
)
"""The 37 answers to 11 questions of Galaxy Zoo 2 (Willett et al. 2013, MNRAS 435, 2835), with the
column names of the Kaggle Galaxy Challenge. The parents follow the sums that hold in its labels."""
