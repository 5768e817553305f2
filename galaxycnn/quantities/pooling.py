"""Several predictions of the same galaxies as one: of a network's views, or of an ensemble's members."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TypeAlias

import numpy as np
from numpy.typing import NDArray

from galaxycnn.quantities.distributions import Binned, Distribution, GaussianMixture

Prediction: TypeAlias = NDArray[np.float64] | Distribution
"""Best estimates of shape (galaxies,), or a distribution for each galaxy."""


def best_estimate(prediction: Prediction) -> NDArray[np.float64]:
    """The predicted values, shape (galaxies,)."""
    return prediction.mean if isinstance(prediction, Distribution) else np.asarray(prediction, float)


def pooled(weights: Sequence[float], predictions: Sequence[Prediction]) -> Prediction:
    """The weighted mean of distributions of one kind; of others, or of plain values, that of the best estimates.

    The mean of distributions is wider than each where they disagree, as it should.

    Args:
        weights: one per prediction, with the sum 1.
        predictions: of the same galaxies.

    Example:
        >>> both = pooled([0.5, 0.5], [GaussianMixture.single([0.1], 0.01), GaussianMixture.single([0.3], 0.01)])
        >>> both.mean.round(3).tolist(), both.spread.round(3).tolist()
        ([0.2], [0.1])
    """
    mixtures = [each for each in predictions if isinstance(each, GaussianMixture)]
    if len(mixtures) == len(predictions):
        shares = [weight * each.weights for weight, each in zip(weights, mixtures, strict=True)]
        means, spreads = ([getattr(each, name) for each in mixtures] for name in ("means", "spreads"))
        return GaussianMixture(np.hstack(shares), np.hstack(means), np.hstack(spreads))
    binned = [each for each in predictions if isinstance(each, Binned)]
    if len(binned) == len(predictions) and all(np.array_equal(each.edges, binned[0].edges) for each in binned):
        return Binned(_mean(weights, [each.probabilities for each in binned]), binned[0].edges)
    return _mean(weights, [best_estimate(each) for each in predictions])


def _mean(weights: Sequence[float], arrays: Sequence[NDArray[np.float64]]) -> NDArray[np.float64]:
    return np.tensordot(np.asarray(weights), np.stack(arrays), 1)
