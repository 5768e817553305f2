"""Batches of augmented cutouts and their targets, for any number of outputs and any Keras backend."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import keras
import numpy as np
from numpy.typing import ArrayLike, NDArray

from galaxycnn.config.schema import DataAugmentation
from galaxycnn.data.augmentation import Augmenter
from galaxycnn.errors import DataError

Array = NDArray[Any]
Arrays = Array | dict[str, Array]
CUTOUT, INPUTS = "cutout", "inputs"
"""What a network's inputs are called, where it is given numbers beside the cutout."""

Batch = tuple[Arrays] | tuple[Arrays, Arrays] | tuple[Arrays, Arrays, Arrays]


class MultiOutputDataGenerator(keras.utils.PyDataset):
    """Serves raw uint8 cutouts, augmented on the way, with the targets of one or several outputs.

    Which galaxies a batch holds and how each is changed depends on the seed, the epoch and the
    batch's number alone: not on the backend, on threads, or on the order in which batches are asked
    for. A training that is taken up again at epoch e therefore sees the batches that it would have
    seen. The last batch holds what is left.

    Two things to give to ``fit``: ``callbacks=[batches.epoch_callback]`` keeps :attr:`epoch` at the number that ``fit``
    counts, since Keras also announces the end of an epoch before the first one; and ``shuffle=False``, since
    ``fit`` would otherwise mix up the order of the batches, unseeded. On TensorFlow
    :func:`galaxycnn.training.streaming.stream` spares a training the gaps that a ``PyDataset`` has between epochs.

    Keras' own ``workers`` stay at 1: on JAX and PyTorch its queue (3.15) keeps batches that it prepared before the
    first epoch, and then serves some twice and others never. Nor is there a need. Batches take 1 % of the processor
    time of training the base CNN on 64 by 64 pixels, their augmentation another 4 to 5 %, and TensorFlow
    prepares them while the network is busy (``benchmarks/augmentation_speed.py``).

    Args:
        images: shape (N, H, W, C), uint8, in memory or memory-mapped.
        targets: shape (n, K), or output name -> shape (n, …); None to predict.
        batch_size: galaxies in a batch.
        augmentation: random changes of the images; None for none.
        seed: decides order and augmentation.
        shuffle: a new order every epoch; else the order of ``rows``.
        rows: the positions in ``images`` of the n galaxies to serve; None for all.
        inputs: numbers to give beside each image, shape (n, k); batches then begin with a dict of ``cutout`` and
            ``inputs``.
        sample_weights: shape (n,), or output name -> shape (n,).
        first_epoch: the number of the epoch to begin with.

    Raises:
        DataError: the images are not uint8 of rank 4, lengths disagree, or targets are a list.

    Example:
        >>> images = np.zeros((10, 16, 16, 3), dtype=np.uint8)
        >>> targets = {"Class1": np.zeros((10, 3), "float32"), "Class2": np.zeros((10, 2), "float32")}
        >>> batches = MultiOutputDataGenerator(images, targets, batch_size=4)
        >>> len(batches)
        3
        >>> x, y = batches[2]
        >>> x.shape, y["Class1"].shape
        ((2, 16, 16, 3), (2, 3))
    """

    def __init__(
        self,
        images: Array,
        targets: ArrayLike | Mapping[str, ArrayLike] | None = None,
        batch_size: int = 100,
        augmentation: DataAugmentation | None = None,
        *,
        seed: int = 48,
        shuffle: bool = True,
        rows: ArrayLike | None = None,
        inputs: ArrayLike | None = None,
        sample_weights: ArrayLike | Mapping[str, ArrayLike] | None = None,
        first_epoch: int = 0,
    ) -> None:
        super().__init__()
        if images.ndim != 4 or images.dtype != np.uint8:
            raise DataError(f"images must be uint8 of shape (N, H, W, C), not {images.dtype} of shape {images.shape}")
        if batch_size < 1:
            raise DataError(f"batch_size must be at least 1, not {batch_size}")
        self.images = images
        self.rows = _checked_rows(rows, len(images))
        self.inputs = None if inputs is None else _checked_array("inputs", inputs, len(self.rows))
        self.targets = None if targets is None else _checked("targets", targets, len(self.rows))
        self.sample_weights = (
            None if sample_weights is None else _checked("sample_weights", sample_weights, len(self.rows))
        )
        if self.sample_weights is not None and self.targets is None:
            raise DataError("sample_weights need targets")
        self.batch_size = batch_size
        self.seed = seed
        self.shuffle = shuffle
        self.epoch = first_epoch
        self._augment = None if augmentation is None else Augmenter(augmentation, images.shape[1:])
        self._cached_order: tuple[int, Array] | None = None

    def __len__(self) -> int:
        return -(-len(self.rows) // self.batch_size)

    def __getitem__(self, index: int) -> Batch:
        """Batch number ``index`` of the present epoch, from 0."""
        return self.batch(self.epoch, index)

    def batch(self, epoch: int, index: int) -> Batch:
        """Batch number ``index`` of any epoch: ``(images,)``, ``(images, targets)`` or with sample weights."""
        if not 0 <= index < len(self):
            raise IndexError(f"there are {len(self)} batches, numbered from 0; {index} is not one of them")
        # Ascending positions read a memory-mapped file forwards; the order within a batch does not matter.
        chosen = np.sort(self._order(epoch)[index * self.batch_size : (index + 1) * self.batch_size])
        images = np.asarray(self.images[self.rows[chosen]])
        if self._augment is not None:
            images = self._augment(images, self._rng(epoch, index))
        given = images if self.inputs is None else {CUTOUT: images, INPUTS: self.inputs[chosen]}
        if self.targets is None:
            return (given,)
        if self.sample_weights is None:
            return given, _take(self.targets, chosen)
        return given, _take(self.targets, chosen), _take(self.sample_weights, chosen)

    def on_epoch_end(self) -> None:
        """Move on to the next epoch."""
        self.epoch += 1

    @property
    def epoch_callback(self) -> keras.callbacks.Callback:
        """For ``fit``: sets :attr:`epoch` to the epoch that ``fit`` begins."""
        return keras.callbacks.LambdaCallback(on_epoch_begin=lambda epoch, logs: setattr(self, "epoch", epoch))

    def _rng(self, *key: int) -> np.random.Generator:
        return np.random.default_rng(np.random.SeedSequence(self.seed, spawn_key=key))

    def _order(self, epoch: int) -> Array:
        """The order in which an epoch goes through ``rows``."""
        if not self.shuffle:
            return np.arange(len(self.rows))
        cached = self._cached_order
        if cached is None or cached[0] != epoch:
            cached = (epoch, self._rng(epoch).permutation(len(self.rows)))
            self._cached_order = cached
        return cached[1]


def _checked_rows(rows: ArrayLike | None, images: int) -> Array:
    if rows is None:
        rows = np.arange(images)
    rows = np.asarray(rows)
    if rows.ndim != 1 or not (np.issubdtype(rows.dtype, np.integer) or rows.size == 0):
        raise DataError(f"rows must be a list of positions, not {rows.dtype} of shape {rows.shape}")
    if rows.size == 0:
        raise DataError("there are no galaxies to serve: rows is empty")
    if rows.min() < 0 or rows.max() >= images:
        raise DataError(f"rows go from {rows.min()} to {rows.max()}, but there are {images} images, numbered from 0")
    return rows


def _checked(what: str, values: ArrayLike | Mapping[str, ArrayLike], n: int) -> Arrays:
    if isinstance(values, list | tuple):
        raise DataError(f"{what} must be an array, or a dict with one array per output name; Keras cannot fit a list")
    if isinstance(values, Mapping):
        return {name: _checked_array(f"{what}[{name!r}]", array, n) for name, array in values.items()}
    return _checked_array(what, values, n)


def _checked_array(what: str, values: ArrayLike, n: int) -> Array:
    array = np.asarray(values)
    if array.ndim == 0 or len(array) != n:
        raise DataError(f"{what} has shape {array.shape}, but {n} galaxies are served; give one row for each of them")
    return array


def _take(values: Arrays, chosen: Array) -> Arrays:
    if isinstance(values, dict):
        return {name: array[chosen] for name, array in values.items()}
    return values[chosen]
