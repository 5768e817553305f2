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

    ``auto`` is float16 on a GPU. On a processor that is faster with bfloat16 it is bfloat16 with TensorFlow,
    where the network is, too: ``fit`` of the base network by 1.8 times. Elsewhere it is float32.
    """
    precision = config.train_params.precision
    if precision != "auto":
        return precision
    if gpus():
        return "mixed_float16"
    fast = keras.backend.backend() == "tensorflow" and MODELS[config.model_params.model_type].fast_in_bfloat16
    return "mixed_bfloat16" if fast and is_fast_in_bfloat16() else "float32"


def is_fast_in_bfloat16(cpuinfo: Path = Path("/proc/cpuinfo")) -> bool:
    """Whether this processor multiplies more bfloat16 than float32 numbers at a time, as far as Linux says.

    AMD's do that have such instructions, and Intel's with matrices of them. Intel's with vectors alone, as where the
    machine is virtual and hides the matrices, train 1.4 to 1.5 times faster in float32
    (``benchmarks/network_speed.py``).
    """
    try:
        known = cpuinfo.read_text()
    except OSError:
        return False
    flags = re.search(r"^flags\s*:(.*)", known, re.MULTILINE)
    has = set(flags[1].split() if flags else ())
    return "amx_bf16" in has or ("avx512_bf16" in has and "AuthenticAMD" in known)


@contextmanager
def precision(config: Config) -> Iterator[None]:
    """Networks that are built within compute with what ``config`` asks for."""
    before = keras.config.dtype_policy()
    keras.config.set_dtype_policy(dtype_policy(config))
    try:
        yield
    finally:
        keras.config.set_dtype_policy(before)
