"""What a trained network finds typical, learnt from the galaxies it was trained on and from some that it was not."""

from __future__ import annotations

import keras
import numpy as np
from numpy.typing import NDArray

from galaxycnn.data.dataset import GalaxyData, Part
from galaxycnn.models.typical import LEAST, Typical, Watched
from galaxycnn.views import predict_views

MOST = 4096
"""Most galaxies of a part whose features are learnt from."""


def learn_typical(model: keras.Model, data: GalaxyData, seed: int) -> Typical | None:
    """Learn it from the training part, and how far from it a galaxy may be from the validation part.

    Without a validation part the latter is learnt from the test part; that changes no prediction.

    Args:
        model: pixels 0–255 in.
        data: its galaxies, at most 4,096 of each part, which ``seed`` draws.

    Returns:
        None where a part has fewer than 20 galaxies.
    """
    parts = data.train, data.validation if len(data.validation) else data.test
    if min(len(part) for part in parts) < LEAST:
        return None
    watched = Watched(model)
    return Typical.fit(*(_features(watched, data, part, seed) for part in parts))


def _features(watched: Watched, data: GalaxyData, part: Part, seed: int) -> NDArray[np.float32]:
    drawn = np.random.default_rng(seed).choice(len(part), min(len(part), MOST), replace=False)
    predict_views(watched, data.tree, part.only(np.sort(drawn)))
    return watched.features()
