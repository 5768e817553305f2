"""What this machine is, for the record beside every measurement."""

from __future__ import annotations

import os
import platform
import re
from pathlib import Path
from typing import Any

import keras


def machine() -> dict[str, Any]:
    """Processor, usable cores, GPUs and Keras backend.

    Example:
        >>> sorted(machine())
        ['backend', 'cores', 'gpus', 'processor']
    """
    return {"processor": _processor(), "cores": cores(), "gpus": gpus(), "backend": keras.backend.backend()}


def _processor() -> str:
    """The model's name where Linux tells it, else the architecture."""
    try:
        found = re.search(r"^model name\s*:\s*(.+)$", Path("/proc/cpuinfo").read_text(), re.MULTILINE)
    except OSError:
        found = None
    return found.group(1).strip() if found else platform.processor() or platform.machine()


def cores() -> int:
    """How many processor cores this process may use."""
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1


def gpus() -> list[str]:
    """The GPUs that the Keras backend sees."""
    if keras.backend.backend() == "torch":
        import torch

        return [torch.cuda.get_device_name(i) for i in range(torch.cuda.device_count())]
    try:
        return list(keras.distribution.list_devices("gpu"))
    except RuntimeError:  # JAX where there is none
        return []
