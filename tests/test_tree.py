"""The decision tree: the one place that knows columns, and the sums that hold in real labels."""

from __future__ import annotations

import json

import numpy as np
import pandas as pd
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays

from galaxycnn.errors import UserError
from galaxycnn.tree import GALAXY_ZOO_2, DecisionTree

TASK_2 = GALAXY_ZOO_2.subset(["Class1", "Class2", "Class7"])


def consistent(weights: np.ndarray, tree: DecisionTree = GALAXY_ZOO_2) -> np.ndarray:
    """Fractions whose sums hold, from any positive weights of shape (galaxies, columns)."""
    fractions = np.zeros_like(weights)
    for question in tree.questions:
        where = tree.slice(question)
        share = weights[:, where] / weights[:, where].sum(axis=1, keepdims=True)
        asked = fractions[:, tree.indices(question.parents)].sum(axis=1) if question.parents else 1.0
        fractions[:, where] = share * np.broadcast_to(asked, len(weights))[:, None]
    return fractions


weights = arrays(np.float64, (5, 37), elements=st.floats(0.01, 1))


def test_columns_are_those_of_the_challenge_in_its_order() -> None:
    counts = [3, 2, 2, 2, 4, 2, 3, 7, 3, 3, 6]
    expected = [f"Class{q}.{a}" for q, n in enumerate(counts, start=1) for a in range(1, n + 1)]
    assert list(GALAXY_ZOO_2.columns) == expected


@given(weights)
def test_fractions_multiplied_down_the_tree_have_no_deviations(weights: np.ndarray) -> None:
    assert np.abs(GALAXY_ZOO_2.deviations(consistent(weights))).max() < 1e-12


@given(weights, st.integers(0, 36), st.floats(0.01, 0.5))
def test_a_changed_fraction_shows_in_its_question_and_in_those_it_leads_to(weights, column, by) -> None:
    fractions = consistent(weights)
    fractions[:, column] += by
    name = GALAXY_ZOO_2.columns[column]
    touched = [name in q.columns or name in q.parents for q in GALAXY_ZOO_2.questions]
    assert ((np.abs(GALAXY_ZOO_2.deviations(fractions)) > 1e-3).all(axis=0) == touched).all()


@given(weights)
def test_one_hot_follows_one_walk_and_conditional_undoes_the_multiplication(weights: np.ndarray) -> None:
    fractions = consistent(weights)
    hot, reached = GALAXY_ZOO_2.one_hot(fractions), GALAXY_ZOO_2.reached(fractions)
    shares = GALAXY_ZOO_2.conditional(fractions)
    for i, question in enumerate(GALAXY_ZOO_2.questions):
        where = GALAXY_ZOO_2.slice(question)
        assert (hot[:, where].sum(axis=1) == reached[:, i]).all()
        np.testing.assert_allclose(shares[:, where].sum(axis=1), 1)
    np.testing.assert_array_equal(GALAXY_ZOO_2.one_hot(hot), hot)


@given(weights, st.lists(st.integers(0, 36), max_size=3))
def test_shares_multiplied_down_the_tree_are_the_fractions_again(weights, never) -> None:
    weights[:, never] = 0
    weights[:, [GALAXY_ZOO_2.slice(q).start for q in GALAXY_ZOO_2.questions]] = 0.5
    fractions = consistent(weights)
    again = GALAXY_ZOO_2.fractions(GALAXY_ZOO_2.conditional(fractions))
    np.testing.assert_allclose(again, fractions, atol=1e-12)


def test_a_question_whose_parent_is_not_part_of_the_tree_has_no_total() -> None:
    alone = GALAXY_ZOO_2.subset(["Class7"])
    assert np.isnan(alone.totals(np.ones((2, 3)))).all()
    assert np.isnan(alone.fractions(np.ones((2, 3)))).all()
    assert alone.reached(np.ones((2, 3))).all()


def test_gates_name_the_answers_that_lead_to_a_question() -> None:
    gates = {q.name: TASK_2.gate(q) for q in TASK_2.questions}
    assert gates["Class1"] is None
    assert (gates["Class2"][0].name, gates["Class2"][1]) == ("Class1", [1])
    assert (gates["Class7"][0].name, gates["Class7"][1]) == ("Class1", [0])
    assert GALAXY_ZOO_2.gate(GALAXY_ZOO_2.question("bulge"))[1] == [0, 1]


def test_a_misspelt_question_is_answered_with_the_nearest() -> None:
    with pytest.raises(UserError, match="no question 'Clas7'; did you mean 'Class7'"):
        GALAXY_ZOO_2.question("Clas7")


@pytest.mark.parametrize("tree", [GALAXY_ZOO_2, TASK_2, DecisionTree.from_classes({"label": ["a", "b"]})])
def test_a_tree_survives_json(tree: DecisionTree) -> None:
    assert DecisionTree.from_dict(json.loads(json.dumps(tree.to_dict()))) == tree


def test_all_eleven_sums_hold_in_real_labels(real_data) -> None:
    labels = pd.read_csv(real_data("kaggle") / "training_solutions_rev1.csv")
    assert list(labels.columns[1:]) == list(GALAXY_ZOO_2.columns)
    deviations = GALAXY_ZOO_2.deviations(labels[list(GALAXY_ZOO_2.columns)].to_numpy())
    assert deviations.shape == (3580, 11)
    assert np.abs(deviations).max() < 3e-6
