"""What is shown while a study runs: a line per trial, and a bar with the best score so far."""

from __future__ import annotations

from pathlib import Path
from types import TracebackType

from optuna.study import Study
from optuna.trial import FrozenTrial, TrialState

from galaxycnn.progress import progress_bar
from galaxycnn.tuning.search import ENDED
from galaxycnn.tuning.summary import best_trial, short_names, shown


class Reporter:
    """Prints what has ended since it was last asked, above a bar over all trials.

    Args:
        study: the trials.
        trials: how many there are to be.
        database: where they are kept.
    """

    def __init__(self, study: Study, trials: int, database: Path) -> None:
        self.study, self.trials, self.database = study, trials, database
        self.told: set[int] = set()
        self.bar = progress_bar()

    def __enter__(self) -> Reporter:
        earlier = [trial for trial in self.study.get_trials(deepcopy=False) if trial.state.is_finished()]
        self.told = {trial.number for trial in earlier}
        ended = sum(trial.state in ENDED for trial in earlier)
        self.bar.start()
        self.task = self.bar.add_task("", total=self.trials, completed=min(ended, self.trials))
        if ended:
            self._print(f"{self.database} holds {ended} trials of this search already{self._best()}")
        self.update()
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, at: TracebackType | None) -> None:
        self.bar.stop()

    def update(self) -> None:
        """Tell of trials that have ended."""
        trials = [trial for trial in self.study.get_trials(deepcopy=False) if trial.state.is_finished()]
        for trial in trials:
            if trial.number not in self.told and "surplus" not in trial.user_attrs:
                self._print(f"{_line(trial)}{self._best()}")
            self.told.add(trial.number)
        ended = sum(trial.state in ENDED for trial in trials)
        self.bar.update(self.task, completed=min(ended, self.trials), description=f"trials{self._best()}")

    def epoch(self, number: int, epoch: int, rmse: float) -> None:
        """Show how a running trial gets on."""
        self.bar.update(self.task, description=f"trial {number}, epoch {epoch}: {rmse:.4f}{self._best()}")

    def _best(self) -> str:
        best = best_trial(self.study)
        return f"; best {best.value:.4f} (trial {best.number})" if best else ""

    def _print(self, line: str) -> None:
        self.bar.console.print(line, highlight=False, markup=False, soft_wrap=True)


def _line(trial: FrozenTrial) -> str:
    names = short_names(trial.params)
    values = ", ".join(f"{names[key]} {shown(value)}" for key, value in trial.params.items())
    return f"trial {trial.number}: {outcome(trial)}, {values}"


def outcome(trial: FrozenTrial) -> str:
    """What became of a trial, in a few words."""
    if "repeats" in trial.user_attrs:
        return f"as trial {trial.user_attrs['repeats']}"
    if trial.state == TrialState.COMPLETE:
        return f"{trial.value:.4f}"
    problem = trial.user_attrs.get("problem")
    if trial.state == TrialState.PRUNED:
        return f"stopped after epoch {trial.user_attrs.get('epochs', 0)}{f', {problem}' if problem else ''}"
    return f"failed, {problem}" if problem else "interrupted, begun again"
