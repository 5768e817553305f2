"""Occlusion: what an answer loses where a piece of the galaxy is hidden."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
from keras import ops

from galaxycnn.explain.method import Method
from galaxycnn.explain.network import Array, Images, Scores, tensor
from galaxycnn.explain.regions import empty_sky
from galaxycnn.registry import EXPLANATIONS


@EXPLANATIONS.register("occlusion")
@dataclass(frozen=True)
class Occlusion(Method):
    """By how much the score falls where a square is painted over in the colour of the sky; needs no gradient.

    Source: Zeiler and Fergus 2014, arXiv:1311.2901, section 4.2. A pixel has the mean over the squares that hide it.

    Args:
        squares: how many squares fit across the cutout side by side; each lies half over the next.
    """

    squares: int = 8

    def maps(self, scores: Scores, cutouts: Images) -> Array:
        sky, whole = empty_sky(cutouts), ops.convert_to_numpy(scores(tensor(cutouts)))
        fall = np.zeros((len(scores.names), *cutouts.shape[:3]), np.float32)
        hidden = np.zeros(cutouts.shape[1:3], np.float32)
        squares = list(self._squares(*cutouts.shape[1:3]))
        at_a_time = max(1, 2 * self.galaxies // len(cutouts))
        for start in range(0, len(squares), at_a_time):
            some = squares[start : start + at_a_time]
            covered = np.stack([cutouts.astype(np.float32)] * len(some))
            for images, square in zip(covered, some, strict=True):
                images[(slice(None), *square)] = sky[(slice(None), *square)]
            left = scores.repeated(len(some))(tensor(covered.reshape(-1, *cutouts.shape[1:])))
            for square, each in zip(some, ops.convert_to_numpy(left).reshape(len(some), *whole.shape), strict=True):
                fall[(..., *square)] += (whole - each).T[..., None, None]
                hidden[square] += 1
        return (fall / hidden).astype(np.float32)

    def _squares(self, height: int, width: int) -> Iterator[tuple[slice, slice]]:
        side = max(1, min(height, width) // self.squares)
        for top in _starts(height, side):
            for left in _starts(width, side):
                yield slice(top, top + side), slice(left, left + side)


def _starts(length: int, side: int) -> list[int]:
    """Where squares begin, half a side apart, the last at the far edge."""
    return sorted({*range(0, length - side + 1, max(1, side // 2)), length - side})
