"""From measured light to a picture: the arcsinh stretch that survey pictures have (Lupton et al. 2004, PASP 116, 133).

A network knows the pictures that it was trained on. Fluxes become like them: the sky of each band black, the noise of
the sky faint, the galaxy neither lost in it nor overexposed, colours as the bands have them.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Literal

import numpy as np
from numpy.typing import NDArray

from galaxycnn.errors import UserError
from galaxycnn.robust import robust_deviation

Floats = NDArray[np.float32]
Kind = Literal["auto", "asinh", "none"]

SOFTENING = 8.0
"""Lupton's Q, as in the pictures of the Sloan Digital Sky Survey."""

NOISE_SHOWN = 0.02
"""Of the range from black to white, what one standard deviation of the sky becomes: 5 levels of 255. In the pictures of
Galaxy Zoo 2 it is 3, in SDSS cutouts of 0.2″ per pixel 6 to 7."""


@dataclass(frozen=True)
class Stretch:
    """What is stretched, and how.

    Attributes:
        kind: ``auto`` stretches fluxes (FITS, and floating-point TIFF) and takes pictures of 8 and 16 bits as they
            are; ``asinh`` stretches those of 16 bits, too; ``none`` takes all numbers for brightness, 0–255.
        numbers: black level, stretch and Q for all images alike; None: from the sky of each.

    Example:
        >>> Stretch.of("asinh").numbers, Stretch.of("0, 0.5, 8").numbers
        (None, (0.0, 0.5, 8.0))
    """

    kind: Kind = "auto"
    numbers: tuple[float, float, float] | None = None

    @classmethod
    def of(cls, words: str) -> Stretch:
        """``auto``, ``asinh``, ``none``, or three numbers with commas between them.

        Raises:
            UserError: it is none of these.
        """
        if words in ("auto", "asinh", "none"):
            return cls(words)  # type: ignore[arg-type]
        try:
            minimum, width, softening = (float(number) for number in words.split(","))
        except ValueError:
            width = softening = 0
        if not (width > 0 and softening > 0):
            raise UserError(
                f"the stretch is auto, asinh, none, or MINIMUM,STRETCH,Q with numbers above 0 for the last two, such as"
                f" 0,0.5,8; not {words!r}"
            )
        return cls("asinh", (minimum, width, softening))

    def __call__(self, bands: NDArray[Any]) -> NDArray[np.uint8]:
        """Fluxes as a picture.

        Args:
            bands: shape (height, width, 1 or 3), red first; what is not finite counts as sky.

        Returns:
            uint8, shape (height, width, 3).

        Example:
            >>> y, x = np.indices((64, 64)) - 31.5
            >>> galaxy = 100 * np.exp(-np.hypot(x, y) / 6) + np.random.default_rng(0).normal(1000, 1, (64, 64))
            >>> picture = Stretch()(galaxy[..., None])
            >>> picture.shape, bool(picture[32, 32, 0] > 80), bool(np.median(picture[:8]) < 8)
            ((64, 64, 3), True, True)
        """
        from astropy.visualization import make_lupton_rgb  # not needed for pictures, and slow to import

        bands = np.asarray(bands, np.float32)
        if self.numbers is None:
            bands = above_sky(bands)
            minimum, softening = 0.0, SOFTENING
            width = max(_slope(softening) / NOISE_SHOWN, float(bands.max()) * _slope(softening) / np.sinh(_top()))
        else:
            minimum, width, softening = self.numbers
            bands = np.nan_to_num(bands, nan=minimum, posinf=minimum, neginf=minimum)
        red, green, blue = np.moveaxis(np.broadcast_to(bands, (*bands.shape[:2], 3)), -1, 0)
        with np.errstate(invalid="ignore", divide="ignore"):  # where there is no light at all
            return np.asarray(make_lupton_rgb(red, green, blue, minimum=minimum, stretch=width, Q=softening))


def above_sky(bands: Floats) -> Floats:
    """Each band less its sky, in units of the sky's noise, both from a frame along the edges; 0 where not finite.

    Bands in units of their noise have much the weights that surveys give them in their pictures: red bands, whose sky
    is bright, the least.
    """
    height, width = bands.shape[:2]
    bands = np.where(np.isfinite(bands), bands, np.nan)
    edge = max(1, min(height, width) // 16)
    frame = np.ones((height, width), bool)
    frame[edge : height - edge, edge : width - edge] = False
    light = np.stack([_standardised(band, frame) for band in np.moveaxis(bands, -1, 0)], axis=-1)
    return np.nan_to_num(light, nan=0.0)


def _standardised(band: Floats, frame: NDArray[np.bool_]) -> Floats:
    finite = np.isfinite(band)
    if not finite.any():
        return band
    sky = band[frame & finite] if (frame & finite).any() else band[finite]
    light = band - np.median(sky)
    noise = float(robust_deviation(sky))
    return light / (noise or float(np.abs(light[finite]).max()) / 1000 or 1.0)


def _slope(softening: float) -> float:
    """What light of 1 becomes with a stretch of 1, near black: Lupton's Q and asinh as astropy scales them."""
    return 0.1 * softening / float(np.arcsinh(0.1 * softening))


def _top() -> float:
    """The arcsinh at which white is reached."""
    return float(np.arcsinh(0.1 * SOFTENING)) / 0.1
