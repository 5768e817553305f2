"""The same networks, losses and metrics on JAX and PyTorch as on TensorFlow, where those are installed."""

from __future__ import annotations

from pathlib import Path

import keras
import numpy as np
import pytest
from backends import needs, run_on
from keras import ops
from small_networks import NETWORKS, draw_weights, pixels, small_config, without_dropout

from galaxycnn.losses import make_loss
from galaxycnn.metrics import NAMES, make_metrics
from galaxycnn.models import CNNBuilder
from galaxycnn.models.outputs import Outputs
from galaxycnn.registry import LOSSES
from galaxycnn.tree import GALAXY_ZOO_2


def found_by_this_backend() -> dict[str, np.ndarray]:
    """Predictions of every network, before and after a step of training, and what every loss says."""
    tree = GALAXY_ZOO_2.subset(["Class1", "Class2", "Class7"])
    rng = np.random.default_rng(0)
    truth = rng.uniform(0.1, 0.9, (6, 8)).astype("float32")
    found = {}
    for name in NETWORKS:
        config = small_config(name, **without_dropout(name))
        model, images = CNNBuilder(config).build(), pixels(config)
        draw_weights(model, rng)
        outputs = Outputs.of(model, tree)
        found[f"model {name}"] = outputs.read(model.predict(images, verbose=0)).fractions
        model.compile(
            keras.optimizers.SGD(0.1),
            keras.losses.MeanSquaredError(),
            metrics=make_metrics(NAMES, outputs),
            run_eagerly=keras.backend.backend() == "tensorflow",  # to trace one step takes longer
        )
        model.fit(images, outputs.targets(truth, {}), batch_size=6, verbose=0)
        found[f"fitted {name}"] = outputs.read(model.predict(images, verbose=0)).fractions
    predicted = rng.uniform(0.1, 0.9, (6, 8)).astype("float32")
    for name in LOSSES:
        loss = make_loss(name, {}, [0.5, 1, 2, 1, 1, 3, 1, 1], tree)
        found[f"loss {name}"] = ops.convert_to_numpy(
            loss(ops.convert_to_tensor(truth), ops.convert_to_tensor(predicted))
        )
    return found


@pytest.fixture(scope="module")
def here() -> dict[str, np.ndarray]:
    return found_by_this_backend()


@pytest.mark.parametrize("backend", ["jax", "torch"])
def test_predictions_fits_and_losses_agree(backend: str, here: dict[str, np.ndarray], tmp_path: Path) -> None:
    needs(backend)
    there = run_on(backend, found_by_this_backend, tmp_path)
    assert there.keys() == here.keys()
    for name, values in there.items():
        np.testing.assert_allclose(values, here[name], rtol=2e-4, atol=2e-5, err_msg=name)
