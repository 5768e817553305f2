"""k-fold cross-validation: every galaxy is predicted once, by a network that has never seen it.

Each fold is a finished run of its own, ``<name>.fold1``, ``<name>.fold2``, …; a fold that is finished is not repeated,
and one that was interrupted goes on where it stopped.
"""

from __future__ import annotations

import logging
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import keras
import numpy as np
import pandas as pd
from numpy.typing import NDArray

from galaxycnn.artefacts import RunFiles
from galaxycnn.config import Config, load_config
from galaxycnn.data.dataset import GalaxyData, Part, load_galaxies, prepare
from galaxycnn.data.sampling import strata
from galaxycnn.data.split import Split
from galaxycnn.ensembles import read_predictions, save_ensemble
from galaxycnn.errors import UserError
from galaxycnn.files import atomic_path, write_json
from galaxycnn.measuring import Known, NeverLooked, measure
from galaxycnn.plots import EvaluatedPart, write_all
from galaxycnn.quantities import GaussianMixture, Prediction, best_estimate
from galaxycnn.training import train
from galaxycnn.training.callbacks import read_state
from galaxycnn.tree import DecisionTree, Floats
from galaxycnn.views import Seen

logger = logging.getLogger("galaxycnn")


@dataclass(frozen=True)
class CrossValidation:
    """The folds of one configuration, joined.

    Attributes:
        ids: the galaxies, shape (galaxies,).
        folds: the fold that left each out and predicted it, from 1, shape (galaxies,).
        truth: vote fractions, shape (galaxies, columns), NaN where unknown.
        predicted: predicted fractions, the same shape.
        results: what :func:`galaxycnn.measuring.measure` measures on all of them, and ``folds``: number, galaxies and
            RMSE of each (of the first quantity, where there is no question), and the standard deviation of these RMSEs.
        files: what was written beside the files of the folds.
    """

    ids: NDArray[np.str_]
    folds: NDArray[np.intp]
    truth: Floats
    predicted: Floats
    results: dict[str, Any]
    files: list[Path]


def cross_validate(config: Config, folds: int = 5, *, without_test: bool = False) -> CrossValidation:
    """Train a network for each fold, predict the galaxies that it left out, and measure all of these together.

    Within a fold, the share of the other galaxies that ``data_preprocessing.training_size`` leaves is
    for validation; ``test_size`` has no meaning here. The baseline that the score is compared with has seen all
    galaxies. The uniform ensemble of the folds is written for use on new galaxies (``<name>.ensemble.yaml``).

    Args:
        config: a checked configuration.
        folds: how many, at least 2.
        without_test: leave out the galaxies of the configuration's test part: an ensemble can then be weighed by the
            out-of-fold predictions and measured on that part.

    Raises:
        UserError: fewer than two folds or galaxies for each, or a configuration that cannot be trained.

    Example:
        >>> import galaxycnn
        >>> done = cross_validate(galaxycnn.load_config("configs/quickstart.yaml"), folds=5)  # doctest: +SKIP
        >>> done.results["overall"]["rmse"], done.results["folds"]["rmse_spread"]  # doctest: +SKIP
        (0.15, 0.002)
    """
    data = prepare(config)
    extra = _extra(config)
    galaxies = galaxies_to_share(data, [*extra, *(data.test.ids if without_test else [])])
    known = Known(data.tree, galaxies.fractions.astype(np.float64), data.by_quantity(galaxies))
    tables, models = [], []
    splits = draw_folds(config, data.tree, galaxies, folds)
    for number, split in enumerate((split.with_training(extra) for split in splits), start=1):
        files = _finished(config.model_copy(update={"model_name": f"{config.model_name}.fold{number}"}), split)
        predictions = read_predictions(files.predictions("test")).loc[split.test]
        tables.append(predictions.assign(fold=number))
        models.append(files.model(".keras"))
    table = pd.concat(tables).reindex(galaxies.ids)
    table.insert(0, "fold", table.pop("fold"))
    seen = _seen(table, data, config.evaluation_params.views)
    limit = config.evaluation_params.outlier_limit
    measured = measure(known, seen, NeverLooked.fit(known), outlier_limit=limit, seed=config.seed)
    measured.pop("single_view_rmse", None)
    results = {**measured, "folds": _per_fold(table["fold"].to_numpy(), known, seen)}
    files = RunFiles(config)
    save_ensemble(files.ensemble, dict.fromkeys(models, 1 / folds), config.evaluation_params.views)
    ids = galaxies.ids.tolist()
    part = EvaluatedPart(
        "out-of-fold", ids, known.fractions, seen.mean, results, None, known.quantities, seen.quantities
    )
    written = [files.ensemble, *write_all(files.plots, data.tree, [part], name=config.model_name)]
    with atomic_path(files.out_of_fold) as temporary:
        table.to_csv(temporary, index_label="id", float_format="%.6f")
    write_json(files.metrics, {"model_name": config.model_name, "parts": {"out-of-fold": results}})
    return CrossValidation(
        galaxies.ids,
        table["fold"].to_numpy(),
        known.fractions,
        seen.mean,
        results,
        [files.out_of_fold, files.metrics, *written],
    )


def _seen(table: pd.DataFrame, data: GalaxyData, views: int) -> Seen:
    """What a table of predictions says; a stated spread is taken for that of a Gaussian."""
    fractions = table[list(data.tree.columns)].to_numpy(np.float64)
    quantities: dict[str, Prediction] = {}
    for name in data.quantities:
        quantities[name] = table[name].to_numpy()
        if f"{name}_spread" in table:
            quantities[name] = GaussianMixture.single(table[name], table[f"{name}_spread"])
    return Seen(fractions, np.zeros_like(fractions), fractions, views, quantities)


def galaxies_to_share(data: GalaxyData, left_out: Sequence[str] = ()) -> Part:
    """The galaxies of all parts, each once, by ascending id, but for those ``left_out``."""
    names = ("ids", "rows", "fractions", "quantities", "inputs")
    joined = {name: np.concatenate([getattr(part, name) for part in data.parts]) for name in names}
    ids, first = np.unique(joined["ids"], return_index=True)
    return replace(data.train, name="out-of-fold", **joined).only(first[~np.isin(ids, left_out)])


def draw_folds(config: Config, tree: DecisionTree, galaxies: Part, folds: int) -> Iterator[Split]:
    """:func:`make_folds` of ``galaxies``, with the strata, the sizes and the seed of a configuration."""
    preprocessing = config.data_preprocessing
    classes = strata(tree, galaxies.fractions, galaxies.quantities) if preprocessing.stratify else None
    return make_folds(galaxies.ids, classes, folds, preprocessing.training_size, config.seed)


def make_folds(
    ids: NDArray[np.str_], strata: NDArray[np.integer] | None, folds: int, training_size: float, seed: int
) -> Iterator[Split]:
    """Splits whose test parts share the galaxies out: each is in one of them.

    The folds' sizes differ by one galaxy at most, and so do their numbers of galaxies of each class. The same ids give
    the same folds in whichever order they come.

    Args:
        ids: names, each once.
        strata: a class for each; None: at random.
        folds: how many.
        training_size: the share of a fold's other galaxies that is trained on; the rest, drawn from all classes
            alike, is for validation.
        seed: makes the draw repeatable.

    Raises:
        UserError: fewer than two folds, or too few galaxies for them.

    Example:
        >>> names = np.array([f"{i:02}" for i in range(20)])
        >>> splits = list(make_folds(names, np.arange(20) % 2, folds=5, training_size=0.75, seed=48))
        >>> {part: len(ids) for part, ids in splits[0]}
        {'train': 12, 'validation': 4, 'test': 4}
        >>> sorted(name for split in splits for name in split.test) == names.tolist()
        True
    """
    if not 2 <= folds <= len(ids) // 2:
        raise UserError(f"{len(ids)} galaxies can be cut into 2 to {len(ids) // 2} folds, not {folds}")
    by_name = np.argsort(ids)
    shuffled = np.random.default_rng(seed).permutation(by_name)
    classes = np.zeros(len(ids), np.intp) if strata is None else np.asarray(strata)
    dealt = shuffled[np.argsort(classes[shuffled], kind="stable")]
    turn = np.arange(len(ids)) % folds
    for fold in range(folds):
        others = dealt[turn != fold]
        size = round(len(others) * (1 - training_size))
        validation = others[np.floor((np.arange(size) + 0.5) * len(others) / max(size, 1)).astype(int)]
        train_rows = np.setdiff1d(others, validation)
        yield Split(*(np.sort(ids[rows]).tolist() for rows in (train_rows, validation, dealt[turn == fold])))


def _extra(config: Config) -> list[str]:
    """The galaxies that train every fold."""
    if config.paths.extra_images_path is None:
        return []
    logger.warning(
        "the extra galaxies train every fold: if a network has labelled them, it must not know galaxies of the folds"
    )
    galaxies = load_galaxies(config.data_preprocessing, config.paths)
    return galaxies.ids[galaxies.extra].tolist()


def _finished(config: Config, split: Split) -> RunFiles:
    """The files of the run of ``config`` on ``split``, trained now where that was not done before."""
    files = RunFiles(config)
    begun = files.config_yaml.exists() and files.split.exists()
    same = begun and load_config(files.config_yaml) == config and Split.load(files.split) == split
    unfinished = read_state(files.state) is not None
    if same and not unfinished and files.predictions("test").exists() and files.model(".keras").exists():
        return files
    if not same:
        files.predictions("test").unlink(missing_ok=True)
    keras.backend.clear_session()
    train(config, split=split, resume=same and unfinished, save_plots=False)
    return files


def _per_fold(numbers: NDArray[np.intp], known: Known, seen: Seen) -> dict[str, Any]:
    """RMSE of each fold, of the fractions or else of the first quantity."""
    if known.tree.questions:
        squares = np.square(seen.mean - known.fractions).mean(axis=1)
    else:
        name, truth = next(iter(known.quantities.items()))
        squares = np.square(best_estimate(seen.quantities[name]) - truth)
    each = []
    for number in range(1, numbers.max() + 1):
        here = squares[numbers == number]
        each.append({"fold": number, "n": len(here), "rmse": float(np.sqrt(np.nanmean(here)))})
    return {"each": each, "rmse_spread": float(np.std([fold["rmse"] for fold in each], ddof=1))}
