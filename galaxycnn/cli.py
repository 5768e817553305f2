"""The command line: parses words, calls the library, prints what it returns."""

from __future__ import annotations

import argparse
import json
import os
import sys
import tempfile
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import NoReturn

from rich.console import Console

import galaxycnn
from galaxycnn.errors import UserError, nearest

OUT = Console(highlight=False, soft_wrap=True)

_EXAMPLES = """examples:
  galaxycnn train configs/quickstart.yaml
  galaxycnn train configs/task2_hierarchy.yaml --set paths.images_path=images --set train_params.epochs=5
  galaxycnn evaluate saved_models/quickstart.keras --images images --labels labels.csv --json scores.json
  galaxycnn data simulate -n 2000 --seed 48 -o survey
  galaxycnn list models

'galaxycnn COMMAND --help' explains a command and shows more examples."""


class _Parser(argparse.ArgumentParser):
    """Wrong words get one sentence with the nearest right one, and exit code 2."""

    def error(self, message: str) -> NoReturn:
        word, choices = _invalid_choice(message)
        if choices:
            message = f"there is no {word!r} here{nearest(word, choices)}"
        self.exit(2, f"{self.prog}: {message} ('{self.prog} --help' explains)\n")


def _invalid_choice(message: str) -> tuple[str, list[str]]:
    _, found, rest = message.partition("invalid choice: ")
    word, _, choices = rest.partition(" (choose from ")
    return word.strip("'"), [c.strip("' ") for c in choices.rstrip(")").split(",")] if found else []


def main(argv: Sequence[str] | None = None) -> int:
    """Run one command; returns the exit code (0, 2 for a mistake in the user's input, 130 for Ctrl-C)."""
    words = list(sys.argv[1:] if argv is None else argv)
    if words and words[0].split("=")[0] == "--config":
        words.insert(0, "train")
    arguments = _parser().parse_args(words)
    try:
        with _quiet_start():
            import keras

            keras.ops.zeros(1)
        arguments.run(arguments)
    except UserError as error:
        print(f"galaxycnn: {error}", file=sys.stderr)
        return 2
    except KeyboardInterrupt:
        print("galaxycnn: interrupted; 'galaxycnn train CONFIG --resume' goes on with a training", file=sys.stderr)
        return 130
    except BrokenPipeError:
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
    return 0


@contextmanager
def _quiet_start() -> Iterator[None]:
    """Keep the remarks that TensorFlow makes about the machine when it is first used off the screen."""
    os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "2")
    screen = os.dup(2)
    with tempfile.TemporaryFile() as remarks:
        os.dup2(remarks.fileno(), 2)
        try:
            yield
        except BaseException:
            remarks.seek(0)
            os.write(screen, remarks.read())
            raise
        finally:
            os.dup2(screen, 2)
            os.close(screen)


# -- what can be said ----------------------------------------------------------------------------


def _parser() -> argparse.ArgumentParser:
    parser = _Parser(
        prog="galaxycnn",
        description="From a YAML file to a trained, measured network for galaxy images.",
        epilog=_EXAMPLES,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument("--version", action="version", version=f"galaxycnn {galaxycnn.__version__}")
    commands = parser.add_subparsers(title="commands", metavar="COMMAND", required=True)
    _train_words(commands)
    _evaluate_words(commands)
    _data_words(commands)
    listing = _command(commands, "list", "show what a YAML file can name", _list, "galaxycnn list losses")
    listing.add_argument("what", choices=_LISTS, help="which names")
    return parser


def _command(commands: argparse._SubParsersAction, name: str, text: str, run: Callable, example: str) -> _Parser:
    parser: _Parser = commands.add_parser(
        name,
        help=text,
        description=f"{text[0].upper()}{text[1:]}.",
        epilog=f"example:\n  {example}",
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.set_defaults(run=run)
    return parser


def _config_words(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("config", nargs="?", metavar="CONFIG", help="the YAML file")
    parser.add_argument("--config", dest="config_option", metavar="FILE", help="the same, as an option")
    parser.add_argument(
        "--set", action="append", default=[], metavar="SECTION.KEY=VALUE", help="change a key (may be repeated)"
    )
    parser.add_argument("--seed", type=int, help="replace the configuration's seed (default: 48)")


def _train_words(commands: argparse._SubParsersAction) -> None:
    example = "galaxycnn train configs/task2_hierarchy.yaml --set train_params.epochs=5 --seed 49"
    parser = _command(commands, "train", "train, evaluate and save what a YAML file describes", _train, example)
    _config_words(parser)
    yes_or_no = argparse.BooleanOptionalAction
    parser.add_argument("--save_model", action=yes_or_no, default=True, help="write the network and its diagram")
    parser.add_argument("--save_history", action=yes_or_no, default=True, help="write the history")
    parser.add_argument("--resume", action="store_true", help="go on with an interrupted training of this name")


def _evaluate_words(commands: argparse._SubParsersAction) -> None:
    example = "galaxycnn evaluate saved_models/quickstart.keras --images images --labels labels.csv"
    parser = _command(commands, "evaluate", "measure a saved model on labelled images", _evaluate, example)
    parser.add_argument("model", metavar="MODEL", help="a .keras or .h5 file")
    parser.add_argument("--images", required=True, metavar="DIR", help="folder of images")
    parser.add_argument("--labels", metavar="CSV", help="their labels (not needed for a folder per class)")
    parser.add_argument("--json", metavar="FILE", help="write all measures to this file")
    parser.add_argument("--config", metavar="FILE", help="the network's YAML file, for an .h5 of Keras 2")


def _data_words(commands: argparse._SubParsersAction) -> None:
    data = commands.add_parser("data", help="simulate, check, prepare or download galaxies", description="Galaxies.")
    verbs = data.add_subparsers(title="commands", metavar="COMMAND", required=True)
    example = "galaxycnn data simulate -n 2000 --seed 48 -o survey"
    simulate = _command(verbs, "simulate", "draw galaxies with vote fractions, in Kaggle's layout", _simulate, example)
    simulate.add_argument("-n", "--galaxies", type=int, default=2000, help="how many (default: 2000)")
    simulate.add_argument("--seed", type=int, default=48, help="the same seed draws the same galaxies (default: 48)")
    simulate.add_argument("-o", "--output", required=True, metavar="DIR", help="folder to make")
    simulate.add_argument("--size", type=int, default=64, help="pixels across a cutout (default: 64)")
    simulate.add_argument("--volunteers", type=int, default=40, help="votes per galaxy (default: 40)")
    example = "galaxycnn data check configs/task2_hierarchy.yaml"
    _config_words(_command(verbs, "check", "say what a configuration's data hold, and what is wrong", _check, example))
    example = "galaxycnn data prepare configs/task2_hierarchy.yaml"
    _config_words(
        _command(verbs, "prepare", "decode the images now, so that training starts at once", _prepare, example)
    )
    example = "galaxycnn data download kaggle -o galaxy-zoo_data"
    download = _command(verbs, "download", "fetch a public data set", _download, example)
    download.add_argument("source", choices=["kaggle"], help="Kaggle's Galaxy Zoo challenge")
    download.add_argument("-o", "--output", default="galaxy-zoo_data", metavar="DIR", help="folder to fill")


# -- what is done --------------------------------------------------------------------------------


def _config(arguments: argparse.Namespace) -> galaxycnn.Config:
    file = arguments.config or arguments.config_option
    if file is None:
        raise UserError(f"a configuration is needed, for example {_shown_configs()}")
    return galaxycnn.load_config(file, arguments.set, arguments.seed)


def _train(arguments: argparse.Namespace) -> None:
    from galaxycnn.tables import evaluation_table, in_words

    config = _config(arguments)
    run = galaxycnn.train(
        config, resume=arguments.resume, save_model=arguments.save_model, save_history=arguments.save_history
    )
    OUT.print(f"\n{run.data}\n")
    for part, results in run.results["parts"].items():
        OUT.print(evaluation_table(results, part))
        OUT.print(f"{in_words(results)}\n")
    OUT.print("written:")
    for path in run.files:
        OUT.print(f"  {path}")


def _evaluate(arguments: argparse.Namespace) -> None:
    from galaxycnn.files import atomic_path
    from galaxycnn.tables import evaluation_table, in_words

    results = galaxycnn.evaluate(arguments.model, arguments.images, arguments.labels, config=arguments.config)
    if arguments.json:
        with atomic_path(arguments.json) as temporary:
            temporary.write_text(json.dumps(results, indent=1))
    OUT.print(evaluation_table(results, Path(arguments.images).name))
    OUT.print(in_words(results))


def _simulate(arguments: argparse.Namespace) -> None:
    from galaxycnn.simulate import simulate_survey

    folder = simulate_survey(
        Path(arguments.output), arguments.galaxies, arguments.seed, arguments.size, arguments.volunteers
    )
    OUT.print(f"{arguments.galaxies} galaxies in {folder}")


def _check(arguments: argparse.Namespace) -> None:
    from galaxycnn.data.checking import check

    OUT.print(str(check(_config(arguments))))


def _prepare(arguments: argparse.Namespace) -> None:
    from galaxycnn.data.dataset import prepare

    data = prepare(_config(arguments))
    OUT.print(str(data))


def _download(arguments: argparse.Namespace) -> None:
    from galaxycnn.data.download import download_kaggle

    OUT.print(f"in {download_kaggle(Path(arguments.output))}")


# -- lists ---------------------------------------------------------------------------------------


def _list(arguments: argparse.Namespace) -> None:
    for name, text in _LISTS[arguments.what]():
        OUT.print(f"  {name:<26} {text}")


def _models() -> list[tuple[str, str]]:
    from galaxycnn.registry import MODELS

    return [(name, _first_line(family)) for name, family in MODELS.items()]


def _losses() -> list[tuple[str, str]]:
    from galaxycnn.registry import LOSSES

    return [(name, _first_line(loss)) for name, loss in LOSSES.items()]


def _augmentations() -> list[tuple[str, str]]:
    from galaxycnn.registry import AUGMENTATIONS

    return [(name, entry.description) for name, entry in AUGMENTATIONS.items()]


def _configs() -> list[tuple[str, str]]:
    return [(str(path), _header(path)) for path in _config_files()]


_LISTS = {"models": _models, "losses": _losses, "augmentations": _augmentations, "configs": _configs}


def _first_line(entry: object) -> str:
    return (entry.__doc__ or "").strip().splitlines()[0]


def _config_files() -> list[Path]:
    """The recipes: those of the checkout, or those installed with the package."""
    checkout = Path(galaxycnn.__file__).parents[1] / "configs"
    folder = checkout if checkout.is_dir() else Path(sys.prefix) / "share" / "galaxycnn" / "configs"
    return [Path(os.path.relpath(path)) for path in sorted(folder.glob("*.yaml"))]


def _shown_configs() -> str:
    return " or ".join(str(path) for path in _config_files()[:3]) or "configs/quickstart.yaml"


def _header(path: Path) -> str:
    return path.read_text(encoding="utf-8").splitlines()[0].lstrip("# ")


if __name__ == "__main__":
    sys.exit(main())
