"""Figures and tables of explained galaxies, from Python and from the command line; the same maps on all backends."""

from __future__ import annotations

import re
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from astropy.io import fits
from backends import needs, run_on
from finished_runs import configured, finished
from finished_runs import galaxies as labelled_galaxies
from galaxy_files import write_image
from PIL import Image
from small_networks import draw_weights, pixels, small_config

from galaxycnn.cli import main
from galaxycnn.errors import DataError, UserError
from galaxycnn.explain import explain
from galaxycnn.explain.files import explain_files
from galaxycnn.explain.integrated_gradients import IntegratedGradients
from galaxycnn.models import CNNBuilder
from galaxycnn.plots.explanation import Panel, explanation_tree, painted
from galaxycnn.training import train
from galaxycnn.tree import GALAXY_ZOO_2, DecisionTree


@pytest.fixture(scope="module")
def model(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A model file of a small network with random weights that answers all questions."""
    return finished(configured(labelled_galaxies(tmp_path_factory.mktemp("run"), 30), "small"))


@pytest.fixture
def images(tmp_path: Path) -> Path:
    for number in range(5):
        write_image(tmp_path / "images" / f"g{number}.png", number)
    return tmp_path / "images"


def test_a_folder_is_explained(model: Path, images: Path, tmp_path: Path) -> None:
    (images / "broken.jpg").write_text("no image")
    done = explain_files(model, [images], tmp_path / "out", figures=2)
    assert sorted(path.name for path in (tmp_path / "out").iterdir()) == [
        *("attention.csv", "g0.png", "g1.png", "mean.png")
    ]
    assert list(done.problems) == ["broken"]
    table = pd.read_csv(tmp_path / "out" / "attention.csv")
    assert table["image"].tolist() == [f"g{number}" for number in range(5) for _ in range(11)]
    assert table["question"].tolist() == [question.name for question in GALAXY_ZOO_2.questions] * 5
    shares = table[["galaxy", "other_sources", "sky"]].dropna().sum(axis=1)
    assert len(shares) and np.allclose(shares, 1, atol=1e-3)
    assert table["value"].between(0, 1).all() and table["area"].between(0.01, 0.9).all()
    by_question = done.by_question()
    assert by_question.loc["Class1", "galaxies"] == by_question.loc["Class6", "galaxies"] == 5
    reached = table[(table["question"] == "Class7") & table["reached"]]
    assert len(reached) == (table[table["question"] == "Class1"]["answer"] == "smooth").sum()


def test_the_command(model: Path, images: Path, tmp_path: Path, capsys: pytest.CaptureFixture) -> None:
    words = ["explain", str(model), str(images / "g0.png"), str(images / "g3.png"), "-o", str(tmp_path / "out")]
    assert main([*words, "--question", "bar", "--question", "Class6", "--method", "lrp"]) == 0
    shown = capsys.readouterr().out
    assert "2 figures, mean.png, attention.csv" in " ".join(shown.split())
    assert set(pd.read_csv(tmp_path / "out" / "attention.csv")["question"]) == {"Class3", "Class6"}
    assert main(["list", "explanations"]) == 0
    assert "occlusion   " in capsys.readouterr().out
    assert main([*words, "--method", "occlusion", "--layer", "relu1"]) == 2
    assert "looks at no layer" in capsys.readouterr().err
    assert main([*words, "--question", "bars"]) == 2
    assert "did you mean 'bar'?" in capsys.readouterr().err


def test_images_that_cannot_be_told_apart_or_used_are_refused(model: Path, images: Path, tmp_path: Path) -> None:
    write_image(tmp_path / "more" / "g1.png", 9)
    with pytest.raises(DataError, match=r"more/g1\.png: .*images/g1\.png is called 'g1' as well"):
        explain_files(model, [images, tmp_path / "more"], tmp_path / "out")
    with pytest.raises(DataError, match=r"nowhere\.jpg"):
        explain_files(model, [tmp_path / "nowhere.jpg"], tmp_path / "out")
    (tmp_path / "bad.jpg").write_text("no image")
    with pytest.raises(DataError, match="none of 1 images can be used; bad: "):
        explain_files(model, [tmp_path / "bad.jpg"], tmp_path / "out")
    assert not (tmp_path / "out").exists()


def test_lists_and_fits_files_are_explained_with_what_the_network_is_given(tmp_path: Path) -> None:
    params = {"model_type": "dual_head", "version": 3}
    pre = {"img_size": [16, 16], "questions": ["Class1"], "quantities": ["z"], "inputs": ["pxscale"]}
    config = configured(labelled_galaxies(tmp_path, 30), "z", data_preprocessing=pre, model_params=params)
    known = pd.read_csv(config.paths.labels_path)
    known.assign(z=np.linspace(0.01, 0.2, 30), pxscale=np.linspace(0.2, 0.4, 30)).to_csv(
        config.paths.labels_path, index=False
    )
    train(config, save_plots=False)
    rng = np.random.default_rng(0)
    fits.writeto(tmp_path / "a.fits", rng.normal(100, 5, (40, 40)).astype(np.float32))
    write_image(tmp_path / "b.png", 1)
    pd.DataFrame({"file": ["a.fits", "b.png", "b.png"], "id": ["a", "b", "c"], "pxscale": [0.2, 0.3, None]}).to_csv(
        tmp_path / "list.csv", index=False
    )
    network = tmp_path / "models" / "z.keras"
    done = explain_files(network, [tmp_path / "list.csv"], tmp_path / "out", questions=["z"])
    assert done.table["image"].tolist() == ["a", "b"] and done.problems == {"c": "the network needs pxscale"}
    with pytest.raises(DataError, match="the network needs pxscale of every image"):
        explain_files(network, [tmp_path / "b.png"], tmp_path / "out")


def test_no_images_are_read_before_a_mistake_is_told(model: Path, images: Path, tmp_path: Path) -> None:
    with pytest.raises(UserError, match="no explanation 'gradcamm'"):
        explain_files(model, [images], tmp_path / "out", method="gradcamm")


def test_a_real_galaxy(real_data, model: Path, tmp_path: Path) -> None:
    galaxy = sorted((real_data("kaggle") / "images_training_rev1").iterdir())[0]
    done = explain_files(model, [galaxy], tmp_path / "out", method="gradcam++")
    with Image.open(done.figures[0]) as figure:
        assert min(figure.size) > 800
    assert not (tmp_path / "out" / "mean.png").exists()


# -- the figure -------------------------------------------------------------------------------------


def panels(tree: DecisionTree, **changes) -> list[Panel]:
    image, heat = np.full((8, 8, 3), 90, np.uint8), np.linspace(-0.5, 1, 64).reshape(8, 8)
    values = {"answer": "yes & no 0.50", "image": image, "heat": heat, **changes}
    return [Panel(name=question.name, heading=question.text, **values) for question in tree.questions]


def texts(path: Path) -> dict[str, float]:
    """The texts of an SVG picture and how far to the right they begin."""
    found = re.findall(r'<text [^>]*?x="([\d.]+)"[^>]*>(.*?)</text>', path.read_text(), flags=re.DOTALL)
    found += [(x, text) for x, text in re.findall(r"translate\(([\d.]+) [\d.]+\)[^>]*>(.*?)</text>", path.read_text())]
    return {re.sub(r"<[^>]*>", "", text).replace("&#x27;", "'").replace("&amp;", "&"): float(x) for x, text in found}


def test_questions_stand_to_the_right_of_those_that_lead_to_them(tmp_path: Path) -> None:
    root = Panel("", "", "the galaxy", np.zeros((8, 8, 1), np.uint8), None)
    path = explanation_tree(GALAXY_ZOO_2, root, panels(GALAXY_ZOO_2), tmp_path / "tree.svg", title="Galaxy 7")
    places = texts(path)
    first, second, third, fourth = (
        *(places["Smooth, features or disk, or"], places["Could this be a disk viewed"]),
        *(places["Is there a spiral pattern?"], places["How many arms?"]),
    )
    assert places["the galaxy"] < first < second < third < fourth
    assert places["Is there anything odd?"] == first and places["How rounded is it?"] == second
    assert {"Galaxy 7", "speaks for the answer", "speaks against it"} <= places.keys()


def test_what_stands_alone_is_drawn_beside_the_galaxy(tmp_path: Path) -> None:
    tree = DecisionTree.from_classes({"label": ["spiral", "edge_on & warped $5"]})
    shown = [*panels(tree, heat=np.zeros((8, 8))), Panel("redshift", "redshift", "0.05", np.zeros((8, 8, 1)), None)]
    root = Panel("", "", "the galaxy", np.zeros((8, 8, 1), np.uint8), None)
    places = texts(explanation_tree(tree, root, shown, tmp_path / "one.svg", title="One"))
    assert places["label"] == places["redshift"] > places["the galaxy"]
    assert "speaks against it" not in places


@pytest.mark.parametrize("words", [0, 4, 40])
def test_a_note_hides_no_galaxy(tmp_path: Path, words: int) -> None:
    tree = GALAXY_ZOO_2.subset(["Class1"])
    root = Panel("", "", "the galaxy", np.zeros((8, 8, 1), np.uint8), None)
    note = " ".join(["narrowly"] * words)
    drawn = explanation_tree(tree, root, panels(tree), tmp_path / "noted.svg", title="One", note=note).read_text()
    frame = r'id="axes_\d">\s*<g id="patch_\d+">\s*<path d="M [\d.]+ ([\d.]+)'
    lowest = max(float(y) for y in re.findall(frame, drawn))
    lines = [float(y) for y in re.findall(r'<text [^>]*?y="([\d.]+)"[^>]*>(?:narrowly ?)+</text>', drawn)]
    assert len(re.findall("narrowly", drawn)) == words and bool(lines) == bool(words)
    assert all(y - 8 > lowest for y in lines)


def test_a_map_colours_a_galaxy_and_does_not_hide_it() -> None:
    grey = np.array([[0.1, 0.9]])
    plain, hot, cold = (painted(grey, np.full((1, 2), heat)) for heat in (0.0, 1.0, -1.0))
    np.testing.assert_array_equal(plain[..., 0], plain[..., 2])
    assert (hot[..., 0] > hot[..., 2]).all() and (cold[..., 2] > cold[..., 0]).all()
    for coloured in (hot, cold):
        assert coloured[0, 1].mean() - coloured[0, 0].mean() > 0.3


# -- backends ---------------------------------------------------------------------------------------


def maps_of_this_backend() -> dict[str, np.ndarray]:
    tree = GALAXY_ZOO_2.subset(["Class1", "Class2", "Class7"])
    config = small_config("base", conv_layers=[[4, [3, 3]]])
    model, rng = CNNBuilder(config).build(), np.random.default_rng(0)
    draw_weights(model, rng)
    methods = {"gradcam": "gradcam", "lrp": "lrp", "integrated": IntegratedGradients(steps=2)}
    return {name: explain(model, tree, pixels(config, 2), method=method).maps for name, method in methods.items()}


@pytest.mark.parametrize("backend", ["jax", "torch"])
def test_maps_agree(backend: str, tmp_path: Path) -> None:
    needs(backend)
    there, here = run_on(backend, maps_of_this_backend, tmp_path), maps_of_this_backend()
    assert there.keys() == here.keys()
    for name, maps in there.items():
        scale = np.abs(here[name]).max()
        assert scale > 0, name
        np.testing.assert_allclose(maps / scale, here[name] / scale, atol=2e-3, err_msg=name)
