"""Leaks: copies are found however they were saved, different galaxies are not, real ones included."""

from __future__ import annotations

import io
from dataclasses import dataclass

import numpy as np
import pytest
from galaxy_files import pixels
from PIL import Image

from galaxycnn.config.schema import DataPreprocessing, Paths
from galaxycnn.data.cache import load_cutouts, read_cutout
from galaxycnn.data.catalogue import read_catalogue
from galaxycnn.data.leaks import LeakReport, Twins, details, find_leaks, find_twins, load_twins
from galaxycnn.errors import DataError


@dataclass
class Some:
    ids: np.ndarray
    rows: np.ndarray


def some(*rows: int, prefix: str = "g") -> Some:
    return Some(np.array([f"{prefix}{row}" for row in rows]), np.array(rows))


DIGESTS = np.arange(160, dtype=np.uint8).reshape(10, 16)
NO_TWINS = Twins(np.array([], int), np.array([], int), np.array([], np.float32), 10)


# -- twins ---------------------------------------------------------------------------------------


def test_twins_are_found_across_blocks_and_nothing_else():
    images = np.stack([pixels(seed, 32) for seed in range(4300)])
    images[4290] = np.clip(images[3].astype(int) + 4, 0, 255)
    images[700] = images[699]
    twins = find_twins(images)
    assert sorted(zip(twins.left.tolist(), twins.right.tolist(), strict=True)) == [(3, 4290), (699, 700)]
    assert twins.left[0] == 699 and twins.similarity[0] == pytest.approx(1, abs=1e-5)


def test_candidates_agree_with_comparing_everything():
    images = np.stack([pixels(seed % 40, 40) for seed in range(80)])
    noise = np.random.default_rng(0).normal(0, 8, images.shape)
    images = np.clip(images + noise, 0, 255).astype(np.uint8)
    similarity = np.triu(details(images) @ details(images).T, 1)
    twins = find_twins(images, threshold=0.5)
    found = set(zip(twins.left.tolist(), twins.right.tolist(), strict=True))
    assert len(found) > 20 and found == set(map(tuple, np.argwhere(similarity > 0.5).tolist()))


@pytest.mark.parametrize("images", [np.zeros((3, 40, 40, 1), np.uint8), np.zeros((0, 40, 40, 3), np.uint8)])
def test_images_without_detail_have_no_twins(images):
    assert len(find_twins(images).left) == 0


def test_too_small_cutouts_are_not_compared_and_the_report_says_so():
    twins = find_twins(np.stack([pixels(1, 24)] * 10))
    assert len(twins.left) == 0 and twins.compared == 0
    assert "not sought in cutouts below 32x32" in str(find_leaks({"a": some(1), "b": some(2)}, DIGESTS, twins))


# -- leaks between parts -------------------------------------------------------------------------


def test_only_pairs_in_different_parts_are_leaks():
    twins = Twins(np.array([0, 0, 1, 2]), np.array([1, 4, 9, 5]), np.array([0.99, 0.97, 0.95, 0.9], np.float32), 10)
    report = find_leaks({"train": some(0, 1, 2), "validation": some(3, 4), "test": some(5, 6)}, DIGESTS, twins)
    assert report.compared == 7
    assert [(a, b) for a, b, _ in report.pairs] == [("g0", "g4"), ("g2", "g5")]
    assert "2 possible leaks" in str(report) and "g0 and g4 for one (similarity 0.970)" in str(report)


def test_no_leaks_is_one_line():
    report = find_leaks({"train": some(0, 1), "test": some(2)}, DIGESTS, NO_TWINS)
    assert report == LeakReport([], 3)
    assert str(report) == "no leaks: no two of 3 galaxies in different parts look the same"


def test_a_shared_id_is_fatal():
    with pytest.raises(DataError, match="1 galaxies are in both train and test, g2 for one"):
        find_leaks({"train": some(1, 2), "validation": some(3), "test": some(2, 4)}, DIGESTS, NO_TWINS)


def test_shared_content_is_fatal():
    digests = DIGESTS.copy()
    digests[4] = digests[1]
    with pytest.raises(DataError, match="1 images of train have the same content as images of validation, g1 for one"):
        find_leaks({"train": some(1, 2), "validation": some(4)}, digests, NO_TWINS)


# -- real galaxies -------------------------------------------------------------------------------


def saved_again(image: Image.Image, quality: int) -> bytes:
    buffer = io.BytesIO()
    image.save(buffer, "JPEG", quality=quality)
    return buffer.getvalue()


def test_real_galaxies_differ_and_their_copies_do_not(real_data, tmp_path):
    folder = real_data("kaggle")
    paths = Paths(images_path=folder / "images_training_rev1", labels_path=folder / "training_solutions_rev1.csv")
    catalogue = read_catalogue(paths)
    catalogue = catalogue.only(np.arange(0, len(catalogue), 4))
    preprocessing = DataPreprocessing(crop=True, crop_size=256)
    cutouts = load_cutouts(catalogue, preprocessing, tmp_path)
    images = cutouts.images
    assert len(load_twins(cutouts).left) == 0 and load_twins(cutouts).compared == len(images)

    copied = np.arange(0, len(catalogue), 20)
    originals = [Image.open(catalogue.pictures[row]) for row in copied]
    halved = preprocessing.model_copy(update={"crop_size": 128})
    copies = [
        *(read_cutout(saved_again(image, 60), preprocessing) for image in originals),
        *(read_cutout(saved_again(image.resize((212, 212)), 90), halved) for image in originals),
    ]
    twins = find_twins(np.concatenate([images, copies]))
    found = set(zip(twins.left.tolist(), twins.right.tolist(), strict=True))
    last = len(images) + len(copied)
    expected = {(row, start + i) for start in (len(images), last) for i, row in enumerate(copied.tolist())}
    expected |= {(len(images) + i, last + i) for i in range(len(copied))}
    assert found == expected
