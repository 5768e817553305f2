"""Optimizers, schedules, averaged weights: what an update does to a weight, on every backend that is installed."""

from __future__ import annotations

import math
from pathlib import Path
from typing import Any

import keras
import numpy as np
import pytest
from backends import needs, run_on
from hypothesis import given, settings
from hypothesis import strategies as st

from galaxycnn.config import load_config
from galaxycnn.config.schema import TrainParams
from galaxycnn.errors import ConfigError
from galaxycnn.models.family import Rate
from galaxycnn.models.group_convolution import GroupConv2D
from galaxycnn.optimizers import make_optimizer
from galaxycnn.training import precision
from galaxycnn.training.callbacks import AverageWeights

EVERYTHING = [
    {},
    {"optimizer": "sgd", "clip_norm": 0.5},
    {"optimizer": "adamw", "weight_decay": 0.5, "average_weights": 0.9},
    {"optimizer": "sgd", "average_weights": 0.5, "accumulate_batches": 2},
    {"optimizer": "adamw", "weight_decay": 0.1, "accumulate_batches": 2, "clip_norm": 1.0},
    {"optimizer": "muon"},
    {"optimizer": "muon", "weight_decay": 0.1, "average_weights": 0.9, "accumulate_batches": 2, "clip_norm": 1.0},
    {"schedule": {"name": "plateau", "warmup_epochs": 2}},
    {"schedule": {"name": "step", "epochs": [1, 3], "factor": 0.1, "warmup_epochs": 1}},
]


def dense() -> keras.layers.Dense:
    layer = keras.layers.Dense(3)
    layer.build((None, 2))
    layer.set_weights([np.arange(1, 7).reshape(2, 3) / 4, np.arange(1, 4) / 2])
    return layer


def gradients(count: int) -> list[list[np.ndarray]]:
    rng = np.random.default_rng(0)
    return [[rng.normal(size=(2, 3)).astype("float32"), rng.normal(size=3).astype("float32")] for _ in range(count)]


def updated(train: dict[str, Any], count: int, steps: int = 2, rates: list[Rate] | None = None) -> list[np.ndarray]:
    """The kernel and bias of a small layer after ``count`` batches, with their averages where there are some."""
    layer = dense()
    optimizer = make_optimizer(TrainParams.model_validate({"epochs": 4, **train}), steps, rates or [])
    optimizer.build(layer.trainable_variables)
    for batch in gradients(count):
        optimizer.apply([keras.ops.convert_to_tensor(g) for g in batch], layer.trainable_variables)
    weights = layer.get_weights()
    if train.get("average_weights"):
        optimizer.swap_averages()
        weights += layer.get_weights()
    return weights


def first_weights() -> list[np.ndarray]:
    return dense().get_weights()


def sgd_by_hand(rate: list[float], momentum: float = 0.9) -> list[list[np.ndarray]]:
    """Weights after every update of Nesterov's method with these learning rates."""
    weights, velocity, path = first_weights(), [0.0, 0.0], []
    for lr, batch in zip(rate, gradients(len(rate)), strict=True):
        velocity = [momentum * v - lr * g for v, g in zip(velocity, batch, strict=True)]
        weights = [w + momentum * v - lr * g for w, v, g in zip(weights, velocity, batch, strict=True)]
        path.append(weights)
    return path


def same(found: list[np.ndarray], expected: list[np.ndarray]) -> None:
    assert len(found) == len(expected)
    for one, other in zip(found, expected, strict=True):
        np.testing.assert_allclose(one, other, rtol=1e-5, atol=1e-6)


def test_plain_settings_take_the_optimizers_of_keras() -> None:
    assert type(make_optimizer(TrainParams(), 10, [Rate()] * 3)) is keras.optimizers.Adam
    assert type(make_optimizer(TrainParams(optimizer="sgd", clip_norm=1.0), 10)) is keras.optimizers.SGD


def test_sgd_is_nesterovs_with_momentum() -> None:
    same(updated({"optimizer": "sgd", "learning_rate": 0.1}, 3), sgd_by_hand([0.1] * 3)[-1])


def test_the_winners_schedule_falls_at_the_given_epochs() -> None:
    step = {"name": "step", "epochs": [1, 3], "factor": 0.1}
    rates = [0.04] * 2 + [0.004] * 4 + [0.0004] * 2
    found = updated({"optimizer": "sgd", "learning_rate": 0.04, "schedule": step}, 8)
    same(found, sgd_by_hand(rates)[-1])


@pytest.mark.parametrize("schedule", [{"name": "plateau"}, {"name": "step", "epochs": [3]}])
def test_warm_up_raises_the_rate_in_proportion(schedule: dict[str, Any]) -> None:
    found = updated({"optimizer": "sgd", "learning_rate": 0.1, "schedule": {**schedule, "warmup_epochs": 2}}, 6)
    same(found, sgd_by_hand([0.025, 0.05, 0.075, 0.1, 0.1, 0.1])[-1])


def test_weight_decay_leaves_vectors_alone_and_follows_the_factor() -> None:
    train = {"optimizer": "adamw", "learning_rate": 0.1, "weight_decay": 0.5}
    kernel, bias = updated(train, 1, rates=[Rate(0.5), Rate(0.5)])
    plain = updated({"learning_rate": 0.05}, 1)
    same([bias], plain[1:])
    same([kernel], [plain[0] - 0.05 * 0.5 * first_weights()[0]])


def test_weight_decay_is_that_of_keras() -> None:
    reference = keras.optimizers.AdamW(0.01, weight_decay=0.3)
    layer = dense()
    reference.exclude_from_weight_decay([layer.bias])
    for batch in gradients(4):
        reference.apply(batch, layer.trainable_variables)
    same(updated({"optimizer": "adamw", "learning_rate": 0.01, "weight_decay": 0.3}, 4), layer.get_weights())


@pytest.mark.skipif(
    [int(number) for number in keras.__version__.split(".")[:2]] < [3, 13],
    reason="Keras' own had other sizes before 3.13",
)
def test_muon_is_that_of_keras_for_a_matrix_and_adam_for_a_vector() -> None:
    reference = keras.optimizers.Muon(0.1, weight_decay=None, adam_weight_decay=None)
    layer = dense()
    for batch in gradients(4):
        reference.apply(batch, layer.trainable_variables)
    found = updated({"optimizer": "muon", "learning_rate": 0.1}, 4)
    same(found, layer.get_weights())
    same(found[1:], updated({"learning_rate": 0.1}, 4)[1:])


@pytest.mark.parametrize(
    ("layer", "matrix"),
    [
        (keras.layers.Conv2D(3, 3, use_bias=False), (18, 3)),
        (GroupConv2D(3, 3, posed=False), (18, 3)),
        (keras.layers.Conv2D(32, 3, use_bias=False), (18, 32)),
    ],
)
def test_muon_moves_the_kernel_of_a_convolution_alike_in_all_directions(
    layer: keras.layers.Layer, matrix: tuple[int, int]
) -> None:
    layer.build((None, 8, 8, 2))
    (before,) = layer.get_weights()
    gradient = np.random.default_rng(0).normal(size=before.shape).astype("float32")
    optimizer = make_optimizer(TrainParams(optimizer="muon", learning_rate=0.1), 2)
    optimizer.apply([keras.ops.convert_to_tensor(gradient)], layer.trainable_variables)
    moved = (before - layer.get_weights()[0]).reshape(matrix)
    lengths = np.linalg.svd(moved, compute_uv=False) / (0.1 * 0.2 * math.sqrt(max(matrix)))
    assert ((lengths > 0.6) & (lengths < 1.3)).all()
    assert np.linalg.cond(gradient.reshape(matrix)) > lengths.max() / lengths.min()
    assert (moved * gradient.reshape(matrix)).sum() > 0


def test_muon_leaves_depthwise_convolutions_to_adam() -> None:
    found = []
    for name in ("muon", "adam"):
        layer = keras.layers.DepthwiseConv2D(3, depthwise_initializer="ones", use_bias=False)
        layer.build((None, 8, 8, 2))
        gradient = keras.ops.convert_to_tensor(np.random.default_rng(0).normal(size=(3, 3, 2, 1)).astype("float32"))
        make_optimizer(TrainParams(optimizer=name), 2).apply([gradient], layer.trainable_variables)
        found.append(layer.get_weights())
    same(*found)


@pytest.mark.parametrize("optimizer", ["adam", "muon", "sgd"])
def test_a_frozen_weight_begins_to_learn_in_its_epoch(optimizer: str) -> None:
    train, rates = {"optimizer": optimizer, "learning_rate": 0.1}, [Rate(0.5, from_epoch=1), Rate()]
    still = updated(train, 2, rates=rates)
    np.testing.assert_array_equal(still[0], first_weights()[0])
    moving = updated(train, 3, rates=rates)
    assert (moving[0] != still[0]).all()
    same(moving[1:], updated(train, 3)[1:])


@settings(max_examples=10)
@given(decay=st.floats(0.05, 0.999), count=st.integers(1, 12))
def test_the_average_begins_at_the_first_weights_and_slows_down(decay: float, count: int) -> None:
    path = sgd_by_hand([0.1] * count)
    average = path[0]
    for t, weights in enumerate(path):
        d = min(decay, t / (t + 9))
        average = [d * a + (1 - d) * w for a, w in zip(average, weights, strict=True)]
    same(updated({"optimizer": "sgd", "learning_rate": 0.1, "average_weights": decay}, count), [*path[-1], *average])


def test_accumulated_batches_are_one_update_of_their_mean() -> None:
    train = {"optimizer": "sgd", "learning_rate": 0.1, "average_weights": 0.9}
    layer = dense()
    optimizer = make_optimizer(TrainParams.model_validate(train), 2)
    a, b, c, d = gradients(4)
    for one, other in ((a, b), (c, d)):
        optimizer.apply([(g + h) / 2 for g, h in zip(one, other, strict=True)], layer.trainable_variables)
    expected = layer.get_weights()
    optimizer.swap_averages()
    same(updated({**train, "accumulate_batches": 2}, 4), expected + layer.get_weights())
    same(updated({**train, "accumulate_batches": 2}, 5), expected + layer.get_weights())


def test_epochs_and_schedules_mean_the_same_with_accumulated_batches() -> None:
    train = {"optimizer": "sgd", "learning_rate": 0.1, "accumulate_batches": 2}
    rates = [Rate(1.0, from_epoch=2), Rate()]
    np.testing.assert_array_equal(updated(train, 8, steps=4, rates=rates)[0], first_weights()[0])
    assert (updated(train, 10, steps=4, rates=rates)[0] != first_weights()[0]).all()
    whole = make_optimizer(TrainParams.model_validate({**train, "epochs": 3, "schedule": {"name": "cosine"}}), 4)
    layer = dense()
    for batch in gradients(12):
        whole.apply(batch, layer.trainable_variables)
    assert float(whole.learning_rate) == pytest.approx(0.001)


def test_clipping_is_by_the_norm_of_all_gradients_together() -> None:
    batch = gradients(1)[0]
    norm = math.sqrt(sum(float((g**2).sum()) for g in batch))
    found = updated({"optimizer": "sgd", "learning_rate": 0.1, "clip_norm": norm / 4}, 1)
    same(found, sgd_by_hand([0.1 / 4])[-1])


@pytest.mark.parametrize("train", EVERYTHING)
def test_a_saved_network_reloads_with_its_optimizer(train: dict[str, Any], tmp_path: Path) -> None:
    model = keras.Sequential([keras.Input((2,)), dense()])
    rates = [Rate(0.1, from_epoch=1), Rate()]
    model.compile(make_optimizer(TrainParams.model_validate(train), 2, rates), "mean_squared_error")
    x, y = np.ones((8, 2)), np.zeros((8, 3))
    model.fit(x, y, batch_size=2, verbose=0)
    model.save(tmp_path / "model.keras")
    again = keras.saving.load_model(tmp_path / "model.keras")
    for each in (model, again):
        each.fit(x, y, batch_size=2, verbose=0, shuffle=False)
    same(again.get_weights(), model.get_weights())
    same([v.numpy() for v in again.optimizer.variables], [v.numpy() for v in model.optimizer.variables])


@pytest.mark.parametrize(
    ("train", "sentence"),
    [
        ({"weight_decay": 0.1}, "'weight_decay' belongs to the optimizers 'adamw' and 'muon', not to 'adam'"),
        ({"optimizer": "adamw"}, "the optimizer 'adamw' needs a 'weight_decay', for example 0.05"),
        ({"average_weights": 1.0}, "average_weights"),
        ({"average_weights": 0.0}, "average_weights"),
        ({"clip_norm": 0.0}, "clip_norm"),
        ({"optimizer": "adamax"}, "adam"),
        ({"schedule": {"name": "step"}}, "the schedule 'step' needs 'epochs', for example"),
        ({"schedule": {"name": "step", "epochs": [3, 2]}}, "'epochs' must rise from one to the next, unlike"),
        ({"schedule": {"name": "plateau", "epochs": [3]}}, "'epochs' belongs to the schedule 'step', not to 'plateau'"),
        ({"schedule": {"warmup_epochs": 2}}, "'warmup_epochs' belongs to the schedule 'cosine' or "),
    ],
)
def test_settings_that_do_not_go_together_are_told(train: dict[str, Any], sentence: str) -> None:
    values = {"paths": {"images_path": "x"}, "model_name": "m", "model_params": {}, "train_params": train}
    with pytest.raises(ConfigError, match="train_params") as raised:
        load_config(values)
    assert sentence in str(raised.value)


def test_xla_trains_alike() -> None:
    train = {"optimizer": "adamw", "weight_decay": 0.1, "average_weights": 0.9, "accumulate_batches": 2}
    weights = []
    for xla in (False, True):
        model = keras.Sequential([keras.Input((2,)), dense()])
        optimizer = make_optimizer(TrainParams.model_validate(train), 2, [Rate(0.1, from_epoch=1), Rate()])
        model.compile(optimizer, "mean_squared_error", jit_compile=xla)
        model.fit(np.ones((8, 2)), np.zeros((8, 3)), batch_size=2, epochs=2, verbose=0)
        weights.append([variable.numpy() for variable in (*model.weights, *optimizer.variables)])
    same(*weights)


@pytest.mark.parametrize(
    ("model_type", "gpus", "bfloat16", "policy"),
    [
        ("base", ["gpu:0"], True, "mixed_float16"),
        ("base", [], True, "mixed_bfloat16"),
        ("base", [], False, "float32"),
        ("efficientnet_lite0", [], True, "float32"),
    ],
)
def test_automatic_precision_is_what_the_machine_is_fast_at(
    monkeypatch: pytest.MonkeyPatch, model_type: str, gpus: list[str], bfloat16: bool, policy: str
) -> None:
    monkeypatch.setattr(precision, "gpus", lambda: gpus)
    monkeypatch.setattr(precision, "is_fast_in_bfloat16", lambda: bfloat16)
    values = {"paths": {"images_path": "x"}, "model_name": "m", "model_params": {"model_type": model_type}}
    asked = {name: load_config({**values, "train_params": {"precision": name}}) for name in ("auto", "float32")}
    with precision.precision(asked["auto"]):
        assert keras.config.dtype_policy().name == policy
    assert precision.dtype_policy(asked["float32"]) == keras.config.dtype_policy().name == "float32"


@pytest.mark.parametrize(
    ("vendor", "flags", "fast"),
    [
        ("AuthenticAMD", "fpu avx512_bf16 la57", True),
        ("GenuineIntel", "fpu avx512_bf16 amx_bf16 amx_tile", True),
        ("GenuineIntel", "fpu avx512_bf16 la57", False),
        ("AuthenticAMD", "avx512f avx512_vnni", False),
    ],
)
def test_linux_tells_whether_a_processor_is_faster_in_bfloat16(
    vendor: str, flags: str, fast: bool, tmp_path: Path
) -> None:
    cpuinfo = tmp_path / "cpuinfo"
    cpuinfo.write_text(f"processor\t: 0\nvendor_id\t: {vendor}\nflags\t\t: {flags}\nbugs\t\t: spectre_v1\n")
    assert precision.is_fast_in_bfloat16(cpuinfo) == fast
    assert not precision.is_fast_in_bfloat16(tmp_path / "absent")


def fitted_by_everything() -> dict[str, np.ndarray]:
    """What a fit with each of EVERYTHING makes of the weights, on the backend of the process."""
    found, rates = {}, [Rate(0.1, from_epoch=1), Rate(0.5)]
    for i, train in enumerate(EVERYTHING):
        model = keras.Sequential([keras.Input((2,)), dense()])
        model.compile(make_optimizer(TrainParams.model_validate(train), 2, rates), "mean_squared_error")
        data = np.ones((8, 2)), np.zeros((8, 3))
        averaging = [AverageWeights()] if "average_weights" in train else []
        model.fit(*data, validation_data=data, batch_size=2, epochs=2, verbose=0, callbacks=averaging)
        found[f"kept {i}"] = model.get_weights()
        validated = model.history.history["val_loss"][-1]
        assert model.evaluate(*data, verbose=0) == pytest.approx(validated)
        if averaging:
            model.optimizer.swap_averages()
            found[f"not averaged {i}"] = model.get_weights()
            assert model.evaluate(*data, verbose=0) != pytest.approx(validated)
    return {f"{name} {i}": array for name, arrays in found.items() for i, array in enumerate(arrays)}


@pytest.mark.parametrize("backend", ["jax", "torch"])
def test_updates_agree_on_other_backends(backend: str, tmp_path: Path) -> None:
    needs(backend)
    there, here = run_on(backend, fitted_by_everything, tmp_path), fitted_by_everything()
    assert here.keys() == there.keys()
    for name in here:
        np.testing.assert_allclose(there[name], here[name], rtol=1e-4, atol=1e-5, err_msg=name)
