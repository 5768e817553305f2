"""``galaxycnn ensemble``."""

from __future__ import annotations

import argparse
from pathlib import Path
from typing import Any

from rich.table import Table

from galaxycnn.commands.words import OUT, Commands, command, print_written


def add(commands: Commands) -> None:
    example = "galaxycnn ensemble saved_models/a.keras saved_models/b.keras --name blend --method stacked"
    text = "average finished runs, and measure them on galaxies that none of them knows"
    parser = command(commands, "ensemble", text, _ensemble, example)
    run = "a model file, the YAML file of a finished run, or the .ensemble.yaml of a cross-validation"
    parser.add_argument("runs", metavar="RUN", nargs="+", help=run)
    parser.add_argument("--name", required=True, metavar="NAME", help="names the files that are written")
    method = "the same weight for each, or weights learnt from validation or out-of-fold predictions"
    parser.add_argument("--method", choices=["uniform", "stacked"], default="uniform", help=method)
    folds = "learn the weights from these .oof.csv files, one for each RUN"
    parser.add_argument("--out-of-fold", nargs="+", default=[], metavar="CSV", help=folds)
    images = "folder of images to measure on (default: the test part that all runs share)"
    parser.add_argument("--images", metavar="DIR", help=images)
    parser.add_argument("--labels", metavar="CSV", help="their labels")
    parser.add_argument("--split", metavar="CSV", help="with --images: measure the test part of this split alone")
    parser.add_argument("--views", type=int, metavar="N", help="with --images: views of each galaxy to average")


def _ensemble(arguments: argparse.Namespace) -> None:
    from galaxycnn.blending import build_ensemble
    from galaxycnn.tables import evaluation_table, in_words

    blend = build_ensemble(
        arguments.runs,
        arguments.name,
        arguments.method,
        images=arguments.images,
        labels=arguments.labels,
        views=arguments.views,
        split=arguments.split,
        out_of_fold=arguments.out_of_fold,
    )
    [(part, results)] = blend.results["parts"].items()
    OUT.print(evaluation_table(results, part))
    OUT.print(f"{in_words(results)}\n")
    OUT.print(_member_table(blend.results, results))
    OUT.print()
    print_written(blend.files)


def _member_table(blend: dict[str, Any], results: dict[str, Any]) -> Table:
    table = Table(box=None, padding=(0, 2, 0, 0), pad_edge=False)
    table.add_column("member", overflow="fold")
    for heading in ("weight", "RMSE", "95 % interval"):
        table.add_column(heading, justify="right", no_wrap=True)
    for member in blend["members"]:
        table.add_row(Path(member["run"]).name, f"{member['weight']:.3f}", *_error(member["overall"]))
    table.add_row(f"{blend['model_name']} ({blend['method']})", "", *_error(results["overall"]), style="bold")
    return table


def _error(overall: dict[str, Any]) -> tuple[str, str]:
    low, high = overall["intervals"]["rmse"]
    return f"{overall['rmse']:.4f}", f"{low:.4f} to {high:.4f}"
