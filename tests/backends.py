"""A script run on one of Keras' backends, in a process of its own."""

from __future__ import annotations

import importlib.util
import os
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest


def needs(backend: str) -> None:
    """Skip the test where ``backend`` is not installed."""
    if importlib.util.find_spec(backend) is None:
        pytest.skip(f"{backend} is not installed (pip install {backend} to test Keras on it)")


def run_on(backend: str, script: str, folder: Path) -> dict[str, np.ndarray]:
    """The arrays that ``script`` saves (``np.savez``) at the path that is its first word."""
    environment = {**os.environ, "KERAS_BACKEND": backend, "TF_CPP_MIN_LOG_LEVEL": "3"}
    environment["XLA_FLAGS"] = "--xla_backend_optimization_level=0"  # what JAX compiles here runs once
    environment["PYTHONPATH"] = str(Path(__file__).parent)
    path = folder / f"{backend}.npz"
    done = subprocess.run([sys.executable, "-c", script, path], env=environment, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr[-2000:]
    return dict(np.load(path))
