"""What a baseline is."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, Literal

import numpy as np
from numpy.typing import NDArray

Describe = Callable[[NDArray[np.uint8]], NDArray[np.floating]]
Make = Callable[[int], Any]
Kind = Literal["fractions", "classes", "quantity"]
"""What is predicted: vote fractions, the probabilities of classes, or a number."""


@dataclass(frozen=True)
class Method:
    """How something is predicted without a network.

    Attributes:
        text: what it does, in one line.
        describe: from uint8 cutouts (galaxies, height, width, channels) to numbers (galaxies, features). Methods that
            share it share the work. None for methods that do not look at the galaxies.
        fractions: from a seed to a scikit-learn regressor of several outputs, vote fractions; None: it predicts none.
        classes: from a seed to a classifier with ``predict_proba``; None: it predicts none.
        quantity: from a seed to a regressor of one output; None: it predicts none.
    """

    text: str
    describe: Describe | None
    fractions: Make | None = None
    classes: Make | None = None
    quantity: Make | None = None

    def maker(self, kind: Kind) -> Make | None:
        """What makes the estimator of a kind of prediction; None: it predicts none."""
        makers: dict[Kind, Make | None] = {
            "fractions": self.fractions,
            "classes": self.classes,
            "quantity": self.quantity,
        }
        return makers[kind]

    def features(self, cutouts: NDArray[np.uint8]) -> NDArray[np.floating]:
        """What the estimators get to see: shape (galaxies, features)."""
        return np.zeros((len(cutouts), 1)) if self.describe is None else self.describe(cutouts)
