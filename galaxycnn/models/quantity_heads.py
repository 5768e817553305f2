"""Heads of quantities such as redshift: how a network's last numbers become an estimate, or a whole distribution.

The first column of what such a head puts out is the best estimate, in the quantity's own unit; the columns after it,
where there are any, describe the distribution around it. Where the quantity lies, a head learns from the training
part before the network is fitted, and keeps it among its weights, so that a saved model reloads by itself.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import keras
import numpy as np
from keras import ops
from numpy.typing import ArrayLike, NDArray

from galaxycnn.errors import DataError
from galaxycnn.losses.quantity_losses import BinLikelihood, MixtureLikelihood, StandardSquaredError
from galaxycnn.models.layers import PACKAGE
from galaxycnn.quantities import Binned, Distribution, GaussianMixture
from galaxycnn.registry import QUANTITY_HEADS

Floats = NDArray[np.float64]

SMALLEST_SPREAD = 0.01
"""The least spread of a mixture's Gaussian, in standard deviations of the training part."""

_serializable = keras.saving.register_keras_serializable(package=PACKAGE)


def predicted(x: keras.KerasTensor, name: str, head: str, parts: int | None = None) -> keras.KerasTensor:
    """Features (batch, features) to a quantity: a dense layer, then the head of that name.

    Args:
        x: the features.
        name: of the quantity, and of its output.
        head: an entry of :data:`galaxycnn.registry.QUANTITY_HEADS`.
        parts: Gaussians or bins; None for as many as the head has by default.
    """
    layer: QuantityHead = QUANTITY_HEADS[head](**({} if parts is None else {"parts": parts}), name=name)
    return layer(keras.layers.Dense(layer.numbers, dtype="float32", name=f"{name}_numbers")(x))


class QuantityHead(keras.layers.Layer):
    """Base of all heads: (batch, :attr:`numbers`) to (batch, 1 + what describes the distribution), in float32.

    Args:
        parts: Gaussians of the mixture, or bins.
    """

    default_parts = 1

    def __init__(self, parts: int | None = None, **kwargs: Any) -> None:
        super().__init__(**{"dtype": "float32", **kwargs})
        self.parts = self.default_parts if parts is None else parts

    @property
    def numbers(self) -> int:
        """How many numbers of the network it takes."""
        return self.parts

    def adapt(self, values: ArrayLike) -> None:
        """Learn from the training part's values, shape (galaxies,), NaN where unknown, where the quantity lies.

        Raises:
            DataError: fewer than two different values are known.
        """
        known = np.asarray(values, float)
        known = known[np.isfinite(known)]
        if len(np.unique(known)) < 2:
            raise DataError(
                f"the training part has {len(np.unique(known))} different values of {self.name}: there is nothing to"
                " learn"
            )
        self._adapt(known)

    def _adapt(self, known: Floats) -> None:
        raise TypeError(f"{type(self).__name__} does not say what it learns from the training part")

    def loss(self) -> keras.losses.Loss:
        """What fits it, in standard deviations of the training part; to be made after :meth:`adapt`."""
        raise TypeError(f"{type(self).__name__} has no loss")

    def prediction(self, outputs: ArrayLike) -> Floats | Distribution:
        """What the outputs, shape (galaxies, columns), say: best estimates of shape (galaxies,), or distributions."""
        return np.asarray(outputs, float)[:, 0]

    def get_config(self) -> dict[str, Any]:
        return {**super().get_config(), "parts": self.parts}


class _Standardised(QuantityHead):
    """A head that puts out standard deviations around the mean of the training part."""

    def build(self, input_shape: Sequence[int | None]) -> None:
        self.mean = self.add_weight(shape=(), initializer="zeros", trainable=False, name="mean")
        self.deviation = self.add_weight(shape=(), initializer="ones", trainable=False, name="deviation")
        super().build(input_shape)

    def _adapt(self, known: Floats) -> None:
        self.mean.assign(known.mean())
        self.deviation.assign(known.std())


@QUANTITY_HEADS.register("linear")
@_serializable
class LinearHead(_Standardised):
    """One number, fitted by its squared error; it states no uncertainty.

    Example:
        >>> head = LinearHead(name="redshift")
        >>> head.build((None, 1))
        >>> head.adapt([0.02, 0.06, float("nan")])
        >>> [round(float(z), 3) for z in ops.convert_to_numpy(head(ops.array([[0.0], [1.0]])))[:, 0]]
        [0.04, 0.06]
    """

    def call(self, numbers: Any) -> Any:
        return self.mean + self.deviation * numbers

    def loss(self) -> StandardSquaredError:
        return StandardSquaredError(float(self.deviation.value))


@QUANTITY_HEADS.register("mixture")
@_serializable
class MixtureHead(_Standardised):
    """A mixture of Gaussians, fitted by its likelihood, so that an estimate comes with its uncertainty.

    Source: mixture density networks (Bishop 1994; for redshifts D'Isanto and Polsterer 2018, A&A 609, A111). Columns:
    the mean, then the weights, the means and the standard deviations of ``parts`` Gaussians.
    """

    default_parts = 3

    @property
    def numbers(self) -> int:
        return 3 * self.parts

    def call(self, numbers: Any) -> Any:
        shares, offsets, widths = ops.split(numbers, 3, axis=-1)
        weights = ops.softmax(shares, axis=-1)
        means = self.mean + self.deviation * offsets
        spreads = self.deviation * (SMALLEST_SPREAD + ops.softplus(widths))
        mean = ops.sum(weights * means, axis=-1, keepdims=True)
        return ops.concatenate([mean, weights, means, spreads], axis=-1)

    def loss(self) -> MixtureLikelihood:
        return MixtureLikelihood(float(self.deviation.value))

    def prediction(self, outputs: ArrayLike) -> GaussianMixture:
        weights, means, spreads = np.split(np.asarray(outputs, float)[:, 1:], 3, axis=1)
        return GaussianMixture(weights / weights.sum(axis=1, keepdims=True), means, spreads)


@QUANTITY_HEADS.register("bins")
@_serializable
class BinsHead(QuantityHead):
    """Probabilities of bins that hold equally many training galaxies, fitted as classes.

    Source: redshifts by classification (Pasquet et al. 2019, A&A 621, A26, whose bins are equally wide). Columns: the
    mean, then the probabilities.
    """

    default_parts = 32

    def build(self, input_shape: Sequence[int | None]) -> None:
        start = keras.initializers.Constant(np.linspace(0, 1, self.parts + 1))
        self.edges = self.add_weight(shape=(self.parts + 1,), initializer=start, trainable=False, name="edges")
        super().build(input_shape)

    def _adapt(self, known: Floats) -> None:
        edges = np.quantile(known, np.linspace(0, 1, self.parts + 1)).astype(np.float32)
        if len(np.unique(edges)) <= self.parts:  # values that repeat
            edges = np.linspace(known.min(), known.max(), self.parts + 1, dtype=np.float32)
        self.edges.assign(edges)

    def call(self, numbers: Any) -> Any:
        probabilities = ops.softmax(numbers, axis=-1)
        centres = (self.edges[1:] + self.edges[:-1]) / 2
        return ops.concatenate([ops.sum(probabilities * centres, axis=-1, keepdims=True), probabilities], axis=-1)

    def loss(self) -> BinLikelihood:
        return BinLikelihood(ops.convert_to_numpy(self.edges.value).tolist())

    def prediction(self, outputs: ArrayLike) -> Binned:
        probabilities = np.asarray(outputs, float)[:, 1:]
        edges = ops.convert_to_numpy(self.edges.value)
        return Binned(probabilities / probabilities.sum(axis=1, keepdims=True), edges)
