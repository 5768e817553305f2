"""Regressed quantities, such as redshifts: how well they are predicted, and whether their stated uncertainties hold."""

from galaxycnn.quantities.distributions import Binned, Distribution, GaussianMixture
from galaxycnn.quantities.measures import (
    REDSHIFT,
    Quantity,
    QuantityBaseline,
    collapsed,
    evaluate_quantity,
    verdict,
)
from galaxycnn.quantities.pooling import Prediction, best_estimate, pooled

__all__ = [
    "REDSHIFT",
    "Binned",
    "Distribution",
    "GaussianMixture",
    "Prediction",
    "Quantity",
    "QuantityBaseline",
    "best_estimate",
    "collapsed",
    "evaluate_quantity",
    "pooled",
    "verdict",
]
