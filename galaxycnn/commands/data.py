"""``galaxycnn data``: simulate, check, prepare, convert, download."""

from __future__ import annotations

import argparse
from pathlib import Path

from galaxycnn.commands.words import OUT, Commands, chosen_config, command, config_words

SHOWN = 5
"""How many of the galaxies that a conversion leaves out are named."""


def add(commands: Commands) -> None:
    data = commands.add_parser(
        "data", help="simulate, check, prepare, convert or download galaxies", description="Galaxies."
    )
    verbs = data.add_subparsers(title="commands", metavar="COMMAND", required=True)
    example = "galaxycnn data simulate -n 2000 --seed 48 -o survey"
    text = "draw galaxies with vote fractions, in Kaggle's layout, or with classes and redshifts, in Galaxy10's"
    simulate = command(verbs, "simulate", text, _simulate, example)
    simulate.add_argument("--layout", choices=["kaggle", "galaxy10"], default="kaggle", help="default: kaggle")
    simulate.add_argument("-n", "--galaxies", type=int, default=2000, help="how many (default: 2000)")
    simulate.add_argument("--seed", type=int, default=48, help="the same seed draws the same galaxies (default: 48)")
    simulate.add_argument("-o", "--output", required=True, metavar="PATH", help="folder to make, or file (.h5)")
    simulate.add_argument("--size", type=int, default=64, help="pixels across a cutout (default: 64)")
    simulate.add_argument(
        "--volunteers", type=int, default=40, help="votes per galaxy in Kaggle's layout (default: 40)"
    )
    example = "galaxycnn data check configs/task2_hierarchy.yaml"
    config_words(command(verbs, "check", "say what a configuration's data hold, and what is wrong", _check, example))
    example = "galaxycnn data prepare configs/task2_hierarchy.yaml"
    config_words(command(verbs, "prepare", "decode the images now, so that training starts at once", _prepare, example))
    example = "galaxycnn data convert images --labels labels.csv --size 64 -o galaxies.h5"
    convert = command(verbs, "convert", "write images and labels as one file in Galaxy10's layout", _convert, example)
    convert.add_argument("images", metavar="IMAGES", help="folder of images, or a file in Galaxy10's layout")
    convert.add_argument("--labels", metavar="CSV", help="their labels; none for a folder per class")
    convert.add_argument("-o", "--output", required=True, metavar="FILE", help="file to write (.h5)")
    convert.add_argument("--size", type=int, help="pixels across a stored image (default: as they are)")
    convert.add_argument("--crop", type=int, help="pixels across the centre to cut out before that (default: all)")
    convert.add_argument("--question", help="which question is the class, where the labels answer several")
    example = "galaxycnn data download kaggle -o galaxy-zoo_data"
    download = command(verbs, "download", "fetch a public data set", _download, example)
    download.add_argument("source", choices=["kaggle"], help="Kaggle's Galaxy Zoo challenge")
    download.add_argument("-o", "--output", default="galaxy-zoo_data", metavar="DIR", help="folder to fill")


def _simulate(arguments: argparse.Namespace) -> None:
    path, drawn = Path(arguments.output), (arguments.galaxies, arguments.seed, arguments.size)
    if arguments.layout == "galaxy10":
        from galaxycnn.simulate.galaxy10 import simulate_galaxy10

        simulate_galaxy10(path, *drawn)
    else:
        from galaxycnn.simulate import simulate_survey

        simulate_survey(path, *drawn, arguments.volunteers)
    OUT.print(f"{arguments.galaxies} galaxies in {path}")


def _check(arguments: argparse.Namespace) -> None:
    from galaxycnn.data.checking import check

    OUT.print(str(check(chosen_config(arguments))))


def _prepare(arguments: argparse.Namespace) -> None:
    from galaxycnn.data.dataset import prepare

    data = prepare(chosen_config(arguments))
    OUT.print(str(data))


def _convert(arguments: argparse.Namespace) -> None:
    from galaxycnn.data.converting import convert

    words = {"size": arguments.size, "crop": arguments.crop, "question": arguments.question}
    done = convert(arguments.images, arguments.labels, arguments.output, **words)
    for problem in done.problems[:SHOWN]:
        OUT.print(f"left out as {problem.kind}: {problem.name} ({problem.reason})")
    OUT.print(str(done))


def _download(arguments: argparse.Namespace) -> None:
    from galaxycnn.data.download import download_kaggle

    OUT.print(f"in {download_kaggle(Path(arguments.output))}")
