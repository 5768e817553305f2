"""``galaxycnn evaluate``."""

from __future__ import annotations

import argparse
from pathlib import Path

import galaxycnn
from galaxycnn.commands.words import OUT, Commands, command


def add(commands: Commands) -> None:
    example = "galaxycnn evaluate saved_models/quickstart.keras --images images --labels labels.csv"
    parser = command(commands, "evaluate", "measure a saved model or ensemble on labelled images", _evaluate, example)
    parser.add_argument("model", metavar="MODEL", help="a .keras, .h5 or .ensemble.yaml file")
    parser.add_argument("--images", required=True, metavar="DIR", help="folder of images")
    parser.add_argument("--labels", metavar="CSV", help="their labels (not needed for a folder per class)")
    split = "measure the test part of this split alone (the <name>.split.csv of a run)"
    parser.add_argument("--split", metavar="CSV", help=split)
    views = "views of each galaxy to average, for example 8 or 60 (default: as the model's configuration says)"
    parser.add_argument("--views", type=int, metavar="N", help=views)
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
