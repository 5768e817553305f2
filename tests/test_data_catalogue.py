"""Layouts and catalogues: what is found, in which order, and what is said about the rest."""

from __future__ import annotations

from collections import Counter
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from galaxy_files import kaggle_folder, kaggle_table, write_image

from galaxycnn.config.schema import Paths
from galaxycnn.data.catalogue import Catalogue, read_catalogue
from galaxycnn.errors import DataError
from galaxycnn.tree import GALAXY_ZOO_2


def read(images: Path, labels: Path | None = None, layout: str = "auto") -> Catalogue:
    return read_catalogue(Paths(images_path=images, labels_path=labels), layout)


def kinds(catalogue: Catalogue) -> dict[str, list[str]]:
    found: dict[str, list[str]] = {}
    for problem in catalogue.problems:
        found.setdefault(problem.kind, []).append(problem.name)
    return found


def table(folder: Path, **columns: list) -> Path:
    path = folder / "labels.csv"
    pd.DataFrame(columns).to_csv(path, index=False)
    return path


# -- Kaggle --------------------------------------------------------------------------------------


def test_kaggle_layout_joins_images_and_fractions(tmp_path):
    images, labels = kaggle_folder(tmp_path, 4)
    catalogue = read(images, labels)
    assert catalogue.tree is not None and catalogue.tree.columns == GALAXY_ZOO_2.columns
    assert catalogue.ids.tolist() == ["100", "101", "102", "103"]
    assert [path.name for path in catalogue.pictures] == ["100.jpg", "101.jpg", "102.jpg", "103.jpg"]
    assert catalogue.fractions.dtype == np.float32
    np.testing.assert_allclose(catalogue.fractions, pd.read_csv(labels).to_numpy()[:, 1:], atol=1e-6)
    assert catalogue.problems == []


def test_columns_may_come_in_any_order_with_others_between(tmp_path):
    images, labels = kaggle_folder(tmp_path, 3)
    expected = read(images, labels).fractions
    shuffled = pd.read_csv(labels).sample(frac=1, axis=1, random_state=1)
    shuffled.insert(2, "ra", 12.5)
    shuffled.to_csv(labels, index=False)
    np.testing.assert_array_equal(read(images, labels).fractions, expected)


def test_whole_questions_are_enough(tmp_path):
    images, labels = kaggle_folder(tmp_path, 3)
    kaggle_table(3).drop(columns=["Class11.1", *GALAXY_ZOO_2.columns[-5:]]).to_csv(labels, index=False)
    assert [q.name for q in read(images, labels).tree.questions] == [f"Class{i}" for i in range(1, 11)]


def test_a_missing_column_is_named_with_the_one_that_was_meant(tmp_path):
    images, labels = kaggle_folder(tmp_path, 3)
    kaggle_table(3).rename(columns={"Class5.3": "Clas5.3"}).to_csv(labels, index=False)
    with pytest.raises(DataError, match=r"no column 'Class5.3'; did you mean 'Clas5.3'"):
        read(images, labels)


def test_bad_rows_are_left_out_and_named(tmp_path):
    images, labels = kaggle_folder(tmp_path, 9)
    rows = kaggle_table(9).astype(object)
    rows.loc[1, "Class1.1"] = np.nan
    rows.loc[2, "Class3.2"] = "many"
    rows.loc[3, "Class6.1"] = 1.5
    rows.loc[4, "Class6.1"] = -0.1
    rows.loc[5, ["Class6.1", "Class6.2"]] = [0.9, 0.5]
    rows.loc[6, list(GALAXY_ZOO_2.columns)] = ""
    rows.loc[len(rows)] = rows.loc[0].replace("100", "999")
    rows.to_csv(labels, index=False)
    write_image(images / "777.jpg", 777)
    catalogue = read(images, labels)
    assert catalogue.ids.tolist() == ["100", "107", "108"]
    assert kinds(catalogue) == {
        "invalid": ["101", "102", "103", "104", "105"],
        "unlabelled": ["106", "777.jpg"],
        "missing": ["999"],
    }
    reasons = {problem.name: problem.reason for problem in catalogue.problems}
    assert "Class3.2" in reasons["102"]
    assert reasons["105"] == "its answers to Class6 do not sum to 1"


def test_rounding_to_two_decimals_is_no_fault(tmp_path):
    images, labels = kaggle_folder(tmp_path, 30)
    kaggle_table(30).round(2).to_csv(labels, index=False)
    assert len(read(images, labels)) == 30


def test_ids_that_come_twice(tmp_path):
    images, labels = kaggle_folder(tmp_path, 4)
    rows = kaggle_table(4)
    other = rows.iloc[[1]].assign(
        **{"Class6.1": 0.25, "Class6.2": 0.75, **dict.fromkeys(GALAXY_ZOO_2.columns[18:25], 0)}
    )
    other["Class8.1"] = 0.25
    pd.concat([rows, rows.iloc[[0]], other]).to_csv(labels, index=False)
    catalogue = read(images, labels)
    assert catalogue.ids.tolist() == ["100", "102", "103"]
    assert kinds(catalogue) == {"duplicate": ["100"], "conflicting": ["101"]}


# -- a folder per class --------------------------------------------------------------------------


def test_a_folder_per_class(tmp_path):
    for name in ("spiral/1.jpg", "spiral/2.PNG", "elliptical/1.jpg", "elliptical/._1.jpg", "loose.jpg"):
        write_image(tmp_path / name.replace("._1", "hidden"), 1)
    (tmp_path / "elliptical/hidden.jpg").rename(tmp_path / "elliptical/._1.jpg")
    (tmp_path / "spiral/notes.txt").write_text("no image")
    catalogue = read(tmp_path)
    assert catalogue.ids.tolist() == ["elliptical/1", "spiral/1", "spiral/2"]
    assert catalogue.tree.columns == ("label.elliptical", "label.spiral")
    assert catalogue.fractions.tolist() == [[1, 0], [0, 1], [0, 1]]
    assert kinds(catalogue) == {"unlabelled": ["loose.jpg"]}


def test_images_in_one_heap_need_labels(tmp_path):
    write_image(tmp_path / "1.jpg", 1)
    with pytest.raises(DataError, match=r"images in 0 folders: give the label file as paths.labels_path"):
        read(tmp_path)


# -- tables --------------------------------------------------------------------------------------


def test_text_labels_and_names_with_and_without_ending(tmp_path):
    for name in ("a.jpg", "b.jpeg", "sub/c.png", "d.tif"):
        write_image(tmp_path / "images" / name, ord(name[-5]))
    labels = table(
        tmp_path,
        ra=[1.5, 2.5, 3.5, 4.5],
        File_Name=["a.jpg", "b", "elsewhere/sub/c.png", "d"],
        morphology=["spiral", "None", "spiral", "ring"],
    )
    catalogue = read(tmp_path / "images", labels)
    assert [path.name for path in catalogue.pictures] == ["a.jpg", "b.jpeg", "c.png", "d.tif"]
    assert catalogue.tree.columns == ("morphology.None", "morphology.ring", "morphology.spiral")
    assert catalogue.fractions.tolist() == [[0, 0, 1], [1, 0, 0], [0, 0, 1], [0, 1, 0]]


def test_whole_numbers_are_classes_in_numeric_order_even_with_gaps(tmp_path):
    for i in range(4):
        write_image(tmp_path / "images" / f"{i}.png", i)
    labels = table(tmp_path, id=[0, 1, 2, 3], galaxyClass=[10, 9, np.nan, 2])
    assert "10.0" in labels.read_text()
    catalogue = read(tmp_path / "images", labels)
    assert catalogue.tree.columns == ("galaxyClass.2", "galaxyClass.9", "galaxyClass.10")
    assert kinds(catalogue) == {"unlabelled": ["2"]}


def test_long_ids_keep_every_digit(tmp_path):
    name = "588848901537202306"
    for i in (0, 1):
        write_image(tmp_path / "images" / f"{int(name) + i}.jpg", i)
    labels = table(tmp_path, objid=[int(name), int(name) + 1], label=["a", "b"])
    assert read(tmp_path / "images", labels).ids.tolist() == [name, str(int(name) + 1)]


def test_two_label_columns_are_two_questions_and_a_gap_in_one_is_kept(tmp_path):
    for i in range(3):
        write_image(tmp_path / "images" / f"{i}.jpg", i)
    labels = table(tmp_path, id=[0, 1, 2], type=["S", "E", "S"], bar_class=["yes", "", "no"])
    catalogue = read(tmp_path / "images", labels)
    assert [q.name for q in catalogue.tree.questions] == ["type", "bar_class"]
    assert np.isnan(catalogue.fractions).tolist() == [[False] * 4, [False, False, True, True], [False] * 4]


def test_columns_of_vote_fractions(tmp_path):
    for i in range(4):
        write_image(tmp_path / "images" / f"{i}.jpg", i)
    labels = table(
        tmp_path,
        image=[0, 1, 2, 3],
        **{
            "shape.smooth": [0.7, 0.2, 1.2, ""],
            "shape.disk": [0.3, 0.8, 0.1, ""],
            "z.err": [0.1] * 4,
            "type": list("abab"),
        },
    )
    catalogue = read(tmp_path / "images", labels)
    assert catalogue.tree.columns == ("shape.smooth", "shape.disk")
    np.testing.assert_allclose(catalogue.fractions, [[0.7, 0.3], [0.2, 0.8]])
    assert kinds(catalogue) == {"invalid": ["2"], "unlabelled": ["3"]}


@pytest.mark.parametrize(
    "columns",
    [
        {"ra": [1.5, 2.5], "dec": [0.1, 0.2]},
        {"class_probability": [0.123, 0.456]},
        {"notes": ["x", "y"]},
        {"type": ["S", "S"]},
    ],
)
def test_other_columns_are_never_taken_for_labels(tmp_path, columns):
    write_image(tmp_path / "images" / "1.jpg", 1)
    with pytest.raises(DataError, match=rf"no label column: name one of its columns \({', '.join(columns)}\) 'label'"):
        read(tmp_path / "images", table(tmp_path, id=[1, 2], **columns))


def test_a_table_without_names_of_images(tmp_path):
    write_image(tmp_path / "images" / "1.jpg", 1)
    with pytest.raises(DataError, match=r"says which image a row is about: name one of its columns \(ra, label\)"):
        read(tmp_path / "images", table(tmp_path, ra=[1, 2], label=["a", "b"]))


# -- nothing there -------------------------------------------------------------------------------


def test_missing_files_are_one_clear_sentence(tmp_path):
    images, labels = kaggle_folder(tmp_path, 2)
    with pytest.raises(DataError, match=r"no folder of images at .*nowhere"):
        read(tmp_path / "nowhere", labels)
    with pytest.raises(DataError, match=r"no label file at .*nothing.csv"):
        read(images, tmp_path / "nothing.csv")
    with pytest.raises(DataError, match="no label file at"):
        read(images, images)
    (tmp_path / "empty").mkdir()
    with pytest.raises(DataError, match=r"there are no images \(.jpg .* in .*empty"):
        read(tmp_path / "empty", labels)


@pytest.mark.parametrize("layout", ["kaggle", "table"])
def test_layouts_that_need_a_label_file_say_so(tmp_path, layout):
    images, _ = kaggle_folder(tmp_path, 1)
    with pytest.raises(DataError, match=r"give paths\.labels_path"):
        read(images, None, layout)


@pytest.mark.parametrize("content", [b"", b"\xff\xfe\x00\x01binary", b'GalaxyID,Class1.1\n"unfinished'])
def test_label_files_that_are_no_tables(tmp_path, content):
    images, labels = kaggle_folder(tmp_path, 1)
    labels.write_bytes(content)
    with pytest.raises(DataError, match=r"training_solutions_rev1\.csv"):
        read(images, labels)


def test_labels_of_other_galaxies(tmp_path):
    images, labels = kaggle_folder(tmp_path, 2)
    kaggle_table(2).assign(GalaxyID=["1", "2"]).to_csv(labels, index=False)
    with pytest.raises(
        DataError, match=r"no galaxy in .* \(2 missing, 2 unlabelled; the first is 1: there is no image"
    ):
        read(images, labels)


# -- real galaxies -------------------------------------------------------------------------------


def test_real_kaggle(real_data):
    folder = real_data("kaggle")
    catalogue = read(folder / "images_training_rev1", folder / "training_solutions_rev1.csv")
    assert len(catalogue) == 3580 and catalogue.problems == []
    assert np.nanmax(np.abs(catalogue.tree.deviations(catalogue.fractions))) < 1e-5


def test_real_galaxy_zoo_1(real_data):
    folder = real_data("gz1")
    catalogue = read(folder / "images", folder / "labels.csv")
    chosen = Counter(np.array(catalogue.tree.columns)[catalogue.fractions.argmax(axis=1)].tolist())
    assert chosen["label.elliptical"] == 3727 and chosen["label.merger"] == 86 and len(catalogue) == 5314


def test_real_gaps_are_unlabelled(real_data):
    folder = real_data("kaggle_extra")
    catalogue = read(folder / "images", folder / "labels.csv")
    assert len(catalogue) == 1424
    assert Counter(problem.kind for problem in catalogue.problems) == {"unlabelled": 2947 - 1424}
    assert [q.name for q in catalogue.tree.questions] == ["clean_class"]
