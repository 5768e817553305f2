"""``galaxycnn cutouts``."""

from __future__ import annotations

import argparse

from galaxycnn.commands.words import OUT, Commands, command


def add(commands: Commands) -> None:
    example = "galaxycnn cutouts galaxies.csv -o cutouts --survey sdss --size 424 --scale '0.02*petroR90_r'"
    text = "fetch cutouts by position, and list them for predictions"
    parser = command(commands, "cutouts", text, _cutouts, example)
    table = "a table with right ascension and declination: CSV, Parquet, ECSV, VOTable or FITS"
    parser.add_argument("table", metavar="TABLE", help=table)
    output = "folder to fill; cutouts.csv in it is what 'galaxycnn predict' takes; what is there is kept"
    parser.add_argument("-o", "--output", required=True, metavar="DIR", help=output)
    survey = "legacy (Legacy Surveys, the default), sdss, or hips (any survey at the CDS)"
    parser.add_argument("--survey", default="legacy", metavar="NAME", help=survey)
    layer = "which of its images, such as ls-dr9, dr17 or CDS/P/DSS2/color"
    parser.add_argument("--layer", metavar="NAME", help=layer)
    parser.add_argument("--size", type=int, default=256, metavar="N", help="pixels across (default: 256)")
    scale = "arcseconds to a pixel, or the column that says so, maybe with a factor (default: the survey's own)"
    parser.add_argument("--scale", metavar="X", help=scale)
    parser.add_argument("--form", metavar="ENDING", help="jpg (default), png or fits, where the survey has them")
    parser.add_argument("--bands", metavar="BANDS", help="of FITS files of the Legacy Surveys, such as grz")
    parser.add_argument("--rate", type=float, default=4.0, metavar="N", help="most requests a second (default: 4)")
    parser.add_argument("--url", metavar="URL", help="another server with the same service, such as a mirror")
    parser.set_defaults(goes_on="the same command goes on where it stopped")


def _cutouts(arguments: argparse.Namespace) -> None:
    from galaxycnn.sky import fetch_cutouts
    from galaxycnn.sky.client import Client

    words = arguments
    choices = {name: value for name in ("layer", "form", "bands", "url") if (value := getattr(words, name))}
    done = fetch_cutouts(
        words.table,
        words.output,
        words.survey,
        size=words.size,
        scale=words.scale,
        client=Client(rate=words.rate),
        **choices,
    )
    OUT.print(str(done))
