"""Losses that look at every answer on its own, whichever question it belongs to."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, Literal

import keras
from keras import ops

from galaxycnn.errors import nearest
from galaxycnn.registry import LOSSES

_serializable = keras.saving.register_keras_serializable(package="galaxycnn")


class AnswerWeighted(keras.losses.Loss):
    """A loss whose terms, of shape (batch, answers), may be weighted answer by answer."""

    def __init__(self, class_weights: Sequence[float] | None = None, **kwargs: Any) -> None:
        super().__init__(**kwargs)
        self.class_weights = None if class_weights is None else [float(weight) for weight in class_weights]

    def _weighted(self, terms: Any) -> Any:
        return terms if self.class_weights is None else terms * ops.convert_to_tensor(self.class_weights, terms.dtype)

    def get_config(self) -> dict[str, Any]:
        return {**super().get_config(), "class_weights": self.class_weights}


@LOSSES.register("rmse")
@_serializable
class RootMeanSquaredError(keras.losses.Loss):
    """Root of the mean of (y - p)² over all galaxies and answers of a batch.

    This is the measure of the Galaxy Challenge, whose N is galaxies × 37, and what the poster
    "End-to-End Soft-Target Galaxy Image Classification" calls "RMSE loss over all 37 output
    dimensions"; the mean of one root per galaxy would be smaller, and forgive the galaxies that are
    far off. It falls in the direction in which the mean squared error falls, with a length that
    does not shrink as the error does. A galaxy's value is its mean square divided by the batch's
    RMSE, so that the mean of the values is the RMSE; over an epoch Keras averages that of the
    batches, which is a little below the RMSE of all galaxies.

    Example:
        >>> round(float(RootMeanSquaredError()(ops.zeros((2, 2)), ops.convert_to_tensor([[0.0, 0.0], [0.0, 0.2]]))), 4)
        0.1
    """

    def __init__(self, name: str = "rmse", **kwargs: Any) -> None:
        super().__init__(name=name, **kwargs)

    def call(self, y_true: Any, y_pred: Any) -> Any:
        squares = ops.mean(ops.square(ops.cast(y_true, y_pred.dtype) - y_pred), axis=-1)
        return squares / ops.sqrt(ops.maximum(ops.mean(squares), keras.config.epsilon()))


@LOSSES.register("focal_loss")
@_serializable
class FocalLoss(AnswerWeighted):
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
        super().__init__(class_weights, name=name, **kwargs)
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
class WeightedMeanSquaredError(AnswerWeighted):
    """Mean over the answers of w (y - p)², with the weights of ``model_params.class_weights``.

    Example:
        >>> loss = WeightedMeanSquaredError([1.0, 3.0])
        >>> float(loss(ops.zeros((1, 2)), ops.ones((1, 2))))
        2.0
    """

    def __init__(self, class_weights: Sequence[float], name: str = "weighted_mse", **kwargs: Any) -> None:
        super().__init__(class_weights, name=name, **kwargs)

    def call(self, y_true: Any, y_pred: Any) -> Any:
        return ops.mean(self._weighted(ops.square(ops.cast(y_true, y_pred.dtype) - y_pred)), axis=-1)


@LOSSES.register("weighted_cce")
@_serializable
class WeightedCategoricalCrossentropy(AnswerWeighted):
    """Sum over the answers of -w y log p, with the weights of ``model_params.class_weights``.

    Predictions are divided by their sum first, as Keras' own categorical cross-entropy does. That is
    meant for the answers to one question; where one output answers several, ``per_question_cross_entropy``
    divides question by question.

    Example:
        >>> loss = WeightedCategoricalCrossentropy([2.0, 1.0])
        >>> round(float(loss(ops.convert_to_tensor([[1.0, 0.0]]), ops.convert_to_tensor([[0.5, 0.5]]))), 4)
        1.3863
    """

    def __init__(self, class_weights: Sequence[float], name: str = "weighted_cce", **kwargs: Any) -> None:
        super().__init__(class_weights, name=name, **kwargs)

    def call(self, y_true: Any, y_pred: Any) -> Any:
        epsilon = keras.config.epsilon()
        share = y_pred / ops.maximum(ops.sum(y_pred, axis=-1, keepdims=True), epsilon)
        logs = ops.log(ops.clip(share, epsilon, 1 - epsilon))
        return ops.sum(self._weighted(-ops.cast(y_true, y_pred.dtype) * logs), axis=-1)
