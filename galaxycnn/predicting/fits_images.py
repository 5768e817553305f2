"""FITS images: which of a file's planes are red, green and blue."""

from __future__ import annotations

import io
import re
from collections.abc import Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from galaxycnn.data.cutouts import Unusable
from galaxycnn.errors import UserError

Planes = tuple[int, int, int]
"""The planes that are red, green and blue, counted from 1 as FITS does."""

FILTERS = "ugrizy"
"""Names of filters by rising wavelength."""
LIKED = ("grz", "gri")
"""The filters that pictures are made of where a file has more than three, best first."""


def planes_of(words: str) -> Planes:
    """``"3,2,1"`` as numbers of planes.

    Raises:
        UserError: it is not three whole numbers from 1 on.

    Example:
        >>> planes_of("3,2,1")
        (3, 2, 1)
    """
    numbers = words.split(",")
    if len(numbers) != 3 or not all(re.fullmatch(r"\s*[1-9]\d*\s*", number) for number in numbers):
        raise UserError(f"the planes are three numbers from 1 on, of red, green and blue, such as 3,2,1; not {words!r}")
    red, green, blue = map(int, numbers)
    return red, green, blue


def read_fits(content: bytes, planes: Planes | None, most_pixels: int) -> NDArray[Any]:
    """The first image of a FITS file: shape (height, width, 1 or 3), red first, the last row of the file on top.

    Raises:
        Unusable: the file has no image, a larger one, or one of planes whose colours are not known.
    """
    from astropy.io import fits  # not needed for pictures, and slow to import

    with fits.open(io.BytesIO(content), memmap=False) as units:
        for unit in units:
            shape = tuple(side for side in getattr(unit, "shape", ()) or () if side != 1)
            if not unit.is_image or len(shape) < 2:
                continue
            if np.prod(shape) > most_pixels:
                raise Unusable(
                    "corrupt", f"its image has {'x'.join(map(str, shape))} pixels, more than {most_pixels:,}"
                )
            cube = np.asarray(unit.data).reshape(shape)
            if len(shape) == 2:
                cube = cube[None]
            if cube.ndim != 3:
                raise Unusable("corrupt", f"its image has the shape {unit.shape}; it takes one plane or three")
            chosen = [0] if len(cube) == 1 else _colours(len(cube), unit.header, planes)
            return np.moveaxis(cube[chosen][:, ::-1], 0, -1)
    raise Unusable("corrupt", "a FITS file without an image")


def _colours(count: int, header: Any, planes: Planes | None) -> list[int]:
    """The positions of red, green and blue among ``count`` planes."""
    if planes is not None:
        if max(planes) > count:
            raise Unusable("corrupt", f"it has {count} planes, --planes asks for number {max(planes)}")
        return [plane - 1 for plane in planes]
    filters = _filters(count, header)
    if filters:
        for liked in ("".join(sorted(filters, key=FILTERS.index)) if count == 3 else "", *LIKED):
            if liked and set(liked) <= set(filters):
                return [filters.index(name) for name in reversed(liked)]
    if count == 3:
        return [0, 1, 2] if str(header.get("CTYPE3", "")).strip().upper() == "RGB" else [2, 1, 0]
    raise Unusable("corrupt", f"it has {count} planes: say which are red, green and blue, such as --planes 3,2,1")


def _filters(count: int, header: Any) -> list[str]:
    """The filters of the planes as cutouts of the Legacy Surveys name them (``BANDS``, ``BAND0``…); none if unknown."""
    named: Sequence[str] = str(header.get("BANDS", "")).strip().lower() or [
        str(header.get(f"BAND{number}", "")).strip().lower() for number in range(count)
    ]
    known = len(named) == count == len(set(named)) and all(len(name) == 1 and name in FILTERS for name in named)
    return list(named) if known else []
