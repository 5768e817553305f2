"""Searches on a small embedded survey: what they end with, going on, several processes, wrong ranges."""

from __future__ import annotations

import os
import sys
from concurrent.futures import ThreadPoolExecutor
from itertools import pairwise
from pathlib import Path
from threading import Barrier
from typing import Any

import keras
import numpy as np
import optuna
import pandas as pd
import pytest
import yaml
from hypothesis import given
from hypothesis import strategies as st
from optuna.trial import TrialState

import galaxycnn
from galaxycnn.cli import main
from galaxycnn.config import Config
from galaxycnn.data.dataset import GalaxyData, prepare
from galaxycnn.errors import UserError
from galaxycnn.simulate import simulate_survey
from galaxycnn.tables import render
from galaxycnn.tuning import study as studies
from galaxycnn.tuning import tune
from galaxycnn.tuning.plots import draw
from galaxycnn.tuning.search import Search, validation_rmse
from galaxycnn.tuning.space import Range, read_space
from galaxycnn.tuning.study import Worker, open_study
from galaxycnn.tuning.summary import StudyFiles, best_table, study_table

pytestmark = pytest.mark.filterwarnings("ignore::optuna.exceptions.ExperimentalWarning")

RATE, DROPOUT = "train_params.learning_rate", "model_params.dropout_rate"
SEARCH = (f"{RATE}=1e-4..10 log", f"{DROPOUT}=0..0.6")
SMALL: dict[str, Any] = {
    "paths": {
        "images_path": "survey/images_training_rev1",
        "labels_path": "survey/training_solutions_rev1.csv",
    },
    "data_preprocessing": {"task": 2, "img_size": [16, 16]},
    "model_name": "small",
    "model_params": {"conv_layers": [[2, [3, 3]]], "dense_units": [4], "dropout_rate": 0.1},
    "train_params": {"epochs": 2, "batch_size": 64},
}


@pytest.fixture(scope="module")
def survey(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("work")
    simulate_survey(folder / "survey", galaxies=120, seed=2, image_size=20)
    (folder / "small.yaml").write_text(yaml.safe_dump(SMALL))
    return folder


@pytest.fixture
def work(survey: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The folder of the survey is the working directory; this one is for the study."""
    monkeypatch.chdir(survey)
    return tmp_path


@pytest.fixture
def untrained(monkeypatch: pytest.MonkeyPatch) -> None:
    """Trials in no time: networks with their first weights, which the learning rate decides."""

    def built(config: Config, data: GalaxyData, *_: Any) -> keras.Model:
        keras.utils.set_random_seed(int(1e6 * config.train_params.learning_rate))
        return galaxycnn.CNNBuilder(config, data.tree).build()

    monkeypatch.setattr("galaxycnn.tuning.search.fit", built)


def found(database: Path) -> pd.DataFrame:
    return pd.read_csv(database.parent / "small.study.csv")


def words(database: Path, trials: int, *more: str) -> list[str]:
    searches = [word for search in SEARCH for word in ("--search", search)]
    return ["tune", "small.yaml", "--trials", str(trials), "--study", str(database), *searches, *more]


def fill(study: optuna.Study, scores: list[float], epochs: int) -> None:
    """Add finished trials with these scores, reached in the first epoch."""
    distributions = {
        RATE: optuna.distributions.FloatDistribution(1e-4, 10, log=True),
        DROPOUT: optuna.distributions.FloatDistribution(0, 0.6),
    }
    for number, score in enumerate(scores):
        study.add_trial(
            optuna.create_trial(
                params={RATE: 1e-4 * 1.3**number, DROPOUT: number % 7 / 12},
                distributions=distributions,
                value=score,
                intermediate_values=dict.fromkeys(range(1, epochs + 1), score),
                user_attrs={"epochs": epochs, "seconds": 1234.5, "parameters": 12_345_678},
            )
        )


# -- a whole search -----------------------------------------------------------------------------


def test_a_search_ends_with_a_table_and_a_configuration_that_trains_to_its_score(
    work: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    best = work / "best.yaml"
    assert main([*words(work / "a.db", 2), "-o", str(best)]) == 0
    table, _, written = capsys.readouterr().out.partition("\n\n")
    assert "learning_rate" in table
    assert "that of the configuration as it stands" in written
    files = [Path(line.strip()) for line in written.split("written:")[1].splitlines() if line.strip()]
    assert {path.name for path in files} == {"best.yaml", "small.study.csv", "small.study.history.png"}
    assert {path.name for path in work.iterdir()} == {*(path.name for path in files), "a.db"}

    trials = found(work / "a.db")
    assert trials["trial"].tolist() == [0, 1]
    assert trials.loc[0, [RATE, DROPOUT]].tolist() == [0.001, 0.1]
    assert trials[RATE].between(1e-4, 10).all()
    score = trials["validation_rmse"].min()
    assert f"{score:.4f}" in table

    text = best.read_text()
    assert text.startswith("# small, tuned")
    assert "galaxycnn tune small.yaml --trials 2" in text
    config = galaxycnn.load_config(best, [f"paths.{kind}_path={work / kind}" for kind in ("logs", "plots", "models")])
    assert config.model_name == "small_tuned"
    assert config.train_params.learning_rate == trials.loc[trials["validation_rmse"].idxmin(), RATE]
    run = galaxycnn.train(config, save_model=False, save_history=False, save_plots=False)
    assert run.results["parts"]["validation"]["overall"]["rmse"] == pytest.approx(score, rel=1e-4)


@pytest.mark.usefixtures("untrained")
def test_the_same_command_goes_on_as_if_nothing_had_happened(work: Path, capsys: pytest.CaptureFixture[str]) -> None:
    unbroken, broken = work / "unbroken" / "a.db", work / "broken" / "a.db"
    tune("small.yaml", searches=SEARCH, trials=4, database=unbroken)
    tune("small.yaml", searches=SEARCH, trials=2, database=broken)
    capsys.readouterr()
    tune("small.yaml", searches=SEARCH, trials=4, database=broken)
    told = capsys.readouterr().err
    assert "holds 2 trials" in told
    assert "trial 1:" not in told
    assert "trial 2:" in told
    columns = ["trial", "state", "validation_rmse", RATE, DROPOUT]
    pd.testing.assert_frame_equal(found(broken)[columns], found(unbroken)[columns])
    before = (broken.parent / "small.study.csv").read_text()
    tune("small.yaml", searches=SEARCH, trials=4, database=broken)
    assert (broken.parent / "small.study.csv").read_text() == before


def test_trials_see_validation_galaxies_and_none_of_the_test(work: Path) -> None:
    search = Search.of("small.yaml", searches=SEARCH)
    data = search.data(search.config({DROPOUT: 0.3}))
    drawn = prepare(search.config({}))
    assert len(data.test) == 0 < len(drawn.test)
    assert set(data.train.ids) == set(drawn.train.ids)
    assert set(data.validation.ids) == set(drawn.validation.ids)


@pytest.mark.usefixtures("untrained")
def test_values_that_were_tried_are_not_trained_again(work: Path) -> None:
    database = work / "a.db"
    tune("small.yaml", searches=[f"{RATE}=[0.1, 0.2]"], trials=5, database=database)
    trials = found(database)
    assert trials["repeats"].isna().sum() == 2
    assert trials["seconds"].notna().sum() == 2
    assert trials.groupby(RATE)["validation_rmse"].nunique().tolist() == [1, 1]


def test_networks_trained_question_by_question_are_scored_at_their_end(work: Path) -> None:
    changes = ["model_params.model_type=sequential", "train_params.epochs=1"]
    tuning = tune("small.yaml", changes, searches=[f"{DROPOUT}=0..0.6"], trials=1, database=work / "a.db")
    assert 0 < tuning.study.best_value < 1
    assert not tuning.study.best_trial.intermediate_values


def test_an_epochs_rmse_is_the_same_with_one_output_and_with_one_per_question() -> None:
    tree = galaxycnn.GALAXY_ZOO_2.subset(["Class1", "Class2"])
    errors = np.random.default_rng(0).normal(size=(50, 5))
    logs = {
        "val_Class1_rmse": np.sqrt(np.mean(errors[:, :3] ** 2)),
        "val_Class2_rmse": np.sqrt(np.mean(errors[:, 3:] ** 2)),
    }
    assert validation_rmse(logs, tree) == pytest.approx(np.sqrt(np.mean(errors**2)))


@pytest.mark.parametrize("scores", [[0.1], [0.3] * 5, [0.11, 0.1, 0.12, 0.105, 0.115, 9.0]])
def test_pictures_and_tables_of_any_study(work: Path, scores: list[float]) -> None:
    search = Search.of("small.yaml", searches=SEARCH)
    study = open_study(search, work / "a.db")
    fill(study, scores, epochs=3)
    pictures = draw(study, search.space, StudyFiles(work / "a.db", "small", None))
    assert len(pictures) == (1 if len(scores) < 4 else 2 if len(set(scores)) == 1 else 3)
    assert all(path.stat().st_size > 0 for path in pictures)
    lines = render(best_table(study, search.space)).splitlines()
    assert max(map(len, lines)) <= 80
    assert lines[2].split()[-1] == f"{sorted(scores)[:5][-1]:.4f}"
    assert study_table(study, search.space)["validation_rmse"].tolist() == scores


# -- trials that end otherwise ------------------------------------------------------------------


def test_a_trial_worse_than_the_median_at_its_epoch_is_stopped(work: Path) -> None:
    search = Search.of("small.yaml", searches=SEARCH)
    study = open_study(search, work / "a.db")
    fill(study, [0.1] * studies.UNPRUNED, epochs=2)
    Worker(search, work / "a.db", studies.UNPRUNED + 1, float("inf")).work(lambda *_: None, lambda: None)
    stopped = study.trials[-1]
    assert stopped.state == TrialState.PRUNED
    assert list(stopped.intermediate_values) == [1]


def test_a_loss_that_is_no_number_is_a_bad_trial_and_no_failure(work: Path) -> None:
    search = Search.of("small.yaml", ("train_params.optimizer=sgd",), searches=(f"{RATE}=1e-3..1e30 log",))
    study = open_study(search, work / "a.db")
    study.enqueue_trial({RATE: 1e30})
    Worker(search, work / "a.db", 1, float("inf")).work(lambda *_: None, lambda: None)
    (exploded,) = study.trials
    assert exploded.state == TrialState.PRUNED
    assert "no longer a number" in exploded.user_attrs["problem"]


@pytest.mark.parametrize("end", [KeyboardInterrupt, SystemExit])
def test_an_interrupted_or_killed_trial_is_begun_again(
    work: Path, monkeypatch: pytest.MonkeyPatch, end: type[BaseException]
) -> None:
    search = Search.of("small.yaml", searches=SEARCH)
    worker = Worker(search, work / "a.db", 1, float("inf"))

    def ending(*_: Any) -> None:
        raise end

    with pytest.raises(end):
        worker.work(ending, lambda: None)
    states = [trial.state for trial in open_study(search, work / "a.db").trials]
    assert states == ([TrialState.FAIL, TrialState.WAITING] if end is KeyboardInterrupt else [TrialState.RUNNING])
    monkeypatch.setattr(studies, "GRACE", 1)
    worker.work(lambda *_: None, lambda: None)
    first, again = open_study(search, work / "a.db").trials
    assert first.state == TrialState.FAIL
    assert again.state == TrialState.COMPLETE
    assert again.params == first.params


def test_a_search_in_which_all_fails_ends_with_the_reason(work: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def broken(*_: Any) -> None:
        raise MemoryError("the GPU is full")

    monkeypatch.setattr("galaxycnn.tuning.search.fit", broken)
    with pytest.raises(UserError, match="no trial was finished; the last one failed: MemoryError: the GPU is full"):
        tune("small.yaml", searches=SEARCH, trials=9, database=work / "a.db")


def test_two_processes_share_a_search(work: Path) -> None:
    tuning = tune("small.yaml", searches=SEARCH, trials=3, database=work / "a.db", jobs=2)
    ended = [trial for trial in tuning.study.trials if "surplus" not in trial.user_attrs]
    assert len(ended) == 3
    assert len({str(trial.params) for trial in ended}) == 3
    spans = sorted((trial.datetime_start, trial.datetime_complete) for trial in ended)
    assert any(later[0] < earlier[1] for earlier, later in pairwise(spans))


@pytest.mark.filterwarnings("ignore:Heartbeat of storage:UserWarning")
def test_a_waiting_trial_is_begun_once(work: Path) -> None:
    search, sharers, each = Search.of("small.yaml", searches=SEARCH), 4, 10
    shared = [open_study(search, work / "a.db") for _ in range(sharers)]
    for number in range(sharers * each):
        shared[0].enqueue_trial({RATE: 0.001, DROPOUT: number / 100})
    together = Barrier(sharers)

    def begin(study: optuna.Study) -> list[int]:
        together.wait()
        return [study.ask().number for _ in range(each)]

    with ThreadPoolExecutor(sharers) as pool:
        begun = sorted(number for numbers in pool.map(begin, shared) for number in numbers)
    assert begun == list(range(sharers * each))


# -- what was said wrong ------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("search", "message"),
    [
        (
            "train_params.lerning_rate=1e-4..1e-2",
            "unknown key 'train_params.lerning_rate'; did you mean 'learning_rate'",
        ),
        ("model_params.dropout_rate=0..1.5", "dropout_rate: expected a value less than 1, found 1.5"),
        ("model_params.activation=[relu, rellu]", "'rellu' here; did you mean 'relu'?"),
        ("train_params.learning_rate=1e-2..1e-4", "a range goes up"),
        ("train_params.learning_rate=0..1e-2 log", "a logarithmic range begins above 0"),
        ("train_params.batch_size=16..64 step 20", "steps of 20 do not lead from 16 to 64"),
        ("train_params.batch_size=16..64 steps", "expected a range such as"),
        ("train_params.batch_size=64", "expected a range such as"),
        ("train_params.batch_size=[64]", "two or more different choices"),
        ("train_params.batch_size={16,64}", "choices are a list, [16,64]"),
        ("train_params.batch_size=[16, 64", "not valid YAML"),
        ("train_params.batch_size", "expected section.key=RANGE or a YAML file"),
        ("data_preprocessing.min=0.1..0.9", "decides which galaxies and fractions the scores are about"),
        ("seed=1..99", "luckiest split"),
    ],
)
def test_a_wrong_range_is_told_in_one_sentence(
    work: Path, capsys: pytest.CaptureFixture[str], search: str, message: str
) -> None:
    assert main(["tune", "small.yaml", "--search", search, "--study", str(work / "a.db")]) == 2
    told = capsys.readouterr().err.strip()
    assert told.startswith(f"galaxycnn: --search {search}: ")
    assert message in told
    assert "\n" not in told
    assert not list(work.iterdir())


def test_ranges_in_a_file_are_those_of_the_command_line_and_its_mistakes_have_lines(
    work: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    file = work / "search.yaml"
    file.write_text("train_params:\n  learning_rate: 1e-4..1e-2 log\nmodel_params.dense_units: [[8], [8, 4]]\n")
    options = (f"{RATE}=1e-4..1e-2 log", "model_params.dense_units=[[8], [8, 4]]")
    load = Search("small.yaml", (), None).config
    assert read_space([str(file)], load) == read_space(options, load)
    assert read_space([str(file), f"{RATE}=1..2"], load)[RATE] == Range(1, 2)
    file.write_text("train_params:\n  epoch: 2..5\n")
    assert main(["tune", "small.yaml", "--search", str(file)]) == 2
    assert f"{file}:2: unknown key 'train_params.epoch'; did you mean 'epochs'?" in capsys.readouterr().err


def test_whole_ends_mean_whole_numbers_only_where_the_key_has_no_others(work: Path) -> None:
    load = Search("small.yaml", (), None).config
    space = read_space(["train_params.epochs=2..9", "train_params.learning_rate=1..2"], load)
    assert space["train_params.epochs"] == Range(2, 9, whole=True)
    assert space["train_params.learning_rate"] == Range(1, 2)


@given(low=st.floats(1e-6, 1e3), factor=st.floats(1.001, 1e3), log=st.booleans())
def test_a_range_reads_as_it_is_written(low: float, factor: float, log: bool) -> None:
    load = Search(SMALL, (), None).config
    written = Range(low, low * factor, log)
    assert read_space([f"{RATE}={written}"], load) == {RATE: written}


def test_by_default_what_the_configuration_has_is_searched(work: Path) -> None:
    def default(*changes: str) -> set[str]:
        return {key.rpartition(".")[2] for key in read_space((), Search("small.yaml", changes, None).config)}

    assert default() == {"learning_rate", "dropout_rate", "preset"}
    adamw = ("train_params.optimizer=adamw", "train_params.weight_decay=0.05")
    assert default(*adamw, "data_augmentation_params.preset=strong") == default() | {"weight_decay"}
    assert default("data_augmentation_params.rotation_range=90") == default() - {"preset"}


@pytest.mark.usefixtures("untrained")
def test_scores_of_different_searches_are_not_mixed(work: Path, capsys: pytest.CaptureFixture[str]) -> None:
    database = work / "a.db"
    tune("small.yaml", searches=SEARCH, trials=1, database=database)
    for change, message in {
        "train_params.epochs=3": "train_params.epochs was 2, now 3",
        "seed=5": "seed was 48, now 5",
    }.items():
        assert main([*words(database, 2), "--set", change]) == 2
        assert message in capsys.readouterr().err
    assert main([*words(database, 2), "--search", f"{DROPOUT}=0..0.5"]) == 2
    assert f"--search {DROPOUT} was 0..0.6, now 0..0.5" in capsys.readouterr().err


def test_a_file_that_is_no_database_is_left_as_it_is(work: Path, capsys: pytest.CaptureFixture[str]) -> None:
    file = work / "a.db"
    file.write_text("no database")
    assert main(words(file, 1)) == 2
    assert f"{file}: is no database of studies" in capsys.readouterr().err
    assert file.read_text() == "no database"


def test_a_configuration_without_validation_galaxies_is_refused(work: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main([*words(work / "a.db", 1), "--set", "data_preprocessing.training_size=1"]) == 2
    assert "no validation galaxies to compare trials by" in capsys.readouterr().err


def test_without_optuna_the_extra_is_named(
    work: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    for name in [name for name in sys.modules if name.startswith("galaxycnn.tuning")]:
        monkeypatch.delitem(sys.modules, name)
    monkeypatch.setitem(sys.modules, "optuna", None)
    assert main(words(work / "a.db", 1)) == 2
    assert "needs the extra galaxycnn[tune]" in capsys.readouterr().err
    assert os.listdir(work) == []
