"""``galaxycnn list``: the names that a YAML file can give."""

from __future__ import annotations

import argparse
from pathlib import Path

from galaxycnn.commands.words import OUT, Commands, command, config_files


def add(commands: Commands) -> None:
    listing = command(commands, "list", "show what a YAML file can name", _list, "galaxycnn list losses")
    listing.add_argument("what", choices=_LISTS, help="which names")


def _list(arguments: argparse.Namespace) -> None:
    for name, text in _LISTS[arguments.what]():
        OUT.print(f"  {name:<26} {text}")


def _models() -> list[tuple[str, str]]:
    from galaxycnn.registry import MODELS

    return [(name, _first_line(family)) for name, family in MODELS.items()]


def _losses() -> list[tuple[str, str]]:
    from galaxycnn.registry import LOSSES

    return [(name, _first_line(loss)) for name, loss in LOSSES.items()]


def _augmentations() -> list[tuple[str, str]]:
    from galaxycnn.registry import AUGMENTATIONS

    return [(name, entry.description) for name, entry in AUGMENTATIONS.items()]


def _configs() -> list[tuple[str, str]]:
    return [(str(path), _header(path)) for path in config_files()]


def _heads() -> list[tuple[str, str]]:
    from galaxycnn.registry import HEADS

    return [(name, _first_line(head)) for name, head in HEADS.items()]


def _baselines() -> list[tuple[str, str]]:
    from galaxycnn.registry import BASELINES

    return [(name, entry.text) for name, entry in BASELINES.items()]


_LISTS = {
    "models": _models,
    "heads": _heads,
    "losses": _losses,
    "augmentations": _augmentations,
    "baselines": _baselines,
    "configs": _configs,
}


def _first_line(entry: object) -> str:
    return (entry.__doc__ or "").strip().splitlines()[0]


def _header(path: Path) -> str:
    return path.read_text(encoding="utf-8").splitlines()[0].lstrip("# ")
