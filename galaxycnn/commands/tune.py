"""``galaxycnn tune``."""

from __future__ import annotations

import argparse
import shlex

from galaxycnn.commands.words import OUT, Commands, chosen_config, command, config_words, print_written


def add(commands: Commands) -> None:
    example = (
        "galaxycnn tune configs/quickstart.yaml --trials 30 --search 'train_params.learning_rate=1e-4..1e-2 log'"
        " \\\n      --search 'model_params.dropout_rate=0..0.6' --search 'model_params.dense_units=[[64], [128, 64]]'"
    )
    parser = command(commands, "tune", "search for the values with the best validation RMSE", _tune, example)
    config_words(parser)
    parser.add_argument(
        "--search",
        action="append",
        default=[],
        metavar="SECTION.KEY=RANGE",
        help="what to vary: LOW..HIGH, LOW..HIGH log, LOW..HIGH step S, or [CHOICE, CHOICE]; or a YAML file with such"
        " ranges at its keys (may be repeated; default: learning rate, dropout, augmentation and weight decay, those"
        " that the configuration has)",
    )
    parser.add_argument("--trials", type=_positive, default=50, help="trials in all, with earlier ones (default: 50)")
    parser.add_argument("--study", metavar="FILE.db", help="its database (default: NAME.study.db among the logs)")
    parser.add_argument("--jobs", type=_positive, default=1, help="trials at the same time (default: 1)")
    parser.add_argument("--timeout", type=float, metavar="MIN", help="begin no trial after so many minutes")
    parser.add_argument("-o", "--output", metavar="FILE.yaml", help="the best configuration (default: NAME.best.yaml)")
    parser.set_defaults(goes_on="the same command goes on with the search")


def _positive(word: str) -> int:
    number = int(word)
    if number < 1:
        raise argparse.ArgumentTypeError(f"expected 1 or more, found {number}")
    return number


def _tune(arguments: argparse.Namespace) -> None:
    chosen_config(arguments)
    from galaxycnn.tuning import tune
    from galaxycnn.tuning.summary import best_table, in_words

    tuning = tune(
        arguments.config or arguments.config_option,
        arguments.set,
        arguments.seed,
        searches=arguments.search,
        trials=arguments.trials,
        database=arguments.study,
        jobs=arguments.jobs,
        minutes=arguments.timeout,
        output=arguments.output,
        command=shlex.join(["galaxycnn", *arguments.words]),
    )
    OUT.print(best_table(tuning.study, tuning.search.space))
    OUT.print(f"\n{in_words(tuning.study)}")
    print_written(tuning.files)
