"""Baselines that see a galaxy as a catalogue does: by its classical measurements."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray
from sklearn.ensemble import HistGradientBoostingRegressor
from sklearn.linear_model import RidgeCV
from sklearn.multioutput import MultiOutputRegressor
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import PolynomialFeatures, QuantileTransformer, StandardScaler

from galaxycnn.baselines.method import Method
from galaxycnn.measurements import MORPHOLOGY, measure_cutouts
from galaxycnn.registry import BASELINES

PENALTIES = 10.0 ** np.arange(0, 6)


def measurements(cutouts: NDArray[np.uint8]) -> NDArray[np.floating]:
    """Size, shape, concentration, asymmetry, colour, ... without place and direction: (galaxies, measures)."""
    return measure_cutouts(cutouts)[list(MORPHOLOGY)].to_numpy()


def _ridge(seed: int) -> Any:
    """Measures made normal (outliers lose their weight) and their products; each answer has its own penalty, found by
    leaving out one galaxy at a time."""
    normal = QuantileTransformer(n_quantiles=20, output_distribution="normal", random_state=seed)
    products = PolynomialFeatures(2, include_bias=False)
    return make_pipeline(normal, products, StandardScaler(), RidgeCV(PENALTIES, alpha_per_target=True))


def _gradient_boosting(seed: int) -> Any:
    """100 small trees for each answer, each split of which chooses among a third of the measures."""
    trees = HistGradientBoostingRegressor(
        learning_rate=0.06, max_leaf_nodes=8, l2_regularization=1.0, max_features=0.33, random_state=seed
    )
    return MultiOutputRegressor(trees)


BASELINES.register("ridge")(Method("ridge regression on classical measurements", measurements, _ridge))
BASELINES.register("gradient_boosting")(
    Method("gradient-boosted trees on classical measurements", measurements, _gradient_boosting)
)
