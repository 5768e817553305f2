"""Networks that answer questions and predict quantities at once: heads, losses, masks, whole trainings."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import h5py
import keras
import numpy as np
import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from keras import ops
from scipy.stats import norm
from small_networks import NETWORKS, img_size, small_params

import galaxycnn
from galaxycnn.cli import main
from galaxycnn.config import Config, load_config, save_config
from galaxycnn.errors import ConfigError, DataError
from galaxycnn.losses import balanced
from galaxycnn.losses.quantity_losses import BinLikelihood, MixtureLikelihood, StandardSquaredError
from galaxycnn.measuring import Known, NeverLooked, best_threshold, measure
from galaxycnn.models import CNNBuilder
from galaxycnn.models.outputs import Outputs, fed
from galaxycnn.models.saving import Recipe, load_model, save_model
from galaxycnn.quantities import Distribution, GaussianMixture, best_estimate, pooled
from galaxycnn.registry import MODELS, QUANTITY_HEADS
from galaxycnn.training import train
from galaxycnn.training.fitting import compile_model
from galaxycnn.tree import DecisionTree
from galaxycnn.views import Seen

TREE = DecisionTree.from_classes({"class": ["merger", "other"]})
ABLE = [name for name in NETWORKS if MODELS[name].takes_numbers]
REDSHIFTS = np.linspace(0.02, 0.1, 6)


def configured(model_type: str = "dual_head", changes: tuple[str, ...] = (), **params: Any) -> Config:
    content = {
        "paths": {"images_path": "images"},
        "model_name": "dual",
        "data_preprocessing": {
            "questions": ["class"],
            "quantities": ["redshift", "mass"],
            "inputs": ["pxscale"],
            "img_size": img_size(model_type),
        },
        "model_params": {**small_params(model_type), **params},
        "train_params": {"loss_function": "categorical_crossentropy", "metrics": ["accuracy"]},
    }
    return load_config(content, changes)


class Galaxies:
    """Made-up ones, for the network of a configuration."""

    def __init__(self, config: Config, n: int = 6) -> None:
        rng = np.random.default_rng(0)
        self.cutouts = rng.integers(0, 256, (n, *config.data_preprocessing.input_shape), dtype=np.uint8)
        self.inputs = rng.normal(0.3, 0.1, (n, len(config.data_preprocessing.inputs))).astype("float32")
        self.fractions = np.eye(2, dtype="float32")[rng.integers(0, 2, n)]
        known = {"redshift": np.linspace(0.02, 0.1, n), "mass": np.linspace(11, 9, n)}
        self.quantities = {name: known[name].astype("float32") for name in config.data_preprocessing.quantities}


def built(config: Config) -> tuple[keras.Model, Galaxies]:
    builder, galaxies = CNNBuilder(config, TREE), Galaxies(config)
    model = builder.build()
    builder.family.adapt(model, galaxies.quantities, galaxies.inputs)
    return model, galaxies


def said(model: keras.Model, galaxies: Galaxies) -> dict[str, np.ndarray]:
    outputs = model(fed(model, galaxies.cutouts, galaxies.inputs), training=False)
    return {name: ops.convert_to_numpy(each) for name, each in outputs.items()}


# -- every network with every head ---------------------------------------------------------------


@pytest.mark.parametrize(
    ("model_type", "head"), [*((name, "mixture") for name in ABLE), *(("dual_head", head) for head in QUANTITY_HEADS)]
)
def test_a_network_with_quantities_fits_saves_and_reloads_to_the_same(
    tmp_path: Path, model_type: str, head: str
) -> None:
    config = configured(model_type, quantity_head=head, quantity_parts=4)
    model, galaxies = built(config)
    outputs = Outputs.of(model, TREE)
    assert set(outputs.names) == {"class", "redshift", "mass"}
    model.compile(
        "adam", {"class": "mse", **{name: head.loss() for name, head in outputs.heads.items()}}, run_eagerly=True
    )
    before = {weight.path: ops.convert_to_numpy(weight) for weight in model.trainable_weights}
    taken = fed(model, galaxies.cutouts, galaxies.inputs)
    model.fit(taken, outputs.targets(galaxies.fractions, galaxies.quantities), verbose=0)
    changed = {weight.path for weight in model.trainable_weights if (weight != before[weight.path]).numpy().any()}
    assert changed >= {path for path in before if path.endswith("kernel")}

    expected = said(model, galaxies)
    for suffix in (".keras", ".h5"):
        path = save_model(model, tmp_path / f"model{suffix}", Recipe(config, TREE, {}, 0.3))
        again = load_model(path)
        for name, values in said(again, galaxies).items():
            np.testing.assert_array_equal(values, expected[name])
        predicted = Outputs.of(again, TREE).heads["mass"].prediction(expected["mass"])
        np.testing.assert_allclose(best_estimate(predicted), expected["mass"][:, 0], rtol=1e-4)
        assert len(predicted) == 6


@pytest.mark.parametrize("head", QUANTITY_HEADS)
def test_estimates_lie_where_the_training_galaxies_do(head: str) -> None:
    model, galaxies = built(configured(quantity_head=head))
    estimates = {name: values[:, 0] for name, values in said(model, galaxies).items() if name != "class"}
    assert (np.abs(estimates["mass"] - 10) < 3).all() and (np.abs(estimates["redshift"] - 0.06) < 0.12).all()


@pytest.mark.parametrize(("version", "count"), [(1, 1142341), (2, 915141), (3, 2117445), (4, 4786213), (5, 915010)])
def test_the_published_networks_have_the_stated_sizes(version: int, count: int) -> None:
    changes = (
        "data_preprocessing.img_size=[64, 64]",
        f"data_preprocessing.quantities={'[redshift]' if version < 5 else '[]'}",
        "data_preprocessing.inputs=[]",
        f"model_params={{model_type: dual_head, version: {version}}}",
    )
    config = configured(changes=changes)
    assert CNNBuilder(config, TREE).build().count_params() == count


def test_adapting_needs_different_values() -> None:
    model, _ = built(configured())
    with pytest.raises(DataError, match="1 different values of redshift"):
        model.get_layer("redshift").adapt([0.1, 0.1, np.nan])


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        (
            ("model_params={model_type: hierarchy, dense_units: [4]}",),
            "quantities: 'hierarchy' knows nothing of redshift, mass; choose one of .*base",
        ),
        (("model_params.version=5",), "version: 5 has no head for redshift, mass"),
        (("model_params.version=4", "data_preprocessing.img_size=[20, 20]"), "needs 32×32 pixels or more, found 20×20"),
        (
            ("model_params.stop_gradient=[redshfit]",),
            "stop_gradient: there is no output 'redshfit'; did you mean 'redshift'",
        ),
    ],
)
def test_what_a_network_cannot_predict_is_refused(changes: tuple[str, ...], message: str) -> None:
    with pytest.raises(ConfigError, match=message):
        CNNBuilder(configured(changes=changes), TREE)


def test_weights_of_outputs_that_are_not_there_are_refused() -> None:
    config = configured(changes=("train_params.loss_weights={redshfit: 2}",))
    model, galaxies = built(config)
    with pytest.raises(ConfigError, match="no output 'redshfit'; did you mean 'redshift'"):
        compile_model(config, model, TREE, galaxies.fractions, 1)


def test_an_unknown_head_is_named() -> None:
    with pytest.raises(ConfigError, match="no quantity head 'mixtur'; did you mean 'mixture'"):
        configured(quantity_head="mixtur")


# -- losses --------------------------------------------------------------------------------------


@given(st.floats(0.01, 0.2), st.floats(0.01, 0.2), st.floats(0.005, 0.05), st.floats(0.01, 1))
def test_a_mixture_of_one_gaussian_has_its_likelihood(truth, mean, spread, deviation) -> None:
    output = ops.convert_to_tensor([[mean, 1.0, mean, spread]], "float32")
    value = float(MixtureLikelihood(deviation)(ops.convert_to_tensor([[truth]], "float32"), output))
    assert value == pytest.approx(-norm.logpdf(truth, mean, spread) - np.log(deviation), rel=1e-3, abs=1e-3)


@given(st.lists(st.floats(-1, 2), min_size=1, max_size=5))
def test_a_value_belongs_to_its_bin_or_to_the_outer_one(values) -> None:
    edges, probabilities = [0.0, 0.25, 0.5, 1.0], [0.2, 0.3, 0.5]
    output = ops.convert_to_tensor([[0.4, *probabilities]] * len(values), "float32")
    value = float(BinLikelihood(edges)(ops.convert_to_tensor([[v] for v in values], "float32"), output))
    bins = np.clip(np.searchsorted(edges, np.float32(values), side="right") - 1, 0, 2)
    assert value == pytest.approx(-np.log(np.array(probabilities)[bins]).mean(), rel=1e-4)


@pytest.mark.parametrize("name", ["StandardSquaredError", "MixtureLikelihood", "BinLikelihood"])
def test_losses_of_quantities_reload(name: str) -> None:
    loss = {
        "StandardSquaredError": StandardSquaredError(0.1),
        "MixtureLikelihood": MixtureLikelihood(0.1),
        "BinLikelihood": BinLikelihood([0.0, 0.1, 0.3]),
    }[name]
    truth, output = ops.convert_to_tensor([[0.2]]), ops.convert_to_tensor([[0.15, 0.5, 0.5, 0.1, 0.2, 0.1, 0.1]])
    output = output[:, :3] if name == "BinLikelihood" else output
    for each in (loss, balanced(loss)):
        again = keras.saving.deserialize_keras_object(keras.saving.serialize_keras_object(each))
        assert float(again(truth, output)) == float(each(truth, output))


def test_a_balanced_loss_does_not_care_for_its_scale() -> None:
    truth = ops.convert_to_tensor([[0.1], [0.3]])

    def gradient(factor: float) -> np.ndarray:
        estimate = keras.Variable([[0.2], [0.5]])
        loss = balanced(StandardSquaredError(factor))
        return numeric_gradient(lambda values: float(loss(truth, ops.convert_to_tensor(values))), estimate.numpy())

    np.testing.assert_allclose(gradient(0.1), gradient(1.0), rtol=2e-2, atol=1e-3)


def numeric_gradient(function: Any, at: np.ndarray, step: float = 1e-3) -> np.ndarray:
    found = np.zeros_like(at)
    for index in np.ndindex(at.shape):
        up, down = at.copy(), at.copy()
        up[index] += step
        down[index] -= step
        found[index] = (function(up) - function(down)) / (2 * step)
    return found


def test_a_batch_in_which_nothing_counts_is_worth_nothing() -> None:
    loss = balanced(StandardSquaredError(1.0))
    assert float(loss(ops.ones((2, 1)), ops.zeros((2, 1)), ops.zeros(2))) == 0


# -- masks and gradients -------------------------------------------------------------------------


def fitted(config: Config, fractions: np.ndarray, quantities: dict[str, np.ndarray]) -> tuple[keras.Model, keras.Model]:
    """A network as it begins, and after a few steps on these labels."""
    keras.utils.set_random_seed(1)
    model, galaxies = built(config)
    before = keras.models.clone_model(model)
    before.set_weights(model.get_weights())
    compile_model(config, model, TREE, galaxies.fractions, 1)
    outputs = Outputs.of(model, TREE)
    taken = fed(model, galaxies.cutouts, galaxies.inputs)
    weights = outputs.weights(fractions, quantities)
    model.fit(taken, outputs.targets(fractions, quantities), sample_weight=weights, epochs=2, verbose=0)
    return before, model


def moved(before: keras.Model, after: keras.Model) -> set[str]:
    """The layers whose kernels have changed."""
    return {
        old.name
        for old, new in zip(before.layers, after.layers, strict=True)
        if hasattr(old, "kernel") and not np.array_equal(old.kernel.numpy(), new.kernel.numpy())
    }


@pytest.mark.parametrize("balance", ["fixed", "uncertainty"])
def test_what_is_not_known_trains_nothing(balance: str) -> None:
    config = configured(changes=(f"train_params.balance={balance}",), dropout_rate=0.0)
    galaxies = Galaxies(config)
    unknown = {**galaxies.quantities, "mass": np.full(6, np.nan, "float32")}
    before, after = fitted(config, galaxies.fractions, unknown)
    assert "mass_numbers" not in moved(before, after) and {"redshift_numbers", "logits"} <= moved(before, after)


def test_a_stopped_gradient_leaves_the_backbone_to_the_others() -> None:
    config = configured(
        changes=("data_preprocessing.quantities=[redshift]", "train_params.loss_weights={class: 1.0e-30}"),
        stop_gradient=["redshift"],
        dropout_rate=0.0,
    )
    galaxies = Galaxies(config)
    nothing = np.full((6, 2), np.nan, "float32")
    before, after = fitted(config, nothing, {"redshift": galaxies.quantities["redshift"]})
    assert moved(before, after) == {"redshift_numbers"}


@given(st.data())
@settings(max_examples=25)
def test_targets_and_weights_say_what_is_known(data) -> None:
    fractions = np.array(data.draw(st.lists(st.sampled_from([0.0, 1.0, np.nan]), min_size=4, max_size=4)))[:, None]
    fractions = np.hstack([fractions, 1 - fractions])
    redshift = np.array(data.draw(st.lists(st.sampled_from([0.1, np.nan]), min_size=4, max_size=4)))
    outputs = Outputs(TREE, {"redshift": None}, per_question=False)
    targets, weights = (each(fractions, {"redshift": redshift}) for each in (outputs.targets, outputs.weights))
    assert all(np.isfinite(each).all() for each in targets.values())
    known = {"class": np.isfinite(fractions[:, 0]), "redshift": np.isfinite(redshift)}
    if weights is None:
        assert all(each.all() for each in known.values())
    else:
        for name, each in known.items():
            np.testing.assert_array_equal(weights[name], each)
            np.testing.assert_array_equal(targets[name][~each], 0)


# -- measures ------------------------------------------------------------------------------------


def test_the_threshold_is_that_of_the_rarer_class() -> None:
    truth = np.eye(2)[[0, 0, 1, 1, 1, 1]]
    seen = Seen(
        np.array([[0.4, 0.6], [0.35, 0.65], [0.3, 0.7], [0.2, 0.8], [0.1, 0.9], [0.1, 0.9]]), *[np.zeros(())] * 2, 1
    )
    threshold = best_threshold(Known(TREE, truth), seen)
    assert 0.65 < threshold < 0.7
    results = measure(
        Known(TREE, truth),
        Seen(seen.mean, seen.mean, seen.mean, 1),
        NeverLooked.fit(Known(TREE, truth)),
        threshold=threshold,
    )
    assert results["classes"]["accuracy"] == 1 and results["classes"]["confusion"] == [[2, 0], [0, 4]]


def test_fractions_that_are_votes_are_no_classes() -> None:
    known = Known(TREE, np.array([[0.3, 0.7], [1.0, 0.0]]))
    assert not known.are_classes and best_threshold(known, Seen(known.fractions, *[known.fractions] * 2, 1)) is None


def test_never_looked_is_the_same_after_being_saved() -> None:
    known = Known(
        TREE,
        np.array([[1.0, 0.0], [np.nan, np.nan]]),
        {
            "redshift": np.array(
                [
                    np.nan,
                    0.2,
                ]
            )
        },
    )
    baseline = NeverLooked.fit(known)
    again = NeverLooked.from_dict(json.loads(json.dumps(baseline.to_dict())))
    assert again.to_dict() == baseline.to_dict() and again.quantities["redshift"].mean == pytest.approx(0.2)


@given(st.integers(1, 4), st.integers(1, 3))
def test_pooled_mixtures_have_the_mean_of_the_means(members: int, parts: int) -> None:
    rng = np.random.default_rng(members * 10 + parts)
    mixtures = [
        GaussianMixture(rng.dirichlet(np.ones(parts), 5), rng.normal(size=(5, parts)), rng.uniform(0.1, 1, (5, parts)))
        for _ in range(members)
    ]
    weights = rng.dirichlet(np.ones(members))
    together = pooled(weights, mixtures)
    assert isinstance(together, Distribution)
    np.testing.assert_allclose(best_estimate(together), sum(w * m.mean for w, m in zip(weights, mixtures, strict=True)))
    values = rng.normal(size=5)
    np.testing.assert_allclose(
        together.cdf(values), sum(w * m.cdf(values) for w, m in zip(weights, mixtures, strict=True))
    )


# -- whole trainings -----------------------------------------------------------------------------


@pytest.fixture(scope="module")
def survey(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Bright and faint disks in Galaxy10's layout: bright ones are of class 0, and their redshift is their size."""
    path = tmp_path_factory.mktemp("survey") / "galaxies.h5"
    rng, n = np.random.default_rng(0), 240
    redshift, answers = rng.uniform(0.02, 0.1, n), rng.integers(0, 2, n)
    y, x = np.mgrid[-12:12, -12:12]
    disks = np.hypot(x, y)[None] < (12 - 100 * redshift)[:, None, None]
    images = disks[..., None] * np.where(answers == 0, 220, 120)[:, None, None, None] + rng.integers(
        0, 20, (n, 24, 24, 3)
    )
    redshift[:30] = np.nan
    with h5py.File(path, "w") as file:
        file.update({"images": images.astype(np.uint8), "ans": answers.astype(np.uint8), "redshift": redshift})
        file["pxscale"] = np.full(n, 0.262) + rng.normal(0, 0.01, n)
    return path


def run_config(survey: Path, folder: Path, *changes: str) -> Config:
    content = {
        "paths": {
            "images_path": str(survey),
            "cache_path": str(survey.parent / "cache"),
            **{f"{name}_path": str(folder / name) for name in ("plots", "models", "logs")},
        },
        "model_name": "dual",
        "data_preprocessing": {
            "classes": {"merger": "Disturbed", "other": "Merging"},
            "quantities": ["redshift"],
            "missing": "mask",
            "img_size": [24, 24],
        },
        "model_params": {"model_type": "dual_head", "version": 1, "dense_units": [16], "head": "tree"},
        "train_params": {
            "loss_function": "categorical_crossentropy",
            "metrics": ["accuracy"],
            "epochs": 12,
            "batch_size": 32,
            "learning_rate": 0.003,
        },
    }
    return load_config(content, changes)


@pytest.fixture(scope="module")
def finished(survey: Path, tmp_path_factory: pytest.TempPathFactory) -> Any:
    folder = tmp_path_factory.mktemp("run")
    config = run_config(survey, folder, "model_params.quantity_head=mixture", "data_preprocessing.inputs=[pxscale]")
    return galaxycnn.train(config)


def test_classes_and_redshift_are_learnt_together_though_some_are_unknown(finished) -> None:
    test = finished.results["parts"]["test"]
    assert test["classes"]["accuracy"] > 0.9 and test["quantities"]["redshift"]["r2"] > 0.6
    unknown = sum(part["quantities"]["redshift"]["unknown"] for part in finished.results["parts"].values())
    assert unknown == 30
    assert {"class_loss", "redshift_loss", "redshift_rmse", "val_class_accuracy"} <= set(finished.history[-1])
    assert test["loss"].keys() == {"total", "class", "redshift"}
    assert test["loss"]["total"] == pytest.approx(test["loss"]["class"] + test["loss"]["redshift"])


def test_a_run_of_both_draws_both_and_writes_both(finished) -> None:
    names = {path.name for path in finished.files}
    assert {
        "redshift_test.png",
        "redshift_uncertainty_test.png",
        "redshift_examples_test.png",
        "ranking_test.png",
    } <= names
    table = pd.read_csv(next(path for path in finished.files if path.name == "predictions_test.csv"))
    assert list(table) == ["id", "class.merger", "class.other", "redshift", "redshift_spread"]
    assert (table["redshift_spread"] > 0).all()


@pytest.mark.parametrize("suffix", [".keras", ".h5"])
def test_a_saved_run_measures_the_same(finished, survey, tmp_path, suffix) -> None:
    paths, name = finished.config.paths, finished.config.model_name
    split = paths.logs_path / f"{name}.split.csv"
    results = galaxycnn.evaluate(paths.models_path / f"{name}{suffix}", survey, split=split, cache_path=tmp_path)
    test = finished.results["parts"]["test"]
    assert results["classes"]["confusion"] == test["classes"]["confusion"]
    assert results["quantities"]["redshift"]["r2"] == pytest.approx(test["quantities"]["redshift"]["r2"], abs=1e-6)


def test_the_command_shows_classes_and_redshift(finished, survey, capsys) -> None:
    model = finished.config.paths.models_path / "dual.keras"
    assert main(["evaluate", str(model), "--images", str(survey), "--views", "2"]) == 0
    shown = capsys.readouterr().out
    assert "merger (0)" in shown and "σ_NMAD" in shown and "learned: R²" in shown
    assert max(map(len, shown.splitlines()[:-1])) <= 200


def test_an_interrupted_training_of_both_goes_on(survey, tmp_path) -> None:
    whole = train(run_config(survey, tmp_path / "whole", "train_params.epochs=3"), save_model=False, save_plots=False)

    class Stop(keras.callbacks.Callback):
        def on_epoch_end(self, epoch: int, logs: Any = None) -> None:
            if epoch == 1:
                raise KeyboardInterrupt

    from galaxycnn.training import run as module

    config = run_config(survey, tmp_path / "parts", "train_params.epochs=3")
    original = module.fit_stage
    module.fit_stage = lambda *args: original(*args[:6], watchers=[Stop()])  # type: ignore[assignment]
    try:
        with pytest.raises(KeyboardInterrupt):
            train(config, save_model=False, save_plots=False)
    finally:
        module.fit_stage = original
    again = train(config, resume=True, save_model=False, save_plots=False)
    assert again.history[-1]["redshift_rmse"] == pytest.approx(whole.history[-1]["redshift_rmse"], rel=1e-4)


@pytest.mark.parametrize("head", ["linear", "bins"])
def test_redshift_alone(survey, tmp_path, head) -> None:
    changes = "data_preprocessing.questions=[]", "data_preprocessing.classes=null", "train_params.epochs=2"
    config = run_config(survey, tmp_path, *changes, f"model_params.quantity_head={head}")
    run = galaxycnn.train(config)
    test = run.results["parts"]["test"]
    assert "outputs" not in test and "classes" not in test and test["quantities"]["redshift"]["n"] > 0
    assert {"loss", "rmse", "val_rmse"} <= set(run.history[-1])


def test_what_is_trained_several_times_is_measured_once(survey, tmp_path) -> None:
    changes = "data_preprocessing.sampling=oversample", "train_params.epochs=1", "data_preprocessing.img_size=[16, 16]"
    rare = "data_preprocessing.classes={merger: Disturbed, other: Merging}", "data_preprocessing.quantities=[]"
    run = galaxycnn.train(run_config(survey, tmp_path, *changes, *rare), save_model=False, save_plots=False)
    ids = [part.ids for part in run.data.parts]
    assert len(np.unique(np.concatenate(ids))) == sum(map(len, ids)) == 240
    shares = run.data.train.fractions.mean(axis=0)
    np.testing.assert_allclose(run.baseline.answers.fractions, shares, rtol=1e-6)


def test_classes_alone_take_the_threshold_of_the_validation_part(survey, tmp_path) -> None:
    changes = "data_preprocessing.quantities=[]", "model_params.version=5", "train_params.epochs=1"
    run = galaxycnn.train(
        run_config(survey, tmp_path, *changes, "data_preprocessing.img_size=[16, 16]"), save_model=False
    )
    assert run.threshold is not None
    assert run.results["parts"]["test"]["classes"]["threshold"] == pytest.approx(run.threshold)


@pytest.mark.parametrize("questions", ["[class]", "[]"])
def test_every_galaxy_is_predicted_out_of_fold(survey, tmp_path, capsys, questions) -> None:
    classes = "null" if questions == "[]" else "{merger: Disturbed, other: Merging}"
    changes = f"data_preprocessing.questions={questions}", f"data_preprocessing.classes={classes}"
    epochs = "train_params.epochs=1", "model_params.quantity_head=mixture"
    config = run_config(survey, tmp_path, *changes, *epochs)
    path = tmp_path / "dual.yaml"
    save_config(config, path)
    assert main(["crossval", str(path), "--folds", "2"]) == 0
    assert "σ_NMAD" in capsys.readouterr().out
    table = pd.read_csv(tmp_path / "plots" / "dual.oof.csv")
    assert len(table) == (240 if questions == "[class]" else 210) and table["redshift_spread"].notna().all()
    results = json.loads((tmp_path / "plots" / "dual" / "metrics.json").read_text())["parts"]["out-of-fold"]
    assert results["quantities"]["redshift"]["n"] == 210 and ("classes" in results) == (questions == "[class]")
