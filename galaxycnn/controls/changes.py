"""The controls: each takes galaxies and gives them back changed in one respect.

A control is a function of some galaxies and of as many others, one for each, entered in
:data:`galaxycnn.registry.CONTROLS`; its name says in words what is changed. One that gives back the galaxies as they
are does not apply to them.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace
from functools import cached_property
from typing import Any

import numpy as np
from numpy.typing import NDArray

from galaxycnn.controls.scenes import Scenes
from galaxycnn.data.dataset import Part
from galaxycnn.registry import CONTROLS

Images = NDArray[np.uint8]
Floats = NDArray[Any]


@dataclass(frozen=True)
class Galaxies:
    """What a network is given of some galaxies, and what is known of them.

    Attributes:
        cutouts: uint8, shape (galaxies, height, width, channels).
        inputs: numbers that the network is given, (galaxies, inputs).
        fractions: (galaxies, columns), NaN where unknown.
        quantities: (galaxies, quantities), NaN where unknown.
        seed: of what is drawn at random.
    """

    cutouts: Images
    inputs: Floats
    fractions: Floats
    quantities: Floats
    seed: int = 0

    @classmethod
    def of(cls, part: Part, rows: NDArray[np.integer], seed: int) -> Galaxies:
        """The galaxies at these positions of ``part``."""
        return cls(part.pixels(rows), part.inputs[rows], part.fractions[rows], part.quantities[rows], seed)

    @cached_property
    def scenes(self) -> Scenes:
        """The cutouts, taken apart."""
        return Scenes.of(self.cutouts, np.random.default_rng(self.seed))


Control = Callable[[Galaxies, Galaxies], Galaxies]
"""Galaxies and others in, the galaxies changed out; galaxies and others are equally many."""


def shuffled(galaxies: int, seed: int) -> NDArray[np.intp]:
    """Another one for each of the galaxies, and each of them once: shape (galaxies,).

    Example:
        >>> bool((shuffled(5, seed=0) == np.arange(5)).any()), sorted(shuffled(5, seed=0).tolist())
        (False, [0, 1, 2, 3, 4])
    """
    order = np.random.default_rng(seed).permutation(galaxies)
    others = np.empty_like(order)
    others[order] = np.roll(order, 1)
    return others


# -- sky and source ------------------------------------------------------------------------------


@CONTROLS.register("on_another_sky")
def on_another_sky(own: Galaxies, other: Galaxies) -> Galaxies:
    """All around the source in the middle is that of another cutout."""
    return replace(own, cutouts=own.scenes.on(other.scenes.sky, other.scenes.level))


@CONTROLS.register("without_the_source")
def without_the_source(own: Galaxies, other: Galaxies) -> Galaxies:
    """The sky alone: its own, laid over the source."""
    return replace(own, cutouts=own.scenes.sky)


@CONTROLS.register("without_the_sky")
def without_the_sky(own: Galaxies, other: Galaxies) -> Galaxies:
    """The source alone, on an even sky as bright as another cutout's."""
    level = other.scenes.level
    even = np.broadcast_to(np.rint(level)[:, None, None], own.cutouts.shape).astype(np.uint8)
    return replace(own, cutouts=own.scenes.on(even, level))


# -- what is to be seen of the source ------------------------------------------------------------


@CONTROLS.register("with_another_brightness")
def with_another_brightness(own: Galaxies, other: Galaxies) -> Galaxies:
    """The source has the light of another one; its shape, size and colour stay, but for what gets white."""
    return replace(own, cutouts=own.scenes.brightened(_ratio(other.scenes.flux, own.scenes.flux)))


@CONTROLS.register("with_another_size")
def with_another_size(own: Galaxies, other: Galaxies) -> Galaxies:
    """The source has the half-light radius of another one, as if the scale of the pixels were another."""
    return replace(own, cutouts=own.scenes.zoomed(_ratio(other.scenes.radius, own.scenes.radius)))


@CONTROLS.register("without_colour")
def without_colour(own: Galaxies, other: Galaxies) -> Galaxies:
    """Every channel is the mean of all."""
    if own.cutouts.shape[-1] == 1:
        return own
    grey = np.rint(own.cutouts.mean(axis=-1, keepdims=True)).astype(np.uint8)
    return replace(own, cutouts=np.broadcast_to(grey, own.cutouts.shape))


def _ratio(wanted: Floats, given: Floats) -> Floats:
    """By how much to multiply; 1 where one of the two is not known."""
    known = (wanted > 0) & (given > 0)
    return np.divide(wanted, given, out=np.ones(len(given)), where=known)


# -- numbers -------------------------------------------------------------------------------------


@CONTROLS.register("with_other_labels")
def with_other_labels(own: Galaxies, other: Galaxies) -> Galaxies:
    """What the scores are when the network knows nothing of the galaxies that it is asked about."""
    return replace(own, fractions=other.fractions, quantities=other.quantities)


def with_another_input(column: int) -> Control:
    """The control that takes the number in this column of the inputs from another galaxy."""

    def control(own: Galaxies, other: Galaxies) -> Galaxies:
        inputs = own.inputs.copy()
        inputs[:, column] = other.inputs[:, column]
        return replace(own, inputs=inputs)

    return control
