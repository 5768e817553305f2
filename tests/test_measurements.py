"""Classical measurements against theory, against symmetry, on hopeless input and on real galaxies."""

from __future__ import annotations

import time
import warnings

import numpy as np
import pandas as pd
import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as arrays
from PIL import Image

from galaxycnn.errors import DataError
from galaxycnn.measurements import MORPHOLOGY, PLACE, measure_cutouts
from galaxycnn.simulate import draw_galaxy, render
from galaxycnn.simulate.profiles import boxy_radius, rotate, sersic

SYMMETRIES = {
    "left-right": lambda images: images[:, :, ::-1],
    "up-down": lambda images: images[:, ::-1],
    "quarter turn": lambda images: np.rot90(images, axes=(1, 2)),
    "half turn": lambda images: np.rot90(images, 2, axes=(1, 2)),
}


def simulated(seed: int, galaxies: int = 3, size: int = 64) -> np.ndarray:
    rng = np.random.default_rng(seed)
    return np.stack([render(draw_galaxy(rng), size, rng) for _ in range(galaxies)])


def coordinates(size: int = 64, x: float = 0.0, y: float = 0.0) -> tuple[np.ndarray, np.ndarray]:
    """Pixels to the right and upwards of a point that is x, y away from the middle."""
    axis = np.arange(size) - (size - 1) / 2
    return np.meshgrid((axis - x).astype(np.float32), (-axis - y).astype(np.float32))


def picture(*bands: np.ndarray) -> np.ndarray:
    """One cutout of one or three bands of light 0…255."""
    return np.stack(bands, axis=-1).clip(0, 255).round().astype(np.uint8)[None]


def measured(*bands: np.ndarray) -> pd.Series:
    return measure_cutouts(picture(*bands)).iloc[0]


def blob(size: int = 64, width: float = 4.0, x: float = 0.0, y: float = 0.0, peak: float = 200.0) -> np.ndarray:
    return peak * np.exp(-np.square(np.hypot(*coordinates(size, x, y)) / width) / 2)


def disk(radius: float, size: int = 64) -> np.ndarray:
    return np.where(np.hypot(*coordinates(size)) <= radius, 150.0, 0.0)


# -- theory --------------------------------------------------------------------------------------


@given(ratio=st.floats(0.3, 1), angle=st.floats(-90, 90), width=st.floats(5, 7), x=st.floats(-3, 3), y=st.floats(-3, 3))
@settings(max_examples=40)
def test_ellipse_of_a_gaussian_is_recovered(ratio: float, angle: float, width: float, x: float, y: float) -> None:
    along, across = rotate(*coordinates(x=x, y=y), angle)
    found = measured(220 * np.exp(-((boxy_radius(along, across, ratio) / width) ** 2) / 2))
    assert found.axis_ratio == pytest.approx(ratio, abs=0.05)
    assert (found.x - 31.5, 31.5 - found.y) == pytest.approx((x, y), abs=0.15)
    if ratio < 0.8:
        assert abs((found.position_angle - angle + 90) % 180 - 90) < 2


@pytest.mark.parametrize("radius", [8.0, 12.0, 20.0])
def test_an_even_disk_is_as_theory_has_it(radius: float) -> None:
    found = measured(disk(radius))
    assert found.concentration == pytest.approx(5 * np.log10(2), abs=0.1)
    assert found.half_light_radius == pytest.approx(radius / np.sqrt(2) / 64, rel=0.05)
    assert found.m20 == pytest.approx(np.log10(0.2), abs=0.02)
    assert found.asymmetry == pytest.approx(0, abs=1e-6)
    assert found.axis_ratio == pytest.approx(1, abs=1e-3)
    assert found.surface_brightness == pytest.approx(150 / 255, rel=0.05)
    assert [found[f"fourier{m}_inside"] for m in (1, 2, 3)] == pytest.approx([0, 0, 0], abs=0.01)


def test_concentration_rises_with_the_sersic_index() -> None:
    """A disk (1), a bulge of 2.5 and de Vaucouleurs' (4) as the stretch of a colour picture shows them."""
    radius = np.hypot(*coordinates(128))
    profiles = [sersic(radius, 12, index, 1.0) for index in (1.0, 2.5, 4.0)]
    stretched = [np.arcsinh(300 * profile / profile.max()) for profile in profiles]
    found = [measured(200 * profile / profile.max()).concentration for profile in stretched]
    assert found[0] + 0.1 < found[1] < found[2] - 0.02


@given(factor=st.floats(1.2, 2), ratio=st.floats(0.5, 1), angle=st.floats(0, 180))
@example(factor=1.5, ratio=0.5703125, angle=0.0)
@settings(max_examples=25)
def test_size_scales_with_zoom_and_shape_does_not(factor: float, ratio: float, angle: float) -> None:
    along, across = rotate(*coordinates(), angle)
    radius = boxy_radius(along, across, ratio)
    near, far = (measured(230 * np.exp(-((radius / width) ** 2) / 2)) for width in (5 * factor, 5))
    for size in ("half_light_radius", "petrosian_radius", "minor_axis"):
        assert near[size] == pytest.approx(factor * far[size], rel=0.08)
    assert near.axis_ratio == pytest.approx(far.axis_ratio, abs=0.04)


def test_sizes_are_in_sides_whatever_the_resolution() -> None:
    fine, coarse = (measured(blob(size, size / 12, size / 20)) for size in (128, 64))
    for name in ("half_light_radius", "petrosian_radius", "axis_ratio", "area", "light", "concentration"):
        assert fine[name] == pytest.approx(coarse[name], rel=0.05, abs=0.02), name


@given(arrays.arrays(np.uint8, (9, 11), elements=st.integers(100, 255)))
@settings(max_examples=25)
def test_gini_is_half_the_mean_difference_over_the_mean(values: np.ndarray) -> None:
    light = np.zeros((33, 33))
    light[12:21, 11:22] = values
    found = measured(light)
    pixels = np.zeros(round(found.area * light.size))
    pixels[: values.size] = values.ravel()
    n = len(pixels)
    difference = np.abs(pixels[:, None] - pixels).sum() / (n * (n - 1))
    assert n >= values.size
    assert found.gini == pytest.approx(difference / 2 / pixels.mean(), rel=1e-4)


def test_asymmetry_is_the_light_that_a_half_turn_moves() -> None:
    whole = disk(12)
    notched = whole.copy()
    notched[29:35, 38:42] = 0
    assert measured(whole).shape_asymmetry == measured(whole).asymmetry == 0
    assert measured(notched).asymmetry == pytest.approx(2 * 24 / ((notched > 0).sum()), rel=0.25)
    x, y = coordinates()
    half = measured(np.where((np.hypot(x, y) <= 12) & (y > -4), 150.0, 0.0))
    tail = measured(blob() + 60 * (np.abs(y) < 2) * ((x > 5) & (x < 20)))
    assert 0.05 < half.asymmetry < tail.asymmetry
    assert tail.fourier1_outside > 0.2


def test_noise_alone_makes_neither_asymmetry_nor_clumpiness() -> None:
    rng = np.random.default_rng(1)
    smooth = 20 + blob(width=9)
    noisy = measured(smooth + rng.normal(0, 5, smooth.shape))
    assert noisy.noise == pytest.approx(5 / 255, rel=0.15)
    assert noisy.background == pytest.approx(20 / 255, abs=0.01)
    assert noisy.asymmetry == pytest.approx(measured(smooth).asymmetry, abs=0.02)
    assert noisy.clumpiness == pytest.approx(measured(smooth).clumpiness, abs=0.015)


def test_knots_arms_and_bars_show_where_they_should() -> None:
    smooth = blob(width=9)
    knots = smooth + sum(blob(64, 1.2, 11 * np.cos(a), 11 * np.sin(a), 90) for a in np.arange(0, 6, 1.2))
    assert measured(knots).clumpiness > measured(smooth).clumpiness + 0.01
    assert measured(knots).second_peak > 0.3 and measured(smooth).second_peak == 0
    x, y = coordinates()
    barred = measured(blob(width=9, peak=120) + 100 * np.exp(-((x / 9) ** 4) - (y / 2) ** 4))
    assert barred.fourier2_inside + barred.fourier4_inside > 0.1 > measured(smooth).fourier2_inside
    three = measured(blob(width=9) * (1 + 0.5 * np.cos(3 * np.arctan2(y, x))))
    assert max(range(1, 5), key=lambda m: three[f"fourier{m}_inside"]) == 3


def test_colour_is_the_ratio_of_the_bands() -> None:
    light = blob()
    red = measured(light, light / 2, light / 4)
    for name in ("red_green_inside", "green_blue_inside", "red_green_outside", "green_blue_outside"):
        assert red[name] == pytest.approx(2.5 * np.log10(2), abs=0.05)
        assert measured(light)[name] == 0
    pd.testing.assert_series_equal(measured(light), measured(light, light, light))


def test_a_neighbour_is_measured_and_does_not_disturb_the_galaxy() -> None:
    alone = measured(blob())
    pair = measured(blob() + blob(width=2, x=20, y=-9))
    assert (alone.neighbours, alone.neighbour_light, alone.neighbour_distance) == (0, 0, 1)
    assert pair.neighbours == 1
    assert pair.neighbour_light == pytest.approx((2 / 4) ** 2, rel=0.1)
    assert pair.neighbour_distance == pytest.approx(np.hypot(20, 9) / 64, rel=0.02)
    untouched = [name for name in (*PLACE, *MORPHOLOGY) if not name.startswith("neighbour")]
    np.testing.assert_allclose(pair[untouched], alone[untouched], atol=1e-4)


# -- symmetry ------------------------------------------------------------------------------------


@given(seed=st.integers(0, 10_000), symmetry=st.sampled_from(sorted(SYMMETRIES)))
@settings(max_examples=25)
def test_morphology_does_not_change_with_flips_and_quarter_turns(seed: int, symmetry: str) -> None:
    images = simulated(seed)
    before, after = measure_cutouts(images), measure_cutouts(np.ascontiguousarray(SYMMETRIES[symmetry](images)))
    np.testing.assert_allclose(after[list(MORPHOLOGY)], before[list(MORPHOLOGY)], rtol=2e-3, atol=2e-3)


@given(seed=st.integers(0, 10_000))
@settings(max_examples=10)
def test_place_follows_a_flip(seed: int) -> None:
    images = simulated(seed)
    before, after = measure_cutouts(images), measure_cutouts(images[:, :, ::-1])
    np.testing.assert_allclose(after.x, 63 - before.x, atol=1e-3)
    np.testing.assert_allclose(after.y, before.y, atol=1e-3)
    elongated = before.axis_ratio < 0.9
    np.testing.assert_allclose(np.tan(np.radians(2 * (after + before).position_angle[elongated])), 0, atol=1e-2)


@given(seed=st.integers(0, 10_000))
@settings(max_examples=5)
def test_a_galaxy_does_not_depend_on_its_batch(seed: int) -> None:
    images = simulated(seed, 4, 32)
    together = measure_cutouts(np.tile(images, (40, 1, 1, 1)))
    apart = pd.concat([measure_cutouts(image[None]) for image in images], ignore_index=True)
    np.testing.assert_allclose(together[:4], apart, rtol=1e-5, atol=1e-5)
    np.testing.assert_allclose(together[-4:], apart, rtol=1e-5, atol=1e-5)


# -- hopeless input ------------------------------------------------------------------------------


@given(
    arrays.arrays(
        np.uint8,
        st.tuples(st.integers(0, 2), st.integers(8, 20), st.integers(8, 20), st.sampled_from([1, 3])),
        elements=st.one_of(st.sampled_from([0, 255]), st.integers(0, 255)),
    )
)
@settings(max_examples=80)
def test_any_picture_gives_finite_numbers_without_a_warning(cutouts: np.ndarray) -> None:
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        found = measure_cutouts(cutouts)
    assert list(found.columns) == [*PLACE, *MORPHOLOGY]
    assert len(found) == len(cutouts)
    assert np.isfinite(found.to_numpy()).all()
    for name in ("area", "axis_ratio", "gini", "peak", "light"):
        assert found[name].between(0, 1 + 1e-6).all(), name


@pytest.mark.parametrize("value", [0, 90, 255])
def test_where_there_is_nothing_nothing_is_found(value: int) -> None:
    found = measure_cutouts(np.full((1, 64, 64, 3), value, np.uint8)).iloc[0]
    assert (found.area, found.light, found.neighbours, found.concentration, found.half_light_radius) == (0, 0, 0, 0, 0)
    assert found.background == pytest.approx(value / 255)


def test_a_saturated_core_and_a_small_cutout_are_measured() -> None:
    saturated = measured(blob(width=6, peak=2000))
    assert 0 < saturated.half_light_radius < 0.5 and saturated.axis_ratio > 0.98
    small = measured(blob(16, 2))
    assert small.half_light_radius == pytest.approx(measured(blob(64, 8)).half_light_radius, rel=0.15)


@pytest.mark.parametrize(
    ("cutouts", "words"),
    [
        (np.zeros((2, 64, 64), np.uint8), "shape (galaxies, height, width, 1 or 3), not uint8 of (2, 64, 64)"),
        (np.zeros((2, 64, 64, 4), np.uint8), "(2, 64, 64, 4)"),
        (np.zeros((2, 64, 64, 3), np.float32), "not float32"),
        (np.zeros((2, 4, 64, 3), np.uint8), "cutouts of 4×64 pixels"),
    ],
)
def test_wrong_arrays_are_told(cutouts: np.ndarray, words: str) -> None:
    with pytest.raises(DataError) as caught:
        measure_cutouts(cutouts)
    assert words in str(caught.value)


# -- real galaxies -------------------------------------------------------------------------------


def test_real_galaxies_measure_as_volunteers_saw_them(real_data) -> None:
    folder = real_data("kaggle")
    votes = pd.read_csv(folder / "training_solutions_rev1.csv").iloc[:400]
    cutouts = np.stack(
        [
            np.asarray(
                Image.open(folder / f"images_training_rev1/{name}.jpg").crop((84, 84, 340, 340)).resize((64, 64))
            )
            for name in votes.GalaxyID
        ]
    )
    start = time.process_time()
    found = measure_cutouts(cutouts)
    assert len(cutouts) / (time.process_time() - start) > 100
    assert (found.area > 0).mean() > 0.99
    assert np.hypot(found.x - 31.5, found.y - 31.5).median() < 1
    smooth = votes["Class1.1"] > 0.5
    roundness = (votes["Class7.1"] - votes["Class7.3"]) / votes["Class1.1"]
    for answer, measure, least in (
        (roundness[smooth], "axis_ratio", 0.7),
        (-votes["Class2.1"], "axis_ratio", 0.4),
        (votes["Class1.2"], "clumpiness", 0.2),
        (votes["Class1.1"], "red_green_inside", 0.2),
        (votes["Class6.1"], "asymmetry", 0.3),
    ):
        assert answer.corr(found[measure], method="spearman") > least, measure
