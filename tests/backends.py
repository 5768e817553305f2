"""A function of a test file run on one of Keras' other backends, in a process of its own."""

from __future__ import annotations

import importlib.util
import os
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest


def needs(backend: str) -> None:
    """Skip the test where ``backend`` is not installed."""
    if importlib.util.find_spec(backend) is None:
        pytest.skip(f"{backend} is not installed (pip install {backend} to test Keras on it)")


def run_on(backend: str, found: Callable[[], dict[str, np.ndarray]], folder: Path) -> dict[str, np.ndarray]:
    """The arrays that ``found``, from the top level of a test file, returns there."""
    environment = {**os.environ, "KERAS_BACKEND": backend, "TF_CPP_MIN_LOG_LEVEL": "3"}
    environment["XLA_FLAGS"] = "--xla_backend_optimization_level=0"  # what JAX compiles here runs once
    environment["PYTHONPATH"] = str(Path(__file__).parent)
    path = folder / f"{backend}.npz"
    script = f"import sys, numpy, {found.__module__} as file; numpy.savez(sys.argv[1], **file.{found.__name__}())"
    done = subprocess.run([sys.executable, "-c", script, path], env=environment, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr[-2000:]
    return dict(np.load(path))
