"""Files that are either whole or not there: written under a temporary name, then renamed."""

from __future__ import annotations

import json
import os
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any


@contextmanager
def atomic_path(path: str | Path) -> Iterator[Path]:
    """Yield a temporary path beside ``path``, with its ending, that becomes ``path`` on success.

    Parent folders are made. On an exception the temporary file is removed and an older file at
    ``path`` stays as it was.

    Example:
        >>> import tempfile
        >>> folder = tempfile.mkdtemp()
        >>> with atomic_path(f"{folder}/note.txt") as temporary:
        ...     _ = temporary.write_text("whole")
        >>> Path(f"{folder}/note.txt").read_text()
        'whole'
    """
    path = Path(path)
    path.parent.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(dir=path.parent, prefix=".part-") as folder:
        temporary = Path(folder) / path.name
        yield temporary
        os.replace(temporary, path)


def write_json(path: str | Path, value: Any) -> Path:
    """Write plain values as a JSON file, and say where.

    Example:
        >>> import tempfile
        >>> write_json(f"{tempfile.mkdtemp()}/metrics.json", {"rmse": 0.08}).read_text()
        '{\\n "rmse": 0.08\\n}'
    """
    with atomic_path(path) as temporary:
        temporary.write_text(json.dumps(value, indent=1))
    return Path(path)
