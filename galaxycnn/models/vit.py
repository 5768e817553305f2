"""The *vision transformer*: attention between the patches of a cutout."""

from __future__ import annotations

import keras
from keras import layers

from galaxycnn.config.fields import DropRate, PositiveInt, Switch, Units
from galaxycnn.models.backbone import BackboneFamily, BackboneParams
from galaxycnn.models.heads import HeadName
from galaxycnn.models.layers import Positions
from galaxycnn.registry import MODELS


class ViTParams(BackboneParams):
    """The values are those of the published network."""

    patch_size: PositiveInt = 8
    """Side of a patch in pixels; divides the sides of the cutout."""
    projection_dim: PositiveInt = 64
    """Numbers that a patch is described by, from its projection to the end."""
    blocks: PositiveInt = 12
    """Transformer blocks, one after the other."""
    attention_heads: PositiveInt = 8
    """Heads of the attention of each block: sets of weights between patches."""
    key_dim: PositiveInt = 64
    """Numbers that a head compares patches by."""
    mlp_units: PositiveInt = 128
    """Hidden units of the two dense layers that end a block."""
    block_dropout_rate: DropRate = 0.1
    """Share of attention weights, and of units after each dense layer of a block, that are dropped."""
    class_token: Switch = True
    """Read the answers off one more, learnt token, instead of off all patches as `flattening` says."""
    head: HeadName = "sigmoid"
    dense_units: Units = [64, 64]
    dropout_rate: DropRate | None = 0.1


@MODELS.register("vit")
class ViT(BackboneFamily):
    """A vision transformer of 8×8 patches, 12 blocks and 8 heads, whose answers are read off a class token.

    Source: "Soft-Classification of Galaxy Morphologies Using Deep Neural Networks", sections 5.3 and 6.4, and its code,
    which follows Salama (2021, keras.io, "Image classification with Vision Transformer") and Dosovitskiy et al. 2020,
    arXiv:2010.11929. 1,821,477 parameters for 64×64 pixels and all 37 answers, the "1.8 million" of the text: heads
    compare patches by 64 numbers each, as in Salama's code, not by 64 / 8. His way of reading the answers
    (``class_token: false``, ``flattening: Flatten``) takes 2,079,397.

    The attention of block ``n`` is the layer ``block<n>_attention``; called on the output of ``block<n>_norm1`` with
    ``return_attention_scores=True`` it gives its weights, (batch, heads, tokens, tokens).
    """

    Params = ViTParams
    params: ViTParams
    dense_activation = "gelu"

    def check(self) -> None:
        super().check()
        height, width, _ = self.input_shape
        patch = self.params.patch_size
        if height % patch or width % patch:
            possible = [side for side in range(2, min(height, width) + 1) if height % side == width % side == 0]
            hint = f"; choose from {', '.join(map(str, possible))}" if possible else ""
            self._refuse("patch_size", f"a {height}×{width} cutout cannot be cut into patches of {patch}×{patch}{hint}")

    def features(self, x: keras.KerasTensor) -> keras.KerasTensor:
        patch, width = self.params.patch_size, self.params.projection_dim
        x = layers.Conv2D(width, patch, patch, name="patches")(x)
        grid = x.shape[1:3]
        x = layers.Reshape((grid[0] * grid[1], width), name="tokens")(x)
        x = Positions(class_token=self.params.class_token, name="positions")(x)
        for number in range(1, self.params.blocks + 1):
            x = self._block(x, f"block{number}")
        if not self.params.class_token:
            return layers.Reshape((*grid, width), name="patch_map")(_normalized(x, "norm"))
        x = layers.Cropping1D((grid[0] * grid[1], 0), name="class_token")(x)
        return _normalized(layers.Flatten(name="features")(x), "norm")

    def _block(self, x: keras.KerasTensor, name: str) -> keras.KerasTensor:
        """Attention between tokens, then two dense layers for each; both are added to what came in."""
        drop, sizes = self.params.block_dropout_rate, (self.params.mlp_units, self.params.projection_dim)
        attention = layers.MultiHeadAttention(
            self.params.attention_heads, self.params.key_dim, dropout=drop, name=f"{name}_attention"
        )
        normalized = _normalized(x, f"{name}_norm1")
        x = layers.Add(name=f"{name}_add1")([x, attention(normalized, normalized)])
        after = _normalized(x, f"{name}_norm2")
        for number, units in enumerate(sizes, start=1):
            after = layers.Dense(units, "gelu", name=f"{name}_dense{number}")(after)
            after = layers.Dropout(drop, name=f"{name}_dropout{number}")(after)
        return layers.Add(name=f"{name}_add2")([x, after])


def _normalized(x: keras.KerasTensor, name: str) -> keras.KerasTensor:
    return layers.LayerNormalization(epsilon=1e-6, name=name)(x)
