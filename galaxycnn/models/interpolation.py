"""Reading cutouts between their pixels, for layers that turn them or look at them from their centre."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
from keras import ops
from numpy.typing import ArrayLike, NDArray


@dataclass(frozen=True)
class Bilinear:
    """Places in cutouts of one size, each between four pixels.

    Attributes:
        corners: the numbers of the four pixels, counted row by row, shape (4, places).
        weights: of these pixels, shape (4, places).
    """

    corners: NDArray[np.int32]
    weights: NDArray[np.float32]

    @classmethod
    def at(cls, rows: ArrayLike, columns: ArrayLike, height: int, width: int) -> Bilinear:
        """The places in those rows, 0…height - 1, and columns, 0…width - 1, both of shape (places,).

        Example:
            >>> middle = Bilinear.at([0.5], [0.5], 2, 2)
            >>> float(middle.read(ops.convert_to_tensor([[[[1.0], [2.0]], [[3.0], [6.0]]]]))[0, 0, 0])
            3.0
        """
        (top, below), (left, right) = (np.divmod(places, 1) for places in (rows, columns))
        bottom, far = np.minimum(top + 1, height - 1), np.minimum(left + 1, width - 1)
        corners = [row * width + column for row in (top, bottom) for column in (left, far)]
        weights = [vertical * horizontal for vertical in (1 - below, below) for horizontal in (1 - right, right)]
        return cls(np.stack(corners).astype(np.int32), np.stack(weights).astype(np.float32))

    def read(self, cutouts: Any) -> Any:
        """The values there: (batch, height, width, channels) to (batch, places, channels)."""
        _, height, width, channels = cutouts.shape
        pixels = ops.reshape(cutouts, (-1, height * width, channels))
        return sum(
            ops.take(pixels, corner, axis=1) * ops.cast(weight[:, None], cutouts.dtype)
            for corner, weight in zip(self.corners, self.weights, strict=True)
        )
