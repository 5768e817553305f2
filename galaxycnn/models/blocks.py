"""The convolutional and dense blocks of Sobral Blanco (2023).

Daniel Sobral Blanco, "Galaxy Classification using Convolutional Neural Networks", University of
Geneva, 7 June 2023, describes the families *base*, *hierarchy*, *branch* and *sequential*.
"""

from __future__ import annotations

from typing import Annotated, Any, Literal

import keras
from keras import layers
from pydantic import Field, field_validator

from galaxycnn.config.fields import DropRate, PositiveInt, Size, Switch, Units
from galaxycnn.config.schema import ModelParams
from galaxycnn.errors import nearest
from galaxycnn.models.family import ModelFamily
from galaxycnn.models.layers import BATCH_NORM_MOMENTUM, AnswerGate, Maxout
from galaxycnn.tree import Question

ACTIVATIONS = ("relu", "elu", "selu", "gelu", "silu", "leaky_relu", "tanh", "sigmoid", "softplus", "mish", "linear")
OUT_ACTIVATIONS = ("softmax", "sigmoid", "linear", "relu", "softplus")


ConvBlock = Annotated[tuple[PositiveInt, Size], Field(strict=False)]


class ConvParams(ModelParams):
    """Convolutional blocks, then dense blocks, then the answers.

    ``conv_layers`` are ``[filters, [height, width]]`` per block; ``dense_units`` the units of each
    dense block after Maxout; ``max_out`` the group size (``true`` is 2): a dense block then has
    ``units × group size`` units before Maxout reduces them by ``max_out_reduce``.
    """

    conv_layers: Annotated[list[ConvBlock], Field(min_length=1)] = [(32, [3, 3]), (64, [3, 3]), (128, [3, 3])]
    """`[filters, [height, width]]` of each convolutional block."""
    dense_units: Units = [256, 128]
    """Units of each dense block, after Maxout."""
    batch_normalization: Switch = False
    """Batch normalisation between each convolution and its activation."""
    activation: str = "relu"
    """Activation of the convolutional and dense blocks."""
    pool_size: Size = [2, 2]
    """Height and width of the max pooling after each block."""
    flattening: Literal["Flatten", "GlobalMaxPooling2D"] = "Flatten"
    """How features become a vector; the global maximum takes the place of the last pooling."""
    out_activation: str = "sigmoid"
    """Activation of the answers; with `softmax` the sums of the tree hold by construction."""
    dropout_rate: DropRate | None = None
    """Share of units dropped after each dense block."""
    max_out: bool | int | None = False
    """Units in a Maxout group, 2 or more; `true` is 2, `false` is no Maxout."""
    max_out_reduce: Literal["max", "mean"] = "max"
    """Whether a Maxout group gives its largest value or its mean."""

    @field_validator("max_out")
    @classmethod
    def _a_group(cls, group: bool | int | None) -> bool | int | None:
        if group is not None and not isinstance(group, bool) and group < 2:
            raise ValueError(f"a Maxout group has 2 units or more, found {group}; false switches Maxout off")
        return group

    @field_validator("activation")
    @classmethod
    def _known_activation(cls, name: str) -> str:
        return _one_of(name, ACTIVATIONS)

    @field_validator("out_activation")
    @classmethod
    def _known_out_activation(cls, name: str) -> str:
        return _one_of(name, OUT_ACTIVATIONS)

    @property
    def maxout_group(self) -> int:
        """Units per Maxout group; 1 means no Maxout."""
        return 2 if self.max_out is True else int(self.max_out or 1)


class ConvFamily(ModelFamily):
    """Blocks by name: every layer of a part is called ``<part>_<layer>``."""

    Params = ConvParams
    params: ConvParams

    def check(self) -> None:
        super().check()
        size = list(self.input_shape[:2])
        for number, (_, kernel) in enumerate(self.params.conv_layers, start=1):
            size = [pixels - width + 1 for pixels, width in zip(size, kernel, strict=True)]
            if self._pools(number):
                size = [pixels // step for pixels, step in zip(size, self.params.pool_size, strict=True)]
            if min(size) < 1:
                height, width, _ = self.input_shape
                self._refuse(
                    "conv_layers",
                    f"no pixels are left after block {number} of a {height}×{width} cutout; use fewer"
                    " blocks, or a larger data_preprocessing.img_size",
                )

    def _pools(self, number: int) -> bool:
        """Global pooling takes the place of the last block's own."""
        return self.params.flattening == "Flatten" or number < len(self.params.conv_layers)

    def features(self, x: keras.KerasTensor, part: str = "") -> keras.KerasTensor:
        """Convolutional blocks, flattened: (batch, height, width, channels) to (batch, features)."""
        for number, (filters, kernel) in enumerate(self.params.conv_layers, start=1):
            x = layers.Conv2D(filters, kernel, name=f"{part}conv{number}")(x)
            if self.params.batch_normalization:
                x = layers.BatchNormalization(momentum=BATCH_NORM_MOMENTUM, name=f"{part}norm{number}")(x)
            x = layers.Activation(self.params.activation, name=f"{part}{self.params.activation}{number}")(x)
            if self._pools(number):
                x = layers.MaxPooling2D(self.params.pool_size, name=f"{part}pool{number}")(x)
        if self.params.flattening == "Flatten":
            return layers.Flatten(name=f"{part}flatten")(x)
        return layers.GlobalMaxPooling2D(name=f"{part}global_pool")(x)

    def dense(self, x: keras.KerasTensor, part: str = "") -> keras.KerasTensor:
        """Dense blocks: Dense, Maxout where asked for, Dropout where asked for."""
        group = self.params.maxout_group
        for number, units in enumerate(self.params.dense_units, start=1):
            x = layers.Dense(units * group, activation=self.params.activation, name=f"{part}dense{number}")(x)
            if group > 1:
                x = Maxout(group, self.params.max_out_reduce, name=f"{part}maxout{number}")(x)
            if self.params.dropout_rate:
                x = layers.Dropout(self.params.dropout_rate, name=f"{part}dropout{number}")(x)
        return x


class GatedFamily(ConvFamily):
    """A family with an output per question, each multiplied by the fraction that was asked it."""

    flat_output = False

    def check(self) -> None:
        super().check()
        if all(self.tree.gate(question) is None for question in self.tree.questions):
            names = ", ".join(question.name for question in self.tree.questions)
            self._refuse(
                "model_type",
                f"{self.params.model_type!r} needs questions that depend on each other (such as"
                f" data_preprocessing.task: 2), but these do not: {names}; use 'base'",
            )

    def answered(
        self, x: keras.KerasTensor, question: Question, outputs: dict[str, Any], activation: str | None = None
    ) -> keras.KerasTensor:
        """One question's answers from the features ``x``, gated by its parent among ``outputs``.

        They are float32 whatever the precision of the blocks; ``activation`` replaces ``out_activation``.
        """
        name, gate = self.answer_layer_name(question), self.tree.gate(question)
        activation = activation or self.params.out_activation
        answers = layers.Dense(len(question), activation=activation, dtype="float32", name=name)(x)
        if gate is None:
            return answers
        parent, leading = gate
        return AnswerGate(leading, dtype="float32", name=question.name)([answers, outputs[parent.name]])

    def answer_layer_name(self, question: Question) -> str:
        """Where a gate follows, it carries the question's name and the answers before it ``<name>_in``."""
        return question.name if self.tree.gate(question) is None else f"{question.name}_in"


def _one_of(name: str, choices: tuple[str, ...]) -> str:
    if name not in choices:
        raise ValueError(f"there is no activation {name!r} here{nearest(name, choices)}")
    return name
