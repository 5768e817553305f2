"""Baselines that see a galaxy as a catalogue does: by its classical measurements."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray
from sklearn.linear_model import LogisticRegression, RidgeCV
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import PolynomialFeatures, QuantileTransformer, StandardScaler

from galaxycnn.baselines.boosting import boosted_classes, boosted_fractions, boosted_quantity
from galaxycnn.baselines.method import Method
from galaxycnn.measurements import MORPHOLOGY, measure_cutouts
from galaxycnn.registry import BASELINES

PENALTIES = 10.0 ** np.arange(0, 6)
FREEDOM = 1e-2
"""The inverse of the logistic regression's penalty (scikit-learn's C)."""


def measurements(cutouts: NDArray[np.uint8]) -> NDArray[np.floating]:
    """Size, shape, concentration, asymmetry, colour, ... without place and direction: (galaxies, measures)."""
    return measure_cutouts(cutouts)[list(MORPHOLOGY)].to_numpy()


def _on_products(seed: int, linear: Any) -> Any:
    """A linear model of measures made normal (outliers lose their weight) and of their products."""
    normal = QuantileTransformer(n_quantiles=20, output_distribution="normal", random_state=seed)
    return make_pipeline(normal, PolynomialFeatures(2, include_bias=False), StandardScaler(), linear)


def _ridge(seed: int) -> Any:
    """Each answer, or the quantity, has its own penalty, found by leaving out one galaxy at a time."""
    return _on_products(seed, RidgeCV(PENALTIES, alpha_per_target=True))


def _logistic(seed: int) -> Any:
    return _on_products(seed, LogisticRegression(C=FREEDOM, max_iter=1000))


BASELINES.register("ridge")(
    Method(
        "linear model of classical measurements with a ridge penalty",
        measurements,
        fractions=_ridge,
        classes=_logistic,
        quantity=_ridge,
    )
)
BASELINES.register("gradient_boosting")(
    Method(
        "gradient-boosted trees on classical measurements",
        measurements,
        fractions=boosted_fractions,
        classes=boosted_classes,
        quantity=boosted_quantity,
    )
)
