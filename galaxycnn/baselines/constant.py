"""Baselines that do not look at the image."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray
from sklearn.base import BaseEstimator, RegressorMixin
from sklearn.dummy import DummyClassifier, DummyRegressor

from galaxycnn.baselines.method import Method
from galaxycnn.registry import BASELINES


class Constant(RegressorMixin, BaseEstimator):
    """The same number for every column of every galaxy."""

    def __init__(self, value: float) -> None:
        self.value = value

    def fit(self, features: NDArray[np.floating], fractions: NDArray[np.floating]) -> Constant:
        self.columns_ = fractions.shape[1]
        return self

    def predict(self, features: NDArray[np.floating]) -> NDArray[np.float64]:
        return np.full((len(features), self.columns_), float(self.value))


BASELINES.register("all_ones")(Method("1 for every answer (Kaggle's benchmark)", None, lambda seed: Constant(1)))
BASELINES.register("all_zeros")(Method("0 for every answer (Kaggle's benchmark)", None, lambda seed: Constant(0)))
BASELINES.register("mean")(
    Method(
        "the mean of the training galaxies, their commonest class",
        None,
        fractions=lambda seed: DummyRegressor(),
        classes=lambda seed: DummyClassifier(strategy="prior"),
        quantity=lambda seed: DummyRegressor(),
    )
)
