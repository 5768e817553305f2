"""The embedded survey, through its public doors: what it draws, how it votes and what it writes."""

from __future__ import annotations

import csv
import os
import subprocess
import sys
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from PIL import Image

from galaxycnn.errors import UserError
from galaxycnn.simulate import Galaxy, Survey, draw_galaxy, render, simulate_survey, survey_matches, vote
from galaxycnn.simulate.contact_sheet import contact_sheet
from galaxycnn.tree import GALAXY_ZOO_2

SEEDS = st.integers(0, 2**32 - 1)
LABELS, TRUTH, IMAGES = "training_solutions_rev1.csv", "truth.csv", "images_training_rev1"


def face_on_spiral(**changes: object) -> Galaxy:
    """A large, bright, undisturbed two-armed spiral, seen from above."""
    rng = np.random.default_rng(0)
    galaxy = next(g for g in iter(lambda: draw_galaxy(rng), None) if g.kind == "disk")
    plain = {"disturbance": 0.0, "companion": 0.0, "arc": 0.0, "ring": 0.0, "bar_length": 0.0, "dust_lane": 0.0}
    spiral = {"arms": 2, "arm_strength": 1.0, "flocculence": 0.0, "pitch_angle": 20.0, "handedness": 1}
    seen = {"redshift": 0.03, "radius_kpc": 5.0, "inclination": 0.0, "position_angle": 0.0, "bar_angle": 0.0}
    light = {"surface_brightness": 20.0, "bulge_fraction": 0.2, "star_formation": 0.7, "defect": "none"}
    return replace(galaxy, **(plain | spiral | seen | light | changes))  # type: ignore[arg-type]


def mean_image(galaxy: Galaxy, field: float | None = None, views: int = 8) -> np.ndarray:
    """The mean of several cutouts of one galaxy, so that noise and neighbours fade."""
    return np.mean([render(galaxy, 64, np.random.default_rng(n), field).astype(float) for n in range(views)], axis=0)


def fractions_of(galaxy: Galaxy, question: str, volunteers: int = 2000) -> dict[str, float]:
    """Among those who are asked, the share of each answer."""
    fractions = vote(galaxy, volunteers, np.random.default_rng(1))
    tree = GALAXY_ZOO_2
    shares = tree.conditional(fractions[None])[0, tree.slice(question)]
    return dict(zip((answer.name for answer in tree.question(question).answers), shares, strict=True))


def read_table(path: Path) -> tuple[list[str], list[list[str]]]:
    with path.open() as file:
        header, *rows = csv.reader(file)
    return header, rows


@settings(deadline=None)
@given(seed=SEEDS, volunteers=st.integers(1, 60))
def test_all_sums_of_the_tree_hold(seed: int, volunteers: int) -> None:
    rng = np.random.default_rng(seed)
    fractions = vote(draw_galaxy(rng), volunteers, rng)
    assert fractions.shape == (37,)
    assert (fractions >= 0).all() and (fractions <= 1 + 1e-12).all()
    assert np.abs(GALAXY_ZOO_2.deviations(fractions[None])).max() < 1e-12


@settings(deadline=None)
@given(seed=SEEDS)
def test_votes_are_counts_of_whole_volunteers(seed: int) -> None:
    rng = np.random.default_rng(seed)
    shape = vote(draw_galaxy(rng), 40, rng)[GALAXY_ZOO_2.slice("shape")] * 40
    np.testing.assert_allclose(shape, shape.round(), atol=1e-9)


def test_a_galaxy_that_all_take_for_a_star_is_not_odd() -> None:
    star = replace(face_on_spiral(), kind="star")
    alone = [vote(star, 1, np.random.default_rng(n)) for n in range(20)]
    stars = [fractions for fractions in alone if fractions[GALAXY_ZOO_2.indices(["Class1.3"])[0]] == 1]
    assert stars
    for fractions in stars:
        assert set(np.flatnonzero(fractions)) == set(GALAXY_ZOO_2.indices(["Class1.3", "Class6.2"]))


def test_volunteers_see_what_is_there() -> None:
    spiral = face_on_spiral()
    assert fractions_of(spiral, "spiral")["spiral"] > 0.8
    assert fractions_of(spiral, "arm_count")["2 arms"] > 0.7
    assert fractions_of(replace(spiral, arms=3), "arm_count")["3 arms"] > 0.6
    assert fractions_of(replace(spiral, arms=0, arm_strength=0.0), "spiral")["spiral"] < 0.4
    assert fractions_of(replace(spiral, bar_length=0.8), "bar")["bar"] > 0.6 > 0.3 > fractions_of(spiral, "bar")["bar"]
    assert fractions_of(replace(spiral, inclination=88.0), "edge_on")["edge-on"] > 0.85
    assert fractions_of(replace(spiral, pitch_angle=8.0), "arm_winding")["tight arms"] > 0.6
    assert fractions_of(replace(spiral, companion=0.8), "odd_feature")["merger"] > 0.5


def test_a_spiral_too_small_for_the_seeing_looks_smooth() -> None:
    near, far = face_on_spiral(), face_on_spiral(redshift=0.24, radius_kpc=2.0)
    assert fractions_of(near, "shape")["features or disk"] > 0.7
    assert fractions_of(far, "shape")["smooth"] > 0.6


@settings(deadline=None)
@given(seed=SEEDS, size=st.sampled_from([16, 33, 64]))
def test_a_cutout_has_the_shape_asked_for_and_repeats(seed: int, size: int) -> None:
    galaxy = draw_galaxy(np.random.default_rng(seed))
    first, second = (render(galaxy, size, np.random.default_rng(seed)) for _ in range(2))
    assert first.shape == (size, size, 3) and first.dtype == np.uint8
    np.testing.assert_array_equal(first, second)


def test_handedness_mirrors_the_arms() -> None:
    left, right = (mean_image(face_on_spiral(handedness=sense)).mean(axis=2) for sense in (1, -1))
    smooth = mean_image(face_on_spiral(arms=0, arm_strength=0.0)).mean(axis=2)
    left, right = left - smooth, right - smooth

    def likeness(a: np.ndarray, b: np.ndarray) -> float:
        return float(np.corrcoef(a[12:52, 12:52].ravel(), b[12:52, 12:52].ravel())[0, 1])

    assert likeness(left, right[:, ::-1]) > likeness(left, right) + 0.2


def test_redshift_shrinks_reddens_and_dims() -> None:
    near, far = (mean_image(face_on_spiral(redshift=z), field=40) for z in (0.03, 0.15))
    assert (far.mean(axis=2) > 40).sum() < 0.5 * (near.mean(axis=2) > 40).sum()
    assert far.max() < near.max()
    centre = np.s_[28:36, 28:36]
    assert (
        far[centre][..., 0].sum() / far[centre][..., 2].sum() > near[centre][..., 0].sum() / near[centre][..., 2].sum()
    )


def test_redshift_shows_across_the_survey() -> None:
    rng = np.random.default_rng(5)
    galaxies = [draw_galaxy(rng) for _ in range(2000)]
    redshift = np.array([galaxy.redshift for galaxy in galaxies])
    assert redshift.min() >= 0.01 and redshift.max() <= 0.25
    assert np.corrcoef(np.log(redshift), np.log([galaxy.radius for galaxy in galaxies]))[0, 1] < -0.6


def test_a_survey_is_written_in_the_layout_of_kaggle(tmp_path: Path) -> None:
    folder = simulate_survey(tmp_path / "survey", galaxies=12, seed=3, image_size=32, volunteers=10)
    header, rows = read_table(folder / LABELS)
    assert header == ["GalaxyID", *GALAXY_ZOO_2.columns]
    fractions = np.array([row[1:] for row in rows], dtype=float)
    assert np.abs(GALAXY_ZOO_2.deviations(fractions)).max() < 1e-6
    assert {path.name for path in (folder / IMAGES).iterdir()} == {f"{row[0]}.jpg" for row in rows}
    for row in rows:
        with Image.open(folder / IMAGES / f"{row[0]}.jpg") as image:
            assert image.size == (32, 32) and image.format == "JPEG" and image.mode == "RGB"
    names, truths = read_table(folder / TRUTH)
    assert names[:3] == ["GalaxyID", "kind", "redshift"]
    assert [row[0] for row in truths] == [row[0] for row in rows]


def test_a_survey_does_not_depend_on_processes_or_on_what_follows(tmp_path: Path) -> None:
    large = simulate_survey(tmp_path / "large", galaxies=150, image_size=16, volunteers=5, processes=2)
    small = simulate_survey(tmp_path / "small", galaxies=20, image_size=16, volunteers=5, processes=1)
    for name in (LABELS, TRUTH):
        assert read_table(large / name)[1][:20] == read_table(small / name)[1]
    for path in (small / IMAGES).iterdir():
        assert path.read_bytes() == (large / IMAGES / path.name).read_bytes()


def test_labels_do_not_depend_on_the_image_size_nor_images_on_the_volunteers() -> None:
    first, larger, crowded = (Survey(1).draw(0), Survey(1, image_size=32).draw(0), Survey(1, volunteers=90).draw(0))
    np.testing.assert_array_equal(first.fractions, larger.fractions)
    np.testing.assert_array_equal(first.image, crowded.image)


def test_another_seed_draws_other_galaxies() -> None:
    assert Survey(1, seed=1).draw(0).galaxy != Survey(1, seed=2).draw(0).galaxy


def test_a_script_without_main_guard_can_draw_in_parallel(tmp_path: Path) -> None:
    script = tmp_path / "script.py"
    call = f"simulate_survey({str(tmp_path / 'survey')!r}, galaxies=140, image_size=16, volunteers=2, processes=2)"
    light = "import sys; assert not {'keras', 'tensorflow'} & set(sys.modules)"
    script.write_text(f"from galaxycnn.simulate import simulate_survey\n{light}\n{call}\n")
    checkout = os.environ | {"PYTHONPATH": str(Path(__file__).parents[1])}
    subprocess.run([sys.executable, script], check=True, capture_output=True, env=checkout, timeout=120)
    assert survey_matches(tmp_path / "survey", galaxies=140, image_size=16, volunteers=2)


def test_workers_follow_the_working_directory(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("one", "other"):
        (tmp_path / name).mkdir()
        monkeypatch.chdir(tmp_path / name)
        simulate_survey(Path("survey"), galaxies=130, image_size=16, processes=2)
        assert len(list((tmp_path / name / "survey" / "images_training_rev1").iterdir())) == 130


def test_a_survey_is_not_drawn_over_another(tmp_path: Path) -> None:
    folder = simulate_survey(tmp_path / "survey", galaxies=2, image_size=16)
    assert survey_matches(folder, galaxies=2, image_size=16)
    assert not survey_matches(folder, galaxies=3, image_size=16)
    assert not survey_matches(tmp_path, galaxies=2, image_size=16)
    before = (folder / LABELS).read_bytes()
    with pytest.raises(UserError, match="already holds a simulated survey"):
        simulate_survey(folder, galaxies=3, image_size=16)
    assert (folder / LABELS).read_bytes() == before


def test_other_files_are_not_touched(tmp_path: Path) -> None:
    (tmp_path / "thesis.tex").write_text("precious")
    with pytest.raises(UserError, match="not empty"):
        simulate_survey(tmp_path, galaxies=2)
    assert [path.name for path in tmp_path.iterdir()] == ["thesis.tex"]


def test_a_failure_leaves_nothing_behind(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def fail(*_: object, **__: object) -> None:
        raise OSError("disk full")

    monkeypatch.setattr(Image.Image, "save", fail)
    with pytest.raises(OSError, match="disk full"):
        simulate_survey(tmp_path / "survey", galaxies=2, image_size=16)
    assert not any(tmp_path.iterdir())


@pytest.mark.parametrize("wrong", [{"galaxies": 0}, {"seed": -1}, {"image_size": 8}, {"volunteers": 0}])
def test_impossible_numbers_are_refused(tmp_path: Path, wrong: dict[str, int]) -> None:
    with pytest.raises(UserError, match=next(iter(wrong))):
        simulate_survey(tmp_path / "survey", **{"galaxies": 2} | wrong)


def test_a_contact_sheet_holds_its_cutouts_in_reading_order(tmp_path: Path) -> None:
    cutouts = [np.full((4, 4, 3), level, dtype=np.uint8) for level in (50, 100, 150)]
    sheet = np.asarray(Image.open(contact_sheet(cutouts, 2, tmp_path / "sheet.png")))
    assert sheet[[0, 0, 7, 7], [0, 7, 0, 7], 0].tolist() == [50, 100, 150, 0]


def test_vote_means_are_near_those_of_the_real_survey(real_data) -> None:
    _, rows = read_table(real_data("kaggle") / LABELS)
    real = np.array([row[1:] for row in rows], dtype=float)
    survey = Survey(600)
    generators = [np.random.default_rng([survey.seed, number]) for number in range(survey.galaxies)]
    simulated = np.array([vote(draw_galaxy(rng), 40, rng) for rng in generators])
    assert np.abs(simulated.mean(axis=0) - real.mean(axis=0)).max() < 0.06
