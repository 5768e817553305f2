"""The network that says the same of a galaxy in all eight poses of its cutout."""

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
from galaxycnn.models import CNNBuilder, load_model
from galaxycnn.models.group_convolution import POSES, GroupConv2D, PosePooling
from galaxycnn.models.saving import read_recipe
from galaxycnn.pretrained import model_file
from galaxycnn.registry import MODELS
from galaxycnn.tree import GALAXY_ZOO_2

NAME = "galaxy_zoo"
"""A network of this family that comes along."""


def maps_of(layer: keras.layers.Layer, inputs: NDArray[Any]) -> NDArray[Any]:
    """Maps by pose: (galaxies, side, side, 8, patterns)."""
    maps = ops.convert_to_numpy(layer(inputs.astype(np.float32)))
    return maps.reshape(*maps.shape[:-1], POSES, -1)


def noise(side: int, channels: int, seed: int = 0) -> NDArray[np.float32]:
    return np.random.default_rng(seed).normal(size=(2, side, side, channels)).astype(np.float32)


# -- the convolution --------------------------------------------------------------------------------


@pytest.mark.parametrize("side", [1, 3, 5])
def test_the_first_pose_is_an_ordinary_convolution_and_each_other_one_looks_at_the_posed_cutout(side: int) -> None:
    layer, cutouts = GroupConv2D(3, side, posed=False), noise(6, 2)
    maps = maps_of(layer, cutouts)
    for pose in range(POSES):
        unposed = next(p for p in range(POSES) if np.array_equal(in_pose(in_pose(cutouts, pose), p), cutouts))
        ordinary = ops.conv(in_pose(cutouts, unposed).copy(), layer.unposed[:, :, 0], padding="same")
        np.testing.assert_allclose(maps[..., pose, :], in_pose(ops.convert_to_numpy(ordinary), pose), atol=1e-5)


@settings(max_examples=25)
@given(st.integers(3, 7), st.integers(0, POSES - 1), st.sampled_from([1, 3]), st.integers(0, 99))
def test_maps_turn_with_the_cutout_and_poses_change_places(side: int, pose: int, kernel: int, seed: int) -> None:
    keras.utils.set_random_seed(seed)
    first, second = GroupConv2D(2, 3, posed=False), GroupConv2D(3, kernel)
    cutouts = noise(side, 2, seed)
    for layers in ([first], [first, second]):
        network = keras.Sequential(layers)
        plain, turned = maps_of(network, cutouts), maps_of(network, in_pose(cutouts, pose).copy())
        by_pose = [in_pose(plain[..., one, :], pose) for one in range(POSES)]
        matched = [
            one
            for other in range(POSES)
            for one in range(POSES)
            if np.allclose(turned[..., other, :], by_pose[one], atol=1e-4)
        ]
        assert sorted(matched) == list(range(POSES))
        pooled = [ops.convert_to_numpy(PosePooling()(network(x.copy()))) for x in (cutouts, in_pose(cutouts, pose))]
        np.testing.assert_allclose(pooled[1], in_pose(pooled[0], pose), atol=1e-4)


def test_a_pattern_is_told_from_its_mirror_image_in_the_second_layer() -> None:
    keras.utils.set_random_seed(0)
    layer = GroupConv2D(1, 3)
    posed = np.zeros((2, 3, 3, POSES), np.float32)
    posed[0, 1, 1, 0] = posed[1, 1, 1, 4] = 1
    plain, mirrored = ops.convert_to_numpy(PosePooling()(layer(posed)))
    assert np.abs(plain - mirrored).max() > 0.01
    np.testing.assert_allclose(plain, mirrored[:, ::-1], atol=1e-6)


def test_pose_pooling_is_the_mean_over_poses() -> None:
    maps = noise(4, POSES * 3)
    np.testing.assert_allclose(PosePooling()(maps), maps.reshape(2, 4, 4, POSES, 3).mean(axis=3), atol=1e-6)


def test_what_cannot_be_patterns_in_poses_is_refused() -> None:
    with pytest.raises(ValueError, match="12 channels cannot be patterns in 8 poses"):
        GroupConv2D(2, 3)(noise(4, 12))
    with pytest.raises(ValueError, match="12 channels"):
        PosePooling()(noise(4, 12))
    with pytest.raises(ValueError, match="must be odd, found 4"):
        GroupConv2D(2, 4)


# -- the network ------------------------------------------------------------------------------------


@pytest.mark.parametrize("grayscale", [False, True])
def test_answers_are_the_same_in_all_poses_and_differ_between_galaxies(grayscale: bool) -> None:
    config = small_config("equivariant", grayscale)
    model, rng = CNNBuilder(config).build(), np.random.default_rng(1)
    model.set_weights([weight + rng.uniform(0, 0.1, weight.shape) for weight in model.get_weights()])
    side, _, channels = config.data_preprocessing.input_shape
    cutouts = rng.uniform(0, 255, (6, 4, 4, channels)).repeat(side // 4, axis=1).repeat(side // 4, axis=2)
    cutouts *= rng.uniform(0.1, 1, (6, 1, 1, 1))
    expected = ops.convert_to_numpy(model(cutouts, training=False))
    between_galaxies = np.ptp(expected, axis=0).max()
    assert between_galaxies > 1e-3
    for pose in range(1, POSES):
        turned = ops.convert_to_numpy(model(in_pose(cutouts, pose).copy(), training=False))
        assert np.abs(turned - expected).max() < 0.01 * between_galaxies


def test_training_steps_keep_it_so() -> None:
    model, cutouts = fitted(small_config("equivariant"))
    turned = model(in_pose(cutouts, 5).copy(), training=False)
    np.testing.assert_allclose(turned, model(cutouts, training=False), atol=2e-5)


def test_parameters_are_as_many_as_documented() -> None:
    count = network("equivariant").count_params()
    assert f"{count:,} parameters" in " ".join(MODELS["equivariant"].__doc__.split())
    assert network("equivariant", (96, 96)).count_params() == count


@pytest.mark.parametrize(("size", "instead"), [((64, 48), 64), ((69, 69), 64), ((90, 90), 96), ((9, 9), 32)])
def test_cutouts_that_would_not_turn_evenly_are_refused(size: tuple[int, int], instead: int) -> None:
    with pytest.raises(
        ConfigError, match=rf"multiple of 32 pixels, not {size[0]}×{size[1]}; .* .{instead}, {instead}."
    ):
        network("equivariant", size)
    network("equivariant", (instead, instead))


def test_it_starts_from_the_convolutions_of_a_network_that_comes_along() -> None:
    known, config = load_model(model_file(NAME)), read_recipe(model_file(NAME)).config
    changes = {"weights": NAME, "frozen_stages": 2, "stage_rate": 0.5}
    params = config.model_params.model_copy(update=changes)
    builder = CNNBuilder(config.model_copy(update={"model_params": params}))
    model = builder.build()
    for layer in model.layers:
        if layer.name.startswith(("conv", "norm")):
            for found, expected in zip(layer.get_weights(), known.get_layer(layer.name).get_weights(), strict=True):
                np.testing.assert_array_equal(found, expected)
            assert layer.trainable == (layer.name[-1] not in "12")
    rates = dict(zip((weight.path for weight in model.trainable_weights), builder.family.rates(model), strict=True))
    assert rates["conv3/kernel"].factor == 0.125 and rates["logits/kernel"].factor == 1


@pytest.mark.parametrize(
    ("params", "problem"),
    [
        ({"weights": NAME}, "has no layer 'conv1' that fits; is it another variant"),
        ({"weights": "galaxy_zoo_lite0"}, "holds a 'efficientnet_lite0', not a 'equivariant'"),
        ({"weights": "imagenet"}, r"weights: 'imagenet' is no file of weights \(.keras, .h5\)"),
        ({"weights": NAME, "frozen_stages": 3}, "'equivariant' has 2 stages, not 3"),
    ],
)
def test_first_weights_that_do_not_fit_are_refused(params: dict[str, Any], problem: str) -> None:
    with pytest.raises(ConfigError, match=problem):
        CNNBuilder(small_config("equivariant", **params)).build()


@pytest.mark.parametrize("method", ["lrp", "gradcam"])
def test_explanations_turn_with_the_cutout(method: str) -> None:
    config = small_config("equivariant")
    model, rng = CNNBuilder(config).build(), np.random.default_rng(0)
    draw_weights(model, rng)
    cutouts, tree = pixels(config, 2), GALAXY_ZOO_2.subset(["Class1", "Class2", "Class7"])
    plain, turned = (explain(model, tree, x, method=method).maps for x in (cutouts, in_pose(cutouts, 6).copy()))
    assert np.abs(plain).max() > 0
    np.testing.assert_allclose(turned, in_pose(plain[..., None], 6)[..., 0], atol=1e-3 * np.abs(plain).max())
