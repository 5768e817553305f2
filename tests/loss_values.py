"""What the tests of losses share: a loss's value and gradient, and fractions that votes can make."""

from __future__ import annotations

import keras
import numpy as np
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays
from keras import ops

from galaxycnn.losses import make_loss
from galaxycnn.tree import GALAXY_ZOO_2, DecisionTree

COLUMNS = len(GALAXY_ZOO_2.columns)

fraction = st.floats(0.03125, 0.96875, width=32)
flat_rows = arrays(np.float32, (4, COLUMNS), elements=fraction)


def value(loss, truth, predicted) -> float:
    return float(loss(ops.convert_to_tensor(truth), ops.convert_to_tensor(predicted)))


def flat_loss(name: str, **params) -> keras.losses.Loss:
    return make_loss(name, params, np.linspace(0.5, 2, COLUMNS), GALAXY_ZOO_2)


def votes(raw: np.ndarray, tree: DecisionTree = GALAXY_ZOO_2) -> np.ndarray:
    """Fractions whose sums all hold: each question of ``raw`` normalised and multiplied down the tree."""
    found = np.zeros_like(raw)
    for question in tree.questions:
        where, parents = tree.slice(question), tree.indices(question.parents)
        asked = found[:, parents].sum(axis=1, keepdims=True) if parents else 1
        found[:, where] = asked * raw[:, where] / raw[:, where].sum(axis=1, keepdims=True)
    return found


class Held(keras.layers.Layer):
    """Predictions that are weights, so that a step of gradient descent shows their gradient."""

    def __init__(self, values: np.ndarray) -> None:
        super().__init__()
        self.values = self.add_weight(shape=values.shape, initializer="zeros")
        self.values.assign(values)

    def call(self, inputs):
        return self.values + 0 * inputs


def gradient(loss, truth: np.ndarray, predicted: np.ndarray) -> np.ndarray:
    """Of the mean over the galaxies with respect to every prediction."""
    model = keras.Sequential([Held(predicted)])
    model.compile(keras.optimizers.SGD(1.0), loss, run_eagerly=True)
    model.train_on_batch(np.zeros_like(truth), truth)
    return predicted - model.get_weights()[0]
