"""Whole trainings on a small embedded survey: files, repeatability, interruption, every family."""

from __future__ import annotations

import json
import pickle
import signal
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import keras
import numpy as np
import pandas as pd
import pytest

import galaxycnn
from galaxycnn.config import Config, load_config
from galaxycnn.data.dataset import prepare
from galaxycnn.data.split import Split
from galaxycnn.errors import ConfigError, UserError
from galaxycnn.metrics import NAMES, check_monitor
from galaxycnn.models.outputs import Outputs
from galaxycnn.registry import MODELS
from galaxycnn.simulate import simulate_survey
from galaxycnn.training import Run
from galaxycnn.training.callbacks import ResumeState
from galaxycnn.training.run import fit


@pytest.fixture(scope="session")
def survey(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return simulate_survey(tmp_path_factory.mktemp("survey") / "small", galaxies=150, seed=1, image_size=32)


def configured(folder: Path, survey: Path, **sections) -> Config:
    paths = {
        "images_path": str(survey / "images_training_rev1"),
        "labels_path": str(survey / "training_solutions_rev1.csv"),
    }
    paths |= {f"{kind}_path": str(folder / kind) for kind in ("plots", "models", "logs", "cache")}
    values = {
        "paths": paths,
        "data_preprocessing": {"task": 2, "img_size": [24, 24]},
        "model_name": "small",
        "model_params": {
            "model_type": "hierarchy",
            "conv_layers": [[4, [3, 3]], [6, [3, 3]]],
            "dense_units": [8],
            "dropout_rate": 0.3,
            "early_stop_patience": 3,
        },
        "data_augmentation_params": {"preset": "seed_task2"},
        "train_params": {"epochs": 4, "batch_size": 32, "schedule": {"name": "plateau", "patience": 1}},
    }
    for name, keys in sections.items():
        values[name] = keys if keys is None else {**values[name], **keys}
    return load_config(values)


@pytest.fixture(scope="module")
def finished(tmp_path_factory: pytest.TempPathFactory, survey: Path) -> Run:
    return galaxycnn.train(configured(tmp_path_factory.mktemp("run"), survey))


def trained(config: Config, save_model: bool = False, **options) -> Run:
    """A run without its model file, diagram and pictures, which most tests do not look at."""
    return galaxycnn.train(config, save_model=save_model, save_plots=False, **options)


def same_weights(one: keras.Model, other: keras.Model) -> bool:
    return all(np.array_equal(a, b) for a, b in zip(one.get_weights(), other.get_weights(), strict=True))


def test_a_run_writes_every_file_that_it_names(finished: Run) -> None:
    folder = finished.config.paths.models_path.parent
    names = {path.relative_to(folder).as_posix() for path in finished.files}
    expected = {
        "models/small.keras",
        "models/small.h5",
        "models/small.pdf",
        "models/History_small",
        "models/History_small.csv",
        "plots/small/metrics.json",
        "plots/small/training_curves.png",
        "plots/ConfusionMatrix_small_test.pdf",
        "logs/small.yaml",
        "logs/small.split.csv",
    }
    assert expected <= names
    assert all(path.stat().st_size > 0 for path in finished.files)
    assert not list(folder.rglob(".part-*"))
    assert not (folder / "models" / ".small.training").exists()
    log = (folder / "logs" / "small.txt").read_text()
    assert "configuration:" in log
    assert f"epoch {len(finished.history)}/4" in log


def test_histories_as_csv_and_pickle_agree_with_the_run(finished: Run) -> None:
    models = finished.config.paths.models_path
    table = pd.read_csv(models / "History_small.csv")
    pickled = pickle.loads((models / "History_small").read_bytes())
    assert list(table["epoch"]) == list(range(1, len(finished.history) + 1))
    for column in ("loss", "val_loss", "Class1_accuracy", "val_Class7_mse"):
        np.testing.assert_allclose(table[column], [row[column] for row in finished.history])
        np.testing.assert_allclose(pickled[column], table[column])


def test_metrics_are_those_of_the_saved_predictions(finished: Run) -> None:
    results = json.loads((finished.config.paths.plots_path / "small" / "metrics.json").read_text())
    for part in finished.data.parts:
        measured, predicted = results["parts"][part.name], finished.predictions[part.name]
        assert measured["n"] == len(part)
        assert measured["overall"]["rmse"] == pytest.approx(
            np.sqrt(np.mean((predicted - part.fractions) ** 2)), rel=1e-5
        )
        losses = measured["loss"]
        assert losses["total"] == pytest.approx(losses["Class1"] + losses["Class2"] + losses["Class7"])
    final = results["parts"]["validation"]["loss"]["total"]
    assert final == pytest.approx(min(row["val_loss"] for row in finished.history), rel=1e-4)


def test_the_saved_split_is_a_partition_of_the_galaxies(finished: Run) -> None:
    split = Split.load(finished.config.paths.logs_path / "small.split.csv")
    ids = [name for _, names in split for name in names]
    assert len(set(ids)) == len(ids) == sum(finished.results["galaxies"].values())


@pytest.mark.parametrize("loader", ["import galaxycnn as g", "import galaxycnn.models, keras.saving as g"])
@pytest.mark.parametrize("suffix", [".keras", ".h5"])
def test_a_fresh_process_reloads_the_model_and_predicts_the_same(
    finished: Run, tmp_path: Path, suffix: str, loader: str
) -> None:
    images = tmp_path / "images.npy"
    np.save(images, finished.data.test.pixels())
    script = (
        f"import sys, numpy as np\n{loader}\n"
        "model = g.load_model(sys.argv[1])\n"
        "predicted = model.predict(np.load(sys.argv[2]), verbose=0)\n"
        "parts = [predicted[name] for name in model.output_names] if isinstance(predicted, dict) else predicted\n"
        "np.save(sys.argv[3], np.concatenate(parts, axis=1))\n"
    )
    model = finished.config.paths.models_path / f"small{suffix}"
    subprocess.run([sys.executable, "-c", script, model, images, tmp_path / "predicted.npy"], check=True)
    outputs = Outputs.of(finished.model, finished.data.tree)
    expected = outputs.read(finished.model.predict(np.load(images), verbose=0)).fractions
    np.testing.assert_array_equal(np.load(tmp_path / "predicted.npy"), expected)


def test_a_reloaded_model_trains_on(finished: Run) -> None:
    part = finished.data.train
    for suffix in (".keras", ".h5"):
        model = galaxycnn.load_model(finished.config.paths.models_path / f"small{suffix}")
        model.compile("adam", "mean_squared_error")
        targets = {q.name: part.fractions[:, finished.data.tree.slice(q)] for q in finished.data.tree.questions}
        assert np.isfinite(model.fit(part.pixels(), targets, verbose=0).history["loss"][0])


def test_the_resolved_configuration_trains_again_to_the_same_result(finished: Run, tmp_path: Path) -> None:
    folders = [f"paths.{kind}_path={tmp_path / kind}" for kind in ("plots", "models", "logs")]
    again = trained(load_config(finished.config.paths.logs_path / "small.yaml", folders))
    assert same_weights(again.model, finished.model)
    assert again.results["parts"] == finished.results["parts"]


class Killed(BaseException):
    """Stands for a power cut: nothing catches it."""


def interrupted(monkeypatch: pytest.MonkeyPatch, config: Config, after: int) -> None:
    """Train until ``after`` epochs in all have been saved, then fall dead."""
    write, saved = ResumeState._write, []

    def write_and_die(self: ResumeState, state: dict) -> None:
        write(self, state)
        saved.append(state)
        if len(saved) == after:
            raise Killed

    with monkeypatch.context() as patch, pytest.raises(Killed):
        patch.setattr(ResumeState, "_write", write_and_die)
        trained(config)


class PressesCtrlC:
    """Where Python swallows what is raised, and TensorFlow has much code."""

    def __del__(self) -> None:
        signal.raise_signal(signal.SIGINT)


@pytest.fixture
def listening_to_ctrl_c() -> Iterator[None]:
    """As on a terminal: what a shell starts in the background ignores Ctrl-C."""
    before = signal.signal(signal.SIGINT, signal.default_int_handler)
    yield
    signal.signal(signal.SIGINT, before)


@pytest.mark.usefixtures("listening_to_ctrl_c")
@pytest.mark.filterwarnings("ignore::pytest.PytestUnraisableExceptionWarning")
@pytest.mark.parametrize("moment", ["on_train_batch_end", "on_epoch_end", "on_test_batch_end"])
def test_ctrl_c_ends_a_training_wherever_it_is_pressed(
    survey: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, moment: str
) -> None:
    config = configured(tmp_path, survey, model_params={"model_type": "base"})
    watcher, saved = keras.callbacks.Callback(), []
    setattr(watcher, moment, lambda *_, **__: PressesCtrlC() and None)
    monkeypatch.setattr(ResumeState, "_write", lambda self, state: saved.append(state["epoch"]))
    with pytest.raises(KeyboardInterrupt):
        fit(config, prepare(config), [watcher])
    assert len(saved) <= 1
    assert signal.getsignal(signal.SIGINT) is signal.default_int_handler


@contextmanager
def traces(monkeypatch: pytest.MonkeyPatch) -> Iterator[list[keras.Model]]:
    """Lists each time that TensorFlow makes a graph of a training step, which takes seconds."""
    step, seen = keras.Model.train_step, []

    def seen_step(self: keras.Model, data: object) -> object:
        seen.append(self)
        return step(self, data)

    with monkeypatch.context() as patch:
        patch.setattr(keras.Model, "train_step", seen_step)
        yield seen


@pytest.mark.parametrize("after", [1, 3])
def test_an_interrupted_training_resumes_as_if_nothing_had_happened(
    finished: Run, survey: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, after: int
) -> None:
    config = configured(tmp_path, survey)
    interrupted(monkeypatch, config, after)
    resumed = trained(config, resume=True)
    assert len(resumed.history) == len(finished.history)
    pd.testing.assert_frame_equal(pd.DataFrame(resumed.history), pd.DataFrame(finished.history))
    assert same_weights(resumed.model, finished.model)
    assert not (tmp_path / "models" / ".small.training").exists()


@pytest.mark.parametrize(
    "train",
    [
        {"average_weights": 0.9, "optimizer": "adamw", "weight_decay": 0.1,
         "schedule": {"name": "cosine", "warmup_epochs": 1}},
        {"average_weights": 0.9, "optimizer": "sgd", "learning_rate": 0.1, "accumulate_batches": 3, "clip_norm": 1.0},
        {"schedule": {"name": "plateau", "patience": 1, "warmup_epochs": 2}, "accumulate_batches": 2},
        {"average_weights": 0.5, "learning_rate": 0.1, "precision": "mixed_float16"},
    ],
    ids=["average, adamw, cosine", "average, sgd, accumulation", "plateau after warm-up", "float16"],
)  # fmt: skip
def test_every_craft_resumes_as_if_nothing_had_happened(
    survey: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, train: dict
) -> None:
    params = {
        "model_params": {"model_type": "base", "early_stop_patience": 2},
        "train_params": {"epochs": 4, "batch_size": 16, **train},
    }
    with traces(monkeypatch) as steps:
        whole = trained(configured(tmp_path / "whole", survey, **params))
    assert len(steps) == 1
    config = configured(tmp_path / "parts", survey, **params)
    interrupted(monkeypatch, config, 2)
    resumed = trained(config, resume=True)
    pd.testing.assert_frame_equal(pd.DataFrame(resumed.history), pd.DataFrame(whole.history))
    assert same_weights(resumed.model, whole.model)
    states = [[np.asarray(value) for value in run.model.optimizer.variables] for run in (resumed, whole)]
    assert all(np.array_equal(one, other) for one, other in zip(*states, strict=True))


@pytest.mark.parametrize("patience", [None, 1])
def test_averaged_weights_are_what_is_validated_kept_and_used(
    survey: Path, tmp_path: Path, patience: int | None
) -> None:
    run = trained(
        configured(
            tmp_path,
            survey,
            model_params={"model_type": "base", "early_stop_patience": patience},
            train_params={"average_weights": 0.95, "learning_rate": 0.02, "epochs": 5, "batch_size": 16},
        ),
        save_model=True,
    )
    validated = [row["val_loss"] for row in run.history]
    kept = run.results["parts"]["validation"]["loss"]["total"]
    assert kept == pytest.approx(min(validated) if patience else validated[-1], rel=1e-4)
    saved = galaxycnn.load_model(tmp_path / "models" / "small.keras")
    assert same_weights(saved, run.model)
    weights = run.model.get_weights()
    run.model.optimizer.swap_averages()
    assert any((one != other).any() for one, other in zip(run.model.get_weights(), weights, strict=True))


def test_without_resume_an_interrupted_training_starts_afresh(
    finished: Run, survey: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    config = configured(tmp_path, survey)
    interrupted(monkeypatch, config, 2)
    assert same_weights(trained(config).model, finished.model)


def test_a_finished_training_is_not_repeated(finished: Run) -> None:
    with pytest.raises(UserError, match="small is finished"):
        trained(finished.config, resume=True)


def test_another_configuration_does_not_resume(survey: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    config = configured(tmp_path, survey)
    interrupted(monkeypatch, config, 1)
    other = configured(tmp_path, survey, train_params={"epochs": 6, "learning_rate": 0.1})
    with pytest.raises(
        ConfigError, match=r"train_params\.learning_rate: the interrupted training of 'small' had another"
    ):
        trained(other, resume=True)


def test_the_sequential_approach_resumes_within_its_second_network(
    survey: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    params = {"model_params": {"model_type": "sequential", "early_stop_patience": None}, "train_params": {"epochs": 2}}
    whole = trained(configured(tmp_path / "whole", survey, **params))
    config = configured(tmp_path / "parts", survey, **params)
    interrupted(monkeypatch, config, 3)
    resumed = trained(config, resume=True)
    assert same_weights(resumed.model, whole.model)
    assert {"val_Class1_loss", "val_Class2_loss", "val_Class7_loss"} <= resumed.history[0].keys()


@pytest.mark.parametrize(
    "sections",
    [
        {"data_preprocessing": {"task": 1, "one_hot_labels": True, "grayscale": True},
         "model_params": {"model_type": "base", "out_activation": "softmax", "class_weights": True},
         "train_params": {"loss_function": "weighted_cce", "metrics": ["accuracy", "F1_score"],
                          "schedule": {"name": "cosine", "warmup_epochs": 1}}},
        {"model_params": {"model_type": "base", "class_weights": True, "monitor": "val_Class1_accuracy"},
         "train_params": {"loss_function": "weighted_mse", "schedule": {"name": "exponential"}, "tensorboard": True}},
        {"model_params": {"model_type": "branch", "class_weights": True},
         "train_params": {"loss_function": "focal_loss", "precision": "mixed_bfloat16"}},
        {"data_preprocessing": {"task": None, "questions": ["odd", "odd_feature"]}, "data_augmentation_params": None},
    ],
    ids=["one-hot", "flat", "branch", "other questions"],
)  # fmt: skip
def test_families_losses_and_schedules_go_together(survey: Path, tmp_path: Path, sections: dict) -> None:
    epochs = {"train_params": {**sections.get("train_params", {}), "epochs": 2}}
    config = configured(tmp_path, survey, **{**sections, **epochs})
    run = trained(config, save_model=True, save_history=False)
    assert np.isfinite([row["loss"] for row in run.history]).all()
    assert run.predictions["test"].shape == (len(run.data.test), len(run.data.tree.columns))
    assert run.predictions["test"].dtype == np.float32
    assert keras.config.dtype_policy().name == "float32"
    assert (tmp_path / "logs" / "small.tensorboard").exists() == config.train_params.tensorboard
    assert not (tmp_path / "models" / "History_small.csv").exists()


def test_a_loss_that_explodes_ends_the_training(survey: Path, tmp_path: Path) -> None:
    config = configured(
        tmp_path,
        survey,
        model_params={"out_activation": "linear"},
        train_params={"learning_rate": 1e30, "epochs": 20},
    )
    with pytest.raises(UserError, match=r"train_params\.learning_rate: the loss is no longer a number after epoch \d+"):
        trained(config, save_model=True)
    assert not (tmp_path / "models" / "small.keras").exists()


def test_a_wrong_monitor_is_told(survey: Path, tmp_path: Path) -> None:
    config = configured(tmp_path, survey, model_params={"monitor": "val_Class1_acuracy"})
    sentence = r"model_params\.monitor: nothing is called 'val_Class1_acuracy'.*did you mean 'val_Class1_accuracy'"
    with pytest.raises(ConfigError, match=sentence):
        trained(config)
    assert not (tmp_path / "logs" / "small.yaml").exists()


@pytest.mark.parametrize("model_type", ["base", *(name for name in MODELS if not MODELS[name].flat_output)])
def test_only_what_a_training_records_can_be_monitored(survey: Path, tmp_path: Path, model_type: str) -> None:
    config = configured(
        tmp_path,
        survey,
        model_params={"model_type": model_type, "early_stop_patience": None},
        train_params={"epochs": 1, "metrics": list(NAMES)},
    )
    history = trained(config).history[0]
    tree = config.data_preprocessing.target_tree()
    recorded = {name for name in history if name not in ("epoch", "learning_rate")}
    if model_type == "sequential":
        tree, recorded = tree.subset(["Class7"]), {n.replace("Class7_", "") for n in recorded if "Class7" in n}
    outputs = Outputs(tree, {}, per_question=model_type != "base" and len(tree.questions) > 1)
    for name in recorded:
        check_monitor(name, NAMES, outputs)
    for name in ("val_acc", "val_Class3_loss"):
        with pytest.raises(ConfigError):
            check_monitor(name, NAMES, outputs)
