"""From a configuration to parts: everything joined, nothing lost, problems reported or fatal."""

from __future__ import annotations

import shutil
import subprocess
import sys
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from galaxy_files import kaggle_folder, write_image

from galaxycnn.config.schema import Config, DataPreprocessing, ModelParams, Paths, Simulation
from galaxycnn.data.cache import read_cutout
from galaxycnn.data.checking import check
from galaxycnn.data.dataset import load_part, prepare
from galaxycnn.data.split import Split
from galaxycnn.errors import DataError, UserError


def config_of(images: Path, labels: Path | None, simulation: Simulation | None = None, **preprocessing) -> Config:
    return Config(
        paths=Paths(images_path=images, labels_path=labels, cache_path=images.parent / "cache"),
        simulation=simulation,
        data_preprocessing=DataPreprocessing(**{"img_size": [32, 32], **preprocessing}),
        model_name="test",
        model_params=ModelParams(),
    )


@pytest.fixture
def galaxies(tmp_path) -> tuple[Path, Path]:
    return kaggle_folder(tmp_path, 40)


def spoil(images: Path) -> None:
    """One corrupt, one copied, one missing and one unlabelled galaxy."""
    (images / "100.jpg").write_bytes(b"no image")
    shutil.copy(images / "101.jpg", images / "102.jpg")
    (images / "103.jpg").rename(images / "9.jpg")


# -- prepare -------------------------------------------------------------------------------------


def test_every_galaxy_keeps_its_own_image_and_fractions(galaxies):
    images, labels = galaxies
    config = config_of(images, labels, task=2, min=0.5, crop=True, crop_size=36)
    data = prepare(config)
    truth = pd.read_csv(labels, dtype={"GalaxyID": str}).set_index("GalaxyID")[list(data.tree.columns)]
    chosen = truth[truth.max(axis=1) >= 0.5]
    assert sorted(name for part in data.parts for name in part.ids) == sorted(chosen.index)
    for part in data.parts:
        np.testing.assert_allclose(part.fractions, truth.loc[part.ids], atol=1e-6)
        assert part.pixels().shape == (len(part), 32, 32, 3) and part.pixels().dtype == np.uint8
        for i, name in enumerate(part.ids):
            expected = read_cutout(images / f"{name}.jpg", config.data_preprocessing)
            np.testing.assert_array_equal(part.pixels([i])[0], expected)
    assert data.leaks.pairs == [] and data.leaks.compared == len(chosen)


def test_the_seed_and_the_saved_split_decide(galaxies, tmp_path):
    config = config_of(*galaxies)
    first = prepare(config)
    assert [len(part) for part in first.parts] == [26, 8, 6]
    assert prepare(config).split == first.split
    other = config.model_copy(update={"seed": 1})
    assert prepare(other).split != first.split
    first.split.save(tmp_path / "split.csv")
    assert prepare(other, Split.load(tmp_path / "split.csv")).split == first.split


def test_a_saved_split_must_fit(galaxies):
    config = config_of(*galaxies)
    split = prepare(config).split
    (galaxies[0] / f"{split.train[0]}.jpg").unlink()
    with pytest.raises(DataError, match=f"1 of its galaxies are not there .*, {split.train[0]} for one"):
        prepare(config, split)


def test_splits_are_stratified_by_the_first_question(tmp_path):
    for k, (name, count) in enumerate((("spiral", 40), ("elliptical", 20), ("odd", 1))):
        for i in range(count):
            write_image(tmp_path / "images" / name / f"{i}.jpg", 100 * k + i)
    data = prepare(config_of(tmp_path / "images", None))
    for part in data.parts:
        assert part.fractions.mean(axis=0)[2] == pytest.approx(40 / 61, abs=0.06)


def test_problems_are_listed_and_left_out(galaxies):
    spoil(galaxies[0])
    data = prepare(config_of(*galaxies))
    expected = [
        ("missing", "103"),
        ("unlabelled", "9.jpg"),
        ("corrupt", "100"),
        ("conflicting", "101"),
        ("conflicting", "102"),
    ]
    assert [(problem.kind, problem.name) for problem in data.problems] == expected
    assert sum(map(len, data.parts)) == 36


@pytest.mark.parametrize(
    ("step", "message"),
    [
        (0, r"2 galaxies cannot be used, first 103 \(missing: there is no image of this name\); .*on_bad_images: skip"),
        (1, r"3 galaxies cannot be used, first 100 \(corrupt: 100\.jpg: not an image"),
    ],
)
def test_problems_can_be_fatal(galaxies, step, message):
    images, labels = galaxies
    spoil(images)
    if step:
        (images / "9.jpg").rename(images / "103.jpg")
    with pytest.raises(DataError, match=message):
        prepare(config_of(images, labels, on_bad_images="fail"))


def test_near_copies_in_different_parts_are_reported(galaxies):
    from PIL import Image

    images, labels = galaxies
    split = prepare(config_of(images, labels)).split
    Image.open(images / f"{split.train[0]}.jpg").save(images / f"{split.test[0]}.jpg", quality=80)
    report = prepare(config_of(images, labels), split).leaks
    assert [set(pair[:2]) for pair in report.pairs] == [{split.train[0], split.test[0]}]


def test_too_few_galaxies(tmp_path):
    with pytest.raises(
        DataError, match=r"2 galaxies with data_preprocessing.training_size 0.8 and test_size 0.2 leave none"
    ):
        prepare(config_of(*kaggle_folder(tmp_path, 2)))


# -- other doors ---------------------------------------------------------------------------------


def test_a_folder_as_one_part_keeps_unclear_galaxies(galaxies, tmp_path):
    preprocessing = DataPreprocessing(task=1, min=0.8, img_size=[16, 16], grayscale=True)
    tree, part = load_part(preprocessing, *galaxies, tmp_path / "cache")
    assert tree.columns == ("Class1.1", "Class1.2", "Class1.3") and part.name == "all"
    assert part.pixels().shape == (40, 16, 16, 1)
    assert 0 < (part.fractions.max(axis=1) >= 0.8).sum() < 40


def test_check_reports_and_never_fails(galaxies):
    images, labels = galaxies
    spoil(images)
    write_image(images / "104.jpg", 104, size=50)
    result = check(config_of(images, labels, task=1, on_bad_images="fail"))
    assert (result.readable, result.selected) == (36, 36)
    assert result.sizes == {(40, 40): 37, (50, 50): 1}
    assert {kind: len(problems) for kind, problems in result.problems.items()} == {
        "missing": 1,
        "unlabelled": 1,
        "corrupt": 1,
        "conflicting": 2,
    }
    ((_, shares),) = result.answers
    assert sum(share.galaxies for share in shares) == 36
    assert sum(share.mean_fraction for share in shares) == pytest.approx(1, abs=1e-5)
    text = str(result)
    assert "37 images of 40×40 pixels" in text and "left out as corrupt: 1\n  100: 100.jpg: not an image" in text


def test_the_survey_is_simulated_where_there_is_none(tmp_path):
    survey = tmp_path / "survey"
    images, labels = survey / "images_training_rev1", survey / "training_solutions_rev1.csv"
    simulation = Simulation(galaxies=12, image_size=32)
    config = config_of(images, labels, simulation)
    config = config.model_copy(update={"paths": config.paths.model_copy(update={"cache_path": tmp_path / "cache"})})
    first = prepare(config)
    assert sum(map(len, first.parts)) == 12 and len(first.tree.columns) == 37
    stamp = images.stat().st_mtime_ns
    assert prepare(config).split == first.split and images.stat().st_mtime_ns == stamp
    other = config.model_copy(update={"simulation": Simulation(galaxies=13, image_size=32)})
    with pytest.raises(DataError, match="simulated with other settings"):
        prepare(other)


def test_simulation_needs_the_challenge_s_folder_name(tmp_path):
    with pytest.raises(DataError, match="must end in images_training_rev1"):
        prepare(config_of(tmp_path / "images", tmp_path / "labels.csv", Simulation(galaxies=5)))


def test_questions_that_the_labels_do_not_answer(tmp_path):
    for i in range(4):
        write_image(tmp_path / "images" / "ab"[i % 2] / f"{i}.jpg", i)
    with pytest.raises(UserError, match="no question 'Class1'"):
        prepare(config_of(tmp_path / "images", None, task=1))


def test_the_data_layer_needs_no_keras():
    program = (
        "import sys, types; sys.modules['galaxycnn.config.loading'] = types.ModuleType('loading');"
        "sys.modules['galaxycnn.config.loading'].__dict__.update(dump_config=0, load_config=0, save_config=0);"
        "import galaxycnn.data.checking, galaxycnn.data.download; print('keras' in sys.modules)"
    )
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "False"


# -- splits from files, no validation, extra galaxies ----------------------------------------------


def test_a_split_file_is_followed(galaxies, tmp_path):
    images, labels = galaxies
    drawn = prepare(config_of(images, labels)).split
    smaller = Split(drawn.train[:10], drawn.validation, drawn.test)
    smaller.save(tmp_path / "split.csv")
    data = prepare(config_of(images, labels, split_file=tmp_path / "split.csv"))
    assert data.split == smaller


def test_all_but_the_test_part_may_train(galaxies):
    data = prepare(config_of(*galaxies, training_size=1.0, test_size=0.2))
    assert [part.name for part in data.parts] == ["train", "test"]
    assert (len(data.train), len(data.validation), len(data.test)) == (32, 0, 8)


def test_a_split_without_test_galaxies_is_refused(galaxies, tmp_path):
    drawn = prepare(config_of(*galaxies)).split
    Split(drawn.train, drawn.validation, []).save(tmp_path / "split.csv")
    with pytest.raises(DataError, match="no galaxies for test"):
        prepare(config_of(*galaxies, split_file=tmp_path / "split.csv"))


def with_extra(config: Config, images: Path, labels: Path) -> Config:
    extra = {"extra_images_path": images, "extra_labels_path": labels}
    return config.model_copy(update={"paths": config.paths.model_copy(update=extra)})


@pytest.fixture
def extra(tmp_path) -> tuple[Path, Path]:
    """Twelve more galaxies, with ids of their own."""
    images, labels = kaggle_folder(tmp_path / "extra", 12, seed=1)
    table = pd.read_csv(labels)
    table["GalaxyID"] += 1000
    table.to_csv(labels, index=False)
    for image in images.iterdir():
        image.rename(images / f"{int(image.stem) + 1000}.jpg")
    return images, labels


def test_extra_galaxies_train_and_do_nothing_else(galaxies, extra):
    plain = prepare(config_of(*galaxies))
    data = prepare(with_extra(config_of(*galaxies), *extra))
    assert data.split.validation == plain.split.validation and data.split.test == plain.split.test
    assert data.split.train == [*plain.split.train, *(str(1100 + i) for i in range(12))]
    truth = pd.read_csv(extra[1], dtype={"GalaxyID": str}).set_index("GalaxyID")
    np.testing.assert_allclose(data.train.fractions[-12:], truth[list(data.tree.columns)], atol=1e-6)
    again = prepare(with_extra(config_of(*galaxies), *extra), data.split)
    assert again.split == data.split


def test_an_extra_galaxy_that_is_among_the_others_is_refused(galaxies, tmp_path):
    images, labels = kaggle_folder(tmp_path / "extra", 12, seed=1)
    with pytest.raises(DataError, match="12 of the galaxies are among the others, 100 for one"):
        prepare(with_extra(config_of(*galaxies), images, labels))


def test_extra_labels_answer_the_same_questions(galaxies, extra):
    images, labels = extra
    pd.read_csv(labels)[["GalaxyID", "Class1.1", "Class1.2", "Class1.3"]].to_csv(labels, index=False)
    with pytest.raises(DataError, match=r"extra_labels_path: its labels are of Class1, but"):
        prepare(with_extra(config_of(*galaxies), images, labels))
