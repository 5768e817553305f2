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
        at_a_time = max(1, self.galaxies // len(cutouts))
        total = np.zeros((len(scores.names), *cutouts.shape), np.float32)
        for start in range(0, self.steps, at_a_time):
            some = [np.float32(place + 1) / 2 for place in places[start : start + at_a_time]]
            between = np.concatenate([sky + place * way for place in some])
            _, (slopes,) = gradients(scores.repeated(len(some)), tensor(between))
            by_place = ops.convert_to_numpy(slopes).reshape(len(scores.names), len(some), *cutouts.shape)
            total += np.einsum("qp...,p->q...", by_place, weights[start : start + at_a_time] / 2)
        return (total * way).sum(axis=-1)
