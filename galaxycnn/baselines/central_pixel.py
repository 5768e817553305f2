"""Kaggle's central pixel benchmark: galaxies whose middle has the same colour get the same fractions.

Its program (J. Noah-Vanhoucke 2013, github.com/noahvanhoucke/GalaxyZooChallenge) takes the mean of the 10×10 pixels in
the middle of the 424×424 frame, divides its red, green and blue by their mean, so that colour is left without
brightness, sorts the training galaxies by the three numbers rounded down, and predicts the mean fractions of the group;
a colour that no training galaxy has gets zeros. It scored 0.16194 on the leaderboard of 2014. Here k-means finds the
groups, so that every colour belongs to one; there are as many as the rounding makes.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray
from sklearn.base import BaseEstimator, ClassifierMixin, RegressorMixin
from sklearn.cluster import KMeans

from galaxycnn.baselines.method import Method
from galaxycnn.registry import BASELINES

GROUPS = 6
PATCH = 64
"""The sides of a cutout and of half of its middle patch are in this proportion: 10 pixels in frames of 256 to 424."""


def central_colour(cutouts: NDArray[np.uint8]) -> NDArray[np.floating]:
    """Mean of each band over the middle patch, divided by the mean of the bands: (galaxies, channels).

    Example:
        >>> orange = np.zeros((1, 64, 64, 3), np.uint8) + np.array([150, 100, 50], np.uint8)
        >>> central_colour(orange).tolist()
        [[1.5, 1.0, 0.5]]
    """
    rows, columns = (_middle(side) for side in cutouts.shape[1:3])
    bands = cutouts[:, rows, columns].mean(axis=(1, 2))
    brightness = bands.mean(axis=1, keepdims=True)
    return np.divide(bands, brightness, out=np.ones_like(bands), where=brightness > 0)


def _middle(side: int) -> slice:
    half = max(1, round(side / PATCH))
    return slice(side // 2 - half, (side + 1) // 2 + half)


class GroupMeans(RegressorMixin, BaseEstimator):
    """k-means on the features; the prediction is the mean of the training targets in the nearest group."""

    def __init__(self, groups: int = GROUPS, seed: int = 0) -> None:
        self.groups = groups
        self.seed = seed

    def fit(self, features: NDArray[np.floating], targets: NDArray[np.floating]) -> GroupMeans:
        distinct = len(np.unique(features, axis=0))
        self.kmeans_ = KMeans(min(self.groups, distinct), n_init=4, random_state=self.seed).fit(features)
        members = np.eye(self.kmeans_.n_clusters)[self.kmeans_.labels_]
        self.means_ = (members / members.sum(axis=0)).T @ targets
        return self

    def predict(self, features: NDArray[np.floating]) -> NDArray[np.floating]:
        return np.asarray(self.means_[self.kmeans_.predict(features)])


class GroupShares(ClassifierMixin, BaseEstimator):
    """The same for classes: the share of each in the nearest group."""

    def __init__(self, seed: int = 0) -> None:
        self.seed = seed

    def fit(self, features: NDArray[np.floating], classes: NDArray[np.integer]) -> GroupShares:
        self.classes_, positions = np.unique(classes, return_inverse=True)
        self.means_ = GroupMeans(seed=self.seed).fit(features, np.eye(len(self.classes_))[positions])
        return self

    def predict_proba(self, features: NDArray[np.floating]) -> NDArray[np.floating]:
        return self.means_.predict(features)


BASELINES.register("central_pixel")(
    Method(
        "mean of the training galaxies whose middle has a like colour (Kaggle's benchmark)",
        central_colour,
        fractions=lambda seed: GroupMeans(seed=seed),
        classes=lambda seed: GroupShares(seed=seed),
        quantity=lambda seed: GroupMeans(seed=seed),
    )
)
