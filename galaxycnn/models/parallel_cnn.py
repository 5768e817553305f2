"""The *parallel CNN*: broad and fine convolutions side by side."""

from __future__ import annotations

import keras
from keras import layers

from galaxycnn.config.fields import DropRate, Flattening, Penalty, PositiveInt, PositiveInts, Units
from galaxycnn.models.backbone import BackboneFamily, BackboneParams
from galaxycnn.models.heads import HeadName
from galaxycnn.models.layers import BATCH_NORM_MOMENTUM
from galaxycnn.registry import MODELS


class ParallelCNNParams(BackboneParams):
    """The values are those of the published network."""

    path_kernels: PositiveInts = [6, 3]
    """Side of the kernels of each path."""
    path_filters: PositiveInts = [64, 64, 128]
    """Filters of each convolution of a path; batch normalisation and a 3×3 max pooling of stride 2 follow."""
    joint_filters: list[PositiveInt] = [128, 64, 64]
    """Filters of each 3×3 convolution after the paths are joined; a 2×2 max pooling follows each."""
    conv_dropout_rate: DropRate = 0.1
    """Share of units dropped after each pooling."""
    head: HeadName = "sigmoid"
    flattening: Flattening = "Flatten"
    dense_units: Units = [256, 128, 64]
    dense_l2: Penalty = 0.01
    dropout_rate: DropRate | None = 0.2
    """Share of units dropped after the last dense layer."""


@MODELS.register("parallel_cnn")
class ParallelCNN(BackboneFamily):
    """Two paths of 6×6 and 3×3 convolutions, joined, then three more convolutions and dense layers with an L2 penalty.

    Source: "Soft-Classification of Galaxy Morphologies Using Deep Neural Networks", sections 5.2 and 6.3; filters,
    poolings and dense units, which its text leaves open, are those of its code. 1,160,165 parameters for 64×64 pixels
    and all 37 answers.
    """

    Params = ParallelCNNParams
    params: ParallelCNNParams

    def check(self) -> None:
        super().check()
        height, width, _ = self.input_shape
        size = (min(height, width) - 3) // 2 + 1
        for _ in self.params.joint_filters:
            size //= 2
        if size < 1:
            poolings = len(self.params.joint_filters)
            self._refuse(
                "joint_filters",
                f"no pixels are left of a {height}×{width} cutout after the poolings of the paths and {poolings} more;"
                " use fewer convolutions, or a larger data_preprocessing.img_size",
            )

    def features(self, x: keras.KerasTensor) -> keras.KerasTensor:
        paths = [self._path(x, kernel, f"path{number}") for number, kernel in enumerate(self.params.path_kernels, 1)]
        x = layers.Concatenate(name="joint")(paths) if len(paths) > 1 else paths[0]
        for number, filters in enumerate(self.params.joint_filters, start=1):
            x = layers.Conv2D(filters, 3, padding="same", activation="relu", name=f"joint_conv{number}")(x)
            x = layers.MaxPooling2D(2, name=f"joint_pool{number}")(x)
            x = layers.Dropout(self.params.conv_dropout_rate, name=f"joint_dropout{number}")(x)
        return x

    def _path(self, x: keras.KerasTensor, kernel: int, name: str) -> keras.KerasTensor:
        for number, filters in enumerate(self.params.path_filters, start=1):
            x = layers.Conv2D(filters, kernel, padding="same", activation="relu", name=f"{name}_conv{number}")(x)
        x = layers.BatchNormalization(momentum=BATCH_NORM_MOMENTUM, name=f"{name}_norm")(x)
        x = layers.MaxPooling2D(3, 2, name=f"{name}_pool")(x)
        return layers.Dropout(self.params.conv_dropout_rate, name=f"{name}_dropout")(x)

    def dense(self, x: keras.KerasTensor) -> keras.KerasTensor:
        for number, units in enumerate(self.params.dense_units, start=1):
            x = self.dense_layer(x, units, number)
        return self.dropped(x, "features_dropout")
