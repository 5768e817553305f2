"""Networks that are a backbone, a few dense layers and a head: the first differs, the rest is here."""

from __future__ import annotations

from typing import Any, ClassVar

import keras
from keras import layers

from galaxycnn.config.fields import DropRate, Flattening, Penalty, Units
from galaxycnn.config.schema import ModelParams
from galaxycnn.models.family import ModelFamily
from galaxycnn.models.heads import HeadName, answered
from galaxycnn.models.outputs import flat_name

POOLING = {
    "GlobalAveragePooling2D": layers.GlobalAveragePooling2D,
    "GlobalMaxPooling2D": layers.GlobalMaxPooling2D,
    "Flatten": layers.Flatten,
}


class BackboneParams(ModelParams):
    """What follows the backbone."""

    head: HeadName = "tree"
    """How the last layer's numbers become fractions."""
    flattening: Flattening = "GlobalAveragePooling2D"
    """How the backbone's feature map becomes a vector."""
    dense_units: Units = []
    """Units of each dense layer between the backbone and the head."""
    dense_l2: Penalty = 0.0
    """L2 penalty on the weights of those dense layers."""
    dropout_rate: DropRate | None = None
    """Share of units dropped after each dense layer, or before the last layer where there is no other."""

    @classmethod
    def __pydantic_init_subclass__(cls, **kwargs: Any) -> None:
        """A key that a family gives another default keeps its meaning, unless the family documents it anew."""
        super().__pydantic_init_subclass__(**kwargs)
        for name, field in cls.model_fields.items():
            for parent in cls.__mro__[1:]:
                if field.description is None and issubclass(parent, ModelParams) and name in parent.model_fields:
                    field.description = parent.model_fields[name].description


class BackboneFamily(ModelFamily):
    """A family that differs from others in its :meth:`features` alone.

    Its networks are flat graphs, with layers for Grad-CAM in reach.
    """

    Params = BackboneParams
    params: BackboneParams
    takes_numbers = True
    dense_activation: ClassVar[str] = "relu"

    def features(self, x: keras.KerasTensor) -> keras.KerasTensor:
        """The backbone: scaled pixels to a feature map (batch, height, width, channels) or a vector."""
        raise TypeError(f"{type(self).__name__} has no features")

    def build(self) -> keras.Model:
        pixels, x = self.pixels()
        taken, x = self.with_inputs(pixels, self.vector(self.features(x)))
        return keras.Model(taken, self.outputs(self.dense(x)), name=self.params.model_type)

    def vector(self, x: keras.KerasTensor) -> keras.KerasTensor:
        """A feature map as one vector per galaxy."""
        return POOLING[self.params.flattening](name="features")(x) if len(x.shape) == 4 else x

    def dense(self, x: keras.KerasTensor) -> keras.KerasTensor:
        """The dense layers and dropout between the backbone and the head."""
        for number, units in enumerate(self.params.dense_units, start=1):
            x = self.dropped(self.dense_layer(x, units, number), f"dropout{number}")
        return x if self.params.dense_units else self.dropped(x, "features_dropout")

    def dense_layer(self, x: keras.KerasTensor, units: int, number: int) -> keras.KerasTensor:
        """The dense layer of that number, counted from 1, without its dropout."""
        penalty = keras.regularizers.L2(self.params.dense_l2) if self.params.dense_l2 else None
        return layers.Dense(units, self.dense_activation, kernel_regularizer=penalty, name=f"dense{number}")(x)

    def dropped(self, x: keras.KerasTensor, name: str) -> keras.KerasTensor:
        """``x`` with ``dropout_rate`` of it dropped in training, where there is such a rate."""
        return layers.Dropout(self.params.dropout_rate, name=name)(x) if self.params.dropout_rate else x

    def fractions(self, x: keras.KerasTensor) -> keras.KerasTensor:
        """One logit per answer, then the head."""
        return answered(x, self.tree, self.params.head, flat_name(self.tree))
