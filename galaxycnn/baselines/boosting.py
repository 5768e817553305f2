"""Gradient-boosted trees (Friedman 2001, Ann. Stat. 29, 1189) for each kind of prediction, on any description."""

from __future__ import annotations

from typing import Any

from sklearn.ensemble import HistGradientBoostingClassifier, HistGradientBoostingRegressor
from sklearn.multioutput import MultiOutputRegressor

SETTINGS: dict[str, Any] = {
    "learning_rate": 0.06,
    "max_leaf_nodes": 8,
    "l2_regularization": 1.0,
    "max_features": 0.33,
    "early_stopping": False,
}
"""100 small trees, each split of which chooses among a third of the features."""


def boosted_fractions(seed: int) -> Any:
    return MultiOutputRegressor(boosted_quantity(seed))


def boosted_classes(seed: int) -> Any:
    return HistGradientBoostingClassifier(**SETTINGS, random_state=seed)


def boosted_quantity(seed: int) -> Any:
    return HistGradientBoostingRegressor(**SETTINGS, random_state=seed)
