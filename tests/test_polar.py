"""The network that reads a galaxy along circles around its centre."""

from __future__ import annotations

from typing import Any

import keras
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from keras import ops
from numpy.typing import NDArray
from small_networks import draw_weights, fitted, in_pose, network, pixels, small_config

from galaxycnn.errors import ConfigError
from galaxycnn.explain import explain
from galaxycnn.explain.placing import Grid, place
from galaxycnn.models import CNNBuilder
from galaxycnn.models.group_convolution import MIRRORED, POSES, GroupConv2D, PosePooling
from galaxycnn.models.polar_layers import PolarPadding, PolarSampling
from galaxycnn.registry import MODELS
from galaxycnn.tree import GALAXY_ZOO_2

SIZES = st.integers(2, 24)


def blurred(side: int, channels: int = 3, galaxies: int = 4) -> NDArray[np.float32]:
    """Cutouts of smooth lights off the centre, 0–255."""
    rng = np.random.default_rng(0)
    places = (np.arange(side) - (side - 1) / 2) / side
    found = np.zeros((galaxies, side, side, channels), np.float32)
    for row, column in rng.uniform(-0.25, 0.25, (6, 2, galaxies, 1, 1, channels)):
        distance = (places[:, None, None] - row) ** 2 + (places[:, None] - column) ** 2
        found += rng.uniform(0, 60, (galaxies, 1, 1, channels)) * np.exp(-distance / 0.02)
    return found


# -- layers -----------------------------------------------------------------------------------------


@settings(max_examples=30)
@given(SIZES, SIZES, st.integers(1, 9), st.integers(1, 9), st.floats(1, 3))
def test_rays_are_read_where_they_lie(height: int, width: int, radii: int, rays: int, power: float) -> None:
    x, y = np.arange(width) - (width - 1) / 2, (height - 1) / 2 - np.arange(height)
    places = np.stack(np.broadcast_arrays(x, y[:, None]), axis=-1)[None].astype(np.float32)
    found = ops.convert_to_numpy(PolarSampling(radii, rays, power)(places))[0]
    reach = (min(height, width) - 1) / 2
    distances = np.tile(reach * ((np.arange(radii)[:, None] + 0.5) / radii) ** power, rays)
    np.testing.assert_allclose(np.hypot(found[..., 0], found[..., 1]), distances, atol=1e-4)
    angles = np.arctan2(found[..., 1], found[..., 0]) % (2 * np.pi)
    if reach * (0.5 / radii) ** power > 1e-3:
        expected = np.tile(2 * np.pi * (np.arange(rays) + 0.5) / rays, (radii, 1))
        np.testing.assert_allclose(angles, expected, atol=1e-2)


@settings(max_examples=20)
@given(SIZES, st.integers(1, 5), st.integers(1, 4))
def test_a_turn_shifts_rays_and_a_mirror_image_reverses_them(side: int, radii: int, quarter: int) -> None:
    layer = PolarSampling(radii, 4 * quarter)
    cutouts = np.random.default_rng(side).normal(size=(2, side, side, 3)).astype(np.float32)
    plain = ops.convert_to_numpy(layer(cutouts))
    turned = ops.convert_to_numpy(layer(np.rot90(cutouts, axes=(1, 2)).copy()))
    upside_down = ops.convert_to_numpy(layer(cutouts[:, ::-1].copy()))
    np.testing.assert_allclose(turned, np.roll(plain, quarter, axis=2), atol=1e-4)
    np.testing.assert_allclose(upside_down, plain[:, :, ::-1], atol=1e-4)


def test_circles_are_closed_and_rays_go_on_beyond_the_centre() -> None:
    rays = np.arange(12, dtype=np.float32).reshape(1, 3, 4, 1)
    padded = ops.convert_to_numpy(PolarPadding()(rays))[0, :, :, 0]
    expected = [
        [1, 2, 3, 0, 1, 2],
        [3, 0, 1, 2, 3, 0],
        [7, 4, 5, 6, 7, 4],
        [11, 8, 9, 10, 11, 8],
        [11, 8, 9, 10, 11, 8],
    ]
    np.testing.assert_array_equal(padded, expected)


@pytest.mark.parametrize("padding", ["same", "valid"])
@pytest.mark.parametrize("channels", [2, 3])
def test_maps_are_mirrored_with_the_cutout_and_both_poses_change_places(padding: str, channels: int) -> None:
    keras.utils.set_random_seed(channels)
    layers = [GroupConv2D(n, 3, posed, MIRRORED, padding) for n, posed in ((3, False), (4, True))]
    strips = np.random.default_rng(0).normal(size=(2, 7, 9, channels)).astype(np.float32)
    for depth in (1, 2):
        convolutions = keras.Sequential(layers[:depth])
        plain, mirrored = (ops.convert_to_numpy(convolutions(x.copy())) for x in (strips, strips[:, :, ::-1]))
        assert plain.shape == convolutions.compute_output_shape(strips.shape)
        patterns = plain.shape[-1] // MIRRORED
        changed = np.concatenate([plain[..., patterns:], plain[..., :patterns]], axis=-1)
        np.testing.assert_allclose(mirrored, changed[:, :, ::-1], atol=1e-5)
        assert np.abs(plain - changed).max() > 0.01
        pooled = ops.convert_to_numpy(PosePooling(MIRRORED)(plain))
        np.testing.assert_allclose(pooled, (plain + changed)[..., :patterns] / 2, atol=1e-6)


def test_what_cannot_be_is_refused() -> None:
    with pytest.raises(ValueError, match="PolarSampling: cannot read rays in 1×9 pixels"):
        PolarSampling(4, 8)(np.zeros((1, 1, 9, 3)))
    with pytest.raises(ValueError, match="PolarPadding: 5 rays do not lie opposite each other"):
        PolarPadding()(np.zeros((1, 4, 5, 3)))
    with pytest.raises(ValueError, match="poses must be 8 or 2, found 4"):
        GroupConv2D(3, 3, poses=4)
    with pytest.raises(ValueError, match="PosePooling: 5 channels cannot be patterns in 2 poses"):
        PosePooling(MIRRORED)(np.zeros((1, 4, 4, 5)))


# -- the network ------------------------------------------------------------------------------------


@pytest.mark.parametrize("channels", [1, 3, 4, 6])
def test_answers_stay_the_same_in_all_eight_poses_and_differ_between_galaxies(channels: int) -> None:
    params, tree = small_config("polar").model_params, GALAXY_ZOO_2
    model, rng = MODELS["polar"](params, (20, 20, channels), tree).build(), np.random.default_rng(1)
    model.set_weights([weight + rng.uniform(0, 0.1, weight.shape) for weight in model.get_weights()])
    cutouts = blurred(20, channels)
    expected = ops.convert_to_numpy(model(cutouts, training=False))
    between_galaxies = np.ptp(expected, axis=0).max()
    assert between_galaxies > 1e-3
    for pose in range(1, POSES):
        found = ops.convert_to_numpy(model(in_pose(cutouts, pose).copy(), training=False))
        assert np.abs(found - expected).max() < 0.01 * between_galaxies


def test_training_steps_keep_it_so() -> None:
    model, cutouts = fitted(small_config("polar"))
    mirrored = model(cutouts[:, ::-1].copy(), training=False)
    np.testing.assert_allclose(mirrored, model(cutouts, training=False), atol=2e-5)


def test_parameters_are_as_many_as_documented() -> None:
    count = network("polar").count_params()
    assert f"{count:,} parameters" in " ".join(MODELS["polar"].__doc__.split())
    assert network("polar", (128, 96)).count_params() == count


@pytest.mark.parametrize(
    ("params", "problem"),
    [
        ({"rays": 100}, "model_params.rays: 5 blocks take a multiple of 128, not 100; choose 128"),
        ({"radii": 8}, "model_params.radii: 5 blocks take a multiple of 32, not 8; choose 32"),
        ({"radial_power": 0.5}, "model_params.radial_power: .*0.5"),
        ({"blocks": []}, "model_params.blocks"),
        ({"weights": "galaxy_zoo"}, "holds a 'equivariant', not a 'polar'"),
    ],
)
def test_networks_that_cannot_be_are_refused(params: dict[str, Any], problem: str) -> None:
    with pytest.raises(ConfigError, match=problem):
        network("polar", **params)


# -- explanations -----------------------------------------------------------------------------------


@settings(max_examples=20, deadline=None)
@given(st.integers(40, 60), st.integers(40, 60), st.floats(1, 1.5))
def test_what_was_read_along_rays_is_placed_where_it_was_read(height: int, width: int, power: float) -> None:
    side = max(height, width)
    top, left = (side - height) // 2, (side - width) // 2
    cutouts = blurred(side)[:, top : top + height, left : left + width]
    layer = PolarSampling(48, 128, power)
    maps = np.moveaxis(ops.convert_to_numpy(layer(cutouts.copy())), -1, 1)
    placed, expected = place(maps, Grid(rays=layer), (height, width)), np.moveaxis(cutouts, -1, 1)
    y, x = (np.arange(n) - (n - 1) / 2 for n in (height, width))
    distance = np.hypot(y[:, None], x)
    inside, outside = distance < (min(height, width) - 3) / 2, distance > (min(height, width) + 1) / 2
    np.testing.assert_allclose(placed[..., inside], expected[..., inside], atol=0.03 * expected.max())
    assert not placed[..., outside].any()


@pytest.mark.parametrize("method", ["lrp", "gradcam", "gradcam++"])
def test_explanations_are_mirrored_with_the_cutout(method: str) -> None:
    config = small_config("polar")
    model = CNNBuilder(config).build()
    draw_weights(model, np.random.default_rng(1))
    cutouts, tree = pixels(config, 2), GALAXY_ZOO_2.subset(["Class1", "Class2", "Class7"])
    plain, mirrored = (explain(model, tree, x, method=method).maps for x in (cutouts, cutouts[:, ::-1].copy()))
    assert np.abs(plain).max() > 0
    np.testing.assert_allclose(mirrored, plain[..., ::-1, :], atol=1e-3 * np.abs(plain).max())


@pytest.mark.parametrize("method", ["lrp", "gradcam"])
def test_a_network_of_mixed_precision_is_explained_alike(method: str) -> None:
    config, tree = small_config("polar"), GALAXY_ZOO_2.subset(["Class1", "Class2", "Class7"])
    cutouts, maps, before = pixels(config, 2), [], keras.config.dtype_policy()
    for policy in ("float32", "mixed_bfloat16"):
        keras.config.set_dtype_policy(policy)
        try:
            model = CNNBuilder(config).build()
        finally:
            keras.config.set_dtype_policy(before)
        draw_weights(model, np.random.default_rng(1))
        maps.append(explain(model, tree, cutouts, method=method).maps)
    assert np.corrcoef(maps[0].ravel(), maps[1].ravel())[0, 1] > 0.95


def test_gradcam_looks_where_the_light_is() -> None:
    """One light on the right: the map of a network that answers by brightness has its weight there."""
    side = 64
    y, x = np.indices((side, side)) - (side - 1) / 2
    light = 250 * np.exp(-((x - 18) ** 2 + y**2) / 30)
    cutouts = np.repeat(light[None, ..., None], 3, axis=-1).astype(np.uint8)
    inputs = keras.Input((side, side, 3))
    rays = PolarPadding()(PolarSampling(32, 64, 1.5)(inputs))
    maps = GroupConv2D(1, 3, False, MIRRORED, "valid", name="conv")(rays)
    means = keras.layers.GlobalAveragePooling2D()(keras.layers.MaxPooling2D(4)(maps))
    model = keras.Model(inputs, keras.layers.Dense(3, "softmax", kernel_initializer="zeros", name="answers")(means))
    model.get_layer("conv").set_weights([np.full(w.shape, 1e-4) for w in model.get_layer("conv").get_weights()])
    model.get_layer("answers").set_weights([np.array([[1, 0, 0], [1, 0, 0]]), np.zeros(3)])
    ((found,),) = explain(model, GALAXY_ZOO_2.subset(["Class1"]), cutouts, method="gradcam").maps
    weight = found / found.sum()
    assert abs((weight * x).sum() - 18) < 2 and abs((weight * y).sum()) < 1
