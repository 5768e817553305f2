"""What a model family is: parameters from the configuration, and a network from parameters."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, ClassVar, NamedTuple

import keras

from galaxycnn.config.schema import Config, ModelParams
from galaxycnn.errors import ConfigError
from galaxycnn.registry import MODELS
from galaxycnn.tree import DecisionTree, Question


@dataclass(frozen=True)
class Stage:
    """One fit of a training: which network is fitted, to which question (None: all at once)."""

    model: keras.Model
    question: Question | None = None

    def answers(self, tree: DecisionTree) -> DecisionTree:
        """The questions of ``tree`` that this fit teaches."""
        return tree if self.question is None else tree.subset([self.question.name])


class Rate(NamedTuple):
    """How fast a variable learns: a factor of the learning rate, and the epoch in which it begins to learn."""

    factor: float = 1.0
    from_epoch: int = 0


class ModelFamily:
    """Base of all families: subclass it in a file of this package and register it with ``MODELS``.

    Args:
        params: the ``model_params`` of the configuration.
        input_shape: height, width and channels of a cutout.
        tree: the questions to answer; its columns are the network's outputs, in order.
        normalize: whether pixels 0–255 are scaled to 0–1 by the network's first layer.
    """

    Params: ClassVar[type[ModelParams]] = ModelParams
    flat_output: ClassVar[bool] = True
    """Whether several questions are answered by one output, rather than one output each."""
    fast_in_bfloat16: ClassVar[bool] = True
    """Whether a processor with bfloat16 trains it faster that way, as most but for depthwise convolutions."""

    def __init__(
        self, params: Any, input_shape: tuple[int, int, int], tree: DecisionTree, normalize: bool = True
    ) -> None:
        self.params = params
        self.input_shape = input_shape
        self.tree = tree
        self.normalize = normalize

    @classmethod
    def of(cls, config: Config, labels: DecisionTree) -> ModelFamily:
        """The family that ``config`` names, for the questions it picks from ``labels``."""
        preprocessing = config.data_preprocessing
        family: type[ModelFamily] = MODELS[config.model_params.model_type]
        tree = preprocessing.target_tree(labels)
        return family(config.model_params, preprocessing.input_shape, tree, preprocessing.normalize)

    def check(self) -> None:
        """Raise a ConfigError where these parameters cannot answer these questions."""

    def build(self) -> keras.Model:
        """The network: pixels 0–255 in; fractions out, flat or one output per question."""
        raise TypeError(f"{type(self).__name__} does not build a network")

    def stages(self, model: keras.Model) -> list[Stage]:
        """How ``model`` is trained: by default in one go."""
        return [Stage(model)]

    def rates(self, model: keras.Model) -> list[Rate]:
        """How fast each of ``model.trainable_weights`` learns: by default all alike."""
        return [Rate() for _ in model.trainable_weights]

    def pixels(self) -> tuple[keras.KerasTensor, keras.KerasTensor]:
        """The input and the same input as the first trained layer sees it."""
        pixels = keras.Input(self.input_shape, name="cutout")
        return pixels, keras.layers.Rescaling(1 / 255, name="normalize")(pixels) if self.normalize else pixels

    def _refuse(self, key: str, problem: str) -> None:
        raise ConfigError(f"model_params.{key}: {problem}")
