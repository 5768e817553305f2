"""Heads: how a network's last numbers, one logit per answer, become vote fractions.

All are layers without weights that map logits of shape (batch, columns) to fractions of the same shape, in the order of
``tree.columns``, in float32. They carry the tree, so that a saved model reloads by itself.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Annotated, Any

import keras
from keras import ops
from pydantic import AfterValidator

from galaxycnn.config.fields import known
from galaxycnn.models.layers import PACKAGE
from galaxycnn.registry import HEADS
from galaxycnn.tree import DecisionTree, Question

_serializable = keras.saving.register_keras_serializable(package=PACKAGE)

HeadName = Annotated[str, AfterValidator(lambda name: known(name, HEADS))]
"""The name of a head, in the parameters of a family."""


def answered(x: keras.KerasTensor, tree: DecisionTree, head: HeadName, name: str) -> keras.KerasTensor:
    """Features (batch, features) to fractions (batch, columns): one logit per answer, then the head of that name."""
    layer: type[FractionHead] = HEADS[head]
    start = layer.bias_initializer
    logits = keras.layers.Dense(len(tree.columns), bias_initializer=start, dtype="float32", name="logits")(x)
    return layer(tree, name=name)(logits)


class FractionHead(keras.layers.Layer):
    """Base of all heads.

    Args:
        tree: the questions answered, or what :meth:`DecisionTree.to_dict` made of it.
    """

    bias_initializer = "zeros"
    """How the biases of the logits start, where a head would not learn from zeros."""

    def __init__(self, tree: DecisionTree | Mapping[str, Any], **kwargs: Any) -> None:
        super().__init__(**{"dtype": "float32", **kwargs})
        self.tree = tree if isinstance(tree, DecisionTree) else DecisionTree.from_dict(tree)

    def build(self, input_shape: Sequence[int | None]) -> None:
        if input_shape[-1] != len(self.tree.columns):
            raise ValueError(f"{len(self.tree.columns)} answers need as many logits, found {input_shape[-1]}")
        super().build(input_shape)

    def compute_output_shape(self, input_shape: Sequence[int | None]) -> tuple[int | None, ...]:
        return tuple(input_shape)

    def get_config(self) -> dict[str, Any]:
        return {**super().get_config(), "tree": self.tree.to_dict()}


@HEADS.register("sigmoid")
@_serializable
class SigmoidHead(FractionHead):
    """Every fraction on its own, between 0 and 1; nothing makes the tree's sums hold.

    Source: the networks of "Soft-Classification of Galaxy Morphologies", section 5.2.
    """

    def call(self, logits: Any) -> Any:
        return ops.sigmoid(logits)


class _PerQuestion(FractionHead):
    """A head that looks at one question at a time."""

    def call(self, logits: Any) -> Any:
        fractions: dict[str, Any] = {}
        for question in self.tree.questions:
            share = self._share(logits[:, self.tree.slice(question)])
            fractions[question.name] = share * self._asked(question, fractions)
        return ops.concatenate(list(fractions.values()), axis=-1)

    def _share(self, logits: Any) -> Any:
        """A question's answers among those who were asked it."""
        return ops.softmax(logits, axis=-1)

    def _asked(self, question: Question, fractions: Mapping[str, Any]) -> Any:
        """The fraction that was asked ``question``: the sum of its parents, already among ``fractions``."""
        gate = self.tree.gate(question)
        if gate is None:
            return 1.0
        parent, leading = gate
        return sum(fractions[parent.name][:, answer : answer + 1] for answer in leading)


@HEADS.register("per_question_softmax")
@_serializable
class PerQuestionSoftmaxHead(_PerQuestion):
    """A softmax within each question, as if everybody were asked all of them.

    Source: the poster "End-to-End Soft-Target Galaxy Image Classification", "37 probability scores grouped into 11
    softmaxed questions". Each question sums to 1, so vote fractions of questions that only some were
    asked are out of its reach: use ``tree``.
    """

    def _asked(self, question: Question, fractions: Mapping[str, Any]) -> Any:
        return 1.0


@HEADS.register("tree")
@_serializable
class TreeHead(_PerQuestion):
    """A softmax within each question, times the fraction that was asked it: all sums of the tree hold.

    Example:
        >>> from galaxycnn.tree import GALAXY_ZOO_2
        >>> head = TreeHead(GALAXY_ZOO_2.subset(["Class1", "Class7"]))
        >>> fractions = ops.convert_to_numpy(head(ops.zeros((1, 6))))
        >>> [round(float(fraction), 3) for fraction in fractions[0]]
        [0.333, 0.333, 0.333, 0.111, 0.111, 0.111]
    """


@HEADS.register("divisive")
@_serializable
class DivisiveHead(_PerQuestion):
    """Rectified answers divided by their sum within each question, multiplied down the tree: all sums hold.

    Source: the winner of the Galaxy Challenge (Dieleman, Willett and Dambre 2015, MNRAS 450, 1441, section 5.3).
    Where no answer to a question is above 0 they are all alike; biases start above 0 so that each can learn.
    """

    bias_initializer = keras.initializers.Constant(0.1)

    def _share(self, logits: Any) -> Any:
        rectified = ops.relu(logits) + keras.config.epsilon()
        return rectified / ops.sum(rectified, axis=-1, keepdims=True)
