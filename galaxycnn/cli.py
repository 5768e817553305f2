"""The command line: parses words, calls the library, prints what it returns."""

from __future__ import annotations

import argparse
import gc
import os
import sys
import tempfile
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from importlib import import_module
from typing import NoReturn

import galaxycnn
from galaxycnn.errors import UserError, nearest

COMMANDS = (
    "train",
    "baseline",
    "tune",
    "crossval",
    "evaluate",
    "compare",
    "cutouts",
    "predict",
    "export",
    "explain",
    "serve",
    "controls",
    "ensemble",
    "submit",
    "data",
    "list",
)
"""Modules of :mod:`galaxycnn.commands`, in the order of the help text."""

_EXAMPLES = """examples:
  galaxycnn train configs/quickstart.yaml
  galaxycnn train configs/task2_hierarchy.yaml --set paths.images_path=images --set train_params.epochs=5
  galaxycnn evaluate saved_models/quickstart.keras --images images --labels labels.csv --json scores.json
  galaxycnn data simulate -n 2000 --seed 48 -o survey
  galaxycnn list models

'galaxycnn COMMAND --help' explains a command and shows more examples."""


_RESUME = "'galaxycnn train CONFIG --resume' goes on with a training"


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
    arguments = _parser().parse_args(words, argparse.Namespace(words=words, goes_on=_RESUME))
    try:
        with _quiet_start(), _uncollected():
            import keras

            keras.ops.zeros(1)
        arguments.run(arguments)
    except UserError as error:
        print(f"galaxycnn: {error}", file=sys.stderr)
        return 2
    except KeyboardInterrupt:
        print(f"galaxycnn: interrupted; {arguments.goes_on}", file=sys.stderr)
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


@contextmanager
def _uncollected() -> Iterator[None]:
    """Make what is imported, for the first time, without the garbage collector, and have it leave that alone.

    It would go through half a million objects over and over, for half of the time that a command takes to start.
    """
    if "keras" in sys.modules:
        yield
        return
    gc.disable()
    try:
        yield
    finally:
        gc.freeze()
        gc.enable()


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
    for name in COMMANDS:
        import_module(f"galaxycnn.commands.{name}").add(commands)
    return parser


if __name__ == "__main__":
    sys.exit(main())
