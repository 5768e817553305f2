"""Files in Galaxy10's layout that are made here: converted from images and labels, and simulated."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import h5py
import numpy as np
import pandas as pd
import pytest
from galaxy10_files import galaxy10_file
from galaxy_files import write_image
from hypothesis import given, settings
from hypothesis import strategies as st
from sklearn.decomposition import PCA
from sklearn.linear_model import Ridge

from galaxycnn.cli import main
from galaxycnn.config.schema import DataPreprocessing, Paths
from galaxycnn.data.cache import load_cutouts, read_cutout
from galaxycnn.data.catalogue import Catalogue, read_catalogue
from galaxycnn.data.converting import convert
from galaxycnn.data.layouts.galaxy10 import DECALS_CLASSES
from galaxycnn.errors import DataError, UserError
from galaxycnn.simulate.galaxy10 import SHARES, Galaxy10Survey, draw_scene, simulate_galaxy10
from galaxycnn.simulate.scene import Partner, render


def read(path: Path) -> Catalogue:
    return read_catalogue(Paths(images_path=path), quantities=None)


# -- convert -------------------------------------------------------------------------------------


@pytest.fixture
def galaxies(tmp_path) -> tuple[Path, Path]:
    """Eight images with classes, redshifts and pixel scales, with gaps; one is no image and one a copy."""
    for i in range(8):
        write_image(tmp_path / "images" / f"{i}.png", i, size=40)
    (tmp_path / "images" / "6.png").write_bytes(b"no image")
    (tmp_path / "images" / "7.png").write_bytes((tmp_path / "images" / "0.png").read_bytes())
    table = pd.DataFrame({"id": range(8), "label": [*list("abab"), "", "a", "b", "a"], "arcsec_per_pix": 0.4})
    table["redshift"] = [0.1, np.nan, 0.3, 0.4, 0.5, 0.6, 0.7, 0.1]
    table.to_csv(tmp_path / "labels.csv", index=False)
    return tmp_path / "images", tmp_path / "labels.csv"


def test_images_and_labels_come_back(galaxies, tmp_path):
    done = convert(*galaxies, tmp_path / "out" / "all.h5")
    assert (done.images, done.size, done.classes) == (6, 40, ["a", "b"])
    assert {problem.name: problem.kind for problem in done.problems} == {"6": "corrupt", "7": "duplicate"}
    catalogue = read(done.path)
    original = read_catalogue(Paths(images_path=galaxies[0], labels_path=galaxies[1]), quantities=None)
    rows = [original.ids.tolist().index(name) for name in catalogue.ids]
    np.testing.assert_array_equal(catalogue.fractions, original.fractions[rows])
    np.testing.assert_array_equal(catalogue.numbers["redshift"], original.numbers["redshift"][rows])
    assert catalogue.numbers["pxscale"].tolist() == pytest.approx([0.4] * 6)
    with h5py.File(done.path) as file:
        assert file["ans"][:].tolist() == [0, 1, 0, 1, -1, 0]
        for name, image in zip(catalogue.ids, file["images"], strict=True):
            as_it_is = DataPreprocessing(img_size=[40, 40])
            np.testing.assert_array_equal(image, read_cutout(galaxies[0] / f"{name}.png", as_it_is))


def test_sizes_change_the_pixel_scale(galaxies, tmp_path):
    convert(*galaxies, tmp_path / "small.h5", size=10)
    assert read(tmp_path / "small.h5").numbers["pxscale"].tolist() == pytest.approx([1.6] * 6)
    convert(*galaxies, tmp_path / "centre.h5", size=10, crop=30)
    assert read(tmp_path / "centre.h5").numbers["pxscale"].tolist() == pytest.approx([1.2] * 6)
    convert(tmp_path / "centre.h5", None, tmp_path / "again.h5", crop=5)
    again = read(tmp_path / "again.h5")
    assert again.numbers["pxscale"].tolist() == pytest.approx([1.2] * 6) and again.tree.columns == (
        "class.a",
        "class.b",
    )
    assert load_cutouts(again, DataPreprocessing(), tmp_path / "cache").sizes.tolist() == [[5, 5]] * 6


def test_what_cannot_be_converted_is_said(galaxies, tmp_path):
    images, labels = galaxies
    write_image(images / "5.png", 5, size=44)
    with pytest.raises(DataError, match=r"not squares of one size \(40x40, 44x44\): give --size"):
        convert(images, labels, tmp_path / "a.h5")
    table = pd.read_csv(labels).assign(bar_class=list("xyxyxyxy"))
    table.to_csv(labels, index=False)
    with pytest.raises(DataError, match=r"2 questions, label, bar_class: say which is the class \(--question\)"):
        convert(images, labels, tmp_path / "a.h5", size=16)
    assert convert(images, labels, tmp_path / "a.h5", size=16, question="bar_class").classes == ["x", "y"]
    assert sorted(path.name for path in tmp_path.iterdir()) == ["a.h5", "images", "labels.csv"]


def test_an_interruption_leaves_the_older_file(galaxies, tmp_path, monkeypatch):
    path = galaxy10_file(tmp_path / "a.h5", 4)
    before = path.read_bytes()

    def interrupt(*_: object, **__: object) -> None:
        raise KeyboardInterrupt

    monkeypatch.setattr("galaxycnn.data.converting.track", interrupt)
    with pytest.raises(KeyboardInterrupt):
        convert(*galaxies, path)
    assert path.read_bytes() == before and not list(tmp_path.glob(".part-*"))


def test_the_command(galaxies, tmp_path, capsys):
    words = ["data", "convert", str(galaxies[0]), "--labels", str(galaxies[1]), "--size", "16", "-o"]
    assert main([*words, str(tmp_path / "a.h5")]) == 0
    text = capsys.readouterr().out
    assert "6 images of 16×16 pixels, classes a, b; pxscale, redshift; 2 left out" in text
    assert "left out as corrupt: 6 (6.png: not an image" in text


def test_real_redshifts_in_one_file(real_data, tmp_path):
    folder = real_data("redshift")
    done = convert(folder / "images", folder / "labels.csv", tmp_path / "z.h5", size=32, crop=100)
    truth = pd.read_csv(folder / "labels.csv")
    assert done.images == len(truth) and done.problems == []
    catalogue = read(tmp_path / "z.h5")
    np.testing.assert_allclose(np.sort(catalogue.numbers["redshift"]), np.sort(truth["redshift"]))
    assert catalogue.numbers["pxscale"].unique() == pytest.approx([0.2 * 100 / 32])


# -- simulate ------------------------------------------------------------------------------------


@given(st.integers(0, 2**32 - 1), st.integers(0, 9))
@settings(max_examples=40)
def test_scenes_are_what_their_class_says(seed, answer):
    name = DECALS_CLASSES[answer]
    galaxy, partner = draw_scene(answer, np.random.default_rng(seed))
    assert (galaxy.disturbance > 0) == (name in ("Disturbed", "Merging"))
    assert galaxy.edge_on == name.startswith("Edge-on")
    assert (galaxy.kind == "elliptical") or "Smooth" not in name
    if name == "Merging":
        assert partner is not None and partner.galaxy.redshift == galaxy.redshift
        assert np.hypot(partner.right, partner.above) < 2.2 * galaxy.radius
    elif partner is not None:
        assert np.hypot(partner.right, partner.above) >= 2.5 * galaxy.radius
        assert partner.galaxy.redshift != galaxy.redshift and partner.galaxy.disturbance == 0


def test_a_partner_is_drawn_where_it_is():
    galaxy, _ = draw_scene(2, np.random.default_rng(1))
    galaxy = replace(galaxy, radius_kpc=4.0, redshift=0.05)
    partner = Partner(galaxy, right=12.0, above=6.0)
    alone, both = (render(galaxy, 64, np.random.default_rng(2), 40, p).astype(int).sum(axis=2) for p in (None, partner))
    y, x = np.unravel_index((both - alone).argmax(), alone.shape)
    assert (x - 31.5) * 40 / 64 == pytest.approx(12, abs=1.5) and (31.5 - y) * 40 / 64 == pytest.approx(6, abs=1.5)


@pytest.fixture(scope="module")
def simulated(tmp_path_factory) -> Path:
    return simulate_galaxy10(tmp_path_factory.mktemp("simulated") / "file.h5", 400, image_size=32)


def test_the_file_has_every_field(simulated):
    catalogue = read(simulated)
    assert len(catalogue) == 400 and catalogue.tree.questions[0].name == "class"
    assert [answer.name for answer in catalogue.tree.questions[0].answers] == list(DECALS_CLASSES)
    assert {"redshift", "ra", "dec", "pxscale", "mag_r", "g_r"} == set(catalogue.numbers)
    found = catalogue.fractions.mean(axis=0)
    np.testing.assert_allclose(found, SHARES, atol=4 * np.sqrt(0.15 * 0.85 / 400))
    assert catalogue.numbers["redshift"].between(0.01, 0.25).mean() > 0.97


def test_a_smaller_file_is_the_beginning_of_a_larger_one(simulated, tmp_path):
    smaller = simulate_galaxy10(tmp_path / "small.h5", 5, image_size=32, processes=1)
    with h5py.File(smaller) as small, h5py.File(simulated) as large:
        for name in large:
            np.testing.assert_array_equal(small[name][:], large[name][:5])
    image, row = Galaxy10Survey(1, seed=49, image_size=32).draw(0)
    with h5py.File(smaller) as small:
        assert (small["images"][0] != image).any() and small["ra"][0] != row["ra"]


def test_redshifts_can_be_read_from_the_images(simulated):
    """Straight lines through the leading 20 components explain a good part, and nothing if redshifts are shuffled."""
    catalogue = read(simulated)
    redshift = catalogue.numbers["redshift"].to_numpy()
    with h5py.File(simulated) as file:
        pixels = file["images"][:].reshape(400, -1)[~np.isnan(redshift)] / 255
    redshift = redshift[~np.isnan(redshift)]
    features = PCA(20, random_state=0).fit_transform(pixels)
    shuffled = np.random.default_rng(0).permutation(redshift)
    scores = [Ridge().fit(features[:280], z[:280]).score(features[280:], z[280:]) for z in (redshift, shuffled)]
    assert scores[0] > 0.3 and scores[1] < 0.1


def test_files_that_are_there_are_not_written_over(simulated, capsys):
    assert main(["data", "simulate", "--layout", "galaxy10", "-n", "2", "-o", str(simulated)]) == 2
    assert "is there already" in capsys.readouterr().err
    with pytest.raises(UserError, match="'image_size' of at least 16"):
        simulate_galaxy10(simulated.with_name("b.h5"), 2, image_size=8)
