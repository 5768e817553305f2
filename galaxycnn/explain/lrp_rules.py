"""Layer-wise relevance propagation through one layer: the relevance of its outputs as relevance of its inputs.

All rules are of the form "input times gradient of what the rule lets through" (Montavon et al. 2019, "Layer-Wise
Relevance Propagation: An Overview", section 10.3.1), so that one function of gradients serves every layer.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

import keras
import numpy as np
from keras import layers, ops
from numpy.typing import NDArray

from galaxycnn.explain.gradients import Tensor, gradients
from galaxycnn.explain.network import tensor

_NOTHING = 1e-12
"""What a sum is at least, so that one of nothing can be divided by."""


@dataclass(frozen=True)
class Weighted:
    """A convolution or dense layer with the batch normalisation that follows it, as one sum of weighted inputs.

    Attributes:
        layer: the layer.
        kernel: its weights, times the factors of the normalisation.
        bias: what is added to the sum, shape (outputs,).
    """

    layer: keras.layers.Layer
    kernel: NDArray[np.float32]
    bias: NDArray[np.float32]

    @classmethod
    def of(cls, layer: keras.layers.Layer, norm: layers.BatchNormalization | None = None) -> Weighted:
        kernel = _array(layer.kernel)
        outputs = kernel.shape[-1] * (kernel.shape[-2] if isinstance(layer, layers.DepthwiseConv2D) else 1)
        bias = _array(layer.bias) if layer.use_bias else np.zeros(outputs, np.float32)
        if norm is None:
            return cls(layer, kernel, bias)
        factor = 1 / np.sqrt(_array(norm.moving_variance) + norm.epsilon)
        factor = factor * _array(norm.gamma) if norm.scale else factor
        offset = _array(norm.beta) if norm.center else 0
        by_output = factor.reshape(kernel.shape[-2:]) if isinstance(layer, layers.DepthwiseConv2D) else factor
        return cls(layer, kernel * by_output, (bias - _array(norm.moving_mean)) * factor + offset)

    def sums(self, x: Tensor, kernel: NDArray[np.floating]) -> Tensor:
        """The sums of ``x`` under other weights, without a bias."""
        layer = self.layer
        if isinstance(layer, layers.Dense):
            return ops.matmul(x, tensor(kernel))
        convolve = ops.depthwise_conv if isinstance(layer, layers.DepthwiseConv2D) else ops.conv
        return convolve(x, tensor(kernel), layer.strides, layer.padding, layer.data_format, layer.dilation_rate)

    def forward(self, x: Tensor) -> Tensor:
        """What the layer puts out before its activation."""
        return self.sums(x, self.kernel) + tensor(self.bias)

    def gamma(self, x: Tensor, gamma: float, epsilon: float, relevance: Tensor) -> Tensor:
        """The γ rule, which favours the inputs that agree in sign with the sum; the ε rule where γ is 0."""
        out = self.forward(x)
        up, down = (self.kernel + gamma * part(self.kernel, 0) for part in (np.maximum, np.minimum))
        bias_up, bias_down = (tensor(self.bias + gamma * part(self.bias, 0)) for part in (np.maximum, np.minimum))

        def through(x: Tensor) -> Tensor:
            if not gamma:
                return self.forward(x)
            above, below = ops.relu(x), -ops.relu(-x)
            favoured = self.sums(above, up) + self.sums(below, down) + bias_up
            opposed = self.sums(above, down) + self.sums(below, up) + bias_down
            return ops.where(out > 0, favoured, opposed)

        return spread(through, [x], relevance, epsilon)[0]

    def bounded(self, x: Tensor, low: Tensor, high: Tensor, relevance: Tensor) -> Tensor:
        """The zᴮ rule for inputs that lie between ``low`` and ``high``, as pixels do."""
        above, below = np.maximum(self.kernel, 0), np.minimum(self.kernel, 0)

        def through(x: Tensor, low: Tensor, high: Tensor) -> Tensor:
            return self.sums(x, self.kernel) - self.sums(low, above) - self.sums(high, below)

        return sum(spread(through, [x, low, high], relevance, 1e-6))


def spread(
    through: Callable[..., Tensor], inputs: Sequence[Tensor], relevance: Tensor, epsilon: float = 1e-6
) -> list[Tensor]:
    """Relevance (questions, batch, …) of what ``through`` gives, as relevance of each of its inputs.

    Args:
        through: sums of weighted inputs, with or without a maximum.
        inputs: its inputs, each (batch, …).
        relevance: of its output.
        epsilon: how much relevance is absorbed where a sum is small, as a share of the typical sum.
    """
    out = through(*inputs)
    axes = tuple(range(1, len(out.shape)))
    typical = ops.sqrt(ops.mean(ops.square(out), axis=axes, keepdims=True))
    share = relevance / (out + (epsilon * typical + _NOTHING) * ops.where(out >= 0, 1.0, -1.0))

    def weighted(*inputs: Tensor) -> Tensor:
        out = through(*inputs)
        return ops.stack([ops.sum(out * one, axis=axes) for one in share], axis=1)

    _, slopes = gradients(weighted, *inputs)
    return [x * slope for x, slope in zip(inputs, slopes, strict=True)]


def added(inputs: Sequence[Tensor], gamma: float, epsilon: float, relevance: Tensor) -> list[Tensor]:
    """The γ rule for a sum of feature maps."""
    out = sum(inputs)

    def through(*inputs: Tensor) -> Tensor:
        plus, minus = sum(ops.relu(x) for x in inputs), -sum(ops.relu(-x) for x in inputs)
        return plus + minus + gamma * ops.where(out > 0, plus, minus)

    return spread(through, inputs, relevance, epsilon)


def _array(weight: Any) -> NDArray[np.float32]:
    return ops.convert_to_numpy(ops.cast(weight, "float32"))
