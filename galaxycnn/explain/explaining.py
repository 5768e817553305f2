"""Galaxies explained: the maps of a method with the answers that they belong to."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import keras
import numpy as np
from numpy.typing import NDArray

from galaxycnn.explain.method import Method, make_method
from galaxycnn.explain.network import Array, Images, Inputs, Network, Scores
from galaxycnn.explain.regions import Regions, attention_of, find_regions
from galaxycnn.tree import DecisionTree


@dataclass(frozen=True)
class Explanation:
    """Heat maps of some galaxies.

    Attributes:
        tree: the questions that the network answers.
        names: what is explained: questions in the order of the tree, then quantities.
        maps: shape (names, galaxies, height, width), in the units of the method: above 0 what speaks for an answer, or
            raises a quantity, below 0 what speaks against it.
        answers: position of the explained answer, shape (galaxies, names); 0 for quantities.
        values: its fraction of those who were asked, or the quantity, shape (galaxies, names).
        reached: whether the most likely walk down the tree comes to the question, shape (galaxies, names).
        cutouts: uint8, shape (galaxies, height, width, channels).
    """

    tree: DecisionTree
    names: tuple[str, ...]
    maps: Array
    answers: NDArray[np.intp]
    values: Array
    reached: NDArray[np.bool_]
    cutouts: Images

    @property
    def attention(self) -> Array:
        """What speaks for each answer, as shares that sum to 1: (names, galaxies, height, width)."""
        return attention_of(self.maps)

    @property
    def regions(self) -> Regions:
        """Where the galaxies are, and where not."""
        return find_regions(self.cutouts)

    def answer(self, galaxy: int, name: str) -> str:
        """The explained answer in words; a quantity has none."""
        if name not in {question.name for question in self.tree.questions}:
            return ""
        return self.tree.question(name).answers[self.answers[galaxy, self.names.index(name)]].name


def explain(
    model: keras.Model,
    tree: DecisionTree,
    cutouts: Images,
    questions: Sequence[str] | None = None,
    method: str | Method = "gradcam",
    layer: str | None = None,
    inputs: Inputs | None = None,
) -> Explanation:
    """Explain the most likely answer of a network to each question, galaxy by galaxy.

    Args:
        model: the network; pixels 0–255 in, fractions and quantities out.
        tree: the questions that it answers.
        cutouts: uint8, shape (galaxies, height, width, channels), as the network takes them.
        questions: names or keys of questions (``"bar"``), or names of quantities; None for all.
        method: a name of :data:`galaxycnn.registry.EXPLANATIONS`, or a method with settings of one's own.
        layer: the layer that the method looks at, where it looks at one; None for the last with a feature map.
        inputs: what the network is given besides cutouts, by the names of its inputs.

    Raises:
        UserError: there is no such question, method or layer, or the method does not apply to this network.

    Example:
        >>> from galaxycnn.tree import GALAXY_ZOO_2
        >>> pixels = keras.Input((16, 16, 3))
        >>> x = keras.layers.Conv2D(4, 3, activation="relu")(pixels)
        >>> x = keras.layers.Dense(3, "softmax")(keras.layers.GlobalAveragePooling2D()(x))
        >>> galaxies = np.random.default_rng(0).integers(0, 256, (2, 16, 16, 3), dtype=np.uint8)
        >>> explained = explain(keras.Model(pixels, x), GALAXY_ZOO_2.subset(["shape"]), galaxies)
        >>> explained.maps.shape
        (1, 2, 16, 16)
    """
    network = Network(model, tree)
    if isinstance(method, str):
        method = make_method(method, layer)
    names = network.asked(questions)
    outputs = network.predict(cutouts, inputs)
    scores = Scores.likely(network, names, outputs, inputs)
    batches = [slice(start, start + method.galaxies) for start in range(0, len(cutouts), method.galaxies)]
    maps = [method.maps(scores.of(batch), cutouts[batch]) for batch in batches]
    asked = {question.name for question in tree.questions}
    values = [
        _share(outputs[name], scores.answers[:, i]) if name in asked else outputs[name][:, 0]
        for i, name in enumerate(names)
    ]
    reached = _reached(tree, outputs)
    return Explanation(
        tree,
        names,
        np.concatenate(maps, axis=1),
        scores.answers,
        np.stack(values, axis=1),
        np.stack([reached.get(name, np.ones(len(cutouts), bool)) for name in names], axis=1),
        cutouts,
    )


def _share(fractions: Array, answers: NDArray[np.intp]) -> Array:
    """The fraction of an answer among those who were asked its question."""
    chosen, total = np.take_along_axis(fractions, answers[:, None], axis=1)[:, 0], fractions.sum(axis=1)
    return np.divide(chosen, total, out=np.full_like(chosen, np.nan), where=total > 0)


def _reached(tree: DecisionTree, outputs: dict[str, Array]) -> dict[str, NDArray[np.bool_]]:
    """Whether the most likely walk comes to each question that has an answer, by its name."""
    answered = tree.subset([question.name for question in tree.questions if question.name in outputs])
    if not answered.questions:
        return {}
    fractions = np.concatenate([outputs[question.name] for question in answered.questions], axis=1)
    columns = answered.reached(fractions).T
    return {question.name: column for question, column in zip(answered.questions, columns, strict=True)}
