"""What is searched: a configuration, its space, its galaxies; and one trial of it."""

from __future__ import annotations

import json
import math
import tempfile
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

import keras
import numpy as np
from optuna import TrialPruned
from optuna.study import Study
from optuna.trial import FrozenTrial, Trial, TrialState

from galaxycnn.config import Config, load_config
from galaxycnn.data.dataset import GalaxyData, prepare
from galaxycnn.data.split import Split
from galaxycnn.errors import ConfigError, UserError
from galaxycnn.progress import silent_progress
from galaxycnn.training.run import fit
from galaxycnn.tree import DecisionTree
from galaxycnn.tuning.space import Space, flat, read_space, settings
from galaxycnn.views import fill_mode, predict_views

ENDED = (TrialState.COMPLETE, TrialState.PRUNED)
"""The states of trials that have told how good their values are."""

Watch = Callable[[int, int, float], None]
"""Is told a trial's number, an epoch and the validation RMSE after it."""


@dataclass
class Search:
    """A configuration, the space about it, and the galaxies on which trials are compared.

    Attributes:
        source: the YAML file, or its content.
        overrides: changes of it as ``section.key=value``.
        seed: replaces the configuration's; None leaves it.
        space: the keys that are varied.
        split: which galaxies train and validate, the same in all trials; None before it is drawn.
    """

    source: str | Path | Mapping[str, Any]
    overrides: tuple[str, ...]
    seed: int | None
    space: Space = field(default_factory=dict)
    split: Split | None = None

    @classmethod
    def of(
        cls,
        source: str | Path | Mapping[str, Any],
        overrides: tuple[str, ...] = (),
        seed: int | None = None,
        searches: tuple[str, ...] = (),
    ) -> Search:
        """The search that a configuration and the words of ``--search`` describe; its galaxies are read.

        Raises:
            UserError: configuration, ranges or galaxies are wrong, or there is nothing to search or to
                compare trials by.
        """
        search = cls(source, overrides, seed)
        search.space = read_space(searches, search.config)
        if not search.space:
            raise ConfigError("there is nothing to search by default in this configuration; give --search")
        data = prepare(search.config({}))
        if not len(data.validation):
            raise ConfigError(
                "data_preprocessing: there are no validation galaxies to compare trials by; use training_size below 1"
            )
        search.split = data.split
        return search

    def config(self, values: Mapping[str, Any]) -> Config:
        """The configuration with these values of these keys."""
        return load_config(self.source, [*self.overrides, *settings(values)], self.seed)

    def data(self, config: Config) -> GalaxyData:
        """The galaxies of ``config`` in the parts of the search, without those of the test."""
        data = prepare(config, self.split)
        return replace(data, test=data.test.only(np.arange(0)))

    @property
    def validation_galaxies(self) -> int:
        """How many galaxies a score is about."""
        return len(self.split.validation) if self.split else 0

    def as_it_stands(self) -> dict[str, Any] | None:
        """The configuration's own values, as a study has them; None where one of them lies outside its range."""
        given = self.config({}).model_dump(mode="json")
        values = {key: _at(given, key) for key in self.space}
        if not all(values[key] in dimension for key, dimension in self.space.items()):
            return None
        return {key: dimension.recorded(values[key]) for key, dimension in self.space.items()}

    def identity(self) -> dict[str, Any]:
        """What must be the same in all trials of a study for their scores to compare, by dotted key."""
        given = self.config({}).model_dump(mode="json", exclude={"paths", "simulation"})
        fixed = {key: value for key, value in flat(given).items() if not self._searched(key)}
        ranges = {f"--search {key}": str(dimension) for key, dimension in self.space.items()}
        galaxies = {f"{part} galaxies": len(ids) for part, ids in self.split or ()}
        return json.loads(json.dumps(fixed | ranges | galaxies))

    def _searched(self, key: str) -> bool:
        return any(f"{key}.".startswith(f"{name}.") or _fills_in(name, key) for name in self.space)


def _at(content: Any, key: str) -> Any:
    for name in key.split("."):
        content = content.get(name) if isinstance(content, Mapping) else None
    return content


def _fills_in(searched: str, key: str) -> bool:
    """A preset stands for all keys of its section."""
    section = "data_augmentation_params"
    return searched == f"{section}.preset" and key.split(".")[0] == section


class Objective:
    """Trains the network of one trial and gives its validation RMSE.

    The score is that of the network which a training keeps, over all columns, so that training the best
    values again gives it again. Nothing of a trial stays on disk.

    Args:
        search: what is searched.
        trials: the trials that the study is to have; one too many gives up at once.
        watch: is told of every epoch.
    """

    def __init__(self, search: Search, trials: int, watch: Watch) -> None:
        self.search, self.trials, self.watch = search, trials, watch
        self._data: dict[str, GalaxyData] = {}

    def __call__(self, trial: Trial) -> float:
        values = {key: dimension.suggest(trial, key) for key, dimension in self.search.space.items()}
        study = trial.study
        if _rank(study, trial.number) >= self.trials:
            trial.set_user_attr("surplus", True)
            raise Surplus
        known = _same_values(study, trial)
        if known is not None:
            return _repeated(trial, known)
        begun = time.perf_counter()
        try:
            return self._score(trial, self.search.config(values))
        except KeyboardInterrupt:
            study.enqueue_trial(trial.params, user_attrs=trial.user_attrs)
            raise
        except TrialPruned:
            raise
        except Exception as error:
            trial.set_user_attr("problem", _in_a_line(error))
            raise
        finally:
            trial.set_user_attr("seconds", round(time.perf_counter() - begun, 1))

    def _score(self, trial: Trial, config: Config) -> float:
        data = self._galaxies(config)
        watcher = Watcher(trial, data.tree, self.watch)
        keras.utils.clear_session()
        with tempfile.TemporaryDirectory(prefix="galaxycnn-trial-") as folder, silent_progress():
            model = fit(_in_folder(config, Path(folder)), data, [watcher])
            views = config.evaluation_params.views
            predicted = predict_views(model, data.tree, data.validation, views, fill_mode(config)).mean
        trial.set_user_attr("parameters", model.count_params())
        return float(np.sqrt(np.mean(np.square(predicted - data.validation.fractions))))

    def _galaxies(self, config: Config) -> GalaxyData:
        """The galaxies of the trial before, where their cutouts are to be the same."""
        key = config.data_preprocessing.model_dump_json()
        if key not in self._data:
            with silent_progress():
                self._data = {key: self.search.data(config)}
        return self._data[key]


class Surplus(UserError):
    """Another process has begun the last trial of the study at the same time."""


class Watcher(keras.callbacks.Callback):
    """Tells a study the validation RMSE after every epoch, and ends a trial that has no prospects.

    Networks that are trained question by question have no RMSE before the end; they are never stopped early.
    """

    def __init__(self, trial: Trial, tree: DecisionTree, watch: Watch) -> None:
        super().__init__()
        self.trial, self.tree, self.watch = trial, tree, watch

    def on_epoch_end(self, epoch: int, logs: dict[str, float] | None = None) -> None:
        self.trial.set_user_attr("epochs", epoch + 1)
        if not math.isfinite((logs or {}).get("loss", 0.0)):
            self.trial.set_user_attr("problem", "the loss is no longer a number")
            raise TrialPruned
        if sum(output.shape[-1] for output in self.model.outputs) < len(self.tree.columns):
            return
        rmse = validation_rmse(logs or {}, self.tree)
        self.watch(self.trial.number, epoch + 1, rmse)
        self.trial.report(rmse, epoch + 1)
        if self.trial.should_prune():
            raise TrialPruned


def validation_rmse(logs: Mapping[str, float], tree: DecisionTree) -> float:
    """The RMSE over all columns, from the figures of an epoch, whether it has one output or one per question.

    Example:
        >>> tree = DecisionTree.from_classes({"shape": ["smooth", "disk"], "bar": ["yes", "no"]})
        >>> round(validation_rmse({"val_shape_rmse": 0.1, "val_bar_rmse": 0.3}, tree), 4)
        0.2236
    """
    if "val_rmse" in logs:
        return logs["val_rmse"]
    squares = [len(question) * logs[f"val_{question.name}_rmse"] ** 2 for question in tree.questions]
    return math.sqrt(sum(squares) / len(tree.columns))


def _in_folder(config: Config, folder: Path) -> Config:
    """``config`` with all files but the cutouts in ``folder``, and with the RMSE among its metrics."""
    paths = dict.fromkeys(("plots_path", "models_path", "logs_path"), folder)
    metrics = list(dict.fromkeys([*config.train_params.metrics, "rmse"]))
    return config.model_copy(
        update={
            "paths": config.paths.model_copy(update=paths),
            "train_params": config.train_params.model_copy(update={"metrics": metrics}),
        }
    )


# -- trials before this one ---------------------------------------------------------------------


def _rank(study: Study, number: int) -> int:
    """How many trials before this one have ended or are running."""
    counted = (*ENDED, TrialState.RUNNING)
    return sum(other.number < number for other in study.get_trials(deepcopy=False, states=counted))


def _same_values(study: Study, trial: Trial) -> FrozenTrial | None:
    """An earlier trial with the same values: trainings are repeatable, so its outcome is known."""
    ended = study.get_trials(deepcopy=False, states=ENDED)
    return next((other for other in ended if other.params == trial.params), None)


def _repeated(trial: Trial, known: FrozenTrial) -> float:
    trial.set_user_attr("repeats", known.number)
    if known.value is None or known.state == TrialState.PRUNED:
        raise TrialPruned
    return known.value


def _in_a_line(error: Exception) -> str:
    text = str(error).strip().splitlines()
    kind = "" if isinstance(error, UserError) else f"{type(error).__name__}: "
    return f"{kind}{text[0] if text else 'no message'}"[:300]
