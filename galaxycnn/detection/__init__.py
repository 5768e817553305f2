"""Classes from their probabilities: how well they are told apart, rare ones such as mergers above all.

Vote fractions are measured by :mod:`galaxycnn.evaluation`; here every galaxy is of one class, and the order in which a
model ranks the galaxies counts as much as its choice.
"""

from galaxycnn.detection.measures import evaluate_classes, verdict
from galaxycnn.detection.ranking import THRESHOLD_MEASURES, choose_threshold

__all__ = ["THRESHOLD_MEASURES", "choose_threshold", "evaluate_classes", "verdict"]
