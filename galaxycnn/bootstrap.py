"""95 % intervals by resampling the galaxies (Efron & Tibshirani 1993, chapters 13 and 16)."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np
from numpy.typing import ArrayLike, NDArray

from galaxycnn.errors import DataError

Floats = NDArray[np.float64]


def interval(resampled: ArrayLike) -> Floats:
    """The central 95 % of resampled figures: shape (resamples, …) becomes (…, 2).

    Example:
        >>> interval(range(1001)).tolist()
        [25.0, 975.0]
    """
    return np.percentile(np.asarray(resampled, float), [2.5, 97.5], axis=0).T


def weights(galaxies: int, resamples: int, generator: np.random.Generator) -> Iterator[Floats]:
    """How often each galaxy is drawn, as a share that sums to 1, for one resample after the other."""
    for _ in range(resamples):
        yield np.bincount(generator.integers(galaxies, size=galaxies), minlength=galaxies) / galaxies


def rmse_intervals(errors: ArrayLike, resamples: int, generator: np.random.Generator) -> Floats:
    """The interval of each root mean square error.

    Args:
        errors: mean square errors of each galaxy, shape (galaxies, figures); their order does not matter.
        resamples: how often the galaxies are drawn again.
        generator: decides the draws.

    Returns:
        Lower and upper end, shape (figures, 2).
    """
    ordered = np.sort(np.asarray(errors, float), axis=0)  # so that the order of the galaxies does not matter
    return interval(np.sqrt([drawn @ ordered for drawn in weights(len(ordered), resamples, generator)]))


def rmse_difference(
    first: ArrayLike, second: ArrayLike, *, resamples: int = 2000, seed: int = 0
) -> tuple[float, tuple[float, float]]:
    """How much larger the RMSE of one prediction is than another's on the same galaxies, and the 95 % interval.

    Pairing the galaxies takes out what makes some of them hard for both: the interval is far narrower than
    those of the two RMSEs suggest. One is better than the other where the interval leaves out 0.

    Args:
        first: mean square errors of each galaxy, shape (galaxies,).
        second: those of the other prediction, for the same galaxies in the same order.
        resamples: how often the galaxies are drawn again.
        seed: makes the interval reproducible.

    Raises:
        DataError: the two are not of equally many galaxies, or of none.

    Example:
        >>> easy_and_hard = np.tile([0.001, 0.04], 500)
        >>> difference, (low, high) = rmse_difference(easy_and_hard * 1.1, easy_and_hard)
        >>> f"{difference:.4f} [{low:.4f}, {high:.4f}]"
        '0.0070 [0.0068, 0.0072]'
    """
    pairs = np.asarray(first, float), np.asarray(second, float)
    if len(pairs[0]) != len(pairs[1]) or len(pairs[0]) == 0:
        raise DataError(f"a paired comparison needs the same galaxies twice, got {len(pairs[0])} and {len(pairs[1])}")
    errors = np.stack(pairs, axis=1)
    roots = np.sqrt([drawn @ errors for drawn in weights(len(errors), resamples, np.random.default_rng(seed))])
    low, high = interval(roots[:, 0] - roots[:, 1])
    one, other = np.sqrt(errors.mean(axis=0))
    return float(one - other), (float(low), float(high))
