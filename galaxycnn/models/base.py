"""The *base* family: one stack of blocks and one flat output."""

from __future__ import annotations

import keras

from galaxycnn.models.blocks import ConvFamily, ConvParams
from galaxycnn.models.heads import HeadName, answered
from galaxycnn.models.outputs import flat_name
from galaxycnn.registry import MODELS


class BaseParams(ConvParams):
    """``head`` is not of the published network: it lets every head be tried on the smallest one."""

    head: HeadName | None = None
    """How the last layer's numbers become fractions; `null`: `out_activation` on each, as published."""


@MODELS.register("base")
class Base(ConvFamily):
    """n × (Conv2D + MaxPool) + Flatten + n × (Dense + Maxout + Dropout) + one flat output.

    Source: Sobral Blanco (2023), equation (1). The output is named after the question where there is only
    one, else ``fractions``.
    """

    Params = BaseParams
    params: BaseParams
    takes_numbers = True

    def check(self) -> None:
        super().check()
        if not self.params.head and self.params.out_activation == "softmax" and len(self.tree.questions) > 1:
            self._refuse(
                "out_activation",
                f"softmax makes all {len(self.tree.columns)} fractions sum to 1, but they belong to"
                f" {len(self.tree.questions)} questions; use 'sigmoid', or model_type 'hierarchy'",
            )

    def build(self) -> keras.Model:
        pixels, x = self.pixels()
        taken, x = self.with_inputs(pixels, self.features(x))
        return keras.Model(taken, self.outputs(self.dense(x)), name="base")

    def fractions(self, x: keras.KerasTensor) -> keras.KerasTensor:
        """The answers, from the last dense block."""
        name, activation = flat_name(self.tree), self.params.out_activation
        if self.params.head:
            return answered(x, self.tree, self.params.head, name)
        return keras.layers.Dense(len(self.tree.columns), activation, dtype="float32", name=name)(x)
