"""A server with a small network, for the tests of the page and of the endpoint."""

from __future__ import annotations

import io
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from threading import Thread

import keras
import numpy as np
from PIL import Image

from galaxycnn.config import Config, load_config
from galaxycnn.models import CNNBuilder
from galaxycnn.models.saving import Recipe, save_model
from galaxycnn.serving.limits import Limits
from galaxycnn.serving.server import Server
from galaxycnn.simulate import Survey
from galaxycnn.tree import GALAXY_ZOO_2, DecisionTree

CLASSES = DecisionTree.from_classes({"label": ["elliptical", "spiral & <bar>"]})


def small_model(folder: Path, tree: DecisionTree = GALAXY_ZOO_2, **data: object) -> Path:
    """A network with random weights whose answers differ clearly."""
    config: Config = load_config(
        {
            "paths": {"images_path": "images"},
            "model_name": "small",
            "data_preprocessing": {"img_size": [24, 24], "crop": True, "crop_size": 32, **data},
            "model_params": {"conv_layers": [[4, [3, 3]], [6, [3, 3]]], "dense_units": [8], "head": "tree"},
        }
    )
    keras.utils.set_random_seed(0)
    model = CNNBuilder(config, tree).build()
    model.set_weights([weights * 3 for weights in model.get_weights()])
    return save_model(model, folder / "small.keras", Recipe(config, tree, {}))


@contextmanager
def serving(model: Path, **limits: float) -> Iterator[str]:
    """The address of a server that ends with the block."""
    server = Server.of(model, Limits(**{"per_minute": 100_000, **limits}), port=0)
    thread = Thread(target=server.run)
    thread.start()
    try:
        yield server.url
    finally:
        server.stop()
        thread.join(30)
        assert not thread.is_alive()


def galaxy_file(number: int = 1, kind: str = "PNG", size: int = 48) -> bytes:
    """A simulated galaxy as the content of a file."""
    content = io.BytesIO()
    Image.fromarray(Survey(100, image_size=size).draw(number).image).save(content, kind)
    return content.getvalue()


def plain_png(width: int, height: int) -> bytes:
    """A PNG that is much smaller than what it unfolds to."""
    content = io.BytesIO()
    Image.fromarray(np.zeros((height, width), np.uint8)).save(content, "PNG")
    return content.getvalue()
