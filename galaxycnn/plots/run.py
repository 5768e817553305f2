"""All pictures of one run in one call."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from galaxycnn.evaluation import missed_sums
from galaxycnn.plots.calibration import calibration_curves, fraction_scatter
from galaxycnn.plots.confusion import confusion_matrices
from galaxycnn.plots.curves import History, training_curves
from galaxycnn.plots.detection import ranking_curves
from galaxycnn.plots.errors import answer_errors, sum_deviations
from galaxycnn.plots.examples import example_galaxies
from galaxycnn.plots.gallery import gallery
from galaxycnn.plots.quantities import predicted_against_true, stated_uncertainties
from galaxycnn.quantities import Distribution, Prediction, Quantity, best_estimate
from galaxycnn.tree import DecisionTree


@dataclass(frozen=True)
class EvaluatedPart:
    """One part of the sample with its predictions and their measures.

    Attributes:
        part: ``"train"``, ``"validation"`` or ``"test"``.
        ids: one per galaxy.
        truth: vote fractions, shape (galaxies, columns).
        predicted: predicted fractions, the same shape.
        results: what :func:`galaxycnn.evaluation.evaluate_fractions` returned for them.
        images: cutouts, uint8, shape (galaxies, height, width, 1 or 3); may be memory-mapped, a dozen
            are read. Without them there is no gallery.
        quantities: true values by name, each of shape (galaxies,), NaN where unknown.
        predicted_quantities: what was predicted of them, by name.
        confusion_files: where else its confusion matrices are written.
    """

    part: str
    ids: Sequence[object]
    truth: NDArray[np.floating]
    predicted: NDArray[np.floating]
    results: dict[str, Any]
    images: NDArray[np.uint8] | None = None
    quantities: Mapping[str, NDArray[np.floating]] = field(default_factory=dict)
    predicted_quantities: Mapping[str, Prediction] = field(default_factory=dict)
    confusion_files: Sequence[Path] = ()

    @property
    def answered(self) -> EvaluatedPart:
        """The galaxies whose answers are all known."""
        known = ~np.isnan(self.truth).any(axis=1)
        if known.all():
            return self
        images = None if self.images is None else self.images[known]
        ids = [galaxy for galaxy, here in zip(self.ids, known, strict=True) if here]
        return replace(self, ids=ids, truth=self.truth[known], predicted=self.predicted[known], images=images)


def write_all(
    folder: str | Path,
    tree: DecisionTree,
    parts: Iterable[EvaluatedPart],
    history: History | None = None,
    *,
    name: str = "",
    monitor: str = "val_loss",
) -> list[Path]:
    """Write every picture of a run as ``folder/*.png`` and return their paths.

    ``training_curves.png``, and for each part ``answers_<part>.png``, ``confusion_<part>.png``,
    ``calibration_<part>.png``, ``fractions_<part>.png``, ``sums_<part>.png`` where the tree's sums are missed
    and ``gallery_<part>.png`` where it has images; ``ranking_<part>.png`` of classes; of each quantity
    ``<quantity>_<part>.png``, ``<quantity>_uncertainty_<part>.png`` where it is stated, and
    ``<quantity>_examples_<part>.png`` where there are images.

    Args:
        folder: where to write; made where it does not exist.
        tree: the questions.
        parts: the evaluated parts of the sample.
        history: the run's history, see :func:`~galaxycnn.plots.curves.training_curves`.
        name: the run's name, for the titles.
        monitor: the history's column whose best epoch is marked.
    """
    folder = Path(folder)
    written = []
    if history is not None:
        written.append(training_curves(history, folder / "training_curves.png", name=name, monitor=monitor))
    for p in parts:
        written += _answers(folder, tree, p.answered, name) if "outputs" in p.results else []
        written += _classes(folder, tree, p.answered, name) if "classes" in p.results else []
        for quantity in p.results.get("quantities", {}):
            written += _quantity(folder, tree, p, quantity, name)
    return written


def _answers(folder: Path, tree: DecisionTree, p: EvaluatedPart, name: str) -> list[Path]:
    titles: dict[str, Any] = {"part": p.part, "name": name}
    written = [
        answer_errors(tree, p.results, folder / f"answers_{p.part}.png", **titles),
        confusion_matrices(p.results, folder / f"confusion_{p.part}.png", also=p.confusion_files, **titles),
        *p.confusion_files,
        calibration_curves(p.results, folder / f"calibration_{p.part}.png", **titles),
        fraction_scatter(tree, p.truth, p.predicted, folder / f"fractions_{p.part}.png", **titles),
    ]
    if missed_sums(p.results):
        written.append(sum_deviations(p.results, folder / f"sums_{p.part}.png", **titles))
    if p.images is not None:
        path = folder / f"gallery_{p.part}.png"
        written.append(gallery(tree, p.images, p.ids, p.truth, p.predicted, path, **titles))
    return written


def _classes(folder: Path, tree: DecisionTree, p: EvaluatedPart, name: str) -> list[Path]:
    path = folder / f"ranking_{p.part}.png"
    return [ranking_curves(p.truth, p.predicted, p.results["classes"], path, part=p.part, name=name)]


def _quantity(folder: Path, tree: DecisionTree, p: EvaluatedPart, quantity: str, name: str) -> list[Path]:
    titles: dict[str, Any] = {"part": p.part, "name": name}
    truth, prediction, results = p.quantities[quantity], p.predicted_quantities[quantity], p.results["quantities"]
    value, measured = best_estimate(prediction), results[quantity]
    written = [predicted_against_true(truth, value, measured, folder / f"{quantity}_{p.part}.png", **titles)]
    if measured["uncertainty"] is not None:
        written.append(stated_uncertainties(measured, folder / f"{quantity}_uncertainty_{p.part}.png", **titles))
    if p.images is not None:
        classes: dict[str, Any] = {}
        if "classes" in p.results and not np.isnan(p.truth).any():
            names = np.array([answer.name for answer in tree.questions[0].answers])
            classes = {
                "classes": names[p.truth.argmax(axis=1)].tolist(),
                "predicted_classes": names[p.predicted.argmax(axis=1)].tolist(),
            }
        written.append(
            example_galaxies(
                p.images,
                truth,
                value,
                folder / f"{quantity}_examples_{p.part}.png",
                quantity=Quantity(**measured["quantity"]),
                spread=prediction.spread if isinstance(prediction, Distribution) else None,
                ids=p.ids,
                **classes,
                **titles,
            )
        )
    return written
