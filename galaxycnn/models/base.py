"""The *base* family: one stack of blocks and one flat output."""

from __future__ import annotations

import keras

from galaxycnn.models.blocks import ConvFamily
from galaxycnn.registry import MODELS


@MODELS.register("base")
class Base(ConvFamily):
    """n × (Conv2D + MaxPool) + Flatten + n × (Dense + Maxout + Dropout) + one flat output.

    Source: Sobral Blanco (2023), equation (1). The output is named after the question where there is only
    one, else ``fractions``.
    """

    def check(self) -> None:
        super().check()
        if self.params.out_activation == "softmax" and len(self.tree.questions) > 1:
            self._refuse(
                "out_activation",
                f"softmax makes all {len(self.tree.columns)} fractions sum to 1, but they belong to"
                f" {len(self.tree.questions)} questions; use 'sigmoid', or model_type 'hierarchy'",
            )

    def build(self) -> keras.Model:
        pixels, x = self.pixels()
        x = self.dense(self.features(x))
        questions = self.tree.questions
        fractions = keras.layers.Dense(
            len(self.tree.columns),
            activation=self.params.out_activation,
            dtype="float32",
            name=questions[0].name if len(questions) == 1 else "fractions",
        )(x)
        return keras.Model(pixels, fractions, name="base")
