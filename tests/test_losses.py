"""Losses and metrics by name: values known by hand, minima where they should be, and reloading."""

from __future__ import annotations

from pathlib import Path

import keras
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays
from keras import ops
from loss_values import COLUMNS, flat_loss, flat_rows, fraction, gradient, value, votes
from sklearn.metrics import f1_score

from galaxycnn.errors import ConfigError
from galaxycnn.losses import FocalLoss, check_loss, class_weights, make_loss
from galaxycnn.metrics import NAMES, make_metrics
from galaxycnn.models.outputs import Outputs
from galaxycnn.registry import LOSSES
from galaxycnn.tree import GALAXY_ZOO_2, DecisionTree

WEIGHTS = [0.5, 1.0, 2.0]
TREE = GALAXY_ZOO_2.subset(["Class1", "Class2", "Class7"])
ONE = GALAXY_ZOO_2.subset(["Class1"])
OWN = [name for name, loss in LOSSES.items() if loss.__module__.startswith("galaxycnn")]

rows = arrays(np.float32, (4, 3), elements=fraction)


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
    for metric in make_metrics(["accuracy", "F1_score"], Outputs(TREE, {}, per_question=False)):
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
    metrics = make_metrics([name], Outputs(TREE, {}, per_question=True))
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
