"""Layers of the project's networks, all registered with Keras so that saved models reload by themselves."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, Literal

import keras
import numpy as np
from keras import ops

from galaxycnn.models.interpolation import Bilinear

PACKAGE = "galaxycnn"

BATCH_NORM_MOMENTUM = 0.9
"""How much of its running statistics batch normalisation keeps at each step. With Keras' 0.99 they lag behind for
hundreds of steps, which is many epochs of a few thousand galaxies: on 1,600 real ones, after 500 steps, the validation
RMSE of a small network was 0.171 with 0.99 and 0.151 with 0.9 (one seed)."""


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


@keras.saving.register_keras_serializable(package=PACKAGE)
class Positions(keras.layers.Layer):
    """Adds a learnt vector to each token, so that attention can tell where a patch lies.

    Input shape (batch, tokens, width); output shape the same, or one token more where there is a class token, the last.

    Args:
        class_token: whether a learnt token is appended (Dosovitskiy et al. 2020, arXiv:2010.11929, equation 1; they put
            it first, which makes no difference to attention).

    Example:
        >>> Positions(class_token=True)(ops.zeros((2, 64, 8))).shape[1]
        65
    """

    def __init__(self, class_token: bool = False, **kwargs: Any) -> None:
        super().__init__(**kwargs)
        self.class_token = class_token

    def build(self, input_shape: Sequence[int | None]) -> None:
        _, tokens, width = self.compute_output_shape(input_shape)
        self.positions = self.add_weight(shape=(tokens, width), initializer="uniform", name="positions")
        if self.class_token:
            self.token = self.add_weight(shape=(1, width), initializer="uniform", name="class_token")
        super().build(input_shape)

    def compute_output_shape(self, input_shape: Sequence[int | None]) -> tuple[int | None, ...]:
        batch, tokens, width = input_shape
        if tokens is None:
            raise ValueError("Positions: the number of tokens must be known")
        return batch, tokens + self.class_token, width

    def call(self, inputs: Any) -> Any:
        if self.class_token:
            token = ops.broadcast_to(self.token, (ops.shape(inputs)[0], *self.token.shape))
            inputs = ops.concatenate([inputs, ops.cast(token, inputs.dtype)], axis=1)
        return inputs + self.positions

    def get_config(self) -> dict[str, Any]:
        return {**super().get_config(), "class_token": self.class_token}


@keras.saving.register_keras_serializable(package=PACKAGE)
class AlignedParts(keras.layers.Layer):
    """Cuts square cutouts into sixteen overlapping parts that show a galaxy from as many sides, all the same way round.

    The views of a cutout are itself, its mirror image, and both turned by 45°. Each view has four corners; they are
    turned by multiples of 90° until each has the galaxy's centre at its lower right. A cutout turned by 90° or mirrored
    therefore has the same parts in another order. Turning by 45° interpolates bilinearly; beyond the edge the cutout is
    mirrored. Source: Dieleman, Willett and Dambre 2015, MNRAS 450, 1441, section 5.1.

    Input shape (batch, side, side, channels), output shape (16 × batch, part_size, part_size, channels): the parts of a
    cutout follow each other, view by view. :class:`JoinParts` undoes this.

    Args:
        part_size: side of a part in pixels.

    Example:
        >>> parts = AlignedParts(45)(ops.zeros((2, 69, 69, 3)))
        >>> tuple(parts.shape)
        (32, 45, 45, 3)
    """

    COUNT = 16

    def __init__(self, part_size: int, **kwargs: Any) -> None:
        super().__init__(**kwargs)
        self.part_size = part_size

    def build(self, input_shape: Sequence[int | None]) -> None:
        _, height, width, _ = input_shape
        if height is None or height != width or self.part_size > height:
            raise ValueError(f"AlignedParts: cannot cut parts of {self.part_size} pixels out of {height}×{width}")
        self._places = _turned_by_45(height)
        super().build(input_shape)

    def compute_output_shape(self, input_shape: Sequence[int | None]) -> tuple[int | None, ...]:
        batch = None if input_shape[0] is None else input_shape[0] * self.COUNT
        return batch, self.part_size, self.part_size, input_shape[-1]

    def call(self, inputs: Any) -> Any:
        views = [view for turned in (inputs, self._turned(inputs)) for view in (turned, ops.flip(turned, axis=2))]
        sides = [ops.rot90(view, quarter, axes=(1, 2)) for view in views for quarter in range(4)]
        parts = ops.stack([side[:, : self.part_size, : self.part_size] for side in sides], axis=1)
        return ops.reshape(parts, (-1, self.part_size, self.part_size, inputs.shape[-1]))

    def _turned(self, inputs: Any) -> Any:
        """The cutouts turned by 45°, counterclockwise as by ``rot90``."""
        return ops.reshape(self._places.read(inputs), (-1, *inputs.shape[1:]))

    def get_config(self) -> dict[str, Any]:
        return {**super().get_config(), "part_size": self.part_size}


def _turned_by_45(side: int) -> Bilinear:
    """Where each pixel of a square turned by 45° comes from."""
    rows, columns = np.indices((side, side)).reshape(2, -1) - (side - 1) / 2
    sources = np.stack([rows + columns, columns - rows]) / np.sqrt(2) + (side - 1) / 2
    sources = (side - 1) - np.abs(np.mod(sources, 2 * (side - 1)) - (side - 1))
    return Bilinear.at(sources[0], sources[1], side, side)


@keras.saving.register_keras_serializable(package=PACKAGE)
class JoinParts(keras.layers.Layer):
    """Puts what was found in the parts of each galaxy side by side.

    Input shape (count × batch, features), output shape (batch, count × features).

    Args:
        count: parts of a galaxy, which follow each other.

    Example:
        >>> JoinParts(2)(ops.convert_to_tensor([[1.0], [2.0], [3.0], [4.0]])).shape[1]
        2
    """

    def __init__(self, count: int, **kwargs: Any) -> None:
        super().__init__(**kwargs)
        self.count = count

    def compute_output_shape(self, input_shape: Sequence[int | None]) -> tuple[int | None, ...]:
        batch, features = input_shape
        if features is None:
            raise ValueError("JoinParts: the number of features must be known")
        return None if batch is None else batch // self.count, self.count * features

    def call(self, inputs: Any) -> Any:
        return ops.reshape(inputs, (-1, self.count * inputs.shape[-1]))

    def get_config(self) -> dict[str, Any]:
        return {**super().get_config(), "count": self.count}


@keras.saving.register_keras_serializable(package=PACKAGE)
class StopGradient(keras.layers.Layer):
    """Passes features on, and keeps the gradient of what comes after it from what came before."""

    def call(self, x: Any) -> Any:
        return ops.stop_gradient(x)

    def compute_output_shape(self, input_shape: Sequence[int | None]) -> tuple[int | None, ...]:
        return tuple(input_shape)
