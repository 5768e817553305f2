"""What stays of a study: its table, and the best configuration with a head that says where it comes from."""

from __future__ import annotations

import time
from collections import Counter
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path
from textwrap import fill
from typing import Any

import pandas as pd
from optuna.study import Study
from optuna.trial import FrozenTrial, TrialState
from rich.table import Table

from galaxycnn.config import Config, dump_config
from galaxycnn.files import atomic_path
from galaxycnn.tuning.search import Search
from galaxycnn.tuning.space import Space

SHOWN = 5
"""How many of the best trials the table shows."""
_WORDS = {TrialState.COMPLETE: "finished", TrialState.PRUNED: "stopped early", TrialState.FAIL: "failed"}


@dataclass(frozen=True)
class StudyFiles:
    """Where a study's files are: all beside its database, and the best configuration where it is wanted.

    Example:
        >>> files = StudyFiles(Path("logs/first.study.db"), "first", None)
        >>> files.csv.as_posix(), files.best.as_posix()
        ('logs/first.study.csv', 'logs/first.best.yaml')
    """

    database: Path
    name: str
    output: Path | None

    @property
    def csv(self) -> Path:
        return self.database.parent / f"{self.name}.study.csv"

    def picture(self, what: str) -> Path:
        return self.database.parent / f"{self.name}.study.{what}.png"

    @property
    def best(self) -> Path:
        return self.output or self.database.parent / f"{self.name}.best.yaml"

    def write_csv(self, table: pd.DataFrame) -> None:
        with atomic_path(self.csv) as temporary:
            table.to_csv(temporary, index=False)

    def write_best(self, text: str) -> None:
        with atomic_path(self.best) as temporary:
            temporary.write_text(text, encoding="utf-8")


def told_trials(study: Study) -> list[FrozenTrial]:
    """The trials that have ended in any way, but for those that another process made needless."""
    trials = study.get_trials(deepcopy=False)
    return [trial for trial in trials if trial.state.is_finished() and "surplus" not in trial.user_attrs]


def finished_trials(study: Study) -> list[FrozenTrial]:
    """The trials with a score, each set of values once, the best first."""
    trials = study.get_trials(deepcopy=False, states=(TrialState.COMPLETE,))
    own = [trial for trial in trials if "repeats" not in trial.user_attrs]
    return sorted(own, key=lambda trial: trial.value or 0.0)


def best_trial(study: Study) -> FrozenTrial | None:
    """The trial with the smallest score, where there is one."""
    return next(iter(finished_trials(study)), None)


def study_table(study: Study, space: Space) -> pd.DataFrame:
    """One row per trial: what became of it, its score, cost and values."""
    return pd.DataFrame(
        {
            "trial": trial.number,
            "state": _WORDS[trial.state],
            "validation_rmse": trial.value if trial.state == TrialState.COMPLETE else None,
            "smallest_rmse_of_an_epoch": min(trial.intermediate_values.values(), default=None),
            **{name: trial.user_attrs.get(name) for name in ("epochs", "seconds", "parameters", "repeats", "problem")},
            **{key: trial.params.get(key) for key in space},
        }
        for trial in told_trials(study)
    )


def best_table(study: Study, space: Space) -> Table:
    """The best trials side by side, the best first: score, cost and values, for an 80-column terminal."""
    best = finished_trials(study)[:SHOWN]
    table = Table(title="the best trials", title_justify="left", box=None, padding=(0, 1, 0, 0), pad_edge=False)
    table.add_column("trial", overflow="fold", max_width=28)
    for trial in best:
        table.add_column(str(trial.number), justify="right", overflow="fold", max_width=11)
    table.add_row("validation RMSE", *(f"{trial.value:.4f}" for trial in best), style="bold")
    for name in ("epochs", "seconds", "parameters"):
        table.add_row(name, *(shown(trial.user_attrs.get(name)) for trial in best))
    names = short_names(space)
    for key in space:
        table.add_row(names[key], *(shown(trial.params.get(key)) for trial in best))
    return table


def in_words(study: Study) -> str:
    """How many trials there were, and what the search has gained.

    The score of the best of many is flattered by having been chosen; the test part is still unseen.
    """
    trials, best = told_trials(study), best_trial(study)
    counts = Counter(_WORDS[trial.state] for trial in trials)
    many = ", ".join(f"{counts[word]} {word}" for word in _WORDS.values() if counts[word])
    sentence = f"{len(trials)} trials: {many}"
    if best is None:
        return sentence
    sentence += f"; the smallest validation RMSE is {best.value:.4f} (trial {best.number})"
    standing = next((t for t in finished_trials(study) if "as_it_stands" in t.user_attrs), None)
    if standing is not None:
        sentence += f", that of the configuration as it stands {standing.value:.4f} (trial {standing.number})"
    return sentence


def best_yaml(study: Study, search: Search, config: Config, command: str) -> str:
    """The best configuration as YAML, under a head that says how it was found."""
    about = (
        f"{in_words(study)}. Scores are over all columns of {search.validation_galaxies:,} validation galaxies, by"
        " which this configuration was chosen: on other galaxies expect a little more. The test part was not looked at."
    )
    ranges = [f"{key}: {dimension}" for key, dimension in search.space.items()]
    head = [
        f"{study.study_name}, tuned: the values with the smallest validation RMSE of a search",
        "",
        "  galaxycnn train THIS_FILE",
        "",
        f"Found {time.strftime('%Y-%m-%d')}" + (f" by: {command}" if command else ""),
        *fill(about, 110).splitlines(),
        "Searched:",
        *(f"  {line}" for line in ranges),
    ]
    lines = [f"# {line}".rstrip() for line in head]
    return "\n".join([*lines, dump_config(config)])


def short_names(keys: Iterable[str]) -> dict[str, str]:
    """Each dotted key by its last word, where no other ends with the same one.

    Example:
        >>> short_names(["train_params.learning_rate", "train_params.schedule.name", "model_name.name"])
        {'train_params.learning_rate': 'learning_rate', 'train_params.schedule.name': 'schedule.name', \
'model_name.name': 'model_name.name'}
    """
    keys = list(keys)
    names = {}
    for key in keys:
        words = key.split(".")
        tails = [".".join(words[-length:]) for length in range(1, len(words) + 1)]
        names[key] = next(
            tail for tail in tails if tail == key or sum(f".{other}".endswith(f".{tail}") for other in keys) == 1
        )
    return names


def shown(value: Any) -> str:
    """A value in few letters.

    Example:
        >>> shown(0.00123456), shown(1234.5), shown(64), shown("[512, 256]"), shown(None)
        ('0.00123', '1234', '64', '[512, 256]', '-')
    """
    if value is None:
        return "-"
    if isinstance(value, float):
        return f"{value:.3g}" if abs(value) < 1000 else f"{value:.0f}"
    return str(value)
