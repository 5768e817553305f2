"""Saved networks in forms that need neither galaxycnn nor Keras: an ONNX file, or a folder for TensorFlow Serving."""

from galaxycnn.exporting.network import Exported
from galaxycnn.exporting.running import export

__all__ = ["Exported", "export"]
