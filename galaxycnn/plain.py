"""Results as plain values that JSON can hold."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any

import numpy as np


def plain(value: Any) -> Any:
    """Python numbers, lists and dictionaries in place of NumPy's; None for NaN.

    Example:
        >>> plain({"n": np.int64(3), "r2": np.nan, "bias": np.array([0.5, np.nan])})
        {'n': 3, 'r2': None, 'bias': [0.5, None]}
    """
    if isinstance(value, Mapping):
        return {key: plain(entry) for key, entry in value.items()}
    if isinstance(value, np.ndarray | np.generic):
        value = value.tolist()
    if isinstance(value, list | tuple):
        return [plain(entry) for entry in value]
    return None if isinstance(value, float) and np.isnan(value) else value


def at(results: Any, keys: Iterable[str | int]) -> Any:
    """What stands below these keys, one after the other.

    Example:
        >>> at({"macro": {"f1": [0.6, 0.8]}}, ["macro", "f1", 1])
        0.8
    """
    for key in keys:
        results = results[key]
    return results
