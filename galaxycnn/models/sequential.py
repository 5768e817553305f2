"""The *sequential* approach: a network per question, trained one after the other."""

from __future__ import annotations

from typing import Any

import keras

from galaxycnn.models.blocks import GatedFamily
from galaxycnn.models.family import Stage
from galaxycnn.registry import MODELS


@MODELS.register("sequential")
class Sequential(GatedFamily):
    """A separate base network per question; a trained parent's predictions select what its children see.

    Each network learns the fractions among those who were asked its question; the saved model
    multiplies them down the tree, so that it answers like a hierarchy. Source: Sobral Blanco (2023),
    section 3.3, the "sequential" training approach.
    """

    def build(self) -> keras.Model:
        pixels, normalized = self.pixels()
        outputs: dict[str, Any] = {}
        for question in self.tree.questions:
            part = f"{question.name}_"
            x = self.dense(self.features(normalized, part), part)
            outputs[question.name] = self.answered(x, question, outputs)
        return keras.Model(pixels, outputs, name="sequential")

    def stages(self, model: keras.Model) -> list[Stage]:
        return [
            Stage(keras.Model(model.inputs, model.get_layer(self.answer_layer_name(question)).output), question)
            for question in self.tree.questions
        ]
