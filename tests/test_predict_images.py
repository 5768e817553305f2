"""Opening images of every kind for prediction: the same sky gives the same picture, and what is wrong is flagged."""

from __future__ import annotations

import gzip
import io

import cv2
import numpy as np
import pytest
from astropy.io import fits
from galaxy_files import pixels
from hypothesis import given
from hypothesis import strategies as st
from PIL import Image

from galaxycnn.config.schema import DataPreprocessing
from galaxycnn.data.cache import read_cutout
from galaxycnn.data.cutouts import Unusable, centre_box
from galaxycnn.errors import UserError
from galaxycnn.predicting.fits_images import planes_of
from galaxycnn.predicting.flags import flags_of_cutouts, flags_of_image
from galaxycnn.predicting.opening import Opener
from galaxycnn.predicting.stretching import Stretch

OPEN = Opener()


def encoded(image: Image.Image, ending: str, **options) -> bytes:
    content = io.BytesIO()
    image.save(content, ending, **options)
    return content.getvalue()


def fits_bytes(data, header: dict | None = None, first=None) -> bytes:
    content = io.BytesIO()
    unit = fits.PrimaryHDU(data)
    unit.header.update(header or {})
    (fits.HDUList([fits.PrimaryHDU(), fits.ImageHDU(data, unit.header)]) if first else unit).writeto(content)
    return content.getvalue()


def tiff(values) -> bytes:
    return cv2.imencode(".tif", values if values.ndim == 2 else values[..., ::-1])[1].tobytes()


def rgb(content) -> np.ndarray:
    return np.asarray(OPEN(content).image.convert("RGB"))


def fluxes(seed: int = 0, side: int = 64, peak: float = 100, sky: float = 1000) -> np.ndarray:
    y, x = np.indices((side, side)) - (side - 1) / 2
    noise = np.random.default_rng(seed).normal(0, 1, (side, side))
    return (sky + noise + peak * np.exp(-np.hypot(x, 2 * y) / 6)).astype(np.float32)


# -- pictures ------------------------------------------------------------------------------------


@pytest.mark.parametrize("mode", ["RGB", "L", "P", "CMYK", "RGBA", "LA", "1"])
@pytest.mark.parametrize("ending", ["PNG", "TIFF", "JPEG"])
def test_pictures_of_8_bits_are_what_training_sees(mode, ending):
    if (ending == "JPEG" and mode in ("P", "RGBA", "LA", "1")) or (ending == "PNG" and mode == "CMYK"):
        pytest.skip("there is no such file")
    image = Image.fromarray(pixels(1)).convert(mode)
    content = encoded(image, ending)
    settings = DataPreprocessing(img_size=[40, 40])
    np.testing.assert_array_equal(rgb(content), read_cutout(content, settings))


def test_16_bits_become_8_as_in_training():
    grey = pixels(2, channels=1)[..., 0]
    deep = grey.astype(np.uint16) * 257
    for content in (
        encoded(Image.fromarray(deep), "PNG"),
        encoded(Image.fromarray(deep), "TIFF"),
        deep,
        deep[..., None],
    ):
        np.testing.assert_array_equal(rgb(content)[..., 0], grey)
    colour = pixels(3).astype(np.uint16) * 257
    np.testing.assert_array_equal(rgb(tiff(colour)), pixels(3))


def test_counts_of_16_bits_are_stretched_where_that_is_asked_for():
    counts = fluxes().astype(np.uint16)
    assert rgb(tiff(counts)).max() < 6
    stretched = Opener(Stretch.of("asinh"))
    for content in (tiff(counts), tiff(np.dstack([counts] * 3)), counts):
        picture = np.asarray(stretched(content).image)
        assert picture[32, 32].min() > 80 and np.median(picture[:8]) < 12


def test_orientation_is_followed():
    image, exif = Image.fromarray(pixels(4)[:, :20]), Image.Exif()
    exif[274] = 6
    shown = rgb(encoded(image, "PNG", exif=exif))
    np.testing.assert_array_equal(shown, np.rot90(np.asarray(image), -1))


def test_only_the_first_page_is_read():
    pages = [Image.fromarray(pixels(seed)) for seed in (5, 6)]
    np.testing.assert_array_equal(rgb(encoded(pages[0], "TIFF", save_all=True, append_images=pages[1:])), pixels(5))


# -- fluxes --------------------------------------------------------------------------------------


def test_one_plane_is_the_same_in_any_file():
    data = fluxes()
    expected = rgb(fits_bytes(data))
    assert expected[32, 32].min() > 80 and np.median(expected[:8]) < 12
    for same in (
        gzip.compress(fits_bytes(data)),
        fits_bytes(data.astype(">f8")),
        fits_bytes(data[None, None]),
        fits_bytes(data, first=True),
        fits_bytes(data * 1e-9),
        fits_bytes(data + 5000),
    ):
        np.testing.assert_allclose(rgb(same).astype(int), expected.astype(int), atol=2)
    for flipped in (tiff(data), tiff(data.astype(np.float64)), tiff(np.dstack([data] * 3))):
        np.testing.assert_array_equal(rgb(flipped), expected[::-1])
    compressed = io.BytesIO()
    fits.HDUList([fits.PrimaryHDU(), fits.CompImageHDU(fluxes().astype(np.int32))]).writeto(compressed)
    assert np.abs(rgb(compressed.getvalue()).astype(int) - expected).mean() < 4


@pytest.mark.parametrize(
    ("header", "order"),
    [
        ({}, [2, 1, 0]),
        ({"BANDS": "grz"}, [2, 1, 0]),
        ({"BANDS": "zrg"}, [0, 1, 2]),
        ({"BAND0": "r", "BAND1": "g", "BAND2": "i"}, [2, 0, 1]),
        ({"CTYPE3": "RGB"}, [0, 1, 2]),
    ],
)
def test_colours_of_planes(header, order):
    planes = np.stack([fluxes(1, peak=20), fluxes(2, peak=60), fluxes(3, peak=180)])
    middle = rgb(fits_bytes(planes, header))[30:34, 30:34].mean(axis=(0, 1))
    assert middle.argsort().tolist() == np.argsort([[20, 60, 180][plane] for plane in order]).tolist()


def test_more_planes_need_names_or_numbers():
    planes = np.stack([fluxes(seed, peak=20 * 3**seed) for seed in range(4)])
    with pytest.raises(Unusable, match="it has 4 planes: say which are red, green and blue, such as --planes 3,2,1"):
        OPEN(fits_bytes(planes))
    named = rgb(fits_bytes(planes, {"BANDS": "griz"}))
    numbered = np.asarray(Opener(planes=planes_of("4,2,1"))(fits_bytes(planes)).image)
    np.testing.assert_array_equal(named, numbered)
    with pytest.raises(Unusable, match="asks for number 5"):
        Opener(planes=(5, 2, 1))(fits_bytes(planes))


@pytest.mark.parametrize("words", ["1,2", "0,1,2", "r,g,b", ""])
def test_wrong_planes_are_refused(words):
    with pytest.raises(UserError, match="three numbers from 1 on"):
        planes_of(words)


@pytest.mark.parametrize("words", ["lupton", "1,2", "0,0,8", "0,1,-8", "a,b,c"])
def test_wrong_stretches_are_refused(words):
    with pytest.raises(UserError, match="the stretch is auto, asinh, none, or MINIMUM,STRETCH,Q"):
        Stretch.of(words)


def test_a_stretch_with_numbers_is_that_of_lupton():
    from astropy.visualization import make_lupton_rgb

    data = fluxes(sky=0)
    picture = Opener(Stretch.of("0.5,3,8"))(fits_bytes(data)).image
    np.testing.assert_array_equal(np.asarray(picture), make_lupton_rgb(*[data[::-1]] * 3, minimum=0.5, stretch=3, Q=8))


def test_brightness_is_taken_as_it_is():
    image = pixels(7)
    as_they_are = Opener(Stretch.of("none"))
    for content in (
        tiff(image.astype(np.float32)),
        image.astype(np.float64),
        fits_bytes(image[::-1].transpose(2, 0, 1)[::-1]),
    ):
        np.testing.assert_array_equal(np.asarray(as_they_are(content).image), image)


def test_8_bit_cubes_are_pictures():
    image = pixels(8)
    np.testing.assert_array_equal(rgb(fits_bytes(image[::-1].transpose(2, 0, 1), {"CTYPE3": "RGB"})), image)


@given(st.integers(0, 2**32 - 1), st.floats(1e-6, 1e6), st.floats(-1e4, 1e4), st.floats(0, 0.3))
def test_any_unit_sky_and_gaps_give_a_picture(seed, scale, sky, gaps):
    random = np.random.default_rng(seed)
    data = (fluxes(seed % 7, 32, sky=0).astype(np.float64) + sky) * scale
    data[random.random(data.shape) < gaps] = random.choice([np.nan, np.inf, -np.inf])
    opened = OPEN(fits_bytes(data))
    picture = np.asarray(opened.image)
    assert picture.shape == (32, 32, 3) and picture[14:18, 14:18].max() > 60 and np.median(picture) < 30
    missing = ~np.isfinite(data[::-1])
    assert (opened.missing is None and not missing.any()) or (opened.missing == missing).all()


# -- what is no image ----------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("content", "reason"),
    [
        (b"", "not an image"),
        (b"<html>no cutout here</html>", "not an image"),
        (encoded(Image.fromarray(pixels(1)), "JPEG")[:300], "(?i)truncated|not an image"),
        (tiff(np.zeros((8, 8), np.float64))[:60], "TIFF|not an image|truncated"),
        (gzip.compress(b"SIMPLE  =", mtime=0)[:-4], "ended before|[Cc]ompressed"),
        (fits_bytes(fluxes())[:4000], "buffer|truncated|size"),
        (fits_bytes(None), "without an image"),
        (fits_bytes(np.full((8, 8), np.nan)), "none of its pixels is a number"),
        (np.zeros((3, 64, 64), np.uint8), r"uint8 of shape \(3, 64, 64\) is no image"),
        (np.zeros((8, 8), complex), "is no image"),
        (np.zeros((2**14, 2**14), np.uint8), "more than"),
    ],
)
def test_what_cannot_be_opened_has_a_reason(content, reason):
    with pytest.raises(Unusable, match=reason) as caught:
        OPEN(content).image.load()
    assert "\n" not in str(caught.value) and len(str(caught.value)) > 5


def test_a_bomb_is_not_unfolded(monkeypatch):
    monkeypatch.setattr("galaxycnn.predicting.opening.MOST_BYTES", 10_000)
    with pytest.raises(Unusable, match="unfolds to more than 10,000 bytes"):
        OPEN(gzip.compress(fits_bytes(fluxes())))


# -- flags ---------------------------------------------------------------------------------------


def galaxy(side: int, across: float, down: float, peak: float = 180, sky: int = 5) -> np.ndarray:
    """A cutout with a galaxy that many sides away from its middle."""
    y, x = np.indices((side, side)) - (side - 1) / 2
    light = peak * np.exp(-np.hypot(x - across * side, y - down * side) / (side / 14))
    noise = np.random.default_rng(0).normal(0, 1.5, (side, side))
    return np.broadcast_to((sky + light + noise).clip(0, 255)[..., None], (side, side, 3)).astype(np.uint8)


@given(st.integers(24, 200), st.floats(0, 2 * np.pi), st.floats(0, 0.35), st.integers(0, 40))
def test_off_centre_is_a_matter_of_distance_alone(side, angle, distance, sky):
    found = flags_of_cutouts(galaxy(side, distance * np.cos(angle), distance * np.sin(angle), sky=sky)[None])
    if distance < 0.11:
        assert found == [[]]
    elif distance > 0.2:
        assert found == [["off_centre"]]


@given(st.integers(16, 128), st.integers(0, 255), st.integers(0, 2**32 - 1))
def test_sky_alone_is_empty(side, level, seed):
    noise = np.random.default_rng(seed).normal(level, 1.0, (side, side, 3))
    blank = np.full((side, side, 3), level, np.uint8)
    assert flags_of_cutouts(np.stack([noise.clip(0, 255).astype(np.uint8), blank])) == [["empty"]] * 2


@given(st.integers(30, 120), st.integers(0, 60))
def test_white_pixels_are_counted(side, width):
    image = galaxy(side, 0, 0)
    start = max(0, side // 2 - width // 2)
    image[start : start + width, start : start + width] = 255
    share = (image.min(axis=2) >= 254).mean()
    found = flags_of_image(OPEN(image), (0, 0, side, side), 8, None)
    assert ("saturated" in found) == (share > 0.001)


def test_a_plateau_of_fluxes_is_saturated():
    data = fluxes(peak=3000)
    clipped = data.clip(None, 1500)
    whole = (0, 0, 64, 64)
    assert flags_of_image(OPEN(fits_bytes(data)), whole, 64, None) == []
    assert flags_of_image(OPEN(fits_bytes(clipped)), whole, 64, None) == ["saturated"]


@given(st.integers(8, 100), st.integers(8, 100), st.none() | st.integers(8, 100))
def test_too_small_is_a_matter_of_pixels(size, network, crop):
    opened = OPEN(np.zeros((size, size), np.uint8))
    box = centre_box(size, size, None if crop is None else min(crop, size))
    expected = min(size, crop or size) < network or size < (crop or 0)
    assert ("too_small" in flags_of_image(opened, box, network, crop)) == expected


@given(st.floats(0, 0.1))
def test_missing_pixels_are_counted(share):
    data = fluxes()
    data.ravel()[: int(share * data.size)] = np.nan
    opened = OPEN(fits_bytes(data))
    assert ("missing_pixels" in flags_of_image(opened, (0, 0, 64, 64), 8, None)) == (np.isnan(data).mean() > 0.01)


def test_flags_of_real_galaxies(real_data):
    images = real_data("gz1") / "images"
    error_page = images / "587729387686002878.jpg"
    some = [path for path in sorted(images.iterdir()) if path != error_page][::60]
    settings = DataPreprocessing(crop=True, crop_size=200, img_size=[64, 64])
    found = flags_of_cutouts(np.stack([read_cutout(path, settings) for path in some]))
    assert sum(map(bool, found)) <= 0.05 * len(some)
    opened = OPEN(error_page.read_bytes())
    page = np.asarray(opened.image.convert("RGB").resize((64, 64)))
    assert flags_of_cutouts(page[None]) == [["empty"]]
