"""All 37 vote fractions from a YAML file: every head, no validation part, and a student of a network's own labels."""

from __future__ import annotations

import json
import shutil
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
import yaml

from galaxycnn.cli import main
from galaxycnn.config import load_config
from galaxycnn.models.builder import CNNBuilder
from galaxycnn.models.saving import load_model
from galaxycnn.registry import HEADS
from galaxycnn.simulate import simulate_survey
from galaxycnn.tree import GALAXY_ZOO_2

ROOT = Path(__file__).parents[1]
IMAGES, LABELS = "survey/images_training_rev1", "survey/training_solutions_rev1.csv"
SMALL = {
    "paths": {"images_path": IMAGES, "labels_path": LABELS},
    "data_preprocessing": {"img_size": [24, 24], "training_size": 1.0, "test_size": 0.25},
    "model_name": "small",
    "model_params": {"model_type": "base", "head": "tree", "conv_layers": [[4, [3, 3]]], "dense_units": [8]},
    "train_params": {"epochs": 1, "batch_size": 32, "metrics": ["rmse"]},
    "evaluation_params": {"views": 2},
}


@pytest.fixture(scope="module")
def survey(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("survey")
    simulate_survey(folder / "survey", galaxies=80, seed=3, image_size=32)
    return folder


@pytest.fixture
def work(survey: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    shutil.copytree(survey, tmp_path, dirs_exist_ok=True)
    (tmp_path / "small.yaml").write_text(yaml.safe_dump(SMALL))
    monkeypatch.chdir(tmp_path)
    return tmp_path


def test_training_without_validation_measures_and_keeps_the_test_part(work: Path) -> None:
    assert main(["train", "small.yaml", "--no-save_plots"]) == 0
    results = json.loads(Path("metrics_plots/small/metrics.json").read_text())
    assert results["galaxies"] == {"train": 60, "test": 20}
    assert results["parts"]["test"]["views"] == 2
    assert {"processor", "cores", "gpus", "backend"} == results["machine"].keys()
    predicted = pd.read_csv("metrics_plots/small/predictions_test.csv", dtype={"id": str}).set_index("id")
    truth = pd.read_csv(LABELS, dtype={"GalaxyID": str}).set_index("GalaxyID").loc[predicted.index]
    error = np.sqrt(np.square(predicted.to_numpy() - truth[list(predicted.columns)].to_numpy()).mean())
    assert error == pytest.approx(results["parts"]["test"]["overall"]["rmse"], abs=1e-5)
    assert np.abs(GALAXY_ZOO_2.deviations(predicted.to_numpy())).max() < 1e-4


def test_watching_for_a_stop_needs_validation_galaxies(work: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["train", "small.yaml", "--set", "model_params.early_stop_patience=3"]) == 2
    assert "cannot be watched without validation galaxies" in capsys.readouterr().err
    assert not Path("saved_models").exists()


def test_a_student_learns_from_the_labels_of_its_teacher(work: Path) -> None:
    assert main(["train", "small.yaml", "--set", "model_name=teacher", "--no-save_plots"]) == 0
    simulate_survey(Path("more/survey"), galaxies=30, seed=4, image_size=32)
    unlabelled = Path("unlabelled")
    unlabelled.mkdir()
    for image in Path("more", IMAGES).iterdir():
        shutil.copy(image, unlabelled / f"9{image.name}")
    assert main(["submit", "saved_models/teacher.keras", str(unlabelled), "-o", "pseudo.csv", "--views", "2"]) == 0
    extra = ["--set", f"paths.extra_images_path={unlabelled}", "--set", "paths.extra_labels_path=pseudo.csv"]
    assert main(["train", "small.yaml", "--set", "model_name=student", "--no-save_plots", *extra]) == 0
    teacher, student = (
        json.loads(Path(f"metrics_plots/{name}/metrics.json").read_text()) for name in ("teacher", "student")
    )
    assert student["galaxies"] == {"train": 90, "test": 20}
    assert student["parts"]["test"]["overall"]["baseline"] != teacher["parts"]["test"]["overall"]["baseline"]


@pytest.mark.parametrize("head", list(HEADS))
def test_every_head_gives_the_same_columns_and_reloads(head: str, tmp_path: Path) -> None:
    config = load_config(SMALL, [f"model_params.head={head}"])
    model = CNNBuilder(config).build()
    pixels = np.random.default_rng(0).integers(0, 256, (5, 24, 24, 3)).astype("float32")
    fractions = model.predict(pixels, verbose=0)
    assert fractions.shape == (5, 37) and fractions.min() >= 0 and fractions.max() <= 1
    if head in ("tree", "divisive"):
        assert np.abs(GALAXY_ZOO_2.deviations(fractions)).max() < 1e-5
    for suffix in (".keras", ".h5"):
        model.save(tmp_path / f"model{suffix}")
        np.testing.assert_allclose(
            load_model(tmp_path / f"model{suffix}").predict(pixels, verbose=0), fractions, rtol=1e-5
        )


def test_softmaxed_questions_sum_to_one_each() -> None:
    model = CNNBuilder(load_config(SMALL, ["model_params.head=per_question_softmax"])).build()
    fractions = model.predict(np.zeros((1, 24, 24, 3)), verbose=0)
    for question in GALAXY_ZOO_2.questions:
        assert fractions[:, GALAXY_ZOO_2.slice(question)].sum() == pytest.approx(1, abs=1e-5)


@pytest.mark.parametrize("path", sorted(ROOT.glob("configs/*.yaml")), ids=lambda path: path.stem)
def test_every_recipe_is_a_valid_configuration(path: Path) -> None:
    config = load_config(path)
    assert config.model_name == path.stem
