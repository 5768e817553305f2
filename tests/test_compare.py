"""``galaxycnn compare``: which files are found, what is told of each model, what is warned of, the whole command."""

from __future__ import annotations

import json
import re
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
import yaml
from galaxy_files import kaggle_folder, votes, write_image
from hypothesis import given, settings
from hypothesis import strategies as st
from rich.table import Table

from galaxycnn.cli import main
from galaxycnn.comparing import Measured, failures, find_file, read_models, warnings
from galaxycnn.detection import evaluate_classes
from galaxycnn.errors import DataError, UserError
from galaxycnn.evaluation import Baseline, evaluate_fractions
from galaxycnn.markdown import markdown, table_markdown
from galaxycnn.plots.comparison import Estimate, compared_scores
from galaxycnn.quantities import QuantityBaseline, evaluate_quantity
from galaxycnn.side_by_side import details, page, scores, side_by_side, write_page
from galaxycnn.tables import render
from galaxycnn.tree import GALAXY_ZOO_2

NAMES = ["other", "merger"]


def classes(sure: float, n: int = 200, names: list[str] = NAMES, seed: int = 0) -> dict[str, Any]:
    """A fifth of the galaxies is of the last class; ``sure`` is how far the right class stands out."""
    rng = np.random.default_rng(seed)
    truth = np.where(rng.random(n) < 0.2, len(names) - 1, rng.integers(0, len(names) - 1, n))
    scores = rng.dirichlet(np.ones(len(names)), n) * (1 - sure) + sure * np.eye(len(names))[truth]
    return evaluate_classes(truth, np.clip(scores, 0, 1), names, resamples=50)


def redshift(slope: float, n: int = 200, noise: float = 0.005, seed: int = 0) -> dict[str, Any]:
    rng = np.random.default_rng(seed)
    truth = rng.uniform(0.01, 0.1, n)
    predicted = 0.055 + slope * (truth - 0.055) + noise * rng.normal(size=n)
    return evaluate_quantity(truth, predicted, baseline=QuantityBaseline.fit(truth), resamples=50)


def fractions(error: float, n: int = 80, questions: tuple[str, ...] = ("Class1", "Class7")) -> dict[str, Any]:
    tree = GALAXY_ZOO_2.subset(questions)
    truth = votes(n)[:, GALAXY_ZOO_2.indices(tree.columns)]
    wrong = votes(n, seed=9)[:, GALAXY_ZOO_2.indices(tree.columns)]
    return evaluate_fractions(tree, truth, truth + error * (wrong - truth), Baseline.fit(tree, truth), resamples=50)


def network(folder: Path, name: str, part: dict[str, Any], ids: list[str] | None = None, **about: Any) -> Path:
    """A run's folder, as a training leaves it."""
    values = {"model_name": name, "model_type": "dual_head", "parameters": 421_000, "parts": {"test": part}, **about}
    (folder / name).mkdir(parents=True)
    (folder / name / "metrics.json").write_text(json.dumps(values))
    if ids is not None:
        pd.DataFrame({"id": ids, "Class1.1": 0.5}).to_csv(folder / name / "predictions_test.csv", index=False)
    return folder / name


def baselines(folder: Path, of: str, parts: dict[str, dict[str, Any]]) -> Path:
    found = {
        name: {"text": f"what {name} does", "seconds": 1.5, "parts": {"test": part}} for name, part in parts.items()
    }
    (folder / of).mkdir(parents=True, exist_ok=True)
    file = folder / of / "baselines.json"
    file.write_text(json.dumps({"model_name": of, "seed": 48, "galaxies": {"train": 9}, "baselines": found}))
    return file


# -- which files ---------------------------------------------------------------------------------


def test_a_run_is_found_by_folder_file_or_name(tmp_path: Path, monkeypatch) -> None:
    monkeypatch.chdir(tmp_path)
    folder = network(tmp_path / "metrics_plots", "cnn_v1", {"classes": classes(0.5)})
    file = baselines(tmp_path / "metrics_plots", "floor", {"mean": {"classes": classes(0)}})
    for word in ("cnn_v1", str(folder), str(folder / "metrics.json")):
        assert find_file(word).resolve() == folder / "metrics.json"
    assert find_file("floor").resolve() == file
    assert [model.name for model in read_models(["cnn_v1", folder, "floor"])] == ["cnn_v1", "mean"]
    baselines(tmp_path / "metrics_plots", "cnn_v1", {"mean": {}})
    assert find_file("cnn_v1").name == "metrics.json"


def test_models_of_one_name_are_told_apart(tmp_path: Path) -> None:
    files = [baselines(tmp_path, of, {"mean": {"classes": classes(0)}}) for of in ("one", "two")]
    runs = [network(tmp_path / place, "cnn", {"classes": classes(0.4)}) for place in ("here", "there")]
    names = [model.name for model in read_models([*files, *runs])]
    assert names == ["mean (one)", "mean (two)", f"cnn ({runs[0]})", f"cnn ({runs[1]})"]


def test_what_cannot_be_read_is_named(tmp_path: Path, monkeypatch) -> None:
    monkeypatch.chdir(tmp_path)
    with pytest.raises(UserError, match="there is no run 'cnn_v1'; metrics_plots holds none"):
        read_models(["cnn_v1"])
    network(tmp_path / "metrics_plots", "cnn_v2", {"classes": classes(0.5)})
    with pytest.raises(UserError, match="there is no run 'cnn_v3'; did you mean 'cnn_v2'"):
        read_models(["cnn_v3"])
    with pytest.raises(DataError, match=r"metrics.json: nothing was measured on a part 'tests'; did you mean 'test'"):
        read_models(["cnn_v2"], "tests")
    (tmp_path / "empty").mkdir()
    with pytest.raises(UserError, match=r"empty: the folder holds neither metrics.json nor baselines.json"):
        read_models(["empty"])
    for content, message in (("id,Class1.1\n", "is not JSON"), ("[1]", "holds neither"), ('{"a": 1}', "holds neither")):
        (tmp_path / "odd.json").write_text(content)
        with pytest.raises(DataError, match=rf"odd.json: {message}"):
            read_models(["odd.json"])


# -- what is told of a model ---------------------------------------------------------------------


def test_results_tell_what_was_not_learned() -> None:
    def of(**results: Any) -> list[str]:
        return failures(Measured("cnn", results, {}))

    constant = np.tile([0.9, 0.1], (200, 1))
    truth = np.arange(200) % 5 == 0
    ranked = np.column_stack([0.9 - 0.2 * truth, 0.1 + 0.2 * truth])
    assert of(classes=classes(0.6), quantities={"redshift": redshift(0.9)}) == []
    assert of(classes=evaluate_classes(truth, constant, NAMES)) == ["classes not told apart", "never predicts merger"]
    assert of(classes=evaluate_classes(truth, ranked, NAMES)) == [
        "choices no better than chance",
        "never predicts merger",
    ]
    assert of(quantities={"redshift": redshift(0, noise=0.001)}) == ["redshift collapsed"]
    assert of(quantities={"redshift": redshift(0, noise=0.05)}) == ["redshift no better than the mean"]
    assert of(**fractions(0.1)) == []
    assert of(**fractions(2.0)) == ["no better than the mean"]


def test_a_class_that_does_not_occur_need_not_be_predicted() -> None:
    results = evaluate_classes([0, 0, 1, 1], np.eye(3)[[0, 0, 1, 1]], [*NAMES, "ring"], resamples=20)
    assert failures(Measured("cnn", {"classes": results}, {})) == []


def test_details_are_the_reports_of_the_seed() -> None:
    model = Measured("logistic", {"classes": classes(0.4), "quantities": {"redshift": redshift(0.9)}}, {})
    report, confusion, quantity = (render(table) for table in details(model, "test"))
    assert report.startswith("logistic, test: 200 galaxies")
    assert all(word in report for word in ("precision", "recall", "F1", "support", "macro average"))
    assert "other (0)" in confusion and "merger (1)" in confusion
    assert quantity.startswith("logistic, test: redshift of 200 galaxies")
    assert details(Measured("votes", fractions(0.1), {})) == []


# -- side by side --------------------------------------------------------------------------------


def joint() -> list[Measured]:
    """Two networks and a baseline, one of which predicts classes alone."""
    about = {"model_type": "dual_head", "parameters": 421_000}
    return [
        Measured("dual_v1", {"classes": classes(0.3), "quantities": {"redshift": redshift(0, noise=0.001)}}, about),
        Measured("dual_v5", {"classes": classes(0.5)}, about),
        Measured("pixels", {"classes": classes(0.2), "quantities": {"redshift": redshift(0.8)}}, {"text": "linear"}),
    ]


def test_the_table_has_the_form_of_the_seed() -> None:
    models = joint()
    (table,) = side_by_side(models)
    lines = render(table).splitlines()
    assert max(map(len, lines)) <= 80
    text = page(models)
    rows = {
        row.split(" | ")[0].strip("| "): row.strip("| ").split(" | ")
        for row in text.splitlines()
        if row.startswith("| ")
    }
    assert rows["Model"] == ["Model", "Accuracy", "F1 (other)", "F1 (merger)", "MSE", "R²", "Notes"]
    for model in models:
        accuracy, f1 = model.classes["accuracy"], model.classes["per_class"]["f1"]
        cells = rows[model.name]
        for cell, value in zip(cells[1:4], (accuracy, *f1), strict=True):
            assert cell.startswith(f"{value:.2f} [")
    assert rows["dual_v5"][4:] == ["–", "–", "dual_head; 421,000 parameters"]
    assert rows["dual_v1"][6] == "dual_head; 421,000 parameters; redshift collapsed"
    assert rows["pixels"][6] == "linear"


def test_every_further_quantity_has_a_table_and_votes_have_theirs() -> None:
    mass = redshift(0.7)
    mass["quantity"]["name"] = "mass"
    about = {"parameters": 1000, "training_seconds": 120.0, "epochs": 3, "galaxies": {"train": 4000}}
    models = [
        Measured("both", {"quantities": {"redshift": redshift(0.9), "mass": mass}}, {}),
        Measured("votes", {**fractions(0.2), "views": 16}, about),
        Measured("seldom", fractions(0.3), {}),
    ]
    first, second, third = (render(table) for table in side_by_side(models))
    assert "both" in first and "both" in second and "votes" not in first + second and first != second
    assert max(map(len, third.splitlines())) <= 80
    (row,) = [line for line in third.splitlines() if line.startswith("votes")]
    low, high = models[1].results["overall"]["intervals"]["rmse"]
    assert f"{models[1].results['overall']['rmse']:.4f} [{low:.3f} {high:.3f}]" in row
    assert all(word in row for word in ("1,000", "2.0 min", "100", "16 views"))
    assert "| seldom |" in page(models)


def test_scores_have_their_intervals_and_floors() -> None:
    models = joint()
    found = scores(models)
    assert "R²: redshift" in found and found["R²: redshift"][1] is None
    for model, estimate in zip(models, found["F1: merger"], strict=True):
        assert estimate.value == model.classes["per_class"]["f1"][1]
        assert estimate.low <= estimate.value <= estimate.high
        assert estimate.floor == model.classes["baseline"]["per_class"]["f1"][1]
    many = [
        Measured("ten", {"classes": classes(0.5, names=list("abcdefghij"))}, {}),
        Measured("votes", fractions(0.1), {}),
    ]
    assert list(scores(many)) == [
        "accuracy",
        "macro F1",
        "macro average precision",
        "RMSE of vote fractions (less is better)",
    ]


# -- whether they may be compared ----------------------------------------------------------------


def test_the_same_galaxies_need_no_warning(tmp_path: Path) -> None:
    ids = [f"{i}" for i in range(200)]
    runs = [network(tmp_path, name, {"classes": classes(0.4)}, ids[::step]) for name, step in (("a", 1), ("b", -1))]
    file = baselines(tmp_path, "a", {"mean": {"classes": classes(0)}})
    assert warnings(read_models([*runs, file])) == []


def test_part_of_the_truth_may_be_unknown(tmp_path: Path) -> None:
    """A run whose labels are masked predicts galaxies of which one quantity is not known."""
    ids = [f"{i}" for i in range(300)]
    runs = [
        network(tmp_path, "joint", {"quantities": {"redshift": redshift(0.9)}}, ids),
        network(tmp_path, "alone", {"quantities": {"redshift": redshift(0.8)}}, ids[:200]),
    ]
    assert warnings(read_models(runs)) == []


@pytest.mark.parametrize("ids, n", [(("a", "b"), 200), ((None, None), 150)])
def test_other_galaxies_are_warned_of(tmp_path: Path, ids: tuple[Any, Any], n: int) -> None:
    runs = [
        network(tmp_path, name, {"classes": classes(0.4, n=count)}, prefix and [f"{prefix}{i}" for i in range(200)])
        for name, prefix, count in (("first", ids[0], 200), ("second", ids[1], n), ("third", ids[0], 200))
    ]
    (warning,) = warnings(read_models(runs))
    assert warning.startswith("classes were measured on different galaxies of 'test'")
    assert f"first, third (200 galaxies) | second ({n} galaxies)" in warning


def test_other_labels_are_warned_of() -> None:
    models = [
        Measured("two", {"classes": classes(0.4)}, {}),
        Measured("three", {"classes": classes(0.4, names=["a", "b", "c"])}, {}),
        Measured("seven", fractions(0.1), {}),
        Measured("one", fractions(0.1, questions=("Class1",)), {}),
    ]
    first, second = warnings(models)
    assert first.startswith("classes are not the same") and "two (other, merger) | three (a, b, c)" in first
    assert second.startswith("vote fractions are not the same") and "seven (Class1, Class7) | one (Class1)" in second


@given(st.lists(st.sampled_from([20, 30, 40]), min_size=1, max_size=6))
@settings(max_examples=10)
def test_there_is_a_warning_where_numbers_of_galaxies_differ(counts: list[int]) -> None:
    results = {n: {"classes": classes(0.4, n=n)} for n in set(counts)}
    found = warnings([Measured(f"m{i}", results[n], {}) for i, n in enumerate(counts)])
    assert bool(found) == (len(set(counts)) > 1)
    assert all(f"m{i}" in found[0] for i in range(len(counts)) if found)


# -- Markdown and pictures -----------------------------------------------------------------------


@given(st.lists(st.text("ab|ü ", min_size=1, max_size=5), min_size=1, max_size=4))
def test_cells_survive_markdown(cells: list[str]) -> None:
    lines = markdown(cells, [cells]).splitlines()
    ours = [cell.strip() for cell in cells]
    for line in (lines[0], lines[2]):
        found = re.split(r"(?<!\\)\|", line)[1:-1]
        assert [cell.replace("\\|", "|").strip() for cell in found] == ours


def test_a_table_without_a_title_is_a_table_alone() -> None:
    table = Table("a")
    table.add_row("1")
    assert table_markdown(table) == "| a |\n|---|\n| 1 |"


def test_a_page_and_its_picture(tmp_path: Path) -> None:
    files = write_page(joint(), tmp_path / "out" / "compared.md")
    assert [file.name for file in files] == ["compared.md", "compared.png"]
    text = files[0].read_text()
    assert "![Scores with 95 % intervals](compared.png)" in text
    assert text.count("\n## ") == 3 and files[1].stat().st_size > 10_000
    with pytest.raises(UserError, match=r"compared.html: a comparison is written as Markdown"):
        write_page(joint(), tmp_path / "compared.html")
    assert sorted(path.name for path in tmp_path.iterdir()) == ["out"]


def test_scores_far_below_nothing_keep_their_number(tmp_path: Path) -> None:
    estimates = [Estimate(-4.13, -5, -3, 0.0), Estimate(0.4, 0.3, 0.5, 0.0), Estimate(0.1, None, None, None)]
    path = compared_scores({"v1": False, "pixels": True, "v2": False}, {"R²": estimates}, tmp_path / "r2.svg")
    text = path.read_text()
    assert "−4.13" in text and all(word in text for word in ("network", "baseline", "without looking", "pixels"))
    with pytest.raises(DataError, match="there are no scores to draw"):
        compared_scores({"v1": False}, {}, tmp_path / "none.png")


# -- the command ---------------------------------------------------------------------------------


def configured(folder: Path, labels: Path, images: Path, **sections: dict[str, Any]) -> Path:
    outputs = {f"{kind}_path": str(folder / kind) for kind in ("models", "logs", "cache")}
    values = {
        "paths": {"images_path": str(images), "labels_path": str(labels), "plots_path": "metrics_plots", **outputs},
        "data_preprocessing": {"img_size": [16, 16]},
        "model_name": "cnn",
        "model_params": {"conv_layers": [[4, [3, 3]]], "dense_units": [8], "out_activation": "softmax"},
        "train_params": {"epochs": 1, "batch_size": 32},
    }
    for name, keys in sections.items():
        values[name] |= keys
    path = folder / "run.yaml"
    path.write_text(yaml.safe_dump(values))
    return path


def test_a_network_and_baselines_of_classes_and_redshifts_are_compared(tmp_path: Path, monkeypatch, capsys) -> None:
    monkeypatch.chdir(tmp_path)
    for i in range(80):
        write_image(tmp_path / f"images/{i}.jpg", i)
    table = {"file": [f"{i}.jpg" for i in range(80)], "class": ["other", "merger"] * 40}
    pd.DataFrame(table | {"redshift": np.linspace(0.01, 0.1, 80)}).to_csv("labels.csv", index=False)
    config = configured(tmp_path, Path("labels.csv"), Path("images"), data_preprocessing={"quantities": ["redshift"]})
    assert main(["train", str(config), "--no-save_model"]) == 0
    assert main(["baseline", str(config), "--name", "pixels"]) == 0
    capsys.readouterr()
    assert main(["compare", "cnn", "metrics_plots/cnn/baselines.json", "-o", "out/compared.md"]) == 0
    printed = capsys.readouterr().out
    assert max(map(len, printed.splitlines())) <= 80
    for words in ("cnn, test: 1", "pixels, test: 1", "true, predicted:", "F1", "R²", "linear or logistic", "written:"):
        assert words in printed
    assert "careful" not in printed
    text = Path("out/compared.md").read_text()
    metrics = json.loads(Path("metrics_plots/cnn/metrics.json").read_text())["parts"]["test"]
    low, high = metrics["classes"]["intervals"]["accuracy"]
    assert f"| cnn | {metrics['classes']['accuracy']:.2f} [{low:.2f}, {high:.2f}] |" in text
    assert Path("out/compared.png").exists()
    assert main(["compare", "cnn", "--part", "tset"]) == 2
    assert "did you mean 'test'?" in capsys.readouterr().err


def test_vote_fractions_are_compared(tmp_path: Path, monkeypatch, capsys) -> None:
    monkeypatch.chdir(tmp_path)
    images, labels = kaggle_folder(tmp_path / "data", 60)
    config = configured(tmp_path, labels, images, data_preprocessing={"task": 1})
    assert main(["train", str(config), "--no-save_model"]) == 0
    assert main(["baseline", str(config), "--name", "mean"]) == 0
    capsys.readouterr()
    assert main(["compare", "cnn", "metrics_plots/cnn/baselines.json"]) == 0
    printed = capsys.readouterr().out
    rmse = json.loads(Path("metrics_plots/cnn/metrics.json").read_text())["parts"]["test"]["overall"]["rmse"]
    (row,) = [line for line in printed.splitlines() if line.startswith("cnn")]
    assert f"{rmse:.4f} [" in row
    assert "RMSE" in printed and "careful" not in printed
