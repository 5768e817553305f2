"""Losses by the name that ``train_params.loss_function`` gives, and the class weights that some take.

Every loss works on fractions of shape (batch, answers) and returns one value per galaxy; Keras
averages over the batch. All are registered with Keras, so that compiled models reload. A loss whose
constructor has ``class_weights`` or ``tree`` is given those of the answers that it sees.
"""

from __future__ import annotations

import inspect
from collections.abc import Mapping, Sequence
from typing import Any

import keras
import numpy as np
from keras import ops

from galaxycnn.errors import ConfigError, nearest
from galaxycnn.losses.answer_losses import (
    FocalLoss,
    RootMeanSquaredError,
    WeightedCategoricalCrossentropy,
    WeightedMeanSquaredError,
)
from galaxycnn.losses.quantity_losses import Balanced
from galaxycnn.losses.tree_losses import ConstraintLoss, DirichletMultinomial, Multinomial, PerQuestionCrossEntropy
from galaxycnn.registry import LOSSES, MODELS
from galaxycnn.tree import DecisionTree, Floats

__all__ = [
    "ConstraintLoss",
    "DirichletMultinomial",
    "FocalLoss",
    "Multinomial",
    "PerQuestionCrossEntropy",
    "RootMeanSquaredError",
    "WeightedCategoricalCrossentropy",
    "WeightedMeanSquaredError",
    "balanced",
    "check_loss",
    "check_output",
    "class_weights",
    "make_loss",
    "needs_class_weights",
    "takes_class_weights",
]

for _name, _loss in {
    "mean_squared_error": keras.losses.MeanSquaredError,
    "mean_absolute_error": keras.losses.MeanAbsoluteError,
    "huber": keras.losses.Huber,
    "log_cosh": keras.losses.LogCosh,
    "binary_crossentropy": keras.losses.BinaryCrossentropy,
    "categorical_crossentropy": keras.losses.CategoricalCrossentropy,
    "kl_divergence": keras.losses.KLDivergence,
    "poisson": keras.losses.Poisson,
}.items():
    LOSSES.register(_name)(_loss)
LOSSES.register("mse")(keras.losses.MeanSquaredError)
LOSSES.register("mae")(keras.losses.MeanAbsoluteError)


_NOT_IN_YAML = ("class_weights", "tree", "name", "kwargs", "dtype")


def needs_class_weights(name: str) -> bool:
    """Whether the loss called ``name`` cannot do without class weights."""
    parameter = _parameters(name).get("class_weights")
    return parameter is not None and parameter.default is inspect.Parameter.empty


def takes_class_weights(name: str) -> bool:
    """Whether the loss called ``name`` uses class weights where there are any."""
    return "class_weights" in _parameters(name)


def _parameters(name: str) -> Mapping[str, inspect.Parameter]:
    return inspect.signature(LOSSES[name]).parameters


def make_loss(
    name: str,
    params: Mapping[str, Any],
    class_weights: Sequence[float] | None = None,
    tree: DecisionTree | None = None,
) -> keras.losses.Loss:
    """The loss called ``name``, with ``class_weights`` and ``tree`` where it takes them.

    Args:
        name: a key of ``LOSSES``, as in ``train_params.loss_function``.
        params: its parameters, as in ``train_params.loss_params``.
        class_weights: a factor for each answer that the loss sees.
        tree: the questions whose answers the loss sees, in order.

    Raises:
        ConfigError: an unknown loss, or a parameter that it does not have.

    Example:
        >>> from galaxycnn.tree import GALAXY_ZOO_2
        >>> make_loss("constraint", {"weight": 0.01}, tree=GALAXY_ZOO_2).weight
        0.01
    """
    parameters = _parameters(name)
    known = [key for key in parameters if key not in _NOT_IN_YAML]
    for key in params:
        if key not in known:
            raise ConfigError(f"train_params.loss_params: {name} has no parameter {key!r}{nearest(key, known)}")
    if tree is None and "tree" in parameters:
        raise TypeError(f"the loss {name!r} needs the tree whose answers it sees")
    given = {key: value for key, value in (("class_weights", class_weights), ("tree", tree)) if key in parameters}
    try:
        return LOSSES[name](**params, **given)
    except (TypeError, ValueError) as error:
        raise ConfigError(f"train_params.loss_params: {error}") from None


def balanced(loss: keras.losses.Loss) -> keras.losses.Loss:
    """The loss relative to its own size, where it has a size: likelihoods that can be below 0 stay as they are."""
    return loss if getattr(loss, "can_be_negative", False) else Balanced(loss)


def check_loss(name: str, params: Mapping[str, Any]) -> None:
    """Raise a ConfigError where the loss called ``name`` cannot be made, or not be used, with ``params``."""
    loss = make_loss(name, params, [1.0, 1.0], DecisionTree.from_classes({"question": ["yes", "no"]}))
    try:
        loss(ops.ones((1, 2)), ops.full((1, 2), 0.5))
    except Exception as error:  # whatever the backend makes of a parameter of the wrong type
        shown = ", ".join(f"{key}: {value!r}" for key, value in params.items())
        raise ConfigError(f"train_params.loss_params: {name} does not work with {shown}") from error


def check_output(name: str, flat: bool) -> None:
    """Raise a ConfigError where the loss called ``name`` compares questions, and the network is not ``flat``.

    A loss that is a sum over questions works on an output per question as well: it is given the
    tree of that question. One with ``joins_questions`` needs all answers in one output.
    """
    if getattr(LOSSES[name], "joins_questions", False) and not flat:
        models = ", ".join(model for model, family in MODELS.items() if family.flat_output)
        raise ConfigError(
            f"train_params.loss_function: {name!r} compares questions with each other, but this model_type has an"
            f" output for each; choose one with a flat output: {models}"
        )


def class_weights(tree: DecisionTree, fractions: Floats, threshold: float = 0.0, log: bool = True) -> list[float]:
    """Inverse-frequency weight of every column, question by question.

    A galaxy counts for its most likely answer to each question that its own walk down the tree
    reaches. An answer with n of N galaxies has weight w = N / (number of answers × n), or
    log(1 + w); an answer with a share of at most ``threshold`` has the weight of an answer as
    frequent as the others (w = 1). Source: Sobral Blanco (2023), section 3.1.2 and its ``threshold`` and
    ``take_weights_log``.

    Args:
        fractions: shape (galaxies, columns), in the order of ``tree.columns``.

    Example:
        >>> tree = DecisionTree.from_classes({"label": ["a", "b"]})
        >>> class_weights(tree, np.array([[1.0, 0.0]] * 3 + [[0.0, 1.0]]), log=False)
        [0.6666666666666666, 2.0]
    """
    counts = tree.one_hot(np.asarray(fractions)).sum(axis=0)
    weights = np.ones(len(tree.columns))
    for question in tree.questions:
        where = tree.slice(question)
        share = counts[where] / max(counts[where].sum(), 1)
        frequent = share > threshold
        weights[where][frequent] = 1 / (frequent.sum() * share[frequent])
    return [float(weight) for weight in (np.log1p(weights) if log else weights)]
