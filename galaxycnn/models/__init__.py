"""Networks: one file per family, found by the name in ``model_params.model_type``.

Importing this package registers all layers, losses and metrics with Keras, after which
``keras.saving.load_model`` reads this project's files too.
"""

from galaxycnn.models.builder import CNNBuilder
from galaxycnn.models.saving import load_model

__all__ = ["CNNBuilder", "load_model"]
