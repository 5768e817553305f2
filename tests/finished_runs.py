"""Runs that look finished, without a training: a network with random weights, its split and its predictions."""

from __future__ import annotations

from pathlib import Path

import keras
import numpy as np
from galaxy_files import kaggle_folder

from galaxycnn.artefacts import RunFiles
from galaxycnn.config import Config, load_config
from galaxycnn.data.dataset import prepare
from galaxycnn.evaluation import Baseline
from galaxycnn.models import CNNBuilder
from galaxycnn.models.saving import Recipe, save_model
from galaxycnn.views import fill_mode, predict_views


def configured(folder: Path, name: str, **sections) -> Config:
    """A small configuration of the galaxies in ``folder / "data"`` that writes into ``folder``."""
    paths = {
        "images_path": str(folder / "data" / "images_training_rev1"),
        "labels_path": str(folder / "data" / "training_solutions_rev1.csv"),
    }
    values = {
        "paths": paths | {f"{kind}_path": str(folder / kind) for kind in ("plots", "models", "logs", "cache")},
        "data_preprocessing": {"img_size": [16, 16]},
        "model_name": name,
        "model_params": {"conv_layers": [[4, [3, 3]]], "dense_units": [8], "head": "tree"},
        "train_params": {"epochs": 1},
    }
    return load_config({**values, **sections})


def galaxies(folder: Path, count: int = 60) -> Path:
    kaggle_folder(folder / "data", count)
    return folder


def finished(config: Config, seed: int = 0) -> Path:
    """The model file of such a run; its network gives other galaxies clearly other fractions."""
    files, data = RunFiles(config), prepare(config)
    keras.utils.set_random_seed(seed)
    model = CNNBuilder(config, data.tree).build()
    model.set_weights([weights * 3 for weights in model.get_weights()])
    data.split.save(files.split)
    for part in data.parts[1:]:
        seen = predict_views(model, data.tree, part, config.evaluation_params.views, fill_mode(config))
        files.write_predictions(part.name, part.ids, data.tree, seen.mean)
    baseline = Baseline.fit(data.tree, np.asarray(data.train.fractions))
    return save_model(model, files.model(".keras"), Recipe(config, data.tree, baseline.to_dict()))
