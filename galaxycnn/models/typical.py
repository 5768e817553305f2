"""What the galaxies of the training part look like to a network, and how far from them another one is.

The features are what the network sees in an image from its first layers, where noise and colours count, to its last,
whose features alone let pure noise pass for a galaxy. They are taken in standard deviations and through arcsinh, so
that one odd feature does not outweigh many. Their distribution is described by a mean, the directions in which it is
widest, and one width for all others (probabilistic principal components: Tipping and Bishop 1999, JRSS B 61, 611); the
distance of a galaxy is that of Mahalanobis (Lee et al. 2018, NeurIPS, without classes). It is turned into a share: how
many of the galaxies that were held out of the training are nearer than it. One in a hundred galaxies like those of the
training is therefore ``atypical``, from 0.99 on.

A small convnet trained on the Galaxy Challenge finds noise, inverted images, shuffled pixels and pages of text atypical
without exception, 80 % of galaxies enlarged three times, 36 % of those twice as bright, and 0 to 2 % of other galaxies
of the same survey; images with red and blue swapped, and empty sky, pass it (the latter are ``empty``). What looks like
the training in all these ways is not found, whatever it is.

It is kept in the model file beside the recipe: as ``galaxycnn_typical.npz`` in a ``.keras`` file, as a group of that
name in an ``.h5`` file.
"""

from __future__ import annotations

import io
import zipfile
from collections.abc import Iterator
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import h5py
import keras
import numpy as np
from numpy.typing import ArrayLike, NDArray
from sklearn.utils.extmath import randomized_svd

from galaxycnn.errors import DataError

AXES = 16
"""Most directions in which the distribution is described on its own."""
LIMIT = 0.99
"""Share of held-out galaxies that are nearer, from which on a galaxy is flagged as ``atypical``."""
LEAST = 20
"""Fewest galaxies that a distribution, or shares, can be learnt from."""

_NAME = "galaxycnn_typical"
Floats = NDArray[np.float32]


@dataclass(frozen=True, eq=False)
class Typical:
    """The distribution of a network's features over galaxies like those it was trained on.

    Attributes:
        mean: shape (features,).
        scale: their standard deviations, the same shape.
        middle: mean of the arcsinh of features in standard deviations, in which the following are; the same shape.
        axes: orthogonal directions of length 1, shape (directions, features).
        widths: standard deviations along them, shape (directions,).
        rest: standard deviation along any other direction, shape ().
        distances: those of the held-out galaxies, ascending.

    Example:
        >>> random = np.random.default_rng(0)
        >>> typical = Typical.fit(random.normal(size=(500, 5)), random.normal(size=(200, 5)))
        >>> typical.shares(np.array([[0.0] * 5, [9.0] * 5])).round(2).tolist()
        [0.0, 1.0]
    """

    mean: Floats
    scale: Floats
    middle: Floats
    axes: Floats
    widths: Floats
    rest: Floats
    distances: Floats

    @classmethod
    def fit(cls, training: ArrayLike, held_out: ArrayLike) -> Typical:
        """Learn the distribution from the training part and the shares from galaxies that are not in it.

        Args:
            training: features, shape (galaxies, features).
            held_out: those of the validation part, or of the test part where there is none.

        Raises:
            DataError: fewer than 20 galaxies of either.
        """
        known = np.asarray(training, np.float64)
        if min(len(known), len(np.asarray(held_out))) < LEAST:
            raise DataError(f"what is typical is learnt from {LEAST} training and {LEAST} held-out galaxies or more")
        mean, scale = known.mean(axis=0), known.std(axis=0)
        scale = np.where(scale > 1e-6 * max(scale.max(), 1e-12), scale, max(scale.max(), 1e-12))
        known = np.arcsinh((known - mean) / scale)
        middle = known.mean(axis=0)
        most = min(known.shape)
        count = min(AXES, max(1, len(known) // 10), most)
        _, lengths, directions = randomized_svd(known - middle, count, random_state=0)
        variances = np.square(lengths) / (len(known) - 1)
        left = known.var(axis=0, ddof=1).sum() - variances.sum()
        rest = left / (most - count) if count < most else variances[-1]
        least = max(variances[0], 1e-12) * 1e-6
        widths, width = np.sqrt(np.maximum(variances, least)), np.sqrt(max(rest, least))
        parts = (mean, scale, middle, directions, widths, width, np.zeros(0))
        blank = cls(*(np.asarray(part, np.float32) for part in parts))
        return replace(blank, distances=np.sort(blank.distance(held_out)))

    def distance(self, features: ArrayLike) -> Floats:
        """Mahalanobis distance of each galaxy, shape (galaxies,), from features of shape (galaxies, features)."""
        offset = np.arcsinh((np.asarray(features, np.float32) - self.mean) / self.scale) - self.middle
        along = offset @ self.axes.T
        beside = np.square(offset - along @ self.axes).sum(axis=1) / np.square(self.rest)
        return np.sqrt(np.square(along / self.widths).sum(axis=1) + beside).astype(np.float32)

    def shares(self, features: ArrayLike) -> NDArray[np.float64]:
        """The share of held-out galaxies that are nearer than each galaxy, 0…1: shape (galaxies,)."""
        nearer = np.searchsorted(self.distances, self.distance(features), side="left")
        return nearer / len(self.distances)


def store_typical(path: Path, typical: Typical) -> None:
    """Put ``typical`` into a model file that is being written; 16 directions of 1,280 features take 0.1 MB."""
    if h5py.is_hdf5(path):
        with h5py.File(path, "a") as file:
            group = file.create_group(_NAME)
            for name, values in vars(typical).items():
                group[name] = values
    else:
        content = io.BytesIO()
        np.savez_compressed(content, allow_pickle=False, **vars(typical))
        with zipfile.ZipFile(path, "a") as archive:
            archive.writestr(f"{_NAME}.npz", content.getvalue())


def read_typical(path: str | Path) -> Typical | None:
    """What a model file says is typical; None where it says nothing."""
    if h5py.is_hdf5(path):
        with h5py.File(path) as file:
            return Typical(**{name: file[_NAME][name][()] for name in file[_NAME]}) if _NAME in file else None
    with zipfile.ZipFile(path) as archive:
        if f"{_NAME}.npz" not in archive.namelist():
            return None
        with np.load(io.BytesIO(archive.read(f"{_NAME}.npz"))) as arrays:
            return Typical(**{name: arrays[name] for name in arrays.files})


# -- features ------------------------------------------------------------------------------------


class Watched:
    """A network that keeps the features of what it predicts; used like the network itself.

    Args:
        network: what predicts.
    """

    def __init__(self, network: keras.Model) -> None:
        self._network = network
        self._outputs = len(network.outputs)
        self._both = keras.Model(network.input, [*keras.tree.flatten(network.output), *feature_tensors(network)])
        self._kept: list[Floats] = []

    def __getattr__(self, name: str) -> Any:
        return getattr(self._network, name)

    def predict_on_batch(self, x: Any) -> Any:
        """What the network says, in the form in which it says it."""
        said = self._both.predict_on_batch(x)
        outputs, features = said[: self._outputs], said[self._outputs :]
        galaxies = len(outputs[0])
        means = [np.reshape(each, (galaxies, -1, each.shape[-1])).mean(axis=1) for each in features]
        self._kept.append(np.concatenate(means, axis=1, dtype=np.float32))
        return keras.tree.pack_sequence_as(self._network.output, outputs)

    def features(self, every: int = 1) -> Floats:
        """The features since this was last asked for, of every so many batches: shape (galaxies, features)."""
        kept, self._kept = self._kept, []
        return np.concatenate(kept[::every])


def feature_tensors(model: keras.Model) -> list[Any]:
    """The features of a network's input, each of shape (galaxies, channels).

    The mean of every channel of the last feature map of each size, and what the last layer with a kernel before each
    output takes in. Where a network looks at several parts of each galaxy, they are rows of their own.
    """
    vectors = {id(tensor): tensor for output in model.outputs for tensor in _taken_in(output) if len(tensor.shape) == 2}
    maps = {tensor.shape[1:3]: tensor for layer in model.layers if (tensor := _feature_map(layer)) is not None}
    means = [keras.layers.GlobalAveragePooling2D(dtype="float32")(tensor) for tensor in maps.values()]
    return [*means, *(keras.ops.cast(tensor, "float32") for tensor in vectors.values())]


def _feature_map(layer: keras.layers.Layer) -> Any:
    """What a layer that is used once gives, where that is a feature map (galaxies, height, width, channels)."""
    if len(layer._inbound_nodes) != 1 or isinstance(layer, keras.layers.InputLayer):
        return None
    tensors = layer._inbound_nodes[0].output_tensors
    return tensors[0] if len(tensors) == 1 and len(tensors[0].shape) == 4 else None


def _taken_in(tensor: Any) -> Iterator[Any]:
    layer, node, _ = tensor._keras_history
    before = list(layer._inbound_nodes[node].input_tensors)
    if hasattr(layer, "kernel") or not before:
        yield from before
    else:
        for each in before:
            yield from _taken_in(each)
