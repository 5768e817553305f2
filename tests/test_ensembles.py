"""Ensembles: weights that are learnt honestly, files that can be moved, and scores on galaxies that nobody knows."""

from __future__ import annotations

import json
import shutil
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
import yaml
from finished_runs import configured, finished, galaxies
from galaxy_files import kaggle_folder, votes
from hypothesis import given
from hypothesis import strategies as st

import galaxycnn
from galaxycnn.artefacts import RunFiles
from galaxycnn.blending import build_ensemble
from galaxycnn.cli import main
from galaxycnn.data.split import Split
from galaxycnn.ensembles import combine, load_ensemble, read_predictions, save_ensemble, stacked_weights
from galaxycnn.errors import DataError, UserError
from galaxycnn.tree import GALAXY_ZOO_2
from galaxycnn.views import Seen


@given(st.integers(1, 5), st.integers(0, 1000))
def test_stacked_weights_are_the_best_of_all_that_sum_to_one(members: int, seed: int) -> None:
    rng = np.random.default_rng(seed)
    truth = votes(30, seed)
    predictions = [truth + rng.normal(rng.normal(0, 0.05), rng.uniform(0.02, 0.2), truth.shape) for _ in range(members)]
    weights = stacked_weights(truth, predictions)
    assert weights.min() >= 0
    assert weights.sum() == pytest.approx(1)

    def error(shares):
        return np.square(np.tensordot(shares, predictions, axes=1) - truth).sum()

    for shares in [*np.eye(members), *rng.dirichlet(np.ones(members), 20)]:
        assert error(weights) <= error(shares) + 1e-9
        near = 0.99 * weights + 0.01 * shares
        assert error(weights) <= error(near) + 1e-9


@given(st.integers(1, 4), st.integers(0, 100))
def test_a_mean_of_valid_fractions_keeps_every_sum_of_the_tree(members: int, seed: int) -> None:
    shares = np.random.default_rng(seed).dirichlet(np.ones(members))
    each = [votes(8, seed + i) for i in range(members)]
    blended = combine(shares, [Seen(v, np.zeros_like(v), v, 1) for v in each])
    assert np.abs(GALAXY_ZOO_2.deviations(blended.mean)).max() < 1e-12
    np.testing.assert_allclose(
        blended.spread**2, np.average(np.square(each - blended.mean), axis=0, weights=shares), atol=1e-12
    )


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Three finished runs on one split; they differ in the network's weights, the crop and the size of the cutout."""
    folder = galaxies(tmp_path_factory.mktemp("ensemble"))
    finished(configured(folder, "a"), seed=1)
    finished(configured(folder, "b", data_preprocessing={"img_size": [20, 20], "crop": True, "crop_size": 30}), seed=2)
    finished(configured(folder, "c", evaluation_params={"views": 2}), seed=3)
    return folder


@pytest.fixture(scope="module")
def new_galaxies(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, Path]:
    """Galaxies that no run has seen, under ids that none has."""
    images, labels = kaggle_folder(tmp_path_factory.mktemp("new"), 12, seed=5)
    for image in images.iterdir():
        image.rename(image.with_stem(f"7{image.stem}"))
    table = pd.read_csv(labels, dtype={"GalaxyID": str})
    table["GalaxyID"] = "7" + table["GalaxyID"]
    table.to_csv(labels, index=False)
    return images, labels


def models(folder: Path, *names: str) -> list[Path]:
    return [folder / "models" / f"{name}.keras" for name in names]


def truth_of(labels: Path, ids) -> np.ndarray:
    table = pd.read_csv(labels, dtype={"GalaxyID": str}, index_col="GalaxyID")
    return table.loc[list(ids), list(GALAXY_ZOO_2.columns)].to_numpy()


def test_a_uniform_ensemble_is_the_mean_of_what_the_runs_predicted(folder: Path) -> None:
    blend = build_ensemble(models(folder, "a", "b", "c"), "mean")
    tables = [
        read_predictions(folder / "plots" / name / "predictions_test.csv", GALAXY_ZOO_2.columns) for name in "abc"
    ]
    written = read_predictions(folder / "plots" / "mean" / "predictions_test.csv", GALAXY_ZOO_2.columns)
    expected = sum(table.loc[written.index] for table in tables) / 3
    np.testing.assert_allclose(written, expected, atol=2e-6)
    truth = truth_of(folder / "data" / "training_solutions_rev1.csv", written.index)
    results = json.loads((folder / "plots" / "mean" / "metrics.json").read_text())
    assert blend.weights == pytest.approx([1 / 3] * 3)
    assert results == json.loads(json.dumps(blend.results))
    assert results["parts"]["test"]["overall"]["rmse"] == pytest.approx(
        np.sqrt(np.mean((expected - truth) ** 2)), rel=1e-4
    )
    for member, table in zip(results["members"], tables, strict=True):
        rmse = np.sqrt(np.mean((table.loc[written.index].to_numpy() - truth) ** 2))
        assert member["overall"]["rmse"] == pytest.approx(rmse, rel=1e-3)


def test_stacked_weights_come_from_the_validation_part_alone(folder: Path) -> None:
    blend = build_ensemble(models(folder, "a", "b", "c"), "stacked", "stacked")
    tables = [
        read_predictions(folder / "plots" / name / "predictions_validation.csv", GALAXY_ZOO_2.columns) for name in "abc"
    ]
    ids = tables[0].index
    truth = truth_of(folder / "data" / "training_solutions_rev1.csv", ids)
    weights = stacked_weights(truth, [table.loc[ids].to_numpy() for table in tables])
    assert blend.weights == pytest.approx(weights.tolist(), abs=1e-4)
    assert blend.results["learnt_from"] == len(ids)
    saved = yaml.safe_load((folder / "models" / "stacked.ensemble.yaml").read_text())["members"]
    assert {entry["model"]: entry["weight"] for entry in saved} == {
        f"{name}.keras": pytest.approx(weight, abs=1e-4) for name, weight in zip("abc", weights, strict=True) if weight
    }


def test_weights_from_out_of_fold_predictions(folder: Path, tmp_path: Path) -> None:
    split = Split.load(folder / "logs" / "a.split.csv")
    truth = truth_of(folder / "data" / "training_solutions_rev1.csv", split.train)
    files = []
    for name, noise in {"a": 0.0, "b": 0.3}.items():
        table = pd.DataFrame(np.clip(truth + noise, 0, 1), columns=list(GALAXY_ZOO_2.columns))
        table.insert(0, "fold", 1)
        table.insert(0, "id", split.train)
        files.append(tmp_path / f"{name}.oof.csv")
        table.to_csv(files[-1], index=False)
    blend = build_ensemble(models(folder, "a", "b"), "folds", "stacked", out_of_fold=files)
    assert blend.weights == pytest.approx([1, 0], abs=1e-5)
    table = pd.read_csv(files[0], dtype={"id": str})
    table.loc[0, "id"] = split.test[0]
    table.to_csv(files[0], index=False)
    table.to_csv(files[1], index=False)
    with pytest.raises(DataError, match=f"were used to learn the weights, {split.test[0]} for one"):
        build_ensemble(models(folder, "a", "b"), "folds", "stacked", out_of_fold=files)
    with pytest.raises(UserError, match="2 runs, but 1 files"):
        build_ensemble(models(folder, "a", "b"), "folds", "stacked", out_of_fold=files[:1])
    with pytest.raises(UserError, match="for the method 'stacked'"):
        build_ensemble(models(folder, "a", "b"), "folds", out_of_fold=files)


def test_an_ensemble_is_evaluated_like_a_model(folder: Path, new_galaxies: tuple[Path, Path]) -> None:
    images, labels = new_galaxies
    blend = build_ensemble(models(folder, "a", "b", "c"), "new", images=images, labels=labels, views=2)
    results = galaxycnn.evaluate(folder / "models" / "new.ensemble.yaml", images, labels, views=2)
    assert results["overall"] == blend.results["parts"]["all"]["overall"]
    assert results["views"] == 2
    assert max(output["sums"]["max"] for output in results["outputs"].values()) < 1e-5
    single = galaxycnn.evaluate(folder / "models" / "b.keras", images, labels, views=2)
    assert blend.results["members"][1]["overall"]["rmse"] == pytest.approx(single["overall"]["rmse"], rel=1e-6)
    build_ensemble(models(folder, "a", "b"), "three", images=images, labels=labels, views=3)
    for name, views in (("new", 2), ("three", 3)):
        assert galaxycnn.evaluate(folder / "models" / f"{name}.ensemble.yaml", images, labels)["views"] == views


def test_ensembles_of_ensembles_are_one_list_of_models(folder: Path, new_galaxies: tuple[Path, Path]) -> None:
    images, labels = new_galaxies
    inner = save_ensemble(folder / "models" / "ab.ensemble.yaml", dict.fromkeys(models(folder, "a", "b"), 0.5), views=3)
    build_ensemble([inner, *models(folder, "c")], "nested", images=images, labels=labels)
    nested = load_ensemble(folder / "models" / "nested.ensemble.yaml")
    assert nested.views == 3
    assert {member.path.name: member.weight for member in nested.members} == pytest.approx(
        {"a.keras": 0.25, "b.keras": 0.25, "c.keras": 0.5}
    )
    with pytest.raises(DataError, match=r"ab\.ensemble\.yaml has no test part of its own"):
        build_ensemble([inner, *models(folder, "c")], "nested")


def test_galaxies_that_a_member_knows_are_refused(folder: Path, new_galaxies: tuple[Path, Path]) -> None:
    images, labels = folder / "data" / "images_training_rev1", folder / "data" / "training_solutions_rev1.csv"
    with pytest.raises(DataError, match=r"38 of the 60 galaxies to be measured were in the train part of .*a\.keras"):
        build_ensemble(models(folder, "a", "b"), "known", images=images, labels=labels)
    assert not (folder / "models" / "known.ensemble.yaml").exists()


def test_the_test_part_of_a_folder_alone_can_be_measured(folder: Path) -> None:
    images, labels = folder / "data" / "images_training_rev1", folder / "data" / "training_solutions_rev1.csv"
    split = folder / "logs" / "a.split.csv"
    saved = build_ensemble(models(folder, "a", "b"), "saved").results["parts"]["test"]
    measured = build_ensemble(models(folder, "a", "b"), "now", images=images, labels=labels, split=split)
    assert measured.results["parts"]["test"]["overall"]["rmse"] == pytest.approx(saved["overall"]["rmse"], rel=1e-4)
    alone = galaxycnn.evaluate(folder / "models" / "a.keras", images, labels, split=split)
    assert alone["n"] == saved["n"] == 10
    assert alone["overall"]["rmse"] == pytest.approx(measured.results["members"][0]["overall"]["rmse"])


def test_runs_on_other_splits_are_refused(folder: Path, tmp_path: Path) -> None:
    shutil.copytree(folder / "data", tmp_path / "data")
    one = finished(configured(tmp_path, "one"))
    config = configured(tmp_path, "other", seed=7)
    other = finished(config)
    with pytest.raises(DataError, match=r"one\.keras and .*other\.keras were tested on different galaxies"):
        build_ensemble([one, other], "both")
    files, mine = RunFiles(config), Split.load(RunFiles(configured(tmp_path, "one")).split)
    shutil.copy(tmp_path / "plots" / "one" / "predictions_test.csv", files.predictions("test"))
    with pytest.raises(DataError, match=r"to be measured were in the (train|validation) part of .*other\.keras"):
        build_ensemble([one, other], "both")
    Split(mine.train, [], mine.test).save(files.split)
    assert build_ensemble([one, other], "both").weights == [0.5, 0.5]
    for message, ids in {
        "to learn the weights from were in the train part": (mine.train, mine.train),
        "share no galaxies that the weights could be learnt from": (["1"], ["2"]),
    }.items():
        for name, names in zip(("one", "other"), ids, strict=True):
            nothing = np.zeros((len(names), len(GALAXY_ZOO_2.columns)))
            RunFiles(configured(tmp_path, name)).write_predictions("validation", names, GALAXY_ZOO_2, nothing)
        with pytest.raises(DataError, match=message):
            build_ensemble([one, other], "both", "stacked")
    files.split.unlink()
    with pytest.raises(DataError, match=r"which galaxies .*other\.keras was trained on cannot be told"):
        build_ensemble([one, other], "both")


def test_models_that_answer_other_questions_are_refused(folder: Path) -> None:
    finished(configured(folder, "shape", data_preprocessing={"task": 1, "img_size": [16, 16]}))
    with pytest.raises(DataError, match="they cannot be averaged"):
        build_ensemble(models(folder, "a", "shape"), "both")
    with pytest.raises(UserError, match="at least two runs"):
        build_ensemble(models(folder, "a"), "one")


def test_a_folder_with_an_ensemble_can_be_moved(folder: Path, tmp_path: Path) -> None:
    build_ensemble(models(folder, "a", "b"), "moving")
    shutil.copytree(folder / "models", tmp_path / "elsewhere")
    moved = load_ensemble(tmp_path / "elsewhere" / "moving.ensemble.yaml")
    assert [member.path.parent for member in moved.members] == [tmp_path / "elsewhere"] * 2


def test_a_run_can_be_named_by_its_yaml_file(folder: Path) -> None:
    galaxycnn.config.save_config(configured(folder, "a"), folder / "logs" / "a.yaml")
    assert load_ensemble(folder / "logs" / "a.yaml").members[0].path == folder / "models" / "a.keras"


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("members: []", "expected 'members:' and a list"),
        ("member: [{model: a.keras, weight: 1}]", ":1: unknown key 'member'; did you mean 'members'"),
        ("members:\n- {model: a.keras}", ":2: a member has the keys"),
        ("members:\n- {model: a.keras, weight: -1}", ":2: expected a weight above 0 for a.keras, found -1"),
        ("members:\n- {model: a.keras, weight: 1}\n- {model: a.keras, weight: 1}", ":3: a.keras is a member twice"),
        ("members:\n- {model: z.keras, weight: 1}", "there is no such model file"),
        ("views: 0\nmembers:\n- {model: a.keras, weight: 1}", ":1: expected a number of views from 1 on, found 0"),
    ],
)
def test_what_is_wrong_with_an_ensemble_file_is_said(folder: Path, text: str, message: str) -> None:
    file = folder / "models" / "wrong.ensemble.yaml"
    file.write_text(text)
    with pytest.raises(UserError, match=message) as caught:
        load_ensemble(file)
    assert str(file.parent) in str(caught.value)


def test_predictions_that_cannot_be_read_are_named(tmp_path: Path) -> None:
    with pytest.raises(UserError, match=r"no predictions at .*none\.csv"):
        read_predictions(tmp_path / "none.csv", GALAXY_ZOO_2.columns)
    (tmp_path / "short.csv").write_text("id,Class1.1\n1,0.5\n")
    with pytest.raises(DataError, match=r"short\.csv has no column 'Class1\.2'"):
        read_predictions(tmp_path / "short.csv", GALAXY_ZOO_2.columns)
    with pytest.raises(UserError, match=r"ends with \.ensemble\.yaml"):
        save_ensemble(tmp_path / "name.yaml", {Path("a.keras"): 1.0}, views=1)


def test_the_command_shows_members_and_ensemble(folder: Path, capsys: pytest.CaptureFixture) -> None:
    words = [*map(str, models(folder, "a", "b", "c")), "--name", "shown", "--method", "stacked"]
    assert main(["ensemble", *words]) == 0
    shown = capsys.readouterr().out
    assert "shown (stacked)" in shown
    assert all(f"{name}.keras" in shown for name in "abc")
    assert main(["ensemble", *words, "--views", "8"]) == 2
    assert "labels, split and views go with a folder of images" in capsys.readouterr().err
