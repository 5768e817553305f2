"""Losses of quantities such as redshift; which one fits a head, the head says.

Targets have the shape (batch, 1), in the quantity's unit; predictions are what the head puts out, the best estimate in
the first column. Each returns one value per galaxy, measured in standard deviations of the training part, so that
it weighs about as much as a class's cross-entropy whatever the unit.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import keras
import numpy as np
from keras import ops

_serializable = keras.saving.register_keras_serializable(package="galaxycnn")

LEAST_PROBABILITY = 1e-7


class QuantityLoss(keras.losses.Loss):
    """Base of the losses of quantities; galaxies of weight 0 do not count in the mean over the batch.

    Attributes:
        can_be_negative: whether a good fit has a loss below 0, as likelihoods have.
    """

    can_be_negative = False

    def __init__(self, name: str | None = None, reduction: str = "mean_with_sample_weight", **kwargs: Any) -> None:
        super().__init__(name, reduction, **kwargs)


class _InDeviations(QuantityLoss):
    """A loss that is told the standard deviation of the training part."""

    def __init__(self, deviation: float = 1.0, **kwargs: Any) -> None:
        super().__init__(**kwargs)
        self.deviation = deviation

    def get_config(self) -> dict[str, Any]:
        return {**super().get_config(), "deviation": self.deviation}


@_serializable
class StandardSquaredError(_InDeviations):
    """Squared error over the variance of the training part: 1 for predict-the-mean.

    Example:
        >>> float(StandardSquaredError(0.02)(ops.array([[0.05]]), ops.array([[0.07]])))
        1.0
    """

    def call(self, y_true: Any, y_pred: Any) -> Any:
        return ops.square((y_pred[:, 0] - ops.cast(y_true, y_pred.dtype)[:, 0]) / self.deviation)


@_serializable
class MixtureLikelihood(_InDeviations):
    """Negative logarithm of the density of a mixture of Gaussians at the true value.

    Columns of the prediction: the mean, which is not looked at, then weights, means and standard deviations.
    """

    can_be_negative = True

    def call(self, y_true: Any, y_pred: Any) -> Any:
        weights, means, spreads = ops.split(y_pred[:, 1:], 3, axis=-1)
        standard = (ops.cast(y_true, y_pred.dtype) - means) / spreads
        logs = ops.log(ops.maximum(weights, LEAST_PROBABILITY)) - ops.log(spreads / self.deviation)
        return np.log(2 * np.pi) / 2 - ops.logsumexp(logs - ops.square(standard) / 2, axis=-1)


@_serializable
class BinLikelihood(QuantityLoss):
    """Negative logarithm of the probability of the bin that the true value is in.

    Columns of the prediction: the mean, which is not looked at, then the probabilities of the bins. Values beyond the
    outer edges belong to the outer bins.

    Args:
        edges: of the bins, rising, shape (bins + 1,).
    """

    def __init__(self, edges: Sequence[float], **kwargs: Any) -> None:
        super().__init__(**kwargs)
        self.edges = list(edges)

    def call(self, y_true: Any, y_pred: Any) -> Any:
        inner = ops.convert_to_tensor(self.edges[1:-1], dtype=y_pred.dtype)
        bins = ops.sum(ops.cast(ops.cast(y_true, y_pred.dtype) >= inner, "int32"), axis=-1)
        chosen = ops.one_hot(bins, len(self.edges) - 1, dtype=y_pred.dtype)
        return -ops.log(ops.maximum(ops.sum(chosen * y_pred[:, 1:], axis=-1), LEAST_PROBABILITY))

    def get_config(self) -> dict[str, Any]:
        return {**super().get_config(), "edges": self.edges}


@_serializable
class Balanced(keras.losses.Loss):
    """The logarithm of another loss's mean over the batch, so that a change counts by its share of that loss.

    The sum of such losses is what remains of learned uncertainties once they are learnt: the least of
    exp(-s) L + s over s is 1 + log L (Kendall, Gal and Cipolla 2018, CVPR, eq. 10, up to their factor ½; the geometric
    loss of Chennupati et al. 2019). A batch without a galaxy that counts is worth 0.

    Args:
        loss: the other loss, whose mean is above 0; one that can be below is left as it is by
            :func:`galaxycnn.training.fitting.make_losses`.

    Example:
        >>> inner = StandardSquaredError(1.0)
        >>> float(Balanced(inner)(ops.array([[0.0]]), ops.array([[1.0]])))
        0.0
    """

    def __init__(self, loss: keras.losses.Loss, name: str | None = None, **kwargs: Any) -> None:
        super().__init__(name, **kwargs)
        self.loss = loss

    def __call__(self, y_true: Any, y_pred: Any, sample_weight: Any = None) -> Any:
        value = self.loss(y_true, y_pred, sample_weight)
        least = keras.config.epsilon()
        return ops.where(value > least, ops.log(ops.maximum(value, least)), 0.0)

    def get_config(self) -> dict[str, Any]:
        return {**super().get_config(), "loss": keras.saving.serialize_keras_object(self.loss)}

    @classmethod
    def from_config(cls, config: dict[str, Any]) -> Balanced:
        return cls(**{**config, "loss": keras.saving.deserialize_keras_object(config["loss"])})
