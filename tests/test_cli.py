"""The command line as people use and misuse it; every run is a process of its own."""

from __future__ import annotations

import json
import os
import platform
import re
import signal
import subprocess
import sys
import time
from pathlib import Path

import pandas as pd
import pytest
import yaml

import galaxycnn
from galaxycnn.cli import main
from galaxycnn.simulate import simulate_survey

ROOT = Path(__file__).parents[1]

SMALL = {
    "data_preprocessing": {"task": 2, "img_size": [24, 24]},
    "model_name": "small",
    "model_params": {"model_type": "hierarchy", "conv_layers": [[4, [3, 3]], [6, [3, 3]]], "dense_units": [8]},
    "train_params": {"epochs": 2, "batch_size": 32},
}

BASE = ["--set", "model_params.model_type=base"]
"""The network that is ready soonest."""


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A working directory with a survey and a configuration."""
    folder = tmp_path_factory.mktemp("work")
    simulate_survey(folder / "survey", galaxies=120, seed=2, image_size=32)
    paths = {"images_path": "survey/images_training_rev1", "labels_path": "survey/training_solutions_rev1.csv"}
    (folder / "small.yaml").write_text(yaml.safe_dump({"paths": paths, **SMALL}))
    return folder


def galaxycnn_in(folder: Path, *words: str) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, "-m", "galaxycnn.cli", *words]
    return subprocess.run(command, cwd=folder, capture_output=True, text=True, timeout=300)


@pytest.fixture(scope="module")
def trained(folder: Path) -> subprocess.CompletedProcess[str]:
    return galaxycnn_in(folder, "--config", "small.yaml", "--seed", "48")


def test_train_prints_tables_baselines_and_what_it_wrote(folder: Path, trained) -> None:
    assert trained.returncode == 0, trained.stderr
    for words in ("train", "validation", "test", "Class7", "predict-the-mean", "majority"):
        assert words in trained.stdout
    written = [line.strip() for line in trained.stdout.split("written:")[1].splitlines() if line.strip()]
    assert "saved_models/small.h5" in written
    assert all((folder / path).is_file() for path in written)
    assert max(map(len, trained.stdout.splitlines())) <= 160
    assert not re.search("Traceback|cuda|oneDNN", trained.stderr)


@pytest.mark.parametrize("suffix", [".keras", ".h5"])
def test_evaluate_measures_a_saved_model_on_a_folder(folder: Path, trained, suffix: str) -> None:
    images, labels = "survey/images_training_rev1", "survey/training_solutions_rev1.csv"
    model = f"saved_models/small{suffix}"
    done = galaxycnn_in(
        folder, "evaluate", model, "--images", images, "--labels", labels, "--json", f"out{suffix}.json"
    )
    assert done.returncode == 0, done.stderr
    results = json.loads((folder / f"out{suffix}.json").read_text())
    parts = json.loads((folder / "metrics_plots/small/metrics.json").read_text())["parts"]
    n = sum(part["n"] for part in parts.values())
    assert results["n"] == n
    expected = sum(part["n"] * part["overall"]["mse"] for part in parts.values()) / n
    assert results["overall"]["mse"] == pytest.approx(expected, rel=1e-4)
    assert "Class2" in done.stdout


def test_a_killed_training_resumes_to_the_result_of_an_unbroken_one(folder: Path) -> None:
    slower = ["--set", "data_preprocessing.img_size=[32, 32]", "--set", "train_params.epochs=12"]
    settings = [*BASE, *slower, "--no-save_plots"]
    unbroken = galaxycnn_in(folder, "train", "small.yaml", "--set", "model_name=unbroken", *settings)
    assert unbroken.returncode == 0, unbroken.stderr
    command = [sys.executable, "-m", "galaxycnn.cli", "train", "small.yaml", "--set", "model_name=killed", *settings]
    state = folder / "saved_models" / ".killed.training" / "state.json"
    with subprocess.Popen(command, cwd=folder, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL) as process:
        deadline = time.monotonic() + 120
        while not state.exists() and process.poll() is None and time.monotonic() < deadline:
            time.sleep(0.005)
        process.send_signal(signal.SIGKILL)
    assert state.exists()
    assert not (folder / "saved_models" / "killed.keras").exists()
    done = json.loads(state.read_text())["epoch"] + 1
    resumed = galaxycnn_in(folder, "train", "small.yaml", "--resume", "--set", "model_name=killed", *settings)
    assert resumed.returncode == 0, resumed.stderr
    assert done < 12
    histories = [pd.read_csv(folder / "saved_models" / f"History_{name}.csv") for name in ("killed", "unbroken")]
    pd.testing.assert_frame_equal(*histories)
    results = [
        json.loads((folder / f"metrics_plots/{name}/metrics.json").read_text()) for name in ("killed", "unbroken")
    ]
    assert results[0]["parts"] == results[1]["parts"]


def _listen_to_ctrl_c() -> None:
    """As on a terminal: a shell has what it starts in the background ignore Ctrl-C, and so all that this starts."""
    signal.signal(signal.SIGINT, signal.SIG_DFL)


def test_ctrl_c_is_answered_with_how_to_go_on(folder: Path) -> None:
    settings = [*BASE, "--set", "model_name=stopped", "--set", "train_params.epochs=5000"]
    command = [sys.executable, "-m", "galaxycnn.cli", "train", "small.yaml", *settings]
    state = folder / "saved_models" / ".stopped.training" / "state.json"
    pipes = {"stdout": subprocess.PIPE, "stderr": subprocess.PIPE, "text": True}
    with subprocess.Popen(command, cwd=folder, preexec_fn=_listen_to_ctrl_c, **pipes) as process:
        deadline = time.monotonic() + 120
        while not state.exists() and process.poll() is None and time.monotonic() < deadline:
            time.sleep(0.05)
        process.send_signal(signal.SIGINT)
        _, messages = process.communicate(timeout=300)
    assert process.returncode == 130
    assert messages.strip().endswith("'galaxycnn train CONFIG --resume' goes on with a training")
    assert "Traceback" not in messages
    assert state.exists()


def test_no_save_flags_leave_only_measures(folder: Path) -> None:
    words = [*BASE, "--no-save_model", "--no-save_history", "--no-save_plots", "--set", "model_name=unsaved"]
    done = galaxycnn_in(folder, "train", "small.yaml", *words)
    assert done.returncode == 0, done.stderr
    assert not list((folder / "saved_models").glob("*unsaved*"))
    written = {path.name for path in (folder / "metrics_plots").rglob("*unsaved*/*")}
    assert written == {"metrics.json", "predictions_validation.csv", "predictions_test.csv"}


MISTAKES = {
    "train small.yml": "small.yml: there is no such file; did you mean 'small.yaml'?",
    "train small.yaml --set train_params.epoch=3": "unknown key 'train_params.epoch'; did you mean 'epochs'?",
    "train small.yaml --set model_params.model_type=heirarchy": "did you mean 'hierarchy'?",
    "train small.yaml --set paths.images_path=survey/images": "survey/images",
    "train small.yaml --set paths.labels_path=survey/labels.csv": "survey/labels.csv",
    "train small.yaml --set data_preprocessing.crop=true --set data_preprocessing.crop_size=500": "500",
    "train small.yaml --set data_preprocessing.test_size=0.001": "leave none for test",
    "train small.yaml --set model_params.monitor=val_los": "did you mean 'val_loss'?",
    "train": "a configuration is needed, for example",
    "evaluate saved_models/nothing.keras --images survey --labels survey/truth.csv": "there is no such model file",
    "data simulate -n 0 -o nothing": "0",
    "data simulate -n 5 -o survey": "survey",
    "data check small.yaml --set data_preprocessing.layout=kagle": "did you mean 'kaggle'?",
}


@pytest.mark.parametrize("words", MISTAKES)
def test_a_mistake_is_one_sentence_and_exit_code_2(
    folder: Path, words: str, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.chdir(folder)
    before = {path for path in folder.rglob("*") if ".cache" not in path.parts}
    assert main(words.split()) == 2
    message = capsys.readouterr().err.strip().splitlines()[-1]
    assert message.startswith("galaxycnn: ")
    assert MISTAKES[words] in message
    assert "Traceback" not in message
    added = {path for path in folder.rglob("*") if ".cache" not in path.parts} - before
    assert not [path for path in added if path.suffix not in (".txt",) and path.is_file()]


@pytest.mark.parametrize(
    ("words", "sentence"),
    [
        ("trian small.yaml", "there is no 'trian' here; did you mean 'train'?"),
        ("list modles", "did you mean 'models'?"),
    ],
)
def test_a_misspelt_command_is_told_with_the_nearest(words: str, sentence: str, capsys) -> None:
    with pytest.raises(SystemExit) as caught:
        main(words.split())
    assert caught.value.code == 2
    assert sentence in capsys.readouterr().err


@pytest.mark.skipif(platform.machine() not in ("x86_64", "AMD64"), reason="oneDNN is asked for on x86 alone")
@pytest.mark.parametrize(("said", "used"), [(None, "1"), ("0", "0")])
def test_onednn_is_used_unless_the_user_says_otherwise(said: str | None, used: str) -> None:
    name = "TF_ENABLE_ONEDNN_OPTS"
    environment = {key: value for key, value in os.environ.items() if key != name} | ({name: said} if said else {})
    words = [sys.executable, "-c", f"import os, galaxycnn; print(os.environ['{name}'])"]
    shown = subprocess.run(words, env=environment, capture_output=True, text=True, check=True, timeout=120)
    assert shown.stdout.strip() == used


def test_version_and_help_do_not_wait_for_keras(tmp_path: Path) -> None:
    code = "import sys, galaxycnn.cli as cli\ntry: cli.main(sys.argv[1:])\nfinally: assert 'keras' not in sys.modules"
    for word in ("--version", "--help"):
        done = subprocess.run([sys.executable, "-c", code, word], capture_output=True, text=True)
        assert done.returncode == 0, done.stderr
        assert ("examples:" if word == "--help" else galaxycnn.__version__) in done.stdout


@pytest.mark.parametrize(
    ("what", "names"),
    [
        ("models", ["base", "hierarchy", "branch", "sequential"]),
        ("losses", ["focal_loss", "weighted_mse", "weighted_cce", "mean_squared_error"]),
        ("augmentations", ["seed_task1", "seed_task2"]),
        ("configs", ["configs/quickstart.yaml", "configs/task2_branch.yaml"]),
    ],
)
def test_list_names_and_describes(what: str, names: list[str], monkeypatch, capsys) -> None:
    monkeypatch.chdir(ROOT)
    assert main(["list", what]) == 0
    lines = {line.split()[0]: line.split(maxsplit=1)[1:] for line in capsys.readouterr().out.splitlines()}
    for name in names:
        assert lines[name] and len(lines[name][0]) > 10


def test_data_commands(folder: Path, monkeypatch, capsys) -> None:
    monkeypatch.chdir(folder)
    assert main(["data", "simulate", "-n", "30", "--seed", "5", "--size", "32", "-o", "other"]) == 0
    assert len(list((folder / "other/images_training_rev1").glob("*.jpg"))) == 30
    assert main(["data", "check", "small.yaml"]) == 0
    assert "Class7" in capsys.readouterr().out
    assert main(["data", "prepare", "small.yaml"]) == 0
    assert re.search(r"train \d+, validation \d+, test \d+; left out: none; no ", capsys.readouterr().out)
