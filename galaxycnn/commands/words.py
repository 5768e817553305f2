"""What the commands share: how one is described, where a configuration comes from, where text goes."""

from __future__ import annotations

import argparse
import os
import sys
from collections.abc import Callable, Iterable
from pathlib import Path

from rich.console import Console

import galaxycnn
from galaxycnn.errors import UserError

Commands = argparse._SubParsersAction
OUT = Console(highlight=False, soft_wrap=True)


def command(
    commands: Commands, name: str, text: str, run: Callable[[argparse.Namespace], None], example: str
) -> argparse.ArgumentParser:
    """A new command that calls ``run`` with its words; ``text`` says what it does, ``example`` how it is called."""
    parser: argparse.ArgumentParser = commands.add_parser(
        name,
        help=text,
        description=f"{text[0].upper()}{text[1:]}.",
        epilog=f"example:\n  {example}",
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.set_defaults(run=run)
    return parser


def config_words(parser: argparse.ArgumentParser) -> None:
    """The words that say which configuration is meant, and what is changed in it."""
    parser.add_argument("config", nargs="?", metavar="CONFIG", help="the YAML file")
    parser.add_argument("--config", dest="config_option", metavar="FILE", help="the same, as an option")
    parser.add_argument(
        "--set", action="append", default=[], metavar="SECTION.KEY=VALUE", help="change a key (may be repeated)"
    )
    parser.add_argument("--seed", type=int, help="replace the configuration's seed (default: 48)")


def default_model_word(parser: argparse.ArgumentParser) -> None:
    """The word that says which saved model answers, where one need not be named."""
    model = "a .keras, .h5 or .ensemble.yaml file, or galaxy_zoo_best (default: galaxy_zoo; both come with galaxycnn)"
    parser.add_argument("--model", metavar="MODEL", help=model)


def measured_words(parser: argparse.ArgumentParser) -> None:
    """The words that say which saved model is measured, and on which labelled galaxies."""
    parser.add_argument("model", metavar="MODEL", help="a .keras, .h5 or .ensemble.yaml file")
    parser.add_argument("--images", required=True, metavar="DIR", help="folder of images")
    parser.add_argument("--labels", metavar="CSV", help="their labels (not needed for a folder per class)")
    split = "measure the test part of this split alone (the <name>.split.csv of a run)"
    parser.add_argument("--split", metavar="CSV", help=split)
    views = "views of each galaxy to average, for example 8 or 60 (default: as the model's configuration says)"
    parser.add_argument("--views", type=int, metavar="N", help=views)


def chosen_config(arguments: argparse.Namespace) -> galaxycnn.Config:
    """The configuration that :func:`config_words` were given for."""
    file = arguments.config or arguments.config_option
    if file is None:
        raise UserError(f"a configuration is needed, for example {_some_configs()}")
    return galaxycnn.load_config(file, arguments.set, arguments.seed)


def print_written(files: Iterable[Path]) -> None:
    """The files that a command has written, one in a line."""
    OUT.print("written:")
    for path in files:
        OUT.print(f"  {path}")


def config_files() -> list[Path]:
    """The recipes: those of the checkout, or those installed with the package."""
    checkout = Path(galaxycnn.__file__).parents[1] / "configs"
    folder = checkout if checkout.is_dir() else Path(sys.prefix) / "share" / "galaxycnn" / "configs"
    return [Path(os.path.relpath(path)) for path in sorted(folder.glob("*.yaml"))]


def _some_configs() -> str:
    return " or ".join(str(path) for path in config_files()[:3]) or "configs/quickstart.yaml"
