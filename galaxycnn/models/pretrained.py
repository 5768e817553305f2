"""Backbones whose first weights may have been learnt from photographs of other things."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import ClassVar

import keras

from galaxycnn.config.fields import PositiveInt
from galaxycnn.errors import ConfigError, UserError
from galaxycnn.models.pretrained_layers import LowRankConv2D, LowRankDense, with_low_rank
from galaxycnn.models.staged import StagedFamily, StagedParams
from galaxycnn.models.torch_weights import StateDict, read_state_dict

IMAGENET_MEAN = (0.485, 0.456, 0.406)
IMAGENET_STD = (0.229, 0.224, 0.225)
"""Mean and standard deviation of the channels of ImageNet, where pixels are 0–1."""

TORCH_FILES = (".pth", ".pt")


class PretrainedParams(StagedParams):
    """Where the backbone's first weights come from, and how fast they change."""

    weights: str = "none"
    """`imagenet`, `none` (random), a network that comes along (`galaxy_zoo_lite0`), or a file: a model of this project
    (`.keras`, `.h5`), whose backbone is taken, weights of `keras.applications` without the top (`.h5`), or a PyTorch
    state dict (`.pth`)."""
    lora_rank: PositiveInt | None = None
    """Low-rank adaptation: besides the head, only a change of this rank to each kernel of the backbone learns."""


class PretrainedFamily(StagedFamily):
    """A backbone in stages that is known beyond this project, where it may have learnt.

    Attributes:
        MIN_SIDE: the least height and width of a cutout, in pixels.
    """

    Params = PretrainedParams
    params: PretrainedParams
    NAMED = ("imagenet", *StagedFamily.NAMED)
    MIN_SIDE: ClassVar[int] = 1

    def check(self) -> None:
        params, (height, width, _) = self.params, self.input_shape
        if min(height, width) < self.MIN_SIDE:
            raise ConfigError(
                f"data_preprocessing.img_size: {params.model_type!r} needs {self.MIN_SIDE}×{self.MIN_SIDE} pixels or"
                f" more, found {height}×{width}"
            )
        super().check()
        if params.lora_rank and params.weights == "none":
            self._refuse("lora_rank", "without first weights (weights: none) there is nothing to adapt")
        if params.lora_rank and params.frozen_stages:
            self._refuse("lora_rank", "adapts all stages and freezes the rest itself; leave frozen_stages at 0")

    def prepared(self, model: keras.Model) -> keras.Model:
        """``model`` with its first weights and, if the configuration says so, with low-rank changes to them."""
        model = super().prepared(model)
        if self.params.lora_rank:
            return with_low_rank(model, self.params.lora_rank, lambda layer: self.stage(layer) is not None)
        return model

    def pixels(self) -> tuple[keras.KerasTensor, keras.KerasTensor]:
        """Grey cutouts become three equal channels; then :meth:`scaled`, whatever ``normalize`` says."""
        pixels = keras.Input(self.input_shape, name="cutout")
        x = pixels if self.input_shape[-1] == 3 else keras.layers.Concatenate(name="rgb")([pixels] * 3)
        return pixels, self.scaled(x)

    def scaled(self, x: keras.KerasTensor) -> keras.KerasTensor:
        """Pixels 0–255 as the pretrained backbone saw them: here each channel of ImageNet with mean 0 and variance 1.

        As all scaling of pretrained networks, in float32 whatever the precision of the backbone.
        """
        scale = [1 / (255 * deviation) for deviation in IMAGENET_STD]
        offset = [-mean / deviation for mean, deviation in zip(IMAGENET_MEAN, IMAGENET_STD, strict=True)]
        return keras.layers.Rescaling(scale, offset, dtype="float32", name="normalize")(x)

    def is_frozen(self, layer: keras.layers.Layer) -> bool:
        if self.params.lora_rank and self.stage(layer) is not None:
            return not isinstance(layer, LowRankConv2D | LowRankDense)
        return super().is_frozen(layer)

    # -- weights ---------------------------------------------------------------------------------

    def load(self, model: keras.Model) -> None:
        if self.params.weights == "imagenet":
            self.load_imagenet(model)
        else:
            super().load(model)

    def load_imagenet(self, model: keras.Model) -> None:
        """Give the backbone of ``model`` weights learnt on ImageNet."""
        self._refuse("weights", f"there are no ImageNet weights for {self.params.model_type!r} here; give a file")

    def load_file(self, model: keras.Model, path: Path) -> None:
        if path.suffix in TORCH_FILES:
            self.load_torch(model, read_state_dict(path))
        else:
            super().load_file(model, path)

    def load_torch(self, model: keras.Model, state: StateDict) -> None:
        """Give the backbone of ``model`` the weights of a PyTorch state dict."""
        raise TypeError(f"{type(self).__name__} does not say how weights of PyTorch are called")

    @contextmanager
    def downloading(self) -> Iterator[None]:
        """A download that fails in here ends with one sentence."""
        try:
            yield
        except Exception as error:  # Keras raises bare ones
            reason = str(error).splitlines()[0]
            raise UserError(
                f"model_params.weights: the ImageNet weights of {self.params.model_type!r} cannot be downloaded"
                f" ({reason}); give the path of their file instead, or none"
            ) from None
