"""Predictive distributions of a quantity, one for each galaxy: mixtures of Gaussians, and probabilities of bins."""

from __future__ import annotations

from abc import ABC, abstractmethod
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray
from scipy.special import logsumexp, ndtr, ndtri

from galaxycnn.errors import DataError

Floats = NDArray[np.float64]

ROUNDING = 0.01
"""Probabilities may miss a sum of 1 by this much: the softmax of a network in half precision does."""

HALVINGS = 60
"""How often the bracket around a quantile of a mixture is halved: down to the rounding of a double."""


class Distribution(ABC):
    """What is predicted for each of n galaxies; arrays of values have shape (n,), one for each galaxy."""

    @abstractmethod
    def __len__(self) -> int:
        """How many galaxies."""

    @abstractmethod
    def __getitem__(self, galaxies: Any) -> Distribution:
        """The distributions of some of the galaxies: an array of booleans or of positions, or a slice."""

    @property
    @abstractmethod
    def mean(self) -> Floats:
        """Expected value of each galaxy: shape (n,)."""

    @property
    @abstractmethod
    def spread(self) -> Floats:
        """Standard deviation of each galaxy's distribution: shape (n,)."""

    @abstractmethod
    def cdf(self, values: ArrayLike) -> Floats:
        """Probability of at most this value: shape (n,). At the true values it is the PIT (Dawid 1984)."""

    @abstractmethod
    def quantile(self, level: float) -> Floats:
        """The values below which lies the share ``level``, strictly between 0 and 1: shape (n,)."""

    @abstractmethod
    def log_density(self, values: ArrayLike) -> Floats:
        """Natural logarithm of the probability density: shape (n,), minus infinity where there is none."""

    @abstractmethod
    def crps(self, values: ArrayLike) -> Floats:
        """Continuous ranked probability score against the true values: shape (n,), in the quantity's unit.

        ∫ (F(y) - 1[y ≥ value])² dy (Gneiting & Raftery 2007, JASA 102, 359, eq. 20). 0 is perfect; the score of
        a point prediction is its absolute error.
        """


@dataclass(frozen=True, eq=False)
class GaussianMixture(Distribution):
    """A weighted sum of Gaussians for each galaxy.

    Args:
        weights: shares of the components, at least 0, sum 1; shape (n, components).
        means: their means, the same shape.
        spreads: their standard deviations, above 0, the same shape.

    Raises:
        DataError: shapes that differ, or values out of these ranges.

    Example:
        >>> two = GaussianMixture([[0.5, 0.5]], [[0.0, 0.2]], [[0.1, 0.1]])
        >>> two.mean.tolist(), two.spread.round(4).tolist(), two.cdf([0.1]).tolist()
        ([0.1], [0.1414], [0.5])
    """

    weights: Floats
    means: Floats
    spreads: Floats

    def __post_init__(self) -> None:
        parts = {name: np.asarray(getattr(self, name), float) for name in ("weights", "means", "spreads")}
        shapes = {values.shape for values in parts.values()}
        if len(shapes) > 1 or parts["means"].ndim != 2:
            raise DataError(
                f"a mixture needs weights, means and spreads of one shape (galaxies, components), got "
                f"{', '.join(str(values.shape) for values in parts.values())}"
            )
        for name, values in parts.items():
            _check_finite(values, f"{name} of a mixture")
        if (parts["spreads"] <= 0).any():
            raise DataError(f"the spreads of a mixture must be above 0, the smallest is {parts['spreads'].min():g}")
        parts["weights"] = _shares(parts["weights"], "weights of a mixture")
        for name, values in parts.items():
            object.__setattr__(self, name, values)

    @classmethod
    def single(cls, mean: ArrayLike, spread: ArrayLike) -> GaussianMixture:
        """One Gaussian for each galaxy, from means and standard deviations of shape (n,).

        Example:
            >>> GaussianMixture.single([0.1, 0.2], 0.02).quantile(0.5).tolist()
            [0.1, 0.2]
        """
        means, spreads = np.broadcast_arrays(np.asarray(mean, float), np.asarray(spread, float))
        return cls(np.ones((*means.shape, 1)), means[..., None], spreads[..., None])

    def __len__(self) -> int:
        return len(self.means)

    def __getitem__(self, galaxies: Any) -> GaussianMixture:
        return GaussianMixture(self.weights[galaxies], self.means[galaxies], self.spreads[galaxies])

    @property
    def mean(self) -> Floats:
        return (self.weights * self.means).sum(axis=1)

    @property
    def spread(self) -> Floats:
        around = self.means - self.mean[:, None]
        return np.sqrt((self.weights * (self.spreads**2 + around**2)).sum(axis=1))

    def cdf(self, values: ArrayLike) -> Floats:
        return np.clip((self.weights * ndtr(self._standardised(values))).sum(axis=1), 0, 1)

    def quantile(self, level: float) -> Floats:
        of_components = self.means + self.spreads * ndtri(_inside(level))
        low, high = of_components.min(axis=1), of_components.max(axis=1)
        for _ in range(HALVINGS):
            middle = (low + high) / 2
            below = self.cdf(middle) < level
            low, high = np.where(below, middle, low), np.where(below, high, middle)
        return (low + high) / 2

    def log_density(self, values: ArrayLike) -> Floats:
        of_components = -np.square(self._standardised(values)) / 2 - np.log(self.spreads) - np.log(2 * np.pi) / 2
        return logsumexp(of_components, axis=1, b=self.weights)

    def crps(self, values: ArrayLike) -> Floats:
        """In closed form: Grimit et al. 2006, QJRMS 132, 2925, eq. 5."""
        to_value = _mean_distance(np.asarray(values, float)[:, None] - self.means, self.spreads)
        between = _mean_distance(
            self.means[:, :, None] - self.means[:, None, :],
            np.hypot(self.spreads[:, :, None], self.spreads[:, None, :]),
        )
        return (self.weights * to_value).sum(axis=1) - np.einsum(
            "ni,nj,nij->n", self.weights, self.weights, between
        ) / 2

    def _standardised(self, values: ArrayLike) -> Floats:
        return (np.asarray(values, float)[:, None] - self.means) / self.spreads


def _mean_distance(offset: Floats, spread: Floats) -> Floats:
    """E|X| of a Gaussian with this mean and standard deviation."""
    scaled = offset / spread
    density = np.exp(-np.square(scaled) / 2) / np.sqrt(2 * np.pi)
    return 2 * spread * density + offset * (2 * ndtr(scaled) - 1)


@dataclass(frozen=True, eq=False)
class Binned(Distribution):
    """Probabilities of the same bins for each galaxy, spread evenly over each bin.

    Args:
        probabilities: at least 0, sum 1; shape (n, bins).
        edges: of the bins, rising, shape (bins + 1,), in the quantity's unit.

    Raises:
        DataError: shapes that do not fit, edges that do not rise, or probabilities out of range.

    Example:
        >>> binned = Binned([[0.25, 0.75]], [0.0, 0.1, 0.2])
        >>> binned.cdf([0.1]).tolist(), binned.quantile(0.5).round(4).tolist(), binned.mean.round(4).tolist()
        ([0.25], [0.1333], [0.125])
    """

    probabilities: Floats
    edges: Floats

    def __post_init__(self) -> None:
        probabilities, edges = np.asarray(self.probabilities, float), np.asarray(self.edges, float)
        if probabilities.ndim != 2 or edges.shape != (probabilities.shape[1] + 1,):
            raise DataError(
                f"binned probabilities of shape (galaxies, bins) need bins + 1 edges, got {probabilities.shape} "
                f"and {edges.shape}"
            )
        _check_finite(edges, "edges of the bins")
        if (np.diff(edges) <= 0).any():
            raise DataError("the edges of the bins must rise")
        object.__setattr__(self, "probabilities", _shares(probabilities, "probabilities of the bins"))
        object.__setattr__(self, "edges", edges)

    def __len__(self) -> int:
        return len(self.probabilities)

    def __getitem__(self, galaxies: Any) -> Binned:
        return Binned(self.probabilities[galaxies], self.edges)

    @property
    def mean(self) -> Floats:
        return self.probabilities @ self._centres

    @property
    def spread(self) -> Floats:
        squares = np.square(self._centres - self.mean[:, None]) + np.square(np.diff(self.edges)) / 12
        return np.sqrt((self.probabilities * squares).sum(axis=1))

    def cdf(self, values: ArrayLike) -> Floats:
        values = np.asarray(values, float)
        rows, bins = np.arange(len(self)), self._bin_of(values)
        inside = (values - self.edges[bins]) / np.diff(self.edges)[bins]
        return np.clip(self._below[rows, bins] + self.probabilities[rows, bins] * np.clip(inside, 0, 1), 0, 1)

    def quantile(self, level: float) -> Floats:
        rows, below = np.arange(len(self)), self._below
        bins = np.minimum((below[:, 1:] < _inside(level)).sum(axis=1), len(self.edges) - 2)
        inside = (level - below[rows, bins]) / self.probabilities[rows, bins]
        return self.edges[bins] + np.diff(self.edges)[bins] * np.clip(inside, 0, 1)

    def log_density(self, values: ArrayLike) -> Floats:
        values = np.asarray(values, float)
        rows, bins = np.arange(len(self)), self._bin_of(values)
        covered = (values >= self.edges[0]) & (values <= self.edges[-1])
        with np.errstate(divide="ignore"):
            return np.log(np.where(covered, self.probabilities[rows, bins] / np.diff(self.edges)[bins], 0.0))

    def crps(self, values: ArrayLike) -> Floats:
        """Exact: the distribution function is linear within a bin, which the true value may cut in two."""
        values = np.asarray(values, float)[:, None]
        low, high = self.edges[:-1], self.edges[1:]
        cut = np.clip(values, low, high)
        at_low, at_high = self._below[:, :-1], self._below[:, 1:]
        at_cut = at_low + self.probabilities * (cut - low) / (high - low)
        before = (cut - low) * _mean_square(at_low, at_cut)
        after = (high - cut) * _mean_square(1 - at_cut, 1 - at_high)
        outside = np.abs(values - np.clip(values, self.edges[0], self.edges[-1]))
        return (before + after).sum(axis=1) + outside[:, 0]

    @property
    def _centres(self) -> Floats:
        return (self.edges[:-1] + self.edges[1:]) / 2

    @property
    def _below(self) -> Floats:
        """The distribution function at the edges: shape (n, bins + 1)."""
        return np.pad(np.cumsum(self.probabilities, axis=1), ((0, 0), (1, 0)))

    def _bin_of(self, values: Floats) -> NDArray[np.intp]:
        return np.clip(np.searchsorted(self.edges, values, side="right") - 1, 0, len(self.edges) - 2)


def _mean_square(start: Floats, end: Floats) -> Floats:
    """Mean of the square of what rises evenly from start to end."""
    return (start * start + start * end + end * end) / 3


def _inside(level: float) -> float:
    if not 0 < level < 1:
        raise DataError(f"a quantile needs a level between 0 and 1, got {level:g}")
    return level


def _shares(values: Floats, what: str) -> Floats:
    _check_finite(values, what)
    sums = values.sum(axis=1, keepdims=True)
    if (values < 0).any() or (np.abs(sums - 1) > ROUNDING).any():
        raise DataError(
            f"the {what} must be at least 0 and sum to 1; the smallest is {values.min():g} and the sums are "
            f"{sums.min():g} to {sums.max():g}"
        )
    return values / sums


def _check_finite(values: Floats, what: str) -> None:
    bad = int((~np.isfinite(values)).sum())
    if bad:
        raise DataError(f"{bad} of the {what} are not finite numbers")
