"""Whole-model ``.h5`` files of Keras 2, as users of the seed project have them, load by weights."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

import galaxycnn
from galaxycnn.errors import UserError
from galaxycnn.models.outputs import Outputs
from galaxycnn.tree import GALAXY_ZOO_2

pytest.importorskip("tf_keras", reason="tf-keras, which writes Keras 2 files, is not installed")

TREE = GALAXY_ZOO_2.subset(["Class1", "Class2", "Class7"])

WRITER = """
import sys
import numpy as np
import tf_keras as keras
from tf_keras import layers

kind, path, images, predicted = sys.argv[1:]

class Maxout(layers.Layer):
    def __init__(self, group_size, **kwargs):
        super().__init__(**kwargs)
        self.group_size = group_size

    def call(self, x):
        return keras.backend.max(keras.backend.reshape(x, (-1, x.shape[-1] // self.group_size, self.group_size)), -1)

    def get_config(self):
        return {**super().get_config(), "group_size": self.group_size}

def convolutions(x):
    for filters in (4, 6):
        x = layers.Conv2D(filters, (3, 3))(x)
        x = layers.BatchNormalization()(x)
        x = layers.MaxPooling2D((2, 2))(layers.Activation("relu")(x))
    return layers.Flatten()(x)

def dense(x):
    for units in (8, 6):
        x = layers.Dropout(0.2)(Maxout(2)(layers.Dense(2 * units, activation="relu")(x)))
    return x

def gated(answers, out1, answer, name):
    mask = layers.Lambda(lambda x: x[:, answer:answer + 1], name=name + "_mask")(out1)
    return layers.Multiply(name=name)([answers, mask])

image = keras.Input((20, 16, 3))
if kind == "base":
    outputs = layers.Dense(8, activation="sigmoid", name="Class1")(dense(convolutions(image)))
else:
    x = dense(convolutions(image))
    out1 = layers.Dense(3, activation="softmax" if kind == "branch" else "sigmoid", name="Class1")(x)
    if kind == "hierarchy":
        x2 = x3 = x
    else:
        x2 = dense(layers.Concatenate()([out1, convolutions(image)]))
        x3 = dense(layers.Concatenate()([out1, convolutions(image)]))
    out2 = layers.Dense(2, activation="sigmoid", name="Class2_in")(x2)
    out3 = layers.Dense(3, activation="sigmoid", name="Class3_in")(x3)
    outputs = [out1, gated(out2, out1, 1, "Class2"), gated(out3, out1, 0, "Class3")]
model = keras.Model(image, outputs)
rng = np.random.default_rng(0)
model.set_weights([rng.uniform(0.05, 0.4, w.shape).astype("float32") * np.sign(rng.normal(size=w.shape) + 0.4)
                   if w.ndim > 1 else np.abs(rng.normal(0.3, 0.1, w.shape)) for w in model.get_weights()])
model.compile("adam", "mean_squared_error")
model.save(path)
answers = model.predict(np.load(images) / np.float32(255), verbose=0)
np.save(predicted, answers if kind == "base" else np.concatenate(answers, axis=1))
"""


@pytest.mark.parametrize("kind", ["base", "hierarchy", "branch"])
def test_a_keras_2_file_predicts_what_it_did(tmp_path: Path, kind: str) -> None:
    images = np.random.default_rng(1).integers(0, 256, (5, 20, 16, 3), dtype=np.uint8)
    np.save(tmp_path / "images.npy", images)
    files = [str(tmp_path / name) for name in ("old.h5", "images.npy", "predicted.npy")]
    subprocess.run([sys.executable, "-c", WRITER, kind, *files], check=True, capture_output=True)

    yaml = tmp_path / "old.yaml"
    yaml.write_text(
        f"""\
paths: {{images_path: images}}
model_name: old
data_preprocessing: {{task: 2, img_size: [20, 16]}}
model_params:
  model_type: {kind}
  {"join: answers" if kind == "branch" else "activation: relu"}
  conv_layers: [[4, [3, 3]], [6, [3, 3]]]
  dense_units: [8, 6]
  batch_normalization: true
  max_out: true
  dropout_rate: 0.2
"""
    )
    model = galaxycnn.load_model(tmp_path / "old.h5", yaml)
    predicted = Outputs.of(model, TREE).read(model.predict(images, verbose=0)).fractions
    expected = np.load(tmp_path / "predicted.npy")
    assert expected.std() > 0.01
    np.testing.assert_allclose(predicted, expected, rtol=1e-4, atol=1e-5)

    with pytest.raises(UserError, match="was written by Keras 2; give the YAML file of its network"):
        galaxycnn.load_model(tmp_path / "old.h5")
    wrong = tmp_path / "wrong.yaml"
    wrong.write_text(yaml.read_text().replace("[8, 6]", "[8, 7]"))
    with pytest.raises(UserError, match="its weights do not fit the network"):
        galaxycnn.load_model(tmp_path / "old.h5", wrong)
