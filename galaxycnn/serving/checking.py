"""What an uploaded file is and how many pixels it has, read from its header before any of them is decoded.

A file of a few kilobytes may unfold to gigabytes; and Pillow, left to itself, would try decoders of many formats that
nobody keeps galaxies in.
"""

from __future__ import annotations

import gzip
import io
import warnings
import zlib
from math import prod

from PIL import Image
from PIL.TiffImagePlugin import IMAGELENGTH, IMAGEWIDTH, ImageFileDirectory_v2

from galaxycnn.serving.limits import Limits, Refused

TYPES = "JPEG, PNG, TIFF or FITS"
ENDINGS = ".jpg,.jpeg,.png,.tif,.tiff,.fits,.fit,.fts,.gz,.fz"
"""What the page offers to pick."""
PIXEL_BYTES = 8
"""Bytes of a pixel in the largest of FITS's number formats."""
FITS_HEADERS = 2**20
"""Bytes that the headers of a FITS file may have beside its pixels."""

_PICTURES = {b"\xff\xd8\xff": "JPEG", b"\x89PNG\r\n\x1a\n": "PNG"}
_TIFF = (b"II*\0", b"MM\0*", b"II+\0", b"MM\0+")
_BIG = (b"II+\0", b"MM\0+")
_GZIP, _FITS = b"\x1f\x8b", b"SIMPLE"


def check_image(content: bytes, limits: Limits) -> bytes:
    """The content of an image file that may be decoded; what was compressed with gzip is unfolded.

    Raises:
        Refused: it is none of the types (415), too large (413), or its header is damaged (422).

    Example:
        >>> check_image(b"GIF89a", Limits())
        Traceback (most recent call last):
        galaxycnn.serving.limits.Refused: not a JPEG, PNG, TIFF or FITS image
    """
    if content.startswith(_GZIP):
        content = _unfolded(content, limits)
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # remarks of decoders on damaged headers
            pixels = _pixels(content)
    except (Refused, Image.DecompressionBombError) as error:
        raise error if isinstance(error, Refused) else _too_many(limits) from None
    except Exception as error:  # whatever a damaged header leads to
        raise Refused(422, "not an image, or its beginning is damaged") from error
    if pixels > limits.pixels:
        raise _too_many(limits)
    return content


def _too_many(limits: Limits) -> Refused:
    return Refused(413, f"it has more than {limits.megapixels:g} million pixels: cut the galaxy out first")


def _unfolded(content: bytes, limits: Limits) -> bytes:
    most = PIXEL_BYTES * limits.pixels + FITS_HEADERS
    try:
        with gzip.open(io.BytesIO(content)) as file:
            beginning = file.read(len(_FITS))
            if beginning != _FITS:
                raise Refused(415, f"not a {TYPES} image")
            unfolded = beginning + file.read(most)
    except (OSError, EOFError, zlib.error) as error:
        raise Refused(422, "its compression is damaged or incomplete") from error
    if len(unfolded) > most:
        raise _too_many(limits)
    return unfolded


def _pixels(content: bytes) -> int:
    if content.startswith(_FITS):
        return _fits_pixels(content)
    if content.startswith(_TIFF):
        return _tiff_pixels(content)
    for beginning, kind in _PICTURES.items():
        if content.startswith(beginning):
            image = Image.open(io.BytesIO(content), formats=[kind])
            return image.width * image.height
    raise Refused(415, f"not a {TYPES} image")


def _tiff_pixels(content: bytes) -> int:
    """Of the first page; Pillow itself opens fewer kinds of TIFF than OpenCV, which reads the others."""
    file = io.BytesIO(content)
    directory = ImageFileDirectory_v2(file.read(16 if content.startswith(_BIG) else 8))
    file.seek(directory.next)
    directory.load(file)
    return int(directory[IMAGEWIDTH]) * int(directory[IMAGELENGTH])


def _fits_pixels(content: bytes) -> int:
    """Of the first image, all planes together."""
    from astropy.io import fits  # not needed for pictures, and slow to import

    with fits.open(io.BytesIO(content), memmap=False) as units:
        for unit in units:
            sides = [side for side in getattr(unit, "shape", ()) or () if side != 1]
            if unit.is_image and len(sides) >= 2:
                return prod(sides)
    raise Refused(422, "a FITS file without an image")
