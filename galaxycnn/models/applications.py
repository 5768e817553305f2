"""Networks of ``keras.applications``: VGG16, ResNet50 and EfficientNet (and ConvNeXt, in its own file).

They are built flat, without their top, on scaled pixels, so that all layers are in reach. Their ImageNet weights are
downloaded by Keras; without a network, give a file: those that Keras downloads (``…_notop.h5``), or what
``save_weights`` wrote of the same network without its top.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any, Literal

import keras
from keras import layers

from galaxycnn.config.fields import DropRate, Flattening, Units
from galaxycnn.errors import UserError
from galaxycnn.models.heads import HeadName
from galaxycnn.models.pretrained import PretrainedFamily, PretrainedParams
from galaxycnn.models.pretrained_layers import SwapRedAndBlue
from galaxycnn.registry import MODELS

_SIDE = 32
"""Weights do not depend on the side of the images; this is the least that Keras takes."""


class Application(PretrainedFamily):
    """A network of ``keras.applications``; a subclass writes :meth:`original`."""

    def original(self, **arguments: Any) -> keras.Model:
        """The network as Keras builds it, without its top."""
        raise TypeError(f"{type(self).__name__} does not say which network of Keras it is")

    def features(self, x: keras.KerasTensor) -> keras.KerasTensor:
        return self.original(weights=None, input_tensor=x).output

    def load_imagenet(self, model: keras.Model) -> None:
        """From Keras' server, kept in Keras' cache."""
        with self.downloading():
            source = self.original(weights="imagenet", input_shape=(_SIDE, _SIDE, 3))
        self.copy_backbone(self.original_weights(source), model)

    def load_original(self, model: keras.Model, path: Path) -> None:
        """From a file of weights of the network without its top."""
        source = self.original(weights=None, input_shape=(_SIDE, _SIDE, 3))
        try:
            source.load_weights(path)
        except (OSError, ValueError, KeyError, TypeError) as error:
            reason = str(error).strip().splitlines()[0]
            network = f"{self.params.model_type!r} without its top"
            raise UserError(f"model_params.weights: {path} holds no weights of {network} ({reason})") from None
        self.copy_backbone(self.original_weights(source), model)

    def original_weights(self, source: keras.Model) -> dict[str, list[Any]]:
        """What the layers of Keras' network hold, by the names that they have here."""
        return {layer.name: layer.get_weights() for layer in source.layers}


def caffe_scaled(x: keras.KerasTensor) -> keras.KerasTensor:
    """RGB pixels 0–255 as blue, green and red, each less its mean in ImageNet."""
    x = SwapRedAndBlue(dtype="float32", name="blue_green_red")(x)
    return layers.Rescaling(1.0, [-103.939, -116.779, -123.68], dtype="float32", name="normalize")(x)


# -- VGG16 and ResNet50 --------------------------------------------------------------------------


class VGG16Params(PretrainedParams):
    """The head of the constraints paper, section 5.4."""

    head: HeadName = "sigmoid"
    flattening: Flattening = "Flatten"
    dense_units: Units = [512]
    dropout_rate: DropRate | None = 0.1


@MODELS.register("vgg16")
class VGG16(Application):
    """VGG16: 13 convolutions in five blocks, 14,714,688 parameters before the head.

    Source: Simonyan and Zisserman 2014, arXiv:1409.1556; the head is that of "Soft-Classification of Galaxy
    Morphologies", section 5.4. For all 37 answers at 224×224 pixels 27,579,237 parameters, of which 12,864,549 learn
    with ``frozen_stages: all``: the 27.5 and 12.9 millions of that paper.
    """

    Params = VGG16Params
    params: VGG16Params
    STAGES = tuple(f"block{number}_" for number in range(1, 6))
    MIN_SIDE = 32

    def original(self, **arguments: Any) -> keras.Model:
        return keras.applications.VGG16(include_top=False, **arguments)

    def scaled(self, x: keras.KerasTensor) -> keras.KerasTensor:
        return caffe_scaled(x)


class ResNet50Params(PretrainedParams):
    """The head of the constraints paper, section 5.4."""

    head: HeadName = "sigmoid"
    flattening: Flattening = "GlobalMaxPooling2D"
    dense_units: Units = [2048]
    dropout_rate: DropRate | None = 0.1


@MODELS.register("resnet50")
class ResNet50(Application):
    """ResNet50: 23,587,712 parameters before the head.

    Source: He et al. 2015, arXiv:1512.03385; the head is that of "Soft-Classification of Galaxy Morphologies", section
    5.4. For all 37 answers 27,859,877 parameters, of which 4,272,165 learn with ``frozen_stages: all``: the 27.9 and
    4.3 millions of that paper. With ``lora_rank: 4`` another 317,772 learn.
    """

    Params = ResNet50Params
    params: ResNet50Params
    STAGES = tuple(f"conv{number}_" for number in range(1, 6))

    def original(self, **arguments: Any) -> keras.Model:
        return keras.applications.ResNet50(include_top=False, **arguments)

    def scaled(self, x: keras.KerasTensor) -> keras.KerasTensor:
        return caffe_scaled(x)


# -- EfficientNet --------------------------------------------------------------------------------


class EfficientNetParams(PretrainedParams):
    """``b0`` to ``b7`` are the first version, the others the second."""

    variant: Literal[
        "b0", "b1", "b2", "b3", "b4", "b5", "b6", "b7", "v2b0", "v2b1", "v2b2", "v2b3", "v2s", "v2m", "v2l"
    ] = "v2b0"
    """Which network of the family, from small to large."""


@MODELS.register("efficientnet")
class EfficientNet(Application):
    """EfficientNet B0 to B7, V2-B0 to V2-B3, V2-S, V2-M and V2-L.

    Sources: Tan and Le 2019, arXiv:1905.11946, and 2021, arXiv:2104.00298. Before the head V2-B0 has 5,919,312
    parameters, B0 4,049,564.
    """

    Params = EfficientNetParams
    params: EfficientNetParams
    STAGES = ("stem_", *(f"block{number}" for number in range(1, 7)), "block7|top_")
    fast_in_bfloat16 = False

    def original(self, **arguments: Any) -> keras.Model:
        variant = self.params.variant
        name = f"EfficientNet{variant.upper()}"
        if variant.startswith("v2"):
            arguments["include_preprocessing"] = False
        return getattr(keras.applications, name)(include_top=False, **arguments)

    def scaled(self, x: keras.KerasTensor) -> keras.KerasTensor:
        if self.params.variant in ("v2s", "v2m", "v2l"):
            return layers.Rescaling(1 / 128, -1.0, dtype="float32", name="normalize")(x)
        x = super().scaled(x)
        if self.params.variant.startswith("v2"):
            return x
        # Keras' first version divides by 255 in any case, and normalises by what only its ImageNet weights bring along.
        return layers.Rescaling(255.0, dtype="float32", name="times_255")(x)
