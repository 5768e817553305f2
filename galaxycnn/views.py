"""Test-time averaging: a galaxy is predicted as it is, turned, mirrored and zoomed, and the mean is taken.

The sky has no preferred direction, so the predictions for a galaxy's views differ by the network's error alone, part of
which their mean loses (Dieleman, Willett and Dambre 2015, MNRAS 450, 1441, with 60 views). The mean of fractions that
keep the sums of a decision tree keeps them, too.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Iterable, Iterator, Mapping
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass, field
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
from galaxycnn.models.outputs import Outputs, fed
from galaxycnn.progress import progress_bar
from galaxycnn.quantities import Prediction, pooled
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

    An even number is half plain and half mirrored; an odd one is all plain. The plain ones are spread over the three
    :data:`ZOOMS` where that leaves at least two rotations for each, and are rotations alone where not; so are the
    mirrored ones. Rotations are evenly spaced over 360°. To a network that says the same of a cutout turned by quarters
    or mirrored (`equivariant` and `polar`), 15 views are the winner's 60, and 16 are two.

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
    zooms = ZOOMS if half % 3 == 0 and half >= 6 else (1.0,)
    angles = np.arange(half // len(zooms)) * 360 / (half // len(zooms))
    return [View(float(angle), zoom, flip) for flip in flips for zoom in zooms for angle in angles]


def fill_mode(config: Config) -> str:
    """How the views of a network's cutouts are filled: as its training images were, or mirrored at the edge."""
    augmentation = config.data_augmentation_params
    return (augmentation and augmentation.fill_mode) or FILL_MODE


@dataclass(frozen=True)
class Seen:
    """What is predicted over several views of each galaxy; fractions have the shape (galaxies, columns).

    Attributes:
        mean: the mean fractions over the views.
        spread: their standard deviation over the views, 0 for a single one: by how much the network contradicts itself.
        first: the fractions of the cutout as it is.
        views: how many.
        quantities: by name, what is predicted of the galaxies over all views, and
        raw: what the network put out for the first alone, shape (galaxies, columns of its head).
    """

    mean: Floats
    spread: Floats
    first: Floats
    views: int
    quantities: Mapping[str, Prediction] = field(default_factory=dict)
    raw: Mapping[str, Floats] = field(default_factory=dict)

    def summary(self, truth: Floats) -> dict[str, float]:
        """The number of views, and the RMSE that the first alone has; unknown ``truth`` is NaN."""
        return {"views": self.views, "single_view_rmse": float(np.sqrt(np.nanmean(np.square(self.first - truth))))}


def predict_views(
    model: keras.Model, tree: DecisionTree, part: Part, views: int = 1, fill_mode: str = FILL_MODE
) -> Seen:
    """Predict every galaxy of ``part`` from several views and average.

    Memory holds the predictions and a few batches of cutouts at a time, however many galaxies and views there are.

    Args:
        model: pixels 0–255 in (and inputs, where it takes them), fractions and quantities out.
        tree: the questions that the model answers.
        views: how many, see :func:`make_views`.
        fill_mode: what lies beyond the edge of a turned cutout (:data:`galaxycnn.data.augmentation.BORDERS`).

    Raises:
        UserError: ``views`` is not positive.
    """
    looks, outputs = make_views(views), Outputs.of(model, tree)
    shape = (len(part), len(tree.columns))
    first, total, squares = np.zeros(shape), np.zeros(shape), np.zeros(shape)
    raw: dict[str, list[list[Floats]]] = {name: [[] for _ in looks] for name in outputs.heads}
    batches = [slice(start, start + BATCH) for start in range(0, len(part), BATCH)]
    steps = len(batches) * views
    with progress_bar() as bar, ThreadPoolExecutor() as pool:
        task = bar.add_task("Predicting", total=steps, visible=steps >= LONG)
        for rows, pixels in zip(batches, ahead(pool, part.pixels, batches), strict=True):
            look = partial(_look, pixels, fill_mode)
            for number, images in enumerate(ahead(pool, look, looks)):
                read = outputs.read(model.predict_on_batch(fed(model, images, part.inputs[rows])))
                predicted = read.fractions.astype(np.float64)
                total[rows] += predicted
                squares[rows] += predicted**2
                if number == 0:
                    first[rows] = predicted
                for name, values in read.quantities.items():
                    raw[name][number].append(values)
                bar.advance(task)
    mean = total / views
    by_view = {name: [np.concatenate(each) for each in of_views] for name, of_views in raw.items()}
    quantities = {
        name: pooled([1 / views] * views, [outputs.heads[name].prediction(each) for each in of_views])
        for name, of_views in by_view.items()
    }
    spread = np.sqrt(np.maximum(squares / views - mean**2, 0))
    return Seen(mean, spread, first, views, quantities, {name: each[0] for name, each in by_view.items()})


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
