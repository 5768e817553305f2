"""Baselines that see nothing but pixels: linear models of them, and boosted trees on their principal components.

The linear ones are those of Kempster-Taylor (*Classifying Merging Galaxies and Estimating Redshifts Using a
Dual-Objective CNN*): logistic regression for classes, linear regression for redshifts, on flattened pixels. There, they
are the 196,608 numbers of 256×256×3; those of the 17,736 galaxies of Galaxy10 DECaLS fill 14 GB as float32. Here a
cutout is first averaged over areas to at most 32×32, 218 MB for as many galaxies. Nothing is lost by it that the linear
model could use: on 1,354 SDSS spirals with redshifts it reaches R² 0.58 on 339 others with a side of 16, of 32, of 64
and of 120 pixels.

With more pixels than galaxies, least squares reproduces the training galaxies and little else: on the same galaxies
its test R² is -0.57 with 32×32 pixels and 0.12 with 120×120. So the regression has a ridge penalty, found by leaving
out one galaxy at a time. The logistic regression has scikit-learn's own penalty, as there.
"""

from __future__ import annotations

from typing import Any

import cv2
import numpy as np
from numpy.typing import NDArray
from sklearn.base import BaseEstimator, TransformerMixin
from sklearn.decomposition import PCA
from sklearn.linear_model import LogisticRegression, RidgeCV
from sklearn.pipeline import make_pipeline

from galaxycnn.baselines.boosting import boosted_classes, boosted_fractions, boosted_quantity
from galaxycnn.baselines.method import Method
from galaxycnn.registry import BASELINES

SIDE = 32
"""Longest side in pixels of what is left of a cutout."""
COMPONENTS = 50
"""Principal components that the trees see."""
PENALTIES = 10.0 ** np.arange(-1, 5)


def flattened(cutouts: NDArray[np.uint8]) -> NDArray[np.float32]:
    """Pixels in 0…1, averaged over areas to at most 32×32: shape (galaxies, height · width · channels).

    Example:
        >>> halves = np.zeros((1, 64, 64, 1), np.uint8)
        >>> halves[:, :, 32:] = 255
        >>> flattened(halves).shape, flattened(halves)[0, [0, 15, 16, 31]].tolist()
        ((1, 1024), [0.0, 0.0, 1.0, 1.0])
    """
    height, width = (min(side, SIDE) for side in cutouts.shape[1:3])
    small = np.stack([cv2.resize(cutout, (width, height), interpolation=cv2.INTER_AREA) for cutout in cutouts])
    return np.asarray(small.reshape(len(cutouts), -1) / np.float32(255), np.float32)


def _linear(seed: int) -> Any:
    return RidgeCV(PENALTIES, alpha_per_target=True)


def _logistic(seed: int) -> Any:
    return LogisticRegression(max_iter=1000)


class Components(TransformerMixin, BaseEstimator):
    """So many principal components, or as many as there are galaxies or pixels."""

    def __init__(self, count: int = COMPONENTS, seed: int = 0) -> None:
        self.count = count
        self.seed = seed

    def fit(self, features: NDArray[np.floating], targets: object = None) -> Components:
        count = min(self.count, *features.shape)
        self.pca_ = PCA(count, svd_solver="randomized", random_state=self.seed).fit(features)
        return self

    def transform(self, features: NDArray[np.floating]) -> NDArray[np.floating]:
        return np.asarray(self.pca_.transform(features))


def _on_components(seed: int, trees: Any) -> Any:
    return make_pipeline(Components(seed=seed), trees)


BASELINES.register("pixels")(
    Method(
        "linear or logistic regression on 32×32 pixels",
        flattened,
        fractions=_linear,
        classes=_logistic,
        quantity=_linear,
    )
)
BASELINES.register("pca_boosting")(
    Method(
        "gradient-boosted trees on 50 principal components of 32×32 pixels",
        flattened,
        fractions=lambda seed: _on_components(seed, boosted_fractions(seed)),
        classes=lambda seed: _on_components(seed, boosted_classes(seed)),
        quantity=lambda seed: _on_components(seed, boosted_quantity(seed)),
    )
)
