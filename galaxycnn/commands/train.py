"""``galaxycnn train``."""

from __future__ import annotations

import argparse

import galaxycnn
from galaxycnn.commands.words import OUT, Commands, chosen_config, command, config_words, print_written


def add(commands: Commands) -> None:
    example = "galaxycnn train configs/task2_hierarchy.yaml --set train_params.epochs=5 --seed 49"
    parser = command(commands, "train", "train, evaluate and save what a YAML file describes", _train, example)
    config_words(parser)
    yes_or_no = argparse.BooleanOptionalAction
    parser.add_argument("--save_model", action=yes_or_no, default=True, help="write the network and its diagram")
    parser.add_argument("--save_history", action=yes_or_no, default=True, help="write the history")
    parser.add_argument("--save_plots", action=yes_or_no, default=True, help="draw the pictures")
    parser.add_argument("--resume", action="store_true", help="go on with an interrupted training of this name")


def _train(arguments: argparse.Namespace) -> None:
    from galaxycnn.reports import part_in_words, part_tables

    config = chosen_config(arguments)
    run = galaxycnn.train(
        config,
        resume=arguments.resume,
        save_model=arguments.save_model,
        save_history=arguments.save_history,
        save_plots=arguments.save_plots,
    )
    OUT.print(f"\n{run.data}\n")
    for part, results in run.results["parts"].items():
        for table in part_tables(results, part):
            OUT.print(table)
        OUT.print(f"{part_in_words(results)}\n")
    print_written(run.files)
