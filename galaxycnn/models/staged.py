"""Backbones in stages, which can start from the weights of another network, and how gently those are changed."""

from __future__ import annotations

import re
from collections.abc import Mapping
from pathlib import Path
from typing import Any, ClassVar, Literal

import keras

from galaxycnn.config.fields import NonNegativeInt, Share
from galaxycnn.errors import UserError, nearest
from galaxycnn.models.backbone import BackboneFamily, BackboneParams
from galaxycnn.models.family import Rate
from galaxycnn.models.pretrained_layers import merged_weights
from galaxycnn.pretrained import PRETRAINED, model_file

KERAS_FILES = (".keras", ".h5")


class StagedParams(BackboneParams):
    """Where the backbone's first weights come from, and how fast they change."""

    weights: str = "none"
    """`none` (random), a network that comes along (`galaxy_zoo`), or a file of this project (`.keras`,
    `.h5`), whose backbone is taken."""
    frozen_stages: NonNegativeInt | Literal["all"] = 0
    """So many stages of the backbone, counted from the pixels, keep their first weights."""
    stage_rate: Share = 1.0
    """Each stage learns at this factor of the rate of the stage after it; the head at the full rate."""
    unfreeze_epoch: NonNegativeInt = 0
    """Epochs in which only the head learns, before the backbone joins in; running statistics of batch normalisation
    follow the galaxies from the start."""


class StagedFamily(BackboneFamily):
    """A backbone in stages, which a subclass names from the pixels on.

    Attributes:
        STAGES: for each stage a pattern that the names of its layers begin with.
        FILES: how the names of files end whose weights it takes.
        NAMED: first weights that are no file of the user's.
    """

    Params = StagedParams
    params: StagedParams
    STAGES: ClassVar[tuple[str, ...]] = ()
    FILES: ClassVar[tuple[str, ...]] = KERAS_FILES
    NAMED: ClassVar[tuple[str, ...]] = ("none", *PRETRAINED)

    def check(self) -> None:
        super().check()
        params, stages = self.params, len(self.stage_patterns)
        if params.weights not in self.NAMED and Path(params.weights).suffix not in self.FILES:
            hint = nearest(params.weights, self.NAMED)
            self._refuse("weights", f"{params.weights!r} is no file of weights ({', '.join(self.FILES)}){hint}")
        if params.frozen_stages != "all" and params.frozen_stages > stages:
            self._refuse("frozen_stages", f"{params.model_type!r} has {stages} stages, not {params.frozen_stages}")
        if params.frozen_stages and params.weights == "none":
            self._refuse("frozen_stages", "without first weights (weights: none) frozen stages would stay random")

    def build(self) -> keras.Model:
        model = self.prepared(super().build())
        for layer in model.layers:
            if self.is_frozen(layer):
                layer.trainable = False
        return model

    def prepared(self, model: keras.Model) -> keras.Model:
        """``model`` with its first weights."""
        self.load(model)
        return model

    # -- stages ----------------------------------------------------------------------------------

    @property
    def stage_patterns(self) -> tuple[str, ...]:
        """``STAGES``, or more or fewer of them where the configuration says how many there are."""
        return self.STAGES

    def stage(self, layer: keras.layers.Layer) -> int | None:
        """The number of the stage that ``layer`` belongs to, from 0 at the pixels; None for the head."""
        return next((i for i, pattern in enumerate(self.stage_patterns) if re.match(pattern, layer.name)), None)

    def is_frozen(self, layer: keras.layers.Layer) -> bool:
        """Whether ``layer`` keeps its first weights."""
        stage, frozen = self.stage(layer), self.params.frozen_stages
        return stage is not None and (frozen == "all" or stage < frozen)

    def rates(self, model: keras.Model) -> list[Rate]:
        of = {id(weight): self._rate(layer) for layer in model.layers for weight in layer.trainable_weights}
        return [of[id(weight)] for weight in model.trainable_weights]

    def _rate(self, layer: keras.layers.Layer) -> Rate:
        stage = self.stage(layer)
        if stage is None:
            return Rate()
        return Rate(self.params.stage_rate ** (len(self.stage_patterns) - stage), self.params.unfreeze_epoch)

    # -- weights ---------------------------------------------------------------------------------

    def load(self, model: keras.Model) -> None:
        """Give the backbone of ``model`` the weights that the configuration names.

        Raises:
            UserError: there is no such file, or it does not fit.
        """
        source = self.params.weights
        if source == "none":
            return
        path = model_file(source)
        if not path.is_file():
            siblings = [str(other) for other in path.parent.glob("*") if other.suffix in self.FILES]
            self._refuse("weights", f"there is no file {source}{nearest(source, sorted(siblings))}")
        self.load_file(model, path)

    def load_file(self, model: keras.Model, path: Path) -> None:
        """Give the backbone of ``model`` the weights in a file of Keras."""
        from galaxycnn.models.saving import load_model, read_recipe

        try:
            family = read_recipe(path).config.model_params.model_type
        except UserError:
            return self.load_original(model, path)
        if family != self.params.model_type:
            self._refuse("weights", f"{path} holds a {family!r}, not a {self.params.model_type!r}")
        self.copy_backbone({layer.name: merged_weights(layer) for layer in load_model(path).layers}, model)

    def load_original(self, model: keras.Model, path: Path) -> None:
        """Give the backbone of ``model`` the weights in a file of Keras that this project did not write."""
        self._refuse("weights", f"{path} is no model of this project")

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
