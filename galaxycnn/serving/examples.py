"""Simulated galaxies to try: of the embedded survey, in the frame of the Galaxy Challenge's images."""

from __future__ import annotations

import io
from functools import lru_cache
from typing import NamedTuple

import numpy as np
from PIL import Image

from galaxycnn.simulate import draw_galaxy, render
from galaxycnn.simulate.scene import field_of_view

SIDE = 424
"""Of an image of the challenge, in pixels."""
SCALED = 256
"""Pixels of it that span the survey's own field of view."""


class Example(NamedTuple):
    """A galaxy of the survey by its number, and what was drawn."""

    number: int
    words: str


EXAMPLES = (
    Example(60, "two-armed spiral"),
    Example(210, "elliptical"),
    Example(66, "tight spiral"),
    Example(301, "edge-on disk"),
    Example(368, "spiral with a companion"),
    Example(222, "merger with tails"),
)
"""What the page offers at the first visit."""


@lru_cache(maxsize=len(EXAMPLES))
def example_png(number: int, seed: int = 48) -> bytes:
    """The image of galaxy ``number``: 424×424 pixels, as a PNG.

    Example:
        >>> Image.open(io.BytesIO(example_png(EXAMPLES[0].number))).size
        (424, 424)
    """
    sky, camera = map(np.random.default_rng, np.random.SeedSequence([seed, number]).spawn(2))
    galaxy = draw_galaxy(sky)
    content = io.BytesIO()
    Image.fromarray(render(galaxy, SIDE, camera, field_of_view(galaxy) * SIDE / SCALED)).save(content, "PNG")
    return content.getvalue()
