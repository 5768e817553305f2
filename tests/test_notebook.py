"""The notebook that explains a run: executed on a small one, and as it is committed."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

import nbformat
import pytest
from nbclient import NotebookClient
from nbclient.exceptions import CellExecutionError

import galaxycnn

NOTEBOOK = Path(__file__).parents[1] / "analysis.ipynb"
MACHINE_PATH = re.compile(r"(?<![\w.:/<~-])/(?:[\w.-]+/)+[\w.-]*|\b[A-Z]:\\\w")
RUN = {
    "paths": {
        "images_path": "data/survey/images_training_rev1",
        "labels_path": "data/survey/training_solutions_rev1.csv",
    },
    "simulation": {"galaxies": 150, "image_size": 32, "seed": 3},
    "data_preprocessing": {"task": 2, "img_size": [32, 32]},
    "model_name": "small",
    "model_params": {
        "model_type": "hierarchy",
        "conv_layers": [[4, [3, 3]], [8, [3, 3]]],
        "dense_units": [8],
        "out_activation": "softmax",
    },
    "train_params": {"epochs": 2, "batch_size": 32},
}


def execute(folder: Path) -> Any:
    notebook = nbformat.read(NOTEBOOK, as_version=4)
    for cell in notebook.cells:
        if cell.cell_type == "code":
            cell.outputs, cell.execution_count = [], None
    NotebookClient(notebook, timeout=120, resources={"metadata": {"path": str(folder)}}).execute()
    return notebook


def code_cells(notebook: Any) -> list[Any]:
    return [cell for cell in notebook.cells if cell.cell_type == "code"]


def speaking(notebook: Any) -> list[bool]:
    """Which code cells have outputs."""
    return [bool(cell.outputs) for cell in code_cells(notebook)]


def outputs(notebook: Any) -> list[Any]:
    return [output for cell in code_cells(notebook) for output in cell.outputs]


def text_of(output: Any) -> str:
    data = output.get("data", {})
    return "\n".join([output.get("text", ""), data.get("text/plain", ""), data.get("text/html", "")])


def pictures(notebook: Any) -> int:
    return sum(mime.startswith("image/") for output in outputs(notebook) for mime in output.get("data", {}))


@pytest.fixture(scope="module")
def committed() -> Any:
    return nbformat.read(NOTEBOOK, as_version=4)


def test_explains_a_run(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, committed: Any) -> None:
    monkeypatch.chdir(tmp_path)
    run = galaxycnn.train(galaxycnn.load_config(RUN))
    before = {path: path.read_bytes() for path in run.files}
    monkeypatch.setenv("GALAXYCNN_RUN", "small")

    notebook = execute(tmp_path)

    said = "\n".join(map(text_of, outputs(notebook)))
    test = run.results["parts"]["test"]
    assert f"RMSE {test['overall']['rmse']:.3f} against {test['overall']['baseline']['rmse']:.3f}" in said
    assert "largest difference between .keras and .h5 over 192 predicted fractions: 0.0e+00" in said
    assert "test: 24 galaxies" in said and "all columns" in said
    for question in run.data.tree.questions:
        assert f"{question.name:8}{question.text}" in said
    assert pictures(notebook) == pictures(committed)
    assert speaking(notebook) == speaking(committed)
    assert {path: path.read_bytes() for path in run.files} == before, "the notebook must leave the run as it is"


def test_says_what_to_do_without_a_run(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("GALAXYCNN_RUN", "absent")
    with pytest.raises(CellExecutionError, match=r"no run 'absent' here.* run \./run\.zsh configs/quickstart"):
        execute(tmp_path)


def test_is_committed_as_executed_from_top_to_bottom(committed: Any) -> None:
    cells = code_cells(committed)
    assert [cell.execution_count for cell in cells] == list(range(1, len(cells) + 1))
    assert not [output for output in outputs(committed) if output.output_type == "error"]
    assert not [output.text for output in outputs(committed) if output.get("name") == "stderr"]
    assert NOTEBOOK.stat().st_size < 1_500_000


def test_names_no_folder_of_a_machine(committed: Any) -> None:
    texts = [cell.source for cell in committed.cells] + list(map(text_of, outputs(committed)))
    assert [found for text in texts for found in MACHINE_PATH.findall(text)] == []
    for path in ("/home/ann/run", "see /tmp/x/y.png", "C:\\Users", "'/srv/a'"):
        assert MACHINE_PATH.search(path)
