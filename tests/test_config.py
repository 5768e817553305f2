"""Configuration files: the seed's is valid, and every mistake is one sentence with file, line and key."""

from __future__ import annotations

from pathlib import Path

import pytest
import yaml
from hypothesis import given
from hypothesis import strategies as st

from galaxycnn.config import Config, dump_config, load_config, save_config
from galaxycnn.errors import ConfigError
from galaxycnn.registry import AUGMENTATIONS, LOSSES, MODELS

SEED_FILE = """\
paths:
  images_path: 'galaxy-zoo_data/images_training_rev1/'
  labels_path: 'galaxy-zoo_data/training_solutions_rev1.csv'
  plots_path: 'metrics_plots/'
  models_path: 'saved_models/'

data_preprocessing:
  task: 2
  min: 0.5
  one_hot_labels: False
  crop: True
  crop_size: 256
  img_size: [64, 64]
  normalize: True
  grayscale: False
  training_size: 0.80
  test_size: 0.2

model_name: 'Base_ModelII_regression'

model_params:
  model_type: 'base'
  conv_layers: [[32, [3,3]], [64, [3,3]], [128, [3,3]]]
  dense_units: [256, 128]
  batch_normalization: False
  activation: 'relu'
  pool_size: [2, 2]
  flattening: 'Flatten'
  class_weights: False
  out_activation: 'sigmoid'
  dropout_rate: 0.25
  max_out: True
  early_stop_patience: 15
  monitor: 'val_loss'

data_augmentation_params:
  rotation_range: 90
  width_shift_range: 0.01
  height_shift_range: 0.01
  horizontal_flip: True
  vertical_flip: True
  shear_range: 0.015
  zoom_range: 0.15

train_params:
  learning_rate: 0.001
  loss_function: 'mean_squared_error'
  metrics: ['mse', 'accuracy']
  batch_size: 100
  epochs: 150
  threshold: 0.0
  take_weights_log: True
"""


@pytest.fixture
def seed_file(tmp_path: Path) -> Path:
    path = tmp_path / "config.yaml"
    path.write_text(SEED_FILE)
    return path


def minimal(**sections) -> dict:
    return {"paths": {"images_path": "images"}, "model_name": "run", "model_params": {}, **sections}


def test_the_seeds_file_is_valid_as_it_stands(seed_file: Path) -> None:
    config = load_config(seed_file)
    given_keys = yaml.safe_load(SEED_FILE)
    kept = config.model_dump(mode="json")
    for section in ("data_preprocessing", "model_params", "data_augmentation_params", "train_params"):
        assert {key: kept[section][key] for key in given_keys[section]} == given_keys[section]
    assert config.seed == 48


OPTIONS = {
    "data_preprocessing": ["min", "one_hot_labels", "crop", "normalize", "grayscale"],
    "model_params": ["batch_normalization", "class_weights", "dropout_rate", "max_out", "early_stop_patience"],
    "data_augmentation_params": ["rotation_range", "horizontal_flip", "shear_range", "fill_mode"],
    "train_params": ["threshold", "take_weights_log"],
}


@pytest.mark.parametrize(("section", "key"), [(section, key) for section, keys in OPTIONS.items() for key in keys])
def test_null_switches_an_option_off(seed_file: Path, section: str, key: str) -> None:
    config = load_config(seed_file, [f"{section}.{key}=null"])
    assert not getattr(getattr(config, section), key)


def test_null_switches_augmentation_off(seed_file: Path) -> None:
    assert load_config(seed_file, ["data_augmentation_params=null"]).data_augmentation_params is None


@pytest.mark.parametrize("preset", list(AUGMENTATIONS))
@pytest.mark.parametrize("model_type", list(MODELS))
def test_a_resolved_configuration_loads_to_an_equal_one(tmp_path: Path, model_type: str, preset: str) -> None:
    config = load_config(
        minimal(
            data_preprocessing={"task": 2},
            model_params={"model_type": model_type},
            data_augmentation_params={"preset": preset, "zoom_range": None},
        )
    )
    save_config(config, tmp_path / "resolved.yaml")
    again = load_config(tmp_path / "resolved.yaml")
    assert again == config
    assert dump_config(again) == dump_config(config)


def test_a_preset_fills_in_what_is_not_given_and_null_is_given() -> None:
    augmentation = {"preset": "seed_task1", "zoom_range": None, "rotation_range": 10}
    params = load_config(minimal(data_augmentation_params=augmentation)).data_augmentation_params
    assert (params.rotation_range, params.zoom_range, params.width_shift_range) == (10, None, 0.075)


MISTAKES = {
    "learning_rate: -> lerning_rate:": "unknown key 'train_params.lerning_rate'; did you mean 'learning_rate'?",
    "train_params: -> train_parms:": "unknown key 'train_parms'; did you mean 'train_params'?",
    "epochs: 150 -> epochs: many": "train_params.epochs: expected a valid integer, found 'many'",
    "epochs: 150 -> epochs: 0": "train_params.epochs: expected a value greater than 0, found 0",
    "epochs: 150 -> epochs: True": "train_params.epochs: expected a valid integer, found True",
    "'base' -> 'bsae'": "model_params.model_type: there is no model 'bsae'; did you mean 'base'?",
    "task: 2 -> task: 3": "data_preprocessing.task: expected 1 or 2, found 3",
    "'Flatten' -> 'Flat'": "model_params.flattening: expected 'Flatten' or 'GlobalMaxPooling2D', found 'Flat'",
    "[32, [3,3]] -> [32]": "model_params.conv_layers.0.1 is missing",
    "'relu' -> 'rellu'": "model_params.activation: there is no activation 'rellu' here; did you mean 'relu'?",
    "'sigmoid' -> 'softmax'": "softmax makes all 8 fractions sum to 1, but they belong to 3 questions",
    "'mean_squared_error' -> 'mean_square_error'": "did you mean 'mean_squared_error'?",
    "'mean_squared_error' -> weighted_mse": "'weighted_mse' needs class weights",
    "['mse', -> ['msee',": "there is no metric 'msee'; did you mean 'mse'?",
    "rotation_range: 90 -> rotation_range: 900": "expected a value less than or equal to 360, found 900",
    "model_name: 'Base -> model_name: '../Base": "model_name: expected",
    "batch_size: 100 -> epochs: 1": "train_params.epochs is given twice",
    "crop: True -> crop: [True": "not valid YAML",
    "test_size: 0.2 -> test_size: 1": "'test_size: 1' leaves no galaxies to train on",
    "training_size: 0.80 -> training_size: 1": "'val_loss' cannot be watched without validation galaxies",
    "crop_size: 256 -> crop_size: null": "'crop: true' needs a 'crop_size'",
    "[64, 64] -> [12, 12]": "no pixels are left after block 3 of a 12×12 cutout",
}
TOLD_ELSEWHERE = {
    "batch_size: 100 -> epochs: 1": "epochs: 150",
    "crop: True -> crop: [True": "crop_size",
    "test_size: 0.2 -> test_size: 1": "data_preprocessing:",
    "training_size: 0.80 -> training_size: 1": "early_stop_patience",
    "crop_size: 256 -> crop_size: null": "data_preprocessing:",
    "[64, 64] -> [12, 12]": "conv_layers",
}
"""Mistakes of which the message names another line than the one that was changed."""


@pytest.mark.parametrize("change", MISTAKES)
def test_a_mistake_is_told_with_file_line_key_and_the_nearest_choice(seed_file: Path, change: str) -> None:
    old, _, new = change.partition(" -> ")
    assert SEED_FILE.count(old) == 1 or old == "test_size: 0.2"
    text = SEED_FILE.replace(old, new)
    seed_file.write_text(text)
    told = TOLD_ELSEWHERE.get(change, new)
    line = next(number for number, content in enumerate(text.splitlines(), start=1) if told in content)
    with pytest.raises(ConfigError) as caught:
        load_config(seed_file)
    message = str(caught.value)
    assert message.startswith(f"{seed_file}:{line}: ")
    assert MISTAKES[change] in message
    assert "\n" not in message


def test_a_missing_key_and_a_missing_file_are_told(tmp_path: Path, seed_file: Path) -> None:
    with pytest.raises(ConfigError, match="model_name is missing"):
        load_config({"paths": {"images_path": "images"}, "model_params": {}})
    with pytest.raises(ConfigError, match=r"there is no such file; did you mean '.*config\.yaml'"):
        load_config(tmp_path / "confg.yaml")
    (tmp_path / "empty.yaml").write_text("")
    with pytest.raises(ConfigError, match="expected sections"):
        load_config(tmp_path / "empty.yaml")


@pytest.mark.parametrize(
    ("override", "sentence"),
    [
        (
            "train_params.epoch=3",
            "--set train_params.epoch=3: unknown key 'train_params.epoch'; did you mean 'epochs'?",
        ),
        ("train_params.epochs", "expected section.key=value"),
        ("model_name.x=3", "'model_name' is a value"),
        ("train_params.metrics=[mse", "not valid YAML"),
    ],
)
def test_a_wrong_override_is_told_as_it_was_written(seed_file: Path, override: str, sentence: str) -> None:
    with pytest.raises(ConfigError) as caught:
        load_config(seed_file, [override])
    assert sentence in str(caught.value)


def test_an_override_can_set_what_the_file_leaves_out() -> None:
    config = load_config(minimal(), ["simulation.galaxies=50", "train_params.learning_rate=1e-4"], seed=7)
    assert (config.simulation.galaxies, config.train_params.learning_rate, config.seed) == (50, 1e-4, 7)


def _keys() -> list[tuple[str, str]]:
    config = load_config(minimal(data_augmentation_params={}))
    sections = config.model_dump(mode="json")
    return [(name, key) for name, keys in sections.items() if isinstance(keys, dict) for key in keys if len(key) > 4]


@given(st.sampled_from(_keys()), st.data())
def test_any_key_with_a_letter_lost_is_recognised(place: tuple[str, str], data: st.DataObject) -> None:
    section, key = place
    lost = data.draw(st.integers(1, len(key) - 1))
    with pytest.raises(ConfigError, match=f"did you mean '{key}'"):
        load_config(minimal(), [f"{section}.{key[:lost] + key[lost + 1 :]}=1"])


@given(
    st.builds(
        dict,
        epochs=st.integers(1, 1000),
        batch_size=st.integers(1, 512),
        learning_rate=st.floats(1e-6, 1),
        loss_function=st.sampled_from([name for name in LOSSES if not name.startswith("weighted")]),
        threshold=st.floats(0, 1),
        schedule=st.builds(dict, name=st.sampled_from(["constant", "cosine", "exponential", "plateau"])),
    )
)
def test_any_valid_section_survives_yaml(train_params: dict) -> None:
    config: Config = load_config(minimal(train_params=train_params))
    assert load_config(yaml.safe_load(dump_config(config))) == config


anything = st.recursive(
    st.none() | st.booleans() | st.integers(-3, 3) | st.floats() | st.text(max_size=8),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=8), inner, max_size=3),
    max_leaves=5,
)


@given(st.sampled_from([(name, None) for name in minimal()] + _keys() + [("train_params", "schedule")]), anything)
def test_any_value_anywhere_is_taken_or_refused_in_one_sentence(place: tuple[str, str | None], value) -> None:
    section, key = place
    content = minimal(data_preprocessing={}, train_params={}, data_augmentation_params={}, simulation={})
    if key is None:
        content[section] = value
    else:
        content[section] = {**({} if not isinstance(content.get(section), dict) else content[section]), key: value}
    try:
        config = load_config(content)
    except ConfigError as error:
        assert "\n" not in str(error)
        assert len(str(error)) > 20
    else:
        assert load_config(yaml.safe_load(dump_config(config))) == config
