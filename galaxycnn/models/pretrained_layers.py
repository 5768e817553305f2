"""Layers that pretrained networks need and Keras lacks, all registered so that saved models reload by themselves."""

from __future__ import annotations

from collections.abc import Callable, MutableMapping, Sequence
from typing import Any

import keras
from keras import ops

from galaxycnn.models.layers import PACKAGE

_serializable = keras.saving.register_keras_serializable(package=PACKAGE)


@_serializable
class SwapRedAndBlue(keras.layers.Layer):
    """The channels in reverse order: RGB becomes BGR, as networks trained with Caffe expect it.

    Example:
        >>> ops.convert_to_numpy(SwapRedAndBlue()(ops.convert_to_tensor([[1.0, 2.0, 3.0]]))).tolist()
        [[3.0, 2.0, 1.0]]
    """

    def compute_output_shape(self, input_shape: Sequence[int | None]) -> tuple[int | None, ...]:
        return tuple(input_shape)

    def call(self, inputs: Any) -> Any:
        return ops.flip(inputs, axis=-1)


@_serializable
class LayerScale(keras.layers.Layer):
    """Multiplies each channel by a factor that is learnt (Touvron et al. 2021, arXiv:2103.17239).

    Args:
        start: the value from which every factor starts.
    """

    def __init__(self, start: float = 1e-6, **kwargs: Any) -> None:
        super().__init__(**kwargs)
        self.start = start

    def build(self, input_shape: Sequence[int | None]) -> None:
        initial = keras.initializers.Constant(self.start)
        self.factors = self.add_weight(shape=(input_shape[-1],), initializer=initial, name="factors")
        super().build(input_shape)

    def compute_output_shape(self, input_shape: Sequence[int | None]) -> tuple[int | None, ...]:
        return tuple(input_shape)

    def call(self, inputs: Any) -> Any:
        return inputs * self.factors

    def get_config(self) -> dict[str, Any]:
        return {**super().get_config(), "start": self.start}


# -- LoRA ----------------------------------------------------------------------------------------


class _LowRank:
    """A layer of Keras whose kernel keeps its values, but for a product of two thin matrices that is learnt.

    Keras has the arithmetic (``enable_lora``), but lets the bias learn, and merges the product into the kernel when
    weights are saved and then starts from two matrices of zeros, which never learn: an interrupted training could not
    go on. Here all four are kept.
    """

    def enable_lora(self, rank: int, **kwargs: Any) -> None:
        super().enable_lora(rank, **kwargs)  # type: ignore[misc]
        if self.bias is not None:
            self.bias.trainable = False

    def save_own_variables(self, store: MutableMapping[str, Any]) -> None:
        for number, weight in enumerate(self.weights):
            store[str(number)] = weight

    def load_own_variables(self, store: MutableMapping[str, Any]) -> None:
        for number, weight in enumerate(self.weights):
            weight.assign(store[str(number)])

    bias: Any
    weights: list[Any]


@_serializable
class LowRankConv2D(_LowRank, keras.layers.Conv2D):
    """A convolution of which only a change of low rank learns; ``lora_rank`` of Keras is that rank."""


@_serializable
class LowRankDense(_LowRank, keras.layers.Dense):
    """A dense layer of which only a change of low rank learns; ``lora_rank`` of Keras is that rank."""


_ADAPTED: dict[type, type[keras.layers.Layer]] = {
    keras.layers.Conv2D: LowRankConv2D,
    keras.layers.Dense: LowRankDense,
}


def with_low_rank(model: keras.Model, rank: int, chosen: Callable[[keras.layers.Layer], bool]) -> keras.Model:
    """A copy of ``model`` in which convolutions and dense layers among the ``chosen`` learn a change of ``rank`` only.

    The change starts at zero, so that the copy predicts what ``model`` does. Depthwise convolutions stay as they are:
    their kernels are thin already. Source: Hu et al. 2021, "LoRA", arXiv:2106.09685.

    Example:
        >>> pixels = keras.Input((8,))
        >>> x = keras.layers.Dense(6, name="backbone")(pixels)
        >>> model = keras.Model(pixels, keras.layers.Dense(2)(x))
        >>> adapted = with_low_rank(model, 2, lambda layer: layer.name == "backbone")
        >>> [weight.name for weight in adapted.trainable_weights]
        ['lora_kernel_a', 'lora_kernel_b', 'kernel', 'bias']
    """

    def copied(layer: keras.layers.Layer) -> keras.layers.Layer:
        kind, config = _ADAPTED.get(type(layer)), layer.get_config()
        if kind is None or not chosen(layer):
            return type(layer).from_config(config)
        return kind.from_config({**config, "lora_rank": rank})

    adapted = keras.models.clone_model(model, clone_function=copied)
    for layer in model.layers:
        if values := layer.get_weights():
            copy = adapted.get_layer(layer.name)
            copy.set_weights(values + copy.get_weights()[len(values) :])
    return adapted


def merged_weights(layer: keras.layers.Layer) -> list[Any]:
    """The values of a layer's weights, with a change of low rank added to the kernel, if it has one."""
    if not isinstance(layer, _LowRank):
        return layer.get_weights()
    bias = [] if layer.bias is None else [layer.bias]
    return [ops.convert_to_numpy(weight) for weight in (layer.kernel, *bias)]  # type: ignore[attr-defined]
