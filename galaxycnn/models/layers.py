"""Layers of the project's networks, all registered with Keras so that saved models reload by themselves."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, Literal

import keras
from keras import ops

PACKAGE = "galaxycnn"


@keras.saving.register_keras_serializable(package=PACKAGE)
class Maxout(keras.layers.Layer):
    """Reduces neighbouring units in groups to one (Goodfellow et al. 2013, arXiv:1302.4389).

    Args:
        group_size: units per group, must divide the number of units.
        reduce: ``"max"``, or ``"mean"`` as Sobral Blanco (2023) describes it.

    Input shape (batch, …, units), output shape (batch, …, units / group_size).

    Example:
        >>> Maxout(2)(ops.convert_to_tensor([[1.0, 5.0, 2.0, 0.0]])).shape[-1]
        2
    """

    def __init__(self, group_size: int = 2, reduce: Literal["max", "mean"] = "max", **kwargs: Any) -> None:
        super().__init__(**kwargs)
        if group_size < 1:
            raise ValueError(f"Maxout: group_size must be at least 1, found {group_size}")
        if reduce not in ("max", "mean"):
            raise ValueError(f"Maxout: reduce must be 'max' or 'mean', found {reduce!r}")
        self.group_size = group_size
        self.reduce = reduce

    def build(self, input_shape: Sequence[int | None]) -> None:
        self.compute_output_shape(input_shape)
        super().build(input_shape)

    def compute_output_shape(self, input_shape: Sequence[int | None]) -> tuple[int | None, ...]:
        units = input_shape[-1]
        if units is None or units % self.group_size:
            raise ValueError(f"Maxout: {units} units cannot be split into groups of {self.group_size}")
        return (*input_shape[:-1], units // self.group_size)

    def call(self, inputs: Any) -> Any:
        shape = ops.shape(inputs)
        groups = ops.reshape(inputs, (*shape[:-1], inputs.shape[-1] // self.group_size, self.group_size))
        return ops.max(groups, axis=-1) if self.reduce == "max" else ops.mean(groups, axis=-1)

    def get_config(self) -> dict[str, Any]:
        return {**super().get_config(), "group_size": self.group_size, "reduce": self.reduce}


@keras.saving.register_keras_serializable(package=PACKAGE)
class AnswerGate(keras.layers.Layer):
    """Multiplies a question's answers by the fraction that was asked the question.

    Called on ``[answers, parent]`` with shapes (batch, answers) and (batch, parent answers). The
    fraction asked is the sum of the parent's answers in ``leading``, so where ``answers`` sum to 1
    the result sums to exactly that: the tree's constraint holds by construction.

    Args:
        leading: positions, among the parent's answers, of those that lead to this question.

    Example:
        >>> gate = AnswerGate([1])
        >>> ops.convert_to_numpy(gate([ops.ones((1, 2)) / 2, ops.convert_to_tensor([[0.2, 0.8]])])).tolist()
        [[0.4000000059604645, 0.4000000059604645]]
    """

    def __init__(self, leading: Sequence[int], **kwargs: Any) -> None:
        super().__init__(**kwargs)
        self.leading = list(leading)

    def compute_output_shape(self, input_shape: Sequence[Sequence[int | None]]) -> tuple[int | None, ...]:
        return tuple(input_shape[0])

    def call(self, inputs: Sequence[Any]) -> Any:
        answers, parent = inputs
        leading = ops.take(parent, ops.convert_to_tensor(self.leading, dtype="int32"), axis=-1)
        return answers * ops.sum(leading, axis=-1, keepdims=True)

    def get_config(self) -> dict[str, Any]:
        return {**super().get_config(), "leading": self.leading}
