"""Every family of networks at its smallest, for the tests that go through the whole registry.

Networks that are known beyond this project have their size: tests/test_pretrained.py sees to them.
"""

from __future__ import annotations

from typing import Any

import keras
import numpy as np
from numpy.typing import NDArray

from galaxycnn.config import Config, load_config
from galaxycnn.models import CNNBuilder
from galaxycnn.models.blocks import ConvParams
from galaxycnn.models.pretrained import PretrainedFamily
from galaxycnn.registry import MODELS

BLOCKS = {"conv_layers": [[4, [3, 3]], [6, [3, 3]]], "dense_units": [8, 6], "dropout_rate": 0.2}
SMALL: dict[str, dict[str, Any]] = {
    "parallel_cnn": {"path_filters": [3, 4], "joint_filters": [4, 5], "dense_units": [8, 6]},
    "vit": {"patch_size": 4, "projection_dim": 8, "blocks": 2, "attention_heads": 2, "key_dim": 4, "mlp_units": 12},
    "vgg7": {"blocks": [[3, 4], [5]], "dense_units": [8]},
    "vgg11": {"blocks": [[3], [4, 5]], "dense_units": [8]},
    "multiview": {"conv_layers": [[3, 3, 2], [4, 3, 1]], "dense_units": [8, 6]},
    "equivariant": {"patterns": [3, 4], "dense_units": [8]},
    "polar": {"rays": 16, "radii": 8, "blocks": [[3], [4, 3]], "dense_units": [8]},
    "dual_head": {"version": 3, "dense_units": [8], "head": "tree"},
}
SIZES = {"multiview": [20, 20], "equivariant": [20, 20]}
"""Height and width of a cutout, for networks that do not take any."""

NETWORKS = [name for name, family in MODELS.items() if not issubclass(family, PretrainedFamily)]


def small_params(model_type: str) -> dict[str, Any]:
    """``model_params`` of a small network of that family; its defaults where none are given above."""
    params = BLOCKS if issubclass(MODELS[model_type].Params, ConvParams) else SMALL.get(model_type, {})
    return {"model_type": model_type, **params}


def without_dropout(model_type: str) -> dict[str, float]:
    """The keys that switch off all that is random in training."""
    keys = MODELS[model_type].Params.model_fields
    return {key: 0.0 for key in keys if key.endswith(("dropout_rate", "drop_path_rate"))}


def img_size(model_type: str) -> list[int]:
    return SIZES.get(model_type, [20, 16])


def small_config(model_type: str, grayscale: bool = False, **params: Any) -> Config:
    """A configuration of a small network for the questions of task 2."""
    return load_config(
        {
            "paths": {"images_path": "images"},
            "model_name": "small",
            "data_preprocessing": {"task": 2, "img_size": img_size(model_type), "grayscale": grayscale},
            "model_params": {**small_params(model_type), **params},
        }
    )


def network(model_type: str, size: int | tuple[int, int] = 64, **params: Any) -> keras.Model:
    """The network for all 37 answers about cutouts of that side, or height and width, with its own defaults."""
    height, width = (size, size) if isinstance(size, int) else size
    sections = {"paths": {"images_path": "images"}, "model_name": "network"}
    preprocessing = {"layout": "kaggle", "img_size": [height, width]}
    config = {**sections, "data_preprocessing": preprocessing, "model_params": {"model_type": model_type, **params}}
    return CNNBuilder(load_config(config)).build()


def pixels(config: Config, galaxies: int = 6) -> NDArray[np.uint8]:
    """Made-up cutouts for the network of ``config``."""
    shape = config.data_preprocessing.input_shape
    return np.random.default_rng(0).integers(0, 256, (galaxies, *shape), dtype=np.uint8)


def in_pose(images: NDArray[Any], pose: int) -> NDArray[Any]:
    """Cutouts (…, side, side, channels) turned by quarters, from pose 4 on after they were mirrored."""
    mirrored, quarters = divmod(pose, 4)
    return np.rot90(images[..., ::-1, :] if mirrored else images, quarters, axes=(-3, -2))


def fitted(config: Config) -> tuple[keras.Model, NDArray[np.uint8]]:
    """The network of ``config`` after a few steps of training, and the cutouts that it learnt from."""
    model, cutouts = CNNBuilder(config).build(), pixels(config, 12)
    model.compile("adam", "mean_squared_error")
    labels = np.random.default_rng(0).uniform(size=(12, model.output.shape[-1]))
    model.fit(cutouts, labels, epochs=3, batch_size=4, verbose=0)
    return model, cutouts


def draw_weights(model: keras.Model, rng: np.random.Generator) -> None:
    """Give ``model`` weights that are the same on every backend."""
    shapes = [weight.shape for weight in model.get_weights()]
    model.set_weights([rng.normal(0, 0.1, s) if len(s) > 1 else rng.uniform(0.1, 1, s) for s in shapes])
