"""``galaxycnn submit``."""

from __future__ import annotations

import argparse

from galaxycnn.commands.words import OUT, Commands, command


def add(commands: Commands) -> None:
    example = "galaxycnn submit saved_models/best.keras images_test_rev1 -o submission.csv --views 60"
    text = "predict a folder of images and write Kaggle's file of the Galaxy Challenge"
    parser = command(commands, "submit", text, _submit, example)
    parser.add_argument(
        "model", metavar="MODEL", help="a .keras, .h5 or .ensemble.yaml file that answers all 37 columns"
    )
    parser.add_argument("images", metavar="IMAGES", help="folder of images named <GalaxyID>.jpg")
    parser.add_argument("-o", "--output", default="submission.csv", metavar="CSV", help="default: submission.csv")
    views = "views of each galaxy to average, 60 as the winner (default: as the model's configuration says)"
    parser.add_argument("--views", type=int, metavar="N", help=views)
    sample = "the challenge's all_zeros_benchmark.csv, whose galaxies and order the file then has"
    parser.add_argument("--sample", metavar="CSV", help=sample)


def _submit(arguments: argparse.Namespace) -> None:
    from galaxycnn.submission import submit

    words = arguments
    OUT.print(str(submit(words.model, words.images, words.output, views=words.views, sample=words.sample)))
