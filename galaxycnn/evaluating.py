"""Measuring a saved model on a folder of labelled galaxies."""

from __future__ import annotations

import tempfile
from pathlib import Path
from typing import Any

import numpy as np

from galaxycnn.config import Config, load_config
from galaxycnn.data.dataset import load_part
from galaxycnn.errors import DataError
from galaxycnn.evaluation import Baseline, evaluate_fractions
from galaxycnn.models.saving import load_model, read_recipe
from galaxycnn.tree import DecisionTree, Floats
from galaxycnn.views import fill_mode, predict_views


def evaluate(
    model: str | Path,
    images: str | Path,
    labels: str | Path | None = None,
    *,
    config: Config | str | Path | None = None,
    cache_path: str | Path | None = None,
    views: int | None = None,
) -> dict[str, Any]:
    """Predict every galaxy of a folder with a saved model and compare with its labels.

    Args:
        model: a ``.keras`` or ``.h5`` file; what it was trained to answer, and how its cutouts are
            prepared, is read from it.
        images: folder of images.
        labels: CSV of labels; None for a folder per class.
        config: for a file that does not carry its recipe (Keras 2): its configuration.
        cache_path: where decoded cutouts are kept; None for a temporary folder.
        views: how many views of each galaxy to average (:func:`galaxycnn.views.make_views`); None for as
            many as the model's configuration says.

    Returns:
        What :func:`galaxycnn.evaluation.evaluate_fractions` measures, the number of ``views`` and
        the RMSE of a single one. The baseline is that of the
        model's training galaxies, or of these labels where the model file does not hold it.

    Raises:
        UserError: the model or the data cannot be used.
    """
    network = load_model(model, config)
    if config is None:
        recipe = read_recipe(model)
        config, tree, baseline = recipe.config, recipe.tree, Baseline.from_dict(recipe.baseline)
    else:
        config = config if isinstance(config, Config) else load_config(config)
        tree, baseline = None, None
    with tempfile.TemporaryDirectory() as temporary:
        labelled, part = load_part(config.data_preprocessing, images, labels, cache_path or temporary)
        tree = tree or labelled
        truth = _in_columns_of(tree, labelled, part.fractions, labels or images)
        seen = predict_views(network, tree, part, views or config.evaluation_params.views, fill_mode(config))
    baseline = baseline or Baseline.fit(tree, truth)
    return {**seen.summary(truth), **evaluate_fractions(tree, truth, seen.mean, baseline, seed=config.seed)}


def _in_columns_of(tree: DecisionTree, labelled: DecisionTree, fractions: Floats, source: str | Path) -> Floats:
    """``fractions`` under the columns that the model answers; classes without a galaxy have none to show."""
    unknown = [column for column in labelled.columns if column not in tree.columns]
    if unknown or [q.name for q in labelled.questions] != [q.name for q in tree.questions]:
        raise DataError(
            f"{source}: has labels for {', '.join(labelled.columns)}, but the model answers {', '.join(tree.columns)}"
        )
    aligned = np.zeros((len(fractions), len(tree.columns)), dtype=fractions.dtype)
    aligned[:, tree.indices(labelled.columns)] = fractions
    return aligned
