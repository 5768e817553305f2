"""People's own galaxies, and real ones, from folder to evaluated model."""

from __future__ import annotations

import shutil
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

import galaxycnn
from galaxycnn.config import Config, load_config
from galaxycnn.errors import DataError
from galaxycnn.simulate import simulate_survey

SHAPES = {"Class1.1": "smooth", "Class2.1": "edge-on", "Class2.2": "face-on"}


def configured(folder: Path, images: Path, labels: Path | None, **sections) -> Config:
    outputs = {f"{kind}_path": str(folder / kind) for kind in ("plots", "models", "logs", "cache")}
    params = {"conv_layers": [[8, [3, 3]], [16, [3, 3]]], "dense_units": [16], "early_stop_patience": 4}
    values = {
        "paths": {"images_path": str(images), "labels_path": None if labels is None else str(labels), **outputs},
        "data_preprocessing": {"img_size": [32, 32]},
        "model_name": "mine",
        "model_params": {"model_type": "base", "out_activation": "softmax", **params},
        "train_params": {"epochs": 8, "batch_size": 16, "loss_function": "categorical_crossentropy"},
    }
    for name, keys in sections.items():
        values[name] = {**values[name], **keys}
    return load_config(values)


@pytest.fixture(scope="module")
def shapes(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, pd.Series]:
    """Simulated galaxies whose shape is clear, and its name by galaxy."""
    survey = simulate_survey(tmp_path_factory.mktemp("shapes") / "survey", galaxies=300, seed=3, image_size=32)
    labels = pd.read_csv(survey / "training_solutions_rev1.csv", index_col="GalaxyID")[list(SHAPES)]
    clear = labels[labels.max(axis=1) > 0.5].idxmax(axis=1).map(SHAPES)
    return survey / "images_training_rev1", clear


def in_folders(shapes: tuple[Path, pd.Series], folder: Path, without: str = "") -> tuple[Path, None]:
    images, names = shapes
    for galaxy, name in names.items():
        if name != without:
            (folder / name).mkdir(parents=True, exist_ok=True)
            shutil.copy(images / f"{galaxy}.jpg", folder / name)
    return folder, None


def in_a_table(shapes: tuple[Path, pd.Series], folder: Path) -> tuple[Path, Path]:
    images, names = shapes
    folder.mkdir(exist_ok=True)
    pd.DataFrame({"file": [f"{galaxy}.jpg" for galaxy in names.index], "class": names.values}).to_csv(
        folder / "labels.csv", index=False
    )
    return images, folder / "labels.csv"


@pytest.mark.parametrize("layout", [in_folders, in_a_table], ids=["folders", "table"])
def test_own_classes_are_learnt_saved_and_measured_elsewhere(shapes, tmp_path: Path, layout) -> None:
    images, labels = layout(shapes, tmp_path / "mine")
    run = galaxycnn.train(configured(tmp_path, images, labels), save_plots=False)
    assert [answer.name for answer in run.data.tree.questions[0].answers] == ["edge-on", "face-on", "smooth"]
    output = next(iter(run.results["parts"]["train"]["outputs"].values()))
    assert output["rmse"] < 0.97 * output["baseline"]["rmse"]
    again = galaxycnn.evaluate(tmp_path / "models" / "mine.h5", images, labels)
    assert again["n"] == sum(run.results["galaxies"].values())


def test_a_folder_without_one_of_the_classes_can_be_measured_and_one_with_another_cannot(
    shapes, tmp_path: Path
) -> None:
    images, _ = in_folders(shapes, tmp_path / "mine")
    galaxycnn.train(
        configured(tmp_path, images, None, train_params={"epochs": 1}), save_history=False, save_plots=False
    )
    model = tmp_path / "models" / "mine.keras"
    disks, _ = in_folders(shapes, tmp_path / "disks", without="smooth")
    results = galaxycnn.evaluate(model, disks)
    assert results["outputs"]["label"]["answers"] == ["edge-on", "face-on", "smooth"]
    counts = np.sum(results["outputs"]["label"]["confusion"]["true_walk"]["counts"], axis=1)
    assert (counts > 0).tolist() == [True, True, False]
    (disks / "face-on").rename(disks / "ring")
    with pytest.raises(DataError, match=r"has labels for label\.edge-on, label\.ring, but the model answers"):
        galaxycnn.evaluate(model, disks)


def test_real_galaxies_are_learnt(real_data, tmp_path: Path) -> None:
    kaggle = real_data("kaggle")
    labels = pd.read_csv(kaggle / "training_solutions_rev1.csv").head(500)
    labels.to_csv(tmp_path / "labels.csv", index=False)
    (tmp_path / "images").mkdir()
    for galaxy in labels["GalaxyID"]:
        (tmp_path / "images" / f"{galaxy}.jpg").symlink_to(kaggle / "images_training_rev1" / f"{galaxy}.jpg")
    config = configured(
        tmp_path,
        tmp_path / "images",
        tmp_path / "labels.csv",
        data_preprocessing={"task": 2, "crop": True, "crop_size": 256},
        model_params={"model_type": "hierarchy"},
        train_params={"epochs": 12, "loss_function": "mean_squared_error"},
    )
    run = galaxycnn.train(config, save_plots=False)
    overall = run.results["parts"]["test"]["overall"]
    assert run.results["galaxies"] == {"train": 320, "validation": 100, "test": 80}
    assert run.results["left_out"] == {}
    assert run.data.leaks.pairs == []
    assert overall["rmse"] < 0.95 * overall["baseline"]["rmse"]
    assert all(output["sums"]["max"] < 1e-5 for output in run.results["parts"]["test"]["outputs"].values())
