"""Exported networks give what the network gives, to programs that know nothing of galaxycnn."""

from __future__ import annotations

import base64
import json
import os
import subprocess
import sys
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import keras
import numpy as np
import pytest
from galaxy_files import pixels as galaxy
from galaxy_files import write_image
from PIL import Image
from small_networks import NETWORKS, pixels, small_config

import galaxycnn
from galaxycnn.cli import main
from galaxycnn.config import Config, load_config
from galaxycnn.config.schema import DataPreprocessing
from galaxycnn.data.cutouts import centre_box, cut_out
from galaxycnn.ensembles import save_ensemble
from galaxycnn.errors import UserError
from galaxycnn.exporting import export
from galaxycnn.exporting.tensorflow_serving import prepared
from galaxycnn.models import CNNBuilder
from galaxycnn.models.saving import Recipe, load_model, read_recipe, save_model
from galaxycnn.training.precision import precision
from galaxycnn.tree import GALAXY_ZOO_2

pytestmark = pytest.mark.skipif(keras.backend.backend() != "tensorflow", reason="exports are made with TensorFlow")
needs_onnx = pytest.mark.skipif(
    not all(find_spec(name) for name in ("onnx", "onnxruntime", "tf2onnx")), reason="needs galaxycnn[onnx]"
)


def saved(folder: Path, config: Config) -> Path:
    """A network with random weights, of galaxies whose answers differ."""
    keras.utils.set_random_seed(0)
    tree = config.data_preprocessing.target_tree(GALAXY_ZOO_2)
    with precision(config):
        model = CNNBuilder(config, tree).build()
    model.set_weights([weights * 2 if weights.ndim > 1 else weights for weights in model.get_weights()])
    known = np.linspace(0.02, 0.6, 50)
    CNNBuilder(config, tree).family.adapt(
        model, dict.fromkeys(config.data_preprocessing.quantities, known), known[:, None]
    )
    return save_model(model, folder / f"{config.model_name}.keras", Recipe(config, tree, {}))


def configured(name: str, **sections: Any) -> Config:
    params = {"conv_layers": [[4, [3, 3]]], "dense_units": [8], "head": "tree"}
    return load_config(
        {"paths": {"images_path": "images"}, "model_name": name, "model_params": params}
        | {"data_preprocessing": {"img_size": [16, 16]}}
        | sections
    )


# -- ONNX ----------------------------------------------------------------------------------------


def run_onnx(path: Path, **given: np.ndarray) -> tuple[dict[str, np.ndarray], dict[str, Any]]:
    import onnxruntime

    session = onnxruntime.InferenceSession(path, providers=["CPUExecutionProvider"])
    names = [output.name for output in session.get_outputs()]
    meta = session.get_modelmeta()
    about = json.loads(meta.custom_metadata_map["galaxycnn"])
    assert meta.description == about["how_to"]
    return dict(zip(names, session.run(names, given), strict=True)), about


@needs_onnx
@pytest.mark.parametrize("model_type", NETWORKS)
def test_every_network_says_the_same_in_onnx(model_type: str, tmp_path: Path) -> None:
    config = small_config(model_type)
    model = saved(tmp_path, config)
    done = export(model, tmp_path / "small.onnx")
    assert done.difference <= 1e-4
    network, cutouts = load_model(model), pixels(config, galaxies=5)
    found, about = run_onnx(done.path, cutout=cutouts.astype(np.float32))
    expected = network.predict_on_batch(cutouts)
    expected = expected if isinstance(expected, dict) else {"fractions": expected}
    assert set(found) == set(network.output_names) == set(about["outputs"])
    assert max(np.ptp(values, axis=0).max() for values in expected.values()) > 1e-3
    for name, values in expected.items():
        np.testing.assert_allclose(found[name], values, atol=1e-4)
    columns = [column for output in about["outputs"].values() for column in output["columns"]]
    assert columns == list(config.data_preprocessing.target_tree(GALAXY_ZOO_2).columns)


@needs_onnx
@pytest.mark.parametrize(("head", "numbers"), [("linear", 1), ("mixture", 10), ("bins", 33)])
def test_quantities_and_inputs_keep_their_names(head: str, numbers: int, tmp_path: Path) -> None:
    preprocessing = {"img_size": [16, 16], "questions": ["Class1"], "quantities": ["redshift"], "inputs": ["pxscale"]}
    params = {"model_type": "dual_head", "version": 3, "quantity_head": head, "dense_units": [8]}
    config = configured("z", data_preprocessing=preprocessing, model_params=params)
    model = saved(tmp_path, config)
    scales = np.linspace(0.2, 0.6, 4, dtype=np.float32)[:, None]
    cutouts = pixels(config, galaxies=4).astype(np.float32)
    found, about = run_onnx(export(model, tmp_path / "z.onnx").path, cutout=cutouts, inputs=scales)
    expected = load_model(model).predict_on_batch({"cutout": cutouts, "inputs": scales})
    for name in ("Class1", "redshift"):
        np.testing.assert_allclose(found[name], expected[name], atol=1e-4)
    assert about["inputs"] == ["pxscale"] and "pxscale" in about["how_to"]
    columns = about["outputs"]["redshift"]["columns"]
    assert found["redshift"].shape == (4, numbers) and len(columns) == numbers and columns[0] == "redshift"
    assert len(about["outputs"]["redshift"].get("edges", range(33))) == 33


@needs_onnx
def test_the_file_says_how_it_is_fed(tmp_path: Path) -> None:
    config = configured("cropped", data_preprocessing={"img_size": [16, 12], "crop": True, "crop_size": 30})
    _, about = run_onnx(
        export(saved(tmp_path, config), tmp_path / "cropped.onnx").path, cutout=np.zeros((1, 16, 12, 3), np.float32)
    )
    assert about["name"] == "cropped" and about["made_with"] == f"galaxycnn {galaxycnn.__version__}"
    assert about["cutout"] == {
        **{"crop_size": 30, "height": 16, "width": 12, "channels": 3},
        **{"resampling": "Lanczos", "range": [0, 255]},
    }
    assert "central 30 x 30 pixels" in about["how_to"] and "16 x 12 (height x width)" in about["how_to"]
    assert about["outputs"]["fractions"]["meanings"][0].endswith("smooth")


@needs_onnx
def test_mixed_precision_becomes_float32(tmp_path: Path) -> None:
    config = configured("mixed", train_params={"precision": "mixed_bfloat16"})
    model = saved(tmp_path, config)
    cutouts = pixels(config, galaxies=4).astype(np.float32)
    found, _ = run_onnx(export(model, tmp_path / "mixed.onnx").path, cutout=cutouts)
    mixed = load_model(model)
    assert any(layer.compute_dtype == "bfloat16" for layer in mixed.layers)
    np.testing.assert_allclose(found["fractions"], mixed.predict_on_batch(cutouts), atol=0.02)


# -- TensorFlow Serving --------------------------------------------------------------------------

ASK = """
import base64, json, sys
import numpy as np, tensorflow as tf
folder, request = sys.argv[1:]
served, request = tf.saved_model.load(folder), json.load(open(request))
said = {}
for name, instances in request.items():
    signature = served.signatures[name]
    [(_, spec)] = signature.structured_input_signature[1].items()
    if spec.dtype == tf.string:
        instances = [base64.b64decode(each["b64"]) for each in instances]
    given = {spec.name: tf.constant(instances, spec.dtype)}
    said[name] = {output: values.numpy().tolist() for output, values in signature(**given).items()}
print("\\n" + json.dumps(said))
"""


def ask(folder: Path, request: dict[str, list[Any]]) -> dict[str, dict[str, Any]]:
    """What the signatures of a SavedModel say, in a process that has never heard of galaxycnn."""
    body = folder / "request.json"
    body.write_text(json.dumps(request))
    said = subprocess.run(
        [sys.executable, "-c", ASK, str(folder), str(body)],
        **{"check": True, "capture_output": True, "text": True, "cwd": folder},
        env={**os.environ, "CUDA_VISIBLE_DEVICES": "", "PYTHONPATH": ""},
    )
    return json.loads(said.stdout.splitlines()[-1])


def encoded(path: Path) -> dict[str, str]:
    return {"b64": base64.b64encode(path.read_bytes()).decode()}


def test_a_server_answers_cutouts_and_files(tmp_path: Path) -> None:
    settings = {"img_size": [16, 16], "crop": True, "crop_size": 30}
    config = configured("served", data_preprocessing=settings)
    model = saved(tmp_path, config)
    (tmp_path / "served" / "2").mkdir(parents=True)
    done = export(model, tmp_path / "served")
    assert done.path == tmp_path / "served" / "3" and done.difference <= 1e-6
    files = [write_image(tmp_path / "images" / f"{seed}.{'jpg' if seed % 2 else 'png'}", seed, 40) for seed in range(4)]
    cutouts = pixels(config, galaxies=3)
    instances = cutouts.tolist()
    said = ask(
        done.path,
        {"serving_default": instances, "serve": instances, "images": [encoded(path) for path in files]},
    )
    expected = load_model(model).predict_on_batch(cutouts.astype(np.float32))
    for name in ("serving_default", "serve"):
        np.testing.assert_allclose(said[name]["fractions"], expected, atol=1e-5)
    predicted = galaxycnn.predict(files, model)[list(GALAXY_ZOO_2.columns)].to_numpy()
    np.testing.assert_allclose(said["images"]["fractions"], predicted, atol=2e-3)
    assert np.ptp(predicted, axis=0).max() > 0.01
    about = json.loads((done.path / "assets.extra" / "galaxycnn.json").read_text())
    assert about["outputs"]["fractions"]["columns"] == list(GALAXY_ZOO_2.columns)
    assert sorted(os.listdir(tmp_path / "served")) == ["2", "3"]


@pytest.mark.parametrize(
    "settings",
    [
        {"img_size": [32, 32]},
        {"img_size": [24, 20], "crop": True, "crop_size": 61, "grayscale": True},
        {"img_size": [64, 64], "crop": True, "crop_size": 1000},
    ],
)
def test_files_are_prepared_as_for_predictions(settings: dict[str, Any], tmp_path: Path) -> None:
    wanted = DataPreprocessing(**settings)
    files = [tmp_path / "a.jpg", tmp_path / "b.png", tmp_path / "c.png"]
    Image.fromarray(galaxy(1, 90)).save(files[0], quality=90)
    Image.fromarray(galaxy(2, 83)[:70]).save(files[1])
    Image.fromarray(np.dstack([galaxy(3, 64), np.full((64, 64), 200, np.uint8)])).save(files[2])
    found = prepared(wanted)(np.array([path.read_bytes() for path in files], object)).numpy()
    check_cutouts(found, files, wanted)


def test_real_files_are_prepared_as_for_predictions(real_data: Any) -> None:
    files = sorted((real_data("kaggle") / "images_training_rev1").iterdir())[:12]
    wanted = DataPreprocessing(img_size=[69, 69], crop=True, crop_size=207)
    check_cutouts(prepared(wanted)(np.array([path.read_bytes() for path in files], object)).numpy(), files, wanted)


def check_cutouts(found: np.ndarray, files: list[Path], settings: DataPreprocessing) -> None:
    for path, cutout in zip(files, found, strict=True):
        image = Image.open(path).convert("RGB")
        crop = min(settings.crop_size, *image.size) if settings.crop and settings.crop_size else None
        expected = cut_out(image, settings, centre_box(*image.size, crop))
        assert np.abs(cutout - expected).max() <= 1 and (cutout == expected).mean() > 0.995


# -- in less space -------------------------------------------------------------------------------


def test_a_smaller_file_is_a_model_file_like_any_other(tmp_path: Path) -> None:
    config = configured("a", model_params={"conv_layers": [[4, [3, 3]]], "dense_units": [256], "head": "tree"})
    model = saved(tmp_path, config)
    written = export(model, tmp_path / "small.keras")
    assert 0 < written.difference < 0.02
    assert written.path.stat().st_size < 0.75 * model.stat().st_size
    assert read_recipe(written.path) == read_recipe(model)
    cutouts = np.random.default_rng(2).integers(0, 256, (4, *config.data_preprocessing.input_shape)).astype(np.float32)
    small, whole = (load_model(path).predict(cutouts, verbose=0) for path in (written.path, model))
    np.testing.assert_allclose(small, whole, atol=0.02)
    again = export(written.path, tmp_path / "again.keras")
    assert again.difference == 0


def test_a_smaller_file_computes_in_float32_wherever_it_was_trained(tmp_path: Path) -> None:
    config = configured("mixed", train_params={"precision": "mixed_bfloat16"})
    small = load_model(export(saved(tmp_path, config), tmp_path / "small.keras").path)
    assert {layer.compute_dtype for layer in small.layers} == {"float32"}


# -- what is asked for ---------------------------------------------------------------------------


def test_what_cannot_be_exported_is_said_in_one_sentence(tmp_path: Path) -> None:
    models = [saved(tmp_path, configured(name)) for name in "ab"]
    both = save_ensemble(tmp_path / "both.ensemble.yaml", dict.fromkeys(models, 0.5), views=1)
    for model, output, reason in (
        (both, "both.onnx", r"an ensemble is not exported as one network; export its members \(.*a\.keras"),
        (models[0], "a.onx", r"a file that ends with \.onnx or \.keras, or a folder; did you mean '\.onnx'"),
        (models[0], "a.tflite", r"a file that ends with \.onnx or \.keras, or a folder$"),
        (tmp_path / "c.keras", "served", "there is no such model file"),
    ):
        with pytest.raises(UserError, match=reason):
            export(model, tmp_path / output)
    assert sorted(os.listdir(tmp_path)) == ["a.keras", "b.keras", "both.ensemble.yaml"]


@needs_onnx
def test_the_command_says_what_it_wrote(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    model = saved(tmp_path, configured("a"))
    assert main(["export", str(model), "-o", str(tmp_path / "a.onnx")]) == 0
    assert f"{tmp_path / 'a.onnx'}: gives what the network gives, to " in capsys.readouterr().out
