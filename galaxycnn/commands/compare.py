"""``galaxycnn compare``."""

from __future__ import annotations

import argparse
from pathlib import Path

from galaxycnn.commands.words import OUT, Commands, command, print_written


def add(commands: Commands) -> None:
    example = "galaxycnn compare metrics_plots/cnn_v1 cnn_v2 metrics_plots/cnn_v2/baselines.json -o compared.md"
    parser = command(commands, "compare", "show finished runs and baselines side by side", _compare, example)
    runs = "a run's folder, its metrics.json or baselines.json, or the name of a run in metrics_plots/"
    parser.add_argument("runs", nargs="+", metavar="RUN", help=runs)
    parser.add_argument("--part", default="test", help="what they were measured on (default: test)")
    parser.add_argument("-o", "--out", metavar="FILE.md", help="write Markdown with 95 %% intervals, and a picture")


def _compare(arguments: argparse.Namespace) -> None:
    from galaxycnn.comparing import read_models, warnings
    from galaxycnn.side_by_side import details, side_by_side, write_page

    models = read_models(arguments.runs, arguments.part)
    for model in models:
        for table in details(model, arguments.part):
            OUT.print(table)
            OUT.print()
    for table in side_by_side(models):
        OUT.print(table)
    for warning in warnings(models, arguments.part):
        OUT.print(f"\ncareful: {warning}")
    if arguments.out:
        OUT.print()
        print_written(write_page(models, Path(arguments.out), arguments.part))
