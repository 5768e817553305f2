"""ConvNeXt: a residual network with the proportions of a vision transformer."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any, Literal, NamedTuple

import keras
from keras import layers

from galaxycnn.config.fields import DropRate
from galaxycnn.models.applications import Application
from galaxycnn.models.pretrained import PretrainedParams
from galaxycnn.models.pretrained_layers import LayerScale
from galaxycnn.registry import MODELS


class _Variant(NamedTuple):
    """Blocks and filters of each stage."""

    blocks: tuple[int, int, int, int]
    filters: tuple[int, int, int, int]


_VARIANTS = {
    "tiny": _Variant((3, 3, 9, 3), (96, 192, 384, 768)),
    "small": _Variant((3, 3, 27, 3), (96, 192, 384, 768)),
    "base": _Variant((3, 3, 27, 3), (128, 256, 512, 1024)),
    "large": _Variant((3, 3, 27, 3), (192, 384, 768, 1536)),
    "xlarge": _Variant((3, 3, 27, 3), (256, 512, 1024, 2048)),
}


class ConvNeXtParams(PretrainedParams):
    """``drop_path_rate`` is 0.1 where its authors train ``tiny`` on ImageNet, more for larger ones."""

    variant: Literal["tiny", "small", "base", "large", "xlarge"] = "tiny"
    """Which network of the family, from small to large."""
    drop_path_rate: DropRate = 0.1
    """Share of galaxies for which the last block is skipped in training; earlier ones in proportion to their depth."""


@MODELS.register("convnext")
class ConvNeXt(Application):
    """ConvNeXt: ``tiny`` has 27,820,128 parameters before the head.

    Source: Liu et al. 2022, arXiv:2201.03545. It computes what the network of ``keras.applications`` does, and takes
    its weights; but that one hides layers in blocks, cannot be saved as ``.h5``, and is slow on a CPU. The feature map
    has 1/32 of a cutout's side.
    """

    Params = ConvNeXtParams
    params: ConvNeXtParams
    STAGES = (
        "stem_",
        "stage_0_",
        "downsampling_.*_0$|stage_1_",
        "downsampling_.*_1$|stage_2_",
        "downsampling_.*_2$|stage_3_|top_",
    )
    MIN_SIDE = 32
    fast_in_bfloat16 = False

    def features(self, x: keras.KerasTensor) -> keras.KerasTensor:
        blocks, filters = _VARIANTS[self.params.variant]
        x = layers.Conv2D(filters[0], 4, 4, name="stem_conv")(x)
        x = _normalized(x, "stem_layernorm")
        done = 0
        for stage in range(4):
            if stage:
                x = _normalized(x, f"downsampling_layernorm_{stage - 1}")
                x = layers.Conv2D(filters[stage], 2, 2, name=f"downsampling_conv_{stage - 1}")(x)
            for block in range(blocks[stage]):
                x = _block(x, f"stage_{stage}_block_{block}", self.params.drop_path_rate * done / (sum(blocks) - 1))
                done += 1
        return _normalized(x, "top_layernorm")

    def original(self, **arguments: Any) -> keras.Model:
        variant = {"xlarge": "XLarge"}.get(self.params.variant, self.params.variant.title())
        return getattr(keras.applications, f"ConvNeXt{variant}")(
            include_top=False, include_preprocessing=False, **arguments
        )

    def original_weights(self, source: keras.Model) -> dict[str, list[Any]]:
        found = {}
        for layer in _flattened(source):
            name = layer.name.removeprefix(f"{source.name}_")
            found[name] = layer.get_weights()
            if name.endswith("depthwise_conv"):  # channels as groups of a convolution
                found[name][0] = found[name][0].swapaxes(2, 3)
        return found | {"top_layernorm": source.layers[-1].get_weights()}


def _flattened(model: keras.Model) -> Iterator[keras.layers.Layer]:
    for layer in model.layers:
        yield from _flattened(layer) if isinstance(layer, keras.Model) else [layer]


def _normalized(x: keras.KerasTensor, name: str) -> keras.KerasTensor:
    return layers.LayerNormalization(epsilon=1e-6, name=name)(x)


def _block(x: keras.KerasTensor, name: str, drop: float) -> keras.KerasTensor:
    """Filter each channel by itself, widen, narrow; and add that, scaled, to the input."""
    before, filters = x, int(x.shape[-1])
    x = layers.DepthwiseConv2D(7, padding="same", name=f"{name}_depthwise_conv")(x)
    x = _normalized(x, f"{name}_layernorm")
    x = layers.Dense(4 * filters, activation="gelu", name=f"{name}_pointwise_conv_1")(x)
    x = layers.Dense(filters, name=f"{name}_pointwise_conv_2")(x)
    x = LayerScale(name=f"{name}_layer_scale")(x)
    if drop:
        x = layers.Dropout(drop, noise_shape=(None, 1, 1, 1), name=f"{name}_drop_path")(x)
    return layers.Add(name=f"{name}_add")([before, x])
