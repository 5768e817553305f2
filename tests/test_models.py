"""Every model family through one contract: build, fit, save, reload in both formats, same predictions."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import keras
import numpy as np
import pytest
from keras import ops
from small_networks import NETWORKS, pixels, small_config, small_params

import galaxycnn
from galaxycnn.config import load_config
from galaxycnn.errors import ConfigError, UserError
from galaxycnn.models import CNNBuilder
from galaxycnn.models.blocks import ConvParams
from galaxycnn.models.layers import AnswerGate, Maxout
from galaxycnn.models.outputs import Outputs
from galaxycnn.models.saving import Recipe, load_model, read_recipe, save_model
from galaxycnn.registry import MODELS
from galaxycnn.tree import GALAXY_ZOO_2, DecisionTree

TREE = GALAXY_ZOO_2.subset(["Class1", "Class2", "Class7"])
OPTIONS = [
    {},
    {"max_out": True, "batch_normalization": True},
    {"max_out": 3, "max_out_reduce": "mean", "flattening": "GlobalMaxPooling2D"},
]
CASES = [
    (name, options)
    for name in NETWORKS
    for options in (OPTIONS if issubclass(MODELS[name].Params, ConvParams) else [{}])
] + [("efficientnet_lite0", {})]


def answers(model: keras.Model, images: np.ndarray, tree: DecisionTree = TREE) -> np.ndarray:
    """Predicted fractions without compiling a prediction function, which takes longer than all the rest."""
    predicted = keras.tree.map_structure(ops.convert_to_numpy, model(images, training=False))
    return Outputs.of(model, tree).read(predicted).fractions


@pytest.mark.parametrize(("model_type", "options"), CASES, ids=str)
def test_a_family_fits_saves_and_reloads_to_the_same_predictions(
    tmp_path: Path, model_type: str, options: dict
) -> None:
    config = small_config(model_type, **options)
    model = CNNBuilder(config).build()
    images = pixels(config)
    truth = np.random.default_rng(1).uniform(0, 1, (len(images), len(TREE.columns))).astype("float32")
    model.compile("adam", keras.losses.MeanSquaredError(), run_eagerly=True)
    before = [weight.copy() for weight in model.get_weights()]
    model.fit(images, Outputs.of(model, TREE).targets(truth, {}), verbose=0)
    assert all((new != old).any() for new, old in zip(model.get_weights(), before, strict=True) if new.ndim > 1)

    predicted = answers(model, images)
    assert predicted.shape == truth.shape
    assert predicted.dtype == np.float32
    recipe = Recipe(config, TREE, {"fractions": [0.5]})
    for suffix in (".keras", ".h5"):
        path = save_model(model, tmp_path / f"model{suffix}", recipe)
        np.testing.assert_array_equal(answers(load_model(path), images), predicted)
        np.testing.assert_array_equal(answers(keras.saving.load_model(path, compile=False), images), predicted)
        assert read_recipe(path) == recipe


@pytest.mark.parametrize("model_type", ["hierarchy", "branch", "sequential"])
def test_softmax_outputs_obey_their_parents_by_construction(model_type: str) -> None:
    config = small_config(model_type, out_activation="softmax")
    model = CNNBuilder(config).build()
    predicted = answers(model, pixels(config))
    assert np.abs(TREE.deviations(predicted)).max() < 1e-6


@pytest.mark.parametrize("model_type", ["hierarchy", "branch", "sequential"])
def test_sigmoid_answers_never_exceed_their_parent(model_type: str) -> None:
    config = small_config(model_type, out_activation="sigmoid")
    model = CNNBuilder(config).build()
    outputs = Outputs.of(model, TREE).targets(answers(model, pixels(config)), {})
    assert (outputs["Class2"] <= outputs["Class1"][:, 1:2]).all()
    assert (outputs["Class7"] <= outputs["Class1"][:, 0:1]).all()


def test_all_37_fractions_are_gated_down_the_whole_tree() -> None:
    config = load_config(
        {
            "paths": {"images_path": "images"},
            "model_name": "all",
            "data_preprocessing": {"layout": "kaggle", "img_size": [20, 16]},
            "model_params": {**small_params("hierarchy"), "out_activation": "softmax"},
        }
    )
    predicted = answers(CNNBuilder(config).build(), pixels(config), GALAXY_ZOO_2)
    assert predicted.shape == (6, 37)
    assert np.abs(GALAXY_ZOO_2.deviations(predicted)).max() < 1e-6


def test_greyscale_networks_take_one_channel() -> None:
    config = small_config("branch", grayscale=True)
    assert answers(CNNBuilder(config).build(), pixels(config)).shape == (6, 8)


def test_normalisation_is_the_first_layer() -> None:
    config = small_config("base")
    normalized = CNNBuilder(config).build()
    raw = CNNBuilder(load_config(config.model_dump(mode="json"), ["data_preprocessing.normalize=false"])).build()
    raw.set_weights(normalized.get_weights())
    images = pixels(config)
    np.testing.assert_allclose(
        answers(raw, images / np.float32(255)), answers(normalized, images), rtol=1e-5, atol=1e-6
    )


def test_the_branch_joins_features_or_answers() -> None:
    features, answers = (CNNBuilder(small_config("branch", join=join)).build() for join in ("features", "answers"))
    flattened = features.get_layer("Class1_flatten").output.shape[-1]
    assert features.get_layer("Class2_join").output.shape[-1] == 2 * flattened
    assert answers.get_layer("Class2_join").output.shape[-1] == flattened + 3


@pytest.mark.parametrize("model_type", ["hierarchy", "branch", "sequential"])
def test_questions_that_do_not_depend_on_each_other_need_a_base_model(model_type: str) -> None:
    with pytest.raises(ConfigError, match="needs questions that depend on each other"):
        load_config(small_config(model_type).model_dump(mode="json"), ["data_preprocessing.task=1"])


@pytest.mark.parametrize(("reduce", "expected"), [("max", [[5, 2]]), ("mean", [[3, 1]])])
def test_maxout_reduces_neighbours(reduce: str, expected: list) -> None:
    values = keras.ops.convert_to_tensor([[1.0, 5.0, 2.0, 0.0]])
    np.testing.assert_array_equal(keras.ops.convert_to_numpy(Maxout(2, reduce)(values)), expected)


def test_layers_refuse_what_they_cannot_do() -> None:
    with pytest.raises(ValueError, match="5 units cannot be split into groups of 2"):
        Maxout(2)(np.ones((1, 5)))
    with pytest.raises(ValueError, match="reduce must be"):
        Maxout(2, reduce="median")


def test_a_gate_sums_the_answers_that_lead_to_it() -> None:
    gated = AnswerGate([0, 2])([np.ones((1, 2), "float32"), np.array([[0.25, 0.5, 0.125]], "float32")])
    np.testing.assert_allclose(keras.ops.convert_to_numpy(gated), [[0.375, 0.375]])


@pytest.mark.parametrize(
    ("name", "sentence"),
    [
        ("modle.keras", "did you mean '.*model.keras'"),
        ("notes.txt", "ends with .keras or .h5"),
        ("broken.h5", "cannot be read"),
    ],
)
def test_a_file_that_is_no_model_is_told(tmp_path: Path, name: str, sentence: str) -> None:
    config = small_config("base")
    save_model(CNNBuilder(config).build(), tmp_path / "model.keras", Recipe(config, TREE, {}))
    for junk in ("notes.txt", "broken.h5"):
        (tmp_path / junk).write_text("not a model")
    with pytest.raises(UserError, match=sentence):
        load_model(tmp_path / name)


def test_importing_the_networks_registers_all_that_their_files_refer_to() -> None:
    root = Path(galaxycnn.__file__).parent
    folders = [root / "models", root / "losses"]
    sources = [root / "metrics.py", root / "optimizers.py", *(path for each in folders for path in each.glob("*.py"))]
    registering = {
        ".".join(("galaxycnn", *source.relative_to(root).with_suffix("").parts))
        for source in sources
        if "register_keras_serializable" in source.read_text()
    }
    script = "import galaxycnn.models, sys; print(*sys.modules)"
    shown = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, check=True, timeout=120)
    assert "galaxycnn.models.group_convolution" in registering
    assert registering <= set(shown.stdout.split())
