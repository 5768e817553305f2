"""What is shown of an upload: the picture with its surroundings, and the map of an answer over what was looked at."""

from __future__ import annotations

import base64
import io
from typing import NamedTuple

import cv2
import numpy as np
from numpy.typing import NDArray
from PIL import Image

from galaxycnn.config.schema import DataPreprocessing
from galaxycnn.data.cutouts import looked_at
from galaxycnn.plots.explanation import LEVEL, painted, shown
from galaxycnn.plots.style import ORANGE

SURROUNDINGS = 2
"""The side of what is shown, in sides of what the network looks at."""
EXPLAINED = 480
"""Longest side of an explanation in pixels."""
JPEG = {"quality": 88, "subsampling": 0}


class Frame(NamedTuple):
    """Where the network looks: left, top, width and height, in shares of the picture that is shown."""

    left: float
    top: float
    width: float
    height: float


def preview(image: Image.Image, settings: DataPreprocessing, side: int) -> tuple[str, Frame]:
    """An upload as a ``data:`` address of a JPEG of at most ``side`` pixels, and where in it the network looks.

    Of a field that is much larger than what the network looks at, the middle is shown.

    Example:
        >>> settings = DataPreprocessing(crop=True, crop_size=50, img_size=[32, 32])
        >>> address, frame = preview(Image.new("RGB", (400, 80)), settings, 64)
        >>> address[:23], frame
        ('data:image/jpeg;base64,', Frame(left=0.25, top=0.1875, width=0.5, height=0.625))
    """
    box = looked_at(image, settings)
    seen = max(box[2] - box[0], box[3] - box[1]) * SURROUNDINGS
    width, height = min(image.width, seen), min(image.height, seen)
    left, top = (image.width - width) // 2, (image.height - height) // 2
    part = image.crop((left, top, left + width, top + height)).convert("RGB")
    part.thumbnail((side, side), Image.Resampling.LANCZOS)
    content = io.BytesIO()
    part.save(content, "JPEG", **JPEG)
    frame = Frame(
        (box[0] - left) / width, (box[1] - top) / height, (box[2] - box[0]) / width, (box[3] - box[1]) / height
    )
    return f"data:image/jpeg;base64,{base64.b64encode(content.getvalue()).decode()}", frame


def explained(image: Image.Image, settings: DataPreprocessing, heat: NDArray[np.floating]) -> bytes:
    """A PNG of the part that the network looks at, grey, under the map of an answer: orange for it, blue against it.

    What is above half of the map's largest value is outlined.

    Args:
        heat: shape (height, width), of the cutout that the network got.
    """
    part = image.crop(looked_at(image, settings)).convert("L")
    scale = EXPLAINED / max(part.size)
    size = max(1, round(part.width * scale)), max(1, round(part.height * scale))
    grey = np.asarray(part.resize(size, Image.Resampling.LANCZOS), np.float32) / 255
    values = shown(heat, size)
    pixels = np.ascontiguousarray((painted(grey, values) * 255).round().clip(0, 255).astype(np.uint8))
    outlines, _ = cv2.findContours((values > LEVEL).astype(np.uint8), cv2.RETR_LIST, cv2.CHAIN_APPROX_NONE)
    colour = tuple(int(ORANGE[i : i + 2], 16) for i in (1, 3, 5))
    cv2.drawContours(pixels, outlines, -1, colour, 1, cv2.LINE_AA)
    content = io.BytesIO()
    Image.fromarray(pixels).save(content, "PNG")
    return content.getvalue()
