"""Gradients, the one thing for which Keras has no word that all its backends understand."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import keras
from keras import ops

Tensor = Any


def gradients(function: Callable[..., Tensor], *tensors: Tensor) -> tuple[Tensor, list[Tensor]]:
    """The values of a function and how they change with what it is given, on any backend of Keras.

    Args:
        function: takes ``tensors`` and returns values of shape (batch, count), those of a galaxy from the rows of that
            galaxy alone.
        tensors: floating-point tensors.

    Returns:
        The values, and for each tensor the gradients, of shape (count, \\*the tensor's shape).

    Example:
        >>> values, (slopes,) = gradients(lambda x: ops.stack([x**2, 3 * x], axis=1), ops.convert_to_tensor([1.0, 5.0]))
        >>> ops.convert_to_numpy(slopes).tolist()
        [[2.0, 10.0], [3.0, 3.0]]
    """
    return _BACKENDS[keras.backend.backend()](function, tensors)


def _tensorflow(function: Callable[..., Tensor], tensors: Sequence[Tensor]) -> tuple[Tensor, list[Tensor]]:
    import tensorflow as tf

    with tf.GradientTape(persistent=True, watch_accessed_variables=False) as tape:
        tape.watch(tensors)
        values = function(*tensors)
        columns = tf.unstack(values, axis=1)
    zero = tf.UnconnectedGradients.ZERO
    return values, _stacked([tape.gradient(column, tensors, unconnected_gradients=zero) for column in columns])


def _jax(function: Callable[..., Tensor], tensors: Sequence[Tensor]) -> tuple[Tensor, list[Tensor]]:
    import jax

    values, pull = jax.vjp(function, *tensors)
    ones = [ops.zeros_like(values).at[:, column].set(1) for column in range(values.shape[1])]
    return values, _stacked([pull(one) for one in ones])


def _torch(function: Callable[..., Tensor], tensors: Sequence[Tensor]) -> tuple[Tensor, list[Tensor]]:
    import torch

    with torch.enable_grad():
        watched = [tensor.detach().requires_grad_() for tensor in tensors]
        values = function(*watched)
        arguments = {"retain_graph": True, "allow_unused": True, "materialize_grads": True}
        found = [torch.autograd.grad(values[:, i].sum(), watched, **arguments) for i in range(values.shape[1])]
    return values.detach(), _stacked(found)


def _stacked(found: Sequence[Sequence[Tensor]]) -> list[Tensor]:
    return [ops.stack(of_one_tensor) for of_one_tensor in zip(*found, strict=True)]


_BACKENDS = {"tensorflow": _tensorflow, "jax": _jax, "torch": _torch}
