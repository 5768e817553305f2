"""How well a quantity is predicted, redshift above all, from arrays alone: no network, no files."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, dataclass
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray
from scipy.stats import kstest

from galaxycnn.bootstrap import interval, weights
from galaxycnn.errors import DataError
from galaxycnn.plain import plain
from galaxycnn.quantities.distributions import Distribution, GaussianMixture
from galaxycnn.robust import robust_deviation

Floats = NDArray[np.float64]
Results = dict[str, Any]

ROBUST = 3
"""Differences beyond so many σ_NMAD are outliers of the sample's own core."""

LEVELS = (0.5, 0.68, 0.9, 0.95)
"""Central intervals of the stated uncertainties whose coverage is measured."""

PIT_BINS = 20

COLLAPSED = 0.25
"""Predictions whose standard deviation is below this share of the truth's have collapsed."""


@dataclass(frozen=True)
class Quantity:
    """What is regressed, and how its differences are counted.

    Args:
        name: in words.
        symbol: as it stands in pictures, ``"z"``; the name where it has none.
        unit: of its values, empty where it has none.
        relative: whether differences are divided by 1 + the true value, as those of redshifts are.
        outlier_limit: absolute differences beyond this are outliers; None: no such limit.

    Example:
        >>> mass = Quantity("stellar mass", symbol="log M", unit="dex", outlier_limit=0.3)
        >>> mass.label, mass.differences([10.0], [10.5]).tolist()
        ('log M [dex]', [0.5])
    """

    name: str
    symbol: str = ""
    unit: str = ""
    relative: bool = False
    outlier_limit: float | None = None

    @property
    def label(self) -> str:
        """Symbol and unit, for tables and axes."""
        return f"{self.symbol or self.name}{f' [{self.unit}]' if self.unit else ''}"

    def differences(self, truth: ArrayLike, predicted: ArrayLike) -> Floats:
        """Predicted minus true, divided by 1 + true where the quantity is relative: shape (n,)."""
        truth, predicted = np.asarray(truth, float), np.asarray(predicted, float)
        return (predicted - truth) / (1 + truth) if self.relative else predicted - truth


REDSHIFT = Quantity("redshift", symbol="z", relative=True, outlier_limit=0.15)
"""Redshifts as photometric ones are measured: Δz = (z_predicted - z) / (1 + z), outliers beyond 0.15 (Ilbert et al.
2006, A&A 457, 841; Hildebrandt et al. 2010, A&A 523, A31). A nearby sample hardly has room for such a miss and wants a
tighter limit, as SDSS's main sample had in Pasquet et al. 2019, A&A 621, A26:
``replace(REDSHIFT, outlier_limit=0.05)``."""


@dataclass(frozen=True)
class QuantityBaseline:
    """What a model that never looks at the image predicts: the mean of the training part, give or take its spread.

    Attributes:
        mean: predict-the-mean.
        spread: standard deviation of the training part, the uncertainty that goes with it.

    Example:
        >>> QuantityBaseline.fit([0.02, 0.06, float("nan")])
        QuantityBaseline(mean=0.04, spread=0.02)
    """

    mean: float
    spread: float

    @classmethod
    def fit(cls, training_truth: ArrayLike) -> QuantityBaseline:
        """Learn both from the values of the training part; unknown ones are NaN.

        Raises:
            DataError: no value is known.
        """
        truth = _vector(training_truth, "training values")
        known = truth[~np.isnan(truth)]
        if not len(known):
            raise DataError("no value of the training part is known: there is no mean to predict")
        return cls(float(known.mean()), float(known.std()))

    def to_dict(self) -> dict[str, float]:
        """Plain values, as saved with a model."""
        return asdict(self)

    @classmethod
    def from_dict(cls, values: Mapping[str, float]) -> QuantityBaseline:
        """The baseline that :meth:`to_dict` described."""
        return cls(**values)


def evaluate_quantity(
    truth: ArrayLike,
    predicted: ArrayLike | Distribution,
    spread: ArrayLike | None = None,
    *,
    baseline: QuantityBaseline,
    quantity: Quantity = REDSHIFT,
    resamples: int = 1000,
    seed: int = 0,
) -> Results:
    """Measure predictions of a quantity, and the uncertainties that they state.

    Args:
        truth: true values, shape (n,) or (n, 1); NaN where unknown.
        predicted: predicted values of the same shape, or a distribution for each galaxy, whose mean is the prediction.
        spread: stated standard deviations, taken as those of Gaussians; None where none are stated.
        baseline: predict-the-mean, fitted on the training part.
        quantity: name, unit, and how differences are counted.
        resamples: bootstrap resamples of the galaxies behind each 95 % interval.
        seed: makes the intervals reproducible.

    Returns:
        Plain numbers all through, None where a figure is not defined:

        - ``quantity`` as a dictionary; ``n`` galaxies measured, ``unknown`` left out.
        - ``mse``, ``rmse``, ``mae`` (mean absolute error) and ``r2`` = 1 - Σ(predicted - true)² / Σ(true - mean)².
        - of the :meth:`Quantity.differences`: ``bias``, their mean; ``nmad`` = 1.4826 · median|Δ - median Δ| (Brammer
          et al. 2008, ApJ 686, 1503); ``outlier_fraction`` beyond the quantity's limit; ``robust_outlier_fraction``
          beyond 3 ``nmad``.
        - ``within_one_std``: share whose error is at most the standard deviation of the true values. Predict-the-mean
          scores about two thirds there.
        - ``spread_ratio``, standard deviation of the predictions over that of the truth, and ``slope`` of predictions
          against truth: both 0 where the predictions have collapsed to one value. A perfect mean estimate of what
          the image tells has slope R² and ratio √R²; only certain predictions reach 1.
        - ``uncertainty``: None without stated ones, else ``mean_spread``, ``crps``, ``nll`` (mean negative log density;
          None where a true value was held impossible), ``impossible`` (how many were), ``coverage`` (``levels`` of
          central intervals and the ``shares`` of galaxies in them), ``pit`` (``edges``, ``counts``, Kolmogorov-Smirnov
          distance ``ks`` from the uniform distribution and its ``p_value``) and ``baseline`` (a Gaussian with the mean
          and spread of the training part).
        - ``intervals``: 95 %; ``baseline``: the same figures of predict-the-mean, and its ``value``.

    Raises:
        DataError: nothing is known, shapes do not fit, predictions are not finite, or a redshift is -1 or less.

    Example:
        >>> truth = np.linspace(0.01, 0.1, 200)
        >>> results = evaluate_quantity(truth, truth + 0.001, baseline=QuantityBaseline.fit(truth))
        >>> round(results["r2"], 3), round(results["rmse"], 4), round(results["baseline"]["rmse"], 4)
        (0.999, 0.001, 0.0261)
    """
    truth = _vector(truth, "true values")
    values = predicted.mean if isinstance(predicted, Distribution) else _vector(predicted, "predictions")
    if len(truth) != len(values):
        raise DataError(
            f"{quantity.name}: there are predictions for {len(values)} galaxies, but {len(truth)} true values"
        )
    known = ~np.isnan(truth)
    truth, values = truth[known], values[known]
    _check(truth, values, quantity)
    stated = _stated(predicted, values, spread, known)

    generator = np.random.default_rng(seed)
    constant = np.full_like(truth, baseline.mean)
    return plain(
        {
            "quantity": asdict(quantity),
            "n": len(truth),
            "unknown": int((~known).sum()),
            **_figures(truth, values, quantity),
            "intervals": _intervals(truth, values, quantity, resamples, generator),
            "baseline": {"value": baseline.mean, **_figures(truth, constant, quantity)},
            "uncertainty": stated and _uncertainty(truth, stated, baseline, resamples, generator),
        }
    )


def collapsed(results: Results) -> bool:
    """Whether the predictions are nearly one value, whatever the image: spread below a quarter of the truth's."""
    return results["spread_ratio"] is not None and results["spread_ratio"] < COLLAPSED


def verdict(results: Results) -> str:
    """Whether the model learned: its R² against predict-the-mean's, how widely it predicts, what it states.

    A model counts as better where the 95 % interval of its R² lies above predict-the-mean's.

    Example:
        >>> truth = np.linspace(0.01, 0.1, 200)
        >>> sentence = verdict(evaluate_quantity(truth, 0.9 * truth, baseline=QuantityBaseline.fit(truth)))
        >>> for part in sentence.split("; "):
        ...     print(part)
        learned: R² 0.946 [0.936 0.953] against 0.000 for predict-the-mean
        predictions spread 0.90 as wide as the truth
    """
    name, r2 = results["quantity"]["name"], results["r2"]
    low, high = results["intervals"]["r2"]
    if r2 is None or low is None:
        return f"{results['n']:,} galaxies are too few, or of one {name}, to tell whether it was learned"
    reference = results["baseline"]["r2"]
    width = f"spread {results['spread_ratio']:.2f} as wide as the truth"
    sentence = (
        f"{'learned' if low > reference else 'did not beat predict-the-mean'}: R² {r2:.3f} [{low:.3f} {high:.3f}] "
        f"against {round(reference, 3) + 0.0:.3f} for predict-the-mean; "
        f"{f'collapsed: predictions only {width}' if collapsed(results) else f'predictions {width}'}"
    )
    uncertainty = results["uncertainty"]
    if uncertainty is None:
        return sentence
    coverage = uncertainty["coverage"]
    share = coverage["shares"][coverage["levels"].index(0.68)]
    return f"{sentence}; {100 * share:.0f} % of the true values within the stated 68 %"


# -- predicted values ----------------------------------------------------------------------------


def _figures(truth: Floats, predicted: Floats, quantity: Quantity) -> dict[str, Any]:
    errors, differences = predicted - truth, quantity.differences(truth, predicted)
    mse, width, limit = np.square(errors).mean(), truth.std(), quantity.outlier_limit
    distinct, moved = np.ptp(truth) > 0, predicted - predicted[0]  # of one value, exactly 0
    nmad = robust_deviation(differences)
    together = (truth - truth.mean()) @ (moved - moved.mean()) / len(truth)
    return {
        "mse": mse,
        "rmse": np.sqrt(mse),
        "mae": np.abs(errors).mean(),
        "r2": 1 - mse / width**2 if distinct else np.nan,
        "bias": differences.mean(),
        "nmad": nmad,
        "outlier_fraction": np.nan if limit is None else (np.abs(differences) > limit).mean(),
        "robust_outlier_fraction": (np.abs(differences) > ROBUST * nmad).mean(),
        "within_one_std": (np.abs(errors) <= width).mean(),
        "spread_ratio": moved.std() / width if distinct else np.nan,
        "slope": together / width**2 if distinct else np.nan,
    }


def _intervals(
    truth: Floats, predicted: Floats, quantity: Quantity, resamples: int, generator: np.random.Generator
) -> dict[str, Floats]:
    ordered = np.lexsort((predicted, truth))  # so that the order of the galaxies does not matter
    resampled = []
    for share in weights(len(truth), resamples, generator):
        drawn = np.repeat(ordered, np.rint(share * len(truth)).astype(int))
        resampled.append(_figures(truth[drawn], predicted[drawn], quantity))
    return {name: interval([figures[name] for figures in resampled]) for name in resampled[0]}


# -- stated uncertainties ------------------------------------------------------------------------


def _uncertainty(
    truth: Floats, stated: Distribution, baseline: QuantityBaseline, resamples: int, generator: np.random.Generator
) -> Results:
    pit, crps, densities = stated.cdf(truth), stated.crps(truth), stated.log_density(truth)
    covered = np.abs(pit[:, None] - 0.5) <= np.array(LEVELS) / 2
    averaged = np.sort(np.column_stack([crps, covered]), axis=0)  # so that the order does not matter
    ends = interval([share @ averaged for share in weights(len(truth), resamples, generator)])
    counts, edges = np.histogram(pit, PIT_BINS, range=(0, 1))
    uniform = kstest(pit, "uniform")
    return {
        "mean_spread": stated.spread.mean(),
        "crps": crps.mean(),
        "nll": _nll(densities),
        "impossible": int(np.isneginf(densities).sum()),
        "coverage": {"levels": LEVELS, "shares": covered.mean(axis=0)},
        "pit": {"edges": edges, "counts": counts, "ks": uniform.statistic, "p_value": uniform.pvalue},
        "intervals": {"crps": ends[0], "coverage": ends[1:]},
        "baseline": _training_scores(truth, baseline),
    }


def _training_scores(truth: Floats, baseline: QuantityBaseline) -> dict[str, float]:
    if baseline.spread == 0:
        return {"crps": np.abs(truth - baseline.mean).mean(), "nll": np.nan}
    gaussian = GaussianMixture.single(np.full_like(truth, baseline.mean), baseline.spread)
    return {"crps": gaussian.crps(truth).mean(), "nll": _nll(gaussian.log_density(truth))}


def _nll(densities: Floats) -> float:
    return float(-densities.mean()) if np.isfinite(densities).all() else np.nan


# -- in ------------------------------------------------------------------------------------------


def _stated(
    predicted: ArrayLike | Distribution, values: Floats, spread: ArrayLike | None, known: NDArray[np.bool_]
) -> Distribution | None:
    """The distributions of the galaxies of known truth, where some are stated."""
    if isinstance(predicted, Distribution):
        if spread is not None:
            raise DataError("a distribution states its own spread: give one of the two")
        return predicted[known]
    if spread is None:
        return None
    spreads = _vector(spread, "stated spreads")
    if spreads.shape != known.shape:
        raise DataError(f"there are {len(known)} predictions, but {len(spreads)} stated spreads")
    return GaussianMixture.single(values, spreads[known])


def _vector(values: ArrayLike, what: str) -> Floats:
    vector = np.asarray(values, dtype=float)
    if vector.ndim == 2 and vector.shape[1] == 1:
        return vector[:, 0]
    if vector.ndim != 1:
        raise DataError(f"the {what} have shape {vector.shape}, expected (galaxies,) or (galaxies, 1)")
    return vector


def _check(truth: Floats, predicted: Floats, quantity: Quantity) -> None:
    if not len(truth):
        raise DataError(f"{quantity.name}: no true value is known, there is nothing to measure")
    if np.isinf(truth).any():
        raise DataError(f"{quantity.name}: {int(np.isinf(truth).sum())} true values are infinite; unknown ones are NaN")
    if quantity.relative and (truth <= -1).any():
        raise DataError(f"{quantity.name}: a true value is {truth.min():g}, at most -1; unknown ones must be NaN")
    bad = int((~np.isfinite(predicted)).sum())
    if bad:
        raise DataError(f"{quantity.name}: the predictions of {bad} galaxies are not finite numbers")
