"""Rows that are written as they come, to a file beside the output that an interrupted run goes on with.

``catalogue.csv.part`` holds the rows so far, ``catalogue.csv.part.json`` what they were predicted with and how many of
them are whole; the former is as long as the latter says, or is cut to it.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from hashlib import blake2b
from io import StringIO
from pathlib import Path
from typing import Any

import pandas as pd

from galaxycnn.errors import UserError
from galaxycnn.files import write_json
from galaxycnn.predicting.images import Item

DIGITS = "%.7g"
"""Digits of a number in a file: those that a float32 has."""


class PartFile:
    """The rows of an unfinished run.

    Args:
        output: the file that they will become.
        made_with: plain values that say what the rows are made with; each is called as a user would call it.
        columns: the header.
        restart: forget what there is.

    Raises:
        UserError: there are rows already, made with something else.
    """

    def __init__(self, output: Path, made_with: Mapping[str, Any], columns: list[str], restart: bool = False) -> None:
        self.path = output.with_name(f"{output.name}.part")
        self._record = output.with_name(f"{output.name}.part.json")
        self._made_with = {**json.loads(json.dumps(dict(made_with))), "columns": columns}
        self._names = blake2b(digest_size=16)
        self.rows, self._bytes, self._expected = 0, 0, ""
        if restart:
            self.forget()
        if self._record.exists() and self.path.exists():
            self._go_on(output)
        else:
            output.parent.mkdir(parents=True, exist_ok=True)
            header = StringIO()
            pd.DataFrame(columns=columns).to_csv(header, index=False, lineterminator="\n")
            self.path.write_text(header.getvalue(), encoding="utf-8")
            self._bytes = self.path.stat().st_size
            self._save()

    def _go_on(self, output: Path) -> None:
        before = json.loads(self._record.read_text())
        for name, value in self._made_with.items():
            if before["made_with"].get(name) != value:
                raise UserError(
                    f"{self.path}: the interrupted run had another {name}; restore it to go on, or begin anew with"
                    f" --restart"
                )
        self.rows, self._bytes, self._expected = before["rows"], before["bytes"], before["names"]
        if self.path.stat().st_size < self._bytes:
            raise UserError(f"{self.path}: is shorter than it was; begin {output.name} anew with --restart")
        with self.path.open("r+b") as file:
            file.truncate(self._bytes)

    def done(self, item: Item) -> None:
        """Take notice of an image whose row is written already, in order."""
        self._see(item)

    def check(self) -> None:
        """Whether the images of the rows so far are those of the interrupted run.

        Raises:
            UserError: they are not.
        """
        if self._names.hexdigest() != self._expected:
            raise UserError(
                f"{self.path}: the interrupted run had other images; restore them to go on, or begin anew with"
                " --restart"
            )

    def append(self, rows: pd.DataFrame, items: list[Item]) -> None:
        """Write the rows of some images."""
        text = rows.to_csv(None, index=False, header=False, lineterminator="\n", float_format=DIGITS)
        with self.path.open("ab") as file:
            file.write(text.encode("utf-8", "backslashreplace"))
            self._bytes = file.tell()
        self.rows += len(rows)
        for item in items:
            self._see(item)
        self._save()

    def forget(self) -> None:
        """Remove both files."""
        for path in (self._record, self.path):
            path.unlink(missing_ok=True)

    def _see(self, item: Item) -> None:
        self._names.update(f"{item.id}\0{item.file}\n".encode("utf-8", "surrogateescape"))

    def _save(self) -> None:
        state = {"rows": self.rows, "bytes": self._bytes, "names": self._names.hexdigest()}
        write_json(self._record, {"made_with": self._made_with, **state})
