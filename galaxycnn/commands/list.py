"""``galaxycnn list``: the names that a YAML file can give."""

from __future__ import annotations

import argparse
from collections.abc import Callable
from functools import partial
from operator import attrgetter
from pathlib import Path
from typing import Any

from galaxycnn.commands.words import OUT, Commands, command, config_files
from galaxycnn.registry import (
    AUGMENTATIONS,
    BASELINES,
    CONTROLS,
    EXPLANATIONS,
    HEADS,
    LOSSES,
    MODELS,
    QUANTITY_HEADS,
    SURVEYS,
    Registry,
    first_line,
)

Lines = list[tuple[str, str]]
"""Names, each with what it is."""


def add(commands: Commands) -> None:
    listing = command(commands, "list", "show what a YAML file can name", _list, "galaxycnn list losses")
    listing.add_argument("what", choices=_LISTS, help="which names")


def _list(arguments: argparse.Namespace) -> None:
    for name, text in _LISTS[arguments.what]():
        OUT.print(f"  {name:<26} {text}")


def _entries(registry: Registry[Any], text: Callable[[Any], str]) -> Lines:
    return [(name, text(entry)) for name, entry in registry.items()]


def _configs() -> Lines:
    return [(str(path), _header(path)) for path in config_files()]


def _header(path: Path) -> str:
    return path.read_text(encoding="utf-8").splitlines()[0].lstrip("# ")


_LISTS: dict[str, Callable[[], Lines]] = {
    "models": partial(_entries, MODELS, first_line),
    "heads": partial(_entries, HEADS, first_line),
    "quantity_heads": partial(_entries, QUANTITY_HEADS, first_line),
    "losses": partial(_entries, LOSSES, first_line),
    "augmentations": partial(_entries, AUGMENTATIONS, attrgetter("description")),
    "baselines": partial(_entries, BASELINES, attrgetter("text")),
    "explanations": partial(_entries, EXPLANATIONS, first_line),
    "controls": partial(_entries, CONTROLS, first_line),
    "surveys": partial(_entries, SURVEYS, first_line),
    "configs": _configs,
}
