"""Integrated gradients: the difference that a galaxy makes to an empty sky, pixel by pixel."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from keras import ops

from galaxycnn.explain.gradients import gradients
from galaxycnn.explain.method import Method
from galaxycnn.explain.network import Array, Images, Scores, tensor
from galaxycnn.explain.regions import empty_sky
from galaxycnn.registry import EXPLANATIONS


@EXPLANATIONS.register("integrated_gradients")
@dataclass(frozen=True)
class IntegratedGradients(Method):
    """What each pixel adds to the score on the way from an empty sky to the galaxy; all add up to the whole difference.

    Source: Sundararajan, Taly and Yan 2017, arXiv:1703.01365, equation 1. The way starts from the median colour of the
    frame around the cutout, and the integral is taken by Gauss and Legendre's rule.

    Args:
        steps: places on the way where the gradient is taken.
    """

    steps: int = 32

    def maps(self, scores: Scores, cutouts: Images) -> Array:
        sky = empty_sky(cutouts)
        way = cutouts - sky
        places, weights = np.polynomial.legendre.leggauss(self.steps)
        total = np.zeros((len(scores.names), *cutouts.shape), np.float32)
        for place, weight in zip((places + 1) / 2, weights / 2, strict=True):
            _, (slopes,) = gradients(scores, tensor(sky + np.float32(place) * way))
            total += np.float32(weight) * ops.convert_to_numpy(slopes)
        return (total * way).sum(axis=-1)
