"""ResNet18 as torchvision defines it, so that its weights fit."""

from __future__ import annotations

import hashlib
from pathlib import Path
from typing import ClassVar

import keras
from keras import layers

from galaxycnn.config.fields import DropRate, Units
from galaxycnn.models.heads import HeadName
from galaxycnn.models.pretrained import TORCH_FILES, PretrainedFamily, PretrainedParams
from galaxycnn.models.staged import KERAS_FILES
from galaxycnn.models.torch_weights import StateDict, copy_layer, read_state_dict
from galaxycnn.registry import MODELS

_FILTERS = (64, 128, 256, 512)
_BLOCKS = 2


class ResNet18Params(PretrainedParams):
    """The head of the seed paper, whose 37 outputs are linear and clipped to 0–1 after training; `sigmoid` keeps them
    there."""

    head: HeadName = "sigmoid"
    dense_units: Units = [512]
    dropout_rate: DropRate | None = 0.5


@MODELS.register("resnet18")
class ResNet18(PretrainedFamily):
    """ResNet18: 11,186,112 parameters before the head; takes weights of torchvision.

    Source: He et al. 2015, arXiv:1512.03385, in torchvision's form; with a dense layer of 512 units the network of
    "Galaxy Zoo ResNet18 with Grad-CAM". 224×224 pixels are usual; the feature map has 1/32 of a cutout's side. Zeros
    are padded alike on all sides, so that outputs agree with PyTorch's for sides even and odd. ``weights`` may be a
    state dict (``.pth``) with torchvision's names, with or without its last layer and a prefix.
    """

    Params = ResNet18Params
    params: ResNet18Params
    STAGES = ("stem", *(f"stage{number}_" for number in range(1, len(_FILTERS) + 1)))
    FILES = KERAS_FILES + TORCH_FILES
    URL: ClassVar[str] = "https://download.pytorch.org/models/resnet18-f37072fd.pth"
    """torchvision's weights ``IMAGENET1K_V1``; their name ends with the beginning of their SHA-256."""

    def features(self, x: keras.KerasTensor) -> keras.KerasTensor:
        x = layers.ReLU(name="stem_relu")(_convolution(x, "stem", "", 64, kernel=7, stride=2))
        x = layers.ZeroPadding2D(1, name="stem_pool_pad")(x)
        x = layers.MaxPooling2D(3, 2, name="stem_pool")(x)
        for name, filters, stride in _blocks():
            x = _block(x, name, filters, stride)
        return x

    # -- weights ---------------------------------------------------------------------------------

    def load_imagenet(self, model: keras.Model) -> None:
        """From torchvision's server, kept in Keras' cache."""
        with self.downloading():
            file = Path(keras.utils.get_file(origin=self.URL, cache_subdir="models"))
            expected = file.stem.partition("-")[2]
            if not hashlib.sha256(file.read_bytes()).hexdigest().startswith(expected):
                file.unlink()
                raise OSError(f"{file.name} arrived damaged")
        self.load_torch(model, read_state_dict(file))

    def load_torch(self, model: keras.Model, state: StateDict) -> None:
        """Weights by torchvision's names (``conv1``, ``bn1``, ``layer1.0.conv1``, ``layer2.0.downsample.0``, …).

        All may have a prefix, such as ``module.`` or ``backbone.``.
        """
        first = min((name for name in state if name.endswith("conv1.weight")), key=len, default="conv1.weight")
        prefix = first.removesuffix("conv1.weight")
        for layer, name in _torch_names().items():
            copy_layer(model.get_layer(layer), state, prefix + name)


def _blocks() -> list[tuple[str, int, int]]:
    """Name, filters and stride of every block; every stage but the first begins by halving the map."""
    return [
        (f"stage{stage}_block{block}", filters, 2 if stage > 1 and block == 1 else 1)
        for stage, filters in enumerate(_FILTERS, start=1)
        for block in range(1, _BLOCKS + 1)
    ]


def _torch_names() -> dict[str, str]:
    """Layers with weights, and what torchvision calls them."""
    names = {"stem_conv": "conv1", "stem_norm": "bn1"}
    for number, (block, _, stride) in enumerate(_blocks()):
        torch = f"layer{number // _BLOCKS + 1}.{number % _BLOCKS}"
        for part in ("1", "2"):
            names |= {f"{block}_conv{part}": f"{torch}.conv{part}", f"{block}_norm{part}": f"{torch}.bn{part}"}
        if stride > 1:
            names |= {
                f"{block}_shortcut_conv": f"{torch}.downsample.0",
                f"{block}_shortcut_norm": f"{torch}.downsample.1",
            }
    return names


def _block(x: keras.KerasTensor, name: str, filters: int, stride: int) -> keras.KerasTensor:
    """Two convolutions, and the input added to what they give; where the shape changes, a projection of it."""
    before = x if stride == 1 else _convolution(x, f"{name}_shortcut", "", filters, kernel=1, stride=stride)
    x = layers.ReLU(name=f"{name}_relu1")(_convolution(x, name, "1", filters, stride=stride))
    x = _convolution(x, name, "2", filters)
    return layers.ReLU(name=f"{name}_relu2")(layers.Add(name=f"{name}_add")([before, x]))


def _convolution(
    x: keras.KerasTensor, name: str, number: str, filters: int, kernel: int = 3, stride: int = 1
) -> keras.KerasTensor:
    """Convolution with zeros alike on all sides (Keras' own are lopsided with a stride), and batch normalisation."""
    if kernel > 1 and stride > 1:
        x = layers.ZeroPadding2D(kernel // 2, name=f"{name}_pad{number}")(x)
    padding = "same" if stride == 1 else "valid"
    x = layers.Conv2D(filters, kernel, stride, padding, use_bias=False, name=f"{name}_conv{number}")(x)
    return layers.BatchNormalization(momentum=0.9, epsilon=1e-5, name=f"{name}_norm{number}")(x)
