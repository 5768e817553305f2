"""``galaxycnn baseline``."""

from __future__ import annotations

import argparse

from galaxycnn.commands.words import OUT, Commands, chosen_config, command, config_words


def add(commands: Commands) -> None:
    example = "galaxycnn baseline configs/task2_hierarchy.yaml --name ridge"
    text = "measure what a configuration's network has to beat, on the same galaxies"
    parser = command(commands, "baseline", text, _baseline, example)
    config_words(parser)
    parser.add_argument("--name", default="all", help="a baseline, for example ridge (default: all that apply)")


def _baseline(arguments: argparse.Namespace) -> None:
    from galaxycnn.artefacts import RunFiles
    from galaxycnn.baselines import baselines_tables, measure
    from galaxycnn.files import write_json

    config = chosen_config(arguments)
    results = measure(config, None if arguments.name == "all" else [arguments.name])
    file = write_json(RunFiles(config).baselines, results)
    for table in baselines_tables(results):
        OUT.print(table)
    OUT.print(f"written: {file}")
