"""Networks that are a backbone, a few dense layers and a head: the first differs, the rest is here."""

from __future__ import annotations

from typing import Annotated, Literal

import keras
from keras import layers
from pydantic import Field, field_validator

from galaxycnn.config.schema import ModelParams, PositiveInt, known
from galaxycnn.models.family import ModelFamily
from galaxycnn.registry import HEADS

POOLING = {
    "GlobalAveragePooling2D": layers.GlobalAveragePooling2D,
    "GlobalMaxPooling2D": layers.GlobalMaxPooling2D,
    "Flatten": layers.Flatten,
}


class BackboneParams(ModelParams):
    """What follows the backbone."""

    head: str = "tree"
    """How the last layer's numbers become fractions."""
    flattening: Literal["GlobalAveragePooling2D", "GlobalMaxPooling2D", "Flatten"] = "GlobalAveragePooling2D"
    """How the backbone's feature map becomes a vector."""
    dense_units: list[PositiveInt] = []
    """Units of each dense layer between the backbone and the head."""
    dense_l2: Annotated[float, Field(ge=0)] = 0.0
    """L2 penalty on the weights of those dense layers."""
    dropout_rate: Annotated[float, Field(ge=0, lt=1)] | None = None
    """Share of units dropped before the last layer, and after each dense layer."""

    @field_validator("head")
    @classmethod
    def _known_head(cls, name: str) -> str:
        return known(name, HEADS)


class BackboneFamily(ModelFamily):
    """A family that differs from others in its :meth:`features` alone.

    Its networks are flat graphs, with layers for Grad-CAM in reach.
    """

    Params = BackboneParams
    params: BackboneParams

    def features(self, x: keras.KerasTensor) -> keras.KerasTensor:
        """The backbone: scaled pixels to a feature map (batch, height, width, channels) or a vector."""
        raise TypeError(f"{type(self).__name__} has no features")

    def build(self) -> keras.Model:
        pixels, x = self.pixels()
        x = self.dense(self.vector(self.features(x)))
        return keras.Model(pixels, self.fractions(x), name=self.params.model_type)

    def vector(self, x: keras.KerasTensor) -> keras.KerasTensor:
        """A feature map as one vector per galaxy."""
        return POOLING[self.params.flattening](name="features")(x) if len(x.shape) == 4 else x

    def dense(self, x: keras.KerasTensor) -> keras.KerasTensor:
        """The dense layers and dropout between the backbone and the head."""
        x = self._dropped(x, "features_dropout")
        for number, units in enumerate(self.params.dense_units, start=1):
            penalty = keras.regularizers.L2(self.params.dense_l2) if self.params.dense_l2 else None
            x = layers.Dense(units, activation="relu", kernel_regularizer=penalty, name=f"dense{number}")(x)
            x = self._dropped(x, f"dropout{number}")
        return x

    def _dropped(self, x: keras.KerasTensor, name: str) -> keras.KerasTensor:
        return layers.Dropout(self.params.dropout_rate, name=name)(x) if self.params.dropout_rate else x

    def fractions(self, x: keras.KerasTensor) -> keras.KerasTensor:
        """One logit per answer, then the head: (batch, columns), float32."""
        head = HEADS[self.params.head]
        start = head.bias_initializer
        logits = layers.Dense(len(self.tree.columns), bias_initializer=start, dtype="float32", name="logits")(x)
        return head(self.tree, name="fractions")(logits)
