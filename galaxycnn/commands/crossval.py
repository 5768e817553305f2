"""``galaxycnn crossval``."""

from __future__ import annotations

import argparse
from typing import Any

from rich.table import Table

from galaxycnn.commands.words import OUT, Commands, chosen_config, command, config_words, print_written


def add(commands: Commands) -> None:
    example = "galaxycnn crossval configs/task2_hierarchy.yaml --folds 5"
    text = "train k networks, each leaving out a k-th of the galaxies, and measure them on what they left out"
    parser = command(commands, "crossval", text, _crossval, example)
    config_words(parser)
    parser.add_argument("--folds", type=int, default=5, metavar="K", help="how many (default: 5)")
    without = "leave out the configuration's test part, so that an ensemble of the folds can be measured on it"
    parser.add_argument("--without-test", action="store_true", help=without)
    parser.set_defaults(goes_on="the same command goes on with the cross-validation")


def _crossval(arguments: argparse.Namespace) -> None:
    from galaxycnn.crossval import cross_validate
    from galaxycnn.reports import part_in_words, part_tables

    config = chosen_config(arguments)
    done = cross_validate(config, arguments.folds, without_test=arguments.without_test)
    for table in part_tables(done.results, "out-of-fold"):
        OUT.print(table)
    OUT.print(f"{part_in_words(done.results)}\n")
    OUT.print(_fold_table(done.results))
    OUT.print()
    print_written(done.files)


def _fold_table(results: dict[str, Any]) -> Table:
    table = Table(box=None, padding=(0, 2, 0, 0), pad_edge=False)
    for heading in ("fold", "galaxies", "RMSE"):
        table.add_column(heading, justify="right")
    for fold in results["folds"]["each"]:
        table.add_row(str(fold["fold"]), f"{fold['n']:,}", f"{fold['rmse']:.4f}")
    figures = results["overall"] if "overall" in results else next(iter(results["quantities"].values()))
    low, high = figures["intervals"]["rmse"]
    spread = results["folds"]["rmse_spread"]
    galaxies = sum(fold["n"] for fold in results["folds"]["each"])
    table.add_row("all", f"{galaxies:,}", f"{figures['rmse']:.4f}", style="bold")
    table.caption = f"95 % interval of all {low:.4f} to {high:.4f}; standard deviation between the folds {spread:.4f}"
    table.caption_justify = "left"
    return table
