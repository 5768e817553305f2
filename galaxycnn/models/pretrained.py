"""Backbones that can start from weights learnt elsewhere, and how gently those are changed."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any, ClassVar, Literal

import keras

from galaxycnn.config.fields import NonNegativeInt, PositiveInt, Share
from galaxycnn.errors import ConfigError, UserError, nearest
from galaxycnn.models.backbone import BackboneFamily, BackboneParams
from galaxycnn.models.family import Rate
from galaxycnn.models.pretrained_layers import LowRankConv2D, LowRankDense, merged_weights, with_low_rank
from galaxycnn.models.torch_weights import StateDict, read_state_dict
from galaxycnn.pretrained import PRETRAINED, model_file

IMAGENET_MEAN = (0.485, 0.456, 0.406)
IMAGENET_STD = (0.229, 0.224, 0.225)
"""Mean and standard deviation of the channels of ImageNet, where pixels are 0–1."""

KERAS_FILES = (".keras", ".h5")
TORCH_FILES = (".pth", ".pt")

NAMED = ("imagenet", "none", *PRETRAINED)
"""First weights that are no file of the user's."""


class PretrainedParams(BackboneParams):
    """Where the backbone's first weights come from, and how fast they change."""

    weights: str = "none"
    """`imagenet`, `none` (random), a network that comes along (`galaxy_zoo`), or a file: a model of this project
    (`.keras`, `.h5`), whose backbone is taken, weights of `keras.applications` without the top (`.h5`), or a PyTorch
    state dict (`.pth`)."""
    frozen_stages: NonNegativeInt | Literal["all"] = 0
    """So many stages of the backbone, counted from the pixels, keep their first weights."""
    stage_rate: Share = 1.0
    """Each stage learns at this factor of the rate of the stage after it; the head at the full rate."""
    unfreeze_epoch: NonNegativeInt = 0
    """Epochs in which only the head learns, before the backbone joins in; running statistics of batch normalisation
    follow the galaxies from the start."""
    lora_rank: PositiveInt | None = None
    """Low-rank adaptation: besides the head, only a change of this rank to each kernel of the backbone learns."""


class PretrainedFamily(BackboneFamily):
    """A backbone in stages, which a subclass names from the pixels on.

    Attributes:
        STAGES: for each stage a pattern that the names of its layers begin with.
        MIN_SIDE: the least height and width of a cutout, in pixels.
        FILES: how the names of files end whose weights it takes.
    """

    Params = PretrainedParams
    params: PretrainedParams
    STAGES: ClassVar[tuple[str, ...]] = ()
    MIN_SIDE: ClassVar[int] = 1
    FILES: ClassVar[tuple[str, ...]] = KERAS_FILES

    def check(self) -> None:
        super().check()
        params, (height, width, _) = self.params, self.input_shape
        if min(height, width) < self.MIN_SIDE:
            raise ConfigError(
                f"data_preprocessing.img_size: {params.model_type!r} needs {self.MIN_SIDE}×{self.MIN_SIDE} pixels or"
                f" more, found {height}×{width}"
            )
        if params.weights not in NAMED and Path(params.weights).suffix not in self.FILES:
            hint = nearest(params.weights, NAMED)
            self._refuse("weights", f"{params.weights!r} is no file of weights ({', '.join(self.FILES)}){hint}")
        if params.frozen_stages != "all" and params.frozen_stages > len(self.STAGES):
            stages = len(self.STAGES)
            self._refuse("frozen_stages", f"{params.model_type!r} has {stages} stages, not {params.frozen_stages}")
        if params.frozen_stages and params.weights == "none":
            self._refuse("frozen_stages", "without first weights (weights: none) frozen stages would stay random")
        if params.lora_rank and params.weights == "none":
            self._refuse("lora_rank", "without first weights (weights: none) there is nothing to adapt")
        if params.lora_rank and params.frozen_stages:
            self._refuse("lora_rank", "adapts all stages and freezes the rest itself; leave frozen_stages at 0")

    def build(self) -> keras.Model:
        model = super().build()
        self.load(model)
        if self.params.lora_rank:
            model = with_low_rank(model, self.params.lora_rank, lambda layer: self.stage(layer) is not None)
        for layer in model.layers:
            if self._is_frozen(layer):
                layer.trainable = False
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

    # -- stages ----------------------------------------------------------------------------------

    def stage(self, layer: keras.layers.Layer) -> int | None:
        """The number of the stage that ``layer`` belongs to, from 0 at the pixels; None for the head."""
        return next((i for i, pattern in enumerate(self.STAGES) if re.match(pattern, layer.name)), None)

    def _is_frozen(self, layer: keras.layers.Layer) -> bool:
        stage, frozen = self.stage(layer), self.params.frozen_stages
        if stage is None or isinstance(layer, LowRankConv2D | LowRankDense):
            return False
        return bool(self.params.lora_rank) or frozen == "all" or stage < frozen

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
        """Give the backbone of ``model`` the weights that the configuration names.

        Raises:
            UserError: there is no such file, it does not fit, or it cannot be downloaded.
        """
        source = self.params.weights
        if source == "none":
            return
        if source == "imagenet":
            return self.load_imagenet(model)
        path = model_file(source)
        if not path.is_file():
            siblings = [str(other) for other in path.parent.glob("*") if other.suffix in self.FILES]
            self._refuse("weights", f"there is no file {source}{nearest(source, sorted(siblings))}")
        if path.suffix in TORCH_FILES:
            self.load_torch(model, read_state_dict(path))
        else:
            self._load_keras(model, path)

    def load_imagenet(self, model: keras.Model) -> None:
        """Give the backbone of ``model`` weights learnt on ImageNet."""
        self._refuse("weights", f"there are no ImageNet weights for {self.params.model_type!r} here; give a file")

    def load_torch(self, model: keras.Model, state: StateDict) -> None:
        """Give the backbone of ``model`` the weights of a PyTorch state dict."""
        raise TypeError(f"{type(self).__name__} does not say how weights of PyTorch are called")

    def load_original(self, model: keras.Model, path: Path) -> None:
        """Give the backbone of ``model`` the weights in a file of Keras that this project did not write."""
        self._refuse("weights", f"{path} is no model of this project")

    def _load_keras(self, model: keras.Model, path: Path) -> None:
        from galaxycnn.models.saving import load_model, read_recipe

        try:
            family = read_recipe(path).config.model_params.model_type
        except UserError:
            return self.load_original(model, path)
        if family != self.params.model_type:
            self._refuse("weights", f"{path} holds a {family!r}, not a {self.params.model_type!r}")
        self.copy_backbone({layer.name: merged_weights(layer) for layer in load_model(path).layers}, model)

    def copy_backbone(self, source: Mapping[str, list[Any]], model: keras.Model) -> None:
        """Give the layers of the backbone of ``model`` the weights that ``source`` has under their names."""
        for layer in model.layers:
            if self.stage(layer) is None or not layer.weights:
                continue
            weights = source.get(layer.name, [])
            if [weight.shape for weight in weights] != [tuple(weight.shape) for weight in layer.weights]:
                problem = f"{self.params.weights} has no layer {layer.name!r} that fits; is it another variant?"
                self._refuse("weights", problem)
            layer.set_weights(weights)

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
