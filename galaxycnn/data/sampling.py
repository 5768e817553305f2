"""How many galaxies of each class are used: all, rare ones several times, or common ones not all; and strata."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from galaxycnn.errors import MissingExtra
from galaxycnn.tree import DecisionTree


def class_numbers(tree: DecisionTree, fractions: NDArray[np.float32]) -> NDArray[np.intp]:
    """The most likely answer to the first question of every galaxy, from 0, and -1 where it has none: (galaxies,)."""
    first = fractions[:, tree.slice(tree.questions[0])] if tree.questions else np.empty((len(fractions), 0))
    if not first.shape[1]:
        return np.full(len(fractions), -1)
    return np.where(np.isnan(first).any(axis=1), -1, np.nan_to_num(first).argmax(axis=1))


def strata(tree: DecisionTree, fractions: NDArray[np.float32], quantities: NDArray[np.float32]) -> NDArray[np.intp]:
    """What the parts of a split shall hold in the same proportions, shape (galaxies,).

    The :func:`class_numbers`; without a question, tenths of the first quantity, and -1 where it is not known.

    Args:
        tree: the questions.
        fractions: shape (galaxies, columns of ``tree``).
        quantities: shape (galaxies, quantities).
    """
    if tree.questions:
        return class_numbers(tree, fractions)
    first = quantities[:, 0]
    tenths = np.nanquantile(first, np.arange(1, 10) / 10)
    return np.where(np.isnan(first), -1, np.searchsorted(tenths, first))


def oversample(classes: NDArray[np.integer], ratio: float, seed: int) -> NDArray[np.intp]:
    """Repeat galaxies of rare classes, drawn at random, until each has a share of the commonest one's number.

    This is the ``RandomOverSampler`` of imbalanced-learn (Lemaître et al. 2017, JMLR 18, 1). It is for the training
    part alone: a galaxy that came twice before a split could be trained on and tested.

    Args:
        classes: one per galaxy; -1 for those without, which come once.
        ratio: the least size of a class as a share of the commonest one's, 0…1.
        seed: decides which are repeated.

    Returns:
        Positions in ``classes``: first all of them, then the repeated ones.

    Raises:
        UserError: imbalanced-learn is not installed.

    Example:
        >>> positions = oversample(np.array([0, 0, 0, 0, 1, -1]), ratio=0.75, seed=48)
        >>> positions[:6].tolist(), positions[6:].tolist()
        ([0, 1, 2, 3, 4, 5], [4, 4])
    """
    try:
        from imblearn.over_sampling import RandomOverSampler
    except ImportError as error:
        raise MissingExtra("data_preprocessing.sampling: 'oversample'", "sampling") from error
    everyone, labelled = np.arange(len(classes)), np.flatnonzero(classes >= 0)
    names, counts = np.unique(classes[labelled], return_counts=True)
    if len(names) < 2:
        return everyone
    wanted = {int(name): max(int(n), int(ratio * counts.max())) for name, n in zip(names, counts, strict=True)}
    sampler = RandomOverSampler(sampling_strategy=wanted, random_state=seed)
    sampler.fit_resample(labelled[:, None], classes[labelled])
    return np.concatenate([everyone, labelled[sampler.sample_indices_[len(labelled) :]]])


def balance(classes: NDArray[np.integer], seed: int) -> NDArray[np.intp]:
    """All galaxies of the rarest class and as many of each other, drawn at random.

    Args:
        classes: one per galaxy; -1 for those without, all of which stay.
        seed: decides which are left out.

    Returns:
        Positions in ``classes``, ascending.

    Example:
        >>> balance(np.array([0, 1, 1, 1, 0, -1]), seed=48).tolist()
        [0, 1, 2, 4, 5]
    """
    names, counts = np.unique(classes[classes >= 0], return_counts=True)
    rng = np.random.default_rng(seed)
    drawn = [rng.choice(np.flatnonzero(classes == name), counts.min(), replace=False) for name in names]
    return np.sort(np.concatenate([np.flatnonzero(classes < 0), *drawn]))
