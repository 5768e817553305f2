"""Measures of class probabilities: against hand-made answers, scikit-learn, brute force and what must always hold."""

from __future__ import annotations

import json
import re
import time

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from sklearn.metrics import (
    average_precision_score,
    balanced_accuracy_score,
    brier_score_loss,
    classification_report,
    f1_score,
    log_loss,
    roc_auc_score,
)

from galaxycnn.bootstrap import weights
from galaxycnn.detection import THRESHOLD_MEASURES, choose_threshold, evaluate_classes, verdict
from galaxycnn.detection.ranking import resampled_average_precisions
from galaxycnn.errors import DataError, UserError
from galaxycnn.plots.detection import ranking_curves
from galaxycnn.quantities import QuantityBaseline, evaluate_quantity
from galaxycnn.reports import ComparedModel, class_table, confusion_table, models_markdown, models_table
from galaxycnn.tables import render

FEW = settings(max_examples=50)
NAMES = ["other", "merger", "spiral", "edge-on", "star", "ring"]


def galaxies(count: int = 300, classes: int = 3, seed: int = 0, sure: float = 0.4) -> tuple[np.ndarray, np.ndarray]:
    """Classes and probabilities that know something of them."""
    generator = np.random.default_rng(seed)
    truth = generator.integers(0, classes, count)
    return truth, sure * np.eye(classes)[truth] + (1 - sure) * generator.dirichlet(np.ones(classes), count)


def evaluate(truth, probabilities, **keywords):
    names = NAMES[: np.shape(probabilities)[1]]
    return evaluate_classes(truth, probabilities, names, **({"resamples": 20} | keywords))


@st.composite
def samples(draw) -> tuple[np.ndarray, np.ndarray]:
    """Few galaxies with coarse scores: ties, and classes that do not occur."""
    size = draw(st.integers(2, 5))
    truth = np.array(draw(st.lists(st.integers(0, size - 1), min_size=4, max_size=25)))
    generator = np.random.default_rng(draw(st.integers(0, 1000)))
    scores = generator.integers(1, 6, (len(truth), size)).astype(float)
    return truth, scores / scores.sum(axis=1, keepdims=True)


# -- figures --------------------------------------------------------------------------------------


def test_the_report_of_an_unbalanced_sample():
    # 333 non-mergers of which 2 are taken for mergers, 21 mergers of which 3 are found.
    truth = np.repeat([0, 0, 1, 1], [331, 2, 18, 3])
    results = evaluate(truth, np.eye(2)[np.repeat([0, 1, 0, 1], [331, 2, 18, 3])])

    def rounded(group: str) -> list:
        return [np.round(results[group][name], 2).tolist() for name in ("precision", "recall", "f1")]

    assert results["confusion"] == [[331, 2], [18, 3]]
    assert results["per_class"]["support"] == [333, 21]
    assert rounded("per_class") == [[0.95, 0.6], [0.99, 0.14], [0.97, 0.23]]
    assert rounded("macro") == [0.77, 0.57, 0.6]
    assert rounded("weighted") == [0.93, 0.94, 0.93]
    assert round(results["accuracy"], 3) == 0.944
    assert round(results["baseline"]["accuracy"], 3) == 0.941


@FEW
@given(samples())
def test_all_figures_are_those_of_scikit_learn(sample):
    truth, probabilities = sample
    chosen, size = probabilities.argmax(axis=1), probabilities.shape[1]
    results = evaluate(truth, probabilities)
    occurring = np.union1d(truth, chosen)
    report = classification_report(truth, chosen, labels=occurring, output_dict=True, zero_division=0)
    for name, key in (("precision", "precision"), ("recall", "recall"), ("f1", "f1-score")):
        per_class = [results["per_class"][name][i] for i in occurring]
        assert per_class == pytest.approx([report[str(i)][key] for i in occurring])
        assert results["macro"][name] == pytest.approx(report["macro avg"][key])
        assert results["weighted"][name] == pytest.approx(report["weighted avg"][key])
    recalls = [report[str(i)]["recall"] for i in np.unique(truth)]
    assert results["balanced_accuracy"] == pytest.approx(np.mean(recalls))
    assert results["accuracy"] == pytest.approx((truth == chosen).mean())
    assert results["log_loss"] == pytest.approx(log_loss(truth, probabilities, labels=range(size)))
    for i in range(size):
        here = truth == i
        defined = here.any() and not here.all()
        for name, measure in (("roc_auc", roc_auc_score), ("average_precision", average_precision_score)):
            value = results["per_class"][name][i]
            assert value == (pytest.approx(measure(here, probabilities[:, i])) if defined else None)
    if size == 2:
        assert results["brier"] == pytest.approx(brier_score_loss(truth, probabilities[:, 1]))


@FEW
@given(samples(), st.integers(0, 100))
def test_neither_the_order_of_the_galaxies_nor_of_the_classes_matters(sample, seed):
    truth, probabilities = sample
    generator, size = np.random.default_rng(seed), probabilities.shape[1]
    # The most probable class must be one, or the order decides it.
    probabilities = probabilities + generator.uniform(0, 1e-6, probabilities.shape)
    rows, order = generator.permutation(len(truth)), generator.permutation(size)
    here = evaluate(truth, probabilities)
    shuffled = evaluate(truth[rows], probabilities[rows])
    for figure in ("accuracy", "log_loss", "brier"):
        assert shuffled[figure] == pytest.approx(here[figure])
    assert shuffled["confusion"] == here["confusion"]
    assert shuffled["intervals"]["macro"] == here["intervals"]["macro"]
    renamed = evaluate(np.argsort(order)[truth], probabilities[:, order])
    for figure in ("accuracy", "balanced_accuracy", "log_loss", "brier"):
        assert renamed[figure] == pytest.approx(here[figure])
    for name, values in here["per_class"].items():
        assert [renamed["per_class"][name][j] for j in np.argsort(order)] == pytest.approx(values)


def test_rankings_do_not_care_for_the_scale_of_a_probability():
    truth, probabilities = galaxies()
    squeezed = evaluate(truth, probabilities**3 / 2)
    for name in ("roc_auc", "average_precision"):
        assert squeezed["per_class"][name] == pytest.approx(evaluate(truth, probabilities)["per_class"][name])


def test_outputs_of_a_sigmoid_are_divided_by_their_sum_for_what_measures_probabilities():
    truth, probabilities = galaxies()
    scaled = probabilities * np.random.default_rng(1).uniform(0.1, 1, (len(truth), 1))
    for name in ("log_loss", "brier", "accuracy"):
        assert evaluate(truth, scaled)[name] == pytest.approx(evaluate(truth, probabilities)[name])
    nothing = evaluate(truth, np.zeros_like(probabilities))
    assert nothing["log_loss"] == pytest.approx(np.log(3))


def test_what_is_right_is_seen_as_right():
    truth, _ = galaxies()
    results = evaluate(truth, np.eye(3)[truth])
    for figure in ("accuracy", "balanced_accuracy"):
        assert results[figure] == 1
    assert results["macro"] == dict.fromkeys(("precision", "recall", "f1", "roc_auc", "average_precision"), 1)
    assert [results["log_loss"], results["brier"]] == pytest.approx([0, 0], abs=1e-9)


def test_one_hot_and_positions_are_the_same_and_unknown_classes_are_left_out():
    truth, probabilities = galaxies()
    known = np.arange(len(truth)) % 4 > 0
    hot = np.where(known[:, None], np.eye(3)[truth], np.nan)
    positions = np.where(known, truth, -1)
    results = [evaluate(form, probabilities) for form in (hot, positions, np.where(known, truth, np.nan))]
    assert results[0] == results[1] == results[2]
    assert (results[0]["n"], results[0]["unknown"]) == (225, 75)
    assert results[0] | {"unknown": 0} == evaluate(truth[known], probabilities[known])


def test_a_class_that_does_not_occur_has_no_figures_and_is_in_no_mean():
    truth, probabilities = galaxies(classes=2)
    without = evaluate(truth, probabilities)
    empty = evaluate(truth, np.column_stack([probabilities, np.zeros(len(truth))]))
    assert [values[2] for name, values in empty["per_class"].items() if name != "support"] == [None] * 5
    assert empty["per_class"]["support"][2] == 0
    assert empty["macro"] == pytest.approx(without["macro"])
    assert empty["intervals"]["per_class"]["average_precision"][2] == [None, None]


def test_the_baseline_is_what_the_training_part_would_say():
    truth, probabilities = galaxies(classes=2)
    results = evaluate(truth, probabilities, training_shares=[0.1, 0.9])
    baseline = results["baseline"]
    assert baseline["accuracy"] == pytest.approx((truth == 1).mean())
    assert baseline["balanced_accuracy"] == 0.5
    assert baseline["per_class"]["average_precision"] == pytest.approx([(truth == i).mean() for i in (0, 1)])
    assert baseline["per_class"]["roc_auc"] == [0.5, 0.5]
    assert baseline["log_loss"] == pytest.approx(log_loss(truth, np.tile([0.1, 0.9], (len(truth), 1))))


def test_results_are_plain_numbers():
    results = evaluate(*galaxies(), threshold=None)
    assert json.loads(json.dumps(results, allow_nan=False)) == results


def test_a_model_is_judged_by_its_balanced_accuracy():
    truth = np.repeat([0, 1], [900, 100])
    majority = evaluate(truth, np.tile([0.9, 0.1], (1000, 1)), resamples=200)
    assert verdict(majority).startswith("not told apart: balanced accuracy 0.500 [0.500 0.500] against 0.500 by chance")
    assert verdict(evaluate(*galaxies(), resamples=200)).startswith("learned: balanced accuracy 0.")


# -- 95 % intervals ---------------------------------------------------------------------------------


@FEW
@given(samples(), st.integers(0, 100))
def test_resampled_average_precision_is_that_of_galaxies_counted_as_often_as_drawn(sample, seed):
    truth, scores = sample
    resampled = resampled_average_precisions(truth, scores, 5, np.random.default_rng(seed))
    ordered = np.lexsort((truth, *scores.T))
    for found, drawn in zip(resampled, weights(len(truth), 5, np.random.default_rng(seed)), strict=True):
        for i, value in enumerate(found):
            here = truth[ordered] == i
            if here.all() or not drawn[here].any():
                assert np.isnan(value)
            else:
                expected = average_precision_score(here, scores[ordered, i], sample_weight=drawn)
                assert value == pytest.approx(expected)


def test_intervals_hold_the_figure_and_narrow_with_the_sample():
    small, large = (evaluate(*galaxies(count), resamples=300) for count in (100, 5000))
    for where in (lambda r: r["accuracy"], lambda r: r["balanced_accuracy"]):
        low, high = where(large["intervals"])
        assert low <= where(large) <= high
        assert high - low < 0.3 * np.diff(where(small["intervals"]))[0]
    for group, name in (("macro", "f1"), ("macro", "average_precision")):
        low, high = large["intervals"][group][name]
        assert low <= large[group][name] <= high
        assert high - low < 0.3 * np.diff(small["intervals"][group][name])[0]
    for name in ("f1", "average_precision"):
        for value, (low, high) in zip(large["per_class"][name], large["intervals"]["per_class"][name], strict=True):
            assert low <= value <= high


def test_the_interval_of_average_precision_holds_the_true_one_as_often_as_it_says():
    def draw(generator, count):
        truth = (generator.random(count) < 0.1).astype(int)
        merger = 1 / (1 + np.exp(-generator.normal(1.5 * truth, 1)))
        return truth, np.column_stack([1 - merger, merger])

    truth, scores = draw(np.random.default_rng(0), 500_000)
    true = average_precision_score(truth, scores[:, 1])
    held = 0
    for seed in range(80):
        results = evaluate(*draw(np.random.default_rng(seed), 400), resamples=150, seed=seed)
        low, high = results["intervals"]["per_class"]["average_precision"][1]
        held += low <= true <= high
    assert held / 80 == pytest.approx(0.95, abs=0.07)


def test_a_thousand_resamples_of_five_thousand_galaxies_take_less_than_two_seconds():
    truth, probabilities = galaxies(5000, classes=6)
    start = time.process_time()
    evaluate(truth, probabilities, resamples=1000)
    assert time.process_time() - start < 2


# -- thresholds -------------------------------------------------------------------------------------


def by_hand(measure: str, truth: np.ndarray, chosen: np.ndarray) -> float:
    if measure == "f1":
        return f1_score(truth, chosen, zero_division=0)
    return balanced_accuracy_score(truth, chosen)


@FEW
@given(
    st.lists(st.tuples(st.booleans(), st.integers(0, 12)), min_size=2, max_size=25),
    st.sampled_from(sorted(THRESHOLD_MEASURES)),
)
def test_no_other_threshold_is_better(rows, measure):
    truth, scores = np.array([[true, score / 12] for true, score in rows]).T
    truth[0], truth[1] = 0, 1
    chosen = by_hand(measure, truth, scores >= choose_threshold(truth, scores, measure))
    tried = [by_hand(measure, truth, scores >= cut) for cut in np.arange(27) / 24]
    assert chosen == pytest.approx(max(tried))


def test_the_measures_at_a_threshold_are_those_of_that_choice():
    truth, probabilities = galaxies(classes=2, sure=0.1)
    threshold = choose_threshold(truth, probabilities[:, 1], "f1")
    results = evaluate(truth, probabilities, threshold=threshold)
    chosen = probabilities[:, 1] >= threshold
    assert results["threshold"] == threshold
    assert results["per_class"]["f1"][1] == pytest.approx(f1_score(truth, chosen))
    assert results["per_class"]["f1"][1] > evaluate(truth, probabilities)["per_class"]["f1"][1]
    assert results["macro"]["roc_auc"] == evaluate(truth, probabilities)["macro"]["roc_auc"]


def test_a_rare_class_is_found_at_a_lower_threshold():
    generator = np.random.default_rng(0)
    truth = (generator.random(2000) < 0.05).astype(int)
    merger = 0.05 / (0.05 + 0.95 * np.exp(-generator.normal(2 * truth - 1, 1)))
    probabilities = np.column_stack([1 - merger, merger])
    threshold = choose_threshold(truth, merger, "balanced_accuracy")
    assert threshold < 0.2
    at_half, chosen = evaluate(truth, probabilities), evaluate(truth, probabilities, threshold=threshold)
    assert chosen["balanced_accuracy"] > at_half["balanced_accuracy"] + 0.1


def test_a_threshold_stands_between_the_classes():
    assert choose_threshold([0, 0, 1, 1], [0.1, 0.2, 0.6, 0.7]) == pytest.approx(0.4)
    assert choose_threshold([0, 1, -1, np.nan], [0.2, 0.6, 0.99, 0.5]) == pytest.approx(0.4)
    neighbours = np.nextafter(0.5, 1), np.float64(0.5)
    assert choose_threshold([1, 0], neighbours) == neighbours[0]


# -- tables and pictures ----------------------------------------------------------------------------

DECALS = [
    "Disturbed",
    "Merging",
    "Round Smooth",
    "In-between Round Smooth",
    "Cigar Shaped Smooth",
    "Barred Spiral",
    "Unbarred Tight Spiral",
    "Unbarred Loose Spiral",
    "Edge-on without Bulge",
    "Edge-on with Bulge",
]


def mergers() -> dict:
    truth = np.repeat([0, 0, 1, 1], [331, 2, 18, 3])
    merger = np.repeat([0.1, 0.6, 0.3, 0.7], [331, 2, 18, 3])
    return evaluate_classes(truth, np.column_stack([1 - merger, merger]), ["Non-Merger", "Merger"], threshold=0.5)


def test_the_table_of_an_unbalanced_sample_is_that_of_a_report():
    lines = render(class_table(mergers(), "test")).splitlines()
    assert lines[0] == "test: 354 galaxies, Merger from probability 0.500 on"
    rows = {line[:17].strip(): line[17:].split() for line in lines[3:]}
    assert rows["Non-Merger (0)"][:4] == ["0.948", "0.994", "0.971", "333"]
    assert rows["Merger (1)"][:4] == ["0.600", "0.143", "0.231", "21"]
    assert rows["accuracy"] == ["0.944", "354"]
    assert rows["macro average"][:4] == ["0.774", "0.568", "0.601", "354"]
    assert rows["weighted average"] == ["0.928", "0.944", "0.927", "354"]
    assert rows["Merger (1)"][5] == f"{mergers()['per_class']['average_precision'][1]:.3f}"


def test_tables_of_ten_classes_fit_eighty_columns():
    truth, probabilities = galaxies(2000, classes=10, sure=0.1)
    results = evaluate_classes(truth, probabilities, DECALS, resamples=20)
    for table in (class_table(results, "test"), confusion_table(results)):
        text = render(table, width=200)
        assert max(map(len, text.splitlines())) <= 80
        assert "Merging (1)" in text
    found = [line.split()[-10:] for line in render(confusion_table(results)).splitlines()[1:]]
    assert np.array(found, int).tolist() == results["confusion"]


def test_models_stand_beside_each_other():
    redshifts = np.linspace(0.01, 0.1, 100)
    learned = evaluate_quantity(redshifts, redshifts + 0.01, baseline=QuantityBaseline.fit(redshifts))
    models = [
        ComparedModel("Baseline (logistic regression)", mergers(), None, "flattened RGB input, over-sampled"),
        ComparedModel("dual_head_v2", mergers(), learned, "4 convolutional layers, batch norm, dropout 0.3"),
    ]
    lines = models_markdown(models).splitlines()
    assert lines[0] == "| Model | Accuracy | F1 (Non-Merger) | F1 (Merger) | MSE | R² | Notes |"
    assert lines[2].endswith("| – | – | flattened RGB input, over-sampled |")
    assert re.search(r"\| 0\.94 \[0\.9\d, 0\.9\d\] \| 0\.97 .*\| 0\.23 .*\| 0\.00010 .*\| 0\.85 ", lines[3])
    text = render(models_table(models))
    assert max(map(len, text.splitlines())) <= 80
    assert all(word in text for word in ("dual_head_v2", "0.94", "0.23", "0.00010", "0.85", "dropout"))
    with pytest.raises(DataError, match="there are no models to compare"):
        models_table([])


def test_models_of_many_classes_share_a_column_and_bad_fits_have_a_minus():
    results = evaluate_classes(*galaxies(classes=10), DECALS, resamples=20)
    redshifts = np.linspace(0.01, 0.1, 100)
    wrong = evaluate_quantity(redshifts, redshifts[::-1], baseline=QuantityBaseline.fit(redshifts))
    lines = models_markdown([ComparedModel("ten [classes]", results), ComparedModel("z", None, wrong)]).splitlines()
    assert lines[0] == "| Model | Accuracy | macro F1 | MSE | R² | Notes |"
    assert lines[3].startswith("| z | – | – | 0.0027")
    assert "−3.00" in lines[3]
    assert "ten [classes]" in render(models_table([ComparedModel("ten [classes]", results)]))


@pytest.mark.parametrize("classes", [2, 10])
def test_curves_name_every_class_that_occurs_and_what_chance_reaches(classes, tmp_path):
    truth, probabilities = galaxies(400, classes)
    truth = np.where(truth == classes - 1, -1, truth) if classes > 2 else truth
    names = DECALS[:classes]
    results = evaluate_classes(truth, probabilities, names, resamples=20)
    path = ranking_curves(truth, probabilities, results, tmp_path / "curves.svg", part="test", name="run")
    text = path.read_text()
    assert f"Ranking of the classes of run: test, {results['n']} galaxies" in text
    assert "Disturbed, " in text
    assert (f"{names[-1]}, " in text) == (classes == 2)
    assert text.count("at random 0.") == len([n for n in results["per_class"]["support"] if n])
    with pytest.raises(DataError, match=r"curves.svg: the results are of \d+ galaxies, but there are \d known"):
        ranking_curves(truth[:9], probabilities[:9], results, path, part="test")


# -- what cannot be measured ------------------------------------------------------------------------

GOOD = np.array([[0.9, 0.1], [0.2, 0.8]])


@pytest.mark.parametrize(
    "truth, probabilities, keywords, message",
    [
        ([0, 1, 1], GOOD, {}, "there are probabilities for 2 galaxies, but classes for 3"),
        ([0, 2], GOOD, {}, "a true class is 2, expected 0 to 1 for other, merger"),
        ([0, 0.5], GOOD, {}, "a true class is 0.5, expected 0 to 1"),
        ([[0.5, 0.5], [0, 1]], GOOD, {}, "the true classes are not one-hot"),
        ([[0, 1, 0]], GOOD, {}, r"the true classes have shape \(1, 3\), expected \(galaxies,\) or \(galaxies, 2\)"),
        ([0, 1], GOOD[:, 0], {}, r"the probabilities have shape \(2,\), expected \(galaxies, 2\)"),
        ([0, 1], GOOD * 2, {}, "the probabilities of 2 galaxies are not numbers between 0 and 1"),
        ([0, 1], GOOD * np.nan, {}, "the probabilities of 2 galaxies are not numbers between 0 and 1"),
        ([-1, -1], GOOD, {}, "the class of no galaxy is known"),
        ([0, 1], GOOD, {"training_shares": [1.0]}, "the training part needs a share for each of 2 classes"),
    ],
)
def test_what_does_not_fit_is_refused(truth, probabilities, keywords, message):
    with pytest.raises(DataError, match=message):
        evaluate_classes(truth, probabilities, NAMES[:2], **keywords)


def test_a_threshold_is_for_two_classes():
    with pytest.raises(DataError, match="a threshold chooses between two classes, there are 3: other, merger, spiral"):
        evaluate(*galaxies(), threshold=0.3)
    with pytest.raises(DataError, match="a threshold needs galaxies of both classes, got 2 and 0"):
        choose_threshold([1, 1], [0.1, 0.2])
    with pytest.raises(UserError, match="a threshold cannot be chosen by 'F1'; did you mean 'f1'"):
        choose_threshold([0, 1], [0.1, 0.2], "F1")
    with pytest.raises(DataError, match="classes are told apart from two on, got 1"):
        evaluate_classes([0], [[1.0]], ["other"])
