"""The diff in CONTRIBUTING.md that adds a network is all that it takes."""

from __future__ import annotations

import importlib
import re
import sys
from pathlib import Path

import numpy as np
import pytest

from galaxycnn.cli import main
from galaxycnn.config import load_config, loading
from galaxycnn.errors import ConfigError
from galaxycnn.models import CNNBuilder
from galaxycnn.registry import MODELS

DIFF = re.search(r"```diff\n(.*?)```", (Path(__file__).parents[1] / "CONTRIBUTING.md").read_text(), re.DOTALL).group(1)


@pytest.fixture
def added_network(monkeypatch: pytest.MonkeyPatch, tmp_path: Path):
    """Import the diff's new file, and forget it afterwards."""
    assert len(MODELS) > 0
    monkeypatch.setattr(MODELS, "_entries", dict(MODELS._entries))
    loading._config_class.cache_clear()
    new_file = DIFF.split("@@\n")[1].split("--- a/my.yaml")[0]
    lines = [line.removeprefix("+") for line in new_file.splitlines()]
    assert all(line.startswith("+") for line in new_file.splitlines())
    assert f"+1,{len(lines)} @@" in DIFF
    (tmp_path / "pooled.py").write_text("\n".join(lines))
    monkeypatch.syspath_prepend(tmp_path)
    importlib.import_module("pooled")
    yield "pooled"
    del sys.modules["pooled"]
    loading._config_class.cache_clear()


def configured(**params):
    sections = {"paths": {"images_path": "images"}, "model_name": "my", "data_preprocessing": {"task": 2}}
    return load_config({**sections, "model_params": {"model_type": "pooled", **params}})


def test_the_network_builds_and_its_keys_are_checked(added_network: str, capsys: pytest.CaptureFixture[str]) -> None:
    model = CNNBuilder(configured(filters=[4, 8])).build()
    fractions = model.predict(np.zeros((2, 64, 64, 3), "uint8"), verbose=0)
    assert fractions.shape == (2, 8)
    with pytest.raises(ConfigError, match="did you mean 'filters'"):
        configured(filter=[4])
    assert main(["list", "models"]) == 0
    assert "Strided convolutions" in capsys.readouterr().out


def test_without_the_file_there_is_no_such_network() -> None:
    with pytest.raises(ConfigError, match="there is no model 'pooled'"):
        configured()
