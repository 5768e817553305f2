"""Losses that know the decision tree: its sums, and which answers belong to one question.

Fractions are those of all volunteers, so the answers to a question sum to the fraction that was
asked it. Nothing here knows a column: membership and sums are read off :class:`DecisionTree`.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import keras
import numpy as np
from keras import ops

from galaxycnn.losses.answer_losses import AnswerWeighted
from galaxycnn.registry import LOSSES
from galaxycnn.tree import DecisionTree

_serializable = keras.saving.register_keras_serializable(package="galaxycnn")


class TreeLoss(keras.losses.Loss):
    """Base of the losses that are given a tree.

    Args:
        tree: the questions whose answers are the columns, or what :meth:`DecisionTree.to_dict` made of it.
    """

    def __init__(self, tree: DecisionTree | Mapping[str, Any], **kwargs: Any) -> None:
        super().__init__(**kwargs)
        self.tree = tree if isinstance(tree, DecisionTree) else DecisionTree.from_dict(tree)

    def get_config(self) -> dict[str, Any]:
        return {**super().get_config(), "tree": self.tree.to_dict()}


def _times(fractions: Any, matrix: np.ndarray) -> Any:
    """Fractions (batch, columns) times a matrix (columns, n), in full float32: (batch, n).

    A ``matmul`` may round its factors to ten bits on a GPU, coarser than the deviations looked for.
    """
    return ops.sum(ops.expand_dims(fractions, -1) * ops.convert_to_tensor(matrix, fractions.dtype), axis=-2)


@LOSSES.register("constraint")
@_serializable
class ConstraintLoss(TreeLoss):
    """Mean squared error + ``weight`` × how far the answers to each question are from their sum in the tree.

    The distances are absolute, and added over the questions; ``weight`` is the λ of equation (2) of
    "Soft-Classification of Galaxy Morphologies", section 6.2. Its list of constraints (appendix A.2)
    has two misprints, from which sums that come from the tree are free: number 2 reads p12 + p13 = 1
    for p14 + p15 = 1 (anything odd?), number 4 reads p16 + p17 + p18 = p11 for … = p1 (roundness,
    asked of smooth galaxies). Questions whose parents are not among the columns have no sum to keep.

    With the heads ``tree`` and ``divisive`` the sums hold anyway, and this is the mean squared error.

    Example:
        >>> from galaxycnn.tree import GALAXY_ZOO_2
        >>> loss = ConstraintLoss(GALAXY_ZOO_2.subset(["Class1"]), weight=0.1)
        >>> truth, predicted = ops.convert_to_tensor([[1.0, 0.0, 0.0]]), ops.convert_to_tensor([[1.0, 0.3, 0.0]])
        >>> round(float(loss(truth, predicted)), 4)  # 0.3² / 3 + 0.1 × 0.3
        0.06
    """

    joins_questions = True

    def __init__(
        self,
        tree: DecisionTree | Mapping[str, Any],
        weight: float = 0.001,
        name: str = "constraint",
        **kwargs: Any,
    ) -> None:
        super().__init__(tree, name=name, **kwargs)
        self.weight = _at_least_0("weight", weight)
        columns = len(self.tree.columns)
        offsets = self.tree.deviations(np.zeros((1, columns), np.float32))[0]
        determined = np.isfinite(offsets)
        self._offsets = offsets[determined]
        self._slopes = (self.tree.deviations(np.eye(columns, dtype=np.float32)) - offsets)[:, determined]

    def call(self, y_true: Any, y_pred: Any) -> Any:
        squares = ops.mean(ops.square(ops.cast(y_true, y_pred.dtype) - y_pred), axis=-1)
        deviations = _times(y_pred, self._slopes) + ops.convert_to_tensor(self._offsets, y_pred.dtype)
        return squares + self.weight * ops.sum(ops.abs(deviations), axis=-1)

    def get_config(self) -> dict[str, Any]:
        return {**super().get_config(), "weight": self.weight}


class QuestionLoss(TreeLoss):
    """Base of the losses that are a sum over questions, each of its answers' shares.

    A share is a fraction divided by the sum over its question: the fraction among those who were
    asked. Only the shares are compared, so outputs of any head will do, but the sum over a question
    is not learnt from its own answers. The heads ``tree`` and ``divisive`` take it from the
    parent's, which are; what ``sigmoid`` and ``per_question_softmax`` say is to be read as shares, and must be
    multiplied down the tree to be fractions.
    """

    def __init__(self, tree: DecisionTree | Mapping[str, Any], **kwargs: Any) -> None:
        super().__init__(tree, **kwargs)
        sizes = [len(question) for question in self.tree.questions]
        self._membership = np.repeat(np.eye(len(sizes), dtype=np.float32), sizes, axis=0)
        self._question = np.repeat(np.arange(len(sizes), dtype=np.int32), sizes)

    def _sums(self, values: Any) -> Any:
        """(batch, columns) summed within each question: (batch, questions)."""
        return _times(values, self._membership)

    def _shares(self, fractions: Any) -> Any:
        """(batch, columns) divided by the sum within each question; all alike where that is 0, and never 0."""
        positive = ops.maximum(fractions, 0) + keras.config.epsilon()
        return positive / ops.take(self._sums(positive), self._question, axis=-1)


@LOSSES.register("per_question_cross_entropy")
@_serializable
class PerQuestionCrossEntropy(QuestionLoss, AnswerWeighted):
    """Soft cross-entropy between the shares within each question, times the fraction that was asked it.

    The loss is -Σ y log(share of p) over all answers: as the true fractions y of a question sum to
    the fraction that was asked it, questions without parents weigh 1, the others as much as they
    were asked. What the outputs say is the share alone (see :class:`QuestionLoss`): with the head
    ``tree`` its minimum is at p = y; with ``sigmoid``, wherever p is proportional to y within each question.

    Args:
        tree: the questions whose answers are the columns.
        gamma: above 0 each term is multiplied by |true - predicted share|^gamma, which emphasises
            what is not yet learnt (the quality focal loss of Li et al. 2020, arXiv:2006.04388,
            within each question); its minimum stays where it is.
        class_weights: factor of each answer's term. They move the minimum towards rare answers.

    Example:
        >>> from galaxycnn.tree import GALAXY_ZOO_2
        >>> loss = PerQuestionCrossEntropy(GALAXY_ZOO_2.subset(["Class6"]))
        >>> round(float(loss(ops.convert_to_tensor([[1.0, 0.0]]), ops.convert_to_tensor([[0.2, 0.2]]))), 4)
        0.6931
    """

    def __init__(
        self,
        tree: DecisionTree | Mapping[str, Any],
        gamma: float = 0.0,
        class_weights: Sequence[float] | None = None,
        name: str = "per_question_cross_entropy",
        **kwargs: Any,
    ) -> None:
        super().__init__(tree, class_weights=class_weights, name=name, **kwargs)
        self.gamma = _at_least_0("gamma", gamma)

    def call(self, y_true: Any, y_pred: Any) -> Any:
        fractions, shares = ops.cast(y_true, y_pred.dtype), self._shares(y_pred)
        terms = -fractions * ops.log(shares)
        if self.gamma:
            distance = ops.abs(self._shares(fractions) - shares)
            terms = terms * ops.maximum(distance, keras.config.epsilon()) ** self.gamma
        return ops.sum(self._weighted(terms), axis=-1)

    def get_config(self) -> dict[str, Any]:
        return {**super().get_config(), "gamma": self.gamma}


class VotesLoss(QuestionLoss):
    """Base of the likelihoods of vote counts: targets times ``votes``, question by question."""

    def __init__(self, tree: DecisionTree | Mapping[str, Any], votes: float, **kwargs: Any) -> None:
        super().__init__(tree, **kwargs)
        self.votes = _above_0("votes", votes)

    def call(self, y_true: Any, y_pred: Any) -> Any:
        counts = self.votes * ops.cast(y_true, y_pred.dtype)
        asked = self._sums(counts)
        arrangements = ops.sum(log_rising(1.0, asked), axis=-1) - ops.sum(log_rising(1.0, counts), axis=-1)
        return -arrangements - self._log_probability(counts, asked, self._shares(y_pred))

    def _log_probability(self, counts: Any, asked: Any, shares: Any) -> Any:
        """Of one order of the votes: counts and shares (batch, columns), asked (batch, questions) to (batch,)."""
        raise TypeError(f"{type(self).__name__} does not say how probable votes are")

    def get_config(self) -> dict[str, Any]:
        return {**super().get_config(), "votes": self.votes}


@LOSSES.register("multinomial")
@_serializable
class Multinomial(VotesLoss):
    """Negative log-likelihood of the vote counts, multinomial within each question.

    The counts are true fraction × ``votes``; the answers to a question together have as many votes
    as there were volunteers who were asked it. Its gradient is ``votes`` times that of
    ``per_question_cross_entropy``, with its minimum at the same place (see there); the value is that of a
    likelihood, comparable with that of ``dirichlet_multinomial``. Walmsley et al. (2020, MNRAS 491, 1554)
    take it for two answers.

    Args:
        tree: the questions whose answers are the columns.
        votes: volunteers per galaxy; 1 where the targets are counts already.

    Example:
        >>> from galaxycnn.tree import GALAXY_ZOO_2
        >>> loss = Multinomial(GALAXY_ZOO_2.subset(["Class6"]), votes=2)
        >>> half = ops.convert_to_tensor([[0.5, 0.5]])
        >>> round(float(loss(half, half)), 4)  # one vote each way: probability ½
        0.6931
    """

    def __init__(
        self, tree: DecisionTree | Mapping[str, Any], votes: float = 40, name: str = "multinomial", **kwargs: Any
    ) -> None:
        super().__init__(tree, votes, name=name, **kwargs)

    def _log_probability(self, counts: Any, asked: Any, shares: Any) -> Any:
        return ops.sum(counts * ops.log(shares), axis=-1)


@LOSSES.register("dirichlet_multinomial")
@_serializable
class DirichletMultinomial(VotesLoss):
    """Negative log-likelihood of the vote counts, Dirichlet-multinomial within each question.

    As Walmsley et al. (2022, MNRAS 509, 3966) have it: a galaxy's vote
    probabilities are not known but have a Dirichlet distribution, of which the network gives the
    concentrations. There they are outputs between 1 and 101; here, where outputs are fractions, they are
    ``precision`` × share of p, never 0. The scatter of a true share about the predicted one,
    p (1-p) (1/N + (1 - 1/N) / (1 + precision)) for N votes, then has a part that more votes do not
    remove: its root is 0.17 at p = ½ with the defaults. For a single galaxy the minimum is near
    p = y, not at it (0.024 away on real labels, as an RMSE). The larger the precision, the nearer is
    ``multinomial``.

    Args:
        tree: the questions whose answers are the columns.
        votes: volunteers per galaxy; 1 where the targets are counts already.
        precision: sum of the concentrations of a question, the same for all galaxies: how many votes
            the network's own knowledge is worth. For predictions of RMSE 0.139 (kernel ridge regression
            on the pixels of 3,580 galaxies of the challenge) the likelihood of held-out votes was best
            with 3, that of the first question with 8; by the scatter above, a smaller error is worth more.

    Example:
        >>> from galaxycnn.tree import GALAXY_ZOO_2
        >>> loss = DirichletMultinomial(GALAXY_ZOO_2.subset(["Class6"]), votes=2, precision=2)
        >>> half = ops.convert_to_tensor([[0.5, 0.5]])
        >>> round(float(loss(half, half)), 4)  # 2:0, 1:1 and 0:2 are alike: probability ⅓
        1.0986
    """

    def __init__(
        self,
        tree: DecisionTree | Mapping[str, Any],
        votes: float = 40,
        precision: float = 10,
        name: str = "dirichlet_multinomial",
        **kwargs: Any,
    ) -> None:
        super().__init__(tree, votes, name=name, **kwargs)
        self.precision = _above_0("precision", precision)

    def _log_probability(self, counts: Any, asked: Any, shares: Any) -> Any:
        drawn = ops.sum(log_rising(self.precision * shares, counts), axis=-1)
        return drawn - ops.sum(log_rising(self.precision, asked), axis=-1)

    def get_config(self) -> dict[str, Any]:
        return {**super().get_config(), "precision": self.precision}


def log_rising(x: Any, n: Any) -> Any:
    """log Γ(x + n) - log Γ(x) for x > 0 and n ≥ 0: for whole n, the logarithm of x (x+1) … (x+n-1).

    Both are moved four steps up by Γ(x + 1) = x Γ(x), where Stirling's series of three terms is
    exact to 4e-8, and subtracted term by term, so that float32 loses nothing for large x and gives
    exactly 0 at n = 0; off by at most 5e-6, relative above 1. Keras has no log-gamma function before version 3.16.

    Example:
        >>> round(float(ops.exp(log_rising(1.0, ops.convert_to_tensor(5.0)))))
        120
    """
    steps = (1 + n / x) * (1 + n / (x + 1)) * (1 + n / (x + 2)) * (1 + n / (x + 3))
    low, high = x + 4, x + 4 + n
    stirling = (low - 0.5) * ops.log1p(n / low) + n * (ops.log(high) - 1)
    return stirling + _stirling_series(high) - _stirling_series(low) - ops.log(steps)


def _stirling_series(x: Any) -> Any:
    return (1 / 12 - (1 / 360 - 1 / (1260 * x * x)) / (x * x)) / x


def _at_least_0(name: str, value: Any) -> float:
    if not isinstance(value, int | float) or value < 0:
        raise ValueError(f"{name}: expected a number of at least 0, found {value!r}")
    return value


def _above_0(name: str, value: Any) -> float:
    if not isinstance(value, int | float) or value <= 0:
        raise ValueError(f"{name}: expected a number above 0, found {value!r}")
    return value
