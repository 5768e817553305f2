"""Between galaxies as arrays (cutouts, inputs, fractions, quantities) and what a network really takes and gives.

A network takes cutouts, or a dict of ``cutout`` and ``inputs``. It gives vote fractions as one flat output or as one
per question; where it predicts quantities too, it gives a dict by name of all of these.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, NamedTuple

import keras
import numpy as np
from numpy.typing import NDArray

from galaxycnn.data.generator import CUTOUT, INPUTS
from galaxycnn.models.quantity_heads import QuantityHead
from galaxycnn.tree import DecisionTree, Floats

Array = NDArray[Any]
Arrays = Array | dict[str, Array]

FRACTIONS = "fractions"
"""What the flat output of several questions is called; that of a single one has the question's name."""


def flat_name(tree: DecisionTree) -> str:
    """What a flat output of all questions is called."""
    return tree.questions[0].name if len(tree.questions) == 1 else FRACTIONS


def fed(model: keras.Model, cutouts: Array, inputs: Array) -> Any:
    """Cutouts (galaxies, height, width, channels) and inputs (galaxies, numbers) as ``model`` takes them."""
    return cutouts if len(model.inputs) == 1 else {CUTOUT: cutouts, INPUTS: inputs}


class Read(NamedTuple):
    """What a network said: fractions (galaxies, columns), and what each quantity's head put out."""

    fractions: Floats
    quantities: dict[str, Floats]


@dataclass(frozen=True)
class Outputs:
    """What the outputs of a network are.

    Attributes:
        tree: the questions.
        heads: the head of each quantity, by its name.
        per_question: whether there is one output per question, rather than one flat output.
    """

    tree: DecisionTree
    heads: Mapping[str, QuantityHead]
    per_question: bool

    @classmethod
    def of(cls, model: keras.Model, tree: DecisionTree) -> Outputs:
        """The outputs of ``model``, which answers the questions of ``tree``."""
        layers = {layer.name: layer for layer in model.layers}
        heads = {name: layers[name] for name in model.output_names if isinstance(layers.get(name), QuantityHead)}
        return cls(tree, heads, len(model.outputs) - len(heads) > 1)

    @property
    def named(self) -> bool:
        """Whether targets, losses and metrics come in a dict by the outputs' names, rather than bare."""
        return self.per_question or bool(self.heads)

    @property
    def questions(self) -> dict[str, DecisionTree]:
        """The questions that each output of fractions answers, by the output's name."""
        if self.per_question:
            return {question.name: self.tree.subset([question.name]) for question in self.tree.questions}
        return {flat_name(self.tree): self.tree} if self.tree.questions else {}

    @property
    def names(self) -> tuple[str, ...]:
        return (*self.questions, *self.heads)

    def targets(self, fractions: Floats, quantities: Mapping[str, Floats]) -> Arrays:
        """What the network is fitted to; 0 where something is not known.

        Args:
            fractions: shape (galaxies, columns), NaN where unknown.
            quantities: by name, each of shape (galaxies,), NaN where unknown.
        """
        return self._bare({name: np.nan_to_num(each) for name, each in self._split(fractions, quantities).items()})

    def weights(self, fractions: Floats, quantities: Mapping[str, Floats]) -> Arrays | None:
        """1 for each galaxy of which an output's target is known and 0 for others; None where all are known."""
        split = self._split(fractions, quantities).items()
        known: dict[str, Array] = {name: np.asarray(np.isfinite(each).all(axis=1)) for name, each in split}
        if all(each.all() for each in known.values()):
            return None
        return self._bare({name: each.astype(np.float32) for name, each in known.items()})

    def read(self, predictions: Any) -> Read:
        """Sort what ``model.predict`` returned."""
        by_name = self._by_name(predictions)
        fractions = [by_name[name] for name in self.questions]
        galaxies = len(next(iter(by_name.values())))
        joined = np.concatenate(fractions, axis=1) if fractions else np.zeros((galaxies, 0), np.float32)
        return Read(joined, {name: by_name[name] for name in self.heads})

    def _by_name(self, predictions: Any) -> dict[str, Array]:
        if isinstance(predictions, Mapping):
            return {name: np.asarray(each) for name, each in predictions.items()}
        listed = predictions if isinstance(predictions, list | tuple) else [predictions]
        return {name: np.asarray(each) for name, each in zip(self.names, listed, strict=True)}

    def _split(self, fractions: Floats, quantities: Mapping[str, Floats]) -> dict[str, Array]:
        arrays: dict[str, Array] = {name: quantities[name][:, None] for name in self.heads}
        questions = self.questions.items()
        return {name: np.asarray(fractions)[:, self.tree.indices(part.columns)] for name, part in questions} | arrays

    def _bare(self, arrays: dict[str, Array]) -> Arrays:
        return arrays if self.named else next(iter(arrays.values()))
