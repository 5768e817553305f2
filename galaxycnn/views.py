"""Test-time averaging: a galaxy is predicted as it is, turned, mirrored and zoomed, and the mean is taken.

The sky has no preferred direction, so the predictions for a galaxy's views differ by the network's error alone, part of
which their mean loses (Dieleman, Willett and Dambre 2015, MNRAS 450, 1441, with 60 views). The mean of fractions that
keep the sums of a decision tree keeps them, too.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass
from functools import partial
from itertools import islice
from typing import TypeVar

import keras
import numpy as np
from numpy.typing import NDArray

from galaxycnn.config import Config
from galaxycnn.data.augmentation import affine_matrices, warp
from galaxycnn.data.dataset import Part
from galaxycnn.errors import UserError
from galaxycnn.models.outputs import to_fractions
from galaxycnn.progress import progress_bar
from galaxycnn.tree import DecisionTree, Floats

Images = NDArray[np.uint8]
Item = TypeVar("Item")
Result = TypeVar("Result")

ZOOMS = (1.0, 1 / 1.2, 1.2)
"""Fields of view, as factors: those of Dieleman's predictions."""

FILL_MODE = "reflect"
"""What lies beyond the edge of a view where the configuration does not say."""

BATCH = 256
"""Galaxies that are predicted at a time."""

LONG = 20
"""Batches from which on a progress bar is shown."""


@dataclass(frozen=True)
class View:
    """One way to look at a cutout: turned by ``angle`` degrees, field of view times ``zoom``, mirrored or not."""

    angle: float = 0.0
    zoom: float = 1.0
    mirrored: bool = False

    def __call__(self, images: Images, fill_mode: str = FILL_MODE) -> Images:
        """``images``, uint8 of shape (n, height, width, channels), seen so; exact for quarter turns of a square.

        Example:
            >>> image = np.arange(4, dtype=np.uint8).reshape(1, 2, 2, 1)
            >>> View(angle=90)(image)[0, :, :, 0]
            array([[1, 3],
                   [0, 2]], dtype=uint8)
        """
        if self == View():
            return images
        matrix = affine_matrices(images.shape[1:], angle=self.angle, zoom=self.zoom, flip_x=self.mirrored)
        return warp(images, np.broadcast_to(matrix, (len(images), 2, 3)), fill_mode)


def make_views(count: int) -> list[View]:
    """The views that a number stands for; the first is the cutout as it is.

    An even number is half plain and half mirrored; an odd one is all plain. Each half is spread over the three
    :data:`ZOOMS` if it is even and that leaves at least two rotations for each, and has rotations alone if not.
    Rotations are evenly spaced over 360°.

    Raises:
        UserError: ``count`` is not positive.

    Example:
        >>> [view.angle for view in make_views(8)], sum(view.mirrored for view in make_views(8))
        ([0.0, 90.0, 180.0, 270.0, 0.0, 90.0, 180.0, 270.0], 4)
        >>> views = make_views(60)
        >>> len({view.angle for view in views}), len({view.zoom for view in views})
        (10, 3)
    """
    if count < 1:
        raise UserError(f"the number of views must be at least 1, not {count}")
    flips = (False, True) if count % 2 == 0 else (False,)
    half = count // len(flips)
    zooms = ZOOMS if len(flips) == 2 and half % 3 == 0 and half >= 6 else (1.0,)
    angles = np.arange(half // len(zooms)) * 360 / (half // len(zooms))
    return [View(float(angle), zoom, flip) for flip in flips for zoom in zooms for angle in angles]


def fill_mode(config: Config) -> str:
    """How the views of a network's cutouts are filled: as its training images were, or mirrored at the edge."""
    augmentation = config.data_augmentation_params
    return (augmentation and augmentation.fill_mode) or FILL_MODE


@dataclass(frozen=True)
class Seen:
    """Fractions predicted over several views of each galaxy, each of shape (galaxies, columns).

    Attributes:
        mean: the mean over the views.
        spread: the standard deviation over the views, 0 for a single one: by how much the network contradicts itself.
        first: those of the cutout as it is.
        views: how many.
    """

    mean: Floats
    spread: Floats
    first: Floats
    views: int

    def summary(self, truth: Floats) -> dict[str, float]:
        """The number of views, and the RMSE that the first alone has, to stand beside that of the mean."""
        return {"views": self.views, "single_view_rmse": float(np.sqrt(np.square(self.first - truth).mean()))}


def predict_views(
    model: keras.Model, tree: DecisionTree, part: Part, views: int = 1, fill_mode: str = FILL_MODE
) -> Seen:
    """Predict every galaxy of ``part`` from several views and average.

    Memory holds the predictions and a few batches of cutouts at a time, however many galaxies and views there are.

    Args:
        model: pixels 0–255 in, fractions out.
        tree: the questions that the model answers.
        views: how many, see :func:`make_views`.
        fill_mode: what lies beyond the edge of a turned cutout (:data:`galaxycnn.data.augmentation.BORDERS`).

    Raises:
        UserError: ``views`` is not positive.
    """
    looks = make_views(views)
    shape = (len(part), len(tree.columns))
    first, total, squares = np.zeros(shape), np.zeros(shape), np.zeros(shape)
    batches = [slice(start, start + BATCH) for start in range(0, len(part), BATCH)]
    steps = len(batches) * views
    with progress_bar() as bar, ThreadPoolExecutor() as pool:
        task = bar.add_task("Predicting", total=steps, visible=steps >= LONG)
        for rows, pixels in zip(batches, ahead(pool, part.pixels, batches), strict=True):
            look = partial(_look, pixels, fill_mode)
            for view, images in zip(looks, ahead(pool, look, looks), strict=True):
                predicted = to_fractions(tree, model.predict_on_batch(images)).astype(np.float64)
                total[rows] += predicted
                squares[rows] += predicted**2
                if view == View():
                    first[rows] = predicted
                bar.advance(task)
    mean = total / views
    return Seen(mean, np.sqrt(np.maximum(squares / views - mean**2, 0)), first, views)


def _look(pixels: Images, fill_mode: str, view: View) -> Images:
    return view(pixels, fill_mode)


def ahead(
    pool: ThreadPoolExecutor, function: Callable[[Item], Result], items: Iterable[Item], depth: int = 2
) -> Iterator[Result]:
    """``function`` of each item, in order, with the next ``depth`` under way in the threads of ``pool``.

    Example:
        >>> with ThreadPoolExecutor() as pool:
        ...     list(ahead(pool, abs, [-1, -2, -3]))
        [1, 2, 3]
    """
    remaining = iter(items)
    pending: deque[Future[Result]] = deque(pool.submit(function, item) for item in islice(remaining, depth))
    while pending:
        result = pending.popleft().result()
        pending.extend(pool.submit(function, item) for item in islice(remaining, 1))
        yield result
