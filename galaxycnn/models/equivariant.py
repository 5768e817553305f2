"""The *equivariant* network: it says the same of a galaxy however its cutout is turned by quarters or mirrored."""

from __future__ import annotations

from typing import Annotated

import keras
from keras import layers
from pydantic import Field

from galaxycnn.config.fields import DropRate, PositiveInt, Units
from galaxycnn.models.group_convolution import POSES, GroupConv2D, PosePooling, normalized
from galaxycnn.models.staged import StagedFamily, StagedParams
from galaxycnn.registry import MODELS


class EquivariantParams(StagedParams):
    """The values are this project's choice."""

    patterns: Annotated[list[PositiveInt], Field(min_length=1)] = [8, 16, 32, 64, 64]
    """Patterns of each 3×3 convolution, each looked for in eight poses; a 2×2 max pooling follows each."""
    dense_units: Units = [256]
    dropout_rate: DropRate | None = 0.5


@MODELS.register("equivariant")
class Equivariant(StagedFamily):
    """Convolutions that look for each pattern in eight poses: turned by quarters or mirrored, a galaxy stays the same.

    What is found is averaged over poses and, with the default ``flattening``, over the map. Turning a cutout by
    quarters or mirroring it then changes no answer, and no network has to learn that from turned copies. 2×2 max
    pooling and batch normalisation follow each 3×3 convolution. Sources: Cohen and Welling 2016, arXiv:1602.07576, and,
    for galaxies, Dieleman, De Fauw and Kavukcuoglu 2016, arXiv:1602.02660. 515,549 parameters for all 37 answers.
    """

    Params = EquivariantParams
    params: EquivariantParams

    @property
    def stage_patterns(self) -> tuple[str, ...]:
        """A stage is a convolution and its normalisation."""
        return tuple(rf"(conv|norm){number}$" for number in range(1, len(self.params.patterns) + 1))

    def check(self) -> None:
        super().check()
        height, width, _ = self.input_shape
        step = 2 ** len(self.params.patterns)
        if height != width or height % step:
            side = max(1, round(height / step)) * step
            self._refuse(
                "model_type",
                f"'equivariant' with {len(self.params.patterns)} convolutions takes square cutouts of a multiple of"
                f" {step} pixels, not {height}×{width}; give a data_preprocessing.img_size such as [{side}, {side}]",
            )

    def features(self, x: keras.KerasTensor) -> keras.KerasTensor:
        for number, patterns in enumerate(self.params.patterns, start=1):
            x = GroupConv2D(patterns, 3, posed=number > 1, name=f"conv{number}")(x)
            x = layers.MaxPooling2D(2, name=f"pool{number}")(x)
            x = layers.ReLU(name=f"relu{number}")(normalized(x, POSES, f"{{}}{number}".format))
        return PosePooling(name="any_pose")(x)
