"""Cross-validation: folds that share the galaxies out, and predictions of networks that never saw them."""

from __future__ import annotations

import json
from collections import Counter
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from finished_runs import configured, galaxies
from galaxy10_files import galaxy10_file
from galaxy_files import kaggle_folder
from hypothesis import given, settings
from hypothesis import strategies as st

import galaxycnn
import galaxycnn.crossval
from galaxycnn.artefacts import RunFiles
from galaxycnn.cli import main
from galaxycnn.crossval import CrossValidation, cross_validate, draw_folds, galaxies_to_share, make_folds
from galaxycnn.data.split import Split
from galaxycnn.ensembles import load_ensemble
from galaxycnn.errors import UserError

ONE_QUESTION = {"data_preprocessing": {"task": 1, "img_size": [16, 16]}}


@st.composite
def samples(draw):
    count = draw(st.integers(6, 80))
    ids = np.array([f"{number}" for number in draw(st.permutations(range(count)))])
    strata = np.array(draw(st.lists(st.integers(0, 3), min_size=count, max_size=count)))
    return ids, strata, draw(st.integers(2, 3)), draw(st.sampled_from([0.5, 0.8, 1.0]))


@given(samples(), st.integers(0, 5))
def test_folds_share_out_every_galaxy_once_and_every_class_evenly(sample, seed: int) -> None:
    ids, strata, folds, training_size = sample
    splits = list(make_folds(ids, strata, folds, training_size, seed))
    assert Counter(name for split in splits for name in split.test) == Counter(ids.tolist())
    classes = dict(zip(ids.tolist(), strata.tolist(), strict=True))
    for kind in set(strata.tolist()):
        counts = [sum(classes[name] == kind for name in split.test) for split in splits]
        assert max(counts) - min(counts) <= 1
    for split in splits:
        parts = [set(names) for _, names in split]
        assert sum(map(len, parts)) == len(set.union(*parts)) == len(ids)
        assert len(split.validation) == round((len(ids) - len(split.test)) * (1 - training_size))


@settings(max_examples=20)
@given(samples(), st.randoms(use_true_random=False))
def test_folds_do_not_depend_on_the_order_of_the_galaxies(sample, random) -> None:
    ids, strata, folds, training_size = sample
    order = list(range(len(ids)))
    random.shuffle(order)
    one = list(make_folds(ids, strata, folds, training_size, 7))
    assert list(make_folds(ids[order], strata[order], folds, training_size, 7)) == one
    assert list(make_folds(ids, strata, folds, training_size, 8)) != one


@pytest.mark.parametrize("folds", [1, 6])
def test_folds_that_cannot_be_are_refused(folds: int) -> None:
    with pytest.raises(UserError, match=f"10 galaxies can be cut into 2 to 5 folds, not {folds}"):
        list(make_folds(np.arange(10).astype(str), None, folds, 1.0, 0))


@pytest.mark.parametrize(
    "settings_",
    [{"quantities": ["redshift"], "missing": "mask"}, {"quantities": ["redshift"], "questions": []}],
    ids=["galaxies without a class", "no question"],
)
def test_folds_share_out_evenly_what_is_not_known_and_what_is_no_class(tmp_path: Path, settings_: dict) -> None:
    number = np.arange(60)
    unclassified, tenth = number % 4 == 0, number // 6
    classes, redshift = np.where(unclassified, -1, number % 3), np.linspace(0.01, 0.2, len(number))
    file = galaxy10_file(tmp_path / "galaxies.h5", len(number), ans=classes, redshift=redshift)
    paths = {"images_path": str(file), "cache_path": str(tmp_path / "cache")}
    config = configured(tmp_path, "gaps", paths=paths, data_preprocessing={"img_size": [16, 16], **settings_})
    data = galaxycnn.data.dataset.prepare(config)
    everyone = galaxies_to_share(data)
    assert everyone.ids.tolist() == sorted(map(str, number))
    splits = list(draw_folds(config, data.tree, everyone, folds=3))
    assert sorted(name for split in splits for name in split.test) == everyone.ids.tolist()
    for split in splits:
        rows = np.array(split.test, dtype=int)
        if data.tree.questions:
            assert np.bincount(classes[rows] + 1).tolist() == [5, 5, 5, 5]
        else:
            assert np.bincount(tenth[rows]).tolist() == [2] * 10


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return galaxies(tmp_path_factory.mktemp("crossval"))


@pytest.fixture(scope="module")
def done(folder: Path) -> CrossValidation:
    return cross_validate(configured(folder, "small", **ONE_QUESTION), folds=2)


def test_every_galaxy_is_predicted_once_by_a_network_that_did_not_see_it(done: CrossValidation, folder: Path) -> None:
    table = pd.read_csv(folder / "plots" / "small.oof.csv", dtype={"id": str})
    assert list(table.columns) == ["id", "fold", "Class1.1", "Class1.2", "Class1.3"]
    assert sorted(table["id"]) == sorted(f"{100 + i}" for i in range(60))
    labels = pd.read_csv(folder / "data" / "training_solutions_rev1.csv", dtype={"GalaxyID": str}, index_col="GalaxyID")
    truth = labels.loc[table["id"], ["Class1.1", "Class1.2", "Class1.3"]].to_numpy()
    for fold, rows in table.groupby("fold"):
        split = Split.load(folder / "logs" / f"small.fold{fold}.split.csv")
        assert set(rows["id"]) == set(split.test)
        assert not set(rows["id"]) & {*split.train, *split.validation}
        model = galaxycnn.load_model(folder / "models" / f"small.fold{fold}.keras")
        run = galaxycnn.data.dataset.prepare(configured(folder, "small", **ONE_QUESTION), split)
        predicted = model.predict(run.test.pixels(), verbose=0)
        where = [run.test.ids.tolist().index(name) for name in rows["id"]]
        np.testing.assert_allclose(rows.iloc[:, 2:].to_numpy(), predicted[where], atol=1e-5)
    rmse = np.sqrt(np.mean((table.iloc[:, 2:].to_numpy() - truth) ** 2))
    results = json.loads((folder / "plots" / "small" / "metrics.json").read_text())["parts"]["out-of-fold"]
    assert done.results["overall"]["rmse"] == pytest.approx(rmse, rel=1e-4)
    assert results["overall"] == done.results["overall"]
    each = results["folds"]["each"]
    assert np.sqrt(np.average([f["rmse"] ** 2 for f in each], weights=[f["n"] for f in each])) == pytest.approx(
        rmse, rel=1e-4
    )
    assert all(path.stat().st_size for path in done.files)


def test_the_folds_make_a_uniform_ensemble(done: CrossValidation, folder: Path) -> None:
    ensemble = load_ensemble(folder / "models" / "small.ensemble.yaml")
    assert [member.path.resolve() for member in ensemble.members] == [
        (folder / "models" / f"small.fold{fold}.keras").resolve() for fold in (1, 2)
    ]
    assert ensemble.weights == [0.5, 0.5]


def trainings(monkeypatch: pytest.MonkeyPatch) -> list[tuple[str, bool]]:
    """Notes each training that is asked for, and does not do it: the fold's earlier predictions come back."""
    asked = []

    def note(config, *, split, resume, save_plots):
        asked.append((config.model_name, resume))
        files = RunFiles(config)
        files.predictions("test").parent.mkdir(parents=True, exist_ok=True)
        tree = galaxycnn.GALAXY_ZOO_2.subset(["Class1"])
        files.write_predictions("test", split.test, tree, np.full((len(split.test), 3), 1 / 3))
        split.save(files.split)
        galaxycnn.config.save_config(config, files.config_yaml)

    monkeypatch.setattr(galaxycnn.crossval, "train", note)
    return asked


def test_finished_folds_are_not_repeated_and_others_are(
    done: CrossValidation, folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    config = configured(folder, "small", **ONE_QUESTION)
    asked = trainings(monkeypatch)
    again = cross_validate(config, folds=2)
    assert asked == []
    np.testing.assert_array_equal(again.predicted, done.predicted)
    RunFiles(configured(folder, "small.fold2", **ONE_QUESTION)).predictions("test").unlink()
    cross_validate(config, folds=2)
    assert asked == [("small.fold2", False)]
    asked.clear()
    changed = configured(folder, "small", **ONE_QUESTION, train_params={"epochs": 1, "batch_size": 7})
    cross_validate(changed, folds=2)
    assert asked == [("small.fold1", False), ("small.fold2", False)]
    asked.clear()
    state = RunFiles(configured(folder, "small.fold1", **ONE_QUESTION)).state
    state.mkdir(parents=True)
    (state / "state.json").write_text("{}")
    cross_validate(changed, folds=2)
    assert asked == [("small.fold1", True)]


def test_the_test_part_can_be_kept_out_and_extra_galaxies_train_every_fold(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    galaxies(tmp_path, 40)
    images, labels_file = kaggle_folder(tmp_path / "extra", 5, seed=1)
    for image in images.iterdir():
        image.rename(image.with_stem(f"9{image.stem}"))
    labels = pd.read_csv(labels_file, dtype={"GalaxyID": str})
    labels["GalaxyID"] = "9" + labels["GalaxyID"]
    labels.to_csv(labels_file, index=False)
    config = configured(tmp_path, "more", **ONE_QUESTION)
    paths = config.paths.model_copy(update={"extra_images_path": images, "extra_labels_path": labels_file})
    config = config.model_copy(update={"paths": paths})
    (tmp_path / "models").mkdir()
    trainings(monkeypatch)
    everyone = galaxycnn.data.dataset.prepare(config)
    done = cross_validate(config, folds=3, without_test=True)
    kept = {*everyone.train.ids, *everyone.validation.ids} - set(labels["GalaxyID"])
    assert set(done.ids) == kept
    for fold in (1, 2, 3):
        assert set(labels["GalaxyID"]) < set(Split.load(tmp_path / "logs" / f"more.fold{fold}.split.csv").train)
    assert "extra galaxies train every fold" in caplog.text


def test_the_command_shows_every_fold(
    done: CrossValidation, folder: Path, capsys: pytest.CaptureFixture, monkeypatch: pytest.MonkeyPatch
) -> None:
    galaxycnn.config.save_config(configured(folder, "small", **ONE_QUESTION), folder / "small.yaml")
    trainings(monkeypatch)
    assert main(["crossval", str(folder / "small.yaml"), "--folds", "2"]) == 0
    shown = capsys.readouterr().out
    assert "out-of-fold: 60 galaxies" in shown
    assert "standard deviation between the folds" in shown
    assert "small.oof.csv" in shown
