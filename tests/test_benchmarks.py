"""The benchmarks' own arithmetic and tables; what they measure takes hours and is not repeated here."""

from __future__ import annotations

import json
from argparse import Namespace
from importlib import import_module
from pathlib import Path
from types import ModuleType

import numpy as np
import pandas as pd
import pytest
import yaml
from hypothesis import given, settings
from hypothesis import strategies as st

from galaxycnn.config import load_config
from galaxycnn.data.split import Split
from galaxycnn.errors import DataError, UserError
from galaxycnn.evaluation import Baseline, evaluate_fractions
from galaxycnn.tree import GALAXY_ZOO_2

TREE = GALAXY_ZOO_2.subset(["Class1", "Class2"])


@pytest.fixture(scope="module")
def script():
    """Import a script of the folder ``benchmarks`` by name."""
    with pytest.MonkeyPatch.context() as patch:
        patch.syspath_prepend(str(Path(__file__).parents[1] / "benchmarks"))
        yield import_module


# -- learning curve -----------------------------------------------------------------------------------


@settings(max_examples=20, deadline=None)
@given(floor=st.floats(0.03, 0.08), excess=st.floats(0.02, 0.1), exponent=st.floats(0.2, 0.8))
def test_the_power_law_is_found_again(script, floor, excess, exponent):
    curve = script("learning_curve")
    sizes = [500, 1000, 2000, 2864]
    rmse = curve.power_law(sizes, floor, excess, exponent)
    found = curve.fit_power_law(sizes, rmse)
    assert curve.power_law(sizes, *found) == pytest.approx(rmse, abs=1e-5)
    assert curve.power_law(50_000, *found) == pytest.approx(curve.power_law(50_000, floor, excess, exponent), abs=2e-3)


def test_the_band_widens_beyond_the_measured_sizes_and_holds_the_curve(script, tmp_path):
    curve, generator = script("learning_curve"), np.random.default_rng(4)
    hard = generator.gamma(2, 0.5, size=700)
    errors = {
        size: [hard * (curve.power_law(size, 0.06, 0.05, 0.4) * generator.normal(1, 0.01)) ** 2 for _ in range(3)]
        for size in (500, 1000, 2000, 2864)
    }
    measured = curve.Curve.measure(errors, resamples=60)
    expected, band = measured.at([500, 2000, 50_000])
    widths = band[:, 1] - band[:, 0]
    assert (band[:, 0] <= expected).all() and (expected <= band[:, 1]).all()
    assert widths[2] > 2 * widths[1]
    curve._write(measured, tmp_path / "small-learning_curve")
    summary = json.loads((tmp_path / "small-learning_curve.json").read_text())
    assert summary["interval"][0] < summary["rmse"] < summary["interval"][1]
    assert {path.suffix for path in tmp_path.iterdir()} == {".csv", ".json", ".png"}


@given(st.integers(0, 100), st.integers(1, 40), st.integers(1, 40))
def test_subsets_are_nested_and_leave_the_other_parts_alone(script, seed, one, other):
    subset = script("learning_curve")._subset
    split = Split([f"{i}" for i in range(40)], ["a"], ["b", "c"])
    small, large = (subset(split, size, seed) for size in sorted((one, other)))
    assert set(small.train) <= set(large.train) <= set(split.train)
    assert len(small.train) == min(one, other)
    assert (small.validation, small.test) == (split.validation, split.test)


def test_small_subsets_get_as_many_steps(script):
    config = load_config(
        {
            "paths": {"images_path": "images"},
            "model_name": "small",
            "model_params": {"early_stop_patience": 3},
            "train_params": {"batch_size": 100, "epochs": 10, "schedule": {"name": "cosine", "warmup_epochs": 2}},
        }
    )
    settings_ = script("learning_curve")._as_many_steps(config, 2864, 500)
    assert sorted(settings_) == [
        "model_params.early_stop_patience=17",
        "train_params.epochs=58",
        "train_params.schedule.warmup_epochs=12",
    ]


# -- comparison ---------------------------------------------------------------------------------------


def write_run(folder: Path, name: str, truth: np.ndarray, noise: float, saved: bool = True) -> None:
    """The files of a finished run whose predictions miss ``truth`` by about ``noise``."""
    predicted = truth + np.random.default_rng(len(name)).normal(0, noise, truth.shape)
    results = evaluate_fractions(TREE, truth, predicted, Baseline.fit(TREE, truth), resamples=20)
    run = {
        "model_name": name,
        "model_type": "base",
        "parameters": 1_234_567,
        "galaxies": {"train": 600, "test": len(truth)},
        "epochs": 10,
        "training_seconds": 60.0,
        "machine": {"processor": "Chip", "cores": 2, "gpus": [], "backend": "tensorflow"},
        "parts": {"test": {"views": 8, "single_view_rmse": 0.2, **results}},
    }
    plots = folder / "metrics_plots" / name
    plots.mkdir(parents=True)
    (plots / "metrics.json").write_text(json.dumps(run))
    (folder / "logs").mkdir(exist_ok=True)
    (folder / "logs" / f"{name}.yaml").write_text("{model_params: {model_type: vit, head: tree}}")
    if saved:
        table(predicted).rename_axis("id").to_csv(plots / "predictions_test.csv")


def table(fractions: np.ndarray) -> pd.DataFrame:
    return pd.DataFrame(fractions, columns=list(TREE.columns), index=[f"{i:03}" for i in range(len(fractions))])


@pytest.fixture
def finished(tmp_path):
    truth = np.random.default_rng(0).dirichlet(np.ones(5), size=80)
    for name, noise, saved in (("good", 0.05, True), ("worse", 0.08, True), ("unsaved", 0.1, False)):
        write_run(tmp_path, name, truth, noise, saved)
    table(truth).rename_axis("GalaxyID").to_csv(tmp_path / "labels.csv")
    return tmp_path


def compare(module: ModuleType, folder: Path, monkeypatch, capsys) -> tuple[list[str], pd.DataFrame]:
    arguments = Namespace(runs=[folder], labels=folder / "labels.csv", against="parameters", out=folder / "compared")
    monkeypatch.setattr(module, "_arguments", lambda: arguments)
    module.main()
    return capsys.readouterr().out.splitlines(), pd.read_csv(folder / "compared.csv")


def test_runs_are_listed_best_first_with_their_difference(script, finished, monkeypatch, capsys):
    lines, written = compare(script("compare"), finished, monkeypatch, capsys)
    assert [line.split("|")[1].strip() for line in lines[2:]] == ["good", "worse", "unsaved"]
    assert "| 1,234,567 | 1.0 | 100 | Chip, 2 cores, tensorflow |" in lines[2]
    assert "| vit | tree |" in lines[2] and "| 8 | 0.2000 |" in lines[2]
    assert written["worse_by"].isna().tolist() == [True, False, True]
    assert 0 < written["worse_by_low"][1] < written["worse_by"][1] < written["worse_by_high"][1]
    assert written["worse_by"][1] == pytest.approx(written["rmse"][1] - written["rmse"][0], abs=1e-6)
    assert (finished / "compared.png").stat().st_size > 0


def test_other_labels_than_those_of_the_run_are_refused(script, finished, monkeypatch, capsys):
    labels = pd.read_csv(finished / "labels.csv", dtype={0: str}).set_index("GalaxyID")
    labels[:] = labels.to_numpy()[::-1]
    labels.to_csv(finished / "labels.csv")
    with pytest.raises(DataError, match="not the labels that good was measured against"):
        compare(script("compare"), finished, monkeypatch, capsys)


# -- fractions told their hard labels -------------------------------------------------------------------


def _drawn(rng: np.random.Generator, galaxies: int, around: np.ndarray | None = None) -> np.ndarray:
    """Fractions from shares that are drawn, or drawn around those of others."""
    columns = len(GALAXY_ZOO_2.columns)
    shares = np.full((galaxies, columns), 0.5) if around is None else 10 * GALAXY_ZOO_2.conditional(around)
    drawn = rng.gamma(np.maximum(shares, 1e-3)) + 1e-12
    for question in GALAXY_ZOO_2.questions:
        drawn[:, GALAXY_ZOO_2.slice(question)] /= drawn[:, GALAXY_ZOO_2.slice(question)].sum(axis=1, keepdims=True)
    return GALAXY_ZOO_2.fractions(drawn)


def _table(values: np.ndarray) -> pd.DataFrame:
    return pd.DataFrame(values, columns=list(GALAXY_ZOO_2.columns))


@pytest.mark.parametrize("hard", [True, False])
def test_hard_labels_bring_predictions_nearer_to_the_truth(hard, script, tmp_path, monkeypatch, capsys):
    rng = np.random.default_rng(0)
    predicted = _drawn(rng, 80)
    truth = _drawn(rng, 80, around=predicted)
    module = script("hard_labels")
    labels = module.HardLabels.of(truth)
    names = np.array([*module.CLEAN, ""])[labels.clean]
    known = pd.DataFrame({"largest_of_37": np.array(GALAXY_ZOO_2.columns)[labels.largest], "clean_class": names})
    _table(predicted).to_csv(tmp_path / "predicted.csv", index_label="id")
    (known if hard else _table(truth)).to_csv(tmp_path / "known.csv", index_label="GalaxyID")
    out = tmp_path / "told.csv"
    words = [tmp_path / "predicted.csv", tmp_path / "known.csv", "-o", out]
    monkeypatch.setattr("sys.argv", ["hard_labels.py", *map(str, words)])
    module.main()
    told = pd.read_csv(out, index_col="GalaxyID").to_numpy()
    before, after = (np.sqrt(np.mean((table - truth) ** 2)) for table in (predicted, told))
    assert after < 0.9 * before
    assert (f"RMSE {before:.4f}; once it is told {after:.4f}" in capsys.readouterr().out) != hard
    assert np.abs(GALAXY_ZOO_2.deviations(told)).max() < 1e-5
    now = module.HardLabels.of(told)
    assert (now.largest == labels.largest).mean() > 0.9
    assert (now.clean == labels.clean).mean() > 0.9


def test_each_clean_class_has_its_thresholds(script):
    module = script("hard_labels")
    for number, least in enumerate(module.CLEAN.values()):
        fractions = np.zeros((2, len(GALAXY_ZOO_2.columns)))
        fractions[:, GALAXY_ZOO_2.indices(least)] = list(least.values())
        fractions[1, GALAXY_ZOO_2.indices(least)[-1]] -= 0.01
        assert module.HardLabels.of(fractions).clean.tolist() == [number, -1]


def test_an_answer_that_was_all_but_ruled_out_can_be_told(script):
    module = script("hard_labels")
    predicted = np.zeros((1, 37))
    predicted[0, GALAXY_ZOO_2.indices(["Class1.1", "Class6.2", "Class7.1"])] = 1
    labels = module.HardLabels(np.array(GALAXY_ZOO_2.indices(["Class1.2"])), np.array([-1]))
    told = module.tell(predicted, labels, 10, np.random.default_rng(0))
    assert told[0, labels.largest[0]] > 0.01
    assert np.isfinite(told).all()


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"largest_of_37": None}, "known.csv: has no column Class1.1, and not largest_of_37 and clean_class"),
        ({"largest_of_37": "Klass9.3"}, "largest_of_37 of galaxy 0 is 'Klass9.3'; did you mean 'Class9.3'?"),
        ({"clean_class": "rund"}, "clean_class of galaxy 0 is 'rund'; did you mean 'round'?"),
        ({"clean_class": "barred"}, "clean_class of galaxy 0 is 'barred'; choose from round, in_between"),
        ({"Class1.1": 1.5}, "predicted.csv: Class1.1 of galaxy 0 is no fraction"),
        ({"Class1.1": None}, "predicted.csv: has no column Class1.1\n"),
        ({"id": "8"}, "known.csv: has no galaxy 8 of"),
    ],
)
def test_labels_that_cannot_be_told_are_refused_in_one_sentence(change, message, script, tmp_path, monkeypatch, capsys):
    known = pd.DataFrame({"GalaxyID": ["0"], "largest_of_37": ["Class1.1"], "clean_class": [""]})
    predicted = _table(_drawn(np.random.default_rng(0), 1)).assign(id="0")
    for column, value in change.items():
        table = known if column in known else predicted
        table[column] = value
        if value is None:
            del table[column]
    predicted[["id", *predicted.columns.drop("id")]].to_csv(tmp_path / "predicted.csv", index=False)
    known.to_csv(tmp_path / "known.csv", index=False)
    words = ["hard_labels.py", tmp_path / "predicted.csv", tmp_path / "known.csv", "-o", tmp_path / "told.csv"]
    monkeypatch.setattr("sys.argv", list(map(str, words)))
    with pytest.raises(SystemExit) as stopped:
        script("command").start(script("hard_labels").main)
    said = capsys.readouterr().err
    assert stopped.value.code == 2
    assert message in said and said.count("\n") == 1
    assert not (tmp_path / "told.csv").exists()


@pytest.mark.parametrize("name", ["compare", "hard_labels"])
def test_a_script_names_the_file_that_is_not_there(name, script, tmp_path, monkeypatch, capsys):
    words = {"compare": ["no_run"], "hard_labels": ["predicted.csv", "known.csv"]}[name]
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr("sys.argv", [f"{name}.py", *words])
    with pytest.raises(SystemExit) as stopped:
        script("command").start(script(name).main)
    assert stopped.value.code == 2
    assert capsys.readouterr().err == f"{name}.py: there is no file {words[0]}\n"


# -- speed of networks --------------------------------------------------------------------------------


def test_the_speed_of_a_network_is_that_of_its_training_whatever_its_first_weights(script, tmp_path, monkeypatch):
    rows = {
        "small": ["model_params={model_type: base, head: tree, conv_layers: [[4, [3, 3]]], dense_units: [8]}"],
        "frozen": ["model_params={model_type: resnet18, weights: no_file.keras, frozen_stages: all}"],
    }
    (tmp_path / "rows.yaml").write_text(yaml.safe_dump(rows))
    config = Path(__file__).parents[1] / "configs" / "votes_base.yaml"
    words = [config, "--rows", tmp_path / "rows.yaml", "--set", "data_preprocessing.img_size=[32, 32]"]
    words += ["--repeats", 2, "--seconds", 0.01, "-o", tmp_path / "speed.csv"]
    monkeypatch.setattr("sys.argv", ["network_speed.py", *map(str, words)])
    script("network_speed").main()
    table = pd.read_csv(tmp_path / "speed.csv", index_col="network")
    assert table["parameters"]["frozen"] == 11_186_112 + 512 * 512 + 512 + 512 * 37 + 37
    assert (table["pixels"] == "32×32").all() and (table["slowest"] > 0).all()
    assert table["images_per_second"].between(table["slowest"], table["fastest"]).all()


# -- starting ---------------------------------------------------------------------------------------


def test_a_checkouts_command_is_timed_and_a_folder_without_one_refused(script, tmp_path, monkeypatch):
    speed = script("start_speed")
    assert 0 < speed.seconds(Path(__file__).parents[1], ["--version"], tmp_path) < 60
    monkeypatch.setattr("sys.argv", ["start_speed.py", "--against", str(tmp_path)])
    with pytest.raises(UserError, match="this is no checkout of galaxycnn"):
        speed.main()


# -- prediction speed ---------------------------------------------------------------------------------


def test_speeds_of_predictions_are_a_row_for_each_network_and_number_of_views(script, tmp_path, monkeypatch, capsys):
    out = tmp_path / "speeds.csv"
    words = ["galaxy_zoo_small", "--views", "1", "3", "--batch", "2", "--repeats", "2", "--out", str(out)]
    monkeypatch.setattr("sys.argv", ["prediction_speed.py", *words])
    script("prediction_speed").main()
    table = pd.read_csv(out)
    assert table["network"].tolist() == ["galaxy_zoo_small"] * 2 and table["views"].tolist() == [1, 3]
    assert (table["slowest"] > 0).all() and (table["slowest"] <= table["galaxies_per_second"]).all()
    assert (table["galaxies_per_second"] <= table["fastest"]).all()
    assert "| galaxy_zoo_small | 3 |" in capsys.readouterr().out
