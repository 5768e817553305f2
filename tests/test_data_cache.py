"""Cutouts: every kind of file, good or bad, and a cache that is right, reused and bounded."""

from __future__ import annotations

import os
import shutil
import tempfile
import tracemalloc
from pathlib import Path

import numpy as np
import pytest
from galaxy_files import pixels, write_image
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from PIL import Image

from galaxycnn.config.schema import DataPreprocessing, Paths
from galaxycnn.data import cache
from galaxycnn.data.cache import Cutouts, load_cutouts, read_cutout
from galaxycnn.data.catalogue import Catalogue, read_catalogue
from galaxycnn.errors import DataError
from galaxycnn.tree import DecisionTree

PLAIN = DataPreprocessing(img_size=[16, 16])


def catalogue_of(paths: list[Path], labels: list[int] | None = None) -> Catalogue:
    """A catalogue of these files with two classes, all in the first unless said otherwise."""
    tree = DecisionTree.from_classes({"label": ["a", "b"]})
    fractions = np.eye(2, dtype=np.float32)[labels or [0] * len(paths)]
    return Catalogue(tree, np.array([path.stem for path in paths]), paths, fractions)


def kinds(cutouts: Cutouts) -> dict[str, str]:
    return {problem.name: problem.kind for problem in cutouts.problems}


# -- one image -----------------------------------------------------------------------------------


def test_crop_takes_the_centre_and_keeps_its_pixels(tmp_path):
    image = pixels(1, size=41)
    Image.fromarray(image).save(tmp_path / "a.png")
    cut = read_cutout(tmp_path / "a.png", DataPreprocessing(crop=True, crop_size=21, img_size=[21, 21]))
    np.testing.assert_array_equal(cut, image[10:31, 10:31])


@pytest.mark.parametrize("crop", [None, 32])
def test_resizing_does_not_alias(tmp_path, crop):
    y, x = np.indices((96, 96))
    stripes = np.where((x + y) % 2, 250, 50).astype(np.uint8)
    Image.fromarray(np.stack([stripes] * 3, axis=2)).save(tmp_path / "a.png")
    settings = DataPreprocessing(crop=crop is not None, crop_size=crop, img_size=[8, 8])
    with pytest.raises(DataError, match="single colour"):  # fine stripes average to an even grey
        read_cutout(tmp_path / "a.png", settings)


def test_height_comes_before_width():
    with tempfile.TemporaryDirectory() as folder:
        path = write_image(Path(folder) / "a.jpg", 1, size=64)
        assert read_cutout(path, DataPreprocessing(img_size=[8, 24])).shape == (8, 24, 3)


def test_fast_jpeg_decoding_is_nearly_exact(tmp_path):
    for seed in range(5):
        path = write_image(tmp_path / f"{seed}.jpg", seed, size=203)
        image = Image.open(path)
        exact = np.asarray(image.resize((24, 24), Image.Resampling.LANCZOS, box=(1, 1, 201, 201)), dtype=int)
        cut = read_cutout(path, DataPreprocessing(crop=True, crop_size=200, img_size=[24, 24]))
        assert np.abs(cut - exact).max() <= 6 and np.abs(cut - exact).mean() < 0.6


def test_every_pixel_format_gives_the_same_picture(tmp_path):
    grey = pixels(3, size=16, channels=1)[..., 0]
    rgb = np.stack([grey] * 3, axis=2)
    alpha = np.random.default_rng(0).integers(0, 255, (16, 16), dtype=np.uint8)
    Image.fromarray(grey).save(tmp_path / "grey.png")
    Image.fromarray(grey).save(tmp_path / "grey.tif")
    Image.fromarray(rgb).save(tmp_path / "rgb.png")
    Image.fromarray(np.dstack([rgb, alpha])).save(tmp_path / "rgba.png")
    Image.fromarray(np.dstack([grey, alpha])).save(tmp_path / "la.png")
    Image.fromarray(grey).convert("P").save(tmp_path / "palette.png", transparency=3)
    Image.fromarray(grey.astype(np.uint16) * 257).save(tmp_path / "deep.png")
    Image.fromarray(grey.astype(np.uint16) * 257).save(tmp_path / "deep.tif")
    Image.fromarray(grey.astype(np.int32) * 257).save(tmp_path / "wide.tif")
    Image.fromarray(rgb).convert("CMYK").save(tmp_path / "cmyk.tif")
    files = sorted(tmp_path.iterdir())
    assert len(files) == 10
    for file in files:
        np.testing.assert_array_equal(read_cutout(file, PLAIN), rgb, err_msg=file.name)
        grey_cut = read_cutout(file, DataPreprocessing(img_size=[16, 16], grayscale=True))
        np.testing.assert_array_equal(grey_cut, grey[..., None], err_msg=file.name)


def test_greyscale_is_itu_luma(tmp_path):
    image = pixels(4, size=16)
    Image.fromarray(image).save(tmp_path / "a.png")
    cut = read_cutout(tmp_path / "a.png", DataPreprocessing(img_size=[16, 16], grayscale=True))
    np.testing.assert_allclose(cut[..., 0], image @ [0.299, 0.587, 0.114], atol=0.51)


# -- bad files -----------------------------------------------------------------------------------


@pytest.fixture
def bad_files(tmp_path) -> list[Path]:
    good = write_image(tmp_path / "good.png", 1)
    jpeg = write_image(tmp_path / "good.jpg", 2)
    content, photo = good.read_bytes(), jpeg.read_bytes()
    damaged = bytearray(content)
    damaged[len(content) // 2] ^= 0xFF
    files = {
        "empty.png": b"",
        "text.jpg": b"<html>503 Service Unavailable</html>",
        "truncated.png": content[: len(content) // 2],
        "truncated.jpg": photo[: len(photo) // 2],
        "damaged.png": bytes(damaged),
    }
    for name, data in files.items():
        (tmp_path / name).write_bytes(data)
    Image.fromarray(np.zeros((40, 40), np.uint8)).save(tmp_path / "black.png")
    Image.fromarray(np.random.default_rng(0).random((40, 40)).astype(np.float32)).save(tmp_path / "float.tif")
    Image.fromarray(np.full((40, 40), 70_000, np.int32)).save(tmp_path / "int32.tif")
    write_image(tmp_path / "small.png", 3, size=20)
    (tmp_path / "gone.png").symlink_to(tmp_path / "nothing")
    (tmp_path / "folder.png").mkdir()
    return sorted(tmp_path.iterdir())


def test_bad_files_become_problems_and_the_good_ones_stay(bad_files, tmp_path_factory):
    settings = DataPreprocessing(crop=True, crop_size=32, img_size=[16, 16])
    catalogue = catalogue_of([path for path in bad_files if path.stem != "truncated" or path.suffix == ".jpg"])
    for _ in range(2):
        cutouts = load_cutouts(catalogue, settings, tmp_path_factory.getbasetemp() / "cache")
        expected = dict.fromkeys(
            ["empty", "text", "truncated", "damaged", "float", "int32", "gone", "folder"], "corrupt"
        )
        assert kinds(cutouts) == {**expected, "black": "blank", "small": "small"}
        assert [catalogue.pictures[row].name for row in cutouts.keep] == ["good.jpg", "good.png"]
        for row in cutouts.keep:
            np.testing.assert_array_equal(cutouts.images[row], read_cutout(catalogue.pictures[row], settings))
    reasons = " ".join(problem.reason for problem in cutouts.problems)
    assert "small.png: it has 20x20 pixels, the crop is 32x32" in reasons and "No such file" in reasons


def test_reading_one_bad_file_names_it(bad_files):
    for path in bad_files:
        if path.stem not in ("good", "small"):
            with pytest.raises((DataError, OSError), match=path.name):
                read_cutout(path, PLAIN)


def test_no_usable_image_is_one_clear_sentence(tmp_path):
    (tmp_path / "a.jpg").write_bytes(b"no image")
    with pytest.raises(DataError, match=r"none of the 1 images can be used \(.*a\.jpg: not an image"):
        load_cutouts(catalogue_of([tmp_path / "a.jpg"]), PLAIN, tmp_path)
    path = write_image(tmp_path / "b.jpg", 1)
    with pytest.raises(DataError, match=r"crop_size is larger than all 1 images \(.*b\.jpg: it has 40x40 pixels"):
        load_cutouts(catalogue_of([path]), DataPreprocessing(crop=True, crop_size=256), tmp_path)


@pytest.mark.parametrize("factor", [1.5, 3])
def test_decompression_bombs_are_problems(tmp_path, monkeypatch, factor):
    write_image(tmp_path / "bomb.png", 1, size=64)
    write_image(tmp_path / "good.png", 2, size=16)
    monkeypatch.setattr(Image, "MAX_IMAGE_PIXELS", int(64 * 64 / factor))
    cutouts = load_cutouts(catalogue_of([tmp_path / "bomb.png", tmp_path / "good.png"]), PLAIN, tmp_path / "cache")
    assert kinds(cutouts) == {"bomb": "corrupt"} and "decompression bomb" in cutouts.problems[0].reason


def test_copies(tmp_path):
    one, two, three = (write_image(tmp_path / f"{i}.png", i) for i in range(3))
    agreeing = [shutil.copy(one, tmp_path / f"agreeing{i}.png") for i in range(2)]
    conflicting = shutil.copy(two, tmp_path / "conflicting.png")
    paths = [one, two, three, *agreeing, conflicting]
    cutouts = load_cutouts(catalogue_of(paths, [0, 0, 0, 0, 0, 1]), PLAIN, tmp_path / "cache")
    assert cutouts.keep.tolist() == [0, 2]
    assert kinds(cutouts) == {
        "agreeing0": "duplicate",
        "agreeing1": "duplicate",
        "1": "conflicting",
        "conflicting": "conflicting",
    }
    same_labels = load_cutouts(catalogue_of(paths), PLAIN, tmp_path / "cache")
    assert same_labels.keep.tolist() == [0, 1, 2]


# -- the cache -----------------------------------------------------------------------------------


@settings(max_examples=10, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(
    seeds=st.lists(st.integers(0, 999), min_size=1, max_size=5, unique=True),
    size=st.integers(12, 40),
    shape=st.tuples(st.integers(6, 20), st.integers(6, 20)),
    crop=st.none() | st.integers(6, 12),
    grayscale=st.booleans(),
)
def test_round_trip(monkeypatch, seeds, size, shape, crop, grayscale):
    preprocessing = DataPreprocessing(crop=crop is not None, crop_size=crop, img_size=list(shape), grayscale=grayscale)
    with tempfile.TemporaryDirectory() as folder, monkeypatch.context() as patch:
        catalogue = catalogue_of([write_image(Path(folder) / f"{seed}.png", seed, size) for seed in seeds])
        first = load_cutouts(catalogue, preprocessing, folder)
        patch.setattr(cache, "_decode", None)
        again = load_cutouts(catalogue, preprocessing, folder)
        assert isinstance(again.images, np.memmap) and not again.images.flags.writeable
        assert first.images.shape == (len(seeds), *preprocessing.input_shape)
        np.testing.assert_array_equal(first.images, again.images)
        np.testing.assert_array_equal(first.digests, again.digests)
        assert again.sizes.tolist() == [[size, size]] * len(seeds)
        patch.undo()
        for row, path in enumerate(catalogue.pictures):
            np.testing.assert_array_equal(again.images[row], read_cutout(path, preprocessing))


def test_changed_files_and_settings_are_decoded_again(tmp_path):
    paths = [write_image(tmp_path / f"{i}.png", i) for i in range(2)]
    before = load_cutouts(catalogue_of(paths), PLAIN, tmp_path / "cache")
    write_image(paths[0], 7)
    after = load_cutouts(catalogue_of(paths), PLAIN, tmp_path / "cache")
    assert (before.images[0] != after.images[0]).any() and (before.images[1] == after.images[1]).all()
    other = PLAIN.model_copy(update={"crop": True, "crop_size": 20})
    assert (load_cutouts(catalogue_of(paths), other, tmp_path / "cache").images != after.images).any()
    assert len(list((tmp_path / "cache").glob("*.npy"))) == 3


def test_a_damaged_cache_is_made_again(tmp_path):
    paths = [write_image(tmp_path / f"{i}.png", i) for i in range(2)]
    catalogue = catalogue_of(paths)
    expected = np.array(load_cutouts(catalogue, PLAIN, tmp_path / "cache").images)
    for ending, keep in ((".npy", 100), (".npz", 50), (".npy", 0)):
        (file,) = (tmp_path / "cache").glob(f"*{ending}")
        os.truncate(file, keep)
        np.testing.assert_array_equal(load_cutouts(catalogue, PLAIN, tmp_path / "cache").images, expected)


def test_an_interruption_leaves_nothing_behind(tmp_path, monkeypatch):
    catalogue = catalogue_of([write_image(tmp_path / f"{i}.png", i) for i in range(100)])

    def interrupt(*_):
        raise KeyboardInterrupt

    monkeypatch.setattr(cache, "_decode", interrupt)
    with pytest.raises(KeyboardInterrupt):
        load_cutouts(catalogue, PLAIN, tmp_path / "cache")
    assert list((tmp_path / "cache").iterdir()) == []


def test_a_full_disk_is_said_before_anything_is_written(tmp_path, monkeypatch):
    monkeypatch.setattr(shutil, "disk_usage", lambda _: shutil._ntuple_diskusage(10, 10, 0))
    with pytest.raises(DataError, match=r"needs 0\.0 GB in .*cache, where 0\.0 GB are free: set paths\.cache_path"):
        load_cutouts(catalogue_of([write_image(tmp_path / "a.png", 1)]), PLAIN, tmp_path / "cache")


def test_memory_stays_bounded(tmp_path):
    content = write_image(tmp_path / "0.jpg", 0).read_bytes()
    paths = [tmp_path / f"{i}.jpg" for i in range(600)]
    for path in paths:
        path.write_bytes(content)
    preprocessing = DataPreprocessing(img_size=[128, 128])
    tracemalloc.start()
    load_cutouts(catalogue_of(paths), preprocessing, tmp_path / "cache")
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert peak < 600 * 128 * 128 * 3 / 4


# -- real galaxies -------------------------------------------------------------------------------


def test_the_error_page_among_real_galaxies_is_the_only_blank(real_data, tmp_path):
    folder = real_data("gz1")
    catalogue = read_catalogue(Paths(images_path=folder / "images", labels_path=folder / "labels.csv"))
    artifacts = np.flatnonzero(catalogue.fractions[:, catalogue.tree.columns.index("label.star_or_artifact")])
    cutouts = load_cutouts(catalogue.only(artifacts), DataPreprocessing(), tmp_path)
    assert kinds(cutouts) == {"587729387686002878": "blank"} and len(cutouts.keep) == 43
