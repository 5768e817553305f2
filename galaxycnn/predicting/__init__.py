"""Predicting galaxy images with saved networks: any files in, a table out, with what may be wrong with each image."""

from galaxycnn.predicting.running import Options, Predicted, predict, predict_to_file

__all__ = ["Options", "Predicted", "predict", "predict_to_file"]
