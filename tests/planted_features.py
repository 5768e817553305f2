"""A network that answers by one thing alone, blue light, and galaxies in which a blue star or arm is painted."""

from __future__ import annotations

import keras
import numpy as np
from keras import layers
from numpy.typing import NDArray

from galaxycnn.models.heads import TreeHead
from galaxycnn.tree import DecisionTree

SIDE = 48
TREE = DecisionTree.from_classes({"painted": ["no", "yes"]})
Mask = NDArray[np.bool_]


def blue_seeker() -> keras.Model:
    """Says yes to enough pixels that are much bluer than red."""
    pixels = keras.Input((SIDE, SIDE, 3), name="cutout")
    x = layers.Rescaling(1 / 255, name="normalize")(pixels)
    x = layers.Conv2D(4, 3, padding="same", name="colours")(x)
    x = layers.BatchNormalization(name="norm")(x)
    x = layers.ReLU(name="found")(x)
    x = layers.Dropout(0.5)(layers.MaxPooling2D(2)(x))
    logits = layers.Dense(2, name="logits")(layers.GlobalAveragePooling2D()(x))
    model = keras.Model(pixels, TreeHead(TREE, name="painted")(logits))
    kernel = np.zeros((3, 3, 3, 4), np.float32)
    kernel[..., 2, 0], kernel[..., 0, 0] = 1 / 9, -1 / 9
    kernel[..., 1] = 0.01
    model.get_layer("colours").set_weights([kernel, np.array([-0.1, 0, 0, 0], np.float32)])
    answer = np.zeros((4, 2), np.float32)
    answer[0] = -400, 400
    model.get_layer("logits").set_weights([answer, np.array([1, -1], np.float32)])
    return model


def galaxies(count: int = 4, seed: int = 0) -> NDArray[np.uint8]:
    """Yellowish blobs in the middle of a dark sky."""
    rng = np.random.default_rng(seed)
    y, x = np.indices((SIDE, SIDE)) - (SIDE - 1) / 2
    light = [np.exp(-np.hypot(x, rng.uniform(1, 2) * y) / rng.uniform(3, 5)) for _ in range(count)]
    colours = np.stack(light)[..., None] * np.array([220, 190, 120])
    return np.clip(colours + rng.normal(8, 2, colours.shape), 0, 255).astype(np.uint8)


def star() -> Mask:
    """A small disc beside the galaxy."""
    y, x = np.indices((SIDE, SIDE))
    return np.hypot(x - 38, y - 11) < 3.5


def arm() -> Mask:
    """A quarter of a ring around the galaxy."""
    y, x = np.indices((SIDE, SIDE)) - (SIDE - 1) / 2
    return (np.abs(np.hypot(x, y) - 13) < 2.5) & (x < 0) & (y > 0)


def with_painted(images: NDArray[np.uint8], mask: Mask) -> NDArray[np.uint8]:
    painted = images.copy()
    painted[:, mask] = 60, 110, 250
    return painted
