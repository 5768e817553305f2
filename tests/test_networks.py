"""The networks that are trained from scratch are what their sources describe."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import keras
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from keras import ops
from numpy.typing import NDArray
from small_networks import network, pixels, small_config

from galaxycnn.config import load_config
from galaxycnn.errors import ConfigError
from galaxycnn.models import CNNBuilder
from galaxycnn.models.layers import AlignedParts, JoinParts, Positions
from galaxycnn.models.saving import Recipe, load_model, save_model
from galaxycnn.registry import HEADS, MODELS
from galaxycnn.tree import GALAXY_ZOO_2


def fractions(model: keras.Model, images: NDArray[Any]) -> NDArray[Any]:
    return ops.convert_to_numpy(model(images, training=False))


# -- parameters ---------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("model_type", "size", "params", "count"),
    [
        ("parallel_cnn", 64, {}, 1_160_165),
        ("vit", 64, {}, 1_821_477),
        ("vit", 64, {"class_token": False, "flattening": "Flatten"}, 2_079_397),
        ("vgg7", 64, {}, 11_816_005),
        ("vgg11", 64, {}, 34_546_085),
        ("multiview", 69, {}, 42_303_237),
    ],
)
def test_parameters_are_as_many_as_documented(model_type: str, size: int, params: dict, count: int) -> None:
    assert network(model_type, size, **params).count_params() == count
    assert f"{count:,}" in MODELS[model_type].__doc__


def test_vgg11_has_the_published_parameters_at_the_published_size() -> None:
    model = network("vgg11", 224, dense_units=[1])
    convolutions = sum(layer.count_params() for layer in model.layers if isinstance(layer, keras.layers.Conv2D))
    features = model.get_layer("dense1").kernel.shape[0]
    hidden = convolutions + (features + 1) * 4096 + (4096 + 1) * 4096
    assert hidden + (4096 + 1) * 1000 == 132_863_336
    assert f"{hidden + (4096 + 1) * 37:,}" in MODELS["vgg11"].__doc__


def test_dropout_and_penalties_are_where_they_were_published() -> None:
    def order(model: keras.Model) -> list[str]:
        kept = (keras.layers.Dropout, keras.layers.Dense)
        return [layer.name.rstrip("0123456789") for layer in model.layers if isinstance(layer, kept)]

    parallel = network("parallel_cnn", 32, path_filters=[2], joint_filters=[2])
    assert order(parallel)[-5:] == ["dense", "dense", "dense", "features_dropout", "logits"]
    assert len(parallel.losses) == 3
    multiview = network("multiview", 32, dense_units=[4, 4], conv_layers=[[2, 3, 2]])
    assert order(multiview) == ["parts_dropout", "dense", "dropout", "dense", "dropout", "logits"]
    rates = {layer.rate for layer in multiview.layers if isinstance(layer, keras.layers.Dropout)}
    assert rates == {0.5}


# -- sizes --------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("size", "params", "sentence"),
    [
        ([16, 64], {"model_type": "parallel_cnn"}, "no pixels are left of a 16×64 cutout .* and 3 more"),
        ([64, 64], {"model_type": "vit", "patch_size": 7}, "64×64 cutout cannot be cut .*choose from 2, 4, 8, 16"),
        ([64, 60], {"model_type": "multiview"}, "must be square, not 64×60; give .* such as .64, 64."),
        ([24, 24], {"model_type": "multiview"}, "no pixels are left after convolution 2 of a part of 16×16"),
        ([64, 64], {"model_type": "multiview", "part_size": 70}, "a part of 70 pixels is larger than the 64×64 cutout"),
    ],
)
def test_cutouts_that_do_not_fit_are_refused(size: list[int], params: dict, sentence: str) -> None:
    sections = {"paths": {"images_path": "images"}, "model_name": "network", "model_params": params}
    with pytest.raises(ConfigError, match=sentence):
        load_config({**sections, "data_preprocessing": {"layout": "kaggle", "img_size": size}})


@pytest.mark.parametrize("size", [17, 18, 40])
def test_the_smallest_cutout_of_the_parallel_cnn_leaves_a_pixel(size: int) -> None:
    model = network("parallel_cnn", size, path_filters=[2], joint_filters=[2, 2, 2])
    assert min(model.get_layer("joint_pool3").output.shape[1:3]) >= 1


@pytest.mark.parametrize(("size", "left"), [(8, 2), (20, 2), (64, 2), (120, 3)])
def test_seven_blocks_go_into_any_cutout(size: int, left: int) -> None:
    model = network("vgg7", size, blocks=[[2]] * 7)
    assert tuple(model.get_layer("block7_relu1").output.shape[1:3]) == (left, left)


# -- sixteen aligned parts ----------------------------------------------------------------------

SQUARES = st.integers(2, 14).flatmap(lambda side: st.tuples(st.just(side), st.integers(1, side), st.integers(0, 99)))
PLAIN, MIRRORED, TURNED, TURNED_MIRRORED = (slice(start, start + 4) for start in range(0, 16, 4))


def parts_of(images: NDArray[Any], part: int) -> NDArray[Any]:
    """Parts by galaxy: (galaxies, 16, part, part, channels)."""
    parts = ops.convert_to_numpy(AlignedParts(part)(images))
    return parts.reshape(len(images), 16, part, part, -1)


def noise(side: int, seed: int, galaxies: int = 2) -> NDArray[np.float32]:
    return np.random.default_rng(seed).normal(size=(galaxies, side, side, 3)).astype("float32")


@settings(max_examples=20)
@given(SQUARES)
def test_parts_are_corners_turned_the_same_way_round(square: tuple[int, int, int]) -> None:
    side, part, seed = square
    images = noise(side, seed)
    parts = parts_of(images, part)
    for view, start in ((images, 0), (images[:, :, ::-1], 4)):
        corners = (
            view[:, :part, :part],
            np.rot90(view[:, :part, side - part :], 1, (1, 2)),
            np.rot90(view[:, side - part :, side - part :], 2, (1, 2)),
            np.rot90(view[:, side - part :, :part], 3, (1, 2)),
        )
        for number, corner in enumerate(corners, start):
            np.testing.assert_array_equal(parts[:, number], corner)


@settings(max_examples=20)
@given(SQUARES)
def test_a_quarter_turn_only_reorders_the_parts(square: tuple[int, int, int]) -> None:
    side, part, seed = square
    images = noise(side, seed)
    before, after = parts_of(images, part), parts_of(np.rot90(images, 1, (1, 2)).copy(), part)
    for views, shift in ((PLAIN, -1), (TURNED, -1), (MIRRORED, 1), (TURNED_MIRRORED, 1)):
        np.testing.assert_allclose(after[:, views], np.roll(before[:, views], shift, axis=1), atol=1e-5)


@settings(max_examples=20)
@given(SQUARES)
def test_a_mirror_image_only_reorders_the_parts(square: tuple[int, int, int]) -> None:
    side, part, seed = square
    images = noise(side, seed)
    before, after = parts_of(images, part), parts_of(images[:, :, ::-1].copy(), part)
    for new, old, shift in ((PLAIN, MIRRORED, 0), (MIRRORED, PLAIN, 0), (TURNED, TURNED_MIRRORED, -1)):
        np.testing.assert_allclose(after[:, new], np.roll(before[:, old], shift, axis=1), atol=1e-5)


def test_turned_views_are_turned_by_45_degrees_counterclockwise() -> None:
    row, column = np.indices((69, 69)) - 34.0

    def blob(angle: float) -> NDArray[np.float32]:
        """A round blob 20 pixels from the centre, at an angle counterclockwise from the right."""
        at = 20 * np.cos(np.radians(angle)), -20 * np.sin(np.radians(angle))
        return np.exp(-((column - at[0]) ** 2 + (row - at[1]) ** 2) / 50).astype("float32")[None, ..., None]

    inside = np.hypot(row, column) < 34
    turned = parts_of(blob(30), 69)[:, TURNED][:, 0]
    np.testing.assert_allclose(turned[:, inside], blob(75)[:, inside], atol=0.01)


def test_turned_views_continue_beyond_the_edge_with_the_mirror_image() -> None:
    np.testing.assert_allclose(parts_of(np.full((1, 33, 33, 3), 7, "float32"), 33), 7, rtol=1e-6)


@pytest.mark.parametrize("side", [64, 69])
def test_the_centre_of_the_galaxy_is_at_the_lower_right_of_every_part(side: int) -> None:
    row, column = np.indices((side, side)) - (side - 1) / 2
    galaxy = np.exp(-np.hypot(row, column) / 5).astype("float32")[None, ..., None]
    part = round(side * 45 / 69)
    for number, found in enumerate(parts_of(galaxy, part)[0, ..., 0]):
        brightest = np.argwhere(found > 0.999 * found.max()).mean(axis=0)
        np.testing.assert_allclose(brightest, (side - 1) / 2, atol=0.51, err_msg=str(number))


def test_joined_parts_belong_to_one_galaxy() -> None:
    images = np.array([1, 2, 3], "float32")[:, None, None, None] * np.ones((3, 6, 6, 1), "float32")
    parts = ops.mean(AlignedParts(4)(images), axis=(1, 2))
    joined = ops.convert_to_numpy(JoinParts(AlignedParts.COUNT)(parts))
    np.testing.assert_allclose(joined, np.repeat([[1.0], [2.0], [3.0]], 16, axis=1), rtol=1e-6)


def test_parts_that_cannot_be_cut_are_refused() -> None:
    with pytest.raises(ValueError, match="cannot cut parts of 7 pixels out of 6×6"):
        AlignedParts(7)(np.zeros((1, 6, 6, 3)))
    with pytest.raises(ValueError, match="out of 6×8"):
        AlignedParts(4)(np.zeros((1, 6, 8, 3)))


# -- attention ----------------------------------------------------------------------------------


def test_a_reloaded_transformer_tells_what_each_block_looks_at(tmp_path: Path) -> None:
    config = small_config("vit")
    path = save_model(CNNBuilder(config).build(), tmp_path / "vit.keras", Recipe(config, GALAXY_ZOO_2, {}))
    model = load_model(path)
    for block in (1, 2):
        seen = keras.Model(model.input, model.get_layer(f"block{block}_norm1").output)(pixels(config))
        _, scores = model.get_layer(f"block{block}_attention")(seen, seen, return_attention_scores=True)
        assert scores.shape == (6, 2, 5 * 4 + 1, 5 * 4 + 1)
        np.testing.assert_allclose(ops.convert_to_numpy(ops.sum(scores, axis=-1)), 1, rtol=1e-5)


def test_a_patch_is_projected_by_itself() -> None:
    config = small_config("vit")
    model = CNNBuilder(config).build()
    tokens = keras.Model(model.input, model.get_layer("tokens").output)
    images = pixels(config, 1)
    changed = images.copy()
    changed[0, 4:8, 8:12] = 0
    differs = ops.convert_to_numpy(ops.any(tokens(images) != tokens(changed), axis=-1))[0]
    assert differs.nonzero()[0].tolist() == [1 * 4 + 2]


def test_positions_tell_equal_patches_apart() -> None:
    layer = Positions(class_token=True)
    tokens = ops.convert_to_numpy(layer(np.ones((2, 5, 3), "float32")))
    assert tokens.shape == (2, 6, 3)
    assert len(np.unique(tokens[0], axis=0)) == 6
    np.testing.assert_array_equal(tokens[0], tokens[1])


def test_answers_are_read_off_the_class_token_or_off_all_patches() -> None:
    with_token, without = (small_config("vit", class_token=token) for token in (True, False))
    model = CNNBuilder(with_token).build()
    read = model.get_layer("class_token")
    assert read.output.shape == (None, 1, 8)
    both = keras.Model(model.inputs, [read.input, read.output])(pixels(with_token))
    tokens, token = map(ops.convert_to_numpy, both)
    np.testing.assert_array_equal(token[:, 0], tokens[:, -1])
    assert CNNBuilder(without).build().get_layer("patch_map").output.shape == (None, 5, 4, 8)


# -- heads and precision ------------------------------------------------------------------------


@pytest.mark.parametrize("head", HEADS)
def test_every_head_fits_the_smallest_network(head: str) -> None:
    model = network("base", 20, conv_layers=[[2, [3, 3]]], dense_units=[4], head=head)
    predicted = fractions(model, np.random.default_rng(0).integers(0, 256, (5, 20, 20, 3)))
    assert model.output_names == ["fractions"]
    assert isinstance(model.layers[-1], HEADS[head])
    broken = np.abs(GALAXY_ZOO_2.deviations(predicted)).max()
    assert broken < 1e-6 if head in ("tree", "divisive") else broken > 0.01


def test_a_head_takes_the_place_of_the_published_activation() -> None:
    with pytest.raises(ConfigError, match="softmax makes all 37 fractions sum to 1"):
        network("base", out_activation="softmax")
    network("base", out_activation="softmax", head="tree")
    with pytest.raises(ConfigError, match="there is no head 'tre'; did you mean 'tree'"):
        network("base", head="tre")


@pytest.mark.parametrize("model_type", ["parallel_cnn", "vit", "vgg7", "multiview", "equivariant"])
def test_fractions_are_float32_in_mixed_precision(model_type: str) -> None:
    config = small_config(model_type)
    keras.config.set_dtype_policy("mixed_bfloat16")
    try:
        model = CNNBuilder(config).build()
    finally:
        keras.config.set_dtype_policy("float32")
    predicted = model(pixels(config), training=False)
    assert keras.backend.standardize_dtype(predicted.dtype) == "float32"
    assert np.isfinite(ops.convert_to_numpy(predicted)).all()
