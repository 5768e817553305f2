"""What a model family is: parameters from the configuration, and a network from parameters."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, ClassVar, NamedTuple

import keras

from galaxycnn.config.schema import Config, ModelParams
from galaxycnn.data.generator import CUTOUT, INPUTS
from galaxycnn.errors import ConfigError, nearest
from galaxycnn.models.layers import StopGradient
from galaxycnn.models.outputs import flat_name
from galaxycnn.models.quantity_heads import predicted
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


SCALED_INPUTS = "scaled_inputs"
"""The layer that scales the inputs; what to, it learns from the training part."""


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
        quantities: the numbers to predict beside the answers, by name.
        inputs: the numbers that the network is given beside the cutout, by name.
    """

    Params: ClassVar[type[ModelParams]] = ModelParams
    flat_output: ClassVar[bool] = True
    """Whether several questions are answered by one output, rather than one output each."""
    takes_numbers: ClassVar[bool] = False
    """Whether it predicts quantities and takes inputs."""
    fast_in_bfloat16: ClassVar[bool] = True
    """Whether a processor that is fast in bfloat16 trains it faster so, as most but for depthwise convolutions."""

    def __init__(
        self,
        params: Any,
        input_shape: tuple[int, int, int],
        tree: DecisionTree,
        normalize: bool = True,
        quantities: Sequence[str] = (),
        inputs: Sequence[str] = (),
    ) -> None:
        self.params = params
        self.input_shape = input_shape
        self.tree = tree
        self.normalize = normalize
        self.quantities = tuple(quantities)
        self.inputs = tuple(inputs)

    @classmethod
    def of(cls, config: Config, labels: DecisionTree) -> ModelFamily:
        """The family that ``config`` names, for the questions it picks from ``labels``."""
        preprocessing = config.data_preprocessing
        family: type[ModelFamily] = MODELS[config.model_params.model_type]
        tree = preprocessing.target_tree(labels)
        return family(
            config.model_params,
            preprocessing.input_shape,
            tree,
            preprocessing.normalize,
            preprocessing.quantities,
            preprocessing.inputs,
        )

    def check(self) -> None:
        """Raise a ConfigError where these parameters cannot answer these questions or predict these quantities."""
        for key, names in (("quantities", self.quantities), ("inputs", self.inputs)):
            if names and not self.takes_numbers:
                able = ", ".join(name for name, family in MODELS.items() if family.takes_numbers)
                raise ConfigError(
                    f"data_preprocessing.{key}: {self.params.model_type!r} knows nothing of {', '.join(names)}; choose"
                    f" one of {able}"
                )
        for name in self.params.stop_gradient:
            if name not in self.output_names:
                self._refuse("stop_gradient", f"there is no output {name!r}{nearest(name, self.output_names)}")

    @property
    def output_names(self) -> tuple[str, ...]:
        """What the outputs are called, where there are several."""
        questions = [flat_name(self.tree)] if self.tree.questions else []
        if not self.flat_output:
            questions = [question.name for question in self.tree.questions]
        return (*questions, *self.quantities)

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
        pixels = keras.Input(self.input_shape, name=CUTOUT)
        return pixels, keras.layers.Rescaling(1 / 255, name="normalize")(pixels) if self.normalize else pixels

    def adapt(self, model: keras.Model, quantities: Mapping[str, Any], inputs: Any) -> None:
        """Tell the heads of quantities, and what scales the inputs, of the training part, before ``model`` is fitted.

        Args:
            model: what :meth:`build` returned.
            quantities: by name, each of shape (galaxies,), NaN where unknown.
            inputs: shape (galaxies, inputs).

        Raises:
            DataError: there are not two different values of a quantity.
        """
        for name, values in quantities.items():
            model.get_layer(name).adapt(values)
        if self.inputs:
            model.get_layer(SCALED_INPUTS).adapt(inputs)

    def fractions(self, x: keras.KerasTensor) -> keras.KerasTensor:
        """All answers, from the features (batch, features)."""
        raise TypeError(f"{type(self).__name__} does not answer questions in one output")

    def with_inputs(self, pixels: keras.KerasTensor, x: keras.KerasTensor) -> tuple[Any, keras.KerasTensor]:
        """What the network takes, and its features joined by its inputs, each with mean 0 and variance 1."""
        if not self.inputs:
            return pixels, x
        numbers = keras.Input((len(self.inputs),), name=INPUTS)
        scaled = keras.layers.Normalization(name=SCALED_INPUTS)(numbers)
        return {CUTOUT: pixels, INPUTS: numbers}, keras.layers.Concatenate(name="joined_inputs")([x, scaled])

    def outputs(self, x: keras.KerasTensor) -> Any:
        """All that is predicted from the features ``x``: the fractions, or a dict of them and the quantities."""
        if not self.quantities:
            return self.fractions(x)
        outputs, params = {}, self.params
        if self.tree.questions:
            name = flat_name(self.tree)
            outputs[name] = self.fractions(self._before(x, name))
        for name in self.quantities:
            outputs[name] = predicted(self._before(x, name), name, params.quantity_head, params.quantity_parts)
        return outputs

    def _before(self, x: keras.KerasTensor, output: str) -> keras.KerasTensor:
        """The features as that output sees them, which it may not be allowed to teach."""
        return StopGradient(name=f"{output}_stop")(x) if output in self.params.stop_gradient else x

    def _refuse(self, key: str, problem: str) -> None:
        raise ConfigError(f"model_params.{key}: {problem}")
