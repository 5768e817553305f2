"""The *polar* network: it reads a galaxy along circles around its centre."""

from __future__ import annotations

from typing import Annotated

import keras
from keras import layers
from pydantic import Field

from galaxycnn.config.fields import DropRate, Flattening, PositiveInt, PositiveInts, Units
from galaxycnn.models.group_convolution import MIRRORED, GroupConv2D, PosePooling, normalized
from galaxycnn.models.polar_layers import PolarPadding, PolarSampling
from galaxycnn.models.staged import StagedFamily, StagedParams
from galaxycnn.registry import MODELS


class PolarParams(StagedParams):
    """The values are this project's choice."""

    rays: PositiveInt = 128
    """Rays from the centre along which the cutout is read."""
    radii: PositiveInt = 64
    """Values along each ray."""
    radial_power: Annotated[float, Field(ge=1, le=3)] = 1.5
    """Their distance from the centre grows as this power of their number: with 1 steps are alike, with more they are
    finer near the centre."""
    blocks: Annotated[list[PositiveInts], Field(min_length=1)] = [[16], [32, 32], [48, 48], [64, 64], [96]]
    """Patterns of the 3×3 convolutions of each block, each looked for as it is and mirrored; a 2×2 max pooling follows
    each block."""
    flattening: Flattening = "Flatten"
    dense_units: Units = [256]
    dropout_rate: DropRate | None = 0.5


@MODELS.register("polar")
class Polar(StagedFamily):
    """Convolutions over circles and rays around a galaxy's centre: turned or mirrored, it stays the same.

    A turn of the cutout shifts its rays, and a mirror image has them in reverse order; arms become slanted lines, a bar
    two spots half a circle apart. Circles are closed, and rays go on beyond the centre. Each pattern is looked for as
    it is and mirrored; what is found is averaged over both and over circles, but not over radii. Mirroring a cutout, or
    turning a square one by quarters, then changes no answer, and other turns change little. Sources: Esteves et al.
    2018, arXiv:1709.01889, for the rays, here from the cutout's centre; Cohen and Welling 2016, arXiv:1602.07576, for
    patterns in poses. 397,333 parameters for all 37 answers.
    """

    Params = PolarParams
    params: PolarParams

    @property
    def stage_patterns(self) -> tuple[str, ...]:
        """A stage is a block."""
        return tuple(rf"block{number}_" for number in range(1, len(self.params.blocks) + 1))

    def check(self) -> None:
        super().check()
        blocks = len(self.params.blocks)
        steps = {"radii": 2**blocks, "rays": 4 * 2**blocks}  # a quarter turn is to shift what each pooling sees, too
        for key, step in steps.items():
            count = getattr(self.params, key)
            if count % step:
                near = max(1, round(count / step)) * step
                self._refuse(key, f"{blocks} blocks take a multiple of {step}, not {count}; choose {near}")

    def features(self, x: keras.KerasTensor) -> keras.KerasTensor:
        x = PolarSampling(self.params.radii, self.params.rays, self.params.radial_power, name="rays")(x)
        for number in range(1, len(self.params.blocks) + 1):
            x = self._block(x, number)
        x = layers.AveragePooling2D((1, x.shape[2]), name="circles")(x)
        return PosePooling(MIRRORED, name="either_way")(x)

    def _block(self, x: keras.KerasTensor, number: int) -> keras.KerasTensor:
        block = self.params.blocks[number - 1]
        for convolution, patterns in enumerate(block, start=1):
            name = f"block{number}_{{}}{convolution}".format
            x = PolarPadding(name=name("around"))(x)
            posed = (number, convolution) != (1, 1)
            x = GroupConv2D(patterns, 3, posed, MIRRORED, "valid", name=name("conv"))(x)
            if convolution == len(block):
                x = layers.MaxPooling2D(2, name=f"block{number}_pool")(x)
            x = layers.ReLU(name=name("relu"))(normalized(x, MIRRORED, name))
        return x
