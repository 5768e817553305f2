"""The *dual_head* family: small convnets that tell mergers from other galaxies and estimate redshifts at once."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Literal

import keras
from keras import layers

from galaxycnn.config.fields import DropRate, Flattening, Units
from galaxycnn.models.backbone import BackboneFamily, BackboneParams
from galaxycnn.models.layers import BATCH_NORM_MOMENTUM
from galaxycnn.registry import MODELS


@dataclass(frozen=True)
class Version:
    """What sets a version apart: filters of its blocks, convolutions in each, whether they are normalised, dropout."""

    filters: tuple[int, ...]
    convolutions: int = 1
    batch_normalization: bool = False
    dropout_rate: float | None = None
    flattening: Literal["Flatten", "GlobalAveragePooling2D"] = "Flatten"
    quantities: bool = True


VERSIONS = {
    1: Version((32, 64, 128)),
    2: Version((32, 64, 128, 256), batch_normalization=True, dropout_rate=0.3),
    3: Version((32, 64), batch_normalization=True, dropout_rate=0.5),
    4: Version(
        (32, 64, 128, 256, 512),
        convolutions=2,
        batch_normalization=True,
        dropout_rate=0.6,
        flattening="GlobalAveragePooling2D",
    ),
    5: Version((32, 64, 128, 256), batch_normalization=True, dropout_rate=0.3, quantities=False),
}


class DualHeadParams(BackboneParams):
    """``flattening`` and ``dropout_rate`` are the version's where they are not given."""

    version: Literal[1, 2, 3, 4, 5] = 2
    """Which of the five published networks: 1 three blocks; 2 four blocks, batch normalisation, dropout 0.3; 3 two
    blocks; 4 five blocks of two convolutions, average pooling, dropout 0.6; 5 as 2, for classes alone."""
    flattening: Flattening | None = None  # type: ignore[assignment]
    """How the feature map becomes a vector; `null`: as the version has it."""
    dense_units: Units = [128]
    dropout_rate: DropRate | None = None
    """Share of units dropped after each dense layer; `null`: as the version has it."""


@MODELS.register("dual_head")
class DualHead(BackboneFamily):
    """Blocks of Conv2D 3×3, ReLU and MaxPool, a dense layer, then a head for classes and one for each quantity.

    Source: Kempster-Taylor, "Classifying Merging Galaxies and Estimating Redshifts Using a Dual-Objective CNN",
    section 3.3 and table 3. Its text says how many blocks there are and what is in them, not how wide they are: here
    32 filters, doubled from block to block, and 128 dense units, as is common. Parameters for 64×64 pixels, two classes
    and a linear redshift: 1,142,341, 915,141, 2,117,445, 4,786,213 and, for classes alone, 915,010.
    """

    Params = DualHeadParams
    params: DualHeadParams

    def __init__(self, params: DualHeadParams, *args: Any, **kwargs: Any) -> None:
        version = VERSIONS[params.version]
        rate = version.dropout_rate if params.dropout_rate is None else params.dropout_rate
        filled = {"flattening": params.flattening or version.flattening, "dropout_rate": rate}
        super().__init__(params.model_copy(update=filled), *args, **kwargs)
        self.version = version

    def check(self) -> None:
        super().check()
        if self.quantities and not self.version.quantities:
            self._refuse(
                "version", f"{self.params.version} has no head for {', '.join(self.quantities)}; choose one of 1 to 4"
            )
        least = 2 ** len(self.version.filters)
        if min(self.input_shape[:2]) < least:
            height, width, _ = self.input_shape
            self._refuse(
                "version",
                f"{self.params.version} halves a cutout {len(self.version.filters)} times and needs {least}×{least}"
                f" pixels or more, found {height}×{width}; enlarge data_preprocessing.img_size",
            )

    def features(self, x: keras.KerasTensor) -> keras.KerasTensor:
        for block, filters in enumerate(self.version.filters, start=1):
            for number in range(1, self.version.convolutions + 1):
                x = self._convolution(x, filters, f"{block}_{number}" if self.version.convolutions > 1 else f"{block}")
            x = layers.MaxPooling2D(name=f"pool{block}")(x)
        return x

    def _convolution(self, x: keras.KerasTensor, filters: int, number: str) -> keras.KerasTensor:
        x = layers.Conv2D(filters, 3, padding="same", name=f"conv{number}")(x)
        if self.version.batch_normalization:
            x = layers.BatchNormalization(momentum=BATCH_NORM_MOMENTUM, name=f"norm{number}")(x)
        return layers.ReLU(name=f"relu{number}")(x)
