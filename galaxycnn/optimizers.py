"""Optimizers by name, with what Keras' own lack: a rate for each variable, and an average of the weights."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any

import keras
from keras import ops

from galaxycnn.config.schema import TrainParams
from galaxycnn.models.family import Rate

MOMENTUM = 0.9
"""Nesterov momentum of ``sgd``, as in the winning network of 2014."""
MUON_MOMENTUM = 0.95
"""Nesterov momentum of ``muon`` (Jordan 2024)."""
MUON_SIZE = 0.2
"""Root mean square of an update of ``muon``, in learning rates: about that of Adam's (Liu et al. 2025)."""
_NEWTON_SCHULZ_STEPS = 5
_QUINTIC = (3.4445, -4.7750, 2.0315)
"""The polynomial of Jordan 2024, each step of which takes singular values nearer to 1."""
_TINY = 1e-7
_SLOW_START = 9


class FineGrained(keras.optimizers.Optimizer):
    """What is added to an optimizer of Keras; see :class:`FineGrainedAdam` and its siblings.

    Updates are counted where the weights change: once per batch, or once per so many batches as
    gradients are accumulated over.

    Args:
        rates: for each trainable variable, in order, a factor of the learning rate and the update in
            which it begins to learn; empty for all alike. Weight decay follows the factor.
        warmup_updates: the learning rate rises in proportion over so many updates.
        average: the decay of an exponential moving average of the weights; None for none. In update
            t (from 0) the decay is at most t / (t + 9), so that the first weights are soon forgotten,
            as in ``tf.train.ExponentialMovingAverage`` with ``num_updates``.

    Weight decay is decoupled (Loshchilov & Hutter 2019, https://arxiv.org/abs/1711.05101): an update
    takes learning rate × decay off every weight that is a matrix or kernel, and nothing off biases,
    norms and other vectors.

    Example:
        >>> import numpy as np
        >>> layer = keras.layers.Dense(1)
        >>> layer.build((None, 1))
        >>> optimizer = FineGrainedSGD(0.1, rates=[(1.0, 0), (0.5, 1)])
        >>> layer.set_weights([np.ones((1, 1)), np.ones(1)])
        >>> for _ in range(2):
        ...     optimizer.apply([ops.ones((1, 1)), ops.ones(1)], layer.trainable_variables)
        >>> [round(float(weight.squeeze()), 3) for weight in layer.get_weights()]
        [0.8, 0.95]
    """

    def __init__(
        self,
        *args: Any,
        rates: Sequence[Sequence[float]] = (),
        warmup_updates: int = 0,
        average: float | None = None,
        **kwargs: Any,
    ) -> None:
        super().__init__(*args, **kwargs)
        self.rates = tuple(tuple(rate) for rate in rates)
        self.warmup_updates = warmup_updates
        self.average = average

    def build(self, variables: list[keras.Variable]) -> None:
        if self.built:
            return
        if self.rates and len(self.rates) != len(variables):
            raise ValueError(f"{len(self.rates)} rates do not fit {len(variables)} variables")
        super().build(variables)
        self._averages = [] if self.average is None else self.add_optimizer_variables(variables, "average")

    def update_step(self, gradient: Any, variable: Any, learning_rate: Any) -> None:
        super().update_step(gradient, variable, self._rate(variable, learning_rate))

    def _rate(self, variable: Any, learning_rate: Any) -> Any:
        """The learning rate of one variable in the coming update."""
        rate = ops.cast(learning_rate, "float32")
        updates = ops.cast(self.iterations, "float32")
        if self.warmup_updates:
            rate = rate * ops.minimum(1.0, (updates + 1) / self.warmup_updates)
        if self.rates:
            factor, begins = self.rates[self._get_variable_index(variable)]
            rate = rate * ops.where(updates >= begins, factor, 0.0)
        return rate

    def _apply_weight_decay(self, variables: list[keras.Variable]) -> None:
        """Keras' own knows one learning rate, and forgets in a saved file which weights it leaves out."""
        if self.weight_decay is None:
            return
        for variable in variables:
            if sum(size > 1 for size in variable.shape) > 1:
                share = self.weight_decay * self._rate(variable, self.learning_rate)
                variable.assign(variable * (1 - ops.cast(share, variable.dtype)))

    def apply(self, grads: Any, trainable_variables: Any = None) -> None:
        before = ops.cast(self.iterations, "float32")
        super().apply(grads, trainable_variables)
        if self.average is not None:
            decay = ops.minimum(self.average, before / (before + _SLOW_START))
            updated = ops.cast(self.iterations, "float32") > before
            self._move_averages(ops.where(updated, 1 - decay, 0.0))

    def _move_averages(self, share: Any) -> None:
        for variable, average in zip(self._trainable_variables, self._averages, strict=True):
            average.assign(average + (variable - average) * ops.cast(share, average.dtype))

    def swap_averages(self) -> None:
        """Exchange the weights and their averages, bit for bit."""
        for variable, average in zip(self._trainable_variables, self._averages, strict=True):
            weights = ops.convert_to_numpy(variable).copy()
            variable.assign(average)
            average.assign(weights)

    def get_config(self) -> dict[str, Any]:
        own = {"rates": self.rates, "warmup_updates": self.warmup_updates, "average": self.average}
        return {**super().get_config(), **own}


@keras.saving.register_keras_serializable(package="galaxycnn")
class FineGrainedAdam(FineGrained, keras.optimizers.Adam):
    """Adam; with ``weight_decay`` AdamW. See :class:`FineGrained`."""


@keras.saving.register_keras_serializable(package="galaxycnn")
class FineGrainedSGD(FineGrained, keras.optimizers.SGD):
    """Stochastic gradient descent. See :class:`FineGrained`."""


@keras.saving.register_keras_serializable(package="galaxycnn")
class FineGrainedMuon(FineGrained, keras.optimizers.Adam):
    """Muon: a kernel moves as far in every direction that its mean gradient has; all else learns as with Adam.

    A kernel is taken for a matrix of its outputs by all else, so that convolutions learn like this, too; those of
    depthwise convolutions are vectors by that, and Adam's. Sources: Jordan 2024,
    https://kellerjordan.github.io/posts/muon/; for the size of an update, which suits the learning rates of Adam, Liu
    et al. 2025, https://arxiv.org/abs/2502.16982. Keras' own leaves all kernels but matrices to Adam. See
    :class:`FineGrained`.
    """

    def update_step(self, gradient: Any, variable: Any, learning_rate: Any) -> None:
        if not _is_matrix(variable):
            super().update_step(gradient, variable, learning_rate)
            return
        mean = self._momentums[self._get_variable_index(variable)]
        gradient = ops.cast(gradient, mean.dtype)
        mean.assign(MUON_MOMENTUM * mean + gradient)
        matrix = ops.reshape(gradient + MUON_MOMENTUM * mean, (-1, variable.shape[-1]))
        size = MUON_SIZE * math.sqrt(max(matrix.shape)) * self._rate(variable, learning_rate)
        variable.assign(variable - size * ops.reshape(orthogonalized(matrix), variable.shape))


def _is_matrix(variable: Any) -> bool:
    *before, outputs = variable.shape or (1,)
    return "kernel" in variable.name and math.prod(before) > 1 and outputs > 1


def orthogonalized(matrix: Any) -> Any:
    """A matrix of the same singular vectors, whose singular values are all about 1 (0.7 to 1.2, but for tiny ones).

    Args:
        matrix: shape (rows, columns).

    Example:
        >>> singular = ops.svd(orthogonalized(ops.convert_to_tensor([[3.0, 0.0], [0.0, 0.5]])), compute_uv=False)
        >>> bool(ops.all((singular > 0.6) & (singular < 1.3)))
        True
    """
    rows, columns = matrix.shape
    if rows > columns:
        return ops.transpose(orthogonalized(ops.transpose(matrix)))
    matrix = matrix / (ops.norm(matrix) + _TINY)
    first, third, fifth = _QUINTIC
    for _ in range(_NEWTON_SCHULZ_STEPS):
        square = matrix @ ops.transpose(matrix)
        matrix = first * matrix + (third * square + fifth * square @ square) @ matrix
    return matrix


_OPTIMIZERS = {
    "adam": (keras.optimizers.Adam, FineGrainedAdam),
    "adamw": (keras.optimizers.Adam, FineGrainedAdam),
    "muon": (FineGrainedMuon, FineGrainedMuon),
    "sgd": (keras.optimizers.SGD, FineGrainedSGD),
}
"""Of each name, Keras' own or what does as it, and the one with what is added."""


def make_optimizer(train: TrainParams, steps: int, rates: Sequence[Rate] = ()) -> keras.optimizers.Optimizer:
    """The configured optimizer: Keras' own where that does it all.

    Args:
        train: the optimisation to set up.
        steps: batches in an epoch.
        rates: how fast each trainable variable learns; empty for all alike.
    """
    accumulated, schedule = train.accumulate_batches, train.schedule
    warmup = schedule.warmup_epochs * steps // accumulated if schedule.name != "cosine" else 0
    settings: dict[str, Any] = {
        "learning_rate": learning_rate(train, steps),
        "global_clipnorm": train.clip_norm,
        "gradient_accumulation_steps": accumulated if accumulated > 1 else None,
    }
    if train.optimizer == "sgd":
        settings |= {"momentum": MOMENTUM, "nesterov": True}
    own: dict[str, Any] = {
        "rates": _in_updates(rates, steps, accumulated),
        "warmup_updates": warmup,
        "average": train.average_weights,
        "weight_decay": train.weight_decay,
    }
    own = {name: value for name, value in own.items() if value}
    plain, fine = _OPTIMIZERS[train.optimizer]
    return fine(**settings, **own) if own else plain(**settings)


def _in_updates(rates: Sequence[Rate], steps: int, accumulated: int) -> list[tuple[float, int]]:
    if all(rate == Rate() for rate in rates):
        return []
    return [(rate.factor, rate.from_epoch * steps // accumulated) for rate in rates]


def learning_rate(train: TrainParams, steps: int) -> float | keras.optimizers.schedules.LearningRateSchedule:
    """The learning rate, or its schedule over all epochs of ``steps`` batches.

    Keras' schedules count batches, whether or not gradients are accumulated over several.
    """
    schedule, total = train.schedule, train.epochs * steps
    if schedule.name == "cosine":
        warmup = schedule.warmup_epochs * steps
        return keras.optimizers.schedules.CosineDecay(
            0.0 if warmup else train.learning_rate,
            max(total - warmup, 1),
            alpha=schedule.final_fraction,
            warmup_target=train.learning_rate if warmup else None,
            warmup_steps=warmup,
        )
    if schedule.name == "exponential":
        return keras.optimizers.schedules.ExponentialDecay(train.learning_rate, total, schedule.final_fraction)
    if schedule.name == "step":
        return keras.optimizers.schedules.PiecewiseConstantDecay(
            [epoch * steps - 1 for epoch in schedule.epochs],
            [train.learning_rate * schedule.factor**i for i in range(len(schedule.epochs) + 1)],
        )
    return train.learning_rate
