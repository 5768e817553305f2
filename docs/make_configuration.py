"""Write ``configuration.md``, the reference of every key, from the schema: ``python docs/make_configuration.py``."""

from __future__ import annotations

import inspect
import json
from collections.abc import Iterable, Iterator, Sequence
from pathlib import Path
from typing import Any, get_args, get_origin, get_type_hints

from galaxycnn.config.fields import Section
from galaxycnn.config.schema import Config, ModelParams
from galaxycnn.files import atomic_path
from galaxycnn.losses import needs_class_weights, takes_class_weights
from galaxycnn.metrics import NAMES
from galaxycnn.models.blocks import ACTIVATIONS, OUT_ACTIVATIONS
from galaxycnn.registry import AUGMENTATIONS, HEADS, LAYOUTS, LOSSES, MODELS

INTRODUCTION = """# Configuration

<!-- Made from the schema by docs/make_configuration.py; do not edit. -->

A run is described by one YAML file of the sections below. Only `paths.images_path`, `model_name` and the section
`model_params` have to be there. Unknown keys and wrong types are errors that name file, line, key and the nearest valid
choice. Any key can be set from the command line: `galaxycnn train my.yaml --set train_params.epochs=5`. Each run saves
its configuration, with all defaults filled in, as `logs/<name>.yaml`."""

CHOICES: dict[str, Sequence[str]] = {
    "layout": ["auto", *sorted(LAYOUTS)],
    "model_type": sorted(MODELS),
    "preset": list(AUGMENTATIONS),
    "head": list(HEADS),
    "loss_function": list(LOSSES),
    "metrics": NAMES,
    "activation": ACTIVATIONS,
    "out_activation": OUT_ACTIVATIONS,
}
"""Keys whose names the schema looks up elsewhere."""

KEYS = ("key", "values", "default", "meaning")
Row = tuple[str, str, str, str]


def page() -> str:
    """The whole reference as Markdown."""
    parts = [INTRODUCTION, "## Top level", table(KEYS, rows(Config)), *sections(Config), "## model_params"]
    parts += [*model_params(), "## Losses", losses(), "## Augmentation presets", presets()]
    return "\n\n".join(parts) + "\n"


def sections(owner: type[Section], path: str = "") -> Iterator[str]:
    """A heading, a sentence and a table for each section in ``owner``, and the sections within it."""
    for name, field in owner.model_fields.items():
        section = section_of(field.annotation)
        if section is not None and name != "model_params":
            yield from (f"## {path}{name}", summary(section), table(KEYS, rows(section)))
            yield from sections(section, f"{path}{name}.")


def section_of(annotation: Any) -> type[Section] | None:
    types = (t for t in (annotation, *get_args(annotation)) if isinstance(t, type))
    return next((t for t in types if issubclass(t, Section)), None)


def model_params() -> Iterator[str]:
    """The families, then a table for each class of keys: what it adds to those it builds on, or changes of them."""
    yield table(("model_type", "network"), [(f"`{name}`", summary(MODELS[name])) for name in sorted(MODELS)])
    yield "A family has the keys of every model and those of all tables that name it; a later table's default holds."
    users: dict[type[Section], list[str]] = {}
    for name in sorted(MODELS):
        for keys in MODELS[name].Params.__mro__:
            if issubclass(keys, ModelParams):
                users.setdefault(keys, []).append(name)
    for keys in sorted(users, key=lambda keys: (-len(users[keys]), users[keys])):
        own = [row for row in rows(keys) if row not in {row for base in keys.__bases__ for row in rows(base)}]
        if own:
            names = ", ".join(f"`{name}`" for name in users[keys])
            yield f"### Keys of {'every model' if keys is ModelParams else names}"
            yield table(KEYS, own)


def rows(section: type[Section]) -> Iterator[Row]:
    """Key, values, default and meaning of each key of a section."""
    properties = section.model_json_schema()["properties"]
    for name, field in section.model_fields.items():
        nested, required = section_of(field.annotation), field.is_required()
        several = "sections in a list" if get_origin(field.annotation) is list else "a section"
        inside = f"{several}, see below" if nested else values(properties[name], CHOICES.get(name, ()))
        default = "required" if required else "" if nested else f"`{plain(field.default)}`"
        yield f"`{name}`", inside, default, " ".join((field.description or "").split())


def values(schema: dict[str, Any], choices: Sequence[str] = ()) -> str:
    """A JSON schema in words: what a key may hold."""
    if "const" in schema:
        return f"`{schema['const']}`"
    kind = schema.get("type", "")
    if "anyOf" in schema:
        return " or ".join(values(option, choices) for option in schema["anyOf"])
    if "enum" in schema or (kind == "string" and choices):
        return ", ".join(f"`{choice}`" for choice in schema.get("enum", choices))
    if "prefixItems" in schema:
        return f"[{', '.join(values(item) for item in schema['prefixItems'])}]"
    if kind == "array":
        item, size = values(schema["items"], choices), schema.get("maxItems")
        return f"[{', '.join([item] * size)}]" if size else f"list of {item}"
    if "minimum" in schema and "maximum" in schema:
        return f"{kind} {schema['minimum']:g} to {schema['maximum']:g}"
    words = {"boolean": "`true`, `false`", "null": "`null`", "object": "keys", "string": schema.get("format", "text")}
    signs = {"exclusiveMinimum": ">", "minimum": "≥", "exclusiveMaximum": "<", "maximum": "≤"}
    limits = ", ".join(f"{sign} {schema[bound]:g}" for bound, sign in signs.items() if bound in schema)
    return f"{words.get(kind, kind)} {limits}".strip()


def losses() -> str:
    """Every loss, by all its names, with the parameters that ``loss_params`` may give it."""
    found = []
    for loss in dict.fromkeys(LOSSES.values()):
        names = [name for name in LOSSES if LOSSES[name] is loss]
        weights = "needed" if needs_class_weights(names[0]) else "used" if takes_class_weights(names[0]) else "not used"
        own = loss.__module__.startswith("galaxycnn")
        meaning = summary(loss) if own else f"[Keras: {loss.__name__}](https://keras.io/api/losses/)"
        found.append((", ".join(f"`{name}`" for name in names), ", ".join(loss_params(loss)), weights, meaning))
    return table(("loss_function", "loss_params and their defaults", "class weights", "what it is"), found)


def loss_params(loss: Any) -> Iterator[str]:
    hints = get_type_hints(loss.__init__)
    for name, parameter in inspect.signature(loss).parameters.items():
        if name not in ("class_weights", "tree", "name", "kwargs", "dtype", "reduction"):
            others = [f"`{choice}`" for choice in get_args(hints.get(name)) if choice != parameter.default]
            yield f"`{name}: {plain(parameter.default)}`" + (f" (or {', '.join(others)})" if others else "")


def presets() -> str:
    found = []
    for name, preset in AUGMENTATIONS.items():
        settings = preset.settings.model_dump(exclude_none=True, exclude={"preset"})
        found.append((f"`{name}`", preset.description, ", ".join(f"`{k}: {plain(v)}`" for k, v in settings.items())))
    return table(("preset", "what it is", "keys that it fills in"), found)


def summary(thing: Any) -> str:
    """The first paragraph of a docstring, as Markdown on one line."""
    return " ".join((inspect.getdoc(thing) or "").split("\n\n")[0].split()).replace("``", "`")


def plain(value: Any) -> str:
    """A value as YAML has it."""
    return f"{value:.4g}" if isinstance(value, float) else json.dumps(value, default=str).strip('"')


def table(headings: Sequence[str], lines: Iterable[Sequence[str]]) -> str:
    return "\n".join(f"| {' | '.join(line)} |" for line in (headings, ["---"] * len(headings), *lines))


if __name__ == "__main__":
    with atomic_path(Path(__file__).with_name("configuration.md")) as unfinished:
        unfinished.write_text(page(), encoding="utf-8")
