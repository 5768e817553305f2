"""What a baseline is."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

Describe = Callable[[NDArray[np.uint8]], NDArray[np.floating]]


@dataclass(frozen=True)
class Method:
    """How fractions are predicted without a network.

    Attributes:
        text: what it does, in one line.
        describe: from uint8 cutouts (galaxies, height, width, channels) to numbers (galaxies, features). Methods that
            share it share the work.
        regressor: from a seed to a scikit-learn regressor of several outputs.
    """

    text: str
    describe: Describe
    regressor: Callable[[int], Any]
