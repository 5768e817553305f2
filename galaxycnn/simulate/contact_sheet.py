"""Many cutouts on one picture. ``python -m galaxycnn.simulate.contact_sheet sheet.png`` draws the README's."""

from __future__ import annotations

import sys
from collections.abc import Sequence
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from galaxycnn.files import atomic_path
from galaxycnn.simulate.survey import Survey


def contact_sheet(images: Sequence[NDArray[np.uint8]], columns: int, path: Path) -> Path:
    """Write cutouts row by row onto one picture; places left over in the last row stay black.

    Args:
        images: cutouts of one shape (H, W, 3), uint8.
        columns: how many stand in a row.
        path: where the picture goes, for example a ``.png``.

    Returns:
        The path.

    Example:
        >>> import tempfile
        >>> cutouts = [Survey(3).draw(number).image for number in range(3)]
        >>> path = contact_sheet(cutouts, 2, Path(tempfile.mkdtemp()) / "sheet.png")
        >>> Image.open(path).size
        (128, 128)
    """
    height, width, bands = images[0].shape
    rows = -(-len(images) // columns)
    sheet = np.zeros((rows * columns, height, width, bands), dtype=np.uint8)
    sheet[: len(images)] = images
    picture = sheet.reshape(rows, columns, height, width, bands).swapaxes(1, 2).reshape(rows * height, -1, bands)
    with atomic_path(path) as unfinished:
        Image.fromarray(picture).save(unfinished, optimize=True)
    return Path(path)


def main() -> None:
    survey = Survey(60)
    contact_sheet([survey.draw(number).image for number in range(survey.galaxies)], 12, Path(sys.argv[1]))


if __name__ == "__main__":
    main()
