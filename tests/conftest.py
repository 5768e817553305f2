"""What several test files share: the real galaxies beside the checkout, and quiet backends."""

from __future__ import annotations

import gc
import os
from collections.abc import Callable, Iterator
from importlib.util import find_spec
from pathlib import Path

import pytest
from hypothesis import settings

import galaxycnn  # noqa: F401 - before Keras: in every process TensorFlow computes in the same way

if "PYTEST_XDIST_WORKER_COUNT" in os.environ:  # threads that share a core wait for each other, most of the time
    share = (os.cpu_count() or 1) // int(os.environ["PYTEST_XDIST_WORKER_COUNT"])
    os.environ.setdefault("OMP_NUM_THREADS", str(max(share, 1)))

gc.set_threshold(100_000, 20, 100)  # tracing a network makes many objects and little garbage: a tenth of the time


def pytest_collection_finish() -> None:
    """Let the garbage collector leave alone what was imported: clearing a Keras session took two seconds."""
    gc.collect()
    gc.freeze()


@pytest.fixture(scope="module", autouse=True)
def _no_garbage_of_other_files() -> Iterator[None]:
    yield
    gc.collect()


settings.register_profile("galaxycnn", deadline=None, derandomize=True)
settings.load_profile("galaxycnn")

os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "2")
os.environ.setdefault("MPLBACKEND", "Agg")

collect_ignore = [] if find_spec("torch") else ["torch_resnet18.py"]
"""What the search for doctests must not import."""


@pytest.fixture(scope="session")
def real_data() -> Callable[[str], Path]:
    """Look up a folder of real galaxies by name; the test skips where it is absent."""
    root = Path(os.environ.get("GALAXYCNN_DATA", Path(__file__).parents[2] / "shared" / "data"))

    def find(name: str) -> Path:
        folder = root / name
        if not folder.is_dir():
            pytest.skip(f"no real galaxies at {folder} (set GALAXYCNN_DATA to a folder that holds {name}/)")
        return folder

    return find
