"""Baselines fitted on galaxies and measured as a network is."""

from __future__ import annotations

import time
from collections.abc import Callable, Collection, Mapping, Sequence
from dataclasses import dataclass, replace
from functools import cache
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import ArrayLike, NDArray

from galaxycnn.baselines.method import Describe, Kind, Method
from galaxycnn.config import Config
from galaxycnn.data.dataset import GalaxyData, Part, prepare
from galaxycnn.errors import DataError, UserError, nearest
from galaxycnn.measuring import Known, NeverLooked, Results, best_threshold
from galaxycnn.measuring import measure as measure_predictions
from galaxycnn.progress import track
from galaxycnn.registry import BASELINES
from galaxycnn.tree import Floats
from galaxycnn.views import Seen

CHUNK = 1024
"""Cutouts in memory at a time."""

WORDS: dict[Kind, str] = {"fractions": "vote fractions", "classes": "classes", "quantity": "quantities"}


@dataclass(frozen=True)
class Fitted:
    """A fitted baseline.

    Attributes:
        method: what was fitted.
        kind: what it predicts.
        estimator: scikit-learn's.
        columns: how many fractions or classes.
    """

    method: Method
    kind: Kind
    estimator: Any
    columns: int

    def predict(self, cutouts: NDArray[np.uint8]) -> Floats:
        """Fractions or probabilities in 0…1, shape (galaxies, columns), or the quantity, shape (galaxies,).

        Nothing makes fractions keep the sums of the decision tree.
        """
        return self.from_features(self.method.features(cutouts))

    def from_features(self, features: Floats) -> NDArray[np.float64]:
        """The same for galaxies that are described already, shape (galaxies, features)."""
        if self.kind == "quantity":
            return np.asarray(self.estimator.predict(features), np.float64)
        if self.kind == "fractions":
            return np.clip(np.asarray(self.estimator.predict(features), np.float64), 0, 1)
        shares = np.zeros((len(features), self.columns))
        shares[:, self.estimator.classes_] = self.estimator.predict_proba(features)
        return np.clip(shares, 0, 1)


def fit(
    name: str, cutouts: NDArray[np.uint8], targets: ArrayLike, kind: Kind = "fractions", *, seed: int = 48
) -> Fitted:
    """Fit the baseline of that name.

    Args:
        name: an entry of :data:`galaxycnn.registry.BASELINES`.
        cutouts: uint8, shape (galaxies, height, width, 1 or 3).
        targets: what to predict: fractions or one-hot classes, shape (galaxies, columns), or a quantity, shape
            (galaxies,). Galaxies of which it is not known (NaN) are left out.
        kind: which of the three the targets are: ``"fractions"``, ``"classes"`` or ``"quantity"``.
        seed: decides the k-means groups and the trees.

    Raises:
        UserError: there is no baseline of that name, or it does not predict this kind.
        DataError: the target of no galaxy is known, or all are of one class.

    Example:
        >>> rng = np.random.default_rng(0)
        >>> cutouts, fractions = rng.integers(0, 255, (40, 16, 16, 3), np.uint8), rng.dirichlet([2, 1], 40)
        >>> fit("mean", cutouts, fractions).predict(cutouts[:2]).shape
        (2, 2)
        >>> fit("mean", cutouts, np.arange(40.0), "quantity").predict(cutouts[:2]).tolist()
        [19.5, 19.5]
    """
    method = _predicting(name, [kind])
    return _fitted(method, kind, method.features(cutouts), np.asarray(targets), seed)


def _fitted(method: Method, kind: Kind, features: Floats, targets: Floats, seed: int) -> Fitted:
    known = ~np.isnan(targets.reshape(len(targets), -1)).any(axis=1)
    if not known.any():
        raise DataError(f"a baseline cannot be fitted: the {WORDS[kind]} of no training galaxy are known")
    seen, truth = features[known], targets[known]
    if kind == "classes":
        truth = truth.argmax(axis=1)
        if (truth == truth[0]).all():
            raise DataError(f"a baseline cannot be fitted: all {len(truth):,} training galaxies are of one class")
    make = method.maker(kind)
    assert make is not None
    return Fitted(method, kind, make(seed).fit(seen, truth), targets.shape[-1])


def _predicting(name: str, kinds: Sequence[Kind]) -> Method:
    """The method of that name, if it predicts one of these kinds at least."""
    method: Method = BASELINES[name]
    if not any(method.maker(kind) for kind in kinds):
        able = [other for other, candidate in BASELINES.items() if any(candidate.maker(kind) for kind in kinds)]
        wanted = " or ".join(WORDS[kind] for kind in kinds)
        raise UserError(f"the baseline {name!r} does not predict {wanted}{nearest(name, able)}")
    return method


def measure(config: Config, names: Sequence[str] | None = None) -> Results:
    """Fit baselines on the training galaxies of a configuration and measure them on its other galaxies.

    Split, cutouts and questions are those that :func:`galaxycnn.train` uses. Where the training galaxies are
    over-sampled, those that come several times count as often for what tells classes apart by looking at them, and
    once for all else: repeated galaxies would deceive a penalty that is found by leaving out one at a time.

    Args:
        names: which baselines; None for all that predict something of what the configuration asks for.

    Returns:
        Plain values: ``model_name``, ``seed``, ``galaxies`` in each part, and ``baselines``, by name: ``text``,
        ``seconds`` that looking at the training galaxies and fitting took, and ``parts``, validation and test as
        :func:`galaxycnn.measuring.measure` measures them. Of two classes, the second is chosen from the probability on
        that is best on the validation part, where there is one.

    Raises:
        UserError: there is no such baseline, it predicts nothing that is asked for, or the data cannot be used.

    Example:
        >>> import galaxycnn
        >>> results = measure(galaxycnn.load_config("configs/quickstart.yaml"), ["mean", "ridge"])  # doctest: +SKIP
        >>> results["baselines"]["ridge"]["parts"]["test"]["overall"]["rmse"]  # doctest: +SKIP
        0.14
    """
    for name in names or ():
        BASELINES[name]  # before the galaxies are read
    data = prepare(config)
    workbench = _Workbench.of(data, config)
    if names is None:
        names = [name for name, method in BASELINES.items() if any(map(method.maker, workbench.kinds))]
    methods = {name: _predicting(name, workbench.kinds) for name in names}
    measured = {
        name: workbench.measured(method)
        for name, method in track(methods.items(), "fitting baselines", total=len(methods))
    }
    return {
        "model_name": config.model_name,
        "seed": config.seed,
        "galaxies": {part.name: len(part) for part in data.parts},
        "baselines": measured,
    }


class _Described(NamedTuple):
    """What a description sees of a part's galaxies, and how long it took."""

    features: Floats
    seconds: float


@dataclass(frozen=True)
class _Workbench:
    """The galaxies on which baselines are fitted and measured.

    Attributes:
        data: its training part has each galaxy once.
        repeated: the positions of the training galaxies that a classifier learns from.
        answers: what kind the answers are; None where no question is asked.
        never_looked: what the training part says without a look at a galaxy.
        described: what a description sees of the part of that name; each pair is described once.
    """

    data: GalaxyData
    repeated: NDArray[np.intp]
    answers: Kind | None
    never_looked: NeverLooked
    described: Callable[[Describe | None, str], _Described]
    config: Config

    @classmethod
    def of(cls, data: GalaxyData, config: Config) -> _Workbench:
        train, repeated = data.train.once()
        data = replace(data, train=train)
        known = Known(data.tree, train.fractions, data.by_quantity(train))
        answers: Kind | None = None if not data.tree.questions else "classes" if known.are_classes else "fractions"
        parts = {part.name: part for part in data.parts}
        described = cache(lambda describe, name: _describe(describe, parts[name]))
        return cls(data, repeated, answers, NeverLooked.fit(known), described, config)

    @property
    def kinds(self) -> list[Kind]:
        """What is to be predicted."""
        quantity: list[Kind] = ["quantity"] if self.data.quantities else []
        return [*([self.answers] if self.answers else []), *quantity]

    def measured(self, method: Method) -> Results:
        """Fit a method on the training part, and measure it on the others."""
        features, seconds = self.described(method.describe, self.data.train.name)
        start = time.perf_counter()
        answers, quantities = self._answers(method, features), self._quantities(method, features)
        seconds += time.perf_counter() - start
        how: dict[str, Any] = {"outlier_limit": self.config.evaluation_params.outlier_limit, "seed": self.config.seed}
        threshold, parts = None, {}
        for part in self.data.parts[1:]:
            features = self.described(method.describe, part.name).features
            known, seen = self._known(part, quantities), _seen(answers, quantities, features)
            if answers and method.describe and part is self.data.validation:
                threshold = best_threshold(known, seen)
            floor = self.never_looked if answers else replace(self.never_looked, answers=None)
            parts[part.name] = measure_predictions(known, seen, floor, threshold=threshold, **how)
        return {"text": method.text, "seconds": round(seconds, 2), "parts": parts}

    def _known(self, part: Part, quantities: Collection[str]) -> Known:
        values = self.data.by_quantity(part)
        return Known(self.data.tree, part.fractions, {name: values[name] for name in quantities})

    def _answers(self, method: Method, features: Floats) -> Fitted | None:
        if self.answers is None or method.maker(self.answers) is None:
            return None
        rows = self.repeated if method.describe and self.answers == "classes" else np.arange(len(features))
        return _fitted(method, self.answers, features[rows], self.data.train.fractions[rows], self.config.seed)

    def _quantities(self, method: Method, features: Floats) -> dict[str, Fitted]:
        if method.quantity is None:
            return {}
        columns = self.data.by_quantity(self.data.train)
        return {
            name: _fitted(method, "quantity", features, values, self.config.seed) for name, values in columns.items()
        }


def _seen(answers: Fitted | None, quantities: Mapping[str, Fitted], features: Floats) -> Seen:
    fractions = answers.from_features(features) if answers else np.zeros((len(features), 0))
    numbers = {name: fitted.from_features(features) for name, fitted in quantities.items()}
    return Seen(fractions, np.zeros_like(fractions), fractions, 1, numbers)


def _describe(describe: Describe | None, part: Part) -> _Described:
    start = time.perf_counter()
    if describe is None:
        return _Described(np.zeros((len(part), 1)), 0.0)
    chunks = range(0, len(part), CHUNK)
    features = np.concatenate([describe(part.pixels(slice(first, first + CHUNK))) for first in chunks])
    return _Described(features, time.perf_counter() - start)
