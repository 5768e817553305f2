"""Errors that a user can mend, and the nearest-name hint that they carry."""

from __future__ import annotations

from collections.abc import Iterable
from difflib import get_close_matches


class UserError(Exception):
    """Something in the user's files, keys or words is wrong; the message is one clear sentence.

    The command line prints it without a traceback and exits with code 2.
    """


class ConfigError(UserError):
    """A configuration file is wrong: the message names file, line and key."""


class DataError(UserError):
    """Images or labels are wrong or missing: the message names the file or column."""


class MissingExtra(UserError):
    """A library that comes with an extra is not installed.

    Example:
        >>> print(MissingExtra("tuning", "tune"))
        tuning needs the extra galaxycnn[tune]: .venv/bin/pip install -e '.[tune]'
    """

    def __init__(self, what: str, extra: str) -> None:
        super().__init__(f"{what} needs the extra galaxycnn[{extra}]: .venv/bin/pip install -e '.[{extra}]'")


def nearest(word: str, choices: Iterable[str]) -> str:
    """A hint to append to a message: the nearest valid choice, or all of them.

    Example:
        >>> nearest("hierachy", ["base", "hierarchy", "branch"])
        "; did you mean 'hierarchy'?"
    """
    choices = [str(choice) for choice in choices]
    close = get_close_matches(str(word), choices, n=1)
    if not close:
        lowered = {choice.lower(): choice for choice in choices}
        close = [lowered[match] for match in get_close_matches(str(word).lower(), lowered, n=1)]
    if close:
        return f"; did you mean {close[0]!r}?"
    return f"; choose from {', '.join(choices)}" if choices else ""
