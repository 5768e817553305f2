"""What a configuration's data hold, and what is wrong with them, without training."""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass

import numpy as np

from galaxycnn.config.schema import Config
from galaxycnn.data.catalogue import Problem
from galaxycnn.data.dataset import load_galaxies, simulate_if_absent
from galaxycnn.data.leaks import load_twins
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
class DataCheck:
    """The result of :func:`check`; its text is a report of some lines.

    Args:
        readable: how many galaxies have labels and an image that can be used.
        selected: how many of them the configuration chooses.
        sizes: how many image files have a height and width in pixels, most frequent first.
        problems: what was left out, by kind.
        answers: the distribution of the chosen labels: the answers to each question.
        twins: pairs of ids whose images look the same, and their similarity.
    """

    readable: int
    selected: int
    sizes: dict[tuple[int, int], int]
    problems: dict[str, list[Problem]]
    answers: list[tuple[Question, list[AnswerShare]]]
    twins: list[tuple[str, str, float]]

    def __str__(self) -> str:
        lines = [f"{self.readable:,} galaxies can be used, {self.selected:,} of them are chosen"]
        lines += (f"  {count:,} images of {w}×{h} pixels" for (h, w), count in self.sizes.items())
        for kind, problems in self.problems.items():
            lines.append(f"left out as {kind}: {len(problems):,}")
            lines += (f"  {problem.name}: {problem.reason}" for problem in problems[:SHOWN])
            lines += ["  …"] * (len(problems) > SHOWN)
        if self.twins:
            lines.append(f"look the same: {len(self.twins):,} pairs")
            lines += (f"  {one} and {other} (similarity {alike:.3f})" for one, other, alike in self.twins[:SHOWN])
            lines += ["  …"] * (len(self.twins) > SHOWN)
        for question, shares in self.answers:
            lines.append(question.name if question.text == question.name else f"{question.name}: {question.text}")
            lines += (
                f"  {share.name}: most likely for {share.galaxies:,}, mean fraction {share.mean_fraction:.3f}"
                for share in shares
            )
        return "\n".join(lines)


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
    tree, fractions = galaxies.targets.tree, galaxies.targets.fractions
    shares = [
        AnswerShare(tree.answer_name(column), int(chosen), float(mean))
        for column, chosen, mean in zip(
            tree.columns, tree.one_hot(fractions).sum(axis=0), fractions.mean(axis=0, dtype=np.float64), strict=True
        )
    ]
    ids, kept = galaxies.catalogue.ids, set(galaxies.cutouts.keep.tolist())
    twins = load_twins(galaxies.cutouts)
    pairs = zip(twins.left.tolist(), twins.right.tolist(), twins.similarity.tolist(), strict=True)
    sizes = Counter((int(h), int(w)) for h, w in galaxies.cutouts.sizes if h)
    return DataCheck(
        readable=len(kept),
        selected=len(galaxies.ids),
        sizes=dict(sizes.most_common()),
        problems=problems,
        answers=[(question, shares[tree.slice(question)]) for question in tree.questions],
        twins=[(str(ids[a]), str(ids[b]), alike) for a, b, alike in pairs if {a, b} <= kept],
    )
