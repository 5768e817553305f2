"""A study: trials in a database file, by one process or several, gone on with by the same command."""

from __future__ import annotations

import os
import pickle
import sys
import tempfile
import time
import warnings
from collections import Counter
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from subprocess import Popen, TimeoutExpired
from typing import Any

import numpy as np
import optuna
from optuna.pruners import MedianPruner
from optuna.samplers import TPESampler
from optuna.storages import RDBStorage, RetryHeartbeatStaleTrialCallback, fail_stale_trials
from optuna.study import Study
from optuna.trial import FrozenTrial, TrialState
from sqlalchemy import Connection, event
from sqlalchemy.exc import SQLAlchemyError

from galaxycnn.config import Config
from galaxycnn.errors import UserError
from galaxycnn.machine import cores
from galaxycnn.quiet import quiet
from galaxycnn.tuning.plots import draw
from galaxycnn.tuning.reporting import Reporter
from galaxycnn.tuning.search import ENDED, Objective, Search
from galaxycnn.tuning.summary import StudyFiles, best_yaml, study_table

HEARTBEAT, GRACE = 5, 30
"""Seconds: how often a running trial says that it lives, and after how long a silence it is begun again."""
IN_A_ROW = 3
"""A process gives up after so many failed trials, one after the other."""
UNPRUNED = 5
"""So many trials are finished before any is stopped early."""


@dataclass(frozen=True)
class Tuning:
    """A study as far as it has come.

    Attributes:
        search: what was searched.
        study: the trials, as Optuna has them.
        config: the configuration of the best trial, ready to train.
        files: what was written: table, pictures, best YAML.
    """

    search: Search
    study: Study
    config: Config
    files: list[Path]


def tune(
    source: str | Path | Mapping[str, Any],
    overrides: Sequence[str] = (),
    seed: int | None = None,
    *,
    searches: Sequence[str] = (),
    trials: int = 50,
    database: str | Path | None = None,
    jobs: int = 1,
    minutes: float | None = None,
    output: str | Path | None = None,
    command: str = "",
) -> Tuning:
    """Search for the values with the smallest validation RMSE; the test part is not looked at.

    Values are drawn by the tree-structured Parzen estimator (Bergstra et al. 2011), the first ones at
    random; a trial that is worse than the median of the earlier ones at the same epoch ends early.
    The first trial is the configuration as it stands, where it lies within the ranges.

    Args:
        source: the YAML file, or its content.
        overrides: changes of it as ``section.key=value``.
        seed: replaces the configuration's ``seed``; also seeds the drawing of values.
        searches: ranges, or files of them (:func:`galaxycnn.tuning.space.read_space`); none for the default space.
        trials: how many the study has in the end, those of earlier calls counted.
        database: an SQLite file; the same one, configuration and ranges go on with a study. Several
            processes may work on one. None: ``<name>.study.db`` in the folder of logs.
        jobs: trials at the same time, each in a process of its own.
        minutes: no trial begins after so long.
        output: where the best configuration goes; None: ``<name>.best.yaml`` beside the database.
        command: what was called, for the head of that file.

    Raises:
        UserError: configuration, ranges or galaxies are wrong, the database holds another search, or no
            trial succeeds.

    Example:
        >>> import galaxycnn.tuning
        >>> tuning = galaxycnn.tuning.tune("configs/quickstart.yaml", trials=20)  # doctest: +SKIP
        >>> tuning.study.best_value  # doctest: +SKIP
        0.07
    """
    search = Search.of(source, tuple(overrides), seed, tuple(searches))
    config = search.config({})
    path = Path(database) if database is not None else config.paths.logs_path / f"{config.model_name}.study.db"
    files = StudyFiles(path, config.model_name, Path(output) if output is not None else None)
    deadline = time.time() + 60 * minutes if minutes is not None else float("inf")
    with _quiet():
        study = open_study(search, path)
        _same_search(study, search, path)
        worker = Worker(search, path, trials, deadline)
        with Reporter(study, trials, path) as reporter:
            if jobs == 1:
                worker.work(reporter.epoch, reporter.update)
            else:
                _work_together(worker, jobs, reporter.update)
        return _summed_up(search, study, files, command)


@dataclass(frozen=True)
class Worker:
    """One process's part in a study; several may work on the same ``database``."""

    search: Search
    database: Path
    trials: int
    deadline: float

    def work(self, watch: Callable[[int, int, float], None], ended: Callable[[], None]) -> None:
        """Run trials until the study has all, the deadline is over, or trials only fail."""
        study = open_study(self.search, self.database)
        objective = Objective(self.search, self.trials, watch)
        states: list[TrialState] = []
        while (free := self._free(study)) is not None and time.time() < self.deadline:
            if states[-IN_A_ROW:] == [TrialState.FAIL] * IN_A_ROW:
                return
            if not free:
                time.sleep(1)
                continue
            study.sampler = self._sampler(study)
            study.optimize(objective, 1, catch=(Exception,), callbacks=[lambda _, trial: states.append(trial.state)])
            ended()

    def _free(self, study: Study) -> bool | None:
        """Whether there is a trial to begin; None where all have ended."""
        fail_stale_trials(study)
        states = Counter(trial.state for trial in study.get_trials(deepcopy=False))
        ended = sum(states[state] for state in ENDED)
        if ended >= self.trials:
            return None
        return ended + states[TrialState.RUNNING] < self.trials

    def _sampler(self, study: Study) -> TPESampler:
        """A sampler whose draw depends on the seed and the number of the trial, so that a study can go on."""
        drawn = len(study.get_trials(deepcopy=False))
        seed = self.search.config({}).seed
        state = np.random.SeedSequence([seed, drawn]).generate_state(1)
        return TPESampler(seed=int(state[0]))


def open_study(search: Search, database: Path) -> Study:
    """The study in ``database``, begun where there is none.

    Raises:
        UserError: the file is no database of studies.
    """
    config = search.config({})
    database.parent.mkdir(parents=True, exist_ok=True)
    try:
        storage = RDBStorage(
            f"sqlite:///{database}",
            engine_kwargs={"connect_args": {"timeout": 60}},
            heartbeat_interval=HEARTBEAT,
            grace_period=GRACE,
            heartbeat_stale_trial_callback=RetryHeartbeatStaleTrialCallback(max_retry=1),
        )
        _read_and_write_at_once(storage)
        study = optuna.create_study(
            storage=storage,
            study_name=config.model_name,
            direction="minimize",
            load_if_exists=True,
            pruner=MedianPruner(UNPRUNED, n_warmup_steps=config.train_params.epochs // 4),
        )
    except (SQLAlchemyError, RuntimeError) as error:
        raise UserError(f"{database}: is no database of studies ({str(error).splitlines()[0]})") from None
    return study


def _read_and_write_at_once(storage: RDBStorage) -> None:
    """Take SQLite's write lock where a transaction begins, so that two processes never begin one waiting trial.

    Python's driver takes it at the first change, after both have read that the trial waits. Source: SQLAlchemy,
    SQLite dialect, "Serializable isolation / Savepoints / Transactional DDL".
    """
    engine = storage.engine

    @event.listens_for(engine, "connect")
    def _leave_transactions_to_us(connection: Any, _: object) -> None:
        connection.isolation_level = None

    @event.listens_for(engine, "begin")
    def _lock(connection: Connection) -> None:
        connection.exec_driver_sql("BEGIN IMMEDIATE")

    engine.dispose()  # closes connections that were made before


def _same_search(study: Study, search: Search, database: Path) -> None:
    """Refuse to mix scores that do not compare; a new study begins with the configuration as it stands."""
    now, before = search.identity(), study.user_attrs.get("search")
    if before is None:
        study.set_user_attr("search", now)
        standing = search.as_it_stands()
        if standing is not None:
            study.enqueue_trial(standing, user_attrs={"as_it_stands": True}, skip_if_exists=True)
        return
    for key in sorted(before.keys() | now.keys()):
        old, new = before.get(key, "absent"), now.get(key, "absent")
        if old != new:
            raise UserError(
                f"{database}: the study {study.study_name!r} was begun with another search ({key} was {old}, now"
                f" {new}); restore it, or begin a new study with --study FILE"
            )


def _work_together(worker: Worker, jobs: int, poll: Callable[[], None]) -> None:
    """Start ``jobs`` processes and call ``poll`` every second until they end."""
    threads = str(max(1, cores() // jobs))
    shared = {"TF_NUM_INTRAOP_THREADS": threads, "OMP_NUM_THREADS": threads, "TF_FORCE_GPU_ALLOW_GROWTH": "true"}
    with tempfile.TemporaryDirectory() as folder:
        task, remarks = Path(folder) / "worker", Path(folder) / "remarks"
        task.write_bytes(pickle.dumps(worker))
        command = [sys.executable, "-c", f"import sys, {__name__} as study; study.serve(sys.argv[1])", str(task)]
        with remarks.open("wb") as stderr:
            processes = [Popen(command, stderr=stderr, env=shared | os.environ) for _ in range(jobs)]
        try:
            while any(process.poll() is None for process in processes):
                time.sleep(1)
                poll()
        finally:
            for process in processes:
                _end(process)
        if any(process.returncode for process in processes):
            said = remarks.read_text(errors="replace").strip().splitlines()
            raise UserError(f"a process of the search broke off: {said[-1] if said else 'it was killed'}")


def serve(task: str) -> None:
    """Do the part that :func:`_work_together` has written to the file ``task``; it alone tells of trials."""
    with suppress(KeyboardInterrupt), _quiet():
        pickle.loads(Path(task).read_bytes()).work(lambda *_: None, lambda: None)


def _end(process: Popen[bytes]) -> None:
    try:
        process.wait(30)
    except TimeoutExpired:
        process.terminate()
        process.wait()


@contextmanager
def _quiet() -> Iterator[None]:
    """Without the lines of Optuna, and those of TensorFlow about networks that are traced one after the other."""
    with quiet("optuna", "tensorflow"), warnings.catch_warnings():
        warnings.simplefilter("ignore", optuna.exceptions.ExperimentalWarning)
        yield


def _summed_up(search: Search, study: Study, files: StudyFiles, command: str) -> Tuning:
    """Table, pictures and the best configuration."""
    all_trials = study.get_trials(deepcopy=False)
    finished = [trial for trial in all_trials if trial.state == TrialState.COMPLETE]
    if not finished:
        raise UserError(f"no trial was finished{_last_problem(all_trials)}")
    files.write_csv(study_table(study, search.space))
    written = [files.csv, *draw(study, search.space, files)]
    values = {key: dimension.value(study.best_params[key]) for key, dimension in search.space.items()}
    config = search.config(values).model_copy(update={"model_name": f"{study.study_name}_tuned"})
    files.write_best(best_yaml(study, search, config, command))
    return Tuning(search, study, config, [*written, files.best])


def _last_problem(trials: Sequence[FrozenTrial]) -> str:
    problems = [trial.user_attrs["problem"] for trial in trials if "problem" in trial.user_attrs]
    return f"; the last one failed: {problems[-1]}" if problems else ""
