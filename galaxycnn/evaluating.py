"""Measuring a saved model, or an ensemble of them, on a folder of labelled galaxies."""

from __future__ import annotations

import tempfile
from dataclasses import dataclass, replace
from functools import reduce
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from galaxycnn.config import Config
from galaxycnn.data.dataset import Part, load_part
from galaxycnn.data.split import Split
from galaxycnn.ensembles import Ensemble, load_ensemble
from galaxycnn.errors import DataError
from galaxycnn.measuring import Known, NeverLooked, measure
from galaxycnn.tree import DecisionTree, Floats


def evaluate(
    model: str | Path,
    images: str | Path,
    labels: str | Path | None = None,
    *,
    config: Config | str | Path | None = None,
    cache_path: str | Path | None = None,
    views: int | None = None,
    split: str | Path | None = None,
) -> dict[str, Any]:
    """Predict every galaxy of a folder with a saved model and compare with its labels.

    Args:
        model: a ``.keras`` or ``.h5`` file, or the ``.ensemble.yaml`` of several; what it was trained
            to answer, and how its cutouts are prepared, is read from it.
        images: folder of images.
        labels: CSV of labels; None for a folder per class.
        config: for a file that does not carry its recipe (Keras 2): its configuration.
        cache_path: where decoded cutouts are kept; None for a temporary folder.
        views: how many views of each galaxy to average (:func:`galaxycnn.views.make_views`); None for
            as many as the model's configuration says.
        split: a saved split (``<name>.split.csv``) of which only the test part is measured; None for all galaxies.

    Returns:
        What :func:`galaxycnn.measuring.measure` measures. The baseline is that of the model's training galaxies, or of
        these labels where the model file does not hold it.

    Raises:
        UserError: the model or the data cannot be used.
    """
    ensemble = load_ensemble(model, config)
    with tempfile.TemporaryDirectory() as temporary:
        galaxies = load_labelled(ensemble, images, labels, cache_path or temporary, split)
        seen = ensemble.predict(galaxies.tree, galaxies.part_for, views)
    known, config = galaxies.known, ensemble.config
    baseline = ensemble.baseline or NeverLooked.fit(known)
    limit = config.evaluation_params.outlier_limit
    return measure(known, seen, baseline, outlier_limit=limit, threshold=ensemble.threshold, seed=config.seed)


@dataclass(frozen=True)
class Labelled:
    """The galaxies of a folder that every member of an ensemble can use.

    Attributes:
        tree: the questions that the ensemble answers.
        ids: shape (galaxies,), ascending.
        truth: their labels, shape (galaxies, columns of ``tree``).
        parts: their cutouts, by what a member's preparation of them is called.
        quantities: what the columns of a part's ``quantities`` are.
    """

    tree: DecisionTree
    ids: NDArray[np.str_]
    truth: Floats
    parts: dict[str, Part]
    quantities: tuple[str, ...] = ()

    @property
    def known(self) -> Known:
        """The labels, by question and by quantity."""
        part = next(iter(self.parts.values()))
        return Known(self.tree, self.truth, dict(zip(self.quantities, part.quantities.T, strict=True)))

    def part_for(self, config: Config) -> Part:
        """The galaxies as the network of ``config`` needs them."""
        return self.parts[_preparation(config)]


def load_labelled(
    ensemble: Ensemble,
    images: str | Path,
    labels: str | Path | None,
    cache_path: str | Path,
    split: str | Path | None = None,
) -> Labelled:
    """Read a folder of labelled galaxies for all members of an ensemble; of ``split``, the test part alone.

    Raises:
        DataError: it cannot be used, lacks galaxies of the test part, or the members learnt different labels.
    """
    tree = ensemble.tree
    parts: dict[str, Part] = {}
    for config in {_preparation(member.config): member.config for member in ensemble.members}.values():
        labelled, part = load_part(config.data_preprocessing, images, labels, cache_path)
        tree = tree or labelled
        fractions = _in_columns_of(tree, labelled, part.fractions, labels or images)
        parts[_preparation(config)] = replace(part, fractions=fractions)
    ids = reduce(np.intersect1d, (part.ids for part in parts.values()))
    if split is not None:
        ids = ids[np.sort(Split([], [], Split.load(split).test).rows(ids)["test"])]
    parts = {name: _only(part, ids) for name, part in parts.items()}
    first, *others = (part.fractions for part in parts.values())
    if any(not np.array_equal(first, other, equal_nan=True) for other in others):
        raise DataError("some members learnt vote fractions and others one-hot labels: they have no common truth")
    assert tree is not None
    return Labelled(tree, ids, first, parts, tuple(ensemble.config.data_preprocessing.quantities))


def _preparation(config: Config) -> str:
    return config.data_preprocessing.model_dump_json()


def _only(part: Part, ids: NDArray[np.str_]) -> Part:
    order = np.argsort(part.ids)
    return part.only(order[np.searchsorted(part.ids[order], ids)])


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
