"""Submissions: the challenge's header, order and rows, from models and ensembles, and never a wrong file."""

from __future__ import annotations

import shutil
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from finished_runs import configured, finished, galaxies

import galaxycnn.submission
from galaxycnn.cli import main
from galaxycnn.config.schema import DataPreprocessing
from galaxycnn.data.cache import read_cutout
from galaxycnn.ensembles import save_ensemble
from galaxycnn.errors import DataError, UserError
from galaxycnn.models.saving import load_model
from galaxycnn.simulate import simulate_survey
from galaxycnn.submission import check_submission, submit
from galaxycnn.tree import GALAXY_ZOO_2

HEADER = (
    "GalaxyID,Class1.1,Class1.2,Class1.3,Class2.1,Class2.2,Class3.1,Class3.2,Class4.1,Class4.2,Class5.1,Class5.2,"
    "Class5.3,Class5.4,Class6.1,Class6.2,Class7.1,Class7.2,Class7.3,Class8.1,Class8.2,Class8.3,Class8.4,Class8.5,"
    "Class8.6,Class8.7,Class9.1,Class9.2,Class9.3,Class10.1,Class10.2,Class10.3,Class11.1,Class11.2,Class11.3,"
    "Class11.4,Class11.5,Class11.6"
)
"""As Kaggle's ``all_zeros_benchmark.csv`` has it."""


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = galaxies(tmp_path_factory.mktemp("submission"), 30)
    finished(configured(folder, "a"), seed=1)
    finished(configured(folder, "b", data_preprocessing={"img_size": [20, 20], "crop": True, "crop_size": 30}), seed=2)
    save_ensemble(
        folder / "models" / "both.ensemble.yaml", {folder / "models" / f"{x}.keras": 0.5 for x in "ab"}, views=1
    )
    return folder


@pytest.fixture(scope="module")
def survey(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Images of simulated galaxies; ids of different lengths, so that text and numbers sort differently."""
    survey = simulate_survey(tmp_path_factory.mktemp("survey") / "s", galaxies=20, seed=3, image_size=40)
    images = survey / "images_training_rev1"
    for number, image in enumerate(sorted(images.iterdir())):
        image.rename(image.with_stem(f"{7 + 13 * number**2}"))
    return images


def sample(path: Path, ids: list[str], header: str = HEADER) -> Path:
    path.write_text("\n".join([header, *(name + ",0" * 37 for name in ids)]) + "\n")
    return path


def numbers(images: Path) -> list[int]:
    return sorted(int(path.stem) for path in images.iterdir())


def test_every_image_has_a_row_under_the_challenges_header(folder: Path, survey: Path, tmp_path: Path) -> None:
    done = submit(folder / "models" / "a.keras", survey, tmp_path / "out" / "submission.csv")
    assert done.path.read_text().splitlines()[0] == HEADER
    table = pd.read_csv(done.path)
    assert table["GalaxyID"].tolist() == numbers(survey)
    model = load_model(folder / "models" / "a.keras")
    cutouts = [read_cutout(survey / f"{i}.jpg", DataPreprocessing(img_size=[16, 16])) for i in numbers(survey)]
    expected = model.predict(np.stack(cutouts), verbose=0)
    np.testing.assert_allclose(table.iloc[:, 1:], expected, atol=1e-6)
    assert np.ptp(expected, axis=0).max() > 0.01
    assert np.abs(GALAXY_ZOO_2.deviations(table.iloc[:, 1:].to_numpy())).max() < 1e-5
    assert str(done).endswith("submission.csv: 20 galaxies; the challenge's test set has 79,975")


def test_batches_do_not_show_in_the_file(
    folder: Path, survey: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    whole = submit(folder / "models" / "a.keras", survey, tmp_path / "whole.csv", views=2)
    monkeypatch.setattr(galaxycnn.views, "BATCH", 7)
    pieces = submit(folder / "models" / "a.keras", survey, tmp_path / "pieces.csv", views=2)
    np.testing.assert_allclose(pd.read_csv(whole.path), pd.read_csv(pieces.path), atol=1e-6)


def test_ensembles_with_different_cutouts_are_averaged(folder: Path, survey: Path, tmp_path: Path) -> None:
    models = folder / "models"
    one, other, both = (
        pd.read_csv(submit(models / name, survey, tmp_path / f"{name}.csv", views=4).path)
        for name in ("a.keras", "b.keras", "both.ensemble.yaml")
    )
    np.testing.assert_allclose(both, (one + other) / 2, atol=1e-6)
    assert np.abs(GALAXY_ZOO_2.deviations(both.iloc[:, 1:].to_numpy())).max() < 1e-5


def test_a_sample_decides_the_order(folder: Path, survey: Path, tmp_path: Path) -> None:
    ids = [str(number) for number in numbers(survey)][::-1]
    done = submit(folder / "models" / "a.keras", survey, tmp_path / "s.csv", sample=sample(tmp_path / "zeros.csv", ids))
    assert pd.read_csv(done.path, dtype=str)["GalaxyID"].tolist() == ids


def test_a_sample_of_other_galaxies_is_refused(folder: Path, survey: Path, tmp_path: Path) -> None:
    ids = [str(number) for number in numbers(survey)]
    for others, header, message in (
        ([*ids, "5"], HEADER, r"has no image of 1 galaxy \(5\)"),
        (ids[1:], HEADER, rf"has no row for 1 image \({ids[0]}\)"),
        (ids[7:], HEADER, r"has no row for 7 images \(.*, …\)"),
        ([*ids, ids[0]], HEADER, f"has galaxy {ids[0]} twice"),
        (ids, HEADER.replace("Class1.1", "Class1_1"), "its header is not that of the challenge"),
    ):
        file = sample(tmp_path / "zeros.csv", others, header)
        with pytest.raises(DataError, match=message):
            submit(folder / "models" / "a.keras", survey, tmp_path / "s.csv", sample=file)
    with pytest.raises(DataError, match="no sample submission"):
        submit(folder / "models" / "a.keras", survey, tmp_path / "s.csv", sample=tmp_path / "none.csv")
    assert not (tmp_path / "s.csv").exists()


def test_images_that_cannot_be_used_are_all_named_before_any_is_predicted(
    folder: Path, survey: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    images = tmp_path / "images"
    shutil.copytree(survey, images)
    whole = (images / "20.jpg").read_bytes()
    (images / "20.jpg").write_bytes(whole[: len(whole) // 2])
    (images / "99.jpg").write_text("no image")
    output = tmp_path / "submission.csv"
    output.write_text("an older file")
    monkeypatch.setattr(galaxycnn.ensembles, "predict_views", None)
    with pytest.raises(DataError, match=r"2 images \(20\.jpg, 99\.jpg\) cannot be used"):
        submit(folder / "models" / "both.ensemble.yaml", images, output)
    assert output.read_text() == "an older file"


def test_two_images_of_one_galaxy_are_refused(folder: Path, survey: Path, tmp_path: Path) -> None:
    images = tmp_path / "images"
    shutil.copytree(survey, images)
    shutil.copy(images / "20.jpg", images / "20.jpeg")
    with pytest.raises(DataError, match="two images of galaxy 20"):
        submit(folder / "models" / "a.keras", images, tmp_path / "s.csv")
    with pytest.raises(DataError, match="no folder of images"):
        submit(folder / "models" / "a.keras", tmp_path / "nowhere", tmp_path / "s.csv")


def test_a_model_of_other_questions_is_refused(folder: Path, survey: Path, tmp_path: Path) -> None:
    shape = finished(configured(folder, "shape", data_preprocessing={"task": 1, "img_size": [16, 16]}))
    with pytest.raises(UserError, match="answers Class1; a submission has the answers to Class1 … Class11"):
        submit(shape, survey, tmp_path / "s.csv")


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (lambda table: table.iloc[:-1], "has 2 rows that are not those of the 3 galaxies"),
        (lambda table: table.iloc[::-1], "in their order"),
        (lambda table: table.assign(**{"Class7.2": [0.1, np.nan, 0.1]}), r"Class7\.2 of galaxy 2 is nan"),
        (lambda table: table.assign(**{"Class7.2": [0.1, 0.1, 1.5]}), r"Class7\.2 of galaxy 3 is 1\.5"),
        (lambda table: table.rename(columns={"GalaxyID": "id"}).assign(GalaxyID=0), "header"),
        (lambda table: table[[*table.columns[:-2], "Class11.6", "Class11.5"]], "header"),
    ],
)
def test_what_is_wrong_with_a_submission_is_said(tmp_path: Path, change, message: str) -> None:
    ids = ["1", "2", "3"]
    table = pd.DataFrame(0.5, index=range(3), columns=HEADER.split(",")).assign(GalaxyID=ids)
    table.to_csv(tmp_path / "right.csv", index=False)
    check_submission(tmp_path / "right.csv", ids)
    change(table).to_csv(tmp_path / "wrong.csv", index=False)
    with pytest.raises(DataError, match=message):
        check_submission(tmp_path / "wrong.csv", ids)


def test_the_command_on_real_galaxies(real_data, folder: Path, tmp_path: Path, capsys: pytest.CaptureFixture) -> None:
    images = tmp_path / "images_test_rev1"
    images.mkdir()
    for image in sorted((real_data("kaggle") / "images_training_rev1").iterdir())[:50]:
        shutil.copy(image, images)
    output = tmp_path / "submission.csv"
    model = folder / "models" / "both.ensemble.yaml"
    assert main(["submit", str(model), str(images), "-o", str(output), "--views", "3"]) == 0
    shown = capsys.readouterr().out
    assert "50 galaxies, each from 3 views; the challenge's test set has 79,975" in " ".join(shown.split())
    check_submission(output, [str(number) for number in numbers(images)])
