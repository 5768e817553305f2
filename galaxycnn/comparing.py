"""Finished runs and baselines to be compared: what each reached and failed at, and whether they may be compared."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pandas as pd

from galaxycnn.config.schema import Paths
from galaxycnn.errors import DataError, UserError, nearest
from galaxycnn.plain import at
from galaxycnn.quantities import collapsed

Results = dict[str, Any]

FILES = ("metrics.json", "baselines.json")
"""What a run's folder may hold, that of the network first."""


@dataclass(frozen=True)
class Measured:
    """A network or a baseline, as it was measured on a part of the galaxies.

    Attributes:
        name: of the model.
        results: what :func:`galaxycnn.measuring.measure` returned for the part.
        about: what else its file says: ``parameters``, ``training_seconds``, …; of a baseline its ``text``.
        ids: of the galaxies, where its predictions are beside its file.
    """

    name: str
    results: Results
    about: Results
    ids: frozenset[str] | None = None

    @property
    def is_baseline(self) -> bool:
        return "text" in self.about

    @property
    def classes(self) -> Results | None:
        """What :func:`galaxycnn.detection.evaluate_classes` returned, where it tells classes apart."""
        return self.results.get("classes")

    @property
    def quantities(self) -> Results:
        """What :func:`galaxycnn.quantities.evaluate_quantity` returned, by the quantity's name."""
        return self.results.get("quantities", {})

    @property
    def votes(self) -> Results | None:
        """What :func:`galaxycnn.evaluation.evaluate_fractions` returned, where it predicts vote fractions."""
        return self.results if "overall" in self.results and self.classes is None else None

    @property
    def images_per_second(self) -> float | None:
        """Cutouts a second that its training saw, validation included."""
        seconds, epochs = self.about.get("training_seconds"), self.about.get("epochs")
        galaxies = self.about.get("galaxies", {}).get("train")
        return epochs * galaxies / seconds if seconds and epochs and galaxies else None


def failures(model: Measured) -> list[str]:
    """What a model has not learned, by its own results: the 95 % interval does not leave chance or the mean behind.

    Example:
        >>> classes = {"classes": ["other", "merger"], "confusion": [[9, 0], [1, 0]],
        ...            "intervals": {"balanced_accuracy": [0.5, 0.5], "macro": {"average_precision": [0.4, 0.6]}},
        ...            "baseline": {"balanced_accuracy": 0.5, "macro": {"average_precision": 0.5}}}
        >>> failures(Measured("cnn", {"classes": classes}, {}))
        ['classes not told apart', 'never predicts merger']
    """
    found = []
    if model.classes:
        classes = model.classes
        if not _above_chance(classes, "balanced_accuracy"):
            ranked = _above_chance(classes, "macro", "average_precision")
            found.append("choices no better than chance" if ranked else "classes not told apart")
        counts = classes["confusion"]
        never = [
            name for i, name in enumerate(classes["classes"]) if sum(counts[i]) and not any(row[i] for row in counts)
        ]
        found += [f"never predicts {' and '.join(never)}"] if never else []
    for name, quantity in model.quantities.items():
        low, floor = quantity["intervals"]["r2"][0], quantity["baseline"]["r2"]
        if collapsed(quantity):
            found.append(f"{name} collapsed")
        elif low is not None and low <= floor:
            found.append(f"{name} no better than the mean")
    if model.votes:
        overall = model.votes["overall"]
        if overall["intervals"]["rmse"][1] >= overall["baseline"]["rmse"]:
            found.append("no better than the mean")
    return found


def _above_chance(classes: Results, *keys: str) -> bool:
    """Whether the interval of the figure with these keys lies above what a model reaches that never looks."""
    low, chance = at(classes["intervals"], keys)[0], at(classes["baseline"], keys)
    return low is not None and bool(low > chance)


# -- from words to models ------------------------------------------------------------------------


def read_models(words: Iterable[str | Path], part: str = "test") -> list[Measured]:
    """The models that ``galaxycnn compare`` is given.

    Args:
        words: each a run's folder, a ``metrics.json``, a ``baselines.json``, or the name of a run whose folder is in
            ``metrics_plots/``.
        part: what they were measured on.

    Returns:
        One for each run and for each baseline of a ``baselines.json``, with names that are all different.

    Raises:
        UserError: there is no such run, or a file is no such file or has no such part.
    """
    files = list(dict.fromkeys(find_file(word).resolve() for word in words))
    found = [(file, model) for file in files for model in _read(file, part)]
    names = [model.name for _, model in found]
    return [model if names.count(model.name) == 1 else _told_apart(file, model) for file, model in found]


def find_file(word: str | Path) -> Path:
    """The file of results that a word means.

    Raises:
        UserError: there is none.
    """
    runs = Path(Paths.model_fields["plots_path"].default)
    for place in (Path(word), runs / word):
        if place.is_file():
            return place
        if place.is_dir():
            file = next((place / name for name in FILES if (place / name).is_file()), None)
            if file is None:
                raise UserError(f"{place}: the folder holds neither {' nor '.join(FILES)}")
            return file
    names = sorted(file.parent.name for name in FILES for file in runs.glob(f"*/{name}"))
    hint = nearest(str(word), dict.fromkeys(names)) or f"; {runs} holds none"
    raise UserError(f"there is no run {str(word)!r}{hint}")


def _read(file: Path, part: str) -> Iterator[Measured]:
    try:
        content = json.loads(file.read_text(encoding="utf-8"))
    except (json.JSONDecodeError, UnicodeDecodeError) as error:
        raise DataError(f"{file}: is not JSON ({error})") from error
    if not isinstance(content, dict) or not {"parts", "baselines"} & set(content):
        raise DataError(f"{file}: holds neither a run's 'parts' nor 'baselines', as {' and '.join(FILES)} do")
    if "parts" in content:
        yield Measured(content["model_name"], _part(file, content["parts"], part), content, _ids(file, part))
    for name, baseline in content.get("baselines", {}).items():
        about = {"text": baseline["text"], "of": content["model_name"], "training_seconds": baseline["seconds"]}
        yield Measured(name, _part(file, baseline["parts"], part), about)


def _part(file: Path, parts: Results, part: str) -> Results:
    if part not in parts:
        raise DataError(f"{file}: nothing was measured on a part {part!r}{nearest(part, parts)}")
    results: Results = parts[part]
    return results


def _ids(file: Path, part: str) -> frozenset[str] | None:
    predictions = file.with_name(f"predictions_{part}.csv")
    if not predictions.exists():
        return None
    return frozenset(pd.read_csv(predictions, usecols=["id"], dtype=str)["id"])


def _told_apart(file: Path, model: Measured) -> Measured:
    of = f"{model.about['of']}" if model.is_baseline else str(file.parent)
    return Measured(f"{model.name} ({of})", model.results, model.about, model.ids)


# -- whether they may be compared ----------------------------------------------------------------


def warnings(models: Sequence[Measured], part: str = "test") -> list[str]:
    """Sentences on models whose scores differ for another reason than that one is better: other galaxies or labels."""
    found = []
    for what, members in _by_kind(models).items():
        groups = _alike(members, lambda one, other: one.labels == other.labels)
        if len(groups) > 1:
            sides = " | ".join(f"{_names(group)} ({', '.join(group[0].labels)})" for group in groups)
            found.append(f"{what} are not the same for all, so their scores cannot be compared: {sides}")
        for alike in groups:
            samples = _alike(alike, _Entry.on_the_same_galaxies)
            if len(samples) > 1:
                sides = " | ".join(f"{_names(group)} ({group[0].n:,} galaxies)" for group in samples)
                found.append(
                    f"{what} were measured on different galaxies of {part!r}, so scores differ by chance, too: {sides}"
                )
    return found


@dataclass(frozen=True)
class _Entry:
    """What a model predicts of one kind: how many galaxies it was measured on, and between what it tells."""

    model: Measured
    n: int
    labels: tuple[str, ...]

    def on_the_same_galaxies(self, other: _Entry) -> bool:
        """As far as is known; the one's predictions may include galaxies of which the truth is not known."""
        ids, others = self.model.ids, other.model.ids
        return self.n == other.n and (ids is None or others is None or ids <= others or others <= ids)


def _by_kind(models: Sequence[Measured]) -> dict[str, list[_Entry]]:
    kinds: dict[str, list[_Entry]] = {}
    for model in models:
        if model.classes:
            kinds.setdefault("classes", []).append(_Entry(model, model.classes["n"], tuple(model.classes["classes"])))
        if model.votes:
            kinds.setdefault("vote fractions", []).append(
                _Entry(model, model.votes["n"], tuple(model.votes["outputs"]))
            )
        for name, quantity in model.quantities.items():
            kinds.setdefault(f"values of {name}", []).append(_Entry(model, quantity["n"], (name,)))
    return kinds


def _alike(entries: Sequence[_Entry], same: Callable[[_Entry, _Entry], bool]) -> list[list[_Entry]]:
    """Entries that are the same as the first of their group."""
    groups: list[list[_Entry]] = []
    for entry in entries:
        home = next((group for group in groups if same(group[0], entry)), None)
        if home is None:
            groups.append([entry])
        else:
            home.append(entry)
    return groups


def _names(entries: Sequence[_Entry]) -> str:
    return ", ".join(entry.model.name for entry in entries)
