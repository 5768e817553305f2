"""Shuffle controls: what is changed of a galaxy and what is not, and networks that are found out."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import cv2
import keras
import numpy as np
import pandas as pd
import pytest
from hypothesis import assume, given, settings
from hypothesis import strategies as st
from scipy.stats import spearmanr

import galaxycnn
from galaxycnn.cli import main
from galaxycnn.config import load_config
from galaxycnn.controls import UNCHANGED, Galaxies, Scenes, measure_controls, shuffled
from galaxycnn.controls.report import control_tables, in_words
from galaxycnn.errors import DataError
from galaxycnn.measurements import measure_cutouts
from galaxycnn.measuring import Known, NeverLooked
from galaxycnn.models.quantity_heads import LinearHead
from galaxycnn.models.saving import Recipe, save_model
from galaxycnn.registry import CONTROLS
from galaxycnn.tables import render
from galaxycnn.tree import DecisionTree

SIZE = 48
TREE = DecisionTree.from_classes({"label": ["near", "far"]})
NOTHING = DecisionTree("nothing", ())


def drawn(sky: Any, peak: Any, scale: Any, seed: int = 0, channels: int = 3) -> np.ndarray:
    """Exponential disks on noisy skies: uint8 cutouts, one for each entry of the arguments."""
    sky, peak, scale = np.broadcast_arrays(*map(np.atleast_1d, (sky, peak, scale)))
    rng = np.random.default_rng(seed)
    y, x = np.indices((SIZE, SIZE)) - (SIZE - 1) / 2
    light = peak[:, None, None] * np.exp(-np.hypot(x, 1.5 * y) / scale[:, None, None])
    colour = np.linspace(1, 0.7, channels)
    noise = rng.normal(0, 3, (len(sky), SIZE, SIZE, channels))
    return (light[..., None] * colour + sky[:, None, None, None] + noise).round().clip(0, 255).astype(np.uint8)


def galaxies(cutouts: np.ndarray, seed: int = 0) -> Galaxies:
    nothing = np.zeros((len(cutouts), 0), np.float32)
    return Galaxies(cutouts, nothing, nothing, nothing, seed)


def some(seed: int, n: int = 12) -> Galaxies:
    """Galaxies that differ in sky, brightness and size."""
    rng = np.random.default_rng(seed)
    cutouts = drawn(rng.uniform(10, 60, n), rng.uniform(80, 150, n), rng.uniform(2, 3.5, n), seed)
    made = galaxies(cutouts, seed)
    assume(not made.scenes.bare.any())  # a sky far brighter than the others is taken for a source that fills the cutout
    return made


def inside(cutouts: np.ndarray) -> np.ndarray:
    """The middle of a cutout, where its galaxy is brightest."""
    middle = slice(SIZE // 2 - 4, SIZE // 2 + 4)
    return cutouts[:, middle, middle].mean(axis=(1, 2, 3))


def outside(cutouts: np.ndarray) -> np.ndarray:
    """The mean of the corners."""
    return np.stack([cutouts[:, y, x].mean(axis=(1, 2, 3)) for y, x in CORNERS]).mean(axis=0)


def assert_the_source_stays(own: Galaxies, changed: np.ndarray, other: Galaxies) -> None:
    """The source is as far above the other's sky as it was above its own."""
    above = inside(own.cutouts) - own.scenes.level.mean(axis=1)
    np.testing.assert_allclose(inside(changed) - other.scenes.level.mean(axis=1), above, atol=1)


CORNERS = [
    (rows, columns) for rows in (slice(None, 6), slice(-6, None)) for columns in (slice(None, 6), slice(-6, None))
]
SEEDS = st.integers(0, 10_000)
few = settings(max_examples=8)


# -- what is changed and what is not -------------------------------------------------------------


@given(st.integers(2, 300), SEEDS)
def test_a_shuffle_gives_every_galaxy_another_one_and_each_of_them_once(n: int, seed: int) -> None:
    others = shuffled(n, seed)
    assert (others != np.arange(n)).all() and sorted(others) == list(range(n))
    np.testing.assert_array_equal(others, shuffled(n, seed))


@few
@given(SEEDS)
def test_the_sky_alone_has_nothing_of_the_source(seed: int) -> None:
    own = some(seed)
    changed = CONTROLS["without_the_source"](own, own).cutouts
    scenes = own.scenes
    assert not scenes.bare.any() and (inside(own.cutouts) - outside(own.cutouts) > 10).all()
    for image, share, sky in zip(changed, scenes.share, outside(own.cutouts), strict=True):
        assert image[share == 1].mean() == pytest.approx(sky, abs=1)
        assert image[share == 1].std() == pytest.approx(image[share == 0].std(), rel=0.15)
        seam = image[(share > 0.3) & (share < 0.7)]
        assert seam.mean() == pytest.approx(sky, abs=1.5) and seam.std() == pytest.approx(3, rel=0.2)
    here = scenes.share == 0
    np.testing.assert_array_equal(changed[here], own.cutouts[here])


@few
@given(SEEDS)
def test_on_another_sky_the_source_stays_and_the_sky_is_the_others(seed: int) -> None:
    own, other = some(seed), some(seed + 1)
    changed = CONTROLS["on_another_sky"](own, other).cutouts
    np.testing.assert_allclose(outside(changed), outside(other.cutouts), atol=0.5)
    assert_the_source_stays(own, changed, other)


@few
@given(SEEDS)
def test_without_the_sky_only_the_source_has_structure(seed: int) -> None:
    own, other = some(seed), some(seed + 1)
    changed = CONTROLS["without_the_sky"](own, other).cutouts
    for image, share, level in zip(changed, own.scenes.share, other.scenes.level, strict=True):
        np.testing.assert_array_equal(image[share == 0], np.broadcast_to(np.rint(level), image[share == 0].shape))
    assert_the_source_stays(own, changed, other)


@few
@given(SEEDS)
def test_brightness_and_size_are_those_of_the_other_galaxy_and_all_else_stays(seed: int) -> None:
    own, other = some(seed), some(seed + 1)
    measured, wanted = (measure_cutouts(each.cutouts) for each in (own, other))
    brighter = CONTROLS["with_another_brightness"](own, other).cutouts
    light = np.where(own.scenes.share[..., None] > 0.5, brighter - own.scenes.level[:, None, None], 0).mean(
        axis=(1, 2, 3)
    )
    goal = np.where(other.scenes.share[..., None] > 0.5, other.scenes.light, 0).mean(axis=(1, 2, 3))
    unclipped = brighter.max(axis=(1, 2, 3)) < 255
    np.testing.assert_allclose(light[unclipped], goal[unclipped], rtol=0.1)
    larger = CONTROLS["with_another_size"](own, other).cutouts
    radius = measure_cutouts(larger)["half_light_radius"]
    np.testing.assert_allclose(radius, wanted["half_light_radius"], rtol=0.12)
    assert np.abs(radius - measured["half_light_radius"]).max() > 0.002
    for changed in (brighter, larger):
        np.testing.assert_allclose(outside(changed), outside(own.cutouts), atol=0.5)
    np.testing.assert_allclose(measure_cutouts(larger)["peak"], measured["peak"], rtol=0.35)


def test_colour_is_removed_and_grey_cutouts_have_none_to_remove() -> None:
    own = galaxies(drawn([20, 40, 30], [80, 100, 150], [2, 3, 3.5]))
    changed = CONTROLS["without_colour"](own, own).cutouts
    assert changed.shape == own.cutouts.shape and (changed == changed[..., :1]).all()
    np.testing.assert_allclose(changed[..., 0], own.cutouts.mean(axis=-1), atol=0.5)
    grey = galaxies(drawn(20, 100, 2, channels=1))
    assert CONTROLS["without_colour"](grey, grey) is grey


def test_a_galaxy_that_fills_its_cutout_gets_the_sky_of_another() -> None:
    cutouts = drawn([20] * 9, [100] * 8 + [200], [2] * 8 + [30])
    scenes = Scenes.of(cutouts, np.random.default_rng(0))
    assert scenes.bare.tolist() == [False] * 8 + [True]
    np.testing.assert_allclose(scenes.level[8], 20, atol=2)
    assert scenes.sky[8].mean() == pytest.approx(20, abs=1)


@pytest.mark.parametrize("cutouts", [np.full((3, 16, 16, 3), 7, np.uint8), np.zeros((1, 20, 12, 1), np.uint8)])
def test_empty_cutouts_stay_as_they_are(cutouts: np.ndarray) -> None:
    own = galaxies(cutouts)
    for name in (
        "on_another_sky",
        "without_the_source",
        "without_the_sky",
        "with_another_brightness",
        "with_another_size",
    ):
        np.testing.assert_array_equal(CONTROLS[name](own, own).cutouts, cutouts)


def test_real_skies_tell_nothing_of_the_size_of_the_source_that_was_removed(real_data: Any) -> None:
    files = sorted((real_data("gz1") / "images").glob("*.jpg"))[:250]
    cutouts = np.stack([cv2.resize(cv2.imread(str(file)), (64, 64), interpolation=cv2.INTER_AREA) for file in files])
    own = galaxies(cutouts)
    shown = ~own.scenes.bare & (own.scenes.radius > 0)
    assert shown.mean() > 0.8

    def told(images: np.ndarray) -> float:
        middle = images[shown, 20:44, 20:44].mean(axis=(1, 2, 3)) - images[shown, :8].mean(axis=(1, 2, 3))
        return abs(float(spearmanr(middle, own.scenes.radius[shown])[0]))

    assert told(cutouts) > 0.4 and told(CONTROLS["without_the_source"](own, own).cutouts) < 0.2


# -- networks that are found out -----------------------------------------------------------------


def reader(path: Path, where: str, kind: str, inputs: tuple[str, ...] = ()) -> Path:
    """A network whose answer is the mean of the corners' pixels, of the middle's, or its first input."""
    weights = np.zeros((SIZE, SIZE, 3))
    if where == "sky":
        for corner in CORNERS:
            weights[corner] = 1 / (4 * 36 * 3)
    elif where == "centre":
        weights[SIZE // 2 - 4 : SIZE // 2 + 4, SIZE // 2 - 4 : SIZE // 2 + 4] = 1 / (64 * 3)
    pixels = keras.Input((SIZE, SIZE, 3), name="cutout")
    numbers = keras.Input((len(inputs),), name="inputs")
    seen = keras.layers.Dense(1, use_bias=False, name="look")(keras.layers.Flatten()(pixels))
    given_numbers = [keras.layers.Dense(1, use_bias=False, kernel_initializer="ones")(numbers)] if inputs else []
    value = keras.layers.Add()([seen, *given_numbers]) if inputs else seen
    if kind == "redshift":
        outputs: Any = {"redshift": LinearHead(name="redshift")(value)}
    else:
        outputs = keras.layers.Dense(2, activation="softmax", name="label")(value)
    model = keras.Model({"cutout": pixels, "inputs": numbers} if inputs else pixels, outputs)
    model.get_layer("look").set_weights([weights.reshape(-1, 1)])
    if kind == "label":
        model.get_layer("label").set_weights([np.array([[0.0, 1.0]]), np.array([0.0, -60.0])])
    tree, known = (NOTHING, np.zeros((4, 0))) if kind == "redshift" else (TREE, np.eye(2)[[0, 1, 0, 1]])
    quantities = {"redshift": np.linspace(20, 100, 4)} if kind == "redshift" else {}
    config = load_config(
        {
            "paths": {"images_path": "images"},
            "model_name": where,
            "data_preprocessing": {
                "questions": [q.name for q in tree.questions],
                "quantities": list(quantities),
                "inputs": list(inputs),
                "img_size": [SIZE, SIZE],
            },
            "model_params": {"model_type": "base"},
        }
    )
    return save_model(model, path, Recipe(config, tree, NeverLooked.fit(Known(tree, known, quantities)).to_dict()))


def survey(folder: Path, sky: Any, peak: Any) -> Path:
    """Galaxies and their labels: redshifts and classes, and a number that says them, too.

    ``sky`` and ``peak`` are the brightnesses of skies and galaxies, as functions of the redshifts, 20 to 100.
    """
    rng = np.random.default_rng(5)
    truth = rng.uniform(20, 100, 70)
    cutouts = drawn(sky(truth), peak(truth), rng.uniform(2, 3, len(truth)))
    (folder / "images").mkdir()
    for i, cutout in enumerate(cutouts):
        cv2.imwrite(str(folder / "images" / f"{i:03}.png"), cutout[..., ::-1])
    table = {"id": [f"{i:03}" for i in range(len(truth))], "redshift": truth, "pxscale": truth}
    table["label"] = np.where(truth > 60, "far", "near")
    pd.DataFrame(table).to_csv(folder / "labels.csv", index=False)
    return folder


@pytest.fixture(scope="module")
def telling_skies(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The sky is as bright as the label says, and galaxies are as they are."""
    return survey(tmp_path_factory.mktemp("skies"), lambda z: z, lambda z: 100 + 0 * z)


@pytest.fixture(scope="module")
def telling_galaxies(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Galaxies are as bright as the label says, and the sky is the same for all."""
    return survey(tmp_path_factory.mktemp("galaxies"), lambda z: 20 + 0 * z, lambda z: 2 * z)


def scores(folder: Path, output: str, score: str) -> dict[str, dict[str, Any]]:
    return json.loads((folder / "controls.json").read_text())["outputs"][output][score]["controls"]


def run(tmp_path: Path, galaxies: Path, model: Path) -> Path:
    words = [
        "--images",
        str(galaxies / "images"),
        "--labels",
        str(galaxies / "labels.csv"),
        "-o",
        str(tmp_path / "out"),
    ]
    assert main(["controls", str(model), *words]) == 0
    return tmp_path / "out"


def test_a_network_that_reads_the_sky_is_found_out(tmp_path: Path, telling_skies: Path, capsys: Any) -> None:
    out = run(tmp_path, telling_skies, reader(tmp_path / "model.keras", "sky", "redshift"))
    r = {name: figures["value"] for name, figures in scores(out, "redshift", "r").items()}
    for name in (UNCHANGED, "without_the_source", "with_another_size", "with_another_brightness", "without_colour"):
        assert r.pop(name) > 0.99
    assert set(r) == {"on_another_sky", "without_the_sky", "with_other_labels"}
    assert max(map(abs, r.values())) < 0.4
    said = capsys.readouterr().out
    assert "careful: the sky alone, neighbours included, tells the network something (r 1.00" in said
    assert max(map(len, said.split("\nredshift:")[0].splitlines())) <= 80
    picture = cv2.imread(str(out / "controls.png"))
    assert picture.shape[0] > 900 and len(np.unique(picture)) > 100


def test_a_network_that_reads_the_middle_is_told_from_it(tmp_path: Path, telling_galaxies: Path, capsys: Any) -> None:
    out = run(tmp_path, telling_galaxies, reader(tmp_path / "model.keras", "centre", "redshift"))
    r = {name: figures["value"] for name, figures in scores(out, "redshift", "r").items()}
    for name in (UNCHANGED, "on_another_sky", "without_the_sky", "without_colour"):
        assert r.pop(name) > 0.9
    assert r.pop("with_another_size") > 0.6
    assert set(r) == {"without_the_source", "with_another_brightness", "with_other_labels"}
    assert max(map(abs, r.values())) < 0.4
    labels = scores(out, "redshift", "R²")["with_other_labels"]
    assert labels["value"] < 0 and labels["change_interval"][1] < 0
    assert "redshift: R² of 0." in capsys.readouterr().out


def test_the_galaxies_as_they_are_score_what_evaluate_says(tmp_path: Path, telling_galaxies: Path) -> None:
    images, labels = telling_galaxies / "images", telling_galaxies / "labels.csv"
    for kind in ("redshift", "label"):
        model = reader(tmp_path / f"{kind}.keras", "centre", kind)
        expected = galaxycnn.evaluate(model, images, labels)
        controlled = measure_controls(model, images, labels).results["outputs"][kind]
        figures = expected["quantities"]["redshift"] if kind == "redshift" else expected["classes"]
        first, keys = ("R²", "r2") if kind == "redshift" else ("accuracy", "accuracy")
        unchanged = controlled[first]["controls"][UNCHANGED]
        assert unchanged["value"] == pytest.approx(figures[keys], abs=1e-9)
        assert unchanged["interval"] == figures["intervals"][keys]
        assert controlled[first]["floor"] == figures["baseline"][keys]
        assert unchanged["change"] == 0


def test_classes_have_scores_and_labels_of_others_are_chance(tmp_path: Path, telling_skies: Path, capsys: Any) -> None:
    out = run(tmp_path, telling_skies, reader(tmp_path / "model.keras", "sky", "label"))
    accuracy, kappa = scores(out, "label", "accuracy"), scores(out, "label", "κ")
    assert accuracy[UNCHANGED]["value"] > 0.95 and accuracy["without_the_source"]["value"] > 0.95
    assert 0.3 < accuracy["with_other_labels"]["value"] < 0.7 and abs(kappa["with_other_labels"]["value"]) < 0.35
    assert abs(kappa["on_another_sky"]["value"]) < 0.35 and kappa["without_the_source"]["interval"][0] > 0
    assert "careful: the sky alone, neighbours included, tells the network something (κ" in capsys.readouterr().out


def test_each_number_that_the_network_is_given_is_a_control_of_its_own(tmp_path: Path, telling_skies: Path) -> None:
    out = run(tmp_path, telling_skies, reader(tmp_path / "model.keras", "nowhere", "redshift", ("pxscale",)))
    r = {name: figures["value"] for name, figures in scores(out, "redshift", "r").items()}
    assert abs(r.pop("with_another_pxscale")) < 0.4 and abs(r.pop("with_other_labels")) < 0.4
    assert min(r.values()) > 0.99
    assert set(r) == {UNCHANGED, *CONTROLS} - {"with_other_labels"}


def test_the_table_and_the_sentences_hold_without_intervals() -> None:
    unknown = {"value": None, "interval": [None, None], "change": None, "change_interval": [None, None]}
    known = {"value": 0.0912, "interval": [0.09, 0.0931], "change": 0.0, "change_interval": [0.0, 0.0]}
    changed = {"value": 0.16, "interval": [0.15, 0.17], "change": 0.07, "change_interval": [0.06, 0.08]}
    score = {"floor": 0.15, "controls": {UNCHANGED: known, "without_the_source": changed, "on_another_sky": unknown}}
    left = {"floor": 0.0, "controls": dict.fromkeys((UNCHANGED, "without_the_source", "on_another_sky"), unknown)}
    results = {"n": 2, "without_sky": 0.5, "outputs": {"vote fractions": {"RMSE": score, "r": left}}}
    (table,) = control_tables(results, "images")
    assert "without the source 0.1600 [.1500 .1700] *" in render(table)
    sentences = in_words(results)
    assert "RMSE of 0.0912 rises to 0.1600 without the source" in sentences and "too few galaxies" in sentences
    assert "sources fill 50 % of the cutouts" in sentences


def test_one_galaxy_has_no_other(tmp_path: Path, telling_skies: Path) -> None:
    labels = tmp_path / "labels.csv"
    pd.read_csv(telling_skies / "labels.csv", dtype={"id": str}).head(1).to_csv(labels, index=False)
    with pytest.raises(DataError, match="there is one alone"):
        measure_controls(reader(tmp_path / "model.keras", "sky", "redshift"), telling_skies / "images", labels)
