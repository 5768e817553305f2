"""What a configuration's data hold, and what is wrong with them, without training."""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from galaxycnn.config.schema import Config, DataPreprocessing
from galaxycnn.data.catalogue import Problem
from galaxycnn.data.dataset import Galaxies, draw_split, load_galaxies, simulate_if_absent
from galaxycnn.data.leaks import load_twins, most_similar
from galaxycnn.data.targets import Targets
from galaxycnn.errors import DataError
from galaxycnn.tree import Question

SHOWN = 3
"""How many galaxies are named in the text for each kind of problem."""


@dataclass(frozen=True)
class AnswerShare:
    """How often an answer occurs: galaxies of which it is the most likely one, and its mean vote fraction."""

    name: str
    galaxies: int
    mean_fraction: float


@dataclass(frozen=True)
class NumberRange:
    """What values a number has: of how many galaxies it is known, its least, its median and its largest value."""

    name: str
    known: int
    least: float
    median: float
    largest: float


Pair = tuple[str, str, float]
"""Two ids, and how alike or how far apart they are."""


@dataclass(frozen=True)
class DataCheck:
    """The result of :func:`check`; its text is a report of some lines.

    Args:
        readable: how many galaxies have labels and an image that can be used.
        selected: how many of them the configuration chooses.
        sizes: how many image files have a height and width in pixels, most frequent first.
        problems: what was left out, by kind.
        answers: the distribution of the chosen labels: the answers to each question.
        twins: pairs of ids whose images look the same, and their similarity.
        neighbours: pairs of ids at one place in the sky, and their separation in arcseconds.
        closest: the training and the test galaxy with the largest cosine similarity of their pixels, where these
            data can be split.
        numbers: the quantities and inputs that the configuration names.
    """

    readable: int
    selected: int
    sizes: dict[tuple[int, int], int]
    problems: dict[str, list[Problem]]
    answers: list[tuple[Question, list[AnswerShare]]]
    twins: list[Pair]
    neighbours: list[Pair]
    closest: Pair | None
    numbers: list[NumberRange]

    def __str__(self) -> str:
        lines = [f"{self.readable:,} galaxies can be used, {self.selected:,} of them are chosen"]
        lines += (f"  {count:,} images of {w}×{h} pixels" for (h, w), count in self.sizes.items())
        for kind, problems in self.problems.items():
            lines.append(f"left out as {kind}: {len(problems):,}")
            lines += (f"  {problem.name}: {problem.reason}" for problem in problems[:SHOWN])
            lines += ["  …"] * (len(problems) > SHOWN)
        lines += _listed("look the same", "(similarity {:.3f})", self.twins)
        lines += _listed("are at one place in the sky", '({:.2f}" apart)', self.neighbours)
        if self.closest is not None:
            one, other, alike = self.closest
            lines.append(f"closest of training and test part: {one} and {other} (cosine similarity {alike:.4f})")
        for question, shares in self.answers:
            lines.append(question.name if question.text == question.name else f"{question.name}: {question.text}")
            lines += (
                f"  {share.name}: most likely for {share.galaxies:,}, mean fraction {share.mean_fraction:.3f}"
                for share in shares
            )
        lines += (
            f"{known.name}: known of {known.known:,}, {known.least:.4g} to {known.largest:.4g}, median"
            f" {known.median:.4g}"
            for known in self.numbers
        )
        return "\n".join(lines)


def _listed(what: str, measure: str, pairs: list[Pair]) -> list[str]:
    lines = [f"{what}: {len(pairs):,} pairs"] if pairs else []
    lines += (f"  {one} and {other} {measure.format(value)}" for one, other, value in pairs[:SHOWN])
    return lines + ["  …"] * (len(pairs) > SHOWN)


def check(config: Config) -> DataCheck:
    """Read and decode what a configuration describes, and say what is there.

    Problems are reported, never fatal, whatever ``on_bad_images`` says.

    Raises:
        UserError: there is nothing to report on, because no galaxy can be used.
    """
    simulate_if_absent(config)
    preprocessing = config.data_preprocessing.model_copy(update={"on_bad_images": "skip"})
    galaxies = load_galaxies(preprocessing, config.paths)
    problems: dict[str, list[Problem]] = {}
    for problem in galaxies.problems:
        problems.setdefault(problem.kind, []).append(problem)
    ids, kept = galaxies.catalogue.ids, galaxies.cutouts.keep
    twins, near = load_twins(galaxies.cutouts), galaxies.neighbours
    sizes = Counter((int(h), int(w)) for h, w in galaxies.cutouts.sizes if h)
    return DataCheck(
        readable=len(kept),
        selected=len(galaxies.ids),
        sizes=dict(sizes.most_common()),
        problems=problems,
        answers=_answers(galaxies.targets),
        twins=_named(ids, kept, twins.left, twins.right, twins.similarity),
        neighbours=[] if near is None else _named(ids, kept, near.left, near.right, near.separation),
        closest=_closest(galaxies, preprocessing, config.seed),
        numbers=_ranges(galaxies.targets, preprocessing),
    )


def _answers(targets: Targets) -> list[tuple[Question, list[AnswerShare]]]:
    """How often each answer is given, of the galaxies whose answers are known."""
    tree, known = targets.tree, ~np.isnan(targets.fractions)
    chosen = np.where(known, tree.one_hot(targets.fractions), 0).sum(axis=0)
    means = np.where(known, targets.fractions, 0).sum(axis=0, dtype=np.float64) / np.maximum(known.sum(axis=0), 1)
    shares = [
        AnswerShare(tree.answer_name(column), int(count), float(mean))
        for column, count, mean in zip(tree.columns, chosen, means, strict=True)
    ]
    return [(question, shares[tree.slice(question)]) for question in tree.questions]


def _named(
    ids: NDArray[np.str_], kept: NDArray[np.intp], left: NDArray[np.intp], right: NDArray[np.intp], values: NDArray
) -> list[Pair]:
    """The pairs of which both galaxies can be used, by name."""
    both = np.isin(left, kept) & np.isin(right, kept)
    triples = zip(left[both], right[both], values[both].tolist(), strict=True)
    return [(str(ids[one]), str(ids[other]), value) for one, other, value in triples]


def _closest(galaxies: Galaxies, preprocessing: DataPreprocessing, seed: int) -> Pair | None:
    try:
        rows = draw_split(galaxies, preprocessing, seed).rows(galaxies.ids)
    except DataError:
        return None
    train, test = (galaxies.part(name, rows[name]) for name in ("train", "test"))
    if not len(train) or not len(test):
        return None
    one, other, alike = most_similar(train.images, train.rows, test.rows)
    return str(train.ids[one]), str(test.ids[other]), alike


def _ranges(targets: Targets, preprocessing: DataPreprocessing) -> list[NumberRange]:
    names = [*preprocessing.quantities, *preprocessing.inputs]
    columns = (column[~np.isnan(column)] for column in np.hstack([targets.quantities, targets.inputs]).T)
    return [
        NumberRange(name, len(known), *(float(np.quantile(known, share)) for share in (0, 0.5, 1)))
        for name, known in zip(names, columns, strict=True)
    ]
