"""galaxycnn: from a YAML file to a trained, measured network for galaxy images.

Example:
    >>> import galaxycnn
    >>> config = galaxycnn.load_config("configs/quickstart.yaml")  # doctest: +SKIP
    >>> run = galaxycnn.train(config)  # doctest: +SKIP
    >>> model = galaxycnn.load_model("saved_models/quickstart.keras")  # doctest: +SKIP
"""

from __future__ import annotations

import importlib
import os
import platform
from importlib.metadata import version
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from galaxycnn.config import Config, load_config
    from galaxycnn.evaluating import evaluate
    from galaxycnn.models import CNNBuilder
    from galaxycnn.models.saving import load_model
    from galaxycnn.predicting import predict
    from galaxycnn.training import train
    from galaxycnn.tree import GALAXY_ZOO_2, DecisionTree

__version__ = version("galaxycnn")

if platform.machine() in ("x86_64", "AMD64"):
    # TensorFlow reads this when it is imported; by itself it uses oneDNN with AVX-512 VNNI and not with AVX2 alone.
    os.environ.setdefault("TF_ENABLE_ONEDNN_OPTS", "1")

_HOMES = {
    "CNNBuilder": "galaxycnn.models",
    "Config": "galaxycnn.config",
    "DecisionTree": "galaxycnn.tree",
    "GALAXY_ZOO_2": "galaxycnn.tree",
    "evaluate": "galaxycnn.evaluating",
    "load_config": "galaxycnn.config",
    "load_model": "galaxycnn.models.saving",
    "predict": "galaxycnn.predicting",
    "train": "galaxycnn.training",
}
__all__ = [
    "GALAXY_ZOO_2",
    "CNNBuilder",
    "Config",
    "DecisionTree",
    "evaluate",
    "load_config",
    "load_model",
    "predict",
    "train",
]


def __getattr__(name: str) -> Any:
    """Import the public names on first use: Keras takes seconds to import, ``--help`` must not."""
    if name not in _HOMES:
        raise AttributeError(f"module 'galaxycnn' has no attribute {name!r}")
    return getattr(importlib.import_module(_HOMES[name]), name)
