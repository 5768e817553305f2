"""What is said of each image: the columns of the output and the rows of a batch."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Literal

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from galaxycnn.models.typical import LIMIT
from galaxycnn.predicting.networks import Networks, Prediction
from galaxycnn.predicting.preparing import Batch
from galaxycnn.quantities import Distribution, best_estimate
from galaxycnn.tree import DecisionTree, Floats
from galaxycnn.walks import walks_in_words

Names = Literal["kaggle", "readable"]
Kind = Literal["text", "float", "given"]
"""``given`` columns are carried through as text; whether they hold numbers is found out at the end."""

ID, FILE, WALK, ATYPICALITY, FLAGS, REASON = "id", "file", "walk", "atypicality", "flags", "reason"
SPREAD = "_spread"


def readable_names(tree: DecisionTree) -> list[str]:
    """A name in words for every column of ``tree``: its question's key and its answer.

    Example:
        >>> from galaxycnn.tree import GALAXY_ZOO_2
        >>> readable_names(GALAXY_ZOO_2)[:4], readable_names(GALAXY_ZOO_2)[-1]
        (['shape_smooth', 'shape_features_or_disk', 'shape_star_or_artifact', 'edge_on_edge_on'], 'arm_count_cant_tell')
    """
    names = []
    for question in tree.questions:
        for answer in question.answers:
            words = re.sub(r"\W+", "_", answer.name.replace("'", "").lower()).strip("_")
            key = re.sub(r"\W+", "_", question.key.lower()).strip("_")
            names.append(f"{key}_{words}")
    return names


@dataclass(frozen=True)
class Columns:
    """The columns of the output, in order.

    Attributes:
        tree: the questions.
        fractions: the names of their answers' columns.
        given: what is carried through, and what it is called in the output.
        quantities: by name, whether a spread is predicted with it.
        spread: whether the fractions have one.
        atypicality: whether it is known what is typical.
        inputs: the numbers that the networks are given.
        threshold: from which probability on the second of two classes is chosen; None: the more probable one.
    """

    tree: DecisionTree
    fractions: tuple[str, ...]
    given: Mapping[str, str]
    quantities: Mapping[str, bool]
    spread: bool
    atypicality: bool
    inputs: tuple[str, ...] = ()
    threshold: float | None = None

    @classmethod
    def of(cls, networks: Networks, given: Sequence[str], names: Names = "kaggle") -> Columns:
        """Those of what ``networks`` predict of images of which ``given`` is known."""
        fractions = networks.tree.columns if names == "kaggle" else tuple(readable_names(networks.tree))
        blank = cls(
            networks.tree,
            fractions,
            {},
            networks.quantities,
            networks.has_spread,
            networks.knows_typical,
            networks.inputs,
            networks.ensemble.threshold,
        )
        ours = set(blank.kinds)
        called = {name: f"given_{name}" if name in ours else name for name in given}
        return cls(**{**vars(blank), "given": called})

    @property
    def kinds(self) -> dict[str, Kind]:
        """Every column and what it holds."""
        kinds: dict[str, Kind] = {ID: "text", FILE: "text", **dict.fromkeys(self.given.values(), "given")}
        if self.tree.questions:
            kinds[WALK] = "text"
        numbers = [*self.fractions, *([name + SPREAD for name in self.fractions] if self.spread else [])]
        for name, has_spread in self.quantities.items():
            numbers += [name, *([name + SPREAD] if has_spread else [])]
        if self.atypicality:
            numbers.append(ATYPICALITY)
        return {**kinds, **dict.fromkeys(numbers, "float"), FLAGS: "text", REASON: "text"}

    def rows(self, batch: Batch, prediction: Prediction, unknown: NDArray[np.bool_]) -> pd.DataFrame:
        """One row for each image of a batch.

        Args:
            prediction: of all images of the batch; what it says of unreadable ones is left out.
            unknown: the images of which an input is not known, shape (images,); they have no prediction either.
        """
        seen, told = prediction.seen, batch.readable & ~unknown
        table: dict[str, Any] = {ID: [item.id for item in batch.items], FILE: [item.file for item in batch.items]}
        for name, called in self.given.items():
            table[called] = [str(item.given.get(name, "")) for item in batch.items]
        if self.tree.questions:
            walks = walks_in_words(self.tree, self.chosen(seen.mean))
            table[WALK] = [walk if known else "" for walk, known in zip(walks, told, strict=True)]
        numbers = dict(zip(self.fractions, seen.mean.clip(0, 1).T, strict=True))
        if self.spread:
            numbers |= {name + SPREAD: each for name, each in zip(self.fractions, seen.spread.T, strict=True)}
        for name, has_spread in self.quantities.items():
            numbers[name] = best_estimate(seen.quantities[name])
            if has_spread:
                quantity = seen.quantities[name]
                assert isinstance(quantity, Distribution)
                numbers[name + SPREAD] = quantity.spread
        flags, reasons = [list(found) for found in batch.flags], list(batch.reasons)
        if prediction.atypicality is not None:
            numbers[ATYPICALITY] = prediction.atypicality
            for found, share, known in zip(flags, prediction.atypicality, told, strict=True):
                found += ["atypical"] if known and share >= LIMIT else []
        for row in np.flatnonzero(unknown & batch.readable):
            reasons[row] = f"the network needs {' and '.join(self.inputs)}, which is not known of it"
        table |= {name: np.where(told, each, np.nan).astype(np.float32) for name, each in numbers.items()}
        return pd.DataFrame({**table, FLAGS: [" ".join(found) for found in flags], REASON: reasons})[list(self.kinds)]

    def chosen(self, fractions: Floats) -> Floats:
        """Fractions whose largest is the chosen class, where a threshold decides between two."""
        if self.threshold is None or fractions.shape[1] != 2:
            return fractions
        second = (fractions[:, 1] >= self.threshold).astype(float)
        return np.stack([1 - second, second], axis=1)
