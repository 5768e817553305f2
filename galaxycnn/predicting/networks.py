"""The networks that predict: loaded once, asked batch by batch; views, Monte Carlo dropout, and what is typical."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from functools import cached_property
from hashlib import blake2b
from pathlib import Path
from typing import Any, NamedTuple

import keras
import numpy as np
from numpy.typing import NDArray

from galaxycnn.config import Config
from galaxycnn.config.schema import DataPreprocessing
from galaxycnn.data.dataset import Part
from galaxycnn.ensembles import Ensemble, Member, combine, load_ensemble
from galaxycnn.errors import UserError
from galaxycnn.models.outputs import Outputs
from galaxycnn.models.quantity_heads import QuantityHead
from galaxycnn.models.saving import load_model
from galaxycnn.models.typical import Typical, Watched, read_typical
from galaxycnn.predicting.preparing import Cutouts
from galaxycnn.pretrained import DEFAULT
from galaxycnn.progress import silent_progress
from galaxycnn.tree import DecisionTree
from galaxycnn.views import Seen, fill_mode, predict_views

PIXELS = ("crop", "crop_size", "img_size", "grayscale")
"""The keys that say how a cutout is prepared."""

SEED = 48
"""Decides with the number of an image what is dropped."""


@keras.saving.register_keras_serializable(package="galaxycnn")
class AlwaysDropout(keras.layers.Dropout):
    """Dropout that drops while it predicts, too."""

    def call(self, inputs: Any, training: bool = True) -> Any:
        return super().call(inputs, training=True)


@dataclass(frozen=True, eq=False)
class Loaded:
    """A network in memory.

    Attributes:
        member: its file and its weight.
        network: as it was saved.
        dropping: the same that always drops; None where that is not asked for.
        typical: what the file says is typical; None where it says nothing.
    """

    member: Member
    network: keras.Model
    dropping: keras.Model | None = None
    typical: Typical | None = None

    @classmethod
    def load(cls, member: Member, dropout: bool) -> Loaded:
        network = load_model(member.path)
        return cls(member, network, _dropping(network, member) if dropout else None, read_typical(member.path))

    @property
    def preparation(self) -> str:
        return preparation(self.member.config)

    def predict(self, tree: DecisionTree, part: Part, views: int, passes: int, seed: tuple[int, int]) -> Prediction:
        """From several views, ``passes`` times where it drops; the same ``seed`` drops the same units."""
        filled = fill_mode(self.member.config)
        if self.dropping is None:
            return self._watched(lambda network: predict_views(network, tree, part, views, filled), views)
        _reseed(self.dropping, seed)
        every = (predict_views(self.dropping, tree, part, views, filled) for _ in range(passes))
        seen = combine([1 / passes] * passes, every)
        if self.typical is None:
            return Prediction(seen)
        return Prediction(seen, self._watched(lambda network: predict_views(network, tree, part), 1).atypicality)

    def _watched(self, predicted: Callable[[Any], Seen], views: int) -> Prediction:
        if self.typical is None:
            return Prediction(predicted(self.network))
        return Prediction(predicted(self.watched), self.typical.shares(self.watched.features(views)))

    @cached_property
    def watched(self) -> Watched:
        """The network, whose features are kept."""
        return Watched(self.network)


class Prediction(NamedTuple):
    """What was predicted of some images, and the share of held-out galaxies that are more typical than each."""

    seen: Seen
    atypicality: NDArray[np.float64] | None = None


def preparation(config: Config) -> str:
    """What the preparation of a network's cutouts is called."""
    return config.data_preprocessing.model_dump_json(include=set(PIXELS))


@dataclass(frozen=True, eq=False)
class Networks:
    """All members of an ensemble, or a single network.

    Attributes:
        tree: the questions that they answer.
        views: views of each image.
        dropout: passes with dropout; 0 for none.
    """

    ensemble: Ensemble
    loaded: tuple[Loaded, ...]
    tree: DecisionTree
    views: int
    dropout: int = 0

    @classmethod
    def load(cls, model: str | Path | None, views: int | None = None, dropout: int = 0) -> Networks:
        """The networks of a ``.keras``, ``.h5`` or ``.ensemble.yaml`` file, or of the YAML file of a finished run.

        Args:
            views: views of each image; None: as the configuration says.
            dropout: passes with dropout; 0: none.

        Raises:
            UserError: no such file, one without a recipe, or a network without dropout is to drop.
        """
        ensemble = load_ensemble(DEFAULT if model is None else model)
        assert ensemble.tree is not None
        members = tuple(Loaded.load(member, bool(dropout)) for member in ensemble.members)
        return cls(ensemble, members, ensemble.tree, views or ensemble.views, dropout)

    @property
    def digest(self) -> str:
        """Tells files of other content apart."""
        digest = blake2b(digest_size=16)
        for each in self.loaded:
            digest.update(repr(each.member.weight).encode())
            with each.member.path.open("rb") as file:
                while block := file.read(2**20):
                    digest.update(block)
        return digest.hexdigest()

    @property
    def preparations(self) -> dict[str, DataPreprocessing]:
        """The ways in which cutouts are prepared, by name."""
        return {each.preparation: each.member.config.data_preprocessing for each in self.loaded}

    @property
    def inputs(self) -> tuple[str, ...]:
        """The numbers that have to be known of each image."""
        return tuple(dict.fromkeys(n for each in self.loaded for n in each.member.config.data_preprocessing.inputs))

    @cached_property
    def quantities(self) -> dict[str, bool]:
        """The quantities that are predicted, and whether with a spread."""
        heads = Outputs.of(self.loaded[0].network, self.tree).heads
        return {name: type(head).prediction is not QuantityHead.prediction for name, head in heads.items()}

    @property
    def has_spread(self) -> bool:
        """Whether an image is predicted more than once."""
        return self.views * max(1, self.dropout) * len(self.loaded) > 1

    @property
    def knows_typical(self) -> bool:
        return all(each.typical is not None for each in self.loaded)

    def predict(self, cutouts: Cutouts, given: Mapping[str, NDArray[np.float32]], start: int) -> Prediction:
        """The weighted mean over networks, views and passes, and the spread over all of them.

        Args:
            given: by name, the :attr:`inputs`, each of shape (images,).
            start: the number of the first image, which decides what is dropped.
        """
        weights = self.ensemble.weights
        with silent_progress():
            each = [self._of(loaded, cutouts, given, start) for loaded in self.loaded]
        shares = [one.atypicality for one in each if one.atypicality is not None]
        together = combine(weights, (one.seen for one in each))
        return Prediction(together, np.average(shares, axis=0, weights=weights) if self.knows_typical else None)

    def _of(self, loaded: Loaded, cutouts: Cutouts, given: Mapping[str, NDArray[np.float32]], start: int) -> Prediction:
        images = cutouts[loaded.preparation]
        names = loaded.member.config.data_preprocessing.inputs
        numbers = np.stack([given[name] for name in names], axis=1) if names else None
        rows, unknown = np.arange(len(images)), np.zeros((len(images), 0), np.float32)
        part = Part("predict", rows.astype(np.str_), images, rows, unknown, inputs=numbers)  # type: ignore[arg-type]
        return loaded.predict(self.tree, part, self.views, max(1, self.dropout), (SEED, start))


def _reseed(network: keras.Model, numbers: tuple[int, int]) -> None:
    for layer in _all_layers(network):
        if isinstance(layer, AlwaysDropout) and layer.rate > 0:
            state = layer.seed_generator.state
            state.assign(keras.ops.cast(np.array(numbers), state.dtype))


def _dropping(network: keras.Model, member: Member) -> keras.Model:
    def dropping(layer: keras.layers.Layer) -> keras.layers.Layer:
        if type(layer) is keras.layers.Dropout:
            return AlwaysDropout.from_config(layer.get_config())
        return layer.__class__.from_config(layer.get_config())

    if not any(isinstance(layer, keras.layers.Dropout) and layer.rate > 0 for layer in _all_layers(network)):
        raise UserError(f"{member.path}: has no layer of dropout; use --views for the spread of its predictions")
    again = keras.models.clone_model(network, clone_function=dropping, recursive=True)
    again.set_weights(network.get_weights())
    return again


def _all_layers(model: keras.Model) -> list[keras.layers.Layer]:
    found = []
    for layer in model.layers:
        found += [layer, *(_all_layers(layer) if isinstance(layer, keras.Model) else [])]
    return found
