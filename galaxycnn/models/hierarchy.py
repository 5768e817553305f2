"""The *hierarchy* family: one stack of blocks, one gated output per question."""

from __future__ import annotations

from typing import Any

import keras

from galaxycnn.models.blocks import GatedFamily
from galaxycnn.registry import MODELS


@MODELS.register("hierarchy")
class Hierarchy(GatedFamily):
    """One shared stack; every question has an output, multiplied by the fraction that was asked it.

    Source: Sobral Blanco (2023), section 2.2 and figure 5; its Lambda and Multiply pair is one AnswerGate.
    """

    def build(self) -> keras.Model:
        pixels, x = self.pixels()
        x = self.dense(self.features(x))
        outputs: dict[str, Any] = {}
        for question in self.tree.questions:
            outputs[question.name] = self.answered(x, question, outputs)
        return keras.Model(pixels, outputs, name="hierarchy")
