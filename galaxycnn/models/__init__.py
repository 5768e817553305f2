"""Networks: one file per family, found by the name in ``model_params.model_type``."""

from galaxycnn.models.builder import CNNBuilder

__all__ = ["CNNBuilder"]
