"""Any image as a picture of 8 bits: JPEG, PNG, TIFF and FITS files, and arrays, with all their oddities.

- JPEG and PNG: CMYK, grey and palette become RGB; an alpha channel is dropped; an orientation in the EXIF is followed.
- 16 bits: 0–65535 becomes 0–255, as in training, unless a stretch is asked for. (Pillow has 16-bit RGB as 8.)
- TIFF: the first page; floating-point numbers are fluxes and stretched; further planes than RGB are dropped.
- FITS: the first image in the file, also compressed (``.gz``, ``.fz``), turned so that north is up where it was; one
  plane is grey, three are red, green and blue by their names, or blue first where they have none, as in the cutouts of
  the Legacy Surveys; axes of length 1 are ignored. Byte order does not matter; pixels that are no numbers are sky.
"""

from __future__ import annotations

import gzip
import io
from dataclasses import dataclass, field, replace
from typing import Any

import cv2
import numpy as np
from numpy.typing import NDArray
from PIL import Image, ImageOps, UnidentifiedImageError

from galaxycnn.data.cutouts import Unusable, eight_bits
from galaxycnn.predicting.fits_images import Planes, read_fits
from galaxycnn.predicting.stretching import Stretch

MOST_PIXELS = 2**27
"""Pixels of an image from which on it is refused: what a small file may unfold to."""
MOST_BYTES = 2**30
"""What a compressed FITS file may unfold to."""
PLATEAU = 9
"""So many pixels of a flux image that share its largest value have reached the end of the detector's range."""
ORIENTATION = 0x112
"""The tag of the EXIF that says how a picture is turned."""

_TIFF = (b"II*\0", b"MM\0*", b"II+\0", b"MM\0+")
_GZIP, _FITS = b"\x1f\x8b", b"SIMPLE"


@dataclass(frozen=True)
class Opened:
    """An image of 8 bits, and what was lost on the way.

    Attributes:
        image: in a mode of Pillow's with 8 bits.
        ceiling: fluxes at the largest value of the image, several of them; shape (height, width), None for none.
        missing: pixels that were no numbers, the same shape; None for none.
    """

    image: Image.Image
    ceiling: NDArray[np.bool_] | None = None
    missing: NDArray[np.bool_] | None = None


@dataclass(frozen=True)
class Opener:
    """How images are opened.

    Args:
        stretch: what is stretched, and how.
        planes: which planes of a FITS image are red, green and blue, counted from 1; None: see above.
    """

    stretch: Stretch = field(default_factory=Stretch)
    planes: Planes | None = None

    def __call__(self, content: bytes | NDArray[Any] | Image.Image) -> Opened:
        """The picture in a file's bytes, in an array (height, width[, channels]), or in an image of Pillow's.

        Raises:
            Unusable: there is none, or not one that can be used; the reason is said.

        Example:
            >>> Opener()(np.zeros((8, 8), np.uint16)).image.mode
            'L'
        """
        try:
            if isinstance(content, bytes):
                return self._file(content)
            return self._image(content) if isinstance(content, Image.Image) else self.array(np.asarray(content))
        except Unusable:
            raise
        except UnidentifiedImageError as error:
            raise Unusable("corrupt", "not an image, or its beginning is damaged") from error
        except Exception as error:  # a decoder may raise anything at all on damaged bytes
            raise Unusable("corrupt", " ".join(str(error).split()) or type(error).__name__) from error

    def array(self, values: NDArray[Any], fluxes: bool = False) -> Opened:
        """Numbers as a picture: uint8 and 16 bits are brightness unless they are ``fluxes``, all others are fluxes."""
        bands = _bands(values)
        if bands.dtype == np.uint8:
            return Opened(Image.fromarray(bands[..., 0] if bands.shape[2] == 1 else bands))
        missing = ~np.isfinite(bands).all(axis=2)
        deep = bands.dtype == np.uint16 and not fluxes
        if self.stretch.kind == "none" or (deep and self.stretch.kind == "auto"):
            numbers = np.nan_to_num(bands.astype(np.float32), nan=0, posinf=255, neginf=0)
            shown = np.floor((numbers + 128) / 257) if deep else np.rint(numbers)
            return replace(self.array(shown.clip(0, 255).astype(np.uint8)), missing=missing)
        if missing.all():
            raise Unusable("blank", "none of its pixels is a number")
        return Opened(Image.fromarray(self.stretch(bands)), _at_ceiling(bands), missing)

    def _file(self, content: bytes) -> Opened:
        if content.startswith(_GZIP):
            with gzip.open(io.BytesIO(content)) as file:
                content = file.read(MOST_BYTES + 1)
            if len(content) > MOST_BYTES:
                raise Unusable("corrupt", f"it unfolds to more than {MOST_BYTES:,} bytes")
        if content.startswith(_FITS):
            return self.array(read_fits(content, self.planes, MOST_PIXELS), fluxes=True)
        if content.startswith(_TIFF) and self.stretch.kind == "asinh":
            return self._tiff(content)
        try:
            return self._image(Image.open(io.BytesIO(content)))
        except UnidentifiedImageError:
            if content.startswith(_TIFF):  # of numbers that Pillow does not know, such as three bands of float32
                return self._tiff(content)
            raise

    def _image(self, image: Image.Image) -> Opened:
        _refuse_large(image.width, image.height)
        if image.mode == "F" or (image.mode.startswith("I") and self.stretch.kind == "asinh"):
            return self.array(np.asarray(image), fluxes=True)
        if image.getexif().get(ORIENTATION, 1) != 1:
            image = ImageOps.exif_transpose(image)
        return Opened(eight_bits(image))

    def _tiff(self, content: bytes) -> Opened:
        values = cv2.imdecode(np.frombuffer(content, np.uint8), cv2.IMREAD_UNCHANGED)
        if values is None:
            raise Unusable("corrupt", "a TIFF that cannot be read; save it uncompressed, with 8, 16 or 32 bits")
        return self.array(values[..., 2::-1] if values.ndim == 3 else values, fluxes=True)


def _bands(values: NDArray[Any]) -> NDArray[Any]:
    """Numbers in this machine's byte order, shape (height, width, 1 or 3); an alpha channel is dropped."""
    bands = values.reshape([side for side in values.shape if side != 1] or [1]) if values.ndim > 3 else values
    if bands.ndim == 2:
        bands = bands[..., None]
    if bands.ndim != 3 or bands.shape[2] not in (1, 2, 3, 4) or not bands.size or bands.dtype.kind not in "uif":
        raise Unusable(
            "corrupt", f"{values.dtype} of shape {values.shape} is no image: it takes numbers (height, width[, 1 or 3])"
        )
    _refuse_large(bands.shape[1], bands.shape[0])
    colours = {2: 1, 4: 3}.get(bands.shape[2], bands.shape[2])
    return np.ascontiguousarray(bands[..., :colours], dtype=bands.dtype.newbyteorder("="))


def _at_ceiling(bands: NDArray[Any]) -> NDArray[np.bool_] | None:
    """The pixels that have the largest value of their band together with :data:`PLATEAU` others."""
    flat = np.nan_to_num(bands.astype(np.float32), nan=-np.inf, posinf=-np.inf)
    at_top = flat == flat.max(axis=(0, 1))
    plateau = at_top.sum(axis=(0, 1)) >= PLATEAU
    ceiling = (at_top & plateau).any(axis=2)
    return ceiling if ceiling.any() and np.ptp(flat[np.isfinite(flat)]) > 0 else None


def _refuse_large(width: int, height: int) -> None:
    if width * height > MOST_PIXELS:
        raise Unusable("corrupt", f"it has {width}x{height} pixels, more than {MOST_PIXELS:,}")
