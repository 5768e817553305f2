"""Pictures of a run: written whole, in the format asked for, and saying what they should."""

from __future__ import annotations

import re
from pathlib import Path

import matplotlib
import numpy as np
import pandas as pd
import pytest
from PIL import Image

from galaxycnn.errors import DataError, UserError
from galaxycnn.evaluation import Baseline, evaluate_fractions, galaxy_errors
from galaxycnn.plots import (
    EvaluatedPart,
    answer_errors,
    best_epoch,
    calibration_curves,
    confusion_matrices,
    fraction_scatter,
    gallery,
    sum_deviations,
    training_curves,
    walks_in_words,
    write_all,
)
from galaxycnn.tree import GALAXY_ZOO_2, DecisionTree

pytestmark = pytest.mark.filterwarnings("error")  # a user would read what matplotlib warns of

TASK_2 = GALAXY_ZOO_2.subset(["Class1", "Class2", "Class7"])
EVERYDAY = DecisionTree.from_classes({"label": ["spiral", "elliptical", "edge_on & warped $5"]})


def sample(tree: DecisionTree, count: int = 40, one_hot: bool = False) -> tuple[np.ndarray, np.ndarray]:
    generator = np.random.default_rng(0)
    truth = np.zeros((count, len(tree.columns)))
    for i, question in enumerate(tree.questions):
        shares = generator.dirichlet(np.full(len(question), 0.6), size=count)
        truth[:, tree.slice(question)] = shares * tree.totals(truth)[:, i : i + 1]
    truth = tree.one_hot(truth) if one_hot else truth
    return truth, np.clip(truth + generator.normal(0, 0.15, truth.shape), -0.05, 1.1)


def evaluated(tree: DecisionTree, count: int = 40, channels: int = 3, one_hot: bool = False) -> EvaluatedPart:
    truth, predicted = sample(tree, count, one_hot)
    images = np.random.default_rng(1).integers(0, 256, (count, 16, 16, channels), dtype=np.uint8)
    results = evaluate_fractions(tree, truth, predicted, Baseline.fit(tree, truth), resamples=10)
    return EvaluatedPart("test", [f"galaxy-{i}" for i in range(count)], truth, predicted, results, images)


def history(outputs: list[str], epochs: int = 12) -> dict[str, list[float]]:
    falling = [0.5 * 0.8**epoch for epoch in range(epochs)]
    quantities = ["loss", *(f"{output}_{metric}" for output in outputs for metric in ("loss", "mse", "accuracy"))]
    return {f"{part}{quantity}": falling for quantity in quantities for part in ("", "val_")} | {
        "learning_rate": [10.0 ** -(3 + epoch % 4) for epoch in range(epochs)]
    }


def texts(path: Path) -> list[str]:
    """The texts of an SVG picture."""
    found = re.findall(r"<text[^>]*>(.*?)</text>", path.read_text(), flags=re.DOTALL)
    return [re.sub(r"<[^>]*>", "", text).strip().replace("&#x27;", "'").replace("&amp;", "&") for text in found]


# -- every picture ----------------------------------------------------------------------------------

PICTURES = {
    "answers": lambda part, tree, path: answer_errors(tree, part.results, path, part="test"),
    "sums": lambda part, tree, path: sum_deviations(part.results, path, part="test"),
    "curves": lambda part, tree, path: training_curves(history([q.name for q in tree.questions]), path),
    "confusion": lambda part, tree, path: confusion_matrices(part.results, path, part="test"),
    "calibration": lambda part, tree, path: calibration_curves(part.results, path, part="test"),
    "fractions": lambda part, tree, path: fraction_scatter(tree, part.truth, part.predicted, path, part="test"),
    "gallery": lambda part, tree, path: gallery(
        tree, part.images, part.ids, part.truth, part.predicted, path, part="test"
    ),
}


@pytest.mark.parametrize("draw", PICTURES.values(), ids=PICTURES)
@pytest.mark.parametrize("ending, start", [(".pdf", b"%PDF"), (".png", b"\x89PNG")])
def test_the_ending_is_the_format_and_nothing_else_is_left(draw, ending, start, tmp_path):
    path = tmp_path / "new folder" / f"picture{ending}"
    before = dict(matplotlib.rcParams)
    assert draw(evaluated(EVERYDAY), EVERYDAY, path) == path
    assert path.read_bytes().startswith(start)
    assert list(path.parent.iterdir()) == [path]
    assert dict(matplotlib.rcParams) == before


@pytest.mark.parametrize("draw", PICTURES.values(), ids=PICTURES)
def test_an_unknown_ending_is_refused_by_name(draw, tmp_path):
    with pytest.raises(UserError, match=r"picture.jpeg: cannot write a picture with the ending 'jpeg'"):
        draw(evaluated(EVERYDAY), EVERYDAY, tmp_path / "picture.jpeg")
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize("draw", PICTURES.values(), ids=PICTURES)
def test_one_galaxy_and_odd_names_can_be_drawn(draw, tmp_path):
    path = draw(evaluated(EVERYDAY, count=1, channels=1), EVERYDAY, tmp_path / "picture.png")
    with Image.open(path) as image:
        assert min(image.size) > 200


def test_no_window_is_opened_and_no_figure_kept(tmp_path):
    from matplotlib import pyplot

    confusion_matrices(evaluated(EVERYDAY).results, tmp_path / "picture.png", part="test")
    assert pyplot.get_fignums() == []


# -- training curves ----------------------------------------------------------------------------------


@pytest.mark.parametrize("outputs", [[], ["Class1", "Class2", "Class7"], [f"Class{i}" for i in range(6)]])
def test_every_quantity_has_a_panel(outputs, tmp_path):
    path = training_curves(pd.DataFrame(history(outputs)), tmp_path / "curves.svg", name="Run")
    words = texts(path)
    assert "Training of Run: best epoch 12 of 12 (val_loss 0.04295)" in words
    assert {"training", "validation", "learning rate", "epoch"} <= set(words)
    for output in outputs:
        assert {f"{output} loss", f"{output} MSE", f"{output} accuracy"} <= set(words)


def test_curves_of_decades_are_drawn_on_a_logarithmic_axis(tmp_path):
    for losses, logarithmic in (([1.0, 0.1, 0.001], True), ([0.9, 0.8, 0.7], False)):
        path = training_curves({"loss": losses}, tmp_path / "curves.svg")
        assert ("10\N{MINUS SIGN}2" in ["".join(word.split()) for word in texts(path)]) == logarithmic


@pytest.mark.parametrize(
    "short", [{"loss": [0.5]}, {"loss": [0.5, np.nan], "val_loss": [np.nan, np.nan]}, {"val_loss": [0.5, 0.4]}]
)
def test_short_and_broken_histories_are_drawn(short, tmp_path):
    assert training_curves(short, tmp_path / "curves.png").stat().st_size > 0


def test_a_history_without_epochs_is_refused(tmp_path):
    with pytest.raises(DataError, match="no epochs"):
        training_curves({"loss": []}, tmp_path / "curves.png")


def test_the_best_epoch_follows_what_is_monitored():
    run = {"val_loss": [0.5, np.nan, 0.2, 0.3], "val_Class1_accuracy": [0.1, 0.9, 0.3, 0.2]}
    assert best_epoch(run) == 3
    assert best_epoch(run, "val_Class1_accuracy") == 2
    assert best_epoch(run, "val_mse") is None


# -- the other pictures -----------------------------------------------------------------------------


def test_confusion_matrices_name_both_walks_and_show_their_own_counts(tmp_path):
    part = evaluated(TASK_2, 300)
    words = texts(confusion_matrices(part.results, tmp_path / "confusion.svg", part="test", name="Run"))
    assert words[-1] == "Confusion matrices of Run: test, 300 galaxies"
    for question, output in part.results["outputs"].items():
        headings = [word for word in words if word.startswith(f"{question}: {output['text']}")]
        assert len(headings) == 1
        for confusion in output["confusion"].values():
            assert {str(count) for row in confusion["counts"] for count in row} <= set(words)
            assert any(f"accuracy {confusion['accuracy']:.3f}" in word for word in words)
    assert any("galaxies on the volunteers' walk" in word for word in words)
    assert any("galaxies on the predicted walk" in word for word in words)
    assert {"smooth", "cigar-shaped", "volunteers' answer"} <= set(words)


def test_all_questions_of_the_tree_fit_a_page_with_their_shares(tmp_path):
    part = evaluated(GALAXY_ZOO_2, 60)
    words = texts(confusion_matrices(part.results, tmp_path / "confusion.svg", part="test"))
    for question, output in part.results["outputs"].items():
        assert f"{question}: {output['text']}" in words
    top = part.results["outputs"]["Class6"]["confusion"]["true_walk"]["counts"][0]
    assert {f"{100 * count / sum(top):.0f} %" for count in top if count} <= set(words)
    with Image.open(confusion_matrices(part.results, tmp_path / "confusion.png", part="test")) as image:
        assert max(image.size) < 1.5 * min(image.size)


def test_answers_stand_below_the_answers_that_lead_to_them(tmp_path):
    part = evaluated(GALAXY_ZOO_2, 60)
    words = texts(answer_errors(GALAXY_ZOO_2, part.results, tmp_path / "answers.svg", part="test", name="Run"))
    assert "RMSE of each answer of Run: test, 60 galaxies" in words
    order = [word.split(":")[0] for word in words if word.startswith("Class")]
    assert order == [f"Class{i}" for i in (1, 2, 3, 4, 5, 10, 11, 9, 7, 6, 8)]
    assert "Class5: How prominent is the central bulge? (spiral or no spiral)" in words
    for column in GALAXY_ZOO_2.columns:
        assert GALAXY_ZOO_2.answer_name(column) in words


def test_questions_without_the_ones_that_lead_to_them_have_answers_to_draw(tmp_path):
    tree = GALAXY_ZOO_2.subset(["Class5", "Class9"])
    part = evaluated(GALAXY_ZOO_2, 20)
    columns = GALAXY_ZOO_2.indices(tree.columns)
    truth, predicted = part.truth[:, columns], part.predicted[:, columns]
    results = evaluate_fractions(tree, truth, predicted, Baseline.fit(tree, truth), resamples=10)
    words = texts(answer_errors(tree, results, tmp_path / "answers.svg", part="test"))
    assert "Class9: What shape is the edge-on bulge?" in words


def test_missed_sums_are_drawn_for_the_questions_that_miss_them(tmp_path):
    truth, _ = sample(TASK_2, 50)
    predicted = truth.copy()
    predicted[:, TASK_2.slice("Class7")] += 0.1
    results = evaluate_fractions(TASK_2, truth, predicted, Baseline.fit(TASK_2, truth), resamples=10)
    words = texts(sum_deviations(results, tmp_path / "sums.svg", part="test", name="Run"))
    assert [word for word in words if word.startswith("Class")] == ["Class7: How rounded is it?"]
    assert "0.300" in words
    assert any(word.startswith("at most 0.30; answer above its parent: ") for word in words)


def test_there_is_no_picture_of_sums_that_hold(tmp_path):
    truth, _ = sample(TASK_2, 50)
    results = evaluate_fractions(TASK_2, truth, truth, Baseline.fit(TASK_2, truth), resamples=10)
    with pytest.raises(DataError, match="all sums of the tree hold"):
        sum_deviations(results, tmp_path / "sums.png", part="test")
    part = EvaluatedPart("test", list(range(50)), truth, truth, results)
    assert not [path for path in write_all(tmp_path / "plots", TASK_2, [part]) if "sums" in path.name]


def test_calibration_shows_each_answer_and_error(tmp_path):
    part = evaluated(TASK_2, 300)
    words = texts(calibration_curves(part.results, tmp_path / "calibration.svg", part="validation"))
    assert {"smooth", "edge-on", "in between", "predicted fraction"} <= set(words)
    for question, output in part.results["outputs"].items():
        assert {f"{question}: {output['text']}", f"expected error {output['calibration']['error']:.3f}"} <= set(words)


def test_one_hot_labels_are_shown_as_histograms(tmp_path):
    for one_hot in (True, False):
        part = evaluated(EVERYDAY, 100, one_hot=one_hot)
        words = texts(fraction_scatter(EVERYDAY, part.truth, part.predicted, tmp_path / "fractions.svg", part="test"))
        assert ("wrong answers" in words) == one_hot


def test_the_gallery_shows_the_smallest_and_largest_errors(tmp_path):
    part = evaluated(TASK_2, 30)
    errors = galaxy_errors(part.truth, part.predicted)
    order = np.argsort(errors)
    path = tmp_path / "gallery.svg"
    words = texts(gallery(TASK_2, part.images, part.ids, part.truth, part.predicted, path, part="test", count=3))
    for place in range(3):
        best, worst = order[place], order[-1 - place]
        assert f"best {place + 1}: galaxy-{best}, RMSE {errors[best]:.3f}" in words
        assert f"worst {place + 1}: galaxy-{worst}, RMSE {errors[worst]:.3f}" in words
    walk = walks_in_words(TASK_2, part.truth[order[:1]])[0]
    assert any(word.startswith("volunteers: " + walk.split(",")[0]) for word in words)


def test_a_gallery_of_unequal_arrays_is_refused(tmp_path):
    part = evaluated(TASK_2, 5)
    with pytest.raises(DataError, match="got 4, 5, 5 and 5"):
        gallery(TASK_2, part.images[:4], part.ids, part.truth, part.predicted, tmp_path / "g.png", part="test")


def test_walks_stop_where_the_tree_does():
    fractions = np.zeros((2, 37))
    fractions[0, GALAXY_ZOO_2.indices(["Class1.3", "Class6.2"])] = 1
    fractions[1, GALAXY_ZOO_2.indices(["Class1.2", "Class2.1", "Class6.2", "Class9.2"])] = 1
    assert walks_in_words(GALAXY_ZOO_2, fractions) == [
        "star or artifact, not odd",
        "features or disk, edge-on, not odd, boxy",
    ]


KINDS = "answers", "calibration", "confusion", "fractions", "sums"


def test_write_all_writes_a_picture_of_each_kind_per_part(tmp_path):
    part = evaluated(EVERYDAY)
    blind = EvaluatedPart("train", part.ids, part.truth, part.predicted, part.results)
    written = write_all(tmp_path / "plots", EVERYDAY, [blind, part], history([]), name="Run")
    assert sorted(written) == sorted((tmp_path / "plots").iterdir())
    assert {path.name for path in written} == {
        "training_curves.png",
        *(f"{kind}_{p}.png" for kind in KINDS for p in ("train", "test")),
        "gallery_test.png",
    }
