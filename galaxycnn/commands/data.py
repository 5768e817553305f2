"""``galaxycnn data``: simulate, check, prepare, download."""

from __future__ import annotations

import argparse
from pathlib import Path

from galaxycnn.commands.words import OUT, Commands, chosen_config, command, config_words


def add(commands: Commands) -> None:
    data = commands.add_parser("data", help="simulate, check, prepare or download galaxies", description="Galaxies.")
    verbs = data.add_subparsers(title="commands", metavar="COMMAND", required=True)
    example = "galaxycnn data simulate -n 2000 --seed 48 -o survey"
    simulate = command(verbs, "simulate", "draw galaxies with vote fractions, in Kaggle's layout", _simulate, example)
    simulate.add_argument("-n", "--galaxies", type=int, default=2000, help="how many (default: 2000)")
    simulate.add_argument("--seed", type=int, default=48, help="the same seed draws the same galaxies (default: 48)")
    simulate.add_argument("-o", "--output", required=True, metavar="DIR", help="folder to make")
    simulate.add_argument("--size", type=int, default=64, help="pixels across a cutout (default: 64)")
    simulate.add_argument("--volunteers", type=int, default=40, help="votes per galaxy (default: 40)")
    example = "galaxycnn data check configs/task2_hierarchy.yaml"
    config_words(command(verbs, "check", "say what a configuration's data hold, and what is wrong", _check, example))
    example = "galaxycnn data prepare configs/task2_hierarchy.yaml"
    config_words(command(verbs, "prepare", "decode the images now, so that training starts at once", _prepare, example))
    example = "galaxycnn data download kaggle -o galaxy-zoo_data"
    download = command(verbs, "download", "fetch a public data set", _download, example)
    download.add_argument("source", choices=["kaggle"], help="Kaggle's Galaxy Zoo challenge")
    download.add_argument("-o", "--output", default="galaxy-zoo_data", metavar="DIR", help="folder to fill")


def _simulate(arguments: argparse.Namespace) -> None:
    from galaxycnn.simulate import simulate_survey

    folder = simulate_survey(
        Path(arguments.output), arguments.galaxies, arguments.seed, arguments.size, arguments.volunteers
    )
    OUT.print(f"{arguments.galaxies} galaxies in {folder}")


def _check(arguments: argparse.Namespace) -> None:
    from galaxycnn.data.checking import check

    OUT.print(str(check(chosen_config(arguments))))


def _prepare(arguments: argparse.Namespace) -> None:
    from galaxycnn.data.dataset import prepare

    data = prepare(chosen_config(arguments))
    OUT.print(str(data))


def _download(arguments: argparse.Namespace) -> None:
    from galaxycnn.data.download import download_kaggle

    OUT.print(f"in {download_kaggle(Path(arguments.output))}")
