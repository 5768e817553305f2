"""Views of a galaxy: which ones a number stands for, what they look like, and what their mean keeps."""

from __future__ import annotations

import json
from collections import Counter
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import numpy as np
import pytest
from galaxy_files import kaggle_folder, pixels
from hypothesis import given
from hypothesis import strategies as st

import galaxycnn
from galaxycnn.config import load_config
from galaxycnn.data.dataset import Part
from galaxycnn.errors import UserError
from galaxycnn.models import CNNBuilder
from galaxycnn.tree import GALAXY_ZOO_2
from galaxycnn.views import BATCH, View, ahead, fill_mode, make_views, predict_views


def configured(**sections):
    values = {
        "paths": {"images_path": "images"},
        "data_preprocessing": {"img_size": [16, 16]},
        "model_name": "views",
        "model_params": {"conv_layers": [[4, [3, 3]]], "dense_units": [8], "head": "tree"},
    }
    return load_config({**values, **sections})


def part_of(images: np.ndarray) -> Part:
    ids = np.array([f"{i}" for i in range(len(images))])
    fractions = np.zeros((len(images), len(GALAXY_ZOO_2.columns)), np.float32)
    return Part("all", ids, images, np.arange(len(images)), fractions)


@given(st.integers(1, 200))
def test_a_number_gives_that_many_different_views_beginning_with_none_at_all(count: int) -> None:
    views = make_views(count)
    assert len(set(views)) == len(views) == count
    assert views[0] == View()
    assert sum(view.mirrored for view in views) == (count // 2 if count % 2 == 0 else 0)
    assert len(set(Counter((view.zoom, view.mirrored) for view in views).values())) == 1
    assert len(set(Counter(view.angle for view in views).values())) == 1


@pytest.mark.parametrize(
    ("count", "rotations", "zooms"),
    [(1, 1, 1), (2, 1, 1), (3, 3, 1), (8, 4, 1), (15, 5, 3), (16, 8, 1), (24, 4, 3), (60, 10, 3)],
)
def test_the_views_of_the_documented_numbers(count: int, rotations: int, zooms: int) -> None:
    views = make_views(count)
    assert sorted({view.angle for view in views}) == pytest.approx(np.arange(rotations) * 360 / rotations)
    assert len({view.zoom for view in views}) == zooms


def test_where_quarters_and_mirroring_change_nothing_15_views_are_those_of_the_winner() -> None:
    few, winner = ({(round(view.angle % 90, 6), view.zoom) for view in make_views(count)} for count in (15, 60))
    assert few == winner and len(few) == 15


def test_no_views_are_refused() -> None:
    with pytest.raises(UserError, match="at least 1, not 0"):
        make_views(0)


@pytest.mark.parametrize("size", [16, 17])
def test_quarter_turns_and_mirror_images_are_exact(size: int) -> None:
    images = np.stack([pixels(seed, size) for seed in range(3)])
    for turns in range(4):
        np.testing.assert_array_equal(View(90.0 * turns)(images), np.rot90(images, turns, axes=(1, 2)))
        mirrored = View(90.0 * turns, mirrored=True)(images)
        np.testing.assert_array_equal(mirrored, np.rot90(images, turns, axes=(1, 2))[:, :, ::-1])


def test_a_larger_field_of_view_shows_a_smaller_galaxy() -> None:
    image = np.zeros((1, 33, 33, 1), np.uint8)
    image[:, 12:21, 12:21] = 200
    light = [float(View(zoom=zoom)(image).sum()) for zoom in (1 / 1.2, 1.0, 1.2)]
    assert light == pytest.approx([light[1] * 1.44, light[1], light[1] / 1.44], rel=0.1)


def test_the_mean_of_quarter_turns_does_not_depend_on_how_a_galaxy_lies() -> None:
    model = CNNBuilder(configured(), GALAXY_ZOO_2).build()
    images = np.stack([pixels(seed, 16) for seed in range(5)])
    turned = np.ascontiguousarray(np.rot90(images, axes=(1, 2))[:, :, ::-1])
    one, other = (predict_views(model, GALAXY_ZOO_2, part_of(x), 8) for x in (images, turned))
    np.testing.assert_allclose(one.mean, other.mean, atol=1e-6)
    assert np.abs(one.first - other.first).max() > 1e-5


@pytest.mark.parametrize("views", [1, 2, 12])
def test_mean_spread_and_first_are_those_of_the_predictions_of_each_view(views: int) -> None:
    model = CNNBuilder(configured(), GALAXY_ZOO_2).build()
    images = np.stack([pixels(seed, 16) for seed in range(BATCH + 3)])
    seen = predict_views(model, GALAXY_ZOO_2, part_of(images), views, "nearest")
    each = np.stack([model.predict(view(images, "nearest"), verbose=0) for view in make_views(views)]).astype(float)
    np.testing.assert_allclose(seen.mean, each.mean(axis=0), atol=1e-6)
    np.testing.assert_allclose(seen.spread, each.std(axis=0), atol=1e-6)
    np.testing.assert_allclose(seen.first, each[0], atol=1e-6)
    assert np.abs(GALAXY_ZOO_2.deviations(seen.mean)).max() < 1e-6


def test_networks_with_an_output_for_each_question_are_averaged_too() -> None:
    tree = GALAXY_ZOO_2.subset(["Class1", "Class2", "Class7"])
    params = {"model_type": "hierarchy", "conv_layers": [[4, [3, 3]]], "dense_units": [8]}
    model = CNNBuilder(configured(model_params=params, data_preprocessing={"task": 2, "img_size": [16, 16]}), tree)
    images = np.stack([pixels(seed, 16) for seed in range(4)])
    assert predict_views(model.build(), tree, part_of(images), 4).mean.shape == (4, len(tree.columns))


def test_views_are_filled_as_the_training_images_were() -> None:
    assert fill_mode(configured()) == "reflect"
    assert fill_mode(configured(data_augmentation_params={"rotation_range": 90})) == "reflect"
    assert fill_mode(configured(data_augmentation_params={"preset": "seed_task1"})) == "nearest"


def test_work_ahead_keeps_the_order_and_passes_errors_on() -> None:
    with ThreadPoolExecutor(3) as pool:
        assert list(ahead(pool, str, range(20), depth=5)) == [str(i) for i in range(20)]
        with pytest.raises(ZeroDivisionError):
            list(ahead(pool, lambda x: 1 / x, [1, 0, 2]))


def test_a_run_and_its_model_file_average_the_views_that_the_configuration_says(tmp_path: Path) -> None:
    images, labels = kaggle_folder(tmp_path / "data", 60)
    paths = {f"{kind}_path": str(tmp_path / kind) for kind in ("plots", "models", "logs", "cache")}
    config = configured(
        paths={"images_path": str(images), "labels_path": str(labels), **paths},
        data_preprocessing={"task": 1, "img_size": [16, 16]},
        train_params={"epochs": 1},
        evaluation_params={"views": 4},
    )
    run = galaxycnn.train(config, save_plots=False)
    results = json.loads((tmp_path / "plots" / "views" / "metrics.json").read_text())
    model = tmp_path / "models" / "views.keras"
    assert [part["views"] for part in results["parts"].values()] == [1, 4, 4]
    seen = predict_views(run.model, run.data.tree, run.data.test, 4)
    np.testing.assert_allclose(run.predictions["test"], seen.mean, atol=1e-6)
    single = np.sqrt(np.square(run.model.predict(run.data.test.pixels(), verbose=0) - run.data.test.fractions).mean())
    assert results["parts"]["test"]["single_view_rmse"] == pytest.approx(single, rel=1e-5)
    by_default, alone = galaxycnn.evaluate(model, images, labels), galaxycnn.evaluate(model, images, labels, views=1)
    assert by_default["views"] == 4
    assert by_default["single_view_rmse"] == pytest.approx(alone["overall"]["rmse"])
    assert alone["single_view_rmse"] == pytest.approx(alone["overall"]["rmse"])
    assert by_default["overall"]["rmse"] != pytest.approx(alone["overall"]["rmse"], abs=1e-9)
