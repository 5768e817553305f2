"""Augmentation of cutouts, and the batches that are made of them."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import keras
import numpy as np
import pytest
from backends import needs, run_on
from hypothesis import given, settings
from hypothesis import strategies as st
from pydantic import ValidationError
from scipy.ndimage import gaussian_filter

from galaxycnn.config.schema import DataAugmentation
from galaxycnn.data.augmentation import BORDERS, Augmenter, affine_matrices, warp
from galaxycnn.data.generator import MultiOutputDataGenerator
from galaxycnn.errors import DataError
from galaxycnn.registry import AUGMENTATIONS
from galaxycnn.training.streaming import stream


def noise(n: int = 1, height: int = 20, width: int = 24, channels: int = 3, seed: int = 0) -> np.ndarray:
    return np.random.default_rng(seed).integers(0, 256, (n, height, width, channels), dtype=np.uint8)


def blob(size: int = 65, x: float = 0.0, y: float = 0.0, axis_ratio: float = 0.6) -> np.ndarray:
    """One galaxy-like elliptical Gaussian, ``x`` right of and ``y`` below the centre, as a batch of one."""
    rows, columns = np.mgrid[:size, :size] - (size - 1) / 2
    light = 200 * np.exp(-0.5 * (((columns - x) / 6) ** 2 + ((rows - y) / (6 * axis_ratio)) ** 2))
    return np.rint(light).astype(np.uint8)[None, :, :, None]


def moments(image: np.ndarray) -> tuple[float, float, float, float]:
    """Total light, x and y of its centre from the image's centre, and its axis ratio."""
    light = image.astype(float).sum(axis=-1)
    rows, columns = np.mgrid[: light.shape[0], : light.shape[1]]
    rows, columns = rows - (light.shape[0] - 1) / 2, columns - (light.shape[1] - 1) / 2
    total = light.sum()
    x, y = (light * columns).sum() / total, (light * rows).sum() / total
    covariance = np.cov(np.stack([columns.ravel(), rows.ravel()]), aweights=light.ravel())
    low, high = np.linalg.eigvalsh(covariance)
    return total, x, y, float(np.sqrt(low / high))


def augmented(images: np.ndarray, seed: int = 48, **changes: object) -> np.ndarray:
    return Augmenter(DataAugmentation(**changes), images.shape[1:])(images, np.random.default_rng(seed))


# -- the warp ------------------------------------------------------------------------------------


@pytest.mark.parametrize("fill_mode", BORDERS)
@pytest.mark.parametrize("channels", [1, 3])
def test_the_identity_is_exact(fill_mode: str, channels: int) -> None:
    images = noise(3, channels=channels)
    assert np.array_equal(warp(images, affine_matrices(images.shape[1:], angle=[0.0] * 3), fill_mode), images)


@pytest.mark.parametrize("size", [20, 21])
@pytest.mark.parametrize("quarters", [1, 2, 3, -1])
def test_quarter_turns_are_rot90(size: int, quarters: int) -> None:
    images = noise(2, size, size)
    turned = warp(images, np.repeat(affine_matrices((size, size), angle=90.0 * quarters), 2, axis=0))
    assert np.array_equal(turned, np.rot90(images, quarters, axes=(1, 2)))


def test_flips_mirror_the_named_axis_only() -> None:
    images = noise(4)
    matrices = affine_matrices(images.shape[1:], flip_x=[0, 1, 0, 1], flip_y=[0, 0, 1, 1])
    expected = [images[0], np.fliplr(images[1]), np.flipud(images[2]), np.rot90(images[3], 2)]
    assert np.array_equal(warp(images, matrices), expected)


@pytest.mark.parametrize("quarters", [1, 2, 3])
@pytest.mark.parametrize(("flip_x", "flip_y"), [(True, False), (False, True)])
def test_a_flip_mirrors_what_has_been_turned(quarters: int, flip_x: bool, flip_y: bool) -> None:
    images = noise(1, 21, 21)
    changed = warp(images, affine_matrices((21, 21), angle=90 * quarters, flip_x=flip_x, flip_y=flip_y))
    assert np.array_equal(changed, np.flip(np.rot90(images, quarters, axes=(1, 2)), axis=2 if flip_x else 1))


def test_shear_leans_the_vertical_as_in_keras_2() -> None:
    degrees = np.deg2rad(20)
    expected = [[1, -np.sin(degrees), 16 * np.sin(degrees)], [0, np.cos(degrees), 16 * (1 - np.cos(degrees))]]
    assert affine_matrices((33, 33), shear=20)[0] == pytest.approx(np.array(expected))


@pytest.mark.parametrize(("x", "y"), [(3, 0), (0, 5), (-2, 4)])
@pytest.mark.parametrize("angle", [0, 90])
def test_a_shift_moves_the_centre_right_and_down_by_its_pixels_whatever_the_rotation(
    x: int, y: int, angle: int
) -> None:
    images = noise(1, 21, 21)
    moved = warp(images, affine_matrices((21, 21), angle=angle, shift_x=x, shift_y=y), "constant")
    padded = np.zeros_like(images)
    turned = np.rot90(images, angle // 90, axes=(1, 2))
    padded[:, max(y, 0) : 21 + y, max(x, 0) : 21 + x] = turned[:, max(-y, 0) : 21 - y, max(-x, 0) : 21 - x]
    assert np.array_equal(moved, padded)


@pytest.mark.parametrize(
    ("fill_mode", "padding"),
    [("nearest", "edge"), ("reflect", "symmetric"), ("wrap", "wrap"), ("constant", "constant")],
)
def test_the_warp_is_bicubic_interpolation_at_the_stated_positions(fill_mode: str, padding: str) -> None:
    images, rng = gaussian_filter(noise(12), (0, 1.5, 1.5, 0)), np.random.default_rng(1)
    height, width = images.shape[1:3]
    draw = rng.uniform(-1, 1, (5, 12))
    matrices = affine_matrices(
        (height, width),
        angle=180 * draw[0],
        shift_x=4 * draw[1],
        shift_y=4 * draw[2],
        shear=20 * draw[3],
        zoom=1 + 0.3 * draw[4],
        flip_x=rng.random(12) < 0.5,
    )
    rows, columns = np.mgrid[:height, :width]
    pad = 3 * width
    for image, matrix, result in zip(images, matrices, warp(images, matrices, fill_mode), strict=True):
        source = np.einsum("ij,jhw->ihw", matrix, np.stack([columns, rows, np.ones_like(rows)]))
        x, y = np.floor(source).astype(int)
        weights_x, weights_y = keys_weights(source % 1)
        padded = np.pad(image, ((pad, pad), (pad, pad), (0, 0)), padding)
        expected = sum(
            (weights_y[j] * weights_x[i])[..., None] * padded[y + j - 1 + pad, x + i - 1 + pad]
            for i in range(4)
            for j in range(4)
        )
        # OpenCV 4 rounds positions to 1/32 of a pixel, OpenCV 5 does not.
        difference = np.abs(np.clip(expected, 0, 255) - result)
        assert difference.max() <= 4 and difference.mean() <= 0.5


def keys_weights(fraction: np.ndarray, a: float = -0.75) -> np.ndarray:
    """The four weights of the cubic convolution kernel of Keys (1981): (2, H, W) -> (2, 4, H, W)."""
    d = np.stack([1 + fraction, fraction, 1 - fraction, 2 - fraction], axis=1)
    inner, outer = ((a + 2) * d - (a + 3)) * d**2 + 1, ((a * d - 5 * a) * d + 8 * a) * d - 4 * a
    return np.where(d <= 1, inner, outer)


@pytest.mark.parametrize("angle", [10, 45, 137])
def test_a_rotated_galaxy_keeps_its_light_centre_and_shape(angle: int) -> None:
    before, after = (moments(image[0]) for image in (blob(), warp(blob(), affine_matrices((65, 65), angle=angle))))
    assert after[0] == pytest.approx(before[0], rel=2e-3)
    assert after[1:3] == pytest.approx((0, 0), abs=0.01)
    assert after[3] == pytest.approx(before[3], abs=5e-3)


def test_a_zoom_above_one_shows_a_smaller_galaxy_of_the_same_shape() -> None:
    before, after = (moments(image[0]) for image in (blob(), warp(blob(), affine_matrices((65, 65), zoom=1.25))))
    assert after[0] == pytest.approx(before[0] / 1.25**2, rel=5e-3)
    assert after[3] == pytest.approx(before[3], abs=0.01)


def test_an_unknown_fill_mode_names_the_nearest() -> None:
    with pytest.raises(DataError, match="'reflect'"):
        warp(noise(), affine_matrices((20, 24)), "reflekt")


# -- what is drawn -------------------------------------------------------------------------------


@pytest.mark.parametrize(("key", "moving", "still"), [("width_shift_range", 1, 2), ("height_shift_range", 2, 1)])
@pytest.mark.parametrize("limit", [0.1, 6.5])
def test_width_shifts_move_along_x_and_height_shifts_along_y_within_their_range(
    key: str, moving: int, still: int, limit: float
) -> None:
    centres = np.array([moments(image) for image in augmented(np.repeat(blob(), 200, axis=0), **{key: limit})])
    assert np.abs(centres[:, still]).max() < 0.02
    assert 0.95 * 6.5 < np.abs(centres[:, moving]).max() < 6.55


def test_rotation_stays_within_its_range_and_reaches_both_ends() -> None:
    augment = Augmenter(DataAugmentation(rotation_range=25), (9, 9, 1))
    matrices = augment.draw_matrices(2000, np.random.default_rng(0))
    angles = np.rad2deg(np.arctan2(matrices[:, 1, 0], matrices[:, 0, 0]))
    assert -25 <= angles.min() < -24.5 and 24.5 < angles.max() <= 25


def test_zoom_has_one_factor_per_galaxy_within_its_range() -> None:
    augment = Augmenter(DataAugmentation(zoom_range=0.2), (9, 9, 1))
    matrices = augment.draw_matrices(2000, np.random.default_rng(0))
    zoom = matrices[:, 0, 0]
    assert np.array_equal(zoom, matrices[:, 1, 1])
    assert 0.8 <= zoom.min() < 0.81 and 1.19 < zoom.max() <= 1.2


def test_flips_happen_to_half_of_the_galaxies() -> None:
    images = noise(400)
    flipped = augmented(images, horizontal_flip=True)
    mirrored = (flipped == images[:, :, ::-1]).all(axis=(1, 2, 3))
    same = (flipped == images).all(axis=(1, 2, 3))
    assert (mirrored | same).all() and 150 < mirrored.sum() < 250


@pytest.mark.parametrize("channels", [1, 3])
def test_brightness_multiplies_all_channels(channels: int) -> None:
    images = np.full((300, 8, 8, channels), 100, dtype=np.uint8)
    levels = augmented(images, brightness_range=[0.5, 1.5])
    assert (levels == levels[:, :1, :1, :1]).all()
    assert 50 <= levels.min() < 55 and 145 < levels.max() <= 150


def test_colour_noise_follows_the_principal_colour_axis() -> None:
    shifts = augmented(np.full((2000, 4, 4, 3), 128, dtype=np.uint8), colour_noise=0.1)[:, 0, 0].astype(float) - 128
    assert np.sqrt((shifts**2).sum(axis=1).mean()) == pytest.approx(25.5, rel=0.05)
    direction = np.linalg.svd(shifts)[2][0]
    assert direction / direction[0] == pytest.approx([1, 0.0125 / 0.0148, 0.0104 / 0.0148], abs=0.01)


@given(
    changes=st.fixed_dictionaries(
        {},
        optional={
            "rotation_range": st.floats(0, 360),
            "width_shift_range": st.floats(0, 30),
            "height_shift_range": st.floats(0, 30),
            "shear_range": st.floats(0, 80),
            "zoom_range": st.floats(0, 0.9),
            "horizontal_flip": st.booleans(),
            "vertical_flip": st.booleans(),
            "fill_mode": st.sampled_from(["nearest", "reflect", "wrap"]),
        },
    ),
    shape=st.tuples(st.integers(1, 5), st.integers(3, 40), st.integers(3, 40), st.sampled_from([1, 3])),
    level=st.integers(0, 255),
    seed=st.integers(0, 2**32),
)
@settings(max_examples=60, deadline=None)
def test_a_blank_sky_stays_blank_under_any_geometry(changes: dict, shape: tuple, level: int, seed: int) -> None:
    sky = np.full(shape, level, dtype=np.uint8)
    changed = augmented(sky, seed, **changes)
    assert changed.dtype == np.uint8 and np.array_equal(changed, sky)


# -- named sets ----------------------------------------------------------------------------------


@pytest.mark.parametrize("name", AUGMENTATIONS)
@pytest.mark.parametrize("channels", [1, 3])
def test_every_named_set_changes_cutouts_and_leaves_the_originals_alone(name: str, channels: int) -> None:
    images = noise(16, 32, 32, channels)
    kept = images.copy()
    changed = augmented(images, preset=name)
    assert changed.shape == images.shape and changed.dtype == np.uint8
    assert np.array_equal(images, kept) and not np.shares_memory(changed, images)
    assert np.array_equal(changed, images) == (name == "none")
    assert np.array_equal(changed, augmented(images, preset=name))
    assert not np.array_equal(changed, augmented(images, seed=49, preset=name)) or name == "none"
    assert AUGMENTATIONS[name].description


def test_explicit_keys_win_over_the_preset_and_null_switches_off() -> None:
    given = DataAugmentation(preset="dieleman", rotation_range=10, horizontal_flip=None)
    changed = {"preset": "dieleman", "rotation_range": 10.0, "horizontal_flip": None}
    assert given == AUGMENTATIONS["dieleman"].settings.model_copy(update=changed)


def test_an_unknown_preset_names_the_nearest() -> None:
    with pytest.raises(ValidationError, match="did you mean 'dieleman'"):
        DataAugmentation(preset="dielemann")


def test_the_augmenter_refuses_other_images_than_it_was_made_for() -> None:
    with pytest.raises(DataError, match=r"uint8 images of shape \(n, 20, 24, 3\), not float64"):
        Augmenter(DataAugmentation(), (20, 24, 3))(noise().astype(float), np.random.default_rng(0))


# -- batches -------------------------------------------------------------------------------------


def generator(n: int = 23, **options: object) -> MultiOutputDataGenerator:
    """A generator whose targets say which image each row is."""
    options = {"targets": np.arange(n, dtype="float32")[:, None], "batch_size": 5} | options
    return MultiOutputDataGenerator(noise(n, 12, 12), **options)


def fingerprint(batch: tuple) -> str:
    return hashlib.sha256(b"".join(np.ascontiguousarray(leaf) for leaf in keras.tree.flatten(batch))).hexdigest()


def test_an_epoch_serves_every_galaxy_once_with_its_own_target() -> None:
    batches = generator()
    images, targets = (np.concatenate(parts) for parts in zip(*batches, strict=True))
    assert [len(batch[0]) for batch in batches] == [5, 5, 5, 5, 3]
    assert sorted(targets[:, 0]) == list(range(23))
    assert np.array_equal(images, batches.images[targets[:, 0].astype(int)])


def test_without_shuffling_the_order_of_rows_is_kept() -> None:
    rows = [9, 2, 7, 2, 0, 11]
    served = generator(12, rows=rows, targets=None, shuffle=False)
    assert np.array_equal(np.concatenate([images for (images,) in served]), served.images[rows])


def test_epochs_differ_in_order_and_change_and_repeat_exactly() -> None:
    batches = generator(augmentation=DataAugmentation(preset="strong"))
    first = [fingerprint(batch) for batch in batches]
    batches.on_epoch_end()
    second = [fingerprint(batch) for batch in batches]
    assert not set(first) & set(second)
    assert second == [
        fingerprint(generator(augmentation=DataAugmentation(preset="strong"), first_epoch=1)[i]) for i in range(5)
    ]
    assert fingerprint(batches[0]) != fingerprint(generator(augmentation=DataAugmentation(preset="strong"), seed=1)[0])


def test_two_batches_of_an_epoch_are_changed_differently() -> None:
    same = np.repeat(noise(1, 12, 12), 10, axis=0)
    first, second = MultiOutputDataGenerator(same, batch_size=5, augmentation=DataAugmentation(preset="dieleman"))
    assert not np.array_equal(first, second)


def test_an_unshuffled_epoch_still_changes_the_images_anew() -> None:
    batches = generator(augmentation=DataAugmentation(preset="dieleman"), shuffle=False)
    assert fingerprint(batches.batch(0, 0)) != fingerprint(batches.batch(1, 0))


def test_threads_and_the_order_of_asking_change_nothing() -> None:
    batches = generator(augmentation=DataAugmentation(preset="seed_task1"))
    keys = [(epoch, index) for epoch in range(4) for index in range(5)]
    expected = [fingerprint(batches.batch(*key)) for key in keys]
    with ThreadPoolExecutor(4) as pool:
        shuffled = np.random.default_rng(0).permutation(len(keys))
        found = dict(zip(shuffled, pool.map(lambda k: fingerprint(batches.batch(*keys[k])), shuffled), strict=True))
    assert [found[k] for k in range(len(keys))] == expected


def test_a_memory_map_serves_the_same_batches(tmp_path: Path) -> None:
    in_memory = generator(augmentation=DataAugmentation(preset="dieleman"))
    np.save(tmp_path / "cutouts.npy", in_memory.images)
    mapped = MultiOutputDataGenerator(
        np.load(tmp_path / "cutouts.npy", mmap_mode="r"), in_memory.targets, 5, DataAugmentation(preset="dieleman")
    )
    assert [fingerprint(batch) for batch in mapped] == [fingerprint(batch) for batch in in_memory]
    assert type(mapped[0][0]) is np.ndarray
    assert all((np.diff(targets[:, 0]) > 0).all() for _, targets in mapped), "a batch reads the file forwards"


def test_outputs_and_their_weights_stay_with_their_galaxies() -> None:
    ids = np.arange(23, dtype="float32")
    batches = generator(
        targets={"Class1": np.stack([ids] * 3, axis=1), "Class7": np.stack([ids + 0.5] * 2, axis=1)},
        sample_weights={"Class1": ids, "Class7": ids * 2},
    )
    for images, targets, weights in batches:
        assert np.array_equal(images, batches.images[weights["Class1"].astype(int)])
        assert np.array_equal(targets["Class1"][:, 0], weights["Class1"])
        assert np.array_equal(targets["Class7"][:, 1] - 0.5, weights["Class1"])
        assert np.array_equal(weights["Class7"], 2 * weights["Class1"])


@pytest.mark.parametrize(
    ("options", "message"),
    [
        (
            {"targets": [np.zeros((23, 3)), np.zeros((23, 2))]},
            "dict with one array per output name; Keras cannot fit a list",
        ),
        ({"targets": {"Class1": np.zeros((22, 3))}}, r"targets\['Class1'\] has shape \(22, 3\), but 23 galaxies"),
        ({"rows": [0, 23], "targets": None}, "rows go from 0 to 23, but there are 23 images"),
        ({"rows": [], "targets": None}, "no galaxies"),
        ({"rows": [0.5], "targets": None}, "list of positions, not float64"),
        ({"batch_size": 0}, "at least 1"),
        ({"targets": None, "sample_weights": np.ones(23)}, "sample_weights need targets"),
        ({"sample_weights": np.ones(3)}, r"sample_weights has shape \(3,\)"),
    ],
)
def test_bad_input_is_one_clear_sentence(options: dict, message: str) -> None:
    with pytest.raises(DataError, match=message):
        generator(**options)


def test_float_images_are_refused() -> None:
    with pytest.raises(DataError, match="images must be uint8"):
        MultiOutputDataGenerator(noise().astype("float32"))


def test_a_batch_beyond_the_last_is_an_index_error() -> None:
    with pytest.raises(IndexError, match="5 batches"):
        generator()[5]


# -- in Keras ------------------------------------------------------------------------------------


class Recorder(keras.callbacks.Callback):
    """Notes the targets of each batch that the loss sees, epoch by epoch."""

    def __init__(self) -> None:
        super().__init__()
        self.epochs: list[list[list[float]]] = []

    def on_epoch_begin(self, epoch: int, logs: dict | None = None) -> None:
        self.epochs.append([])

    def loss(self, true, predicted):
        if self.epochs:
            self.epochs[-1].append(keras.ops.convert_to_numpy(true)[:, 0].tolist())
        return keras.ops.mean(keras.ops.square(predicted), axis=-1)


def train(
    batches: MultiOutputDataGenerator,
    epochs: int = 3,
    initial_epoch: int = 0,
    served: Callable[[MultiOutputDataGenerator], Any] = lambda batches: batches,
) -> list[list[list[float]]]:
    """Fit a tiny network and return the targets of each batch of each epoch, as the loss saw them."""
    network = keras.Sequential([keras.Input((12, 12, 3)), keras.layers.Rescaling(1 / 255), keras.layers.Flatten()])
    network.add(keras.layers.Dense(1))
    recorder = Recorder()
    network.compile("sgd", recorder.loss, run_eagerly=True)
    callbacks = [recorder, batches.epoch_callback]
    network.fit(
        served(batches), epochs=epochs, initial_epoch=initial_epoch, shuffle=False, callbacks=callbacks, verbose=0
    )
    return recorder.epochs


def expected_targets(batches: MultiOutputDataGenerator, epochs: range) -> list[list[list[float]]]:
    return [[batches.batch(e, i)[1][:, 0].tolist() for i in range(len(batches))] for e in epochs]


@pytest.mark.parametrize("n", [4, 8, 23])
def test_fit_sees_the_batches_of_each_epoch_in_order(n: int) -> None:
    assert train(generator(n)) == expected_targets(generator(n), range(3))


def test_a_resumed_fit_sees_the_batches_that_it_would_have_seen() -> None:
    assert train(generator(), epochs=4, initial_epoch=2) == train(generator(), epochs=4)[2:]


def test_a_second_fit_of_the_same_generator_follows_its_own_epochs() -> None:
    batches = generator()
    assert train(batches) == train(batches)


def test_several_outputs_with_weights_train_and_predict_by_name() -> None:
    images = keras.Input((12, 12, 3))
    features = keras.layers.Flatten()(keras.layers.Rescaling(1 / 255)(images))
    outputs = {
        "Class1": keras.layers.Dense(3, name="Class1")(features),
        "Class2": keras.layers.Dense(2, name="Class2")(features),
    }
    network = keras.Model(images, outputs)
    network.compile(keras.optimizers.SGD(0.0), "mean_squared_error")
    targets = {"Class1": np.full((23, 3), 1e3, "float32"), "Class2": np.zeros((23, 2), "float32")}
    served = generator(targets=targets, sample_weights={"Class1": np.zeros(23), "Class2": np.ones(23)})
    network.fit(served, shuffle=False, verbose=0)
    weighted = network.evaluate(served, verbose=0, return_dict=True)
    predicted = network.predict(generator(targets=None, shuffle=False), verbose=0)
    assert {name: p.shape for name, p in predicted.items()} == {"Class1": (23, 3), "Class2": (23, 2)}
    assert weighted["loss"] == pytest.approx(np.mean(predicted["Class2"] ** 2), rel=1e-4)


def seen_by_this_backend() -> dict[str, np.ndarray]:
    batch = generator(augmentation=DataAugmentation(preset="strong")).batch(3, 2)
    seen = [keras.backend.backend(), fingerprint(batch), train(generator())]
    return {"seen": np.array(json.dumps(seen))}


@pytest.mark.parametrize("backend", ["jax", "torch"])
def test_other_backends_see_the_same_bytes_in_the_same_order(backend: str, tmp_path: Path) -> None:
    needs(backend)
    seen = json.loads(str(run_on(backend, seen_by_this_backend, tmp_path)["seen"]))
    batch = generator(augmentation=DataAugmentation(preset="strong")).batch(3, 2)
    expected = [backend, fingerprint(batch), expected_targets(generator(), range(3))]
    assert seen == expected


@pytest.mark.parametrize("parts", ["one output", "several outputs, inputs and weights"])
def test_streamed_batches_are_those_of_the_epoch_that_fit_begins(parts: str) -> None:
    ids = np.arange(23, dtype="float32")
    several = {
        "targets": {"Class1": ids[:, None], "Class7": ids[:, None] + 0.5},
        "sample_weights": {"Class1": ids, "Class7": ids},
        "inputs": ids[:, None],
    }
    batches = generator(augmentation=DataAugmentation(preset="dieleman"), **({} if parts == "one output" else several))
    streamed = stream(batches)
    for epoch in (0, 2):
        batches.epoch = epoch
        served = [keras.tree.map_structure(np.asarray, batch) for batch in streamed]
        assert [fingerprint(batch) for batch in served] == [fingerprint(batches.batch(epoch, i)) for i in range(5)]


def test_no_thread_of_tensorflow_tunes_the_stream() -> None:
    streamed = stream(generator())
    assert streamed.options().autotune.enabled is False
    assert int(streamed.cardinality()) == 5


@pytest.mark.parametrize("first", [0, 2])
def test_fit_sees_streamed_batches_as_it_sees_the_generator(first: int) -> None:
    assert train(generator(), initial_epoch=first, served=stream) == train(generator(), initial_epoch=first)
