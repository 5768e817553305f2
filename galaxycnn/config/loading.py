"""From a YAML file (or a dict) to a checked :class:`Config`; every error names file, line and key."""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping, Sequence
from functools import cache
from pathlib import Path
from typing import Annotated, Any, Union

import yaml
from pydantic import BaseModel, Discriminator, Tag, ValidationError, create_model

from galaxycnn.config.schema import Config
from galaxycnn.errors import ConfigError, nearest
from galaxycnn.files import atomic_path
from galaxycnn.registry import MODELS
from galaxycnn.tree import GALAXY_ZOO_2

KeyPath = tuple[str, ...]

_MODEL_TYPE = "model_type"
_DEFAULT_MODEL = "base"


class _Loader(yaml.SafeLoader):
    """SafeLoader that reads ``1e-4`` as the number it plainly is (YAML 1.1 takes it for text)."""


_Loader.add_implicit_resolver(
    "tag:yaml.org,2002:float", re.compile(r"^[-+]?(\d+\.?\d*|\.\d+)[eE][-+]?\d+$"), list("-+.0123456789")
)


def load_config(
    source: str | Path | Mapping[str, Any], overrides: Iterable[str] = (), seed: int | None = None
) -> Config:
    """Read and check a configuration.

    Args:
        source: a YAML file, or a mapping with the same sections.
        overrides: changes as ``"section.key=value"``; the value is read as YAML.
        seed: replaces the configuration's ``seed``.

    Raises:
        ConfigError: the file cannot be read, or a key is unknown, of the wrong type, out of range
            or impossible together with another one. The message names file, line and key.

    Example:
        >>> config = load_config({"paths": {"images_path": "images"}, "model_name": "first",
        ...                       "model_params": {"dense_units": [64]}}, ["train_params.epochs=3"])
        >>> config.train_params.epochs, config.model_params.model_type
        (3, 'base')
    """
    lines: dict[KeyPath, str] = {}
    if isinstance(source, Mapping):
        origin, content = "configuration", _copied(source)
    else:
        origin, content, lines = read_file(Path(source))
    for override in overrides:
        _apply(override, content, lines)
    if seed is not None:
        content["seed"] = seed
    try:
        config = _config_class().model_validate(content)
    except ValidationError as error:
        raise ConfigError(_first_sentence(error, origin, lines, content)) from None
    try:
        _check_together(config)
    except ConfigError as error:
        key = str(error).partition(":")[0]
        raise ConfigError(f"{_place(tuple(key.split('.')), origin, lines)}: {error}") from None
    return config


def _check_together(config: Config) -> None:
    """What no key can know alone; questions of other surveys are checked when their labels are read."""
    # Imported late: Keras takes seconds, and reading galaxies does not need it.
    from galaxycnn.losses import check_loss, check_output, needs_class_weights
    from galaxycnn.metrics import check_metrics

    preprocessing, train = config.data_preprocessing, config.train_params
    if preprocessing.training_size == 1 and preprocessing.split_file is None:
        config.refuse_to_watch_nothing()
    if preprocessing.task is not None or preprocessing.layout == "kaggle":
        MODELS[config.model_params.model_type].of(config, GALAXY_ZOO_2).check()
    if needs_class_weights(train.loss_function) and not config.model_params.class_weights:
        raise ConfigError(
            f"train_params.loss_function: {train.loss_function!r} needs class weights;"
            " set model_params.class_weights: true"
        )
    check_loss(train.loss_function, train.loss_params)
    check_output(train.loss_function, MODELS[config.model_params.model_type].flat_output)
    check_metrics(train.metrics)


def save_config(config: Config, path: str | Path) -> None:
    """Write the whole configuration, defaults included, as YAML that loads to an equal one."""
    with atomic_path(path) as temporary:
        temporary.write_text(dump_config(config))


def dump_config(config: Config) -> str:
    """The whole configuration as YAML text."""
    return yaml.safe_dump(config.model_dump(mode="json"), sort_keys=False, width=100)


@cache
def _config_class() -> type[Config]:
    """``Config`` with ``model_params`` checked by the keys of the model family that it names."""
    families: Any = tuple(Annotated[family.Params, Tag(name)] for name, family in MODELS.items())
    chosen = Annotated[Union[families], Discriminator(_model_type)]  # noqa: UP007 - built at run time
    return create_model("Config", __base__=Config, model_params=(chosen, ...))


def _model_type(params: Any) -> Any:
    if isinstance(params, Mapping):
        return params.get(_MODEL_TYPE, _DEFAULT_MODEL)
    return getattr(params, _MODEL_TYPE, None)


# -- reading ------------------------------------------------------------------------------------


def read_value(text: str) -> Any:
    """What ``text`` is as YAML.

    Example:
        >>> read_value("1e-4"), read_value("[tree, sigmoid]"), read_value("null")
        (0.0001, ['tree', 'sigmoid'], None)
    """
    return yaml.load(text, Loader=_Loader)


def read_file(path: Path) -> tuple[str, dict[str, Any], dict[KeyPath, str]]:
    """The path as text, the content of a YAML file of sections, and where each key stands (``FILE:LINE``).

    Raises:
        ConfigError: it cannot be read, is not valid YAML or has no sections, or a key is given twice.
    """
    try:
        text = path.read_text(encoding="utf-8")
    except FileNotFoundError:
        siblings = sorted(str(p) for p in path.parent.glob("*.y*ml")) if path.parent.is_dir() else []
        raise ConfigError(f"{path}: there is no such file{nearest(str(path), siblings)}") from None
    except (OSError, UnicodeDecodeError) as error:
        raise ConfigError(f"{path}: cannot be read as text ({error})") from None
    try:
        root = yaml.compose(text, Loader=_Loader)
        content = yaml.load(text, Loader=_Loader)
    except yaml.MarkedYAMLError as error:
        line = error.problem_mark.line + 1 if error.problem_mark else 1
        raise ConfigError(f"{path}:{line}: not valid YAML, {error.problem}") from None
    except yaml.YAMLError as error:
        raise ConfigError(f"{path}: not valid YAML, {str(error).splitlines()[0]}") from None
    if not isinstance(content, dict):
        raise ConfigError(f"{path}: expected sections such as 'paths:' and 'model_params:', found {_shown(content)}")
    lines: dict[KeyPath, str] = {}
    _note_lines(root, (), str(path), lines)
    return str(path), content, lines


def _note_lines(node: yaml.Node | None, path: KeyPath, origin: str, lines: dict[KeyPath, str]) -> None:
    if isinstance(node, yaml.SequenceNode):
        entries = [(str(i), child, child) for i, child in enumerate(node.value)]
    elif isinstance(node, yaml.MappingNode):
        entries = [(str(key.value), key, child) for key, child in node.value]
    else:
        return
    for key, mark, child in entries:
        where = (*path, key)
        place = f"{origin}:{mark.start_mark.line + 1}"
        if where in lines:
            raise ConfigError(f"{place}: {'.'.join(where)} is given twice (first at {lines[where]})")
        lines[where] = place
        _note_lines(child, where, origin, lines)


def _copied(value: Any) -> Any:
    if isinstance(value, Mapping):
        return {key: _copied(item) for key, item in value.items()}
    if isinstance(value, list | tuple):
        return [_copied(item) for item in value]
    return value


def _apply(override: str, content: dict[str, Any], lines: dict[KeyPath, str]) -> None:
    dotted, equals, text = override.partition("=")
    path = tuple(dotted.strip().split("."))
    if not equals or not all(path):
        raise ConfigError(f"--set {override}: expected section.key=value, for example --set train_params.epochs=5")
    try:
        value = read_value(text)
    except yaml.YAMLError:
        raise ConfigError(f"--set {override}: the value is not valid YAML") from None
    section: Any = content
    for key in path[:-1]:
        if section.get(key) is None:
            section[key] = {}
        section = section[key]
        if not isinstance(section, dict):
            raise ConfigError(f"--set {override}: {key!r} is a value, not a section")
    section[path[-1]] = value
    for known in [where for where in lines if where[: len(path)] == path]:
        del lines[known]
    lines[path] = f"--set {override}"


# -- explaining ---------------------------------------------------------------------------------


def _first_sentence(
    error: ValidationError, origin: str, lines: Mapping[KeyPath, str], content: Mapping[str, Any]
) -> str:
    details = error.errors(include_url=False)
    detail = min(details, key=lambda d: _RANK.get(d["type"], 1))
    path = _key_path(detail["loc"], content)
    if detail["type"] == "union_tag_invalid":
        path = (*path, _MODEL_TYPE)
    place = _place(path, origin, lines)
    key = ".".join(path)
    more = f" ({len(details) - 1} more to mend)" if len(details) > 1 else ""
    return f"{place}: {_sentence(detail, path, key)}{more}"


_RANK = {"extra_forbidden": 0, "missing": 2}
"""A misspelt key is told first: it is usually why another one is missing."""


def _key_path(loc: Sequence[int | str], content: Mapping[str, Any]) -> KeyPath:
    """The path of keys as the file has them: pydantic adds the name of the model family."""
    path = [str(part) for part in loc if part not in ("bool", "int")]
    if len(path) > 1 and path[0] == "model_params" and path[1] == _model_type(content.get("model_params")):
        del path[1]
    return tuple(path)


def _place(path: KeyPath, origin: str, lines: Mapping[KeyPath, str]) -> str:
    for length in range(len(path), 0, -1):
        if path[:length] in lines:
            return lines[path[:length]]
    return origin


def _sentence(detail: Any, path: KeyPath, key: str) -> str:
    kind, found = detail["type"], _shown(detail["input"])
    if kind == "extra_forbidden":
        return f"unknown key {key!r}{nearest(path[-1], _keys_beside(detail))}"
    if kind == "missing":
        return f"{key} is missing, and has no default"
    if kind == "union_tag_invalid":
        name = _model_type(detail["input"])
        return f"{key}: there is no model {name!r}{nearest(str(name), MODELS)}"
    if kind == "value_error":
        message = str(detail["ctx"]["error"])
        return f"{key}: {message}" if key else message
    if kind in {"model_type", "model_attributes_type", "union_tag_not_found"}:
        return f"{key}: expected a section of keys, found {found}"
    if kind == "literal_error":
        return f"{key}: expected {detail['ctx']['expected']}, found {found}"
    if kind in {"too_short", "too_long"}:
        bound = detail["ctx"].get("min_length") or detail["ctx"]["max_length"]
        return f"{key}: expected {'at least' if kind == 'too_short' else 'at most'} {bound} items, found {found}"
    expectation = detail["msg"].removeprefix("Input should be ")
    return f"{key}: expected a value {expectation}, found {found}".replace("a value a ", "a ")


def _keys_beside(detail: Any) -> list[str]:
    section: Any = _config_class()
    for part in detail["loc"][:-1]:
        section = _inner_model(section, str(part))
    return list(section.model_fields)


def _inner_model(section: type[BaseModel], part: str) -> type[BaseModel]:
    if part in MODELS and "model_type" in section.model_fields:
        return MODELS[part].Params
    annotation = section.model_fields[part].annotation if part in section.model_fields else section
    if part == "model_params":
        return MODELS[_DEFAULT_MODEL].Params
    options = getattr(annotation, "__args__", (annotation,))
    return next((o for o in options if isinstance(o, type) and issubclass(o, BaseModel)), section)


def _shown(value: Any) -> str:
    if value is None:
        return "nothing (null)"
    text = repr(value)
    return f"{text[:57]}…" if len(text) > 60 else text
