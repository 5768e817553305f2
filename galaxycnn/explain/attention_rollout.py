"""Attention rollout: which patches a transformer gathers its answers from."""

from __future__ import annotations

from collections.abc import Callable
from contextlib import ExitStack
from dataclasses import dataclass
from typing import Any

import keras
import numpy as np
from keras import ops

from galaxycnn.errors import UserError
from galaxycnn.explain.feature_maps import feature_maps, on_cutouts
from galaxycnn.explain.intercepting import all_layers, intercepted
from galaxycnn.explain.method import Method
from galaxycnn.explain.network import Array, Images, Scores, tensor
from galaxycnn.registry import EXPLANATIONS


@EXPLANATIONS.register("attention_rollout")
@dataclass(frozen=True)
class AttentionRollout(Method):
    """How much of each patch arrives at the end of a transformer, through all its blocks; the same for every question.

    Source: Abnar and Zuidema 2020, arXiv:2005.00928, section 3: the mean over heads of each block's attention, half of
    it and half of what passes by, multiplied from block to block. It is read off the token that the answers are read
    off, or is the mean of several.
    """

    def maps(self, scores: Scores, cutouts: Images) -> Array:
        model = scores.network.model
        attentions = [layer for layer in all_layers(model) if isinstance(layer, keras.layers.MultiHeadAttention)]
        if not attentions:
            raise UserError("the network has no attention to roll out, it is no transformer; use 'gradcam'")
        seen: list[Array] = []

        def record(call: Callable[..., Any], *args: Any, **kwargs: Any) -> Any:
            output, weights = call(*args, **{**kwargs, "return_attention_scores": True})
            seen.append(ops.convert_to_numpy(ops.cast(weights, "float32")).mean(axis=1))
            return output

        with ExitStack() as stack:
            for layer in attentions:
                stack.enter_context(intercepted(layer, record))
            scores(tensor(cutouts))
        identity: Array = np.eye(seen[0].shape[-1], dtype=np.float32)
        rolled = identity
        for weights in seen:
            rolled = ((weights + identity) / 2).astype(np.float32) @ rolled
        last = [found for found in feature_maps(model) if found.layer.output.shape[:-1] == (None, rolled.shape[-1])][-1]
        read_off = np.any(last.slopes(scores, cutouts), axis=(0, 1, 3))
        small = last.on_grid(rolled[:, read_off].mean(axis=1)[..., None])[..., 0]
        return np.repeat(on_cutouts(model, last, small[None], cutouts), len(scores.names), axis=0)
