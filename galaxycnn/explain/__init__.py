"""Explanations of a network's answers: which pixels speak for them.

Every method is one file of this package, entered in :data:`galaxycnn.registry.EXPLANATIONS`. The methods are written
here, on ``keras.ops``, because no library has them for Keras 3 on all its backends. Of those for TensorFlow, Xplique
2.0 demands TensorFlow 2.20 or older with CUDA, SciPy below 1.16 and another build of OpenCV; iNNvestigate 2.1 demands
TensorFlow below 2.15; tf-explain 0.3 and tf-keras-vis 0.8 were written for Keras 2; and ELI5 0.16 has Grad-CAM alone.
"""

from __future__ import annotations

from galaxycnn.explain.explaining import Explanation, explain
from galaxycnn.explain.method import Method, make_method
from galaxycnn.explain.regions import Regions, attention_of, find_regions

__all__ = ["Explanation", "Method", "Regions", "attention_of", "explain", "find_regions", "make_method"]
