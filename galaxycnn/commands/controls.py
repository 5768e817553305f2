"""``galaxycnn controls``."""

from __future__ import annotations

import argparse
from pathlib import Path

from galaxycnn.commands.words import OUT, Commands, command, measured_words, print_written


def add(commands: Commands) -> None:
    example = "galaxycnn controls saved_models/z.keras --images images --labels labels.csv -o controls"
    text = "shuffle sky, size, brightness and colour between galaxies to see what a saved model reads"
    parser = command(commands, "controls", text, _controls, example)
    measured_words(parser)
    parser.add_argument("-o", "--out", metavar="FOLDER", help="write controls.json and controls.png there")


def _controls(arguments: argparse.Namespace) -> None:
    from galaxycnn.controls import measure_controls
    from galaxycnn.controls.report import control_tables, in_words
    from galaxycnn.files import write_json
    from galaxycnn.plots.controls import controls_figure

    controlled = measure_controls(
        arguments.model, arguments.images, arguments.labels, views=arguments.views, split=arguments.split
    )
    for table in control_tables(controlled.results, Path(arguments.images).name):
        OUT.print(table)
        OUT.print()
    OUT.print(in_words(controlled.results))
    if arguments.out:
        folder, name = Path(arguments.out), Path(arguments.model).name.split(".")[0]
        written = [
            write_json(folder / "controls.json", controlled.results),
            controls_figure(controlled, folder / "controls.png", name=name),
        ]
        OUT.print()
        print_written(written)
