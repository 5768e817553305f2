"""New classes out of old ones: every binary and two-class choice of Galaxy10 and of tables."""

from __future__ import annotations

from itertools import pairwise
from pathlib import Path

import numpy as np
import pytest
from galaxy10_files import galaxy10_file
from galaxy_files import votes
from hypothesis import given
from hypothesis import strategies as st

from galaxycnn.config import load_config
from galaxycnn.config.schema import DataPreprocessing, Paths
from galaxycnn.data.catalogue import Catalogue, read_catalogue
from galaxycnn.data.classes import regroup
from galaxycnn.data.targets import Targets, make_targets
from galaxycnn.errors import ConfigError, UserError
from galaxycnn.tree import GALAXY_ZOO_2, DecisionTree


def regrouped(catalogue: Catalogue, classes: dict[str, object], **settings: object) -> Targets:
    return make_targets(catalogue, DataPreprocessing(classes=classes, **settings))  # type: ignore[arg-type]


def counts(targets: Targets) -> dict[str, int]:
    chosen = targets.fractions.argmax(axis=1)
    names = [answer.name for answer in targets.tree.questions[0].answers]
    return {name: int((chosen == i).sum()) for i, name in enumerate(names)}


@st.composite
def groupings(draw: st.DrawFn) -> tuple[int, dict[str, list[str]]]:
    """A number of old classes, and some of them shared out among at least two new ones."""
    count = draw(st.integers(2, 8))
    order = draw(st.permutations(range(count)))
    cuts = draw(st.sets(st.integers(1, count), min_size=2, max_size=4))
    edges = [0, *sorted(cuts)]
    groups = [order[a:b] for a, b in pairwise(edges)]
    return count, {f"new{i}": [f"old{k}" for k in group] for i, group in enumerate(groups)}


@given(groupings(), st.integers(0, 2**32 - 1))
def test_fractions_are_added_and_still_sum_to_one(grouping, seed):
    count, classes = grouping
    tree = DecisionTree.from_classes({"class": [f"old{k}" for k in range(count)]})
    fractions = votes(30, seed, tree).astype(np.float32)
    new, shares, chosen = regroup(tree, fractions, classes)
    assert [answer.name for answer in new.questions[0].answers] == list(classes)
    columns = [[int(name[3:]) for name in names] for names in classes.values()]
    used = sorted(column for group in columns for column in group)
    np.testing.assert_allclose(shares.sum(axis=1), 1, atol=1e-5)
    np.testing.assert_array_equal(chosen, np.isin(fractions.argmax(axis=1), used))
    for i, group in enumerate(columns):
        np.testing.assert_allclose(
            shares[:, i] * fractions[:, used].sum(axis=1), fractions[:, group].sum(axis=1), atol=1e-5
        )


@given(groupings(), st.lists(st.integers(-1, 7), min_size=1, max_size=40))
def test_a_class_goes_where_it_is_named_and_rest_is_all_others(grouping, labels):
    count, classes = grouping
    labels = [label % count if label >= 0 else -1 for label in labels]
    tree = DecisionTree.from_classes({"class": [f"old{k}" for k in range(count)]})
    fractions = np.full((len(labels), count), np.nan, np.float32)
    for row, label in enumerate(labels):
        if label >= 0:
            fractions[row] = np.eye(count)[label]
    named = {name for names in classes.values() for name in names}
    complete = len(named) == count
    _, shares, chosen = regroup(tree, fractions, classes if complete else {**classes, "others": "rest"})
    assert chosen.all()
    home = {name: i for i, names in enumerate(classes.values()) for name in names}
    for label, row in zip(labels, shares, strict=True):
        if label < 0:
            assert np.isnan(row).all()
        else:
            assert row.argmax() == home.get(f"old{label}", len(classes)) and row.sum() == 1


@pytest.mark.parametrize(
    ("classes", "expected"),
    [
        ({"merging": ["Merging"], "other": "rest"}, {"merging": 5, "other": 45}),
        ({"disturbed": "Disturbed", "other": "rest"}, {"disturbed": 5, "other": 45}),
        ({"merging": ["Merging"], "round": ["Round Smooth"]}, {"merging": 5, "round": 5}),
        ({"interacting": ["Merging", "Disturbed"], "round": ["Round Smooth"]}, {"interacting": 10, "round": 5}),
    ],
)
def test_the_choices_of_galaxy10(tmp_path, classes, expected):
    catalogue = read_catalogue(Paths(images_path=galaxy10_file(tmp_path / "a.h5", 50)))
    targets = regrouped(catalogue, classes)
    assert counts(targets) == expected and targets.tree.questions[0].name == "class"
    assert targets.problems == []


def test_votes_are_grouped_before_the_least_fraction_and_one_hot_labels(tmp_path):
    tree = DecisionTree.from_classes({"shape": ["left", "right", "smooth"]})
    fractions = np.array([[0.35, 0.35, 0.3], [0.1, 0.2, 0.7], [0.3, 0.25, 0.45]], np.float32)
    catalogue = Catalogue(tree, np.array(["a", "b", "c"]), [Path(n) for n in "abc"], fractions)
    classes = {"spiral": ["left", "right"], "smooth": ["smooth"]}
    targets = regrouped(catalogue, classes, min=0.6, one_hot_labels=True)
    assert targets.rows.tolist() == [0, 1] and targets.fractions.tolist() == [[1, 0], [0, 1]]


def test_one_of_several_questions_is_chosen_by_name():
    fractions = votes(20).astype(np.float32)
    catalogue = Catalogue(GALAXY_ZOO_2, np.arange(20).astype(str), [Path(str(i)) for i in range(20)], fractions)
    targets = regrouped(catalogue, {"smooth": ["smooth"], "other": "rest"}, questions=["shape"])
    np.testing.assert_allclose(targets.fractions[:, 0], fractions[:, 0], atol=1e-6)
    with pytest.raises(ConfigError, match=r"need one question that every galaxy is asked, but there is Class1, Class2"):
        regrouped(catalogue, {"smooth": ["smooth"], "other": "rest"})
    with pytest.raises(ConfigError, match="but there is Class3"):
        regrouped(catalogue, {"bar": ["bar"], "none": ["no bar"]}, questions=["bar"])


def test_old_classes_that_are_not_there(tmp_path):
    catalogue = read_catalogue(Paths(images_path=galaxy10_file(tmp_path / "a.h5", 20)))
    with pytest.raises(ConfigError, match=r"classes\.m: the labels have no class 'merging'; did you mean 'Merging'"):
        regrouped(catalogue, {"m": ["merging"], "other": "rest"})
    with pytest.raises(ConfigError, match="no class is left for the 'rest'"):
        regrouped(
            Catalogue(
                DecisionTree.from_classes({"c": ["a", "b"]}), np.array(["1"]), [Path("1")], np.eye(2, dtype="f4")[:1]
            ),
            {"x": ["a"], "y": ["b"], "z": "rest"},
        )
    with pytest.raises(UserError, match="no galaxy is of the classes of left, right"):
        regrouped(
            Catalogue(
                DecisionTree.from_classes({"c": ["a", "b", "d"]}),
                np.array(["1"]),
                [Path("1")],
                np.eye(3, dtype="f4")[:1],
            ),
            {"left": ["b"], "right": ["d"]},
        )


def test_the_words_of_the_file():
    content = {"paths": {"images_path": "images"}, "model_name": "a", "model_params": {"dense_units": [8]}}
    config = load_config(content, ["data_preprocessing.classes={merging: Merging, 3: [1, 2], other: rest}"])
    assert config.data_preprocessing.classes == {"merging": ["Merging"], "3": ["1", "2"], "other": "rest"}
    again = load_config(config.model_dump(mode="json"))
    assert again == config
    with pytest.raises(ConfigError, match=r"data_preprocessing\.classes\.merging"):
        load_config(content, ["data_preprocessing.classes={merging: [[Merging]], other: rest}"])


def test_real_spirals_of_both_hands(real_data):
    folder = real_data("gz1")
    catalogue = read_catalogue(Paths(images_path=folder / "images", labels_path=folder / "labels.csv"))
    targets = regrouped(
        catalogue,
        {
            "spiral": ["spiral_clockwise", "spiral_anticlockwise"],
            "elliptical": ["elliptical"],
            "edge_on": ["edge_on"],
            "merger": ["merger"],
        },
    )
    assert counts(targets) == {"spiral": 664, "elliptical": 3727, "edge_on": 793, "merger": 86}
    merging = regrouped(catalogue, {"merger": ["merger"], "other": "rest"})
    assert counts(merging) == {"merger": 86, "other": 5228}
