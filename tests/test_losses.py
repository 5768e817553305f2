"""Losses and metrics by name: values known by hand, minima where they should be, and reloading."""

from __future__ import annotations

from pathlib import Path

import keras
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays
from keras import ops
from scipy import stats
from scipy.special import gammaln
from sklearn.metrics import f1_score

from galaxycnn.config import load_config
from galaxycnn.data.layouts.kaggle import read_kaggle
from galaxycnn.errors import ConfigError
from galaxycnn.losses import DirichletMultinomial, FocalLoss, check_loss, class_weights, make_loss
from galaxycnn.losses.tree_losses import log_rising
from galaxycnn.metrics import NAMES, make_metrics
from galaxycnn.models import CNNBuilder
from galaxycnn.models.outputs import to_targets
from galaxycnn.registry import LOSSES
from galaxycnn.training.fitting import make_losses
from galaxycnn.tree import GALAXY_ZOO_2, DecisionTree

WEIGHTS = [0.5, 1.0, 2.0]
TREE = GALAXY_ZOO_2.subset(["Class1", "Class2", "Class7"])
ONE = GALAXY_ZOO_2.subset(["Class1"])
COLUMNS = len(GALAXY_ZOO_2.columns)
OWN = [name for name, loss in LOSSES.items() if loss.__module__.startswith("galaxycnn")]
QUESTION_LOSSES = ["per_question_cross_entropy", "multinomial", "dirichlet_multinomial"]

fraction = st.floats(0.03125, 0.96875, width=32)
rows = arrays(np.float32, (4, 3), elements=fraction)
flat_rows = arrays(np.float32, (4, COLUMNS), elements=fraction)


def value(loss, truth, predicted) -> float:
    return float(loss(ops.convert_to_tensor(truth), ops.convert_to_tensor(predicted)))


def flat_loss(name: str, **params) -> keras.losses.Loss:
    return make_loss(name, params, np.linspace(0.5, 2, COLUMNS), GALAXY_ZOO_2)


def votes(raw: np.ndarray, tree: DecisionTree = GALAXY_ZOO_2) -> np.ndarray:
    """Fractions whose sums all hold: each question of ``raw`` normalised and multiplied down the tree."""
    found = np.zeros_like(raw)
    for question in tree.questions:
        where, parents = tree.slice(question), tree.indices(question.parents)
        asked = found[:, parents].sum(axis=1, keepdims=True) if parents else 1
        found[:, where] = asked * raw[:, where] / raw[:, where].sum(axis=1, keepdims=True)
    return found


class Held(keras.layers.Layer):
    """Predictions that are weights, so that a step of gradient descent shows their gradient."""

    def __init__(self, values: np.ndarray) -> None:
        super().__init__()
        self.values = self.add_weight(shape=values.shape, initializer="zeros")
        self.values.assign(values)

    def call(self, inputs):
        return self.values + 0 * inputs


def gradient(loss, truth: np.ndarray, predicted: np.ndarray) -> np.ndarray:
    """Of the mean over the galaxies with respect to every prediction."""
    model = keras.Sequential([Held(predicted)])
    model.compile(keras.optimizers.SGD(1.0), loss, run_eagerly=True)
    model.train_on_batch(np.zeros_like(truth), truth)
    return predicted - model.get_weights()[0]


@pytest.mark.parametrize("name", list(LOSSES))
def test_a_loss_is_finite_has_a_gradient_and_reloads(name: str) -> None:
    loss = make_loss(name, {}, WEIGHTS, ONE)
    model = keras.Sequential([keras.Input((3,)), keras.layers.Dense(3, activation="softmax")])
    model.compile("sgd", loss)
    before = model.get_weights()[0].copy()
    history = model.fit(np.eye(3, dtype="float32"), np.eye(3, dtype="float32")[::-1], verbose=0)
    assert np.isfinite(history.history["loss"][0])
    assert (model.get_weights()[0] != before).any()
    again = keras.saving.deserialize_keras_object(keras.saving.serialize_keras_object(loss))
    truth, predicted = np.array([[0.2, 0.3, 0.5]], "float32"), np.array([[0.1, 0.6, 0.3]], "float32")
    assert value(again, truth, predicted) == value(loss, truth, predicted)


@pytest.mark.parametrize("name", LOSSES)
def test_a_flat_output_of_zeros_and_ones_has_a_finite_loss_and_gradient(name: str) -> None:
    rng = np.random.default_rng(0)
    truth = votes(rng.uniform(size=(8, COLUMNS)).astype("float32"))
    truth[:3] = [np.zeros(COLUMNS), np.ones(COLUMNS), GALAXY_ZOO_2.one_hot(truth[:1])[0]]
    predicted = rng.integers(0, 2, (8, COLUMNS)).astype("float32")
    predicted[1], predicted[4:] = 1, rng.uniform(size=(4, COLUMNS))
    if name in OWN:  # Keras' own categorical cross-entropy divides 0 by 0 here
        predicted[2] = 0
    loss = flat_loss(name)
    assert np.isfinite(value(loss, truth, predicted))
    slopes = gradient(loss, truth, predicted)
    assert np.isfinite(slopes).all()
    assert slopes.any()


@pytest.mark.parametrize("suffix", [".keras", ".h5"])
def test_compiled_models_reload_with_their_losses(suffix: str, tmp_path: Path) -> None:
    rng = np.random.default_rng(1)
    inputs, raw = rng.normal(size=(4, 3)).astype("float32"), rng.uniform(0.1, 0.9, (4, COLUMNS)).astype("float32")
    model = keras.Sequential([keras.Input((3,)), keras.layers.Dense(COLUMNS, activation="sigmoid")])
    for name in OWN:
        model.compile("sgd", flat_loss(name))
        model.save(tmp_path / f"model{suffix}")
        again = keras.saving.load_model(tmp_path / f"model{suffix}")
        expected, found = (each.evaluate(inputs, votes(raw), verbose=0) for each in (model, again))
        assert found == pytest.approx(expected, rel=1e-6), name


@pytest.mark.parametrize("name", ["focal_loss", "weighted_mse", "weighted_cce", "per_question_cross_entropy"])
@given(rows, rows)
def test_a_loss_is_the_mean_over_galaxies_and_class_weights_scale_it(name: str, truth, predicted) -> None:
    loss = make_loss(name, {}, WEIGHTS, ONE)
    each = [value(loss, truth[i : i + 1], predicted[i : i + 1]) for i in range(4)]
    assert value(loss, truth, predicted) == pytest.approx(np.mean(each), rel=1e-4)
    doubled = make_loss(name, {}, [2 * weight for weight in WEIGHTS], ONE)
    assert value(doubled, truth, predicted) == pytest.approx(2 * value(loss, truth, predicted), rel=1e-4)


@given(rows, rows)
def test_without_focus_the_fraction_form_is_binary_cross_entropy(truth, predicted) -> None:
    expected = value(keras.losses.BinaryCrossentropy(), truth, predicted)
    for form in ("fraction", "quality"):
        assert value(FocalLoss(alpha=1, gamma=0, form=form), truth, predicted) == pytest.approx(expected, rel=1e-3)


@given(rows, st.floats(0.5, 3))
def test_for_hard_labels_fraction_and_quality_forms_agree_with_equation_5(predicted, gamma: float) -> None:
    truth = np.eye(3, dtype="float32")[[0, 1, 2, 0]]
    p_t = np.where(truth == 1, predicted, 1 - predicted).astype(float)
    expected = np.mean(-0.3 * (1 - p_t) ** gamma * np.log(p_t))
    for form in ("fraction", "quality"):
        assert value(FocalLoss(0.3, gamma, form), truth, predicted) == pytest.approx(expected, rel=1e-3)


@given(st.floats(0.05, 0.95))
def test_only_the_quality_form_has_its_minimum_at_the_label(y: float) -> None:
    grid = np.linspace(0.01, 0.99, 99, dtype="float32")
    truth = np.full((99, 1), y, "float32")

    def best(form: str) -> float:
        loss = FocalLoss(gamma=1.5, form=form, reduction="none")
        return float(grid[int(ops.argmin(loss(ops.convert_to_tensor(truth), ops.convert_to_tensor(grid[:, None]))))])

    assert best("quality") == pytest.approx(y, abs=0.011)
    if abs(y - 0.5) > 0.1:
        assert abs(best("fraction") - 0.5) < abs(y - 0.5) - 0.01


@pytest.mark.parametrize("name", ["focal_loss", "weighted_mse", "weighted_cce", "per_question_cross_entropy"])
def test_a_rare_answer_of_a_flat_output_counts_by_its_weight(name: str) -> None:
    raw = np.ones((50, COLUMNS), "float32")
    lens = GALAXY_ZOO_2.indices(["Class6.1", "Class8.2"])
    raw[:2, lens], raw[2:, lens[:1]] = 20, 0.1
    truth = votes(raw)
    weights = class_weights(GALAXY_ZOO_2, truth, log=False)
    assert weights[lens[0]] == pytest.approx(50 / (2 * 2))
    one_galaxy = np.zeros((1, COLUMNS), "float32")
    one_galaxy[0, lens[0]] = 1
    slopes = [
        gradient(make_loss(name, {}, given, GALAXY_ZOO_2), one_galaxy, np.full((1, COLUMNS), 0.5, "float32"))
        for given in (weights, np.ones(COLUMNS))
    ]
    assert slopes[0][0, lens[0]] == pytest.approx(12.5 * slopes[1][0, lens[0]], rel=1e-3)


@given(flat_rows, flat_rows)
def test_rmse_is_the_root_over_all_galaxies_and_answers(truth, predicted) -> None:
    expected = np.sqrt(np.mean((truth.astype(float) - predicted) ** 2))
    if expected > 1e-3:
        assert value(make_loss("rmse", {}), truth, predicted) == pytest.approx(expected, rel=1e-4)


@given(flat_rows, flat_rows, st.sampled_from([0.001, 0.1, 3.0]))
def test_the_constraint_loss_adds_the_deviations_to_the_squared_error(truth, predicted, weight: float) -> None:
    loss = flat_loss("constraint", weight=weight)
    deviations = np.abs(GALAXY_ZOO_2.deviations(predicted.astype(float))).sum(axis=1).mean()
    squares = np.mean((truth.astype(float) - predicted) ** 2)
    assert value(loss, truth, predicted) == pytest.approx(squares + weight * deviations, rel=1e-4)
    held = votes(predicted)
    assert value(loss, truth, held) == pytest.approx(
        np.mean((truth.astype(float) - held) ** 2), rel=1e-5, abs=1e-5 * weight
    )


def test_the_constraints_are_those_of_the_labels_and_not_the_misprinted_ones() -> None:
    loss = flat_loss("constraint", weight=1.0)
    smooth_and_round = np.zeros((1, COLUMNS), "float32")
    smooth_and_round[0, GALAXY_ZOO_2.indices(["Class1.1", "Class6.2", "Class7.1"])] = 1
    assert value(loss, smooth_and_round, smooth_and_round) == 0
    for column, broken in (("Class5.3", 1), ("Class5.4", 1), ("Class6.1", 2), ("Class7.3", 1), ("Class4.1", 4)):
        changed = smooth_and_round.copy()
        changed[0, GALAXY_ZOO_2.indices([column])] += 0.5
        assert value(loss, changed, changed) == pytest.approx(0.5 * broken), column


def test_sums_that_the_columns_do_not_determine_are_left_out() -> None:
    tree = GALAXY_ZOO_2.subset(["Class1", "Class7", "Class10"])
    truth = np.array([[0.6, 0.4, 0, 0.3, 0.3, 0, 0.1, 0.05, 0]], "float32")
    loss = make_loss("constraint", {"weight": 1.0}, tree=tree)
    assert value(loss, truth, truth) == pytest.approx(0, abs=1e-6)
    only = make_loss("constraint", {}, tree=GALAXY_ZOO_2.subset(["Class10"]))
    assert value(only, truth[:, 6:], truth[:, 6:]) == 0


def test_real_labels_keep_their_sums_and_are_the_best_prediction_of_themselves(real_data) -> None:
    folder = real_data("kaggle")
    labels = read_kaggle(folder / "images_training_rev1", folder / "training_solutions_rev1.csv").fractions
    assert value(flat_loss("constraint", weight=1.0), labels, labels) < 1e-5
    mean = np.broadcast_to(labels.mean(axis=0), labels.shape)
    for name in QUESTION_LOSSES:
        loss = make_loss(name, {}, None, GALAXY_ZOO_2)
        assert np.isfinite(gradient(loss, labels, labels)).all()
        assert value(loss, labels, labels) < value(loss, labels, mean), name


@pytest.mark.parametrize(
    ("name", "params"),
    [("rmse", {}), ("constraint", {}), ("multinomial", {})]
    + [("per_question_cross_entropy", {"gamma": gamma}) for gamma in (0.0, 1.5)],
)
@given(raw=flat_rows, predicted=flat_rows)
def test_a_proper_loss_is_lowest_at_the_label(name: str, params: dict, raw, predicted) -> None:
    loss, truth = make_loss(name, params, None, GALAXY_ZOO_2), votes(raw)
    lowest = value(loss, truth, truth)
    assert lowest <= value(loss, truth, predicted) + 1e-5 * (1 + abs(lowest))


@pytest.mark.parametrize("name", ["rmse", "multinomial", "per_question_cross_entropy"])
def test_a_proper_loss_is_level_at_the_label(name: str) -> None:
    truth, other = (votes(raw) for raw in np.random.default_rng(2).uniform(0.2, 0.8, (2, 4, COLUMNS)).astype("float32"))
    loss = make_loss(name, {}, None, GALAXY_ZOO_2)
    level, steep = (np.abs(gradient(loss, truth, predicted)).max() for predicted in (truth, other))
    assert level < 1e-3 * steep


@pytest.mark.parametrize("name", QUESTION_LOSSES)
@settings(max_examples=15)
@given(raw=flat_rows, predicted=flat_rows, factors=arrays(np.float32, 11, elements=st.floats(0.25, 1, width=32)))
def test_question_losses_see_shares_alone_and_add_up_over_outputs(name: str, raw, predicted, factors) -> None:
    truth, whole = votes(raw), make_loss(name, {}, None, GALAXY_ZOO_2)
    expected = value(whole, truth, predicted)
    sizes = [len(question) for question in GALAXY_ZOO_2.questions]
    assert value(whole, truth, predicted * np.repeat(factors, sizes)) == pytest.approx(expected, rel=1e-3)
    parts = [
        value(make_loss(name, {}, None, GALAXY_ZOO_2.subset([question.name])), truth[:, where], predicted[:, where])
        for question, where in ((q, GALAXY_ZOO_2.slice(q)) for q in GALAXY_ZOO_2.questions)
    ]
    assert sum(parts) == pytest.approx(expected, rel=1e-4)


@given(flat_rows, flat_rows)
def test_cross_entropy_weighs_a_question_by_those_who_were_asked_it(raw, predicted) -> None:
    truth = votes(raw).astype(float)
    asked, expected = GALAXY_ZOO_2.totals(truth), 0.0
    for i, question in enumerate(GALAXY_ZOO_2.questions):
        where = GALAXY_ZOO_2.slice(question)
        true, share = (y[:, where] / y[:, where].sum(axis=1, keepdims=True) for y in (truth, predicted))
        expected += np.mean(asked[:, i] * -(true * np.log(share)).sum(axis=1))
    loss = make_loss("per_question_cross_entropy", {}, None, GALAXY_ZOO_2)
    assert value(loss, truth, predicted) == pytest.approx(expected, rel=1e-4)


@given(st.integers(0, 40), st.integers(1, 30), st.floats(0, 1), flat_rows, st.floats(0.5, 200))
def test_vote_likelihoods_are_those_of_scipy(smooth: int, star: int, round_share: float, raw, precision: float) -> None:
    tree = GALAXY_ZOO_2.subset(["Class1", "Class7"])
    star = min(star, 40 - smooth)
    round_ = int(round_share * smooth)
    counts = np.array([smooth, 40 - smooth - star, star, round_, smooth - round_, 0])
    predicted = raw[:1, :6]
    shares = [p / p.sum() for p in (predicted[0, :3].astype(float), predicted[0, 3:].astype(float))]
    asked = (counts[:3], counts[3:])
    truth = (counts[None] / 40).astype("float32")
    expected = -sum(stats.multinomial.logpmf(n, n.sum(), p) for n, p in zip(asked, shares, strict=True))
    assert value(make_loss("multinomial", {}, tree=tree), truth, predicted) == pytest.approx(expected, rel=1e-4)
    loss = make_loss("dirichlet_multinomial", {"precision": precision}, tree=tree)
    expected = -sum(
        stats.dirichlet_multinomial.logpmf(n, precision * p, n.sum()) for n, p in zip(asked, shares, strict=True)
    )
    assert value(loss, truth, predicted) == pytest.approx(expected, rel=1e-4, abs=1e-4)


@given(flat_rows, flat_rows)
def test_a_certain_dirichlet_multinomial_is_multinomial(raw, predicted) -> None:
    truth = votes(raw)
    certain = make_loss("dirichlet_multinomial", {"precision": 1e6}, tree=GALAXY_ZOO_2)
    expected = value(make_loss("multinomial", {}, tree=GALAXY_ZOO_2), truth, predicted)
    assert value(certain, truth, predicted) == pytest.approx(expected, rel=1e-3)


@given(st.floats(0.1, 0.9))
def test_votes_pull_the_dirichlet_mean_to_their_fraction(y: float) -> None:
    grid = np.linspace(0.01, 0.99, 99, dtype="float32")
    loss = DirichletMultinomial(GALAXY_ZOO_2.subset(["Class6"]), reduction="none")
    truth = np.tile([y, 1 - y], (99, 1)).astype("float32")
    each = ops.convert_to_numpy(loss(truth, np.stack([grid, 1 - grid], axis=1)))
    assert grid[each.argmin()] == pytest.approx(y, abs=0.03)


@given(st.floats(2**-17, 1024, width=32), st.floats(0, 200, width=32))
def test_the_rising_factorial_is_a_ratio_of_gamma_functions(x: float, n: float) -> None:
    found = float(log_rising(ops.convert_to_tensor(x, "float32"), ops.convert_to_tensor(n, "float32")))
    assert found == pytest.approx(gammaln(x + n) - gammaln(x), rel=1e-5, abs=1e-5)
    assert float(log_rising(1.0, ops.convert_to_tensor(n, "float32"))) == pytest.approx(
        gammaln(n + 1), rel=1e-5, abs=1e-5
    )


def configured(model_type: str, loss: str, **params):
    return load_config(
        {
            "paths": {"images_path": "images"},
            "model_name": "small",
            "data_preprocessing": {"task": 2, "img_size": [16, 16]},
            "model_params": {"model_type": model_type, "conv_layers": [[4, [3, 3]]], "dense_units": [4]},
            "train_params": {"loss_function": loss, "loss_params": params},
        }
    )


@pytest.mark.parametrize("model_type", ["hierarchy", "branch", "sequential"])
def test_a_loss_that_compares_questions_needs_a_flat_output(model_type: str) -> None:
    message = "train_params.loss_function: 'constraint' compares questions .* choose one with a flat output: .*base"
    with pytest.raises(ConfigError, match=message):
        configured(model_type, "constraint")
    model = CNNBuilder(configured(model_type, "mse"), GALAXY_ZOO_2).build()
    with pytest.raises(ConfigError, match=message):
        make_losses(configured("base", "constraint"), model, TREE, np.ones((1, 8)))


@pytest.mark.parametrize("name", QUESTION_LOSSES)
def test_question_losses_are_the_same_for_one_output_and_for_one_per_question(name: str) -> None:
    rng = np.random.default_rng(3)
    truth, predicted = (votes(rng.uniform(0.1, 0.9, (4, 8)).astype("float32"), TREE) for _ in range(2))
    flat, apart = (CNNBuilder(configured(kind, name)).build() for kind in ("base", "hierarchy"))
    whole = make_losses(configured("base", name), flat, TREE, truth)
    parts = make_losses(configured("hierarchy", name), apart, TREE, truth)
    targets, outputs = (to_targets(apart, TREE, fractions) for fractions in (truth, predicted))
    total = sum(value(loss, targets[question], outputs[question]) for question, loss in parts.items())
    assert total == pytest.approx(value(whole, truth, predicted), rel=1e-4)


def test_a_wrong_parameter_is_told_with_the_nearest() -> None:
    with pytest.raises(ConfigError, match="focal_loss has no parameter 'gama'; did you mean 'gamma'"):
        make_loss("focal_loss", {"gama": 2})
    with pytest.raises(ConfigError, match="there is no form 'binary'"):
        make_loss("focal_loss", {"form": "binary"})
    with pytest.raises(ConfigError, match="constraint has no parameter 'lambda'"):
        check_loss("constraint", {"lambda": 0.1})
    with pytest.raises(ConfigError, match=r"train_params\.loss_params: votes: expected a number above 0, found -3"):
        check_loss("multinomial", {"votes": -3})
    with pytest.raises(ConfigError, match=r"weight: expected a number of at least 0, found '1%'"):
        check_loss("constraint", {"weight": "1%"})


@pytest.mark.parametrize(("name", "params"), [("focal_loss", {"alpha": "x"}), ("huber", {"delta": "x"})])
def test_a_parameter_of_the_wrong_type_is_told(name: str, params: dict) -> None:
    with pytest.raises(ConfigError, match=f"{name} does not work with {next(iter(params))}: "):
        check_loss(name, params)


def test_class_weights_count_only_galaxies_whose_walk_reaches_the_question() -> None:
    smooth_round, smooth_cigar, edge_on = (
        [0.9, 0.1, 0, 0.1, 0, 0.9, 0, 0],
        [0.8, 0.2, 0, 0.2, 0, 0, 0, 0.8],
        [0.1, 0.9, 0, 0.8, 0.1, 0.1, 0, 0],
    )
    weights = class_weights(TREE, np.array([smooth_round, smooth_round, smooth_cigar, edge_on]), log=False)
    named = dict(zip(TREE.columns, weights, strict=True))
    assert named["Class1.1"] == pytest.approx(4 / (2 * 3))
    assert named["Class1.2"] == pytest.approx(4 / (2 * 1))
    assert named["Class1.3"] == 1
    assert named["Class2.1"] == pytest.approx(1)
    assert (named["Class7.1"], named["Class7.3"]) == (pytest.approx(3 / 4), pytest.approx(3 / 2))


@given(st.lists(st.integers(0, 2), min_size=1, max_size=50), st.floats(0, 0.9))
def test_weights_balance_the_frequent_answers(labels: list[int], threshold: float) -> None:
    tree = DecisionTree.from_classes({"label": ["a", "b", "c"]})
    counts = np.bincount(labels, minlength=3)
    weights = np.array(class_weights(tree, np.eye(3)[labels], threshold, log=False))
    frequent = counts / len(labels) > threshold
    if frequent.any():
        np.testing.assert_allclose((weights * counts)[frequent], len(labels) / frequent.sum())
    assert (weights[~frequent] == 1).all()
    logs = class_weights(tree, np.eye(3)[labels], threshold, log=True)
    np.testing.assert_allclose(logs, np.log(weights + 1))


@given(arrays(np.float32, (20, 8), elements=fraction), arrays(np.float32, (20, 8), elements=fraction))
def test_metrics_of_a_flat_output_are_measured_question_by_question(truth, predicted) -> None:
    for metric in make_metrics(["accuracy", "F1_score"], TREE, per_question=False):
        metric.update_state(ops.convert_to_tensor(truth), ops.convert_to_tensor(predicted))
        question, kind = metric.name.split("_", 1)
        true, guess = (y[:, TREE.slice(question)].argmax(axis=1) for y in (truth, predicted))
        count = len(TREE.question(question))
        expected = {
            "accuracy": (true == guess).mean(),
            "F1_score": f1_score(true, guess, average="macro", labels=range(count), zero_division=0),
        }
        assert float(metric.result()) == pytest.approx(expected[kind], abs=1e-5)


@pytest.mark.parametrize("name", NAMES)
def test_a_metric_is_found_by_name_and_reloads(name: str) -> None:
    metrics = make_metrics([name], TREE, per_question=True)
    assert list(metrics) == ["Class1", "Class2", "Class7"]
    metric = metrics["Class7"][0]
    assert metric.name == name
    again = keras.saving.deserialize_keras_object(keras.saving.serialize_keras_object(metric))
    truth, predicted = (
        ops.convert_to_tensor(np.eye(3, dtype="float32")),
        ops.convert_to_tensor(np.full((3, 3), 0.3, "float32")),
    )
    for each in (metric, again):
        each.update_state(truth, predicted)
    assert float(metric.result()) == float(again.result())
