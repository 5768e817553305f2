"""What a survey is: where its cutouts are asked for, and in which words."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, ClassVar

from galaxycnn.errors import UserError, nearest


@dataclass(frozen=True)
class Cutout:
    """A square of the sky, north up and east to the left.

    Attributes:
        ra, dec: its centre, ICRS, degrees.
        size: pixels across.
        scale: arcseconds to a pixel.
    """

    ra: float
    dec: float
    size: int
    scale: float


@dataclass(frozen=True)
class Survey:
    """Base of all surveys: subclass it in a file of this package and register it with ``SURVEYS``.

    Args:
        layer: which images of the survey, such as a data release; ``""``: those that it has by default.
        form: the ending of the files, ``""``: the first of :attr:`forms`.
        url: the server; ``""``: the survey's own.

    Attributes:
        home: the survey's own server.
        layers: what may be asked for, the default first; others are asked for as they are.
        forms: the endings of files that it gives, the default first.
        scale: arcseconds to a pixel of its own images, the default.
        sizes: fewest and most pixels across a cutout.
    """

    layer: str = ""
    form: str = ""
    url: str = ""

    home: ClassVar[str]
    layers: ClassVar[tuple[str, ...]]
    forms: ClassVar[tuple[str, ...]]
    scale: ClassVar[float]
    sizes: ClassVar[tuple[int, int]]

    def __post_init__(self) -> None:
        if self.form and self.form not in self.forms:
            raise UserError(f"this survey has no files of the form {self.form!r}{nearest(self.form, self.forms)}")
        for name, default in (("layer", self.layers[0]), ("form", self.forms[0]), ("url", self.home)):
            object.__setattr__(self, name, getattr(self, name) or default)

    def check(self, size: int) -> None:
        """Whether a cutout may have so many pixels across; servers give another size without a word.

        Raises:
            UserError: it may not.
        """
        least, most = self.sizes
        if not least <= size <= most:
            raise UserError(f"cutouts of this survey have {least} to {most} pixels across, not {size}")

    def request(self, cutout: Cutout) -> tuple[str, dict[str, Any]]:
        """The address of a cutout, and the parameters that are sent with it."""
        raise TypeError(f"{type(self).__name__} does not say where its cutouts are")
