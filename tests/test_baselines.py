"""Baselines: the contract of every one, what each predicts, the command, and real galaxies."""

from __future__ import annotations

import json
import warnings
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
import yaml
from galaxy_files import pixels, votes
from hypothesis import given, settings
from hypothesis import strategies as st

import galaxycnn
from galaxycnn.baselines import baselines_tables, fit, measure
from galaxycnn.cli import main
from galaxycnn.data.dataset import prepare
from galaxycnn.registry import BASELINES
from galaxycnn.simulate import simulate_survey
from galaxycnn.tables import render
from galaxycnn.tree import GALAXY_ZOO_2

NAMES = ["all_ones", "all_zeros", "mean", "central_pixel", "ridge", "gradient_boosting", "pixels", "pca_boosting"]


@pytest.fixture(scope="module")
def survey(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("baselines")
    simulate_survey(folder / "survey", galaxies=200, seed=3, image_size=32, processes=1)
    return folder


def config_of(folder: Path, **preprocessing: object) -> dict[str, object]:
    images, labels = "survey/images_training_rev1", "survey/training_solutions_rev1.csv"
    outputs = {name: str(folder / name) for name in ("plots_path", "logs_path", "cache_path", "models_path")}
    return {
        "paths": {"images_path": str(folder / images), "labels_path": str(folder / labels), **outputs},
        "data_preprocessing": {"task": 2, "img_size": [32, 32], **preprocessing},
        "model_name": "floor",
        "model_params": {},
    }


@pytest.fixture(scope="module")
def results(survey: Path) -> dict:
    return measure(galaxycnn.load_config(config_of(survey)))


# -- the contract --------------------------------------------------------------------------------


def test_the_registry_holds_what_the_documentation_names() -> None:
    assert sorted(BASELINES) == sorted(NAMES)
    assert all(10 < len(method.text) < 100 for method in BASELINES.values())


@pytest.mark.parametrize("channels", [1, 3])
@pytest.mark.parametrize("name", NAMES)
def test_every_baseline_predicts_fractions_for_any_cutout_and_repeats_itself(name: str, channels: int) -> None:
    tree = GALAXY_ZOO_2.subset(["Class1", "Class7"])
    cutouts = np.stack([pixels(seed, 24, channels) for seed in range(50)])
    hopeless = np.stack([np.full((24, 24, channels), value, np.uint8) for value in (0, 255)])
    everything = np.concatenate([cutouts, hopeless])
    fractions = votes(50, tree=GALAXY_ZOO_2)[:, GALAXY_ZOO_2.indices(tree.columns)]
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        fitted, again = (fit(name, cutouts, fractions, seed=5) for _ in range(2))
        predicted = fitted.predict(everything)
    assert predicted.shape == (52, len(tree.columns))
    assert np.isfinite(predicted).all() and predicted.min() >= 0 and predicted.max() <= 1
    np.testing.assert_array_equal(again.predict(everything), predicted)
    # BLAS adds in another order for another number of galaxies
    np.testing.assert_allclose(again.predict(cutouts), predicted[:50], rtol=0, atol=np.finfo(np.float32).eps)


# -- what each predicts --------------------------------------------------------------------------


@given(seed=st.integers(0, 1000))
@settings(max_examples=10)
def test_constants_are_constants(seed: int) -> None:
    cutouts, fractions = np.zeros((6, 16, 16, 3), np.uint8), votes(6, seed)
    assert (fit("all_ones", cutouts, fractions).predict(cutouts) == 1).all()
    assert (fit("all_zeros", cutouts, fractions).predict(cutouts) == 0).all()
    np.testing.assert_allclose(fit("mean", cutouts, fractions).predict(cutouts[:1])[0], fractions.mean(axis=0))


def test_central_pixel_predicts_the_mean_of_galaxies_whose_middle_has_the_colour() -> None:
    colours = np.array([[200, 90, 40], [90, 100, 180], [120, 120, 120]], np.uint8)
    kind = np.arange(30) % 3
    rng = np.random.default_rng(0)
    cutouts = rng.integers(0, 255, (30, 65, 65, 3), np.uint8)
    cutouts[:, 30:35, 30:35] = colours[kind][:, None, None]
    dimmed = cutouts // 2  # brightness is no colour
    fractions = votes(30)
    predicted = fit("central_pixel", cutouts, fractions).predict(dimmed)
    expected = np.stack([fractions[kind == k].mean(axis=0) for k in range(3)])[kind]
    np.testing.assert_allclose(predicted, expected, atol=1e-12)


def test_measured_baselines_beat_the_mean_on_simulated_galaxies(results: dict) -> None:
    rmse = {name: found["parts"]["test"]["overall"]["rmse"] for name, found in results["baselines"].items()}
    assert max(rmse["ridge"], rmse["gradient_boosting"]) < 0.92 * rmse["mean"] < rmse["mean"] < rmse["all_zeros"]


# -- measured as a network is --------------------------------------------------------------------


def test_measures_are_those_of_the_parts_that_a_network_gets(survey: Path, results: dict) -> None:
    data = prepare(galaxycnn.load_config(config_of(survey)))
    assert results["galaxies"] == {part.name: len(part) for part in data.parts}
    assert list(results["baselines"]) == list(BASELINES)
    for name, baseline in results["baselines"].items():
        fitted = fit(name, data.train.pixels(), data.train.fractions, seed=48)
        assert list(baseline["parts"]) == ["validation", "test"]
        for part in (data.validation, data.test):
            error = np.sqrt(np.square(fitted.predict(part.pixels()) - part.fractions).mean())
            assert baseline["parts"][part.name]["overall"]["rmse"] == pytest.approx(error, rel=1e-6)
        assert baseline["seconds"] >= 0
    mean = results["baselines"]["mean"]["parts"]["test"]["overall"]
    assert mean["rmse"] == pytest.approx(mean["baseline"]["rmse"])
    json.dumps(results)


def test_a_part_without_galaxies_is_left_out(survey: Path) -> None:
    config = galaxycnn.load_config(config_of(survey, training_size=1.0))
    found = measure(config, ["mean"])
    assert sorted(found["galaxies"]) == ["test", "train"]
    assert list(found["baselines"]["mean"]["parts"]) == ["test"]
    assert "validation" not in render(*baselines_tables(found))


# -- the command ---------------------------------------------------------------------------------


def test_command_prints_a_table_and_writes_the_measures(survey: Path, monkeypatch, capsys) -> None:
    monkeypatch.chdir(survey)
    Path("floor.yaml").write_text(yaml.safe_dump(config_of(survey)))
    assert main(["baseline", "floor.yaml", "--set", "model_name=told", "--seed", "49"]) == 0
    printed = capsys.readouterr().out.splitlines()
    written = json.loads((survey / "plots_path/told/baselines.json").read_text())
    assert (written["model_name"], written["seed"]) == ("told", 49)
    assert printed[-1].endswith("told/baselines.json")
    assert max(map(len, printed[:-1])) <= 80
    rows = {line.split()[0]: line for line in printed if line.split()[0] in NAMES}
    assert sorted(rows) == sorted(NAMES)
    for name, row in rows.items():
        for part in written["baselines"][name]["parts"].values():
            assert f"{part['overall']['rmse']:.4f} [" in row
    order = [written["baselines"][name]["parts"]["validation"]["overall"]["rmse"] for name in rows]
    assert order == sorted(order, reverse=True)


def test_command_measures_one_baseline_or_says_which_there_are(survey: Path, monkeypatch, capsys) -> None:
    monkeypatch.chdir(survey)
    Path("floor.yaml").write_text(yaml.safe_dump(config_of(survey)))
    assert main(["baseline", "floor.yaml", "--name", "mean", "--set", "model_name=one"]) == 0
    assert list(json.loads((survey / "plots_path/one/baselines.json").read_text())["baselines"]) == ["mean"]
    capsys.readouterr()
    assert main(["baseline", "floor.yaml", "--name", "rigde", "--set", "model_name=none"]) == 2
    assert "there is no baseline 'rigde'; did you mean 'ridge'?" in capsys.readouterr().err
    assert not (survey / "plots_path/none").exists()


# -- real galaxies -------------------------------------------------------------------------------


def test_ridge_on_measurements_beats_the_mean_of_real_galaxies(real_data, tmp_path: Path) -> None:
    folder = real_data("kaggle")
    labels = pd.read_csv(folder / "training_solutions_rev1.csv").iloc[:700]
    (tmp_path / "images").mkdir()
    for name in labels.GalaxyID:
        (tmp_path / f"images/{name}.jpg").symlink_to(folder / f"images_training_rev1/{name}.jpg")
    labels.to_csv(tmp_path / "labels.csv", index=False)
    outputs = {name: str(tmp_path / name) for name in ("plots_path", "logs_path", "cache_path")}
    config = {
        "paths": {"images_path": str(tmp_path / "images"), "labels_path": str(tmp_path / "labels.csv"), **outputs},
        "data_preprocessing": {"crop": True, "crop_size": 256},
        "model_name": "real",
        "model_params": {},
    }
    found = measure(galaxycnn.load_config(config), ["mean", "central_pixel", "ridge"])["baselines"]
    overall = {name: baseline["parts"]["test"]["overall"] for name, baseline in found.items()}
    assert overall["ridge"]["intervals"]["rmse"][1] < 0.95 * overall["mean"]["rmse"]
    assert overall["ridge"]["rmse"] < overall["central_pixel"]["rmse"] < overall["mean"]["rmse"]
