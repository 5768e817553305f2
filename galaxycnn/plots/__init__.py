"""Pictures of a run: training curves, errors, confusion matrices, calibration and a gallery.

Each function takes data and a path and returns the path; :func:`write_all` makes them all.
"""

from __future__ import annotations

from galaxycnn.plots.calibration import calibration_curves, fraction_scatter
from galaxycnn.plots.confusion import confusion_matrices
from galaxycnn.plots.curves import best_epoch, training_curves
from galaxycnn.plots.errors import answer_errors, sum_deviations
from galaxycnn.plots.gallery import gallery
from galaxycnn.plots.run import EvaluatedPart, write_all
from galaxycnn.walks import walks_in_words

__all__ = [
    "EvaluatedPart",
    "answer_errors",
    "best_epoch",
    "calibration_curves",
    "confusion_matrices",
    "fraction_scatter",
    "gallery",
    "sum_deviations",
    "training_curves",
    "walks_in_words",
    "write_all",
]
