"""Classes made of classes: merging galaxies against all others, both hands of spirals as one."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import numpy as np
from numpy.typing import NDArray

from galaxycnn.config.fields import REST
from galaxycnn.errors import ConfigError, nearest
from galaxycnn.tree import DecisionTree

KEY = "data_preprocessing.classes"


def regroup(
    tree: DecisionTree, fractions: NDArray[np.float32], classes: Mapping[str, Sequence[str]]
) -> tuple[DecisionTree, NDArray[np.float32], NDArray[np.bool_]]:
    """Put the answers to a question together into new ones.

    Fractions of answers that become one are added. Where some answers are left out, so are the galaxies of which one
    of these is the most likely, and the fractions of the others are divided by their sum.

    Args:
        tree: one question that every galaxy is asked.
        fractions: of its answers, shape (galaxies, answers); NaN for galaxies without labels, which stay as they are.
        classes: the old answers of each new one, in the order that the new ones shall have; ``"rest"`` stands for
            all that no other has.

    Returns:
        The tree of the new answers, their fractions (galaxies, new answers), and which galaxies are not left out.

    Raises:
        ConfigError: there is not one such question, or it has no such answer.

    Example:
        >>> tree = DecisionTree.from_classes({"class": ["disturbed", "merging", "round"]})
        >>> new, fractions, chosen = regroup(tree, np.eye(3, dtype="float32"), {"merger": ["merging"], "other": "rest"})
        >>> new.columns, fractions.tolist(), chosen.tolist()
        (('class.merger', 'class.other'), [[0.0, 1.0], [1.0, 0.0], [0.0, 1.0]], [True, True, True])
    """
    if len(tree.questions) != 1 or tree.questions[0].parents:
        asked = ", ".join(question.name for question in tree.questions) or "none"
        raise ConfigError(
            f"{KEY}: the new classes need one question that every galaxy is asked, but there is {asked}: name one in"
            " data_preprocessing.questions"
        )
    (question,) = tree.questions
    members = _members([answer.name for answer in question.answers], classes)
    sums = np.stack([fractions[:, columns].sum(axis=1) for columns in members.values()], axis=1)
    total = sums.sum(axis=1, keepdims=True)
    used = np.isin(np.arange(len(question)), [column for columns in members.values() for column in columns])
    chosen = np.isnan(fractions).any(axis=1) | used[np.nan_to_num(fractions).argmax(axis=1)]
    shares = np.divide(sums, total, out=np.zeros_like(sums), where=total != 0)
    return DecisionTree.from_classes({question.name: list(members)}, tree.name), shares, chosen


def _members(old: Sequence[str], classes: Mapping[str, Sequence[str]]) -> dict[str, list[int]]:
    """The positions of the old answers that become each new one."""
    named = {new: names for new, names in classes.items() if names != REST}
    for new, names in named.items():
        for name in names:
            if name not in old:
                raise ConfigError(f"{KEY}.{new}: the labels have no class {name!r}{nearest(name, old)}")
    taken = {name for names in named.values() for name in names}
    rest = [name for name in old if name not in taken]
    if REST in classes.values() and not rest:
        raise ConfigError(f"{KEY}: no class is left for the {REST!r}")
    return {new: [old.index(name) for name in named.get(new, rest)] for new in classes}
