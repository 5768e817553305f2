"""Layer-wise relevance propagation: an answer's score shared out over the pixels, layer by layer."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from functools import partial
from typing import Any, ClassVar

import keras
import numpy as np
from keras import layers, ops

from galaxycnn.errors import UserError
from galaxycnn.explain.gradients import Tensor
from galaxycnn.explain.lrp_rules import Weighted, added, spread
from galaxycnn.explain.method import Method
from galaxycnn.explain.network import FLAT, Array, Images, Network, Scores, tensor
from galaxycnn.models.group_convolution import GroupConv2D, PosePooling
from galaxycnn.models.heads import FractionHead
from galaxycnn.models.layers import AlignedParts, AnswerGate, JoinParts, Maxout, StopGradient
from galaxycnn.models.polar_layers import PolarPadding, PolarSampling
from galaxycnn.models.pretrained_layers import LayerScale, SwapRedAndBlue
from galaxycnn.models.quantity_heads import LinearHead
from galaxycnn.registry import EXPLANATIONS

_WEIGHTED = (layers.Conv2D, layers.DepthwiseConv2D, layers.Dense, GroupConv2D)
_PASSED_ON = (
    *(layers.Dropout, layers.SpatialDropout2D, layers.ReLU, layers.LeakyReLU, layers.Activation, StopGradient),
    *(layers.BatchNormalization, layers.Rescaling, layers.Normalization, LayerScale),
)
"""Layers in which every output has one input, which takes all its relevance."""
_SPREAD = (
    *(layers.MaxPooling2D, layers.AveragePooling2D, layers.GlobalMaxPooling2D, layers.GlobalAveragePooling2D),
    *(layers.Flatten, layers.Reshape, layers.ZeroPadding2D, layers.Cropping2D, layers.Concatenate),
    *(Maxout, AlignedParts, JoinParts, PosePooling, SwapRedAndBlue, PolarSampling, PolarPadding),
)
"""Layers that choose, average or move their inputs."""
_PIXELWISE = (
    layers.InputLayer,
    layers.Rescaling,
    layers.Normalization,
    layers.Concatenate,
    SwapRedAndBlue,
    AlignedParts,
    PolarSampling,
    PolarPadding,
)
"""What may lie between the pixels and the first convolution."""
_RECTIFIERS = ("linear", "relu", "relu6", "leaky_relu")


@EXPLANATIONS.register("lrp")
@dataclass(frozen=True)
class LRP(Method):
    """The answer's logit, less the mean of the others', shared out backwards through a network of rectified sums.

    Sources: Bach et al. 2015, PLoS ONE 10, e0130140; the composite of rules is that of Montavon et al. 2019,
    "Layer-Wise Relevance Propagation: An Overview": ε for dense layers, γ for convolutions and sums (with both signs of
    inputs, as in Zennit, Anders et al. 2021, arXiv:2106.13200), zᴮ at the pixels. Batch normalisation is merged into
    the convolution before it. It covers flat graphs of convolutions, dense layers, poolings, sums and rectifiers.

    In deep networks γ makes the maps of different questions alike (Sixt, Granz and Landgraf 2020, arXiv:1912.09818):
    those of an EfficientNet-Lite0 correlated by 1.00 where those of occlusion did by 0.91, those of a network of four
    convolutions by 0.60 where those of occlusion did by 0.53.

    Args:
        gamma: by how much inputs that agree in sign with the sum are favoured.
        epsilon: how much relevance is absorbed where a sum is small, as a share of the typical sum of the layer.
    """

    galaxies: ClassVar[int] = 4
    gamma: float = 0.25
    epsilon: float = 0.01

    def maps(self, scores: Scores, cutouts: Images) -> Array:
        graph = _Graph(scores.network)
        starts = [graph.start(name, scores.answers[:, i]) for i, name in enumerate(scores.names)]
        values = graph.run(tensor(cutouts), scores)
        limits = [graph.run(tensor(np.full_like(cutouts, limit)), scores) for limit in (0, 255)]
        relevance: dict[int, Tensor] = {}
        for layer in reversed(graph.layers):
            contrast = np.zeros((len(starts), len(cutouts), layer.output.shape[-1]), np.float32)
            for row, (start, weights) in zip(contrast, starts, strict=True):
                if start is layer:
                    row[:] = weights
            found = relevance.pop(id(layer.output), None)
            if found is None and not contrast.any():
                continue
            if isinstance(layer, layers.InputLayer):
                if id(layer.output) == graph.pixels:
                    return ops.convert_to_numpy(ops.sum(found, axis=-1))
                continue
            inputs = graph.inputs(layer)
            x = [values[id(source)] for source in inputs]
            if isinstance(layer, _WEIGHTED):
                weighted = graph.weighted[layer.name]
                if contrast.any():
                    started = tensor(contrast) * weighted.forward(x[0])
                    found = started if found is None else found + started
                spent = self._through_weights(weighted, x[0], found, graph, limits, inputs[0])
            elif isinstance(layer, layers.Add):
                spent = added(x, self.gamma, self.epsilon, found)
            elif isinstance(layer, _PASSED_ON):
                spent = [found]
            else:
                spent = spread(partial(_called, layer), x, found)
            for source, part in zip(inputs, spent, strict=True):
                relevance[id(source)] = relevance[id(source)] + part if id(source) in relevance else part
        return np.zeros((len(starts), *cutouts.shape[:3]), np.float32)

    def _through_weights(
        self, weighted: Weighted, x: Tensor, found: Tensor, graph: _Graph, limits: list[Any], source: Any
    ) -> list[Tensor]:
        if id(source) in graph.pixelwise:
            low, high = (limit[id(source)] for limit in limits)
            return [weighted.bounded(x, ops.minimum(low, high), ops.maximum(low, high), found)]
        gamma = 0.0 if isinstance(weighted.layer, layers.Dense) else self.gamma
        return [weighted.gamma(x, gamma, self.epsilon, found)]


class _Graph:
    """A network's layers and the tensors between them, if relevance can pass through all of them.

    Raises:
        UserError: it cannot; the layer is named.
    """

    def __init__(self, network: Network) -> None:
        self.network = network
        self.layers = list(network.model.layers)
        self._made_by = {}
        for layer in self.layers:
            try:
                self._made_by[id(layer.output)] = layer
            except (AttributeError, ValueError):
                raise _refusal(layer, "is used more than once") from None
        self.pixels = next(id(tensor) for tensor in network.model.inputs if len(tensor.shape) == 4)
        norms = self._norms()
        self.weighted = {
            layer.name: Weighted.of(layer, norms.get(layer.name))
            for layer in self.layers
            if isinstance(layer, _WEIGHTED)
        }
        self.pixelwise: set[int] = set()
        for layer in self.layers:
            if isinstance(layer, _PIXELWISE) and all(id(source) in self.pixelwise for source in self.inputs(layer)):
                self.pixelwise.add(id(layer.output))

    def inputs(self, layer: keras.layers.Layer) -> list[Any]:
        """The tensors that ``layer`` takes."""
        if isinstance(layer, layers.InputLayer):
            return []
        return list(layer.input) if isinstance(layer.input, list | tuple) else [layer.input]

    def _norms(self) -> dict[str, layers.BatchNormalization]:
        """The normalisation that follows alone after each convolution or dense layer, by that layer's name."""
        takers: dict[int, list[keras.layers.Layer]] = {}
        for layer in self.layers:
            for source in self.inputs(layer):
                takers.setdefault(id(source), []).append(layer)
        followed = (
            (self._made_by[id(layer.input)], layer)
            for layer in self.layers
            if isinstance(layer, layers.BatchNormalization) and takers[id(layer.input)] == [layer]
        )
        return {before.name: norm for before, norm in followed if _is_plain(before)}

    def start(self, name: str, answers: Any) -> tuple[keras.layers.Layer, Array]:
        """The dense layer of an output's logits, and the weight of each in what is explained: (galaxies, logits).

        All layers between it and the pixels are looked at.
        """
        output, place = self._output(name)
        layer = self._made_by[id(output)]
        if isinstance(layer, AnswerGate):
            layer = self._made_by[id(layer.input[0])]
        if isinstance(layer, FractionHead | LinearHead | layers.Activation):
            layer = self._made_by[id(layer.input)]
        if not isinstance(layer, layers.Dense):
            raise _refusal(layer, f"makes {name!r} of something else than the numbers of a dense layer")
        self._check(layer, name)
        weights = np.zeros((len(answers), layer.output.shape[-1]), np.float32)
        weights[:, place] = -1 / max(1, place.stop - place.start - 1)
        weights[np.arange(len(answers)), place.start + answers] = 1
        return layer, weights

    def _output(self, name: str) -> tuple[Any, slice]:
        outputs, tree = self.network.model.output, self.network.tree
        flat = outputs
        if isinstance(outputs, Mapping):
            if name in outputs:
                of_a_question = name in {question.name for question in tree.questions}
                return outputs[name], slice(0, len(tree.question(name)) if of_a_question else 1)
            flat = outputs[FLAT]
        elif isinstance(outputs, list | tuple):
            position = [question.name for question in tree.questions].index(name)
            return outputs[position], slice(0, len(tree.questions[position]))
        return flat, tree.slice(name)

    def _check(self, start: keras.layers.Layer, name: str) -> None:
        """Whether relevance can pass from ``start`` to the pixels."""
        pending, seen = self.inputs(start), set()
        while pending:
            source = pending.pop()
            if id(source) in seen:
                continue
            seen.add(id(source))
            layer = self._made_by.get(id(source))
            known = (*_WEIGHTED, *_PASSED_ON, *_SPREAD, layers.Add, layers.InputLayer)
            if layer is None or not isinstance(layer, known) or isinstance(layer, keras.Model):
                raise _refusal(layer, f"lies between {name!r} and the pixels")
            if isinstance(layer, layers.ReLU | layers.LeakyReLU):
                pass
            elif _activation(layer) not in _RECTIFIERS:
                raise _refusal(layer, f"has the activation {_activation(layer)!r}, no rectifier")
            pending.extend(self.inputs(layer))

    def run(self, pixels: Tensor, scores: Scores) -> dict[int, Tensor]:
        """The values of all tensors between the layers."""
        tensors = [layer.output for layer in self.layers]
        tensors = [each for each in tensors if keras.backend.is_keras_tensor(each)]
        inputs = {name: tensor(values) for name, values in scores.others.items()}
        found = keras.Model(self.network.model.input, tensors)(
            {**inputs, self.network.cutout_input: pixels} if inputs else pixels, training=False
        )
        found = found if isinstance(found, list | tuple) else [found]
        return {id(each): ops.cast(value, "float32") for each, value in zip(tensors, found, strict=True)}


def _called(layer: keras.layers.Layer, *inputs: Tensor) -> Tensor:
    """What ``layer`` makes of them, as float32 whatever it computes in."""
    return ops.cast(layer(inputs if len(inputs) > 1 else inputs[0]), "float32")


def _is_plain(layer: keras.layers.Layer) -> bool:
    """Whether it is a weighted sum and nothing else."""
    return isinstance(layer, _WEIGHTED) and _activation(layer) == "linear"


def _activation(layer: keras.layers.Layer) -> str:
    return getattr(getattr(layer, "activation", None), "__name__", "linear")


def _refusal(layer: keras.layers.Layer | None, why: str) -> UserError:
    what = f"the layer {layer.name!r} ({type(layer).__name__})" if layer is not None else "a layer"
    return UserError(
        f"relevance can be propagated through convolutions, dense layers, poolings, sums and rectifiers, but {what}"
        f" {why}; use 'integrated_gradients'"
    )
