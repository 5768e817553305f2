"""Several trained networks as one: the weighted mean of their fractions, and the file that names them.

A mean with weights that sum to 1 keeps the sums of a decision tree wherever its members do. A single network is an
ensemble of one, so that whatever takes a model takes either.
"""

from __future__ import annotations

import os
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
import pandas as pd
import yaml
from numpy.typing import NDArray
from scipy.optimize import nnls

from galaxycnn.config import Config, load_config
from galaxycnn.config.loading import read_file
from galaxycnn.data.dataset import Part
from galaxycnn.errors import ConfigError, DataError, UserError, nearest
from galaxycnn.files import atomic_path
from galaxycnn.measuring import NeverLooked
from galaxycnn.models.saving import load_model, read_recipe
from galaxycnn.pretrained import model_file
from galaxycnn.quantities import Prediction, pooled
from galaxycnn.tree import DecisionTree, Floats
from galaxycnn.views import Seen, fill_mode, predict_views

SUFFIX = ".ensemble.yaml"

PartFor = Callable[[Config], Part]
"""Gives the galaxies to predict as the network of a configuration needs its cutouts."""


@dataclass(frozen=True)
class Member:
    """A model file and its weight; ``tree`` and ``baseline`` are None where the file does not hold its recipe."""

    path: Path
    config: Config
    tree: DecisionTree | None = None
    baseline: NeverLooked | None = None
    threshold: float | None = None
    weight: float = 1.0

    @classmethod
    def load(cls, path: str | Path) -> Member:
        """The member that a model file with a recipe makes."""
        recipe = read_recipe(path)
        baseline = NeverLooked.from_dict(recipe.baseline)
        return cls(Path(path), recipe.config, recipe.tree, baseline, recipe.threshold)

    def predict(self, tree: DecisionTree, part: Part, views: int) -> Seen:
        """Load the network, predict ``part`` from several views, and let the network go."""
        network = load_model(self.path, self.config if self.tree is None else None)
        return predict_views(network, tree, part, views, fill_mode(self.config))


@dataclass(frozen=True)
class Ensemble:
    """Networks that answer the same questions; their weights sum to 1.

    Attributes:
        asked_views: how many views of each galaxy its file asks for, if it does.
    """

    members: tuple[Member, ...]
    asked_views: int | None = None

    @property
    def config(self) -> Config:
        """The configuration of the first member, for what all have in common."""
        return self.members[0].config

    @property
    def tree(self) -> DecisionTree | None:
        return self.members[0].tree

    @property
    def baseline(self) -> NeverLooked | None:
        return self.members[0].baseline

    @property
    def threshold(self) -> float | None:
        """That of a single network; several choose the more probable class."""
        return self.members[0].threshold if len(self.members) == 1 else None

    @property
    def views(self) -> int:
        """How many views of each galaxy are averaged by default: as asked for, or else the most of any member."""
        return self.asked_views or max(member.config.evaluation_params.views for member in self.members)

    @property
    def weights(self) -> list[float]:
        return [member.weight for member in self.members]

    def predict_each(self, tree: DecisionTree, part_for: PartFor, views: int | None = None) -> Iterator[Seen]:
        """The predictions of one member after the other, each on its own cutouts of the same galaxies."""
        for member in self.members:
            yield member.predict(tree, part_for(member.config), views or self.views)

    def predict(self, tree: DecisionTree, part_for: PartFor, views: int | None = None) -> Seen:
        """The weighted mean of the members' predictions; memory holds those of one member at a time.

        Args:
            tree: the questions that the members answer.
            part_for: the galaxies, the same for every member and in the same order.
            views: how many views of each galaxy; None for as many as :attr:`views`.
        """
        return combine(self.weights, self.predict_each(tree, part_for, views))


def combine(weights: Sequence[float], predictions: Iterable[Seen]) -> Seen:
    """The weighted mean of several predictions; its spread is over views and members together.

    Example:
        >>> one, other = (Seen(np.array([[x]]), np.zeros((1, 1)), np.array([[x]]), 1) for x in (0.2, 0.6))
        >>> both = combine([0.5, 0.5], [one, other])
        >>> both.mean.round(3).tolist(), both.spread.round(3).tolist()
        ([[0.4]], [[0.2]])
    """
    mean, squares, first, views = np.zeros(()), np.zeros(()), np.zeros(()), 1
    quantities: dict[str, list[Prediction]] = {}
    for weight, seen in zip(weights, predictions, strict=True):
        mean = mean + weight * seen.mean
        squares = squares + weight * (seen.spread**2 + seen.mean**2)
        first = first + weight * seen.first
        views = seen.views
        for name, prediction in seen.quantities.items():
            quantities.setdefault(name, []).append(prediction)
    together = {name: pooled(weights, each) for name, each in quantities.items()}
    return Seen(mean, np.sqrt(np.maximum(squares - mean**2, 0)), first, views, together)


def stacked_weights(truth: Floats, predictions: Sequence[Floats]) -> NDArray[np.float64]:
    """The weights, none negative and 1 together, whose mean prediction has the least square error.

    One weight for each member, not for each question, so that the tree's sums still hold (Breiman 1996, Machine
    Learning 24, 49). With weights that sum to 1 the ensemble's error is the same mean of the members' errors E;
    min |E w| over such w has the direction of min |E w|² + (Σw - 1)² over w ≥ 0, which is non-negative least squares.

    Args:
        truth: vote fractions, shape (galaxies, columns), of galaxies that the members were not trained on.
        predictions: each member's predicted fractions of them.

    Example:
        >>> truth = np.array([[0.2, 0.8], [0.6, 0.4]])
        >>> stacked_weights(truth, [truth + 0.1, truth - 0.3, truth + 0.5]).round(3).tolist()
        [0.75, 0.25, 0.0]
    """
    errors = np.stack([np.ravel(np.asarray(predicted, float) - truth) for predicted in predictions], axis=1)
    reduced = np.linalg.qr(errors / np.sqrt(len(errors)), mode="r")
    system = np.vstack([reduced, np.ones(len(predictions))])
    weights, _ = nnls(system, np.append(np.zeros(len(reduced)), 1.0))
    return weights / weights.sum()


# -- files ---------------------------------------------------------------------------------------


def load_ensemble(path: str | Path, config: Config | str | Path | None = None) -> Ensemble:
    """The ensemble that a file describes: an ``.ensemble.yaml``, a model file, or the YAML file of a finished run.

    Args:
        path: such a file, or the name of a network that comes with galaxycnn (:mod:`galaxycnn.pretrained`).
        config: for a model file without a recipe (Keras 2): its configuration.

    Raises:
        UserError: no such file, or not one of these; or members that answer different questions.
    """
    path = model_file(path)
    if config is not None:
        return Ensemble((Member(path, config if isinstance(config, Config) else load_config(config)),))
    if path.name.endswith(SUFFIX):
        weights, views = _read_ensemble(path)
        members = [replace(Member.load(model), weight=weight) for model, weight in weights.items()]
        return same_questions(Ensemble(tuple(members), views))
    if path.suffix in (".yaml", ".yml"):
        run = load_config(path)
        path = run.paths.models_path / f"{run.model_name}.keras"
    return Ensemble((Member.load(path),))


def save_ensemble(path: str | Path, weights: Mapping[Path, float], views: int) -> Path:
    """Write model files and their weights; paths are relative to the file, so that a folder can be moved.

    Args:
        path: the file to write.
        weights: by model file; those of 0 are left out.
        views: how many views of each galaxy the ensemble averages where nothing else is said.

    Raises:
        UserError: the name does not end with ``.ensemble.yaml``.
    """
    path = Path(path)
    if not path.name.endswith(SUFFIX):
        raise UserError(f"{path}: the file of an ensemble ends with {SUFFIX}")
    members = [
        {"model": Path(os.path.relpath(model, path.parent)).as_posix(), "weight": round(float(weight), 6)}
        for model, weight in weights.items()
        if weight > 0
    ]
    with atomic_path(path) as temporary:
        temporary.write_text(yaml.safe_dump({"views": views, "members": members}, sort_keys=False))
    return path


def same_questions(ensemble: Ensemble) -> Ensemble:
    """``ensemble``, where all its members answer the same questions.

    Raises:
        DataError: two do not.
    """
    first = ensemble.members[0]
    for other in ensemble.members[1:]:
        if other.tree != first.tree:
            asked = [", ".join(q.name for q in m.tree.questions) if m.tree else "others" for m in (first, other)]
            raise DataError(f"{first.path} answers {asked[0]}, but {other.path} {asked[1]}: they cannot be averaged")
    return ensemble


def _read_ensemble(path: Path) -> tuple[dict[Path, float], int | None]:
    """Model files and weights as an ``.ensemble.yaml`` lists them, scaled to sum to 1, and the views it asks for."""
    origin, content, lines = read_file(path)
    for key in content:
        if key not in ("members", "views"):
            raise ConfigError(f"{lines[(key,)]}: unknown key {key!r}{nearest(key, ['members', 'views'])}")
    views = content.get("views")
    if "views" in content and (isinstance(views, bool) or not isinstance(views, int) or views < 1):
        raise ConfigError(f"{lines[('views',)]}: expected a number of views from 1 on, found {views!r}")
    members = content.get("members")
    if not isinstance(members, list) or not members:
        raise ConfigError(f"{origin}: expected 'members:' and a list of models, each with 'model' and 'weight'")
    weights: dict[Path, float] = {}
    for i, member in enumerate(members):
        place = lines.get(("members", str(i)), origin)
        if not isinstance(member, dict) or set(member) != {"model", "weight"}:
            raise ConfigError(f"{place}: a member has the keys 'model' and 'weight', unlike {member}")
        model, weight = path.parent / str(member["model"]), member["weight"]
        if isinstance(weight, bool) or not isinstance(weight, int | float) or not weight > 0:
            raise ConfigError(f"{place}: expected a weight above 0 for {member['model']}, found {weight!r}")
        if model in weights:
            raise ConfigError(f"{place}: {member['model']} is a member twice")
        weights[model] = float(weight)
    total = sum(weights.values())
    return {model: weight / total for model, weight in weights.items()}, views


def read_predictions(path: Path, columns: Sequence[str] | None = None) -> pd.DataFrame:
    """Predictions as runs and cross-validations write them: one row per id, and these columns, or all.

    Raises:
        UserError: there is no such file, or it has other columns or an id twice.
    """
    try:
        table = pd.read_csv(path, dtype={"id": str}, index_col="id")
    except FileNotFoundError:
        raise UserError(f"there are no predictions at {path}; they are written when a run is finished") from None
    except (ValueError, UnicodeDecodeError) as error:
        raise DataError(f"{path} cannot be read as predictions: {error}") from None
    for column in columns or ():
        if column not in table.columns:
            raise DataError(f"{path} has no column {column!r}{nearest(column, table.columns)}")
    if table.index.duplicated().any():
        raise DataError(f"{path} has {table.index[table.index.duplicated()][0]!r} twice")
    return table if columns is None else table[list(columns)]
