"""``galaxycnn predict``."""

from __future__ import annotations

import argparse
from collections.abc import Iterable
from typing import Any

from rich.table import Table

from galaxycnn.commands.words import OUT, Commands, command, default_model_word

SHOWN = 3
"""Most images whose answers are shown question by question."""


def add(commands: Commands) -> None:
    example = "galaxycnn predict cutouts/*.fits galaxies.csv -o predictions.parquet --model saved_models/best.keras"
    parser = command(commands, "predict", "predict galaxy images with a saved model or ensemble", _predict, example)
    images = "images (JPEG, PNG, TIFF, FITS), folders, patterns, HDF5 files, lists (CSV, Parquet, ECSV, VOTable, FITS)"
    parser.add_argument("images", metavar="IMAGES", nargs="+", help=images)
    default_model_word(parser)
    output = "the table: .csv, .parquet, .fits, .vot or .xml (VOTable); without it the answers are shown"
    parser.add_argument("-o", "--output", metavar="FILE", help=output)
    names = "columns as in the Galaxy Challenge (Class1.1) or in words (shape_smooth)"
    parser.add_argument("--names", choices=["kaggle", "readable"], default="kaggle", help=names)
    views = "views of each image to average, whose spread is stated (default: as the model's configuration says)"
    parser.add_argument("--views", type=int, metavar="N", help=views)
    dropout = "passes with Monte Carlo dropout, whose spread is stated"
    parser.add_argument("--dropout", type=int, default=0, metavar="N", help=dropout)
    stretch = (
        "how fluxes become a picture: auto (FITS and floating-point TIFF, from the sky of each image), asinh (pictures"
        " of 16 bits, too), none (numbers are brightness), or black level, stretch and Q for all, such as 0,0.5,8"
    )
    parser.add_argument("--stretch", default="auto", metavar="HOW", help=stretch)
    planes = "planes of FITS images that are red, green and blue, counted from 1, such as 3,2,1"
    parser.add_argument("--planes", metavar="R,G,B", help=planes)
    folder = "what the names in a list are relative to (default: the folder of the list)"
    parser.add_argument("--folder", metavar="DIR", help=folder)
    parser.add_argument("--batch", type=int, default=256, metavar="N", help="images at a time (default: 256)")
    parser.add_argument("--restart", action="store_true", help="forget the rows of an interrupted run")
    parser.set_defaults(goes_on="the same command goes on where a run with -o stopped")


def _predict(arguments: argparse.Namespace) -> None:
    from galaxycnn.predicting.fits_images import planes_of
    from galaxycnn.predicting.running import Options, Run, predict_to_file

    words = arguments
    planes = planes_of(words.planes) if words.planes else None
    options = Options(words.names, words.views, words.dropout, words.stretch, planes, words.batch)
    if words.output:
        done = predict_to_file(
            words.images, words.output, words.model, options, folder=words.folder, restart=words.restart
        )
        OUT.print(str(done))
        return
    run = Run.of(words.images, words.model, options, words.folder)
    few = len(run.images) <= SHOWN
    for rows, _ in run.tables():
        for row in rows.to_dict("records"):
            OUT.print(_in_a_line(row, run.columns.quantities), markup=False)
            if few and not row["reason"] and run.networks.tree.questions:
                OUT.print(_answers(row, run.networks.tree, run.columns.fractions))
                OUT.print()


def _in_a_line(row: dict[Any, Any], quantities: Iterable[str]) -> str:
    said = [row[name] for name in ("reason", "walk") if row.get(name)]
    if not row["reason"]:
        for name in quantities:
            spread = f" ± {row[f'{name}_spread']:.2g}" if f"{name}_spread" in row else ""
            said.append(f"{name} {row[name]:.3g}{spread}")
    return f"{row['file']}: {'; '.join(said)}{' [' + row['flags'].replace(' ', ', ') + ']' if row['flags'] else ''}"


def _answers(row: dict[Any, Any], tree: Any, fractions: tuple[str, ...]) -> Table:
    """The answers to every question that the most likely walk comes to, the most likely first."""
    import numpy as np

    values = np.array([[row[name] for name in fractions]])
    table = Table(box=None, padding=(0, 2, 0, 2), pad_edge=False, show_header=False)
    table.add_column(no_wrap=True)
    table.add_column(overflow="fold")
    for question, reached in zip(tree.questions, tree.reached(values)[0], strict=True):
        if reached:
            share = values[0, tree.slice(question)]
            said = (f"{question.answers[i].name} {share[i]:.2f}" for i in np.argsort(-share, kind="stable"))
            table.add_row(question.key, ", ".join(said))
    return table
