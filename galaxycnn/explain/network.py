"""What is explained: how clearly a network gives its most likely answer to each question, as a function of pixels."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from contextlib import ExitStack
from dataclasses import dataclass, field, replace
from functools import cached_property
from typing import Any

import keras
import numpy as np
from keras import ops
from numpy.typing import NDArray

from galaxycnn.errors import UserError, nearest
from galaxycnn.explain.gradients import Tensor
from galaxycnn.explain.intercepting import intercepted
from galaxycnn.models.layers import StopGradient
from galaxycnn.tree import DecisionTree

Array = NDArray[np.float32]
Images = NDArray[np.uint8]
Inputs = Mapping[str, NDArray[Any]]

FLAT = "fractions"
"""The output that holds the answers to all questions, where a network has several outputs."""
TINY = 1e-30
"""The least fraction whose logarithm is taken; the sums of a decision tree hold down to it in float32."""


@dataclass(frozen=True)
class Network:
    """A model whose outputs are read by name, whatever their number and form.

    Args:
        model: cutouts of pixels 0–255 in, alone or with other inputs; out come fractions in one tensor, one output for
            each question, or a dict that may hold quantities as well.
        tree: the questions that it answers.
    """

    model: keras.Model
    tree: DecisionTree

    @cached_property
    def names(self) -> tuple[str, ...]:
        """The questions in the order of the tree, then the quantities that are predicted beside them."""
        named = self._named(self.model.output)
        return (*(q.name for q in self.tree.questions if q.name in named), *self._quantities(named))

    def asked(self, names: Sequence[str] | None) -> tuple[str, ...]:
        """The outputs that ``names`` mean, in the order of :attr:`names`: questions by name or key; None for all.

        Raises:
            UserError: the network answers no such question.
        """
        by_name = {name: name for name in self.names}
        keys = {q.key: q.name for q in self.tree.questions if q.name in by_name}
        for name in names or ():
            if name not in keys | by_name:
                hint = nearest(name, [*keys, *(set(by_name) - set(keys.values()))])
                raise UserError(f"the network answers no question {name!r}{hint}")
        wanted = {(keys | by_name)[name] for name in names} if names else set(self.names)
        return tuple(name for name in self.names if name in wanted)

    @cached_property
    def cutout_input(self) -> str:
        """The name of the input that takes the pixels."""
        return next(name for name, tensor in self._inputs.items() if len(tensor.shape) == 4)

    @cached_property
    def other_inputs(self) -> tuple[str, ...]:
        """The names of the other inputs, if there are any."""
        return tuple(name for name in self._inputs if name != self.cutout_input)

    @property
    def _inputs(self) -> dict[str, Any]:
        struct = self.model.input
        return dict(struct) if isinstance(struct, Mapping) else {tensor.name: tensor for tensor in self.model.inputs}

    def outputs(self, cutouts: Tensor, others: Mapping[str, Tensor]) -> dict[str, Tensor]:
        """The answers to each question, (galaxies, answers), and each quantity, (galaxies, numbers)."""
        inputs: Any = {**others, self.cutout_input: cutouts} if self.other_inputs else cutouts
        with ExitStack() as stack:
            for layer in self.model.layers:
                if isinstance(layer, StopGradient):  # what does not teach the backbone looks at it all the same
                    stack.enter_context(intercepted(layer, lambda _, x: x))
            return self._named(self.model(inputs, training=False))

    def _named(self, outputs: Any) -> dict[str, Any]:
        questions = self.tree.questions
        if isinstance(outputs, Mapping):
            named = dict(outputs)
            flat = named.pop(FLAT, None)
        elif isinstance(outputs, list | tuple):
            return {question.name: output for question, output in zip(questions, outputs, strict=True)}
        else:
            named, flat = {}, outputs
        if flat is None:
            return named
        return {**{q.name: flat[:, self.tree.slice(q)] for q in questions}, **named}

    def _quantities(self, named: Mapping[str, Any]) -> Iterator[str]:
        questions = {question.name for question in self.tree.questions}
        return (name for name in named if name not in questions)

    def predict(self, cutouts: Images, others: Inputs | None = None) -> dict[str, Array]:
        """:meth:`outputs` from and to arrays."""
        found = self.outputs(tensor(cutouts), {name: tensor(values) for name, values in (others or {}).items()})
        return {name: ops.convert_to_numpy(values).astype(np.float32) for name, values in found.items()}


@dataclass(frozen=True)
class Scores:
    """What is explained of some galaxies: one number for each galaxy and question, to be called on their cutouts.

    For a question, it is the logarithm of the odds of an answer: of its fraction over that of all other answers to the
    question. How many came to the question drops out of it, so that a bar is not explained by what makes a disk, and
    it does not level off where an answer is nearly certain. For a quantity it is the first number of its output, the
    best estimate.

    Args:
        network: what answers.
        names: the questions and quantities.
        answers: the position of the answer to explain, shape (galaxies, names); 0 for quantities.
        others: what the network is given besides cutouts, rows of the same galaxies.
    """

    network: Network
    names: tuple[str, ...]
    answers: NDArray[np.intp]
    others: Inputs = field(default_factory=dict)

    @classmethod
    def likely(
        cls,
        network: Network,
        names: tuple[str, ...],
        outputs: Mapping[str, NDArray[Any]],
        others: Inputs | None = None,
    ) -> Scores:
        """Those of the most likely answers, given the network's ``outputs``."""
        questions = {question.name for question in network.tree.questions}
        answers = [
            outputs[name].argmax(axis=1) if name in questions else np.zeros(len(outputs[name]), np.intp)
            for name in names
        ]
        return cls(network, names, np.stack(answers, axis=1), others or {})

    def only(self, positions: Sequence[int]) -> Scores:
        """The same of some of the questions."""
        return replace(self, names=tuple(self.names[i] for i in positions), answers=self.answers[:, list(positions)])

    def of(self, galaxies: slice) -> Scores:
        """The same of some of the galaxies."""
        others = {name: values[galaxies] for name, values in self.others.items()}
        return replace(self, answers=self.answers[galaxies], others=others)

    def repeated(self, times: int) -> Scores:
        """The same of as many copies of the galaxies, one set after the other."""
        others = {name: np.concatenate([values] * times) for name, values in self.others.items()}
        return replace(self, answers=np.tile(self.answers, (times, 1)), others=others)

    def __call__(self, cutouts: Tensor) -> Tensor:
        """Scores (galaxies, names) of cutouts (galaxies, height, width, channels)."""
        outputs = self.network.outputs(cutouts, {name: tensor(values) for name, values in self.others.items()})
        questions = {question.name for question in self.network.tree.questions}
        columns = [
            _log_odds(outputs[name], self.answers[:, i]) if name in questions else outputs[name][:, 0]
            for i, name in enumerate(self.names)
        ]
        return ops.stack([ops.cast(column, "float32") for column in columns], axis=1)


def _log_odds(fractions: Tensor, answers: NDArray[np.intp]) -> Tensor:
    chosen = ops.cast(ops.one_hot(ops.convert_to_tensor(answers, "int32"), fractions.shape[-1]), fractions.dtype)
    for_it, against = (ops.sum(fractions * part, axis=-1) for part in (chosen, 1 - chosen))
    return ops.log(ops.maximum(for_it, TINY)) - ops.log(ops.maximum(against, TINY))


def tensor(values: NDArray[Any]) -> Tensor:
    """An array as floating-point numbers of the backend."""
    return ops.convert_to_tensor(np.asarray(values, np.float32))
