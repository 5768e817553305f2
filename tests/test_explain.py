"""Explanations are of the network and of the answer, lie where they should, and add up."""

from __future__ import annotations

import keras
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from keras import layers, ops
from planted_features import SIDE, TREE, arm, blue_seeker, galaxies, star, with_painted
from scipy import ndimage
from small_networks import NETWORKS, pixels, small_config

from galaxycnn.errors import UserError
from galaxycnn.explain import explain, find_regions, make_method
from galaxycnn.explain.feature_maps import last_feature_maps
from galaxycnn.explain.integrated_gradients import IntegratedGradients
from galaxycnn.explain.lrp import LRP
from galaxycnn.explain.network import Network, Scores, tensor
from galaxycnn.explain.occlusion import Occlusion
from galaxycnn.explain.placing import grids
from galaxycnn.explain.regions import empty_sky
from galaxycnn.models import CNNBuilder
from galaxycnn.models.heads import TreeHead
from galaxycnn.models.layers import AlignedParts, JoinParts, Maxout, StopGradient
from galaxycnn.tree import GALAXY_ZOO_2, DecisionTree

TASK_2 = GALAXY_ZOO_2.subset(["Class1", "Class2", "Class7"])
NO_QUESTIONS = DecisionTree("none", ())
OF_ONE_ANSWER = ["gradcam", "gradcam++", "integrated_gradients", "occlusion", "lrp"]


def small(model_type: str, seed: int = 0, **params) -> tuple[keras.Model, np.ndarray]:
    """A small network with random weights that give galaxies clearly other answers, and made-up cutouts."""
    config = small_config(model_type, **params)
    keras.utils.set_random_seed(seed)
    model, rng = CNNBuilder(config).build(), np.random.default_rng(seed)
    model.set_weights([w + rng.normal(0, 0.1, w.shape) * (w.ndim > 1) for w in model.get_weights()])
    return model, pixels(config, 3)


def scores_of(model: keras.Model, tree: DecisionTree, cutouts: np.ndarray) -> Scores:
    network = Network(model, tree)
    return Scores.likely(network, network.names, network.predict(cutouts))


def linear(side: int = 8, seed: int = 0) -> tuple[keras.Model, np.ndarray]:
    """A redshift that is a weighted sum of pixels, and the weights."""
    inputs = keras.Input((side, side, 3), name="cutout")
    model = keras.Model(inputs, {"redshift": layers.Dense(1, name="redshift")(layers.Flatten()(inputs))})
    weights = np.random.default_rng(seed).normal(0, 0.01, (side * side * 3, 1)).astype(np.float32)
    model.set_weights([weights, np.array([0.3], np.float32)])
    return model, weights.reshape(side, side, 3)


# -- what is explained ------------------------------------------------------------------------------


@pytest.mark.parametrize("name", NETWORKS)
def test_every_family_is_explained_question_by_question(name: str) -> None:
    model, cutouts = small(name)
    explained = explain(model, TASK_2, cutouts)
    assert explained.names == ("Class1", "Class2", "Class7")
    assert explained.maps.shape == (3, *cutouts.shape[:3])
    assert np.isfinite(explained.maps).all() and explained.maps.min() >= 0
    assert explained.maps.max() > 0
    one = explain(model, TASK_2, cutouts[1:2], ["roundness"])
    np.testing.assert_allclose(one.maps[0, 0], explained.maps[2, 1], atol=1e-5 * explained.maps[2, 1].max())
    assert one.answer(0, "Class7") == explained.answer(1, "Class7")


def test_how_many_were_asked_drops_out() -> None:
    features = keras.Input((2, 1, 4), name="cutout")
    logits = layers.Dense(8, name="logits")(layers.Flatten()(features))
    model = keras.Model(features, TreeHead(TASK_2)(logits))
    kernel, bias = model.get_weights()
    cutouts = np.random.default_rng(0).integers(0, 3, (5, 2, 1, 4)).astype(np.uint8)
    before = scores_of(model, TASK_2, cutouts)
    answers, values = before.answers, ops.convert_to_numpy(before(tensor(cutouts)))
    model.set_weights([kernel, bias + np.array([0, -40, 20, 0, 0, 0, 0, 0])])
    after = Scores(Network(model, TASK_2), before.names, answers)
    np.testing.assert_allclose(ops.convert_to_numpy(after(tensor(cutouts)))[:, 1:], values[:, 1:], rtol=1e-4)
    np.testing.assert_allclose(values[:, 1], np.abs(cutouts.reshape(5, 8) @ (kernel[:, 3] - kernel[:, 4])), rtol=1e-4)


def test_questions_and_quantities_are_read_by_name_whatever_else_goes_in() -> None:
    keras.utils.set_random_seed(0)
    inputs = {"cutout": keras.Input((16, 16, 3), name="cutout"), "inputs": keras.Input((2,), name="inputs")}
    x = layers.GlobalAveragePooling2D()(layers.Conv2D(4, 3, activation="gelu", name="conv")(inputs["cutout"]))
    x = layers.Concatenate()([x, inputs["inputs"]])
    outputs = {
        "redshift": layers.Dense(2)(StopGradient()(x)),
        "fractions": TreeHead(TASK_2)(layers.Dense(8)(x)),
    }
    model = keras.Model(inputs, outputs)
    rng = np.random.default_rng(0)
    cutouts, numbers = rng.integers(0, 256, (3, 16, 16, 3), dtype=np.uint8), rng.normal(0, 9, (3, 2))
    explained = explain(model, TASK_2, cutouts, method="integrated_gradients", inputs={"inputs": numbers})
    assert explained.names == ("Class1", "Class2", "Class7", "redshift")
    expected = model.predict({"cutout": cutouts, "inputs": numbers}, verbose=0)
    np.testing.assert_allclose(explained.values[:, 3], expected["redshift"][:, 0], rtol=1e-4)
    np.testing.assert_array_equal(explained.answers[:, 0], expected["fractions"][:, :3].argmax(axis=1))
    assert (np.abs(explained.maps).max(axis=(2, 3)) > 0).all()
    assert explain(model, TASK_2, cutouts, ["redshift"], inputs={"inputs": numbers}).maps.shape == (1, 3, 16, 16)


def test_each_question_of_a_branch_is_explained_by_its_own_layers() -> None:
    model, cutouts = small("branch")
    chosen = [found.layer.name for found in last_feature_maps(scores_of(model, TASK_2, cutouts), cutouts)]
    assert chosen == ["Class1_relu2", "Class2_relu2", "Class7_relu2"]


def test_a_nested_network_is_explained_as_a_flat_one() -> None:
    inner = keras.Sequential([keras.Input((16, 16, 3)), layers.Conv2D(5, 3, 2, "same", activation="relu", name="last")])
    top = [layers.GlobalAveragePooling2D(), layers.Dense(2, "softmax")]
    models = []
    for body in (inner, inner.layers[-1]):
        inputs = keras.Input((16, 16, 3))
        x = body(layers.Rescaling(1 / 255)(inputs))
        for layer in top:
            x = layer(x)
        models.append(keras.Model(inputs, x))
    cutouts = np.random.default_rng(0).integers(0, 256, (2, 16, 16, 3), dtype=np.uint8)
    nested, flat = (explain(model, TREE, cutouts, layer="last").maps for model in models)
    assert nested.max() > 0
    np.testing.assert_allclose(nested, flat, rtol=1e-5)
    np.testing.assert_allclose(explain(models[0], TREE, cutouts).maps, flat, rtol=1e-5)


# -- what the methods are ---------------------------------------------------------------------------


def test_gradcam_is_the_weighted_sum_of_the_last_feature_map() -> None:
    inputs = keras.Input((12, 12, 3))
    features = layers.Conv2D(4, 3, padding="same", activation="relu")(inputs)
    model = keras.Model(inputs, {"redshift": layers.Dense(1)(layers.GlobalAveragePooling2D()(features))})
    cutouts = np.random.default_rng(1).integers(0, 256, (2, 12, 12, 3), dtype=np.uint8)
    activations = keras.Model(inputs, features).predict(cutouts.astype(np.float32), verbose=0)
    expected = np.maximum(activations @ model.get_weights()[2][:, 0], 0) / 144
    np.testing.assert_allclose(explain(model, NO_QUESTIONS, cutouts).maps[0], expected, rtol=1e-3, atol=1e-4)


@settings(max_examples=5)
@given(st.integers(0, 10_000))
def test_on_a_linear_network_occlusion_and_integrated_gradients_are_the_weights_times_the_light(seed: int) -> None:
    model, weights = linear(seed=seed)
    cutouts = np.random.default_rng(seed).integers(0, 256, (2, 8, 8, 3), dtype=np.uint8)
    expected = ((cutouts - empty_sky(cutouts)) * weights).sum(axis=-1)
    for method in (Occlusion(squares=8), IntegratedGradients(steps=2)):
        found = explain(model, NO_QUESTIONS, cutouts, method=method).maps[0]
        np.testing.assert_allclose(found, expected, atol=2e-4, err_msg=str(method))


@pytest.mark.parametrize("name", ["hierarchy", "vit"])
def test_integrated_gradients_are_complete(name: str) -> None:
    model, cutouts = small(name, seed=1, **({"blocks": 1} if name == "vit" else {}))
    scores = scores_of(model, TASK_2, cutouts)
    few, many = (IntegratedGradients(steps).maps(scores, cutouts).sum(axis=(2, 3)) for steps in (4, 100))
    galaxy, sky = (ops.convert_to_numpy(scores(tensor(images))).T for images in (cutouts, empty_sky(cutouts)))
    assert np.abs(galaxy - sky).max() > 0.05
    np.testing.assert_allclose(many, galaxy - sky, atol=0.02 * np.abs(galaxy - sky).max())
    assert np.abs(many - (galaxy - sky)).mean() < np.abs(few - (galaxy - sky)).mean() + 1e-6


def _plain(x):
    x = layers.Conv2D(5, 3, activation="relu", use_bias=False)(x)
    return layers.GlobalMaxPooling2D()(layers.MaxPooling2D(2)(x))


def _residual(x):
    x = layers.Conv2D(6, 3, 2, "same", use_bias=False)(x)
    x = layers.ReLU()(layers.BatchNormalization(center=False)(x))
    y = layers.DepthwiseConv2D(3, padding="same", use_bias=False)(x)
    y = layers.BatchNormalization(center=False)(y)
    return layers.GlobalAveragePooling2D()(layers.ReLU(6.0)(layers.Add()([x, y])))


def _side_by_side(x):
    paths = [layers.Conv2D(3, side, padding="same", activation="relu", use_bias=False)(x) for side in (2, 5)]
    x = layers.Flatten()(layers.AveragePooling2D(2)(layers.Concatenate()(paths)))
    return Maxout(2)(layers.Dense(8, use_bias=False)(x))


def _in_parts(x):
    x = layers.Conv2D(4, 3, activation="relu", use_bias=False)(AlignedParts(10)(x))
    return JoinParts(16)(layers.GlobalAveragePooling2D()(x))


@pytest.mark.parametrize("body", [_plain, _residual, _side_by_side, _in_parts])
def test_relevance_is_what_the_output_is_made_of(body) -> None:
    keras.utils.set_random_seed(3)
    inputs = keras.Input((16, 16, 3), name="cutout")
    x = body(layers.Rescaling(1 / 127.5, -1.0)(inputs))
    model = keras.Model(inputs, {"redshift": layers.Dense(1, use_bias=False)(x)})
    for layer in model.layers:
        if isinstance(layer, layers.BatchNormalization):
            layer.moving_variance.assign(np.linspace(0.1, 4, layer.moving_variance.shape[0]))
    cutouts = np.random.default_rng(2).integers(0, 256, (3, 16, 16, 3), dtype=np.uint8)
    redshift = model.predict(cutouts, verbose=0)["redshift"][:, 0]
    assert np.ptp(redshift) > 0

    def spread(epsilon: float) -> np.ndarray:
        return explain(model, NO_QUESTIONS, cutouts, method=LRP(epsilon=epsilon)).maps[0].sum(axis=(1, 2))

    np.testing.assert_allclose(spread(0.0), redshift, rtol=0.02, atol=0.02 * np.abs(redshift).max())
    assert np.abs(spread(1.0) - redshift).mean() > np.abs(spread(0.01) - redshift).mean()


def test_networks_that_relevance_cannot_pass_are_refused() -> None:
    for name, layer in (("vit", "'features'|'norm'|'dense2'"), ("convnext", "Multiply|LayerNormalization")):
        if name not in NETWORKS:
            continue
        model, cutouts = small(name)
        with pytest.raises(UserError, match=f"{layer}.*use 'integrated_gradients'"):
            explain(model, TASK_2, cutouts, method="lrp")
    inputs = keras.Input((16, 16, 3))
    nested = keras.Sequential([keras.Input((16, 16, 3)), layers.Conv2D(2, 3), layers.Flatten()], name="inner")
    model = keras.Model(inputs, layers.Dense(2, "softmax")(nested(inputs)))
    with pytest.raises(UserError, match=r"'inner' .Sequential. lies between 'painted' and the pixels"):
        explain(model, TREE, np.zeros((1, 16, 16, 3), np.uint8), method="lrp")


def test_rollout_follows_attention_and_not_the_question() -> None:
    model, cutouts = small("vit", class_token=False)
    maps = explain(model, TASK_2, cutouts, method="attention_rollout").maps
    assert maps.min() >= 0 and np.ptp(maps[0, 0]) > 0
    np.testing.assert_array_equal(maps[0], maps[2])
    for layer in model.layers:
        if isinstance(layer, layers.MultiHeadAttention):
            layer.set_weights([0 * weight for weight in layer.get_weights()])
    even = explain(model, TASK_2, cutouts, method="attention_rollout").maps
    np.testing.assert_allclose(even, even.mean(), rtol=1e-4)
    with pytest.raises(UserError, match="no attention to roll out"):
        explain(*small("base")[:1], TASK_2, small("base")[1], method="attention_rollout")


# -- sanity checks ----------------------------------------------------------------------------------


@pytest.mark.parametrize("method", OF_ONE_ANSWER)
@pytest.mark.parametrize("painted", [star(), arm()], ids=["star", "arm"])
def test_a_planted_feature_draws_the_map_and_random_weights_destroy_it(method: str, painted: np.ndarray) -> None:
    """Adebayo et al. 2018, arXiv:1810.03292: a map that outlives the weights is not of the network. Maps of random
    weights may find the only thing in a dark sky, too, but speak as often for the answer as against it."""
    model, plain = blue_seeker(), galaxies()
    cutouts = with_painted(plain, painted)
    explained = explain(model, TREE, cutouts, method=method)
    assert (explained.answers == 1).all() and (explain(model, TREE, plain, method=method).answers == 0).all()
    around = ndimage.binary_dilation(painted, iterations=3)
    on_it = (explained.attention[0] * around).sum(axis=(1, 2))
    assert (on_it > 0.75).all(), on_it
    scores, before = Scores(Network(model, TREE), ("painted",), explained.answers), explained.maps[0]
    alike = []
    for seed in range(6):
        rng = np.random.default_rng(seed)
        for name in ("colours", "logits"):
            layer = model.get_layer(name)
            layer.set_weights([rng.normal(0, 1, weight.shape) for weight in layer.get_weights()])
        destroyed = make_method(method).maps(scores, cutouts)[0].reshape(len(cutouts), -1)
        pairs = zip(before.reshape(len(cutouts), -1), destroyed, strict=True)
        alike += [np.corrcoef(*pair)[0, 1] if pair[1].any() else 0 for pair in pairs]
    assert abs(np.mean(alike)) < 0.5


def test_a_star_is_another_source_and_an_arm_a_part_of_the_galaxy() -> None:
    for painted, of_the_galaxy in ((star(), 0), (arm(), 1)):
        cutouts = with_painted(galaxies(), painted)
        regions = find_regions(cutouts)
        assert (regions.galaxy.astype(int) + regions.other_sources + regions.sky == 1).all()
        if not of_the_galaxy:
            assert regions.other_sources[:, painted].mean() > 0.8
            shares = regions.shares(explain(blue_seeker(), TREE, cutouts, method="integrated_gradients").attention)
            assert shares["other_sources"].min() > 0.8 and shares["galaxy"].max() < 0.1
        assert regions.galaxy[:, SIDE // 2, SIDE // 2].all()
        assert 0.02 < regions.galaxy.mean() < 0.5


def test_real_galaxies_are_where_the_regions_say(real_data) -> None:
    from galaxycnn.config.schema import DataPreprocessing
    from galaxycnn.data.cache import read_cutout

    files = sorted((real_data("kaggle") / "images_training_rev1").iterdir())[::100][:24]
    preprocessing = DataPreprocessing(crop=True, crop_size=256, img_size=[96, 96])
    regions = find_regions(np.stack([read_cutout(file, preprocessing) for file in files]))
    assert regions.galaxy[:, 48, 48].all()
    assert 0.1 < np.median(regions.galaxy.mean(axis=(1, 2))) < 0.5


# -- where a map lies -------------------------------------------------------------------------------


@settings(max_examples=6)
@given(
    st.lists(
        st.tuples(st.sampled_from([1, 2, 3, 5]), st.sampled_from([1, 2]), st.sampled_from(["same", "valid"])),
        min_size=1,
        max_size=3,
    ),
    st.integers(0, 2),
)
def test_the_pixels_of_a_map_are_centred_on_what_they_see(windows, padding: int) -> None:
    side = 40
    x = inputs = keras.Input((side, side, 1))
    x = layers.ZeroPadding2D(((padding, 0), (0, padding)))(x)
    for number, (kernel, stride, mode) in enumerate(windows):
        if number % 2:
            x = layers.AveragePooling2D(kernel, stride, mode)(x)
        else:
            x = layers.Conv2D(1, kernel, stride, mode, kernel_initializer="ones")(x)
    model = keras.Model(inputs, x)
    middle = x.shape[1] // 2
    single = keras.Model(inputs, x[:, middle, middle])
    with_pixel = single.predict(np.eye(side * side).reshape(-1, side, side, 1), batch_size=800, verbose=0)
    weights = with_pixel.reshape(side, side) - single.predict(np.zeros((1, side, side, 1)), verbose=0).item()
    seen = ndimage.center_of_mass(weights)
    grid = grids(model)[model.layers[-1].name]
    found = [axis.start + axis.step * middle for axis in (grid.down, grid.right)]
    np.testing.assert_allclose(found, seen, atol=1e-3)


# -- mistakes ---------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("words", "message"),
    [
        ({"questions": ["shap"]}, "no question 'shap'; did you mean 'shape'"),
        ({"method": "gradcan"}, "no explanation 'gradcan'; did you mean 'gradcam'"),
        ({"layer": "rel2"}, "no layer 'rel2'; did you mean 'relu2'"),
        ({"layer": "dense1"}, "the layer 'dense1' has no feature map"),
        ({"method": "occlusion", "layer": "relu2"}, "'occlusion' looks at no layer"),
    ],
)
def test_mistakes_are_told_with_the_nearest_choice(words: dict, message: str) -> None:
    model, cutouts = small("base")
    with pytest.raises(UserError, match=message):
        explain(model, TASK_2, cutouts, **words)


def test_a_network_without_feature_maps_is_told_so() -> None:
    model, _ = linear()
    cutouts = np.zeros((1, 8, 8, 3), np.uint8)
    with pytest.raises(UserError, match="no layer with a feature map"):
        explain(model, NO_QUESTIONS, cutouts)
