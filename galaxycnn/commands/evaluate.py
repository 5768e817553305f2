"""``galaxycnn evaluate``."""

from __future__ import annotations

import argparse
from pathlib import Path

import galaxycnn
from galaxycnn.commands.words import OUT, Commands, command, measured_words


def add(commands: Commands) -> None:
    example = "galaxycnn evaluate saved_models/quickstart.keras --images images --labels labels.csv"
    parser = command(commands, "evaluate", "measure a saved model or ensemble on labelled images", _evaluate, example)
    measured_words(parser)
    parser.add_argument("--answers", action="store_true", help="show the error of every answer, too")
    parser.add_argument("--json", metavar="FILE", help="write all measures to this file")
    parser.add_argument("--config", metavar="FILE", help="the network's YAML file, for an .h5 of Keras 2")


def _evaluate(arguments: argparse.Namespace) -> None:
    from galaxycnn.files import write_json
    from galaxycnn.reports import part_in_words, part_tables
    from galaxycnn.tables import answer_table

    results = galaxycnn.evaluate(
        arguments.model,
        arguments.images,
        arguments.labels,
        config=arguments.config,
        views=arguments.views,
        split=arguments.split,
    )
    if arguments.json:
        write_json(arguments.json, results)
    for table in part_tables(results, Path(arguments.images).name):
        OUT.print(table)
    OUT.print(part_in_words(results))
    if results["views"] > 1 and "single_view_rmse" in results:
        OUT.print(f"{results['views']} views of each galaxy; one alone has RMSE {results['single_view_rmse']:.4f}")
    if arguments.answers and "outputs" in results:
        OUT.print(answer_table(results))
