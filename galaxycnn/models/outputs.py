"""Between fractions of shape (galaxies, columns) and the outputs that a network really has."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import keras
import numpy as np

from galaxycnn.tree import DecisionTree, Floats


def per_question(model: keras.Model) -> bool:
    """Whether ``model`` has one output per question, rather than one flat output."""
    return len(model.outputs) > 1


def to_targets(model: keras.Model, tree: DecisionTree, fractions: Floats) -> Floats | dict[str, Floats]:
    """Fractions (galaxies, columns) as ``model`` is fitted to them: flat, or a dict by question."""
    if not per_question(model):
        return fractions
    return {question.name: fractions[:, tree.slice(question)] for question in tree.questions}


def to_fractions(tree: DecisionTree, predictions: Any) -> Floats:
    """What ``model.predict`` returned as fractions (galaxies, columns), in the order of ``tree.columns``."""
    if isinstance(predictions, Mapping):
        return np.concatenate([np.asarray(predictions[q.name]) for q in tree.questions], axis=1)
    if isinstance(predictions, list | tuple):
        return np.concatenate([np.asarray(part) for part in predictions], axis=1)
    return np.asarray(predictions)
