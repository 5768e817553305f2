"""Grad-CAM and Grad-CAM++: where the last feature map speaks for an answer."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from galaxycnn.explain.feature_maps import FeatureMap, last_feature_maps, named_feature_map, on_cutouts
from galaxycnn.explain.method import Method
from galaxycnn.explain.network import Array, Images, Scores
from galaxycnn.registry import EXPLANATIONS


@EXPLANATIONS.register("gradcam")
@dataclass(frozen=True)
class GradCAM(Method):
    """Channels of the last feature map, weighted by how the answer changes with them, where their sum is positive.

    Source: Selvaraju et al. 2017, arXiv:1610.02391, equations 1 and 2. In a transformer the feature map is made of the
    tokens of the patches.

    Args:
        layer: the name of the layer; None for the last with a feature map that the answer depends on.
    """

    layer: str | None = None

    def maps(self, scores: Scores, cutouts: Images) -> Array:
        maps = np.empty((len(scores.names), *cutouts.shape[:3]), np.float32)
        for feature_map, asked in self._layers(scores, cutouts):
            features, slopes = feature_map.read(scores.only(asked), cutouts)
            small = np.stack([self._weighted(features, slope) for slope in slopes])
            maps[asked] = on_cutouts(scores.network.model, feature_map, small, cutouts)
        return maps

    def _layers(self, scores: Scores, cutouts: Images) -> list[tuple[FeatureMap, list[int]]]:
        """Each layer that is looked at, and the questions for which it is."""
        if self.layer is not None:
            return [(named_feature_map(scores.network.model, self.layer), list(range(len(scores.names))))]
        asked: dict[FeatureMap, list[int]] = {}
        for i, feature_map in enumerate(last_feature_maps(scores, cutouts)):
            asked.setdefault(feature_map, []).append(i)
        return list(asked.items())

    def _weighted(self, features: Array, slopes: Array) -> Array:
        """Features (batch, height, width, channels) and an answer's gradients there, as maps (batch, height, width)."""
        return np.maximum((features * self._weights(features, slopes)).sum(axis=-1), 0)

    def _weights(self, features: Array, slopes: Array) -> Array:
        """The weight of each channel, (batch, 1, 1, channels)."""
        return slopes.mean(axis=(1, 2), keepdims=True)


@EXPLANATIONS.register("gradcam++")
@dataclass(frozen=True)
class GradCAMPlusPlus(GradCAM):
    """Grad-CAM with weights that count each of several places alike, large or small: all arms, not the longest.

    Source: Chattopadhay et al. 2018, arXiv:1710.11063, equations 5 and 19, for the exponential of the score.
    """

    def _weights(self, features: Array, slopes: Array) -> Array:
        scale = np.abs(slopes).max(axis=(1, 2, 3), keepdims=True)
        slopes = np.divide(slopes, scale, out=np.zeros_like(slopes), where=scale > 0)
        third = scale * features.sum(axis=(1, 2), keepdims=True) * slopes
        below = 2 + third
        share = np.divide(1, below, out=np.zeros_like(below), where=(below != 0) & (slopes != 0))
        return (share * np.maximum(slopes, 0)).sum(axis=(1, 2), keepdims=True)
