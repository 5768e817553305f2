"""Baselines of classes and quantities: their contract, what they learn from, the command, and real galaxies."""

from __future__ import annotations

import json
import warnings
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
import yaml
from hypothesis import given, settings
from hypothesis import strategies as st
from PIL import Image
from sklearn.metrics import f1_score, r2_score

import galaxycnn
from galaxycnn.baselines import baselines_tables, fit, measure
from galaxycnn.baselines.pixels import SIDE, flattened
from galaxycnn.cli import main
from galaxycnn.data.dataset import prepare
from galaxycnn.errors import DataError, UserError
from galaxycnn.registry import BASELINES
from galaxycnn.tables import render

ANY = ["mean", "central_pixel", "ridge", "gradient_boosting", "pixels", "pca_boosting"]
"""Those that predict classes and quantities."""


def disks(count: int, seed: int = 0, size: int = 32, channels: int = 3) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Round spots whose size shows a number, some with a companion: cutouts, the number, whether there is one."""
    rng = np.random.default_rng(seed)
    y, x = np.indices((size, size)) - (size - 1) / 2
    number, paired = rng.uniform(0.02, 0.1, count), rng.random(count) < 0.3
    paired[:2] = False, True
    galaxy = np.exp(-(x**2 + y**2) / (2 * (0.3 * size * 0.05 / number[:, None, None] / 2) ** 2))
    companion = paired[:, None, None] * np.exp(-((x - 0.3 * size) ** 2 + (y - 0.3 * size) ** 2) / (size / 5))
    light = 180 * np.maximum(galaxy, companion)[..., None] + rng.normal(20, 5, (count, size, size, channels))
    return np.clip(light, 0, 255).astype(np.uint8), number, paired


def one_hot(paired: np.ndarray) -> np.ndarray:
    return np.eye(2)[paired.astype(int)]


@pytest.fixture(scope="module")
def sky(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder of images with ``labels.csv``: a class and a redshift, which is not known of every tenth galaxy."""
    folder = tmp_path_factory.mktemp("sky")
    (folder / "images").mkdir()
    cutouts, number, paired = disks(240)
    for i, cutout in enumerate(cutouts):
        Image.fromarray(cutout).save(folder / f"images/{i}.png")
    classes = np.where(paired, "merger", "single")
    redshift = np.where(np.arange(240) % 10 == 0, "", number.round(5).astype(str))
    labels = pd.DataFrame({"file": [f"{i}.png" for i in range(240)], "class": classes, "redshift": redshift})
    labels.to_csv(folder / "labels.csv", index=False)
    return folder


def configured(folder: Path, **preprocessing: object) -> dict[str, Any]:
    outputs = {name: str(folder / name) for name in ("plots_path", "logs_path", "cache_path", "models_path")}
    return {
        "paths": {"images_path": str(folder / "images"), "labels_path": str(folder / "labels.csv"), **outputs},
        "data_preprocessing": {"img_size": [32, 32], "quantities": ["redshift"], "missing": "mask", **preprocessing},
        "model_name": "floor",
        "model_params": {},
    }


@pytest.fixture(scope="module")
def results(sky: Path) -> dict[str, Any]:
    return measure(galaxycnn.load_config(configured(sky)))


# -- the contract --------------------------------------------------------------------------------


@pytest.mark.parametrize("channels", [1, 3])
@pytest.mark.parametrize("name", ANY)
def test_every_baseline_predicts_probabilities_and_numbers_and_repeats_itself(name: str, channels: int) -> None:
    cutouts, number, paired = disks(60, channels=channels, size=24)
    hopeless = np.stack([np.full((24, 24, channels), value, np.uint8) for value in (0, 255)])
    everything = np.concatenate([cutouts, hopeless])
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        classes, again = (fit(name, cutouts, one_hot(paired), "classes", seed=5) for _ in range(2))
        values = fit(name, cutouts, number, "quantity", seed=5).predict(everything)
    probabilities = classes.predict(everything)
    assert probabilities.shape == (62, 2) and values.shape == (62,)
    assert probabilities.min() >= 0
    np.testing.assert_allclose(probabilities.sum(axis=1), 1)
    assert np.isfinite(values).all()
    np.testing.assert_array_equal(again.predict(cutouts), probabilities[:60])


def test_what_predicts_neither_is_refused_by_name() -> None:
    cutouts, number, paired = disks(20)
    assert [name for name, method in BASELINES.items() if method.classes and method.quantity] == sorted(
        ANY, key=list(BASELINES).index
    )
    with pytest.raises(UserError, match="the baseline 'all_ones' does not predict classes; choose from"):
        fit("all_ones", cutouts, one_hot(paired), "classes")
    with pytest.raises(UserError, match="there is no baseline 'pixel'; did you mean 'pixels'"):
        fit("pixel", cutouts, number, "quantity")


@given(st.sets(st.integers(0, 59), min_size=1, max_size=30), st.sampled_from(["pixels", "gradient_boosting"]))
@settings(max_examples=6)
def test_what_is_not_known_trains_nothing(unknown: set[int], name: str) -> None:
    cutouts, number, paired = disks(60, seed=4)
    known = np.setdiff1d(np.arange(60), list(unknown))
    if len(set(paired[known])) < 2:
        return
    classes, values = one_hot(paired), number.copy()
    classes[list(unknown)], values[list(unknown)] = np.nan, np.nan
    for targets, kind in ((classes, "classes"), (values, "quantity")):
        masked, without = fit(name, cutouts, targets, kind), fit(name, cutouts[known], targets[known], kind)
        np.testing.assert_array_equal(masked.predict(cutouts), without.predict(cutouts))


def test_what_teaches_nothing_is_refused() -> None:
    cutouts = disks(20)[0]
    with pytest.raises(DataError, match="the quantities of no training galaxy are known"):
        fit("pixels", cutouts, np.full(20, np.nan), "quantity")
    with pytest.raises(DataError, match="all 20 training galaxies are of one class"):
        fit("pixels", cutouts, one_hot(np.zeros(20)), "classes")


def test_a_class_without_a_training_galaxy_has_probability_0() -> None:
    cutouts, _, paired = disks(40)
    three = np.eye(3)[np.where(paired, 2, 0)]
    for name in ANY:
        probabilities = fit(name, cutouts, three, "classes").predict(cutouts)
        assert (probabilities[:, 1] == 0).all() and probabilities[:, 2].max() > 0


@given(st.integers(0, 1000), st.sampled_from([64, 96, 33, 20]), st.sampled_from([1, 3]))
@settings(max_examples=10)
def test_pixels_are_means_over_areas(seed: int, side: int, channels: int) -> None:
    cutouts = np.random.default_rng(seed).integers(0, 256, (3, side, side, channels), np.uint8)
    seen = flattened(cutouts)
    left = min(side, SIDE)
    assert seen.shape == (3, left * left * channels) and seen.dtype == np.float32
    assert seen.min() >= 0 and seen.max() <= 1
    np.testing.assert_allclose(seen.mean(axis=1), cutouts.mean(axis=(1, 2, 3)) / 255, atol=0.002)


# -- measured as a network is --------------------------------------------------------------------


def test_measures_are_those_of_the_parts_that_a_network_gets(sky: Path, results: dict[str, Any]) -> None:
    data = prepare(galaxycnn.load_config(configured(sky)))
    assert sorted(results["baselines"]) == sorted(ANY)
    assert results["galaxies"] == {part.name: len(part) for part in data.parts}
    for name in ("pixels", "gradient_boosting"):
        classifier = fit(name, data.train.pixels(), data.train.fractions, "classes")
        regressor = fit(name, data.train.pixels(), data.train.quantities[:, 0], "quantity")
        for part in (data.validation, data.test):
            found = results["baselines"][name]["parts"][part.name]
            true, merger = part.fractions.argmax(axis=1), classifier.predict(part.pixels())[:, 1]
            classes, redshift = found["classes"], found["quantities"]["redshift"]
            assert classes["classes"] == ["merger", "single"] and classes["n"] == len(part)
            chosen = merger >= classes["threshold"]
            assert classes["macro"]["f1"] == pytest.approx(f1_score(true, chosen, average="macro"), abs=1e-9)
            known = ~np.isnan(part.quantities[:, 0])
            values = regressor.predict(part.pixels())[known]
            assert 0 < known.sum() == redshift["n"] < len(part) == redshift["n"] + redshift["unknown"]
            assert redshift["r2"] == pytest.approx(r2_score(part.quantities[known, 0], values), abs=1e-4)
    json.dumps(results)


def test_pixels_tell_what_can_be_seen_and_constants_do_not(results: dict[str, Any]) -> None:
    found = {name: baseline["parts"]["test"] for name, baseline in results["baselines"].items()}
    for name in ("pixels", "pca_boosting"):
        assert found[name]["classes"]["macro"]["f1"] > 0.9
        assert found[name]["quantities"]["redshift"]["intervals"]["r2"][0] > 0.5
    mean = found["mean"]
    assert mean["classes"]["balanced_accuracy"] == 0.5
    assert mean["classes"]["accuracy"] == mean["classes"]["baseline"]["accuracy"]
    assert mean["quantities"]["redshift"]["r2"] == pytest.approx(
        mean["quantities"]["redshift"]["baseline"]["r2"], abs=1e-5
    )


def test_over_sampling_is_for_what_tells_classes_apart_and_for_nothing_else(sky: Path, results: dict[str, Any]) -> None:
    config = galaxycnn.load_config(configured(sky, sampling="oversample"))
    data, found = prepare(config), measure(config, ["mean", "pixels"])
    assert len(set(data.train.ids)) == results["galaxies"]["train"] < len(data.train) == found["galaxies"]["train"]
    natural = {name: baseline["parts"]["test"] for name, baseline in results["baselines"].items()}
    sampled = {name: baseline["parts"]["test"] for name, baseline in found["baselines"].items()}
    assert sampled["mean"] == natural["mean"]
    assert sampled["pixels"]["quantities"] == natural["pixels"]["quantities"]
    repeated = fit("pixels", data.train.pixels(), data.train.fractions, "classes").predict(data.test.pixels())
    assert np.sqrt(np.square(repeated - data.test.fractions).mean()) == pytest.approx(
        sampled["pixels"]["overall"]["rmse"], rel=1e-3
    )
    assert sampled["pixels"]["overall"]["rmse"] != natural["pixels"]["overall"]["rmse"]


def test_a_quantity_alone_is_measured_without_questions(sky: Path) -> None:
    found = measure(galaxycnn.load_config(configured(sky, questions=[], missing="drop")), ["mean", "pixels"])
    part = found["baselines"]["pixels"]["parts"]["test"]
    assert list(part["quantities"]) == ["redshift"]
    assert not {"classes", "overall", "outputs"} & set(part)
    (table,) = baselines_tables(found)
    assert "redshift" in render(table)


def test_classes_alone_have_no_quantities(sky: Path) -> None:
    config = galaxycnn.load_config(configured(sky, quantities=[], missing="drop"))
    found = measure(config, ["central_pixel"])
    assert "quantities" not in found["baselines"]["central_pixel"]["parts"]["test"]
    with pytest.raises(UserError, match="the baseline 'all_zeros' does not predict classes; choose from"):
        measure(config, ["all_zeros"])


# -- the command ---------------------------------------------------------------------------------


def test_command_prints_a_table_of_each_kind_and_writes_the_measures(sky: Path, monkeypatch, capsys) -> None:
    monkeypatch.chdir(sky)
    Path("floor.yaml").write_text(yaml.safe_dump(configured(sky)))
    assert main(["baseline", "floor.yaml", "--set", "model_name=told"]) == 0
    printed = capsys.readouterr().out.splitlines()
    written = json.loads((sky / "plots_path/told/baselines.json").read_text())["baselines"]
    assert max(map(len, printed[:-1])) <= 80
    assert "…" not in "\n".join(printed)
    assert "AP: average precision of merger" in printed[0]
    starts = [i for i, line in enumerate(printed) if line.startswith("baselines of told")]
    classes, redshifts = printed[starts[0] : starts[1]], printed[starts[1] : -1]
    assert redshifts[0].endswith(": redshift")
    for lines, score in ((classes, lambda part: part["classes"]["macro"]["f1"]), (redshifts, _r2)):
        rows = {line.split()[0]: line for line in lines if line.split()[0] in ANY}
        assert sorted(rows) == sorted(ANY)
        for name, row in rows.items():
            for part in written[name]["parts"].values():
                assert f"{score(part):.3f}" in row
        order = [score(written[name]["parts"]["validation"]) for name in rows]
        assert order == sorted(order)


def _r2(part: dict[str, Any]) -> float:
    return part["quantities"]["redshift"]["r2"]


# -- real galaxies -------------------------------------------------------------------------------


def linked(folder: Path, to: Path, labels: pd.DataFrame, column: str, ending: str = "") -> Path:
    """A folder of some of the real galaxies."""
    (to / "images").mkdir()
    for name in labels[column]:
        (to / f"images/{name}{ending}").symlink_to(folder / f"images/{name}{ending}")
    labels.to_csv(to / "labels.csv", index=False)
    return to


def test_pixels_tell_the_redshift_of_real_spirals(real_data, tmp_path: Path) -> None:
    folder = real_data("redshift")
    labels = pd.read_csv(folder / "labels.csv", dtype=str).iloc[:600]
    config = configured(linked(folder, tmp_path, labels, "file"), questions=[], missing="drop")
    found = measure(galaxycnn.load_config(config), ["mean", "pixels", "pca_boosting"])["baselines"]
    redshift = {name: baseline["parts"]["test"]["quantities"]["redshift"] for name, baseline in found.items()}
    assert redshift["pixels"]["intervals"]["r2"][0] > 0.1 > redshift["mean"]["r2"]
    assert redshift["pca_boosting"]["r2"] > redshift["pixels"]["r2"]


def test_trees_on_measurements_tell_real_classes_better_than_pixels(real_data, tmp_path: Path) -> None:
    folder = real_data("gz1")
    labels = pd.read_csv(folder / "labels.csv", dtype=str)
    labels = labels[labels.label.isin(["elliptical", "edge_on"])].groupby("label").head(250)
    config = configured(
        linked(folder, tmp_path, labels, "objid", ".jpg"), quantities=[], missing="drop", img_size=[48, 48]
    )
    config["data_preprocessing"] |= {"crop": True, "crop_size": 192}
    found = measure(galaxycnn.load_config(config), ["pixels", "gradient_boosting"])["baselines"]
    classes = {name: baseline["parts"]["test"]["classes"] for name, baseline in found.items()}
    assert classes["gradient_boosting"]["accuracy"] > 0.8
    assert classes["gradient_boosting"]["macro"]["average_precision"] > classes["pixels"]["macro"]["average_precision"]
