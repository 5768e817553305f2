"""Losses that know the tree: against its sums, against SciPy's likelihoods, and lowest at the label."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays
from keras import ops
from loss_values import COLUMNS, flat_loss, flat_rows, gradient, value, votes
from scipy import stats
from scipy.special import gammaln

from galaxycnn.config import load_config
from galaxycnn.data.layouts.kaggle import read_kaggle
from galaxycnn.errors import ConfigError
from galaxycnn.losses import DirichletMultinomial, make_loss
from galaxycnn.losses.tree_losses import log_rising
from galaxycnn.models import CNNBuilder
from galaxycnn.models.outputs import Outputs
from galaxycnn.training.fitting import make_losses
from galaxycnn.tree import GALAXY_ZOO_2

TREE = GALAXY_ZOO_2.subset(["Class1", "Class2", "Class7"])
QUESTION_LOSSES = ["per_question_cross_entropy", "multinomial", "dirichlet_multinomial"]


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
    assert grid[each.argmin()] == pytest.approx(y, abs=0.05)


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
    (whole,) = make_losses(configured("base", name), flat, TREE, truth).values()
    parts = make_losses(configured("hierarchy", name), apart, TREE, truth)
    targets, outputs = (Outputs.of(apart, TREE).targets(fractions, {}) for fractions in (truth, predicted))
    total = sum(value(loss, targets[question], outputs[question]) for question, loss in parts.items())
    assert total == pytest.approx(value(whole, truth, predicted), rel=1e-4)
