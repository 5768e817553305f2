"""``galaxycnn explain``."""

from __future__ import annotations

import argparse
from typing import TYPE_CHECKING

from galaxycnn.commands.words import OUT, Commands, command

if TYPE_CHECKING:
    from rich.table import Table

    from galaxycnn.explain.files import Explained

SHOWN = 5
"""How many of the images that are left out are named."""


def add(commands: Commands) -> None:
    example = "galaxycnn explain saved_models/best.keras galaxy.jpg more_galaxies/ --question bar -o explained"
    text = "show which parts of galaxies a model's answers come from"
    parser = command(commands, "explain", text, _explain, example)
    model = "a .keras or .h5 file, or galaxy_zoo, which comes with galaxycnn"
    parser.add_argument("model", metavar="MODEL", help=model)
    parser.add_argument("images", metavar="IMAGES", nargs="+", help="what predict takes: images, folders, lists, …")
    parser.add_argument("-o", "--output", default="explained", metavar="FOLDER", help="default: explained")
    question = "a question such as bar or Class3, or a quantity (may be repeated; default: all)"
    parser.add_argument("--question", action="append", default=[], metavar="NAME", help=question)
    methods = "one of 'galaxycnn list explanations' (default: gradcam)"
    parser.add_argument("--method", default="gradcam", metavar="METHOD", help=methods)
    layer = "the layer that Grad-CAM looks at (default: the last with a feature map)"
    parser.add_argument("--layer", metavar="NAME", help=layer)
    figures = "figures of so many galaxies; the table and the mean are of all (default: 25)"
    parser.add_argument("--figures", type=int, default=25, metavar="N", help=figures)


def _explain(arguments: argparse.Namespace) -> None:
    from galaxycnn.explain.files import MEAN, TABLE, explain_files

    words = arguments
    questions = None if "all" in words.question else words.question
    done = explain_files(
        words.model,
        words.images,
        words.output,
        questions=questions,
        method=words.method,
        layer=words.layer,
        figures=words.figures,
    )
    for name, reason in list(done.problems.items())[:SHOWN]:
        OUT.print(f"left out: {name} ({reason})")
    if len(done.problems) > SHOWN:
        OUT.print(f"left out: {len(done.problems) - SHOWN} more")
    OUT.print(_table(done))
    mean = f", {MEAN}" if (done.folder / MEAN).is_file() else ""
    OUT.print(f"in {done.folder}: {len(done.figures)} figures{mean}, {TABLE}")


def _table(done: Explained) -> Table:
    from galaxycnn.tables import plain_table

    table = plain_table("where the attention falls, mean over the galaxies that come to a question")
    table.add_column("question")
    for heading in ("galaxies", "on the\ngalaxy", "on other\nsources", "on the\nsky", "the galaxy\ncovers"):
        table.add_column(heading, justify="right")
    for name, row in done.by_question().iterrows():
        shares = (f"{row[share]:.0%}" for share in ("galaxy", "other_sources", "sky", "area"))
        table.add_row(str(name), f"{int(row['galaxies']):,}", *shares)
    return table
