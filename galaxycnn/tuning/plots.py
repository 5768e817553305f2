"""Pictures of a study: how it went, which keys mattered, and the score against each of them."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import numpy as np
from matplotlib.axes import Axes
from matplotlib.ticker import MaxNLocator
from optuna.importance import FanovaImportanceEvaluator, get_param_importances
from optuna.study import Study
from optuna.trial import FrozenTrial, TrialState

from galaxycnn.plots.style import BLUE, GREY, INK, RED, grid_size, panels, picture
from galaxycnn.tuning.space import Choices, Dimension, Space
from galaxycnn.tuning.summary import StudyFiles, finished_trials, short_names, told_trials

SCORE = "validation RMSE"
FEWEST = 4
"""Fewer finished trials say nothing of what matters."""
_WIDTH, _HEIGHT, _COLUMNS = 2.9, 2.4, 3
_MARGIN = 0.05
_FAR = 4.0
"""Scores that are further from the best than so many times the median's distance are drawn at the edge."""


def draw(study: Study, space: Space, files: StudyFiles) -> list[Path]:
    """Draw what the finished trials allow, and return the pictures' paths."""
    finished = finished_trials(study)
    drawn = [_history(study, files.picture("history"))]
    if len(finished) >= FEWEST:
        drawn.append(_parameters(study, space, files.picture("parameters")))
    if len(finished) >= FEWEST and len({trial.value for trial in finished}) > 1 and len(space) > 1:
        drawn.append(_importance(study, space, files.picture("importance")))
    return drawn


def _history(study: Study, path: Path) -> Path:
    """Every trial's score in the order of trials, and the best so far."""
    trials, finished = told_trials(study), sorted(finished_trials(study), key=lambda trial: trial.number)
    stopped = [trial for trial in trials if trial.state == TrialState.PRUNED and trial.intermediate_values]
    standing = [trial for trial in finished if "as_it_stands" in trial.user_attrs]
    top = max(_top([*finished, *stopped]), *map(_score, standing), 0.0)
    with picture(path, 7, 3.8, f"Search of {study.study_name}: {len(trials)} trials") as figure:
        axes = figure.add_subplot()
        numbers, scores = [trial.number for trial in finished], [_score(trial) for trial in finished]
        _points(axes, numbers, scores, top, marker="o", color=BLUE, label="finished")
        if stopped:
            ends = [trial.number for trial in stopped], [_score(trial) for trial in stopped]
            _points(axes, *ends, top, marker="x", color=GREY, label="stopped early, its best epoch")
        axes.step(
            [*numbers, max(trial.number for trial in trials)],
            np.minimum.accumulate([*scores, min(scores)]),
            where="post",
            color=RED,
            label="best so far",
        )
        for trial in standing:
            axes.axhline(_score(trial), color=INK, linestyle=":", linewidth=1, label="configuration as it stands")
        axes.set(xlabel="trial", ylabel=SCORE)
        axes.xaxis.set_major_locator(MaxNLocator(integer=True, min_n_ticks=1))
        figure.legend(loc="outside lower center", ncols=3)
    return path


def _importance(study: Study, space: Space, path: Path) -> Path:
    """Each key's own share of the scatter (functional analysis of variance, Hutter et al. 2014), 100 % in all."""
    shares = get_param_importances(study, evaluator=FanovaImportanceEvaluator(seed=0), params=list(space))
    names, order = short_names(space), sorted(shares, key=lambda key: shares[key])
    title = f"What mattered in the search of {study.study_name}"
    with picture(path, 7, 1.3 + 0.32 * len(order), title) as figure:
        axes = figure.add_subplot()
        bars = axes.barh([names[key] for key in order], [shares[key] for key in order], color=BLUE, height=0.6)
        axes.bar_label(bars, fmt=lambda share: f"{share:.0%}", padding=3, fontsize=8, color=INK)
        finished = len(finished_trials(study))
        axes.set(xlabel=f"share of the scatter in {SCORE} of {finished} finished trials")
        axes.margins(x=0.12)
        axes.grid(axis="y", visible=False)
        axes.xaxis.set_major_formatter(lambda share, _: f"{share:.0%}")
    return path


def _parameters(study: Study, space: Space, path: Path) -> Path:
    """A panel per key: the score of each finished trial against its value."""
    finished, names = sorted(finished_trials(study), key=lambda trial: trial.number), short_names(space)
    top = _top(finished)
    width, height = grid_size(len(space), _COLUMNS, _WIDTH, _HEIGHT)
    title = f"Score against each value in the search of {study.study_name}"
    with picture(path, max(width, 2 * _WIDTH), height, title) as figure:
        grid = panels(figure, len(space), _COLUMNS)
        for axes, (key, dimension) in zip(grid, space.items(), strict=True):
            places = _places(axes, dimension, [trial.params[key] for trial in finished])
            _points(axes, places, [_score(trial) for trial in finished], top, marker="o", color=BLUE)
            best = int(np.argmin([_score(trial) for trial in finished]))
            axes.plot(places[best], _score(finished[best]), "*", color=RED, markersize=11, label="best")
            axes.set(title=names[key], ylabel=SCORE)
        grid[0].legend()
    return path


def _places(axes: Axes, dimension: Dimension, values: Sequence[float | str]) -> list[float]:
    """Where the values lie on the horizontal axis, which is prepared for them."""
    if isinstance(dimension, Choices):
        choices = [dimension.recorded(option) for option in dimension.options]
        rotation = 30 if sum(map(len, choices)) > 24 else 0
        axes.set_xticks(range(len(choices)), choices, rotation=rotation, ha="right" if rotation else "center")
        axes.set_xlim(-0.5, len(choices) - 0.5)
        return [choices.index(str(value)) for value in values]
    if dimension.log:
        margin = (dimension.high / dimension.low) ** _MARGIN
        axes.set(xscale="log", xlim=(dimension.low / margin, dimension.high * margin))
    else:
        margin = _MARGIN * (dimension.high - dimension.low)
        axes.set_xlim(dimension.low - margin, dimension.high + margin)
        axes.xaxis.set_major_locator(MaxNLocator(nbins=6, integer=dimension.whole))
    return [float(value) for value in values]


def _points(
    axes: Axes, places: Sequence[float], scores: Sequence[float], top: float, marker: str, color: str, label: str = ""
) -> None:
    """Points; those far above the best stand as triangles at the upper edge."""
    near = [score <= top for score in scores]
    far = [place for place, is_near in zip(places, near, strict=True) if not is_near]
    inside = [(place, score) for place, score, is_near in zip(places, scores, near, strict=True) if is_near]
    if inside:
        axes.plot(*zip(*inside, strict=True), marker, color=color, label=label)
    if far:
        axes.plot(
            far, [top] * len(far), "^", color=color, markerfacecolor="none", label=label and f"{label}, off the scale"
        )


def _top(trials: Sequence[FrozenTrial]) -> float:
    """The largest score that is drawn where it lies."""
    scores = [_score(trial) for trial in trials]
    spread = float(np.median(scores)) - min(scores)
    return min(scores) + _FAR * spread if spread else max(scores)


def _score(trial: FrozenTrial) -> float:
    if trial.state == TrialState.COMPLETE and trial.value is not None:
        return trial.value
    return min(trial.intermediate_values.values())
