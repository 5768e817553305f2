"""Measures of quantities and of their stated uncertainties: by hand, by integration, and what always holds."""

from __future__ import annotations

import json
import re
from dataclasses import replace
from itertools import pairwise
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from hypothesis import assume, given, settings
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays
from scipy.integrate import quad
from scipy.stats import norm
from sklearn.metrics import mean_absolute_error, mean_squared_error, r2_score

from galaxycnn.errors import DataError
from galaxycnn.plots.examples import example_galaxies
from galaxycnn.plots.quantities import predicted_against_true, stated_uncertainties
from galaxycnn.quantities import (
    REDSHIFT,
    Binned,
    GaussianMixture,
    Quantity,
    QuantityBaseline,
    collapsed,
    evaluate_quantity,
    verdict,
)
from galaxycnn.reports import quantity_table
from galaxycnn.tables import render

MASS = Quantity("stellar mass", symbol="log M", unit="dex")
FEW = settings(max_examples=40)


def redshifts(count: int = 400, seed: int = 0) -> np.ndarray:
    return np.random.default_rng(seed).uniform(0.01, 0.11, count)


def noisy(truth: np.ndarray, size: float = 0.01, seed: int = 1) -> np.ndarray:
    return truth + np.random.default_rng(seed).normal(0, size, truth.shape)


def evaluate(truth, predicted, spread=None, **keywords):
    options = {"baseline": QuantityBaseline.fit(truth), "resamples": 50} | keywords
    return evaluate_quantity(truth, predicted, spread, **options)


thousandths = st.lists(st.integers(1, 5000), min_size=3, max_size=30, unique=True)
values = thousandths.map(lambda numbers: np.array(numbers) / 1000)

# -- predicted values -----------------------------------------------------------------------------


def test_figures_known_by_hand():
    truth, predicted = [0.0, 1.0, 3.0, 0.25], [0.1, 1.2, 3.0, 1.0]
    results = evaluate(truth, predicted)
    differences = [0.1, 0.1, 0.0, 0.6]
    assert results["n"] == 4
    assert results["mse"] == pytest.approx((0.01 + 0.04 + 0.5625) / 4)
    assert results["bias"] == pytest.approx(np.mean(differences))
    assert results["nmad"] == pytest.approx(1.4826 * 0.05)  # around 0.1: 0, 0, 0.1, 0.5
    assert results["outlier_fraction"] == 0.25
    assert results["robust_outlier_fraction"] == 0.25
    assert results["within_one_std"] == 1.0


@FEW
@given(values, st.floats(0.001, 3))
def test_the_common_figures_are_those_of_scikit_learn(truth, size):
    predicted = noisy(truth, size)
    results = evaluate(truth, predicted, quantity=MASS, resamples=5)
    assert results["r2"] == pytest.approx(r2_score(truth, predicted))
    assert results["mse"] == pytest.approx(mean_squared_error(truth, predicted))
    assert results["mae"] == pytest.approx(mean_absolute_error(truth, predicted))
    assert results["slope"] == pytest.approx(np.polyfit(truth, predicted, 1)[0], abs=1e-6)


@FEW
@given(values)
def test_the_mean_has_no_r2_no_slope_and_no_spread(truth):
    results = evaluate(truth, np.full_like(truth, truth.mean()), resamples=5)
    assert [results[figure] for figure in ("r2", "slope", "spread_ratio")] == pytest.approx([0, 0, 0], abs=1e-9)
    assert collapsed(results)
    for figure in ("mse", "bias", "nmad", "within_one_std"):
        assert results[figure] == pytest.approx(results["baseline"][figure])


@FEW
@given(values)
def test_a_perfect_prediction_is_seen_as_one(truth):
    results = evaluate(truth, truth, resamples=5)
    assert [results[figure] for figure in ("r2", "slope", "spread_ratio", "within_one_std")] == pytest.approx([1] * 4)
    nothing = ("mse", "rmse", "mae", "bias", "nmad", "outlier_fraction", "robust_outlier_fraction")
    assert [results[figure] for figure in nothing] == [0] * 7
    assert results["intervals"]["mse"] == [0, 0]


@FEW
@given(values, st.floats(-5, 5), st.floats(0.1, 10))
def test_another_unit_or_zero_point_changes_only_what_has_a_unit(truth, shift, scale):
    predicted = noisy(truth, 0.3)
    here = evaluate(truth, predicted, quantity=MASS, resamples=5)
    there = evaluate(shift + scale * truth, shift + scale * predicted, quantity=MASS, resamples=5)
    for figure in ("r2", "slope", "spread_ratio", "robust_outlier_fraction"):
        assert there[figure] == pytest.approx(here[figure], abs=1e-6)
    for figure in ("rmse", "mae", "bias", "nmad"):
        assert there[figure] == pytest.approx(scale * here[figure], abs=1e-6)


def test_the_order_of_the_galaxies_does_not_matter():
    truth = redshifts()
    predicted, shuffled = noisy(truth), np.random.default_rng(2).permutation(len(truth))
    here = evaluate(truth, predicted, np.full(len(truth), 0.01))
    there = evaluate(truth[shuffled], predicted[shuffled], np.full(len(truth), 0.01))
    flat = [pd.json_normalize(results).drop(columns="uncertainty.pit.edges").iloc[0] for results in (here, there)]
    for name in flat[0].index:
        if not isinstance(flat[0][name], str):
            np.testing.assert_allclose(flat[1][name], flat[0][name], rtol=1e-9, atol=1e-12, err_msg=name)


def test_unknown_redshifts_are_left_out_and_counted():
    truth = redshifts()
    predicted, spread = noisy(truth), np.full(len(truth), 0.01)
    some, known = truth.copy(), np.arange(len(truth)) % 3 > 0
    some[~known] = np.nan
    with_gaps = evaluate(some, predicted, spread)
    assert (with_gaps["n"], with_gaps["unknown"]) == (known.sum(), (~known).sum())
    without = evaluate(truth[known], predicted[known], spread[known])
    assert with_gaps | {"unknown": 0} == without


def test_a_prediction_that_is_missing_only_where_the_truth_is_does_not_matter():
    assert evaluate([0.1, 0.2, np.nan], [0.1, 0.2, np.nan], [0.1, 0.1, np.nan])["mse"] == 0


def test_scatter_is_that_of_the_core_and_outliers_are_counted_beside():
    truth = redshifts(4000)
    predicted = noisy(truth, 0.01 * (1 + truth))
    predicted[::50] += 0.5
    results = evaluate(truth, predicted)
    assert results["nmad"] == pytest.approx(0.01, rel=0.06)
    assert results["outlier_fraction"] == 0.02
    assert results["robust_outlier_fraction"] == pytest.approx(0.02 + 2 * norm.sf(3) * 0.98, abs=0.002)
    assert results["rmse"] > 0.07


def test_the_outlier_limit_is_that_of_the_quantity():
    truth = redshifts(1000)
    predicted = truth + np.where(np.arange(1000) < 100, 0.08, 0.0)
    assert evaluate(truth, predicted)["outlier_fraction"] == 0
    assert evaluate(truth, predicted, quantity=replace(REDSHIFT, outlier_limit=0.05))["outlier_fraction"] == 0.1
    without = evaluate(truth, predicted, quantity=MASS)
    assert without["outlier_fraction"] is None
    assert without["intervals"]["outlier_fraction"] == [None, None]


def test_keras_outputs_have_a_column_too_many():
    truth = redshifts()
    assert evaluate(truth[:, None], noisy(truth)[:, None].astype("float32"))["n"] == 400


def test_intervals_hold_the_figure_and_narrow_with_the_sample():
    small, large = (evaluate(t, noisy(t), resamples=300) for t in (redshifts(100), redshifts(4000)))
    for figure in ("r2", "rmse", "bias", "nmad", "slope"):
        low, high = large["intervals"][figure]
        assert low <= large[figure] <= high
        assert high - low < 0.5 * np.diff(small["intervals"][figure])[0]


def test_the_baseline_knows_the_training_part_alone():
    baseline = QuantityBaseline.fit([0.04, 0.06, np.nan])
    assert QuantityBaseline.from_dict(json.loads(json.dumps(baseline.to_dict()))) == baseline
    results = evaluate([0.1, 0.3], [0.1, 0.3], baseline=baseline)
    assert results["baseline"]["value"] == 0.05
    assert results["baseline"]["mse"] == pytest.approx((0.05**2 + 0.25**2) / 2)
    assert results["baseline"]["r2"] < 0


def test_one_galaxy_or_one_redshift_has_no_r2():
    for truth in ([0.1], [0.1, 0.1, 0.1]):
        results = evaluate(truth, [0.2] * len(truth))
        assert results["r2"] is results["slope"] is results["spread_ratio"] is None
        assert not collapsed(results)
        assert verdict(results).startswith(f"{len(truth)} galaxies are too few, or of one redshift, to tell")
    assert verdict(evaluate([0.1, 0.2], [0.1, 0.2])).startswith("2 galaxies are too few")


def test_results_are_plain_numbers():
    truth = redshifts()
    results = evaluate(truth, noisy(truth), np.full(len(truth), 0.01))
    assert json.loads(json.dumps(results, allow_nan=False)) == results


# -- verdicts -------------------------------------------------------------------------------------


def test_a_model_that_learned_is_told_from_one_that_collapsed():
    truth = redshifts()
    flat = verdict(evaluate(truth, noisy(np.full_like(truth, 0.06), 0.001)))
    assert flat.startswith("did not beat predict-the-mean: R² ")
    assert flat.endswith("collapsed: predictions only spread 0.03 as wide as the truth")
    learned = verdict(evaluate(truth, noisy(truth), np.full(len(truth), 0.01)))
    assert learned.startswith("learned: R² 0.9")
    assert learned.endswith("% of the true values within the stated 68 %")
    assert "collapsed" not in learned


def test_noise_as_wide_as_the_truth_has_not_collapsed_but_learned_nothing():
    truth = redshifts()
    sentence = verdict(evaluate(truth, np.random.default_rng(3).permutation(truth)))
    assert sentence.startswith("did not beat predict-the-mean: R² -")
    assert "collapsed" not in sentence


# -- distributions --------------------------------------------------------------------------------


@st.composite
def mixtures(draw) -> GaussianMixture:
    shape = draw(st.integers(1, 3)), draw(st.integers(1, 4))
    weights = draw(arrays(float, shape, elements=st.floats(0.05, 1)))
    means = draw(arrays(float, shape, elements=st.floats(-1, 1)))
    spreads = draw(arrays(float, shape, elements=st.floats(0.05, 0.5)))
    return GaussianMixture(weights / weights.sum(axis=1, keepdims=True), means, spreads)


@st.composite
def histograms(draw) -> Binned:
    bins = draw(st.integers(1, 6))
    widths = draw(arrays(float, bins, elements=st.floats(0.05, 0.6)))
    shares = draw(arrays(float, (draw(st.integers(1, 3)), bins), elements=st.sampled_from([0.0, 0.1, 0.5, 1.0])))
    assume((shares.sum(axis=1) > 0).all())
    edges = draw(st.floats(-1, 0)) + np.concatenate([[0], np.cumsum(widths)])
    return Binned(shares / shares.sum(axis=1, keepdims=True), edges)


distributions = st.one_of(mixtures(), histograms())


def breaks(distribution) -> list[float]:
    """Where a distribution function may have a corner."""
    return list(distribution.edges) if isinstance(distribution, Binned) else []


@FEW
@given(distributions, st.floats(-1.5, 2))
def test_crps_is_its_integral(distribution, value):
    found = distribution.crps(np.full(len(distribution), value))
    for i in range(len(distribution)):
        one = distribution[i : i + 1]

        def integrand(y, one=one):
            return (one.cdf([y])[0] - (y >= value)) ** 2

        corners = sorted({-6.0, 7.0, value, *breaks(one)})
        integral = sum(quad(integrand, *ends, limit=100)[0] for ends in pairwise(corners))
        assert found[i] == pytest.approx(integral, abs=1e-6)


@FEW
@given(st.floats(-1, 1), st.floats(0.01, 2), st.floats(-2, 2))
def test_crps_of_a_gaussian_has_a_closed_form(mean, spread, value):
    z = (value - mean) / spread
    expected = spread * (z * (2 * norm.cdf(z) - 1) + 2 * norm.pdf(z) - 1 / np.sqrt(np.pi))
    assert GaussianMixture.single([mean], [spread]).crps([value]) == pytest.approx([expected], abs=1e-12)


@FEW
@given(distributions, st.floats(0.001, 0.999))
def test_quantiles_invert_the_distribution_function(distribution, level):
    assert distribution.cdf(distribution.quantile(level)) == pytest.approx(np.full(len(distribution), level), abs=1e-9)


@FEW
@given(distributions)
def test_densities_are_the_slope_of_the_distribution_function(distribution):
    low, high = -6.0, 7.0
    for i in range(len(distribution)):
        one = distribution[i : i + 1]
        corners = sorted({low, high, *breaks(one)})
        for start, end in pairwise(corners):
            points = np.linspace(start, end, 4001)[1:-1]
            density = np.exp(one[[0] * len(points)].log_density(points))
            rise = one.cdf([end]) - one.cdf([start])
            assert density.mean() * (end - start) == pytest.approx(rise[0], abs=2e-3)
    assert distribution.cdf(np.full(len(distribution), low)) == pytest.approx(np.zeros(len(distribution)))
    assert distribution.cdf(np.full(len(distribution), high)) == pytest.approx(np.ones(len(distribution)))


@FEW
@given(distributions)
def test_mean_and_spread_are_those_of_the_distribution_function(distribution):
    edges = np.linspace(-6, 7, 20_001)
    middles = (edges[:-1] + edges[1:]) / 2
    for i in range(len(distribution)):
        shares = np.diff(distribution[[i] * len(edges)].cdf(edges))
        mean = shares @ middles
        assert distribution.mean[i] == pytest.approx(mean, abs=1e-4)
        assert distribution.spread[i] == pytest.approx(np.sqrt(shares @ np.square(middles - mean)), abs=1e-3)


def test_fine_bins_are_as_good_as_the_gaussian():
    truth, edges = redshifts(50), np.linspace(-0.2, 0.4, 6001)
    gaussian = GaussianMixture.single(noisy(truth), 0.01)
    shares = np.diff(norm.cdf((edges - gaussian.means) / gaussian.spreads), axis=1)
    binned = Binned(shares, edges)
    for figure in ("crps", "cdf", "log_density"):
        assert getattr(binned, figure)(truth) == pytest.approx(getattr(gaussian, figure)(truth), rel=1e-2, abs=1e-2)
    assert binned.spread == pytest.approx(gaussian.spread, rel=1e-4)


def test_crps_of_a_point_is_its_error():
    assert GaussianMixture.single([0.3, 0.3], 1e-9).crps([0.1, 0.7]) == pytest.approx([0.2, 0.4])
    assert Binned([[1.0]], [0.3 - 1e-9, 0.3 + 1e-9]).crps([0.1]) == pytest.approx([0.2])


def test_no_density_where_no_probability_is():
    binned = Binned([[0.0, 1.0]], [0.0, 0.1, 0.2])
    for value, density in ((-0.1, 0), (0.05, 0), (0.15, 10), (0.2, 10), (0.3, 0)):
        assert np.exp(binned.log_density([value])) == pytest.approx([density])


# -- stated uncertainties -------------------------------------------------------------------------


def drawn_mixture(count: int = 4000, seed: int = 0) -> tuple[np.ndarray, GaussianMixture]:
    """Galaxies whose true redshifts are drawn from the distributions stated for them."""
    generator = np.random.default_rng(seed)
    weights = generator.dirichlet([1, 1, 1], size=count)
    means, spreads = generator.uniform(0.02, 0.2, (count, 3)), generator.uniform(0.005, 0.02, (count, 3))
    rows, component = np.arange(count), (generator.random((count, 1)) > weights.cumsum(axis=1)).sum(axis=1)
    return generator.normal(means[rows, component], spreads[rows, component]), GaussianMixture(weights, means, spreads)


def drawn_bins(count: int = 4000, seed: int = 0) -> tuple[np.ndarray, Binned]:
    generator = np.random.default_rng(seed)
    stated = Binned(generator.dirichlet(np.full(8, 0.5), size=count), np.linspace(0, 0.2, 9) ** 1.2)
    component = (generator.random((count, 1)) > stated.probabilities.cumsum(axis=1)).sum(axis=1)
    return generator.uniform(stated.edges[component], stated.edges[component + 1]), stated


def limit(count: int) -> float:
    """A Kolmogorov-Smirnov distance that one uniform sample in a hundred exceeds."""
    return 1.63 / np.sqrt(count)


@pytest.mark.parametrize("draw", [drawn_mixture, drawn_bins])
@pytest.mark.parametrize("seed", range(3))
def test_uncertainties_that_hold_have_a_flat_pit_and_cover_what_they_state(draw, seed):
    truth, stated = draw(seed=seed)
    uncertainty = evaluate(truth, stated)["uncertainty"]
    assert uncertainty["pit"]["ks"] < limit(len(truth))
    assert uncertainty["pit"]["p_value"] > 0.01
    assert sum(uncertainty["pit"]["counts"]) == len(truth)
    coverage = uncertainty["coverage"]
    assert coverage["levels"] == [0.5, 0.68, 0.9, 0.95]
    assert coverage["shares"] == pytest.approx(coverage["levels"], abs=0.025)
    for share, (low, high) in zip(coverage["shares"], uncertainty["intervals"]["coverage"], strict=True):
        assert low <= share <= high
    assert uncertainty["crps"] < uncertainty["baseline"]["crps"]
    assert uncertainty["nll"] < uncertainty["baseline"]["nll"]
    assert uncertainty["mean_spread"] == pytest.approx(stated.spread.mean())


@pytest.mark.parametrize("factor, word", [(0.5, "too sure"), (2.0, "too unsure")])
def test_a_spread_of_the_wrong_width_is_seen(factor, word):
    truth = redshifts(4000)
    right, wrong = (evaluate(truth, noisy(truth), np.full(4000, 0.01 * f))["uncertainty"] for f in (1, factor))
    assert right["pit"]["ks"] < limit(4000) < 3 * limit(4000) < wrong["pit"]["ks"]
    covered = np.array(wrong["coverage"]["shares"]) - wrong["coverage"]["levels"]
    assert (covered < -0.1).all() if word == "too sure" else (covered > 0.03).all()
    assert wrong["crps"] > right["crps"]
    assert wrong["nll"] > right["nll"]


def test_coverage_is_that_of_the_quantiles():
    truth, stated = drawn_mixture(500)
    coverage = evaluate(truth, stated)["uncertainty"]["coverage"]
    for level, share in zip(coverage["levels"], coverage["shares"], strict=True):
        inside = (truth >= stated.quantile(0.5 - level / 2)) & (truth <= stated.quantile(0.5 + level / 2))
        assert share == pytest.approx(inside.mean())


def test_a_spread_is_a_gaussian():
    truth = redshifts()
    predicted, spread = noisy(truth), np.random.default_rng(4).uniform(0.005, 0.02, len(truth))
    assert evaluate(truth, predicted, spread) == evaluate(truth, GaussianMixture.single(predicted, spread))
    assert evaluate(truth, predicted)["uncertainty"] is None


def test_the_baseline_states_the_spread_of_the_training_part():
    truth = redshifts()
    results = evaluate(truth, np.full_like(truth, truth.mean()), np.full_like(truth, truth.std()))
    for figure in ("crps", "nll"):
        assert results["uncertainty"][figure] == pytest.approx(results["uncertainty"]["baseline"][figure])


def test_a_true_value_held_impossible_is_counted():
    stated = Binned(np.tile([0.5, 0.5, 0.0], (4, 1)), [0.0, 0.1, 0.2, 0.3])
    uncertainty = evaluate([0.05, 0.15, 0.25, 0.9], stated)["uncertainty"]
    assert uncertainty["impossible"] == 2
    assert uncertainty["nll"] is None
    assert uncertainty["crps"] > 0


# -- what cannot be measured ----------------------------------------------------------------------

GOOD = np.array([0.1, 0.2, 0.3])


@pytest.mark.parametrize(
    "truth, predicted, spread, message",
    [
        (GOOD, GOOD[:2], None, "redshift: there are predictions for 2 galaxies, but 3 true values"),
        (GOOD * np.nan, GOOD, None, "redshift: no true value is known"),
        (np.array([]), np.array([]), None, "redshift: no true value is known"),
        ([0.1, -99.0, 0.2], GOOD, None, "redshift: a true value is -99, at most -1; unknown ones must be NaN"),
        ([0.1, np.inf, 0.2], GOOD, None, "redshift: 1 true values are infinite"),
        (GOOD, [0.1, np.nan, 0.2], None, "redshift: the predictions of 1 galaxies are not finite"),
        (GOOD, np.ones((3, 2)), None, r"the predictions have shape \(3, 2\), expected \(galaxies,\)"),
        (GOOD, GOOD, GOOD[:2], "there are 3 predictions, but 2 stated spreads"),
        (GOOD, GOOD, [0.1, 0.0, 0.1], "the spreads of a mixture must be above 0, the smallest is 0"),
        (GOOD, GaussianMixture.single(GOOD, 0.1), GOOD, "a distribution states its own spread"),
    ],
)
def test_what_does_not_fit_is_refused(truth, predicted, spread, message):
    with pytest.raises(DataError, match=message):
        evaluate_quantity(truth, predicted, spread, baseline=QuantityBaseline(0.05, 0.02))


@pytest.mark.parametrize(
    "make, message",
    [
        (lambda: GaussianMixture([[1.0]], [[0.1, 0.2]], [[0.1]]), "one shape .* got"),
        (lambda: GaussianMixture([[0.5, 0.2]], [[0, 1]], [[1, 1]]), "weights of a mixture must be .* sum to 1"),
        (lambda: GaussianMixture([[1.0]], [[np.nan]], [[1.0]]), "1 of the means of a mixture are not finite"),
        (lambda: Binned([[0.5, 0.5]], [0.0, 1.0]), r"bins \+ 1 edges, got \(1, 2\) and \(2,\)"),
        (lambda: Binned([[0.5, 0.5]], [0.0, 1.0, 1.0]), "edges of the bins must rise"),
        (lambda: Binned([[1.5, -0.5]], [0.0, 1.0, 2.0]), "at least 0 and sum to 1; the smallest is -0.5"),
        (lambda: GaussianMixture.single([0.1], 0.1).quantile(1.0), "a quantile needs a level between 0 and 1, got 1"),
        (lambda: QuantityBaseline.fit([np.nan]), "no value of the training part is known"),
    ],
)
def test_distributions_out_of_range_are_refused(make, message):
    with pytest.raises(DataError, match=message):
        make()


# -- pictures and tables --------------------------------------------------------------------------


def words(path: Path) -> str:
    """The texts of an SVG picture."""
    found = re.findall(r"<text[^>]*>(.*?)</text>", path.read_text(), flags=re.DOTALL)
    return "\n".join(re.sub(r"<[^>]*>", "", text).strip() for text in found)


@pytest.mark.parametrize("count", [1, 2, 60, 800], ids="{} galaxies".format)
@pytest.mark.parametrize("ending", ["png", "svg"])
def test_predictions_of_any_number_of_galaxies_are_drawn(count, ending, tmp_path):
    truth = redshifts(count)
    results = evaluate(truth, noisy(truth))
    path = predicted_against_true(truth, noisy(truth), results, tmp_path / f"z.{ending}", part="test", name="run")
    assert list(tmp_path.iterdir()) == [path]
    if ending == "svg":
        galaxies = f"Predicted redshift of run: test, {count:,} galaxies"
        assert all(word in words(path) for word in (galaxies, "predicted z", "Δz / (1 + z)", "σ_NMAD", "bias"))


def test_a_collapse_is_said_and_far_galaxies_are_counted(tmp_path):
    truth = redshifts(500)
    flat = np.full_like(truth, 0.06)
    path = predicted_against_true(truth, flat, evaluate(truth, flat), tmp_path / "flat.svg", part="test")
    assert "collapsed: predictions spread only 0.00 as wide as the truth" in words(path)
    assert "fitted to the predictions: slope 0.00" in words(path)
    far = noisy(truth)
    far[0] = 9.0
    path = predicted_against_true(truth, far, evaluate(truth, far), tmp_path / "far.svg", part="test")
    assert "1 above" in words(path)
    assert "collapsed" not in words(path)


def test_galaxies_of_unknown_redshift_are_not_drawn(tmp_path):
    truth = redshifts(50)
    truth[:10] = np.nan
    results = evaluate(truth, np.full(50, 0.05), quantity=MASS)
    path = predicted_against_true(truth, np.full(50, 0.05), results, tmp_path / "z.svg", part="test")
    assert "Predicted stellar mass: test, 40 galaxies" in words(path)
    with pytest.raises(DataError, match="the results are of 40 galaxies, but there are 30 true values and 40 pred"):
        predicted_against_true(truth[:40], np.zeros(40), results, tmp_path / "other.svg", part="test")


def test_stated_uncertainties_are_drawn_where_there_are_some(tmp_path):
    truth, stated = drawn_bins(500)
    path = stated_uncertainties(evaluate(truth, stated), tmp_path / "pit.svg", part="test", name="run")
    assert "Redshift uncertainties of run: test, 500 galaxies" in words(path)
    assert "Kolmogorov" in words(path)
    with pytest.raises(DataError, match="the predictions of redshift state no uncertainty"):
        stated_uncertainties(evaluate(truth, stated.mean), tmp_path / "none.svg", part="test")


@pytest.mark.parametrize("channels", [1, 3])
def test_examples_run_from_the_nearest_to_the_farthest_and_name_classes_and_misses(channels, tmp_path):
    truth = redshifts(30)
    truth[3] = np.nan
    images = np.random.default_rng(0).integers(0, 256, (30, 16, 16, channels), dtype=np.uint8)
    keywords = {"quantity": REDSHIFT, "part": "test", "count": 5}
    names = {"classes": ["merger"] * 30, "predicted_classes": ["spiral"] * 30, "ids": list(range(30))}
    path = example_galaxies(images, truth, truth, tmp_path / "a.svg", spread=np.full(30, 0.01), **names, **keywords)
    said = words(path)
    shown = [float(value) for value in re.findall(r"z = ([.\d]+)", said)]
    assert shown == sorted(shown)
    assert (shown[0], shown[-1]) == pytest.approx((np.nanmin(truth), np.nanmax(truth)), abs=1e-4)
    assert said.count("predicted: spiral") == said.count("merger") == 5
    assert said.count("± 0.01") == 5
    assert "±" not in words(example_galaxies(images, truth, truth, tmp_path / "b.svg", **keywords))
    with pytest.raises(DataError, match="images, values and classes must be of equally many galaxies"):
        example_galaxies(images[:5], truth, truth, tmp_path / "c.svg", **keywords)


def test_the_table_sets_predict_the_mean_beside():
    truth = redshifts()
    truth[:5] = np.nan
    lines = render(quantity_table(evaluate(truth, noisy(truth), np.full(400, 0.01)), "test")).splitlines()
    assert lines[0] == "test: redshift of 395 galaxies (5 more of unknown redshift)"
    assert max(map(len, lines)) <= 80
    rows = {line[:28].strip(): line[28:].split() for line in lines[2:]}
    assert float(rows["R²"][0]) > 0.85
    assert float(rows["R²"][-1]) == 0
    assert "outliers beyond 0.15" in rows
    assert "within the stated 68 %" in rows
    assert "outliers beyond 0.15" not in render(quantity_table(evaluate(truth, truth, quantity=MASS), "test"))


# -- real redshifts -------------------------------------------------------------------------------


def test_predicting_the_mean_of_real_redshifts_looks_good_by_one_figure_only(real_data):
    truth = pd.read_csv(real_data("redshift") / "labels.csv")["redshift"].to_numpy()
    results = evaluate(truth, np.full_like(truth, truth.mean()))
    assert results["within_one_std"] > 0.5
    assert results["outlier_fraction"] == 0
    assert collapsed(results)
    assert verdict(results).startswith("did not beat predict-the-mean: R² 0.000")
