"""Baselines fitted on galaxies and measured as a network is."""

from __future__ import annotations

import time
from collections.abc import Sequence
from dataclasses import dataclass
from functools import cache
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from galaxycnn.baselines.method import Describe, Method
from galaxycnn.config import Config
from galaxycnn.data.dataset import Part, prepare
from galaxycnn.evaluation import Baseline, evaluate_fractions
from galaxycnn.progress import track
from galaxycnn.registry import BASELINES
from galaxycnn.tree import Floats

CHUNK = 1024
"""Cutouts in memory at a time."""


@dataclass(frozen=True)
class Fitted:
    """A fitted baseline."""

    method: Method
    regressor: Any

    def predict(self, cutouts: NDArray[np.uint8]) -> Floats:
        """Fractions in 0…1, shape (galaxies, columns); nothing makes them keep the sums of the decision tree."""
        return self.from_features(self.method.describe(cutouts))

    def from_features(self, features: Floats) -> Floats:
        return np.clip(self.regressor.predict(features), 0, 1)


def fit(name: str, cutouts: NDArray[np.uint8], fractions: Floats, seed: int = 48) -> Fitted:
    """Fit the baseline of that name.

    Args:
        name: an entry of :data:`galaxycnn.registry.BASELINES`.
        cutouts: uint8, shape (galaxies, height, width, 1 or 3).
        fractions: what to predict, shape (galaxies, columns).
        seed: decides the k-means groups and the trees.

    Raises:
        UserError: there is no baseline of that name.

    Example:
        >>> rng = np.random.default_rng(0)
        >>> cutouts, fractions = rng.integers(0, 255, (40, 16, 16, 3), np.uint8), rng.dirichlet([2, 1], 40)
        >>> fit("mean", cutouts, fractions).predict(cutouts[:2]).shape
        (2, 2)
    """
    method = BASELINES[name]
    return Fitted(method, method.regressor(seed).fit(method.describe(cutouts), fractions))


def measure(config: Config, names: Sequence[str] | None = None) -> dict[str, Any]:
    """Fit baselines on the training galaxies of a configuration and measure them on its other galaxies.

    Split, cutouts and questions are those that :func:`galaxycnn.train` uses.

    Args:
        names: which baselines; None for all.

    Returns:
        Plain values: ``model_name``, ``seed``, ``galaxies`` in each part, and ``baselines``, by name: ``text``,
        ``seconds`` that looking at the training galaxies and fitting took, and ``parts``, validation and test as
        :func:`galaxycnn.evaluation.evaluate_fractions` measures them.

    Raises:
        UserError: there is no baseline of that name, or the data cannot be used.

    Example:
        >>> import galaxycnn
        >>> results = measure(galaxycnn.load_config("configs/quickstart.yaml"), ["mean", "ridge"])  # doctest: +SKIP
        >>> results["baselines"]["ridge"]["parts"]["test"]["overall"]["rmse"]  # doctest: +SKIP
        0.14
    """
    methods: dict[str, Method] = {name: BASELINES[name] for name in names or BASELINES}
    data = prepare(config)
    floor = Baseline.fit(data.tree, data.train.fractions)
    by_name = {part.name: part for part in data.parts}
    described = cache(lambda describe, name: _describe(describe, by_name[name]))
    measured = {}
    for name, method in track(methods.items(), "fitting baselines", total=len(methods)):
        seen = described(method.describe, data.train.name)
        start = time.perf_counter()
        fitted = Fitted(method, method.regressor(config.seed).fit(seen.features, data.train.fractions))
        seconds = seen.seconds + time.perf_counter() - start
        parts = {}
        for part in data.parts:
            if part is not data.train:
                predicted = fitted.from_features(described(method.describe, part.name).features)
                parts[part.name] = evaluate_fractions(data.tree, part.fractions, predicted, floor, seed=config.seed)
        measured[name] = {"text": method.text, "seconds": round(seconds, 2), "parts": parts}
    return {
        "model_name": config.model_name,
        "seed": config.seed,
        "galaxies": {part.name: len(part) for part in data.parts},
        "baselines": measured,
    }


class _Seen(NamedTuple):
    """What a description sees of a part's galaxies, and how long it took."""

    features: Floats
    seconds: float


def _describe(describe: Describe, part: Part) -> _Seen:
    start = time.perf_counter()
    chunks = range(0, len(part), CHUNK)
    features = np.concatenate([describe(part.pixels(slice(first, first + CHUNK))) for first in chunks])
    return _Seen(features, time.perf_counter() - start)
