"""The search space: which keys of a configuration are varied, and over which values."""

from __future__ import annotations

import json
import re
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import yaml
from optuna.trial import Trial

from galaxycnn.config import Config
from galaxycnn.config.loading import read_file, read_value
from galaxycnn.config.schema import DataAugmentation
from galaxycnn.errors import ConfigError
from galaxycnn.registry import AUGMENTATIONS

Load = Callable[[Mapping[str, Any]], Config]
"""The configuration with these values of these dotted keys."""

_NUMBER = r"([-+]?(?:\d+(?:\.\d+)?|\.\d+)(?:[eE][-+]?\d+)?)"
_RANGE = re.compile(rf"\s*{_NUMBER}\s*\.\.\s*{_NUMBER}(?:\s+(log)|\s+step\s+{_NUMBER})?\s*")
_EXPECTED = "expected a range such as 1e-4..1e-2 log, 0..0.6 or 16..64 step 16, or choices such as [tree, sigmoid]"

_COMPARABLE = ("img_size", "crop", "crop_size", "normalize", "grayscale")
_FIXED = {
    "seed": "would choose the luckiest split and first weights",
    "paths": "is where galaxies and results are",
    "simulation": "decides which galaxies there are",
    "model_name": "names the files of the run",
    "data_preprocessing": "decides which galaxies and fractions the scores are about",
}
"""What cannot be searched, and why; of ``data_preprocessing`` all but how a cutout is prepared."""


@dataclass(frozen=True)
class Range:
    """Numbers from ``low`` to ``high``, both included: whole ones, in steps, or on a logarithmic scale.

    Example:
        >>> 0.3 in Range(0, 0.6), 30 in Range(16, 64, step=16, whole=True), str(Range(1e-4, 1e-2, log=True))
        (True, False, '0.0001..0.01 log')
    """

    low: float
    high: float
    log: bool = False
    step: float | None = None
    whole: bool = False

    def suggest(self, trial: Trial, key: str) -> float:
        """The value that the sampler gives ``key`` in this trial."""
        if self.whole:
            return trial.suggest_int(key, int(self.low), int(self.high), step=int(self.step or 1), log=self.log)
        return trial.suggest_float(key, self.low, self.high, step=self.step, log=self.log)

    @property
    def examples(self) -> tuple[float, ...]:
        """Values that must all be possible."""
        return self.low, self.high

    def __contains__(self, value: Any) -> bool:
        if isinstance(value, bool) or not isinstance(value, int | float) or not self.low <= value <= self.high:
            return False
        return not self.step or _is_whole((value - self.low) / self.step)

    def recorded(self, value: float) -> float:
        """How a study's database has it."""
        return value

    def value(self, recorded: Any) -> Any:
        """What :meth:`recorded` stands for."""
        return recorded

    def __str__(self) -> str:
        return f"{self.low}..{self.high}{' log' if self.log else ''}{f' step {self.step}' if self.step else ''}"


@dataclass(frozen=True)
class Choices:
    """A few values without an order, of any kind that YAML has.

    Example:
        >>> [256] in Choices(([256], [512, 256])), str(Choices(("tree", None)))
        (True, '[tree, null]')
    """

    options: tuple[Any, ...]

    def suggest(self, trial: Trial, key: str) -> Any:
        """The value that the sampler gives ``key`` in this trial."""
        return self.value(trial.suggest_categorical(key, list(map(self.recorded, self.options))))

    @property
    def examples(self) -> tuple[Any, ...]:
        """Values that must all be possible."""
        return self.options

    def __contains__(self, value: Any) -> bool:
        return value in self.options

    def recorded(self, value: Any) -> str:
        """How a study's database has it: as text."""
        return value if isinstance(value, str) else json.dumps(value)

    def value(self, recorded: Any) -> Any:
        """What :meth:`recorded` stands for."""
        return next(option for option in self.options if self.recorded(option) == recorded)

    def __str__(self) -> str:
        return f"[{', '.join(map(self.recorded, self.options))}]"


Dimension = Range | Choices
Space = dict[str, Dimension]


def read_space(searches: Sequence[str], load: Load) -> Space:
    """The space that ``--search`` describes; the default one where there is none.

    Args:
        searches: each ``section.key=RANGE``, or a YAML file whose sections have a range at each key. A range
            is ``LOW..HIGH``, with ``log`` or ``step S`` after it if need be, or a list of choices. Where a
            key comes twice, the later range counts.
        load: tries a value.

    Raises:
        ConfigError: a key is unknown or may not be searched, or a value of its range is impossible.

    Example:
        >>> from galaxycnn.config import load_config
        >>> def load(values):
        ...     return load_config({"paths": {"images_path": "images"}, "model_name": "first", "model_params": {}},
        ...                        [f"{key}={json.dumps(value)}" for key, value in values.items()])
        >>> space = read_space(["train_params.learning_rate=1e-4..1e-2 log", "train_params.epochs=5..9"], load)
        >>> space["train_params.learning_rate"].log, space["train_params.epochs"].whole
        (True, True)
    """
    space = {key: _dimension(place, key, written, load) for place, key, written in _entries(searches)}
    return space or default_space(load)


def default_space(load: Load) -> Space:
    """What is worth trying for nearly every network, as far as this configuration has it."""
    config = load({})
    rate = config.train_params.learning_rate
    slow, fast = (float(f"{factor * rate:.4g}") for factor in (0.1, 10))
    candidates: Space = {
        "train_params.learning_rate": Range(slow, fast, log=True),
        "train_params.weight_decay": Range(1e-3, 0.3, log=True),
        "model_params.dropout_rate": Range(0.0, 0.6),
        "data_augmentation_params.preset": Choices(tuple(AUGMENTATIONS)),
    }
    if getattr(config.model_params, "weights", "none") != "none":
        candidates["model_params.stage_rate"] = Range(0.1, 1.0, log=True)
    if not _augmented_by_preset(config):
        del candidates["data_augmentation_params.preset"]
    return {key: dimension for key, dimension in candidates.items() if _possible(key, dimension, load)}


def flat(content: Mapping[str, Any], above: str = "") -> dict[str, Any]:
    """Nested sections as dotted keys.

    Example:
        >>> flat({"train_params": {"epochs": 5, "schedule": {"name": "cosine"}}, "seed": 48})
        {'train_params.epochs': 5, 'train_params.schedule.name': 'cosine', 'seed': 48}
    """
    values: dict[str, Any] = {}
    for key, value in content.items():
        values |= flat(value, f"{above}{key}.") if isinstance(value, Mapping) else {f"{above}{key}": value}
    return values


def settings(values: Mapping[str, Any]) -> list[str]:
    """Values by dotted key as the overrides that :func:`galaxycnn.load_config` takes."""
    return [f"{key}={json.dumps(value)}" for key, value in values.items()]


# -- reading ------------------------------------------------------------------------------------


def _entries(searches: Sequence[str]) -> Iterator[tuple[str, str, Any]]:
    """Where each range is written, its key, and what is written."""
    for word in searches:
        key, equals, text = word.partition("=")
        if equals:
            yield f"--search {word}", key.strip(), _value(word, text)
        elif Path(word).suffix in (".yaml", ".yml"):
            path, content, lines = read_file(Path(word))
            places = {".".join(keys): line for keys, line in lines.items()}
            for key, written in flat(content).items():
                yield places.get(key, path), key, written
        else:
            raise ConfigError(f"--search {word}: expected section.key=RANGE or a YAML file of ranges; {_EXPECTED}")


def _value(word: str, text: str) -> Any:
    if text.strip().startswith("{"):
        choices = text.strip().removeprefix("{").removesuffix("}")
        raise ConfigError(f"--search {word}: choices are a list, [{choices}]")
    try:
        return read_value(text)
    except yaml.YAMLError:
        raise ConfigError(f"--search {word}: not valid YAML; {_EXPECTED}") from None


def _dimension(place: str, key: str, written: Any, load: Load) -> Dimension:
    _refuse_fixed(place, key)
    dimension = Choices(tuple(written)) if isinstance(written, list) else _range(place, written)
    if isinstance(dimension, Choices):
        texts = [dimension.recorded(option) for option in dimension.options]
        if len(set(texts)) < max(2, len(texts)):
            raise ConfigError(f"{place}: expected two or more different choices (one value is given with --set)")
    for value in dimension.examples:
        _try(place, key, value, load)
    if isinstance(dimension, Range) and dimension.whole and not dimension.step:
        return Range(dimension.low, dimension.high, dimension.log, whole=not _takes_decimals(key, dimension, load))
    return dimension


def _refuse_fixed(place: str, key: str) -> None:
    section, _, name = key.partition(".")
    if section in _FIXED and not (section == "data_preprocessing" and name in _COMPARABLE):
        raise ConfigError(f"{place}: {key} cannot be searched, it {_FIXED[section]}")


def _range(place: str, written: Any) -> Range:
    found = _RANGE.fullmatch(written) if isinstance(written, str) else None
    if not found:
        raise ConfigError(f"{place}: {_EXPECTED}, found {written!r}")
    low, high = read_value(found.group(1)), read_value(found.group(2))
    log, step = found.group(3) is not None, read_value(found.group(4) or "null")
    if low >= high:
        raise ConfigError(f"{place}: a range goes up, from the lower value to the higher one")
    if log and low <= 0:
        raise ConfigError(f"{place}: a logarithmic range begins above 0, this one at {low:g}")
    if step is not None and (step <= 0 or not _is_whole((high - low) / step)):
        raise ConfigError(f"{place}: steps of {step:g} do not lead from {low:g} to {high:g}")
    whole = all(isinstance(number, int) for number in (low, high, step) if number is not None)
    return Range(low, high, log, step, whole)


def _try(place: str, key: str, value: Any, load: Load) -> None:
    try:
        load({key: value})
    except ConfigError as error:
        (override,) = settings({key: value})
        raise ConfigError(f"{place}: {str(error).removeprefix(f'--set {override}: ')}") from None


def _takes_decimals(key: str, dimension: Range, load: Load) -> bool:
    """Whether whole ends are just short for decimal ones, as those of ``0..1`` are for a share."""
    return _loads({key: dimension.low + 0.5}, load)


def _possible(key: str, dimension: Dimension, load: Load) -> bool:
    return all(_loads({key: value}, load) for value in dimension.examples)


def _loads(values: Mapping[str, Any], load: Load) -> bool:
    try:
        load(values)
    except ConfigError:
        return False
    return True


def _augmented_by_preset(config: Config) -> bool:
    """Whether another preset would change the augmentation: keys that are given one by one win over it."""
    given = config.data_augmentation_params
    if given is None:
        return True
    if given.preset is None:
        return False
    preset: DataAugmentation = AUGMENTATIONS[given.preset].settings
    return preset.model_dump() == {**given.model_dump(), "preset": None}


def _is_whole(number: float) -> bool:
    return abs(number - round(number)) < 1e-6
