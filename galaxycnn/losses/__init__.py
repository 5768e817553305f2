"""Losses by the name that ``train_params.loss_function`` gives, and the class weights that some take.

Every loss works on fractions of shape (batch, answers) and returns one value per galaxy; Keras
averages over the batch. All are registered with Keras, so that compiled models reload.
"""

from __future__ import annotations

import inspect
from collections.abc import Mapping, Sequence
from typing import Any, Literal

import keras
import numpy as np
from keras import ops

from galaxycnn.errors import ConfigError, nearest
from galaxycnn.registry import LOSSES
from galaxycnn.tree import DecisionTree, Floats

_serializable = keras.saving.register_keras_serializable(package="galaxycnn")


class _AnswerWeighted(keras.losses.Loss):
    """A loss whose terms are weighted answer by answer."""

    def __init__(self, class_weights: Sequence[float] | None = None, name: str | None = None, **kwargs: Any) -> None:
        super().__init__(name=name, **kwargs)
        self.class_weights = None if class_weights is None else [float(weight) for weight in class_weights]

    def _weighted(self, terms: Any) -> Any:
        return terms if self.class_weights is None else terms * ops.convert_to_tensor(self.class_weights, terms.dtype)

    def get_config(self) -> dict[str, Any]:
        return {**super().get_config(), "class_weights": self.class_weights}


@LOSSES.register("focal_loss")
@_serializable
class FocalLoss(_AnswerWeighted):
    """Cross-entropy that weighs hard answers up (Lin et al. 2017, arXiv:1708.02002, equation 5).

    Args:
        alpha: factor of the whole loss; class weights, where given, multiply each answer's term.
        gamma: focusing parameter; 0 is plain cross-entropy.
        form: ``"fraction"`` treats every answer as yes-or-no, α [y (1-p)^γ (-log p) +
            (1-y) p^γ (-log(1-p))], as the code of Sobral Blanco (2023) does: for fractional labels its minimum is
            not at p = y. ``"quality"`` is |y-p|^γ × cross-entropy (Li et al. 2020,
            arXiv:2006.04388), the same for labels 0 and 1 and with its minimum at p = y.
            ``"categorical"`` is -α Σ y (1-p)^γ log p, for softmax outputs.

    Example:
        >>> loss = FocalLoss(alpha=1.0, gamma=0.0)
        >>> round(float(loss(ops.convert_to_tensor([[1.0]]), ops.convert_to_tensor([[0.5]]))), 4)
        0.6931
    """

    def __init__(
        self,
        alpha: float = 0.2,
        gamma: float = 1.5,
        form: Literal["fraction", "quality", "categorical"] = "fraction",
        class_weights: Sequence[float] | None = None,
        name: str = "focal_loss",
        **kwargs: Any,
    ) -> None:
        super().__init__(class_weights, name, **kwargs)
        if form not in _FOCAL_TERMS:
            raise ValueError(f"form: there is no form {form!r}{nearest(form, _FOCAL_TERMS)}")
        self.alpha, self.gamma, self.form = alpha, gamma, form

    def call(self, y_true: Any, y_pred: Any) -> Any:
        fraction = ops.cast(y_true, y_pred.dtype)
        predicted = ops.clip(y_pred, keras.config.epsilon(), 1 - keras.config.epsilon())
        terms = self._weighted(_FOCAL_TERMS[self.form](fraction, predicted, self.gamma))
        reduce = ops.sum if self.form == "categorical" else ops.mean
        return self.alpha * reduce(terms, axis=-1)

    def get_config(self) -> dict[str, Any]:
        return {**super().get_config(), "alpha": self.alpha, "gamma": self.gamma, "form": self.form}


def _fraction_terms(y: Any, p: Any, gamma: float) -> Any:
    return -y * (1 - p) ** gamma * ops.log(p) - (1 - y) * p**gamma * ops.log(1 - p)


def _quality_terms(y: Any, p: Any, gamma: float) -> Any:
    focus = ops.maximum(ops.abs(y - p), keras.config.epsilon()) ** gamma
    return focus * (-y * ops.log(p) - (1 - y) * ops.log(1 - p))


def _categorical_terms(y: Any, p: Any, gamma: float) -> Any:
    return -y * (1 - p) ** gamma * ops.log(p)


_FOCAL_TERMS = {"fraction": _fraction_terms, "quality": _quality_terms, "categorical": _categorical_terms}


@LOSSES.register("weighted_mse")
@_serializable
class WeightedMeanSquaredError(_AnswerWeighted):
    """Mean over the answers of w (y - p)², with the weights of ``model_params.class_weights``.

    Example:
        >>> loss = WeightedMeanSquaredError([1.0, 3.0])
        >>> float(loss(ops.zeros((1, 2)), ops.ones((1, 2))))
        2.0
    """

    def __init__(self, class_weights: Sequence[float], name: str = "weighted_mse", **kwargs: Any) -> None:
        super().__init__(class_weights, name, **kwargs)

    def call(self, y_true: Any, y_pred: Any) -> Any:
        return ops.mean(self._weighted(ops.square(ops.cast(y_true, y_pred.dtype) - y_pred)), axis=-1)


@LOSSES.register("weighted_cce")
@_serializable
class WeightedCategoricalCrossentropy(_AnswerWeighted):
    """Sum over the answers of -w y log p, with the weights of ``model_params.class_weights``.

    Predictions are divided by their sum first, as Keras' own categorical cross-entropy does.

    Example:
        >>> loss = WeightedCategoricalCrossentropy([2.0, 1.0])
        >>> round(float(loss(ops.convert_to_tensor([[1.0, 0.0]]), ops.convert_to_tensor([[0.5, 0.5]]))), 4)
        1.3863
    """

    def __init__(self, class_weights: Sequence[float], name: str = "weighted_cce", **kwargs: Any) -> None:
        super().__init__(class_weights, name, **kwargs)

    def call(self, y_true: Any, y_pred: Any) -> Any:
        epsilon = keras.config.epsilon()
        share = y_pred / ops.maximum(ops.sum(y_pred, axis=-1, keepdims=True), epsilon)
        logs = ops.log(ops.clip(share, epsilon, 1 - epsilon))
        return ops.sum(self._weighted(-ops.cast(y_true, y_pred.dtype) * logs), axis=-1)


for _name, _loss in {
    "mean_squared_error": keras.losses.MeanSquaredError,
    "mean_absolute_error": keras.losses.MeanAbsoluteError,
    "huber": keras.losses.Huber,
    "log_cosh": keras.losses.LogCosh,
    "binary_crossentropy": keras.losses.BinaryCrossentropy,
    "categorical_crossentropy": keras.losses.CategoricalCrossentropy,
    "kl_divergence": keras.losses.KLDivergence,
    "poisson": keras.losses.Poisson,
}.items():
    LOSSES.register(_name)(_loss)
LOSSES.register("mse")(keras.losses.MeanSquaredError)
LOSSES.register("mae")(keras.losses.MeanAbsoluteError)


def needs_class_weights(name: str) -> bool:
    """Whether the loss called ``name`` cannot do without class weights."""
    parameter = inspect.signature(LOSSES[name]).parameters.get("class_weights")
    return parameter is not None and parameter.default is inspect.Parameter.empty


def takes_class_weights(name: str) -> bool:
    """Whether the loss called ``name`` uses class weights where there are any."""
    return "class_weights" in inspect.signature(LOSSES[name]).parameters


def make_loss(name: str, params: Mapping[str, Any], class_weights: Sequence[float] | None = None) -> keras.losses.Loss:
    """The loss called ``name`` with ``params`` (``train_params.loss_params``) and, where it takes them, weights.

    Raises:
        ConfigError: an unknown loss, or a parameter that it does not have.
    """
    loss = LOSSES[name]
    hidden = ("class_weights", "name", "kwargs", "dtype")
    known = [key for key in inspect.signature(loss).parameters if key not in hidden]
    for key in params:
        if key not in known:
            raise ConfigError(f"train_params.loss_params: {name} has no parameter {key!r}{nearest(key, known)}")
    weights = {"class_weights": class_weights} if takes_class_weights(name) else {}
    try:
        return loss(**params, **weights)
    except (TypeError, ValueError) as error:
        raise ConfigError(f"train_params.loss_params: {error}") from None


def check_loss(name: str, params: Mapping[str, Any]) -> None:
    """Raise a ConfigError where the loss called ``name`` cannot be made, or not be used, with ``params``."""
    loss = make_loss(name, params, [1.0, 1.0])
    try:
        loss(ops.ones((1, 2)), ops.full((1, 2), 0.5))
    except Exception as error:  # whatever the backend makes of a parameter of the wrong type
        shown = ", ".join(f"{key}: {value!r}" for key, value in params.items())
        raise ConfigError(f"train_params.loss_params: {name} does not work with {shown}") from error


def class_weights(tree: DecisionTree, fractions: Floats, threshold: float = 0.0, log: bool = True) -> list[float]:
    """Inverse-frequency weight of every column, question by question.

    A galaxy counts for its most likely answer to each question that its own walk down the tree
    reaches. An answer with n of N galaxies has weight w = N / (number of answers × n), or
    log(1 + w); an answer with a share of at most ``threshold`` has the weight of an answer as
    frequent as the others (w = 1). Source: Sobral Blanco (2023), section 3.1.2 and its ``threshold`` and
    ``take_weights_log``.

    Args:
        fractions: shape (galaxies, columns), in the order of ``tree.columns``.

    Example:
        >>> tree = DecisionTree.from_classes({"label": ["a", "b"]})
        >>> class_weights(tree, np.array([[1.0, 0.0]] * 3 + [[0.0, 1.0]]), log=False)
        [0.6666666666666666, 2.0]
    """
    counts = tree.one_hot(np.asarray(fractions)).sum(axis=0)
    weights = np.ones(len(tree.columns))
    for question in tree.questions:
        where = tree.slice(question)
        share = counts[where] / max(counts[where].sum(), 1)
        frequent = share > threshold
        weights[where][frequent] = 1 / (frequent.sum() * share[frequent])
    return [float(weight) for weight in (np.log1p(weights) if log else weights)]
