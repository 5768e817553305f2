"""The networks that come with galaxycnn: found by their names, small, as good as their card says."""

from __future__ import annotations

import importlib.util
import json
import subprocess
import sys
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from galaxy_files import kaggle_folder
from PIL import Image

import galaxycnn
from galaxycnn.cli import main
from galaxycnn.config import load_config
from galaxycnn.data.split import Split
from galaxycnn.ensembles import load_ensemble
from galaxycnn.models.saving import read_recipe
from galaxycnn.models.typical import read_typical
from galaxycnn.pretrained import DEFAULT, PRETRAINED
from galaxycnn.tree import GALAXY_ZOO_2

ROOT = Path(__file__).parents[1]
COLUMNS = list(GALAXY_ZOO_2.columns)
LITE, POLAR = "galaxy_zoo_lite0", "galaxy_zoo_polar"


@pytest.fixture(scope="module")
def galaxy(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A picture of a smooth round source."""
    y, x = np.indices((424, 424)) - 212
    light = 230 * np.exp(-np.hypot(x, y) / 25)
    path = tmp_path_factory.mktemp("shipped") / "galaxy.jpg"
    Image.fromarray(np.repeat(light[..., None], 3, axis=2).astype(np.uint8)).save(path, quality=95)
    return path


@pytest.mark.parametrize("name", PRETRAINED)
def test_it_is_small_and_whole(name: str) -> None:
    path = PRETRAINED[name]
    assert path.stat().st_size <= 12e6
    recipe = read_recipe(path)
    assert recipe.tree == GALAXY_ZOO_2 and read_typical(path) is not None
    assert load_config(path.with_suffix(".yaml")).model_params == recipe.config.model_params


def test_a_picture_is_answered_without_naming_a_model(galaxy: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["predict", str(galaxy)]) == 0
    assert "smooth" in capsys.readouterr().out


def test_the_name_stands_wherever_a_model_does(galaxy: Path, tmp_path: Path) -> None:
    by_name = galaxycnn.predict([galaxy], "galaxy_zoo", views=1)
    pd.testing.assert_frame_equal(by_name, galaxycnn.predict([galaxy], views=1))
    assert galaxycnn.load_model("galaxy_zoo").count_params() == galaxycnn.load_model(PRETRAINED[DEFAULT]).count_params()
    assert main(["explain", "galaxy_zoo", str(galaxy), "--question", "shape", "-o", str(tmp_path / "why")]) == 0
    assert any((tmp_path / "why").rglob("*.png"))


def test_a_network_begins_with_its_backbone_and_is_told_of_galaxies_that_it_knows(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    split = Split.load(PRETRAINED[LITE].with_name(f"{LITE}.split.csv"))
    names = [*split.train[:12], *split.test[:8]]
    images, labels = kaggle_folder(tmp_path / "data", len(names))
    table = pd.read_csv(labels, dtype={"GalaxyID": str})
    for before, name in zip(table["GalaxyID"], names, strict=True):
        (images / f"{before}.jpg").rename(images / f"{name}.jpg")
    table.assign(GalaxyID=names).to_csv(labels, index=False)
    galaxies = {"images_path": str(images), "labels_path": str(labels)}
    folders = {f"{kind}_path": str(tmp_path / kind) for kind in ("plots", "models", "logs", "cache")}
    config = load_config(
        {
            "paths": galaxies | folders,
            "data_preprocessing": {"img_size": [32, 32], "training_size": 1.0, "test_size": 0.5, "stratify": False},
            "model_name": "mine",
            "model_params": {"model_type": "efficientnet_lite0", "weights": LITE, "frozen_stages": "all"},
            "train_params": {"epochs": 1},
            "evaluation_params": {"views": 1},
        }
    )
    run = galaxycnn.train(config, save_model=False, save_plots=False)
    kernel = run.model.get_layer("stem_conv").kernel
    np.testing.assert_array_equal(kernel, galaxycnn.load_model(LITE).get_layer("stem_conv").kernel)
    known = np.intersect1d(run.data.test.ids, split.train)
    assert len(known) and f"{len(known)} of the 10 galaxies of the test part trained" in capsys.readouterr().err

    apart = Split(names[:12], [], names[12:])
    galaxycnn.train(config.model_copy(update={"model_name": "apart"}), split=apart, save_model=False, save_plots=False)
    assert "trained the first weights" not in capsys.readouterr().err


def test_the_best_of_them_is_the_mean_of_one_of_each_kind(
    galaxy: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    ensemble = load_ensemble("galaxy_zoo_best")
    kinds = (DEFAULT, LITE, POLAR)
    assert [member.path for member in ensemble.members] == [PRETRAINED[name] for name in kinds]
    assert len(set(ensemble.weights)) == 1 and ensemble.views % 2
    best, *each = (galaxycnn.predict([galaxy], name, views=3)[COLUMNS] for name in ("galaxy_zoo_best", *kinds))
    np.testing.assert_allclose(best, np.mean(each, axis=0), atol=1e-6)
    assert main(["explain", "galaxy_zoo_best", str(galaxy), "-o", str(tmp_path / "why")]) == 2
    assert "galaxy_zoo_best.ensemble.yaml: a model file ends with .keras or .h5" in capsys.readouterr().err
    assert main(["predict", str(galaxy), "--model", "galaxy_zoo_bset"]) == 2
    assert "did you mean 'galaxy_zoo_best'" in capsys.readouterr().err


def test_it_answers_in_a_few_seconds_without_anything_else_being_there(galaxy: Path, tmp_path: Path) -> None:
    words = [sys.executable, "-m", "galaxycnn.cli", "predict", str(galaxy)]
    shown = subprocess.run(words, cwd=tmp_path, capture_output=True, text=True, check=True, timeout=120)
    assert galaxy.name in shown.stdout and list(tmp_path.iterdir()) == []


def test_they_load_in_a_notebook_that_has_done_nothing_else() -> None:
    script = "import galaxycnn, sys; [galaxycnn.load_model(name) for name in sys.argv[1:]]"
    shown = subprocess.run([sys.executable, "-c", script, *PRETRAINED], capture_output=True, text=True, timeout=120)
    assert shown.returncode == 0, shown.stderr


@pytest.mark.parametrize("name", PRETRAINED)
def test_real_galaxies_are_predicted_as_well_as_the_card_says(name: str, real_data) -> None:
    folder = real_data("kaggle")
    measured = json.loads(PRETRAINED[name].with_name(f"{name}.metrics.json").read_text())
    split = pd.read_csv(PRETRAINED[name].with_name(f"{name}.split.csv"), dtype=str)
    names = split.loc[split["part"] == "test", "id"].tolist()
    truth = pd.read_csv(folder / "training_solutions_rev1.csv", dtype={"GalaxyID": str}).set_index("GalaxyID")
    images = [folder / "images_training_rev1" / f"{galaxy}.jpg" for galaxy in names]
    found = galaxycnn.predict(images, name, views=1)
    error = np.sqrt(np.square(found[COLUMNS].to_numpy() - truth.loc[names, COLUMNS].to_numpy()).mean())
    assert error == pytest.approx(measured["parts"]["test"]["single_view_rmse"], abs=2e-4)
    assert 0.001 < found["flags"].str.contains("atypical").mean() < 0.05


def test_the_card_is_made_from_the_measures() -> None:
    spec = importlib.util.spec_from_file_location("make_model_card", ROOT / "docs" / "make_model_card.py")
    maker = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(maker)
    committed = PRETRAINED[DEFAULT].with_name("README.md").read_text()
    assert maker.card() == committed, "out of date: run python docs/make_model_card.py"
