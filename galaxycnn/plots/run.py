"""All pictures of one run in one call."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from galaxycnn.evaluation import missed_sums
from galaxycnn.plots.calibration import calibration_curves, fraction_scatter
from galaxycnn.plots.confusion import confusion_matrices
from galaxycnn.plots.curves import History, training_curves
from galaxycnn.plots.errors import answer_errors, sum_deviations
from galaxycnn.plots.gallery import gallery
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
    """

    part: str
    ids: Sequence[object]
    truth: NDArray[np.floating]
    predicted: NDArray[np.floating]
    results: dict[str, Any]
    images: NDArray[np.uint8] | None = None


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
    and ``gallery_<part>.png`` where it has images.

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
        titles: dict[str, Any] = {"part": p.part, "name": name}
        written.append(answer_errors(tree, p.results, folder / f"answers_{p.part}.png", **titles))
        written.append(confusion_matrices(p.results, folder / f"confusion_{p.part}.png", **titles))
        written.append(calibration_curves(p.results, folder / f"calibration_{p.part}.png", **titles))
        fractions = folder / f"fractions_{p.part}.png"
        written.append(fraction_scatter(tree, p.truth, p.predicted, fractions, **titles))
        if missed_sums(p.results):
            written.append(sum_deviations(p.results, folder / f"sums_{p.part}.png", **titles))
        if p.images is not None:
            path = folder / f"gallery_{p.part}.png"
            written.append(gallery(tree, p.images, p.ids, p.truth, p.predicted, path, **titles))
    return written
