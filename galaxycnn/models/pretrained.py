"""Backbones that can start from weights learnt elsewhere, and how gently those are changed."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Annotated, ClassVar, Literal

import keras
from pydantic import Field

from galaxycnn.errors import UserError, nearest
from galaxycnn.models.backbone import BackboneFamily, BackboneParams
from galaxycnn.models.family import Rate
from galaxycnn.models.torch_weights import StateDict, read_state_dict


class PretrainedParams(BackboneParams):
    """Where the backbone's first weights come from, and how fast they change."""

    weights: str = "none"
    """`imagenet`, `none` (random), or a file: a model of this project, or a PyTorch state dict (`.pth`)."""
    frozen_stages: Annotated[int, Field(ge=0)] | Literal["all"] = 0
    """So many stages of the backbone, counted from the pixels, keep their first weights."""
    stage_rate: Annotated[float, Field(gt=0, le=1)] = 1.0
    """Each stage learns at this factor of the rate of the stage after it; the head at the full rate."""
    unfreeze_epoch: Annotated[int, Field(ge=0)] = 0
    """Epochs in which only the head learns, before the backbone joins in."""


class PretrainedFamily(BackboneFamily):
    """A backbone in stages, which a subclass names from the pixels on.

    Attributes:
        STAGES: for each stage a pattern that the names of its layers begin with.
    """

    Params = PretrainedParams
    params: PretrainedParams
    STAGES: ClassVar[tuple[str, ...]] = ()

    def check(self) -> None:
        frozen = self.params.frozen_stages
        if frozen != "all" and frozen > len(self.STAGES):
            self._refuse("frozen_stages", f"{self.params.model_type} has {len(self.STAGES)} stages, not {frozen}")

    def build(self) -> keras.Model:
        model = super().build()
        self.load(model)
        for layer in model.layers:
            stage = self.stage(layer)
            if stage is not None and stage < self._frozen:
                layer.trainable = False
        return model

    def pixels(self) -> tuple[keras.KerasTensor, keras.KerasTensor]:
        """Grey cutouts become three equal channels; then :meth:`scaled`, whatever ``normalize`` says."""
        pixels = keras.Input(self.input_shape, name="cutout")
        x = pixels if self.input_shape[-1] == 3 else keras.layers.Concatenate(name="rgb")([pixels] * 3)
        return pixels, self.scaled(x)

    def scaled(self, x: keras.KerasTensor) -> keras.KerasTensor:
        """Pixels 0–255 as the pretrained backbone saw them."""
        raise TypeError(f"{type(self).__name__} does not say how its pixels are scaled")

    # -- stages ----------------------------------------------------------------------------------

    def stage(self, layer: keras.layers.Layer) -> int | None:
        """The number of the stage that ``layer`` belongs to, from 0 at the pixels; None for the head."""
        return next((i for i, pattern in enumerate(self.STAGES) if re.match(pattern, layer.name)), None)

    @property
    def _frozen(self) -> int:
        return len(self.STAGES) if self.params.frozen_stages == "all" else self.params.frozen_stages

    def rates(self, model: keras.Model) -> list[Rate]:
        of = {id(weight): self._rate(layer) for layer in model.layers for weight in layer.trainable_weights}
        return [of[id(weight)] for weight in model.trainable_weights]

    def _rate(self, layer: keras.layers.Layer) -> Rate:
        stage = self.stage(layer)
        if stage is None:
            return Rate()
        return Rate(self.params.stage_rate ** (len(self.STAGES) - stage), self.params.unfreeze_epoch)

    # -- weights ---------------------------------------------------------------------------------

    def load(self, model: keras.Model) -> None:
        """Give the backbone of ``model`` the weights that the configuration names."""
        source = self.params.weights
        if source == "none":
            return
        if source == "imagenet":
            self.load_imagenet(model)
        elif Path(source).suffix in (".pth", ".pt"):
            self.load_torch(model, read_state_dict(source))
        elif Path(source).suffix in (".keras", ".h5"):
            self._load_own(model, Path(source))
        else:
            choices = ("imagenet", "none")
            self._refuse("weights", f"{source!r} is no file of weights (.keras, .h5 or .pth){nearest(source, choices)}")

    def load_imagenet(self, model: keras.Model) -> None:
        """Give the backbone of ``model`` weights learnt on ImageNet."""
        self._refuse("weights", f"there are no ImageNet weights for {self.params.model_type!r} here; give a file")

    def load_torch(self, model: keras.Model, state: StateDict) -> None:
        """Give the backbone of ``model`` the weights of a PyTorch state dict."""
        self._refuse("weights", f"{self.params.model_type!r} does not take weights of PyTorch; give .keras or .h5")

    def _load_own(self, model: keras.Model, path: Path) -> None:
        """Copy the backbone of a saved model of the same family, whatever its head was."""
        from galaxycnn.models.saving import load_model

        saved = {layer.name: layer for layer in load_model(path).layers}
        for layer in model.layers:
            if self.stage(layer) is None or not layer.weights:
                continue
            weights = saved[layer.name].get_weights() if layer.name in saved else []
            if [weight.shape for weight in weights] != [tuple(weight.shape) for weight in layer.weights]:
                raise UserError(f"{path}: its backbone has no {layer.name!r} that fits {self.params.model_type!r}")
            layer.set_weights(weights)
