"""Building an ensemble from finished runs: its weights, its score on galaxies that no member knows, and its files."""

from __future__ import annotations

import tempfile
from collections.abc import Sequence
from dataclasses import dataclass
from functools import reduce
from pathlib import Path
from typing import Any, Literal

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from galaxycnn.artefacts import RunFiles, split_of
from galaxycnn.config import Config
from galaxycnn.data.catalogue import read_catalogue
from galaxycnn.data.split import Split
from galaxycnn.data.targets import make_targets
from galaxycnn.ensembles import (
    Ensemble,
    combine,
    load_ensemble,
    read_predictions,
    same_questions,
    save_ensemble,
    stacked_weights,
)
from galaxycnn.errors import DataError, UserError
from galaxycnn.evaluating import load_labelled
from galaxycnn.evaluation import evaluate_fractions
from galaxycnn.files import write_json
from galaxycnn.tree import DecisionTree, Floats

Ids = NDArray[np.str_]


@dataclass(frozen=True)
class Blend:
    """A built ensemble.

    Attributes:
        runs: what was given for each member.
        weights: of each of them, 1 together.
        results: the content of ``metrics.json``: ``members`` (``run``, ``weight``, ``overall``) and ``parts``.
        files: what was written, the ``.ensemble.yaml`` first.
    """

    runs: list[str]
    weights: list[float]
    results: dict[str, Any]
    files: list[Path]


@dataclass(frozen=True)
class _Measured:
    """Galaxies with their labels and what each run predicts for them."""

    part: str
    ids: Ids
    truth: Floats
    predictions: list[Floats]


def build_ensemble(
    runs: Sequence[str | Path],
    name: str,
    method: Literal["uniform", "stacked"] = "uniform",
    *,
    images: str | Path | None = None,
    labels: str | Path | None = None,
    views: int | None = None,
    split: str | Path | None = None,
    out_of_fold: Sequence[str | Path] = (),
) -> Blend:
    """Weigh finished runs, measure their mean, and write it as an ensemble that can be used like a model.

    ``uniform`` gives each run the same weight. ``stacked`` learns the weights
    (:func:`galaxycnn.ensembles.stacked_weights`) from out-of-fold predictions or else from those for the validation
    parts that all runs share. In both cases no galaxy that is measured was in the training or the validation part of
    a member, nor had a say in the weights: the ids of the saved splits are compared.

    Args:
        runs: model files, YAML files of finished runs, or ensembles such as those of a cross-validation.
        name: names the files that are written, beside those of the first run.
        method: how the weights come about.
        images: folder of labelled images to measure on; None for the test part that all runs share, whose
            predictions were saved with them.
        labels: their labels, with ``images``.
        views: views of each galaxy to average, with ``images``.
        split: a saved split of which the test part alone is measured, with ``images``.
        out_of_fold: for ``stacked``: each run's ``.oof.csv``, in the order of ``runs``.

    Raises:
        UserError: a file is missing, the runs do not fit each other, or a galaxy to be measured is known to one.
    """
    members = [load_ensemble(run) for run in runs]
    if len(members) < 2:
        raise UserError("an ensemble needs at least two runs")
    together = tuple(member for run in members for member in run.members)
    everyone = same_questions(Ensemble(together, views or max(run.views for run in members)))
    tree, baseline = everyone.tree, everyone.baseline.answers if everyone.baseline else None
    assert tree is not None
    if baseline is None:
        raise UserError("an ensemble is made of networks that answer questions, and these answer none")
    titles = [str(run) for run in runs]
    weights = np.full(len(members), 1 / len(members))
    learnt: Ids = np.array([], dtype=np.str_)
    if method == "stacked":
        learnt, weights = _stacked(members, tree, out_of_fold, titles)
    elif out_of_fold:
        raise UserError("out-of-fold predictions are for the method 'stacked'")
    if images is None:
        if any(word is not None for word in (labels, views, split)):
            raise UserError("labels, split and views go with a folder of images; the runs' own test part is predicted")
        measured = _own_test_part(members, tree, titles)
    else:
        measured = _folder(members, everyone, images, labels, split)
    _check_unknown(everyone, measured.ids, learnt)

    config = everyone.config.model_copy(update={"model_name": name})

    def measure(predicted: Floats) -> dict[str, Any]:
        return evaluate_fractions(tree, measured.truth, predicted, baseline, seed=config.seed)

    blended = np.tensordot(weights, np.stack(measured.predictions), axes=1)
    results = {
        "model_name": name,
        "method": method,
        "members": [
            {"run": title, "weight": round(float(weight), 6), "overall": measure(predicted)["overall"]}
            for title, weight, predicted in zip(titles, weights, measured.predictions, strict=True)
        ],
        "learnt_from": len(learnt),
        "parts": {measured.part: measure(blended)},
    }
    shares: dict[Path, float] = {}
    for weight, run in zip(weights, members, strict=True):
        for member in run.members:
            shares[member.path] = shares.get(member.path, 0.0) + float(weight) * member.weight
    files = RunFiles(config)
    written = [
        save_ensemble(files.ensemble, shares, everyone.views),
        write_json(files.metrics, results),
        files.write_predictions(measured.part, measured.ids, tree, blended),
    ]
    return Blend(titles, weights.tolist(), results, written)


# -- weights -------------------------------------------------------------------------------------


def _stacked(
    members: list[Ensemble], tree: DecisionTree, out_of_fold: Sequence[str | Path], titles: list[str]
) -> tuple[Ids, NDArray[np.float64]]:
    """The galaxies that the weights are learnt from, and the weights."""
    if out_of_fold and len(out_of_fold) != len(members):
        raise UserError(f"there are {len(members)} runs, but {len(out_of_fold)} files of out-of-fold predictions")
    if out_of_fold:
        tables = [read_predictions(Path(file), tree.columns) for file in out_of_fold]
    else:
        tables = [_saved(run, "validation", tree, title) for run, title in zip(members, titles, strict=True)]
    ids = _shared_ids(tables)
    if not len(ids):
        raise DataError("the runs share no galaxies that the weights could be learnt from; use the method 'uniform'")
    if not out_of_fold:
        _check_against(members, ids, ("train",), "to learn the weights from")
    return ids, stacked_weights(
        _labels(members[0].config, ids), [table.loc[ids.tolist()].to_numpy() for table in tables]
    )


def _shared_ids(tables: list[pd.DataFrame]) -> Ids:
    return reduce(np.intersect1d, (table.index.to_numpy(dtype=np.str_) for table in tables))


def _labels(config: Config, ids: Ids) -> Floats:
    """Vote fractions of these galaxies as the run of ``config`` learnt them, without a look at the images."""
    preprocessing = config.data_preprocessing
    catalogue = read_catalogue(config.paths, preprocessing.layout, preprocessing.quantities)
    targets = make_targets(catalogue, preprocessing)
    names = catalogue.ids[targets.rows]
    order = np.argsort(names)
    places = np.searchsorted(names[order], ids).clip(max=len(names) - 1)
    absent = ids[names[order][places] != ids]
    if len(absent):
        raise DataError(
            f"{config.paths.labels_path or config.paths.images_path}: has no labels for {len(absent)} of the galaxies "
            f"that were predicted, {absent[0]} for one"
        )
    return targets.fractions[order][places].astype(np.float64)


# -- what is measured ----------------------------------------------------------------------------


def _own_test_part(members: list[Ensemble], tree: DecisionTree, titles: list[str]) -> _Measured:
    """The test part that all runs share, as they predicted it when they were finished."""
    tables = [_saved(run, "test", tree, title) for run, title in zip(members, titles, strict=True)]
    ids = _shared_ids(tables)
    for table, title in zip(tables, titles, strict=True):
        common = len(_shared_ids([tables[0], table]))
        if not common == len(table) == len(tables[0]):
            raise DataError(
                f"{titles[0]} and {title} were tested on different galaxies ({len(tables[0])} and {len(table)}, "
                f"{common} in common): give images and labels that none of the runs knows"
            )
    truth = _labels(members[0].config, ids)
    return _Measured("test", ids, truth, [table.loc[ids.tolist()].to_numpy() for table in tables])


def _saved(run: Ensemble, part: str, tree: DecisionTree, title: str) -> pd.DataFrame:
    if len(run.members) > 1:
        raise DataError(f"{title} has no {part} part of its own: give images and labels that none of its members knows")
    return read_predictions(RunFiles(run.config).predictions(part), tree.columns)


def _folder(
    members: list[Ensemble],
    everyone: Ensemble,
    images: str | Path,
    labels: str | Path | None,
    split: str | Path | None,
) -> _Measured:
    """A folder of labelled galaxies, predicted now."""
    with tempfile.TemporaryDirectory() as temporary:
        galaxies = load_labelled(everyone, images, labels, temporary, split)
        _check_unknown(everyone, galaxies.ids, galaxies.ids[:0])
        each = everyone.predict_each(galaxies.tree, galaxies.part_for)
        predictions = [combine(run.weights, (next(each) for _ in run.members)).mean for run in members]
    part = "all" if split is None else "test"
    return _Measured(part, galaxies.ids, galaxies.truth.astype(np.float64), predictions)


# -- what must not be known ----------------------------------------------------------------------


def _check_unknown(everyone: Ensemble, ids: Ids, learnt: Ids) -> None:
    """Refuse galaxies that a member was trained or chosen by, or that the weights were learnt from."""
    _check_against([everyone], ids, ("train", "validation"), "to be measured")
    shared = np.intersect1d(ids, learnt)
    if len(shared):
        raise DataError(
            f"{len(shared)} of the {len(ids)} galaxies to be measured were used to learn the weights, {shared[0]} for "
            "one: the score would flatter the ensemble"
        )


def _check_against(runs: Sequence[Ensemble], ids: Ids, parts: Sequence[str], purpose: str) -> None:
    for member in (member for run in runs for member in run.members):
        file = split_of(member.path, member.config)
        if not file.exists():
            raise DataError(f"which galaxies {member.path} was trained on cannot be told: its split is not at {file}")
        for part, names in Split.load(file):
            known = np.intersect1d(ids, names) if part in parts else ids[:0]
            if len(known):
                raise DataError(
                    f"{len(known)} of the {len(ids)} galaxies {purpose} were in the {part} part of {member.path}, "
                    f"{known[0]} for one: the score would flatter the ensemble"
                )
