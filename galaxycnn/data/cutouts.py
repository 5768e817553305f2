"""One image as the cutout that a network takes: its centre, resized, grey where asked for."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from galaxycnn.config.schema import DataPreprocessing
from galaxycnn.data.catalogue import Kind

Box = tuple[int, int, int, int]
"""Left, upper, right and lower edge in pixels, as Pillow has them."""


class Unusable(Exception):
    """An image that cannot be used, and why."""

    def __init__(self, kind: Kind, reason: str) -> None:
        super().__init__(reason)
        self.kind = kind


def cut_out(image: Image.Image, preprocessing: DataPreprocessing, box: Box) -> NDArray[np.uint8]:
    """The part of ``image`` within ``box`` at the size that the network takes: uint8 (height, width, channels).

    Args:
        image: with 8 bits; a palette, CMYK and transparency become plain colours.
    """
    rows, columns, channels = preprocessing.input_shape
    mode = "L" if preprocessing.grayscale else "RGB"
    plain = image if image.mode == mode else image.convert(mode)
    return np.asarray(plain.resize((columns, rows), Image.Resampling.LANCZOS, box=box)).reshape(rows, columns, channels)


def centre_box(width: int, height: int, size: int | None) -> Box:
    """The centre of an image, a square of ``size``; all of it for None.

    Raises:
        Unusable: the image is smaller.

    Example:
        >>> centre_box(424, 424, 207)
        (108, 108, 315, 315)
    """
    if size is None:
        return 0, 0, width, height
    if size > min(width, height):
        raise Unusable("small", f"it has {width}x{height} pixels, the crop is {size}x{size}")
    left, top = (width - size) // 2, (height - size) // 2
    return left, top, left + size, top + size


def looked_at(image: Image.Image, preprocessing: DataPreprocessing) -> Box:
    """The part of an image that a network gets: its centre, as much of it as there is; or all of it.

    Example:
        >>> looked_at(Image.new("L", (60, 40)), DataPreprocessing(crop=True, crop_size=50))
        (10, 0, 50, 40)
    """
    crop = preprocessing.crop_size if preprocessing.crop else None
    return centre_box(*image.size, None if crop is None else min(crop, *image.size))


def is_blank(cutout: NDArray[np.uint8]) -> bool:
    """Whether the inner half does not vary; of 12,434 real cutouts the flattest varies by 45 levels."""
    top, left = cutout.shape[0] // 4, cutout.shape[1] // 4
    inner = cutout[top : cutout.shape[0] - top, left : cutout.shape[1] - left]
    return bool((np.ptp(inner, axis=(0, 1)) <= 2).all())


def eight_bits(image: Image.Image) -> Image.Image:
    """16-bit greyscale scaled to 8 bits; anything else as it is.

    Raises:
        Unusable: pixels have 32 bits, whose range is not known.
    """
    if image.mode == "F":
        raise Unusable("corrupt", "it has floating-point pixels, whose range is not known: save it with 8 or 16 bits")
    if not image.mode.startswith("I"):
        return image
    values = np.asarray(image).astype(np.int64)
    if values.min() < 0 or values.max() > 65535:
        raise Unusable("corrupt", "it has 32-bit pixels: save it with 8 or 16 bits")
    return Image.fromarray(((values + 128) // 257).astype(np.uint8))
