"""How every benchmark starts: a mistake that the user can mend is one sentence and exit code 2, as in galaxycnn."""

from __future__ import annotations

import sys
from collections.abc import Callable
from pathlib import Path

from galaxycnn.errors import UserError


def start(main: Callable[[], None]) -> None:
    """Run a script's ``main``."""
    try:
        main()
    except UserError as error:
        print(f"{Path(sys.argv[0]).name}: {error}", file=sys.stderr)
        sys.exit(2)
