"""The *multiview* network that won the Galaxy Challenge: one small convnet looks at a galaxy from sixteen sides."""

from __future__ import annotations

from typing import Annotated

import keras
from keras import layers
from pydantic import Field

from galaxycnn.config.fields import DropRate, Flattening, PositiveInt, Units
from galaxycnn.models.backbone import BackboneFamily, BackboneParams
from galaxycnn.models.heads import HeadName
from galaxycnn.models.layers import AlignedParts, JoinParts, Maxout
from galaxycnn.registry import MODELS

PooledConv = Annotated[tuple[PositiveInt, PositiveInt, PositiveInt], Field(strict=False)]


class MultiviewParams(BackboneParams):
    """The values are those of the published network."""

    part_size: PositiveInt | None = None
    """Side of a part in pixels; `null`: 45/69 of the cutout's side, as published."""
    conv_layers: Annotated[list[PooledConv], Field(min_length=1)] = [(32, 6, 2), (64, 5, 2), (128, 3, 1), (128, 3, 2)]
    """`[filters, side of the kernel, side of the max pooling]` of each convolution; pooling 1 is none."""
    max_out: PositiveInt = 2
    """Units in a Maxout group of a dense layer; 1 is no Maxout."""
    head: HeadName = "divisive"
    flattening: Flattening = "Flatten"
    """How the feature map of each part becomes a vector."""
    dense_units: Units = [2048, 2048]
    """Units of each dense layer, after Maxout."""
    dropout_rate: DropRate | None = 0.5
    """Share of units dropped before each dense layer and before the last."""


@MODELS.register("multiview")
class Multiview(BackboneFamily):
    """Sixteen aligned parts of a cutout through one shared convnet, then two Maxout layers: the winner of 2014.

    Source: Dieleman, Willett and Dambre 2015, MNRAS 450, 1441, sections 5.1 to 5.3. 42,303,237 parameters for 69×69
    pixels and all 37 answers, the "about 42 million" of its author. Three things differ from his code: the biases of a
    convolution belong to its filters, not to filters and pixels; the views turned by 45° come from the cutout, mirrored
    at its edges, not from a larger image; and weights start as Keras has them, not from distributions set by hand.
    """

    Params = MultiviewParams
    params: MultiviewParams
    dense_activation = "linear"

    @property
    def part_size(self) -> int:
        """Side of a part in pixels."""
        return self.params.part_size or round(self.input_shape[0] * 45 / 69)

    def check(self) -> None:
        super().check()
        height, width, _ = self.input_shape
        if height != width:
            self._refuse(
                "model_type",
                f"'multiview' turns its cutouts, which must be square, not {height}×{width}; give a"
                f" data_preprocessing.img_size such as [{height}, {height}]",
            )
        if self.part_size > height:
            self._refuse("part_size", f"a part of {self.part_size} pixels is larger than the {height}×{width} cutout")
        size = self.part_size
        for number, (_, kernel, pool) in enumerate(self.params.conv_layers, start=1):
            size = (size - kernel + 1) // pool
            if size < 1:
                self._refuse(
                    "conv_layers",
                    f"no pixels are left after convolution {number} of a part of {self.part_size}×{self.part_size}; use"
                    " fewer or smaller convolutions, or a larger data_preprocessing.img_size",
                )

    def features(self, x: keras.KerasTensor) -> keras.KerasTensor:
        x = AlignedParts(self.part_size, name="parts")(x)
        for number, (filters, kernel, pool) in enumerate(self.params.conv_layers, start=1):
            x = layers.Conv2D(filters, kernel, activation="relu", name=f"conv{number}")(x)
            if pool > 1:
                x = layers.MaxPooling2D(pool, name=f"pool{number}")(x)
        return x

    def vector(self, x: keras.KerasTensor) -> keras.KerasTensor:
        x = JoinParts(AlignedParts.COUNT, name="joined_parts")(super().vector(x))
        return self.dropped(x, "parts_dropout") if self.params.dense_units else x

    def dense_layer(self, x: keras.KerasTensor, units: int, number: int) -> keras.KerasTensor:
        x = super().dense_layer(x, units * self.params.max_out, number)
        return Maxout(self.params.max_out, name=f"maxout{number}")(x)
