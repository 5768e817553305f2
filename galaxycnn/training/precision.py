"""Which numbers a network computes with."""

from __future__ import annotations

import re
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import keras

from galaxycnn.config import Config
from galaxycnn.machine import gpus
from galaxycnn.registry import MODELS


def dtype_policy(config: Config) -> str:
    """The name of the Keras dtype policy that ``config`` asks for.

    ``auto`` is float16 on a GPU. On a processor that computes with bfloat16 itself it is bfloat16
    with TensorFlow, where the network is faster that way: ``fit`` of the base network by 1.8 times.
    Elsewhere it is float32.
    """
    precision = config.train_params.precision
    if precision != "auto":
        return precision
    if gpus():
        return "mixed_float16"
    fast = keras.backend.backend() == "tensorflow" and MODELS[config.model_params.model_type].fast_in_bfloat16
    return "mixed_bfloat16" if fast and has_bfloat16() else "float32"


def has_bfloat16(cpuinfo: Path = Path("/proc/cpuinfo")) -> bool:
    """Whether this processor multiplies bfloat16 numbers itself, as far as Linux says."""
    try:
        return re.search(r"^flags\s*:.*\b(avx512_bf16|amx_bf16)\b", cpuinfo.read_text(), re.MULTILINE) is not None
    except OSError:
        return False


@contextmanager
def precision(config: Config) -> Iterator[None]:
    """Networks that are built within compute with what ``config`` asks for."""
    before = keras.config.dtype_policy()
    keras.config.set_dtype_policy(dtype_policy(config))
    try:
        yield
    finally:
        keras.config.set_dtype_policy(before)
