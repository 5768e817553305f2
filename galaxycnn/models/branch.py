"""The *branch* family: one stack of blocks per question, joined and gated down the tree."""

from __future__ import annotations

from typing import Any, Literal

import keras

from galaxycnn.models.blocks import ConvParams, GatedFamily
from galaxycnn.registry import MODELS


class BranchParams(ConvParams):
    """``join`` is what a question's branch receives from its parent's branch after flattening: its
    flattened ``features``, or its ``answers`` (as in the published code). ``root_activation`` is the
    output activation of questions without a parent."""

    join: Literal["features", "answers"] = "features"
    """What a question's branch receives from its parent's: flattened features, or answers."""
    root_activation: Literal["softmax", "sigmoid"] = "softmax"
    """Activation of the answers to questions without a parent."""


@MODELS.register("branch")
class Branch(GatedFamily):
    """A convolutional branch per question; a parent's features join its children's after flattening.

    Source: Sobral Blanco (2023), sections 2.2 and 3.3.2 and figure 8.
    """

    Params = BranchParams
    params: BranchParams

    def build(self) -> keras.Model:
        pixels, normalized = self.pixels()
        features: dict[str, Any] = {}
        outputs: dict[str, Any] = {}
        for question in self.tree.questions:
            part = f"{question.name}_"
            x = features[question.name] = self.features(normalized, part)
            gate = self.tree.gate(question)
            if gate is not None:
                parent = gate[0].name
                joined = features[parent] if self.params.join == "features" else outputs[parent]
                x = keras.layers.Concatenate(name=f"{part}join")([joined, x])
            activation = self.params.root_activation if gate is None else None
            outputs[question.name] = self.answered(self.dense(x, part), question, outputs, activation)
        return keras.Model(pixels, outputs, name="branch")
