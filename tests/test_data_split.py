"""Targets and splits: who is chosen, what is learned, and who trains, validates and tests."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from galaxy_files import votes
from hypothesis import given, settings
from hypothesis import strategies as st

from galaxycnn.config.schema import DataPreprocessing
from galaxycnn.data.catalogue import Catalogue
from galaxycnn.data.split import Split, make_split
from galaxycnn.data.targets import make_targets
from galaxycnn.errors import DataError, UserError
from galaxycnn.tree import GALAXY_ZOO_2, DecisionTree


def catalogue_of(fractions: np.ndarray, tree: DecisionTree = GALAXY_ZOO_2) -> Catalogue:
    ids = np.array([f"{i}" for i in range(len(fractions))])
    return Catalogue(tree, ids, [Path(f"{i}.jpg") for i in ids], fractions.astype(np.float32))


# -- targets -------------------------------------------------------------------------------------


@given(seed=st.integers(0, 99), least=st.none() | st.floats(0, 0.9), task=st.sampled_from([1, 2]))
def test_the_largest_fraction_decides(seed, least, task):
    fractions = votes(40, seed)
    preprocessing = DataPreprocessing(task=task, min=least)
    chosen = GALAXY_ZOO_2.indices(preprocessing.target_tree().columns)
    expected = [i for i in range(40) if least is None or np.float32(fractions[i, chosen].max()) >= least]
    if not expected:
        with pytest.raises(DataError, match="choose a smaller data_preprocessing"):
            make_targets(catalogue_of(fractions), preprocessing)
        return
    targets = make_targets(catalogue_of(fractions), preprocessing)
    assert targets.rows.tolist() == expected
    np.testing.assert_allclose(targets.fractions, fractions[expected][:, chosen], atol=1e-6)
    assert targets.fractions.dtype == np.float32 and targets.problems == []


def test_task_1_at_least_08_needs_one_answer_with_08():
    fractions = votes(3)
    fractions[:, :3] = [[0.8, 0.1, 0.1], [0.79, 0.11, 0.1], [0.0, 0.15, 0.85]]
    assert make_targets(catalogue_of(fractions), DataPreprocessing(task=1, min=0.8)).rows.tolist() == [0, 2]


def test_one_hot_labels_follow_the_tree():
    fractions = votes(200, 3)
    targets = make_targets(catalogue_of(fractions), DataPreprocessing(task=2, one_hot_labels=True))
    smooth, disk, _ = targets.fractions[:, :3].T
    np.testing.assert_array_equal(targets.fractions[:, :3].sum(axis=1), 1)
    np.testing.assert_array_equal(targets.fractions[:, 3:5].sum(axis=1), disk)
    np.testing.assert_array_equal(targets.fractions[:, 5:].sum(axis=1), smooth)


def test_galaxies_that_are_never_asked_have_no_one_hot_label():
    fractions = votes(200, 3)
    targets = make_targets(catalogue_of(fractions), DataPreprocessing(questions=["Class7"], one_hot_labels=True))
    assert targets.rows.tolist() == np.flatnonzero(fractions[:, :3].argmax(axis=1) == 0).tolist()
    np.testing.assert_array_equal(targets.fractions.sum(axis=1), 1)


def test_gaps_matter_only_where_they_are_asked_for():
    tree = DecisionTree.from_classes({"type": ["S", "E"], "bar": ["yes", "no"]})
    fractions = np.array([[1, 0, 1, 0], [0, 1, np.nan, np.nan]])
    both = make_targets(catalogue_of(fractions, tree), DataPreprocessing())
    assert both.rows.tolist() == [0] and [(p.kind, p.name) for p in both.problems] == [("unlabelled", "1")]
    only_type = make_targets(catalogue_of(fractions, tree), DataPreprocessing(questions=["type"], min=0.5))
    assert only_type.rows.tolist() == [0, 1] and only_type.problems == []


def test_choices_that_leave_nothing():
    catalogue = catalogue_of(votes(5))
    with pytest.raises(DataError, match=r"no galaxy has a vote fraction of 1\.0 or more in Class1; choose a smaller"):
        make_targets(catalogue, DataPreprocessing(task=1, min=1.0))
    with pytest.raises(UserError, match="no question 'Clas7'; did you mean 'Class7'"):
        make_targets(catalogue, DataPreprocessing(questions=["Clas7"]))
    gaps = catalogue_of(np.full((2, 2), np.nan), DecisionTree.from_classes({"bar": ["yes", "no"]}))
    with pytest.raises(DataError, match="no galaxy has an answer to all of bar"):
        make_targets(gaps, DataPreprocessing())


def test_real_selection(real_data):
    from galaxycnn.config.schema import Paths
    from galaxycnn.data.catalogue import read_catalogue

    folder = real_data("kaggle")
    paths = Paths(images_path=folder / "images_training_rev1", labels_path=folder / "training_solutions_rev1.csv")
    catalogue = read_catalogue(paths)
    assert len(make_targets(catalogue, DataPreprocessing(task=2, min=0.5)).rows) == 3501
    assert len(make_targets(catalogue, DataPreprocessing(task=1, min=0.8)).rows) == 1526


# -- splits --------------------------------------------------------------------------------------

shares = st.floats(0.3, 0.95)


@settings(max_examples=60, deadline=None)
@given(
    strata=st.lists(st.integers(0, 6), min_size=8, max_size=200),
    training=shares,
    test=st.floats(0.05, 0.7),
    seed=st.integers(0, 2**31 - 1),
)
def test_a_split_is_a_partition_of_the_right_sizes_that_never_fails_on_rare_classes(strata, training, test, seed):
    ids = [f"g{i}" for i in range(len(strata))]
    validation = round(len(ids) * (1 - training))
    test_count = round((len(ids) - validation) * test)
    arguments = (ids, np.array(strata), training, test, seed)
    if min(validation, test_count) < 1:
        with pytest.raises(DataError, match=r"leave none for (validation|test)"):
            make_split(*arguments)
        return
    split = make_split(*arguments)
    assert sorted([*split.train, *split.validation, *split.test]) == sorted(ids)
    assert (len(split.validation), len(split.test)) == (validation, test_count)
    assert make_split(*arguments) == split


@settings(max_examples=20, deadline=None)
@given(seed=st.integers(0, 999), order=st.randoms(use_true_random=False))
def test_the_order_of_the_ids_does_not_matter(seed, order):
    strata = {f"{i}": i % 3 for i in range(60)}
    shuffled = list(strata)
    order.shuffle(shuffled)
    first, second = (
        make_split(ids, np.array([strata[i] for i in ids]), 0.8, 0.2, seed) for ids in (list(strata), shuffled)
    )
    assert first == second


def test_other_seeds_give_other_splits():
    ids = [f"{i}" for i in range(100)]
    assert len({tuple(make_split(ids, None, 0.8, 0.2, seed).test) for seed in range(5)}) == 5


@settings(max_examples=20, deadline=None)
@given(counts=st.lists(st.integers(40, 120), min_size=2, max_size=4), seed=st.integers(0, 999))
def test_each_part_has_each_class_in_proportion(counts, seed):
    strata = np.repeat(np.arange(len(counts)), counts)
    ids = np.array([f"{i}" for i in range(len(strata))])
    split = make_split(ids, strata, 0.8, 0.25, seed)
    for part, share in ((split.train, 0.6), (split.validation, 0.2), (split.test, 0.2)):
        members = np.bincount(strata[np.array(part, dtype=int)], minlength=len(counts))
        np.testing.assert_allclose(members, np.array(counts) * share, atol=2.5)


def test_a_lonely_class_is_pooled_and_the_common_ones_stay_in_proportion():
    strata = np.array([0] * 80 + [1] * 80 + [2])
    split = make_split([f"{i}" for i in range(161)], strata, 0.75, 1 / 3, 1)
    counts = np.bincount(strata[np.array(split.test, dtype=int)], minlength=3)
    assert counts[0] == pytest.approx(20, abs=1) and counts[1] + counts[2] == pytest.approx(20, abs=1)


def test_saving_and_loading(tmp_path):
    split = make_split([f"00{i}" for i in range(20)], None, 0.8, 0.2, 1)
    split.save(tmp_path / "runs" / "split.csv")
    assert Split.load(tmp_path / "runs" / "split.csv") == split
    rows = split.rows(np.array([f"00{i}" for i in reversed(range(25))]))
    assert [f"00{24 - row}" for row in rows["test"]] == split.test


def test_a_split_of_other_galaxies_is_refused():
    split = Split(["1", "2"], ["3"], ["4"])
    with pytest.raises(DataError, match="2 of its galaxies are not there or left out by data_preprocessing, 2 for one"):
        split.rows(np.array(["1", "3", "5"]))


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (None, "there is no split at"),
        ("", "cannot be read as a split"),
        ("GalaxyID,part\n1,train\n", "its columns are GalaxyID, part instead of id, part"),
        ("id,part\n1,train\n2,trian\n", r"line 3: there is no part 'trian'; did you mean 'train'"),
        ("id,part\n1,train\n1,test\n", "has '1' twice"),
    ],
)
def test_files_that_are_no_splits(tmp_path, content, message):
    path = tmp_path / "split.csv"
    if content is not None:
        path.write_text(content)
    with pytest.raises(DataError, match=message):
        Split.load(path)
