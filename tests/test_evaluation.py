"""Measures of predicted fractions: against hand-made answers, scikit-learn and what must always hold."""

from __future__ import annotations

import json
import time

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from sklearn.metrics import accuracy_score, confusion_matrix, f1_score

from galaxycnn.bootstrap import rmse_difference
from galaxycnn.confusion import confusion_counts
from galaxycnn.errors import DataError
from galaxycnn.evaluation import Baseline, chosen_answers, evaluate_fractions, reliability, scores
from galaxycnn.leaderboard import KNOWN_PLACES, TEST_GALAXIES, place
from galaxycnn.tables import answer_table, evaluation_table, in_words, render, sums_sentence, verdict
from galaxycnn.tree import GALAXY_ZOO_2, DecisionTree

TASK_1 = GALAXY_ZOO_2.subset(["Class1"])
TASK_2 = GALAXY_ZOO_2.subset(["Class1", "Class2", "Class7"])
TREES = {"task 1": TASK_1, "task 2": TASK_2, "all": GALAXY_ZOO_2}


def galaxies(tree: DecisionTree, count: int, seed: int = 0) -> np.ndarray:
    """Vote fractions that obey the tree."""
    generator = np.random.default_rng(seed)
    fractions = np.zeros((count, len(tree.columns)))
    for i, question in enumerate(tree.questions):
        shares = generator.dirichlet(np.full(len(question), 0.6), size=count)
        fractions[:, tree.slice(question)] = shares * tree.totals(fractions)[:, i : i + 1]
    return fractions


def noisy(truth: np.ndarray, size: float = 0.15, seed: int = 1) -> np.ndarray:
    return np.clip(truth + np.random.default_rng(seed).normal(0, size, truth.shape), 0, 1)


def evaluate(tree, truth, predicted, **keywords):
    return evaluate_fractions(tree, truth, predicted, Baseline.fit(tree, truth), **keywords)


# -- by hand --------------------------------------------------------------------------------------

#                  smooth disk star  edge  not   round betw cigar
HAND_TRUTH = [
    [0.8, 0.2, 0.0, 0.1, 0.1, 0.6, 0.2, 0.0],  # smooth, round
    [0.7, 0.3, 0.0, 0.2, 0.1, 0.1, 0.5, 0.1],  # smooth, in between
    [0.1, 0.9, 0.0, 0.7, 0.2, 0.1, 0.0, 0.0],  # disk, edge-on
    [0.2, 0.8, 0.0, 0.1, 0.7, 0.0, 0.1, 0.1],  # disk, not edge-on
]
HAND_PREDICTED = [
    [0.8, 0.2, 0.0, 0.1, 0.1, 0.6, 0.2, 0.0],  # right
    [0.7, 0.3, 0.0, 0.2, 0.1, 0.5, 0.1, 0.1],  # wrong: round
    [0.9, 0.1, 0.0, 0.0, 0.1, 0.7, 0.1, 0.1],  # wrong: smooth, round
    [0.2, 0.8, 0.0, 0.1, 0.7, 0.0, 0.1, 0.1],  # right
]


def test_figures_known_by_hand():
    results = evaluate(TASK_2, HAND_TRUTH, HAND_PREDICTED)
    shape, edge_on, roundness = results["outputs"].values()
    assert results["n"] == 4
    assert shape["accuracy"] == 0.75
    assert shape["mse"] == pytest.approx((0.8**2 + 0.8**2) / 12)
    assert shape["rmse"] == pytest.approx(np.sqrt(1.28 / 12))
    assert shape["macro_f1"] == pytest.approx((4 / 5 + 2 / 3) / 2)
    assert edge_on["accuracy"] == 0.75
    assert roundness["answers"] == ["round", "in between", "cigar-shaped"]
    assert results["overall"]["mse"] == pytest.approx((1.28 + 0.7**2 + 0.1**2 + 0.32 + 0.6**2 + 0.1**2 + 0.1**2) / 32)


def test_each_answer_has_its_error_and_that_of_the_mean():
    roundness = evaluate(TASK_2, HAND_TRUTH, HAND_PREDICTED)["outputs"]["Class7"]["per_answer"]
    assert roundness["rmse"] == pytest.approx(np.sqrt([(0.4**2 + 0.6**2) / 4, (0.4**2 + 0.1**2) / 4, 0.1**2 / 4]))
    assert roundness["baseline"]["rmse"] == pytest.approx(np.std(np.array(HAND_TRUTH)[:, 5:], axis=0))


@pytest.mark.parametrize("tree", TREES.values(), ids=TREES)
def test_answers_add_up_to_their_question_and_questions_to_the_whole(tree):
    truth = galaxies(tree, 200)
    results = evaluate(tree, truth, noisy(truth), resamples=50)
    squares = []
    for output in results["outputs"].values():
        for figures, total in (
            (output["per_answer"], output),
            (output["per_answer"]["baseline"], output["baseline"]),
        ):
            assert np.square(figures["rmse"]).mean() == pytest.approx(total["mse"])
        for rmse, (low, high) in zip(*_answers_and_intervals(output), strict=True):
            assert low <= rmse <= high
        squares += np.square(output["per_answer"]["rmse"]).tolist()
    assert len(squares) == len(tree.columns)
    assert np.mean(squares) == pytest.approx(results["overall"]["mse"])


def _answers_and_intervals(output):
    return output["per_answer"]["rmse"], output["per_answer"]["intervals"]["rmse"]


def test_each_walk_has_its_own_mask():
    confusion = evaluate(TASK_2, HAND_TRUTH, HAND_PREDICTED)["outputs"]["Class7"]["confusion"]
    assert confusion["true_walk"]["counts"] == [[1, 0, 0], [1, 0, 0], [0, 0, 0]]
    assert confusion["predicted_walk"]["counts"] == [[2, 0, 0], [1, 0, 0], [0, 0, 0]]
    assert confusion["true_walk"]["accuracy"] == 0.5
    assert confusion["predicted_walk"]["accuracy"] == pytest.approx(2 / 3)


def test_both_walks_ask_the_first_question_of_every_galaxy():
    confusion = evaluate(TASK_2, HAND_TRUTH, HAND_PREDICTED)["outputs"]["Class1"]["confusion"]
    assert confusion["true_walk"] == confusion["predicted_walk"]
    assert confusion["true_walk"]["counts"] == [[2, 0, 0], [1, 1, 0], [0, 0, 0]]


def test_the_baseline_comes_from_the_training_part_alone():
    training = [[0.9, 0.1, 0.0], [0.6, 0.4, 0.0], [0.0, 0.7, 0.3]]
    truth = [[0.0, 1.0, 0.0], [1.0, 0.0, 0.0], [0.0, 0.6, 0.4]]
    results = evaluate_fractions(TASK_1, truth, truth, Baseline.fit(TASK_1, training))
    baseline = results["outputs"]["Class1"]["baseline"]
    assert baseline["answer"] == "smooth"
    assert baseline["accuracy"] == pytest.approx(1 / 3)
    assert baseline["mse"] == pytest.approx(np.square(np.array(truth) - [0.5, 0.4, 0.1]).mean())


def test_the_majority_on_a_walk_is_that_of_the_walkers():
    # Most galaxies are disks whose few smooth votes are "round"; the smooth galaxies are "in between".
    disk, smooth = [0.1, 0.9, 0.0, 0.0, 0.9, 0.1, 0.0, 0.0], [0.9, 0.1, 0.0, 0.0, 0.1, 0.0, 0.9, 0.0]
    truth = [disk] * 5 + [smooth] * 2
    roundness = evaluate(TASK_2, truth, truth)["outputs"]["Class7"]
    assert roundness["baseline"]["answer"] == "round"
    assert roundness["confusion"]["true_walk"]["baseline"]["accuracy"] == 1.0


def test_sums_tell_how_far_predictions_break_the_tree():
    predicted = [[0.5, 0.4, 0.2, 0.5, 0.2, 0.3, 0.1, 0.1], [0.6, 0.4, 0.0, 0.1, 0.3, 0.3, 0.2, 0.1]]
    outputs = evaluate(TASK_2, HAND_TRUTH[:2], predicted)["outputs"]
    assert outputs["Class1"]["sums"] == {
        "mean": pytest.approx(0.05),
        "max": pytest.approx(0.1),
        "exceeds_parent": None,
    }
    assert outputs["Class2"]["sums"]["max"] == pytest.approx(0.3)
    assert outputs["Class2"]["sums"]["exceeds_parent"] == 0.5
    assert outputs["Class7"]["sums"] == {
        "mean": pytest.approx(0.0),
        "max": pytest.approx(0.0),
        "exceeds_parent": 0.0,
    }


def test_a_question_whose_parent_is_not_in_the_tree_has_no_sum():
    tree = GALAXY_ZOO_2.subset(["Class7"])
    truth = [[0.5, 0.2, 0.1], [0.1, 0.2, 0.1]]
    assert evaluate(tree, truth, truth)["outputs"]["Class7"]["sums"]["mean"] is None


def test_calibration_known_by_hand():
    calibration = reliability([[0.2], [0.4], [1.0]], [[0.05], [0.05], [1.0]], bins=4)
    assert calibration["count"].tolist() == [[2, 0, 0, 1]]
    assert calibration["true"][0, 0] == pytest.approx(0.3)
    assert np.isnan(calibration["true"][0, 1])
    assert calibration["error"] == pytest.approx(2 / 3 * 0.25)


def test_calibration_counts_values_outside_the_unit_interval_in_the_end_bins():
    calibration = reliability([[0.0, 0.5], [1.0, 0.5]], [[-0.2, 0.5], [1.3, 0.5]], bins=2)
    assert calibration["count"].tolist() == [[1, 1], [0, 2]]


# -- against scikit-learn ---------------------------------------------------------------------------


@settings(max_examples=60, deadline=None)
@given(
    st.integers(2, 7).flatmap(
        lambda k: st.tuples(st.just(k), st.lists(st.tuples(*[st.integers(0, k - 1)] * 2), min_size=1, max_size=40))
    )
)
def test_scores_are_those_of_scikit_learn(case):
    size, pairs = case
    true, predicted = np.array(pairs).T
    counts = confusion_counts(true, predicted, size)
    assert counts.tolist() == confusion_matrix(true, predicted, labels=range(size)).tolist()
    assert scores(counts) == {
        "accuracy": pytest.approx(accuracy_score(true, predicted)),
        "macro_f1": pytest.approx(f1_score(true, predicted, average="macro", zero_division=0)),
        "weighted_f1": pytest.approx(f1_score(true, predicted, average="weighted", zero_division=0)),
    }


def test_scores_keep_leading_axes():
    counts = np.array([[[3, 1], [0, 2]], [[0, 0], [0, 5]]])
    both = scores(counts)
    for i, one in enumerate(counts):
        assert {name: values[i] for name, values in both.items()} == scores(one)


# -- what always holds ------------------------------------------------------------------------------


@pytest.mark.parametrize("tree", TREES.values(), ids=TREES)
def test_a_perfect_prediction_is_perfect(tree):
    truth = galaxies(tree, 50)
    results = evaluate(tree, truth, truth)
    assert results["overall"]["rmse"] == 0
    for output in results["outputs"].values():
        assert output["accuracy"] == output["macro_f1"] == output["weighted_f1"] == 1
        assert output["intervals"]["accuracy"] == [1, 1]
        assert output["calibration"]["error"] == pytest.approx(0, abs=1e-12)


@settings(max_examples=20, deadline=None)
@given(st.integers(1, 30), st.integers(0, 1000))
def test_the_order_of_the_galaxies_does_not_matter(count, seed):
    truth = galaxies(TASK_2, count, seed)
    predicted = noisy(truth, seed=seed)
    baseline = Baseline.fit(TASK_2, truth)
    order = np.random.default_rng(seed).permutation(count)
    before = evaluate_fractions(TASK_2, truth, predicted, baseline, resamples=50)
    after = evaluate_fractions(TASK_2, truth[order], predicted[order], baseline, resamples=50)
    assert flat(after) == pytest.approx(flat(before), nan_ok=True)


def flat(value) -> list[float]:
    """All numbers of nested results."""
    if isinstance(value, dict):
        value = list(value.values())
    if isinstance(value, list):
        return [number for entry in value for number in flat(entry)]
    return [] if isinstance(value, str) else [np.nan if value is None else value]


@settings(max_examples=20, deadline=None)
@given(st.integers(1, 40), st.integers(0, 1000), st.booleans())
def test_counts_add_up_and_figures_stay_in_range(count, seed, one_hot):
    truth = galaxies(GALAXY_ZOO_2, count, seed)
    truth = GALAXY_ZOO_2.one_hot(truth) if one_hot else truth
    predicted = noisy(truth, seed=seed)
    results = evaluate(GALAXY_ZOO_2, truth, predicted, resamples=20)
    masks = {"true_walk": GALAXY_ZOO_2.reached(truth), "predicted_walk": GALAXY_ZOO_2.reached(predicted)}
    for i, output in enumerate(results["outputs"].values()):
        for walk, reached in masks.items():
            confusion = output["confusion"][walk]
            assert np.sum(confusion["counts"]) == confusion["n"] == reached[:, i].sum()
            assert (confusion["accuracy"] is None) == (confusion["n"] == 0)
        for low, high in output["intervals"].values():
            assert 0 <= low <= high <= 1
        assert np.sum(output["calibration"]["count"]) == count * len(output["answers"])
    json.dumps(results, allow_nan=False)


def test_the_interval_covers_the_truth_about_as_often_as_it_says():
    """Predictions that are right 70 % of the time: the 95 % interval holds 0.7 in nearly all samples."""
    generator = np.random.default_rng(5)
    tree = DecisionTree.from_classes({"shape": ["smooth", "disk"]})
    covered = 0
    for _ in range(200):
        true = generator.integers(2, size=300)
        right = generator.random(300) < 0.7
        results = evaluate(tree, np.eye(2)[true], np.eye(2)[np.where(right, true, 1 - true)], resamples=200)
        low, high = results["outputs"]["shape"]["intervals"]["accuracy"]
        covered += low <= 0.7 <= high
    assert 178 <= covered <= 199


def test_the_seed_makes_the_intervals_reproducible():
    truth = galaxies(TASK_2, 100)
    first, again, other = (evaluate(TASK_2, truth, noisy(truth), seed=seed) for seed in (1, 1, 2))
    assert first == again
    assert first["overall"]["intervals"] != other["overall"]["intervals"]


def test_twelve_thousand_galaxies_take_seconds_at_most():
    truth = galaxies(GALAXY_ZOO_2, 12_000)
    begin = time.process_time()
    evaluate(GALAXY_ZOO_2, truth, noisy(truth))
    assert time.process_time() - begin < 10


def test_a_baseline_survives_saving():
    truth = galaxies(TASK_2, 30)
    baseline = Baseline.fit(TASK_2, truth)
    again = Baseline.from_dict(json.loads(json.dumps(baseline.to_dict())))
    assert evaluate_fractions(TASK_2, truth, truth, again) == evaluate_fractions(TASK_2, truth, truth, baseline)


# -- two predictions of the same galaxies -------------------------------------------------------------


def test_the_interval_of_a_difference_covers_it_about_as_often_as_it_says():
    generator = np.random.default_rng(3)
    easy_or_hard = generator.gamma(1, 0.01, size=(200, 400))
    covered = 0
    for i, first in enumerate(easy_or_hard):
        second = first * generator.gamma(20, 0.05, size=400)  # as large on average
        low, high = rmse_difference(first, second, resamples=300, seed=i)[1]
        covered += low <= 0 <= high
    assert 178 <= covered <= 199


@settings(max_examples=25, deadline=None)
@given(st.integers(1, 60), st.integers(0, 1000))
def test_a_difference_changes_its_sign_with_the_order(count, seed):
    first, second = np.random.default_rng(seed).gamma(1, 0.01, size=(2, count))
    difference, (low, high) = rmse_difference(first, second, resamples=50)
    backwards, (lowest, highest) = rmse_difference(second, first, resamples=50)
    assert (backwards, lowest, highest) == pytest.approx((-difference, -high, -low))
    assert low <= high


def test_a_comparison_of_other_galaxies_is_refused():
    with pytest.raises(DataError, match="the same galaxies twice, got 3 and 2"):
        rmse_difference([0.1, 0.2, 0.3], [0.1, 0.2])


# -- edges ------------------------------------------------------------------------------------------


def test_one_galaxy_is_enough():
    results = evaluate(TASK_2, HAND_TRUTH[:1], HAND_PREDICTED[:1])
    assert results["outputs"]["Class7"]["intervals"]["rmse"] == [0, 0]
    assert results["outputs"]["Class2"]["confusion"]["true_walk"]["accuracy"] is None


@pytest.mark.parametrize(
    "truth, predicted, message",
    [
        (np.empty((0, 3)), np.empty((0, 3)), "no galaxies"),
        (np.ones((4, 8)), np.ones((4, 3)), r"labels have shape \(4, 8\), expected \(galaxies, 3\)"),
        (np.ones((4, 3)), np.ones((5, 3)), "predictions for 5 galaxies, but labels for 4"),
        (
            np.ones((4, 3)),
            np.full((4, 3), np.nan),
            "predictions of 4 galaxies are not finite numbers, first in column 'Class1.1'",
        ),
    ],
)
def test_arrays_that_cannot_be_measured_are_refused(truth, predicted, message):
    baseline = Baseline.fit(TASK_1, np.ones((2, 3)))
    with pytest.raises(DataError, match=message):
        evaluate_fractions(TASK_1, truth, predicted, baseline)


# -- on real labels -----------------------------------------------------------------------------------


def test_predict_the_mean_scores_what_is_known_of_the_real_labels(real_data):
    labels = np.loadtxt(real_data("kaggle") / "training_solutions_rev1.csv", delimiter=",", skiprows=1)[:, 1:]
    results = evaluate(GALAXY_ZOO_2, labels, np.broadcast_to(labels.mean(axis=0), labels.shape))
    assert results["overall"]["rmse"] == pytest.approx(0.170, abs=0.002)
    assert results["overall"]["rmse"] == pytest.approx(results["overall"]["baseline"]["rmse"])
    assert max(output["sums"]["max"] for output in evaluate(GALAXY_ZOO_2, labels, labels)["outputs"].values()) < 1e-5
    assert verdict(results).startswith("did not beat predict-the-mean")


# -- tables -------------------------------------------------------------------------------------------


@pytest.mark.parametrize("tree", TREES.values(), ids=TREES)
@pytest.mark.parametrize("perfect", [True, False], ids=["perfect", "noisy"])
def test_the_table_fits_a_terminal_and_names_every_output(tree, perfect):
    truth = np.repeat(galaxies(tree, 100), 150, axis=0)
    results = evaluate(tree, truth, truth if perfect else noisy(truth), resamples=10)
    lines = render(evaluation_table(results, "test")).splitlines()
    assert lines[0] == "test: 15,000 galaxies"
    assert max(map(len, lines)) <= 80
    rows = {line.split()[0]: line for line in lines[3:-1]}
    assert list(rows) == [question.name for question in tree.questions]
    assert not any("…" in line or "\x1b" in line for line in lines)
    for name, output in results["outputs"].items():
        assert f"{output['accuracy']:.3f} [" in rows[name]
        assert rows[name].endswith(f"{output['rmse']:.3f} {output['baseline']['rmse']:.3f} {output['mse']:.4f}")


@pytest.mark.parametrize("tree", TREES.values(), ids=TREES)
def test_the_table_of_answers_fits_a_terminal_and_names_every_answer(tree):
    truth = galaxies(tree, 100)
    results = evaluate(tree, truth, noisy(truth), resamples=10)
    lines = render(answer_table(results)).splitlines()
    assert max(map(len, lines)) <= 80
    assert len(lines) == 2 + len(tree.columns)
    for line, column in zip(lines[2:], tree.columns, strict=True):
        assert f" {tree.answer_name(column)} " in line
    assert [line.split()[0] for line in lines[2:] if line[0] != " "] == [q.name for q in tree.questions]


def test_answers_that_look_like_markup_are_shown_as_they_are():
    tree = DecisionTree.from_classes({"label": ["[bold]", "[/x]"]})
    truth = [[1.0, 0.0], [0.0, 1.0]]
    assert "[/x]" in render(answer_table(evaluate(tree, truth, truth, resamples=5)))


def test_one_line_says_which_sums_are_missed():
    def sentence(*means):
        return sums_sentence({"outputs": {f"Class{i}": {"sums": {"mean": m}} for i, m in enumerate(means, start=1)}})

    assert sentence(1e-8, 2e-8, None) == "the tree's sums: all hold"
    assert sentence(None) == "the tree's sums: none is determined by these questions"
    assert sentence(0.02, 1e-8, 0.05).endswith("1 of 3 holds; missed on average by 0.050 in Class3, 0.020 in Class1")
    everything = sentence(*(0.01 * i for i in range(1, 12)))
    assert everything.startswith("the tree's sums: none of 11 holds")
    assert everything.endswith("0.110 in Class11, 0.100 in Class10, 0.090 in Class9, less in 8 others")
    assert "\n" not in everything


def test_the_table_leaves_undefined_figures_out():
    row = render(evaluation_table(evaluate(TASK_2, HAND_TRUTH[:1], HAND_PREDICTED[:1]), "test")).splitlines()[4]
    assert row.split()[:1] == ["Class2"]
    assert " 0       - " in row


def test_the_verdict_says_whether_the_model_learned():
    truth = galaxies(TASK_2, 400)
    good = verdict(evaluate(TASK_2, truth, noisy(truth, 0.05)))
    assert good.startswith("learned: RMSE 0.0")
    assert good.endswith("accuracy above predict-the-majority in 3 of 3 outputs")
    bad = verdict(evaluate(TASK_2, truth, galaxies(TASK_2, 400, seed=9)))
    assert bad.startswith("did not beat predict-the-mean")
    assert bad.endswith("in 0 of 3 outputs")


# -- the leaderboard of 2014 --------------------------------------------------------------------------


def test_known_places_are_in_order():
    ranks, scores_ = zip(*((known.rank, known.rmse) for known in KNOWN_PLACES), strict=True)
    assert list(ranks) == sorted(set(ranks))
    assert list(scores_) == sorted(set(scores_))


@given(st.floats(0, 1), st.floats(0, 1))
def test_a_better_score_is_never_placed_behind(one, other):
    def best_rank(rmse):
        words = place(rmse)
        return 0 if words.startswith("ahead") else int(words.split("rank ")[1].split()[0])

    assert best_rank(min(one, other)) <= best_rank(max(one, other))


@pytest.mark.parametrize(
    "tree, count, shown", [("all", TEST_GALAXIES, True), ("all", 61_578, False), ("task 2", TEST_GALAXIES, False)]
)
def test_a_place_is_given_for_the_full_test_set_alone(tree, count, shown):
    truth = galaxies(TREES[tree], 20)
    results = evaluate(TREES[tree], truth, noisy(truth, 0.09), resamples=5) | {"n": count}
    assert ("of 2014" in in_words(results)) == shown


def test_chosen_answers_are_positions_within_each_question():
    assert chosen_answers(TASK_2, HAND_TRUTH).tolist() == [[0, 0, 0], [0, 0, 1], [1, 0, 0], [1, 1, 1]]
