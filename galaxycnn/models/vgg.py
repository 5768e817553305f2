"""*VGG*: stacks of 3×3 convolutions between poolings, then large dense layers."""

from __future__ import annotations

from typing import Annotated

import keras
from keras import layers
from pydantic import Field

from galaxycnn.config.fields import DropRate, Flattening, PositiveInts, Switch, Units
from galaxycnn.models.backbone import BackboneFamily, BackboneParams
from galaxycnn.models.heads import HeadName
from galaxycnn.models.layers import BATCH_NORM_MOMENTUM
from galaxycnn.registry import MODELS

Blocks = Annotated[list[PositiveInts], Field(min_length=1)]


class VGG7Params(BackboneParams):
    """``blocks`` and dense units are this project's choice: the poster does not tell them."""

    blocks: Blocks = [[32, 32], [64, 64], [128, 128], [256, 256], [256, 256], [512, 512], [512, 512]]
    """Filters of the 3×3 convolutions of each block."""
    batch_normalization: Switch = True
    """Batch normalisation between each convolution and its activation."""
    block_dropout_rate: DropRate | None = 0.1
    """Share of units dropped after each block."""
    head: HeadName = "sigmoid"
    flattening: Flattening = "Flatten"
    dense_units: Units = [512, 256]
    dropout_rate: DropRate | None = 0.5


class VGG11Params(VGG7Params):
    """The values are those of configuration A; its authors train it without batch normalisation."""

    blocks: Blocks = [[64], [128], [256, 256], [512, 512], [512, 512]]
    batch_normalization: Switch = False
    block_dropout_rate: DropRate | None = None
    dense_units: Units = [4096, 4096]


@MODELS.register("vgg7")
class VGG7(BackboneFamily):
    """Seven blocks of two 3×3 convolutions with batch normalisation and dropout, and three dense layers.

    Source: the poster "End-to-End Soft-Target Galaxy Image Classification Using CNN-FCNs Architectures". A block ends
    with a 2×2 max pooling where that leaves 2×2 pixels or more, so that seven blocks go into any cutout: at 64×64 the
    first five pool. 11,816,005 parameters for 64×64 pixels and all 37 answers.
    """

    Params = VGG7Params
    params: VGG7Params

    def features(self, x: keras.KerasTensor) -> keras.KerasTensor:
        for number, block in enumerate(self.params.blocks, start=1):
            for convolution, filters in enumerate(block, start=1):
                x = self._convolution(x, filters, number, convolution)
            if min(x.shape[1:3]) >= 4:
                x = layers.MaxPooling2D(2, name=f"block{number}_pool")(x)
            if self.params.block_dropout_rate:
                x = layers.Dropout(self.params.block_dropout_rate, name=f"block{number}_dropout")(x)
        return x

    def _convolution(self, x: keras.KerasTensor, filters: int, block: int, number: int) -> keras.KerasTensor:
        x = layers.Conv2D(filters, 3, padding="same", name=f"block{block}_conv{number}")(x)
        if self.params.batch_normalization:
            x = layers.BatchNormalization(momentum=BATCH_NORM_MOMENTUM, name=f"block{block}_norm{number}")(x)
        return layers.ReLU(name=f"block{block}_relu{number}")(x)


@MODELS.register("vgg11")
class VGG11(VGG7):
    """Configuration A of VGG: eight 3×3 convolutions in five blocks, and three dense layers.

    Source: Simonyan and Zisserman 2014, arXiv:1409.1556, table 1. Blocks pool as in ``vgg7``. For all 37 answers
    34,546,085 parameters at 64×64 pixels, and 128,917,925 at the published 224×224, where the first dense layer sees
    7×7 pixels.
    """

    Params = VGG11Params
    params: VGG11Params
