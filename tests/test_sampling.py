"""Sampling of classes, several sets of galaxies in one run, and copies that the sky gives away."""

from __future__ import annotations

import builtins
from collections import Counter
from pathlib import Path
from typing import Any

import h5py
import numpy as np
import pandas as pd
import pytest
from galaxy10_files import galaxy10_file
from galaxy_files import write_image
from hypothesis import given
from hypothesis import strategies as st

from galaxycnn.config.schema import Config, DataPreprocessing, ModelParams, MoreGalaxies, Paths
from galaxycnn.data.catalogue import read_catalogue
from galaxycnn.data.checking import check
from galaxycnn.data.dataset import GalaxyData, prepare
from galaxycnn.data.leaks import find_neighbours, most_similar
from galaxycnn.data.sampling import balance, class_numbers, oversample
from galaxycnn.data.split import Split
from galaxycnn.data.targets import make_targets
from galaxycnn.errors import DataError, UserError

LABELS = st.lists(st.integers(-1, 4), min_size=1, max_size=80).map(np.array)


def config_of(images: Path, labels: Path | None = None, more: list[MoreGalaxies] | None = None, **keys: Any) -> Config:
    return Config(
        paths=Paths(images_path=images, labels_path=labels, more=more or [], cache_path=images.parent / "cache"),
        data_preprocessing=DataPreprocessing(**{"img_size": [32, 32], **keys}),
        model_name="test",
        model_params=ModelParams(),
    )


def classes_of(data: GalaxyData, part: str) -> Counter[int]:
    return Counter(class_numbers(data.tree, getattr(data, part).fractions).tolist())


# -- over-sampling and balance -------------------------------------------------------------------


@given(LABELS, st.floats(0.05, 1), st.integers(0, 2**32 - 1))
def test_oversampling_keeps_all_and_repeats_the_rare(classes, ratio, seed):
    positions = oversample(classes, ratio, seed)
    assert positions[: len(classes)].tolist() == list(range(len(classes)))
    before, after = (Counter(values[values >= 0].tolist()) for values in (classes, classes[positions]))
    largest = max(before.values(), default=0)
    assert after == {name: max(count, int(ratio * largest)) for name, count in before.items()}
    assert (classes[positions] == -1).sum() == (classes == -1).sum()
    np.testing.assert_array_equal(positions, oversample(classes, ratio, seed))


def test_the_numbers_of_the_first_who_did_it():
    classes = np.repeat([0, 1], [1328, 85])
    assert Counter(classes[oversample(classes, 0.4, 48)].tolist()) == {0: 1328, 1: 531}


@given(LABELS, st.integers(0, 2**32 - 1))
def test_balance_takes_as_many_of_each(classes, seed):
    positions = balance(classes, seed)
    assert (np.diff(positions) > 0).all()
    before, after = (Counter(values[values >= 0].tolist()) for values in (classes, classes[positions]))
    assert after == dict.fromkeys(before, min(before.values(), default=0))
    assert (classes[positions] == -1).sum() == (classes == -1).sum()


def test_seeds_draw_different_galaxies():
    classes = np.repeat([0, 1], [500, 20])
    assert set(balance(classes, 1)) != set(balance(classes, 2))
    assert oversample(classes, 1.0, 1).tolist() != oversample(classes, 1.0, 2).tolist()


@pytest.fixture
def mergers(tmp_path) -> Path:
    """Twelve of 100 galaxies are merging."""
    answers = np.where(np.arange(100) < 12, 1, 2 + np.arange(100) % 8)
    return galaxy10_file(tmp_path / "mergers.h5", 100, ans=answers)


MERGING = {"merging": ["Merging"], "other": "rest"}


def test_only_the_training_part_is_oversampled(mergers):
    natural = prepare(config_of(mergers, classes=MERGING))
    config = config_of(mergers, classes=MERGING, sampling="oversample", sampling_ratio=0.5, quantities=["redshift"])
    data = prepare(config)
    assert data.split == natural.split and len(set(data.train.ids)) == len(natural.train)
    others = classes_of(natural, "train")[1]
    assert classes_of(data, "train") == {0: others // 2, 1: others}
    for part in ("validation", "test"):
        assert classes_of(data, part) == classes_of(natural, part)
    with h5py.File(mergers) as file:
        np.testing.assert_allclose(
            data.train.quantities[:, 0], file["redshift"][:][data.train.ids.astype(int)], rtol=1e-6
        )
    again = prepare(config, data.split)
    assert again.train.ids.tolist() == data.train.ids.tolist()
    assert f"({len(natural.train)} different ones to train on)" in str(data)


def test_a_balanced_sample_is_drawn_before_the_split(mergers, tmp_path):
    data = prepare(config_of(mergers, classes=MERGING, sampling="balanced"))
    assert sum((classes_of(data, part.name) for part in data.parts), Counter()) == {0: 12, 1: 12}
    assert all(abs(classes_of(data, part.name)[0] - len(part) / 2) <= 1 for part in data.parts)
    data.split.save(tmp_path / "split.csv")
    again = prepare(config_of(mergers, classes=MERGING, sampling="balanced"), Split.load(tmp_path / "split.csv"))
    assert again.split == data.split


def test_sampling_needs_classes_and_its_library(mergers, monkeypatch):
    with pytest.raises(ValueError, match="'sampling: balanced' needs a question"):
        DataPreprocessing(questions=[], quantities=["redshift"], sampling="balanced")
    real = builtins.__import__

    def without(name: str, *rest: Any) -> Any:
        if name.startswith("imblearn"):
            raise ImportError(name)
        return real(name, *rest)

    monkeypatch.setattr(builtins, "__import__", without)
    with pytest.raises(UserError, match=r"'oversample' needs the extra galaxycnn\[sampling\]"):
        oversample(np.array([0, 1]), 1.0, 48)


# -- several sets --------------------------------------------------------------------------------


@pytest.fixture
def two_sets(tmp_path) -> tuple[Path, Path, list[MoreGalaxies]]:
    """Forty galaxies with classes, and thirty smaller images with redshifts and the same names."""
    for i in range(40):
        write_image(tmp_path / "one" / f"{i}.png", i, size=64)
    for i in range(30):
        write_image(tmp_path / "two" / f"{i}.png", 100 + i, size=48)
    pd.DataFrame({"id": range(40), "label": ["a", "b", "c", "a"] * 10}).to_csv(tmp_path / "one.csv", index=False)
    table = pd.DataFrame({"id": range(30), "redshift": np.linspace(0.01, 0.1, 30), "label": ["a", "d", ""] * 10})
    table.to_csv(tmp_path / "two.csv", index=False)
    more = MoreGalaxies(images_path=tmp_path / "two", labels_path=tmp_path / "two.csv", crop_size=40)
    return tmp_path / "one", tmp_path / "one.csv", [more]


def test_sets_with_different_labels_train_together(two_sets):
    images, labels, more = two_sets
    keys = {"quantities": ["redshift"], "missing": "mask", "crop": True, "crop_size": 60}
    data = prepare(config_of(images, labels, more, **keys))
    assert data.tree.columns == ("label.a", "label.b", "label.c", "label.d")
    rows = [pd.DataFrame(np.hstack([p.fractions, p.quantities]), index=p.ids) for p in data.parts]
    known = pd.concat(rows).sort_index()
    assert len(known) == 70
    assert known.loc["7"].tolist()[:4] == [1, 0, 0, 0] and np.isnan(known.loc["7"][4])
    assert known.loc["more0/1"].tolist()[:4] == [0, 0, 0, 1]
    assert np.isnan(known.loc["more0/2"][:4]).all() and known.loc["more0/29"][4] == pytest.approx(0.1)
    alone = prepare(config_of(images, labels, crop=True, crop_size=60))
    np.testing.assert_array_equal(pixels_of(data, "7"), pixels_of(alone, "7"))
    smaller = config_of(more[0].images_path, more[0].labels_path, crop=True, crop_size=40)
    np.testing.assert_array_equal(pixels_of(data, "more0/1"), pixels_of(prepare(smaller), "1"))


def pixels_of(data: GalaxyData, name: str) -> np.ndarray:
    (part,) = (part for part in data.parts if name in part.ids)
    return part.pixels([part.ids.tolist().index(name)])


def test_several_sets_must_be_masked_and_fit_together(two_sets, tmp_path):
    images, labels, more = two_sets
    with pytest.raises(ValueError, match=r"paths\.more: .* set data_preprocessing\.missing: mask"):
        config_of(images, labels, more)
    absent = [MoreGalaxies(images_path=tmp_path / "nowhere")]
    with pytest.raises(DataError, match=r"paths\.more\[0\]\.images_path: there is no folder of images"):
        prepare(config_of(images, labels, absent, missing="mask"))
    votes = pd.DataFrame({"id": range(30), "label.a": 0.5, "label.b": 0.5})
    votes.to_csv(tmp_path / "two.csv", index=False)
    assert prepare(config_of(images, labels, more, missing="mask")).tree.columns == ("label.a", "label.b", "label.c")


def test_the_same_image_in_both_sets_is_used_once_with_what_is_known(two_sets):
    images, labels, more = two_sets
    (more[0].images_path / "5.png").write_bytes((images / "5.png").read_bytes())
    (more[0].images_path / "0.png").write_bytes((images / "1.png").read_bytes())
    data = prepare(config_of(images, labels, more, quantities=["redshift"], missing="mask"))
    kinds = {problem.name: problem.kind for problem in data.problems}
    assert kinds == {"more0/5": "duplicate", "1": "conflicting", "more0/0": "conflicting"}


def test_real_sets_together(real_data):
    zoo, redshifts = real_data("gz1"), real_data("redshift")
    more = MoreGalaxies(images_path=redshifts / "images", labels_path=redshifts / "labels.csv", crop_size=120)
    paths = Paths(images_path=zoo / "images", labels_path=zoo / "labels.csv", more=[more])
    catalogue = read_catalogue(paths, quantities=("redshift",))
    preprocessing = DataPreprocessing(
        questions=["label"], classes={"merger": "merger", "other": "rest"}, quantities=["redshift"], missing="mask"
    )
    targets = make_targets(catalogue, preprocessing)
    assert len(targets.rows) == 5314 + 2116
    known = [(~np.isnan(values)).all(axis=1) for values in (targets.fractions, targets.quantities)]
    assert [int(each.sum()) for each in known] == [5314, 2116] and not (known[0] & known[1]).any()
    assert int(np.nansum(targets.fractions[:, 0])) == 86
    assert set(catalogue.crop_sizes.tolist()) == {0, 120}


# -- copies --------------------------------------------------------------------------------------


@given(st.lists(st.tuples(st.floats(0, 360, exclude_max=True), st.floats(-89, 89)), min_size=1, max_size=20))
def test_a_galaxy_that_is_there_twice_is_found_by_its_place(places):
    ra, dec = np.array(places).T
    twice_ra, twice_dec = np.append(ra, [ra[0], np.nan]), np.append(dec, [dec[0] + 1 / 3600, 0])
    found = find_neighbours(twice_ra, twice_dec)
    pairs = dict(zip(zip(found.left.tolist(), found.right.tolist(), strict=True), found.separation, strict=True))
    assert pairs[0, len(ra)] == pytest.approx(1, abs=1e-4)
    assert (found.separation <= 2).all() and (np.diff(found.separation) >= 0).all()
    assert len(ra) + 1 not in found.right


def test_places_shared_by_two_parts_are_reported(tmp_path):
    path = galaxy10_file(tmp_path / "a.h5", 40)
    split = prepare(config_of(path)).split
    with h5py.File(path, "a") as file:
        for name in ("ra", "dec"):
            file[name][int(split.test[0])] = file[name][int(split.train[0])]
            file[name][int(split.train[1])] = file[name][int(split.train[2])]
    leaks = prepare(config_of(path), split).leaks
    assert [(set(pair[:2]), pair[2]) for pair in leaks.neighbours] == [({split.train[0], split.test[0]}, 0)]
    assert '1 pairs in different parts are within 2" in the sky' in str(leaks)


@given(st.integers(0, 2**32 - 1), st.integers(1, 700), st.integers(1, 30))
def test_the_closest_pixels_are_found(seed, first, second):
    rng = np.random.default_rng(seed)
    images = rng.integers(0, 255, (first + second, 4, 5, 3), dtype=np.uint8)
    rows = rng.permutation(first + second)
    one, other, alike = most_similar(images, rows[:first], rows[first:])
    flat = images.reshape(len(images), -1).astype(float)
    unit = flat / np.linalg.norm(flat, axis=1, keepdims=True)
    every = unit[rows[:first]] @ unit[rows[first:]].T
    assert alike == pytest.approx(every.max(), abs=1e-5) and every[one, other] == pytest.approx(every.max(), abs=1e-5)


def test_check_says_what_numbers_places_and_pixels_are(tmp_path):
    path = galaxy10_file(tmp_path / "a.h5", 40)
    with h5py.File(path, "a") as file:
        file["redshift"][:5] = np.nan
        for name in ("ra", "dec"):
            file[name][11] = file[name][10]
    config = config_of(path, quantities=["redshift"], inputs=["pxscale"], missing="mask")
    result = check(config)
    assert [(pair[:2]) for pair in result.neighbours] == [("10", "11")]
    assert result.closest is not None and 0.5 < result.closest[2] < 1
    redshift, scale = result.numbers
    assert (redshift.name, redshift.known, scale.known) == ("redshift", 35, 40)
    text = str(result)
    assert "redshift: known of 35, 0.0" in text and 'one place in the sky: 1 pairs\n  10 and 11 (0.00" apart)' in text
    assert "Merging: most likely for 4" in text and "closest of training and test part" in text
