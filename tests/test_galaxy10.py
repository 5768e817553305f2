"""Galaxy10's layout: images in an HDF5 file, their classes and numbers, and what is learnt of them."""

from __future__ import annotations

import os
import tracemalloc
from pathlib import Path

import h5py
import numpy as np
import pandas as pd
import pytest
from galaxy10_files import galaxy10_file
from galaxy_files import pixels, write_image
from PIL import Image

from galaxycnn.config import load_config
from galaxycnn.config.schema import Config, DataPreprocessing, ModelParams, Paths
from galaxycnn.data.cache import load_cutouts
from galaxycnn.data.catalogue import Catalogue, read_catalogue
from galaxycnn.data.dataset import GalaxyData, load_part, prepare
from galaxycnn.data.layouts.galaxy10 import DECALS_CLASSES, SDSS_CLASSES
from galaxycnn.data.pictures import PictureReader, StoredPicture
from galaxycnn.data.targets import make_targets
from galaxycnn.errors import DataError, UserError


def read(path: Path, labels: Path | None = None, layout: str = "auto", quantities: tuple[str, ...] = ()) -> Catalogue:
    return read_catalogue(Paths(images_path=path, labels_path=labels), layout, quantities)


def prepared(images: Path, labels: Path | None = None, **preprocessing: object) -> GalaxyData:
    config = Config(
        paths=Paths(images_path=images, labels_path=labels, cache_path=images.parent / "cache"),
        data_preprocessing=DataPreprocessing(**{"img_size": [32, 32], **preprocessing}),  # type: ignore[arg-type]
        model_name="test",
        model_params=ModelParams(),
    )
    return prepare(config)


def everything(data: GalaxyData, what: str) -> pd.DataFrame:
    """The rows of all parts by id."""
    ids = np.concatenate([part.ids for part in data.parts])
    return pd.DataFrame(np.concatenate([getattr(part, what) for part in data.parts]), index=ids)


# -- the file ------------------------------------------------------------------------------------


def test_classes_and_numbers_of_galaxy10_decals(tmp_path):
    path = galaxy10_file(tmp_path / "Galaxy10_DECals.h5", 25)
    catalogue = read(path)
    assert [answer.name for answer in catalogue.tree.question("class").answers] == list(DECALS_CLASSES)
    assert catalogue.fractions.argmax(axis=1).tolist() == [i % 10 for i in range(25)]
    assert (catalogue.fractions.sum(axis=1) == 1).all()
    assert sorted(catalogue.numbers) == ["dec", "pxscale", "ra", "redshift"]
    with h5py.File(path) as file:
        np.testing.assert_array_equal(catalogue.numbers["redshift"], file["redshift"])
    assert catalogue.ids[3] == "3" and catalogue.pictures[3].name == "Galaxy10_DECals.h5[3]"


def test_which_galaxy10_it_is(tmp_path):
    alone = {"redshift": None, "ra": None, "dec": None, "pxscale": None}
    sdss = read(galaxy10_file(tmp_path / "sdss.h5", 12, size=69, **alone))
    assert [answer.name for answer in sdss.tree.questions[0].answers] == list(SDSS_CLASSES)
    assert sdss.numbers.empty and len(sdss.numbers) == 12
    other = read(galaxy10_file(tmp_path / "other.hdf5", 12, ans=np.arange(12) % 3, **alone))
    assert other.tree.columns == ("class.0", "class.1", "class.2")
    named = galaxy10_file(tmp_path / "named.h5", 12, ans=np.arange(12) % 2, id=[f"J{i}" for i in range(12)])
    with h5py.File(named, "a") as file:
        file["ans"].attrs["classes"] = ["lens", "none"]
    catalogue = read(named)
    assert catalogue.tree.columns == ("class.lens", "class.none") and catalogue.ids[11] == "J11"


def test_classes_that_are_not_known_or_cannot_be(tmp_path):
    path = galaxy10_file(tmp_path / "a.h5", 6, ans=[0, -1, 12, 3, 2.5, np.nan], redshift=[0.1] * 5 + [np.nan])
    catalogue = read(path)
    assert catalogue.ids.tolist() == ["0", "3"]
    problems = {problem.name: (problem.kind, problem.reason) for problem in catalogue.problems}
    assert problems["1"][0] == problems["5"][0] == "unlabelled" and problems["2"][0] == problems["4"][0] == "invalid"
    assert problems["2"][1] == "its class 12 is none of the 10, from 0 on"
    assert read(path, quantities=("redshift",)).ids.tolist() == ["0", "1", "3"]


@pytest.mark.parametrize(
    ("fields", "message"),
    [
        ({"redshift": [0.1] * 7}, "'redshift' has 7 values for 6 images"),
        ({"ans": None}, r"broken.h5 has no label column: name one of its columns \(.*redshift"),
    ],
)
def test_files_that_do_not_fit(tmp_path, fields, message):
    with pytest.raises(DataError, match=message):
        read(galaxy10_file(tmp_path / "broken.h5", 6, **fields))


def test_files_that_cannot_be_read(tmp_path):
    path = galaxy10_file(tmp_path / "a.h5", 6)
    with pytest.raises(DataError, match=r"holds its own labels: leave out paths\.labels_path"):
        read(path, path)
    with pytest.raises(DataError, match="there is no file at"):
        read(tmp_path / "b.h5")
    with pytest.raises(DataError, match=r"is a file; name a folder of images, or a file in Galaxy10's layout \(\.h5"):
        read(write_image(tmp_path / "one.jpg", 1))
    with h5py.File(tmp_path / "float.h5", "w") as file:
        file["images"] = np.zeros((2, 8, 8, 3))
    with pytest.raises(DataError, match=r"must be uint8 of shape \(images, height, width, 3\), not float64"):
        read(tmp_path / "float.h5")
    with h5py.File(tmp_path / "empty.h5", "w") as file:
        file["pictures"] = [1]
    with pytest.raises(DataError, match="has no data set 'images'; it has pictures"):
        read(tmp_path / "empty.h5")
    os.truncate(path, 5000)
    with pytest.raises(DataError, match=r"cannot be read as an HDF5 file, fetch it again: .*truncated"):
        read(path)


# -- pixels --------------------------------------------------------------------------------------


def test_stored_images_become_the_cutouts_that_files_would(tmp_path):
    path = galaxy10_file(tmp_path / "a.h5", 40)
    for i in range(40):
        (tmp_path / "files" / str(i % 10)).mkdir(parents=True, exist_ok=True)
        Image.fromarray(pixels(i)).save(tmp_path / "files" / str(i % 10) / f"{i}.png")
    settings = DataPreprocessing(img_size=[20, 24], crop=True, crop_size=36, grayscale=True)
    stored, files = read(path), read(tmp_path / "files")
    cutouts = load_cutouts(stored, settings, tmp_path / "cache")
    expected = load_cutouts(files, settings, tmp_path / "cache")
    by_number = {picture.stem: image for picture, image in zip(files.pictures, expected.images, strict=True)}
    for name, image in zip(stored.ids, cutouts.images, strict=True):
        np.testing.assert_array_equal(image, by_number[name])
    assert cutouts.sizes.tolist() == [[40, 40]] * 40
    assert len(np.unique(cutouts.digests, axis=0)) == 40


def test_rows_are_read_in_any_order(tmp_path):
    one, other = (galaxy10_file(tmp_path / f"{name}.h5", 12) for name in "ab")
    rows = [7, 2, 2, 11]
    with PictureReader() as reader:
        for pictures in ([StoredPicture(one, row) for row in rows], [StoredPicture(other, 1), StoredPicture(one, 1)]):
            for picture, content in zip(pictures, reader.read(pictures), strict=True):
                np.testing.assert_array_equal(content, pixels(picture.row))


def test_blank_small_and_copied_stored_images_are_problems(tmp_path):
    path = galaxy10_file(tmp_path / "a.h5", 12)
    with h5py.File(path, "a") as file:
        file["images"][3] = 0
        file["images"][4] = file["images"][14 % 12]
        file["images"][5] = file["images"][6]
        file["ans"][6] = 5
        file["redshift"][6] = file["redshift"][5]
    cutouts = load_cutouts(read(path), DataPreprocessing(), tmp_path / "cache")
    kinds = {problem.name: problem.kind for problem in cutouts.problems}
    assert kinds == {"3": "blank", "2": "conflicting", "4": "conflicting", "6": "duplicate"}
    learnt = DataPreprocessing(quantities=["redshift"])
    assert len(load_cutouts(read(path), learnt, tmp_path / "cache").problems) == 4
    with h5py.File(path, "a") as file:
        file["redshift"][6] = 0.5
    kinds = {p.name: p.kind for p in load_cutouts(read(path), learnt, tmp_path / "cache").problems}
    assert kinds["5"] == kinds["6"] == "conflicting"
    small = DataPreprocessing(crop=True, crop_size=50)
    with pytest.raises(DataError, match=r"crop_size is larger than all 12 images \(.*a\.h5\[0\]: it has 40x40"):
        load_cutouts(read(path), small, tmp_path / "cache")


def test_a_damaged_chunk_costs_its_own_images_only(tmp_path):
    path = galaxy10_file(tmp_path / "a.h5", 40)
    with h5py.File(path) as file:
        chunk = file["images"].id.get_chunk_info(25)
    with path.open("r+b") as raw:
        raw.seek(chunk.byte_offset)
        raw.write(b"\0" * chunk.size)
    cutouts = load_cutouts(read(path), DataPreprocessing(), tmp_path / "cache")
    first = chunk.chunk_offset[0]
    assert {p.name for p in cutouts.problems} == {str(i) for i in range(first, first + 16)}
    assert {p.kind for p in cutouts.problems} == {"corrupt"} and len(cutouts.keep) == 24


def test_memory_stays_bounded(tmp_path):
    path = tmp_path / "many.h5"
    with h5py.File(path, "w") as file:
        images = file.create_dataset("images", (1500, 64, 64, 3), np.uint8, chunks=(100, 64, 64, 3))
        for start in range(0, 1500, 100):
            images[start : start + 100] = np.random.default_rng(start).integers(0, 255, (100, 64, 64, 3), np.uint8)
        file["ans"] = np.zeros(1500)
    catalogue = read(path)
    tracemalloc.start()
    load_cutouts(catalogue, DataPreprocessing(img_size=[16, 16]), tmp_path / "cache")
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert peak < 1500 * 64 * 64 * 3 / 3


# -- what is learnt ------------------------------------------------------------------------------


def test_every_galaxy_keeps_its_own_numbers(tmp_path):
    path = galaxy10_file(tmp_path / "a.h5", 40)
    data = prepared(path, quantities=["redshift", "dec"], inputs=["pxscale"])
    with h5py.File(path) as file:
        truth = np.stack([file["redshift"][:], file["dec"][:]], axis=1)
    found = everything(data, "quantities")
    np.testing.assert_allclose(found, truth[found.index.astype(int)], rtol=1e-6)
    assert data.quantities == ("redshift", "dec") and data.inputs == ("pxscale",)
    assert data.train.inputs.dtype == np.float32 and np.unique(data.train.inputs) == pytest.approx([0.262])
    plain = prepared(path)
    assert plain.train.quantities.shape == plain.train.inputs.shape == (len(plain.train), 0)


@pytest.fixture
def gaps(tmp_path) -> Path:
    """Ten galaxies each without redshift, without class, without either and without pixel scale, and ten whole ones."""
    which = np.arange(50) // 10
    redshift, scale = np.linspace(0.01, 0.2, 50), np.full(50, 0.262)
    redshift[(which == 0) | (which == 2)] = np.nan
    scale[which == 3] = np.nan
    answers = np.where((which == 1) | (which == 2), -1, np.arange(50) % 10)
    return galaxy10_file(tmp_path / "gaps.h5", 50, redshift=redshift, pxscale=scale, ans=answers)


@pytest.mark.parametrize(
    ("settings", "left", "unlabelled"),
    [
        ({}, 30, 20),
        ({"quantities": ["redshift"]}, 20, 30),
        ({"quantities": ["redshift"], "missing": "mask"}, 40, 10),
        ({"quantities": ["redshift"], "questions": []}, 30, 20),
        ({"quantities": ["redshift"], "questions": [], "missing": "mask"}, 30, 20),
        ({"quantities": ["redshift"], "inputs": ["pxscale"], "missing": "mask"}, 30, 20),
        ({"inputs": ["pxscale"]}, 20, 30),
    ],
)
def test_what_is_not_known_is_dropped_or_masked(gaps, settings, left, unlabelled):
    data = prepared(gaps, **settings)
    fractions, quantities = everything(data, "fractions"), everything(data, "quantities")
    assert (len(fractions), len(data.problems)) == (left, unlabelled)
    assert {problem.kind for problem in data.problems} == {"unlabelled"}
    if settings.get("missing") != "mask":
        assert not fractions.isna().any(axis=None) and not quantities.isna().any(axis=None)
    nothing = fractions.isna().all(axis=1) & quantities.isna().all(axis=1)
    assert not nothing.any()


def test_masked_galaxies_are_in_all_parts_alike(gaps):
    data = prepared(gaps, quantities=["redshift"], missing="mask", training_size=0.5, test_size=0.5)
    for part in data.parts:
        assert np.isnan(part.fractions).all(axis=1).mean() == pytest.approx(10 / 40, abs=0.06)


def test_why_galaxies_were_dropped_is_said(gaps):
    data = prepared(gaps, quantities=["redshift"], inputs=["pxscale"])
    reasons = {problem.name: problem.reason for problem in data.problems}
    assert reasons["0"] == "its redshift is not known" and reasons["30"] == "its pxscale is not known"
    assert reasons["10"] == "not all questions are answered" and reasons["20"] == "its labels are empty"


def test_min_and_one_hot_let_masked_galaxies_be(gaps):
    settings = {"min": 0.9, "one_hot_labels": True, "quantities": ["redshift"], "missing": "mask"}
    fractions = everything(prepared(gaps, **settings), "fractions")
    assert len(fractions) == 40 and fractions.isna().all(axis=1).sum() == 10


def test_splits_without_classes_are_stratified_by_the_quantity(tmp_path):
    path = galaxy10_file(tmp_path / "a.h5", 60, ans=None, redshift=np.linspace(0, 1, 60) ** 4)
    data = prepared(path, quantities=["redshift"])
    medians = [float(np.median(part.quantities)) for part in data.parts]
    assert data.tree.columns == () and max(medians) - min(medians) < 0.05


@pytest.mark.parametrize("key", ["quantities", "inputs"])
def test_numbers_that_are_not_there_are_named(tmp_path, key):
    path = galaxy10_file(tmp_path / "a.h5", 12)
    with pytest.raises(UserError, match=r"no column of numbers 'redshfit'; did you mean 'redshift'"):
        prepared(path, **{key: ["redshfit"]})


@pytest.mark.parametrize(
    ("line", "message"),
    [
        ("questions=[]", r"'questions: \[\]' needs 'quantities'"),
        ("classes={a: [x]}", "at least 2 items"),
        ("classes={a: [x], b: [x]}", "the old class 'x' is named twice"),
        ("classes={a: rest, b: rest}", "only one new class can be the 'rest'"),
        ("missing=maks", "'drop' or 'mask'"),
    ],
)
def test_keys_that_cannot_be(line, message):
    content = {"paths": {"images_path": "images"}, "model_name": "a", "model_params": {"dense_units": [8]}}
    with pytest.raises(UserError, match=message):
        load_config(content, [f"data_preprocessing.{line}"])


# -- numbers beside the labels of other layouts ----------------------------------------------------


def test_numbers_in_a_table(tmp_path):
    for i in range(12):
        write_image(tmp_path / "images" / f"{i}.png", i)
    table = pd.DataFrame({"id": range(12), "type": list("ab") * 6, "z": np.linspace(0, 1, 12), "note": "x"})
    table.loc[3, "z"] = np.nan
    table.to_csv(tmp_path / "labels.csv", index=False)
    catalogue = read(tmp_path / "images", tmp_path / "labels.csv")
    assert list(catalogue.numbers) == ["z"] and np.isnan(catalogue.numbers["z"][3])
    data = prepared(tmp_path / "images", tmp_path / "labels.csv", quantities=["z"])
    found = everything(data, "quantities")
    np.testing.assert_allclose(found[0], table["z"][found.index.astype(int)], rtol=1e-6)
    table.drop(columns="type").to_csv(tmp_path / "labels.csv", index=False)
    with pytest.raises(DataError, match=r"no label column: name one of its columns \(z\) 'label'"):
        read(tmp_path / "images", tmp_path / "labels.csv")
    alone = prepared(tmp_path / "images", tmp_path / "labels.csv", quantities=["z"])
    assert alone.tree.columns == () and sum(map(len, alone.parts)) == 11


def test_a_galaxy_with_two_redshifts_has_none(tmp_path):
    for i in range(4):
        write_image(tmp_path / "images" / f"{i}.png", i)
    pd.DataFrame({"id": [0, 1, 2, 2, 3, 3], "z": [1, 2, 3, 4, 5, 5]}).to_csv(tmp_path / "labels.csv", index=False)
    catalogue = read(tmp_path / "images", tmp_path / "labels.csv", quantities=("z",))
    assert catalogue.ids.tolist() == ["0", "1", "3"]
    assert {(p.kind, p.name) for p in catalogue.problems} == {("conflicting", "2"), ("duplicate", "3")}


def test_real_redshifts(real_data):
    folder = real_data("redshift")
    paths = Paths(images_path=folder / "images", labels_path=folder / "labels.csv")
    catalogue = read_catalogue(paths, quantities=("redshift",))
    truth = pd.read_csv(folder / "labels.csv").set_index("file")
    assert list(catalogue.numbers) == ["ra", "dec", "arcsec_per_pix", "redshift"]
    names = [picture.name for picture in catalogue.pictures]
    np.testing.assert_allclose(catalogue.numbers["redshift"], truth["redshift"][names])
    targets = make_targets(catalogue, DataPreprocessing(questions=[], quantities=["redshift"]))
    assert targets.quantities.shape == (len(truth), 1) and targets.fractions.shape == (len(truth), 0)


def test_a_folder_as_one_part_has_its_numbers(tmp_path):
    path = galaxy10_file(tmp_path / "a.h5", 12)
    _, part = load_part(DataPreprocessing(quantities=["redshift"]), path, None, tmp_path / "cache")
    assert part.quantities.shape == (12, 1)
    picked = part.only(np.array([3, 3, 0]))
    assert picked.ids.tolist() == ["3", "3", "0"]
    np.testing.assert_array_equal(picked.quantities, part.quantities[[3, 3, 0]])
    np.testing.assert_array_equal(picked.pixels(), part.pixels([3, 3, 0]))
