"""Walks down the decision tree in words."""

from __future__ import annotations

import numpy as np
from numpy.typing import ArrayLike

from galaxycnn.evaluation import chosen_answers
from galaxycnn.tree import DecisionTree


def walks_in_words(tree: DecisionTree, fractions: ArrayLike) -> list[str]:
    """The most likely walk down the tree of each galaxy: the answers to the questions it comes to.

    Example:
        >>> from galaxycnn.tree import GALAXY_ZOO_2
        >>> tree = GALAXY_ZOO_2.subset(["Class1", "Class7"])
        >>> walks_in_words(tree, [[0.9, 0.1, 0.0, 0.5, 0.3, 0.1], [0.2, 0.8, 0.0, 0.1, 0.1, 0.0]])
        ['smooth, round', 'features or disk']
    """
    fractions = np.asarray(fractions)
    answers, reached = chosen_answers(tree, fractions), tree.reached(fractions)
    return [
        ", ".join(
            question.answers[answer].name
            for question, answer, asked in zip(tree.questions, answers[i], reached[i], strict=True)
            if asked
        )
        for i in range(len(fractions))
    ]
