"""The network diagram, with Graphviz and without."""

from __future__ import annotations

import stat
from itertools import pairwise

import keras
import pytest
from keras import layers

from galaxycnn.diagram import LayerGraph, draw_network, graphviz_available
from galaxycnn.errors import UserError


def convolutions(x, prefix, filters=(32, 64, 128)):
    for i, count in enumerate(filters, start=1):
        x = layers.Conv2D(count, 3, activation="relu", name=f"{prefix}_conv{i}")(x)
        x = layers.MaxPooling2D(name=f"{prefix}_pool{i}")(x)
    return layers.Flatten(name=f"{prefix}_flatten")(x)


def dense(x, prefix, units=(256, 128)):
    for i, count in enumerate(units, start=1):
        x = layers.Dense(count, activation="relu", name=f"{prefix}_dense{i}")(x)
        x = layers.Dropout(0.5, name=f"{prefix}_dropout{i}")(x)
    return x


def gate(answers, parent, index, name):
    weight = layers.Dense(1, use_bias=False, name=f"{name}_gate")(parent)
    return layers.Multiply(name=name)([answers, weight])


def base() -> keras.Model:
    image = keras.Input((64, 64, 3), name="image")
    x = layers.Rescaling(1 / 255, name="rescaling")(image)
    x = layers.BatchNormalization(name="batch_normalization_of_pixels")(x)
    x = dense(convolutions(x, "shared"), "shared")
    return keras.Model(image, layers.Dense(8, activation="sigmoid", name="fractions")(x), name="base")


def hierarchy() -> keras.Model:
    image = keras.Input((64, 64, 3), name="image")
    x = layers.Rescaling(1 / 255, name="rescaling")(image)
    x = dense(convolutions(x, "shared"), "shared")
    shape = layers.Dense(3, activation="softmax", name="Class1")(x)
    edge_on = gate(layers.Dense(2, activation="softmax", name="Class2_answers")(x), shape, 1, "Class2")
    roundness = gate(layers.Dense(3, activation="softmax", name="Class7_answers")(x), shape, 0, "Class7")
    return keras.Model(image, [shape, edge_on, roundness], name="hierarchy")


def branch() -> keras.Model:
    image = keras.Input((64, 64, 3), name="image")
    x = layers.Rescaling(1 / 255, name="rescaling")(image)
    features = {name: convolutions(x, name) for name in ("Class1", "Class2", "Class7")}
    shape = layers.Dense(3, activation="softmax", name="Class1")(dense(features["Class1"], "Class1"))
    outputs = [shape]
    for index, (name, answers) in enumerate((("Class2", 2), ("Class7", 3))):
        joined = layers.Concatenate(name=f"{name}_join")([features[name], shape])
        own = layers.Dense(answers, activation="softmax", name=f"{name}_answers")(dense(joined, name))
        outputs.append(gate(own, shape, index, name))
    return keras.Model(image, outputs, name="branch")


MODELS = {"base": base, "hierarchy": hierarchy, "branch": branch}


@pytest.fixture
def without_dot(monkeypatch, tmp_path):
    monkeypatch.setenv("PATH", str(tmp_path / "nothing"))


@pytest.fixture
def fake_dot(monkeypatch, tmp_path):
    """A ``dot`` that answers every request with the word "drawn"."""
    pytest.importorskip("pydot")
    program = tmp_path / "bin" / "dot"
    program.parent.mkdir()
    program.write_text("#!/bin/sh\nprintf drawn\n")
    program.chmod(program.stat().st_mode | stat.S_IXUSR)
    monkeypatch.setenv("PATH", str(program.parent))
    return program


@pytest.mark.parametrize("ending, start", [("png", b"\x89PNG"), ("pdf", b"%PDF"), ("svg", b"<?xml")])
def test_draws_without_graphviz_in_the_format_of_the_ending(tmp_path, without_dot, ending, start):
    assert not graphviz_available()
    path = draw_network(hierarchy(), tmp_path / "new" / f"network.{ending}")
    assert path.read_bytes().startswith(start)


def test_an_svg_names_every_layer_with_its_shape_and_parameters(tmp_path, without_dot):
    model = branch()
    text = draw_network(model, tmp_path / "network.svg").read_text()
    for layer in model.layers:
        assert f">{layer.name}<" in text
        assert f">{type(layer).__name__}<" in text
    assert ">62 x 62 x 32<" in text
    assert f"{model.get_layer('Class1_conv3').count_params():,} parameters" in text
    assert f"branch: {model.count_params():,} parameters" in text


def test_graphviz_draws_where_it_is_installed(tmp_path, fake_dot):
    assert graphviz_available()
    assert draw_network(hierarchy(), tmp_path / "network.pdf").read_text() == "drawn"


def test_a_broken_graphviz_is_reported_and_done_without(tmp_path, fake_dot, caplog):
    fake_dot.write_text("#!/bin/sh\nexit 1\n")
    assert draw_network(base(), tmp_path / "network.png").read_bytes().startswith(b"\x89PNG")
    assert "Graphviz could not draw" in caplog.text


@pytest.mark.parametrize("build", MODELS.values(), ids=MODELS)
def test_boxes_stand_apart_and_arrows_point_down(build):
    model = build()
    graph = LayerGraph.of(model)
    assert {node.layer.name for node in graph.layers} == {layer.name for layer in model.layers}
    for level in graph.levels:
        for left, right in pairwise(level):
            assert right.x - left.x >= (left.width + right.width) / 2
    for arrow in graph.arrows:
        assert [node.level for node in arrow] == list(range(arrow[0].level, arrow[-1].level + 1))


def test_a_chain_is_a_straight_line_and_branches_stand_side_by_side():
    assert len({node.x for node in LayerGraph.of(base()).layers}) == 1
    places = {node.layer.name: node for node in LayerGraph.of(branch()).layers}
    convolution = [places[f"{name}_conv1"] for name in ("Class1", "Class2", "Class7")]
    assert len({node.level for node in convolution}) == 1
    assert len({node.x for node in convolution}) == 3


def test_a_shared_layer_is_drawn_at_each_of_its_places():
    image = keras.Input((4,))
    shared = layers.Dense(4, name="twice")
    graph = LayerGraph.of(keras.Model(image, shared(shared(image))))
    assert [node.layer.name for node in graph.layers].count("twice") == 2


def test_sequential_models_are_drawn(tmp_path, without_dot):
    model = keras.Sequential([keras.Input((8,)), layers.Dense(3, name="only")])
    assert ">only<" in draw_network(model, tmp_path / "network.svg").read_text()


def test_what_cannot_be_drawn_is_said_and_nothing_is_written(tmp_path, without_dot):
    with pytest.raises(UserError, match="did you mean 'png'"):
        draw_network(base(), tmp_path / "network.pgn")
    with pytest.raises(UserError, match="functional"):
        draw_network(keras.Sequential([layers.Dense(3)]), tmp_path / "network.png")
    assert list(tmp_path.iterdir()) == []
