"""A picture of a network: its layers as boxes, from input to outputs.

Graphviz draws it where its ``dot`` program is installed (Keras' own ``plot_model``); elsewhere the
same graph is laid out here and drawn with Matplotlib.
"""

from __future__ import annotations

import importlib.util
import logging
import random
import shutil
from collections import defaultdict
from collections.abc import Mapping
from dataclasses import dataclass, field
from itertools import pairwise
from pathlib import Path
from typing import Any

import keras
from matplotlib.axes import Axes
from matplotlib.patches import FancyBboxPatch, Patch

from galaxycnn.errors import UserError
from galaxycnn.files import atomic_path
from galaxycnn.plots.style import BLUE, GREEN, GREY, INK, ORANGE, PINK, RED, SKY, YELLOW, check_format, picture

logger = logging.getLogger("galaxycnn")

WIDTH, HEIGHT, GAP_X, GAP_Y, TITLE, LEGEND = 2.7, 0.56, 0.3, 0.36, 0.6, 0.5
"""Sizes in inches: of a layer's box, the space between boxes beside and below each other, and of the space for
the title above and the legend below."""

KINDS: dict[str, tuple[str, tuple[str, ...]]] = {
    "input": (GREY, ("Input",)),
    "preprocessing": (SKY, ("Rescaling", "Resizing", "Random", "Crop")),
    "pooling": (GREEN, ("Pooling",)),
    "convolution": (BLUE, ("Conv",)),
    "dense": (RED, ("Dense", "Maxout")),
    "normalisation": (PINK, ("Normalization",)),
    "dropout": (YELLOW, ("Dropout", "Noise")),
    "joining and gating": (ORANGE, ("Concatenate", "Multiply", "Add", "Average", "Lambda", "Gate")),
    "other": ("#BBBBBB", ("",)),
}
"""The colour of each kind of layer, and the words by which the class names of its layers are known."""


def draw_network(model: keras.Model, path: str | Path) -> Path:
    """Draw the layers of a model with their names, output shapes and parameter counts.

    Args:
        model: a functional or sequential model that has been built.
        path: where to write; its ending (``.png``, ``.pdf``, ``.svg``) decides the format.

    Raises:
        UserError: another ending, or a model whose layers form no graph (subclassed or not built).

    Example:
        >>> import tempfile
        >>> model = keras.Sequential([keras.Input((8,)), keras.layers.Dense(3)])
        >>> draw_network(model, f"{tempfile.mkdtemp()}/network.png").name
        'network.png'
    """
    check_format(path)
    graph = LayerGraph.of(model)
    if not (graphviz_available() and _drawn_by_graphviz(model, path)):
        _draw(graph, model, path)
    return Path(path)


def graphviz_available() -> bool:
    """Whether Keras can draw with Graphviz: the ``dot`` program and the ``pydot`` package are installed."""
    return shutil.which("dot") is not None and importlib.util.find_spec("pydot") is not None


def _drawn_by_graphviz(model: keras.Model, path: str | Path) -> bool:
    try:
        with atomic_path(path) as temporary:
            keras.utils.plot_model(model, temporary, show_shapes=True, show_layer_names=True, dpi=150)
    except Exception as problem:  # whatever a broken installation of Graphviz raises, the run goes on
        logger.warning("Graphviz could not draw %s, so it is drawn without it: %s", path, problem)
        return False
    return True


@dataclass(eq=False)
class Node:
    """A layer at one place of the graph, or, with ``layer`` None, a bend of an arrow that passes a level."""

    layer: Any = None
    sources: list[Node] = field(default_factory=list)
    level: int = 0
    x: float = 0.0

    @property
    def width(self) -> float:
        return WIDTH if self.layer is not None else 0.3


class LayerGraph:
    """The nodes of a model in levels: every node one level below the lowest of its sources, or lower.

    Laid out in the manner of Sugiyama, Tagawa & Toda (1981, IEEE Trans. SMC 11, 109): longest-path levels,
    arrows over several levels bend at a node in each, and nodes stand as near as they fit to the
    mean place of their neighbours.
    """

    def __init__(self, nodes: list[Node]) -> None:
        self.layers = nodes
        self.levels: list[list[Node]] = [[] for _ in range(1 + max(node.level for node in nodes))]
        for node in nodes:
            self.levels[node.level].append(node)
        self.arrows = [self._route(source, node) for node in nodes for source in node.sources]
        self._place()

    @classmethod
    def of(cls, model: keras.Model) -> LayerGraph:
        """Follow a model's outputs back to its inputs."""
        functional = getattr(model, "_functional", None) or model
        if not hasattr(functional, "_nodes") or not getattr(functional, "outputs", None):
            raise UserError(f"cannot draw the network {model.name!r}: build it as a functional model first")
        found: dict[tuple[int, int], Node] = {}

        def visit(tensor: Any) -> Node:
            layer, index, _ = tensor._keras_history
            key = id(layer), index
            if key not in found:
                inputs = layer._inbound_nodes[index].input_tensors
                sources = list(dict.fromkeys(visit(source) for source in inputs))
                level = 1 + max((source.level for source in sources), default=-1)
                found[key] = Node(layer, sources, level)
            return found[key]

        for output in keras.tree.flatten(functional.outputs):
            visit(output)
        return cls(list(found.values()))

    def _route(self, source: Node, target: Node) -> list[Node]:
        """The nodes that the arrow between two layers passes, with a bend in every level between."""
        bends = [Node(level=level) for level in range(source.level + 1, target.level)]
        for bend in bends:
            self.levels[bend.level].append(bend)
        return [source, *bends, target]

    def _place(self, starts: int = 12, sweeps: int = 24) -> None:
        """Keep the places with the least sideways way of all arrows, out of several random beginnings."""
        above, below = defaultdict(list), defaultdict(list)
        steps = [step for arrow in self.arrows for step in pairwise(arrow)]
        for upper, lower in steps:
            above[lower].append(upper)
            below[upper].append(lower)
        generator = random.Random(0)
        least, best = float("inf"), list[list[tuple[Node, float]]]()
        for _ in range(starts):
            levels = [list(level) for level in self.levels]
            for level in levels:
                generator.shuffle(level)
                _spread(level, [float(i) for i in range(len(level))])
            for sweep in range(sweeps):
                downward = sweep % 2 == 0
                for level in levels if downward else levels[::-1]:
                    _settle(level, above if downward else below)
            sideways = sum(abs(upper.x - lower.x) for upper, lower in steps)
            if sideways < least - 1e-6:
                least, best = sideways, [[(node, node.x) for node in level] for level in levels]
        self.levels = [[node for node, _ in level] for level in best]
        for node, x in (placed for level in best for placed in level):
            node.x = x


def _settle(level: list[Node], neighbours: Mapping[Node, list[Node]]) -> None:
    """Order and place the nodes of a level by the mean place of their neighbours."""
    wanted = {node: _mean([n.x for n in neighbours.get(node, ())], node.x) for node in level}
    level.sort(key=wanted.__getitem__)
    _spread(level, [wanted[node] for node in level])


def _mean(values: list[float], otherwise: float) -> float:
    return sum(values) / len(values) if values else otherwise


def _spread(level: list[Node], wanted: list[float]) -> None:
    """Give the nodes the places nearest to ``wanted``, in the least squares, that keep them apart in this order.

    With the widths subtracted this is isotonic regression, solved by pooling adjacent violators.
    """
    starts = [0.0]
    for left, right in pairwise(level):
        starts.append(starts[-1] + (left.width + right.width) / 2 + GAP_X)
    blocks: list[list[float]] = []
    for place, start in zip(wanted, starts, strict=True):
        blocks.append([place - start])
        while len(blocks) > 1 and _mean(blocks[-2], 0) > _mean(blocks[-1], 0):
            blocks[-2:] = [blocks[-2] + blocks[-1]]
    pooled = [_mean(block, 0) for block in blocks for _ in block]
    for node, start, place in zip(level, starts, pooled, strict=True):
        node.x = start + place


def kind_of(layer: Any) -> str:
    """The kind of a layer, one of :data:`KINDS`, from the words in its class name.

    Example:
        >>> kind_of(keras.layers.Conv2D(8, 3)), kind_of(keras.layers.GlobalMaxPooling2D())
        ('convolution', 'pooling')
    """
    name = type(layer).__name__
    return next(kind for kind, (_, words) in KINDS.items() if any(word in name for word in words))


def _draw(graph: LayerGraph, model: keras.Model, path: str | Path) -> None:
    nodes = [node for level in graph.levels for node in level]
    left = min(node.x - node.width / 2 for node in nodes)
    right = max(node.x + node.width / 2 for node in nodes)
    depth = len(graph.levels) * (HEIGHT + GAP_Y) + LEGEND
    width, height = max(right - left + 2 * GAP_X, 4.5), depth + TITLE
    with picture(path, width, height, f"{model.name}: {model.count_params():,} parameters") as figure:
        figure.set_layout_engine("none")
        axes = figure.add_axes((0, 0, 1, depth / height))
        axes.set_axis_off()
        centre = (left + right) / 2
        axes.set(xlim=(centre - width / 2, centre + width / 2), ylim=(0.05 - depth, 0.05))
        for arrow in graph.arrows:
            _arrow(axes, arrow)
        for node in graph.layers:
            _box(axes, node)
        present = {kind_of(node.layer) for node in graph.layers}
        handles = [Patch(color=colour, label=kind) for kind, (colour, _) in KINDS.items() if kind in present]
        axes.legend(handles=handles, loc="lower center", ncols=4, handlelength=1)


def _top(node: Node) -> float:
    return -node.level * (HEIGHT + GAP_Y)


def _arrow(axes: Axes, nodes: list[Node]) -> None:
    """From below the first node to above the last, straight down past the boxes of the levels between."""
    source, *bends, target = nodes
    points = [(source.x, _top(source) - HEIGHT)]
    for bend in bends:
        points += [(bend.x, _top(bend)), (bend.x, _top(bend) - HEIGHT)]
    axes.plot(*zip(*points, strict=True), color=GREY, linewidth=1.1, zorder=1)
    head = {"arrowstyle": "-|>", "color": GREY, "linewidth": 1.1, "shrinkA": 0, "shrinkB": 0}
    axes.annotate("", (target.x, _top(target)), points[-1], arrowprops=head, zorder=1)


def _box(axes: Axes, node: Node) -> None:
    layer, top = node.layer, _top(node)
    colour = KINDS[kind_of(layer)][0]
    left = node.x - WIDTH / 2
    box: dict[str, Any] = {"boxstyle": "round,pad=0,rounding_size=0.06", "linewidth": 1.0, "zorder": 2}
    axes.add_patch(FancyBboxPatch((left, top - HEIGHT), WIDTH, HEIGHT, facecolor="white", edgecolor=colour, **box))
    axes.add_patch(FancyBboxPatch((left, top - HEIGHT), 0.1, HEIGHT, facecolor=colour, edgecolor=colour, **box))
    axes.text(left + 0.18, top - 0.17, type(layer).__name__, fontsize=8.5, fontweight="bold", va="center", color=INK)
    axes.text(left + WIDTH - 0.08, top - 0.17, _shortened(layer), fontsize=7, va="center", ha="right", color=GREY)
    shapes = ", ".join(_shape(tensor) for tensor in keras.tree.flatten(layer.output))
    axes.text(left + 0.18, top - 0.39, shapes, fontsize=8, va="center", color=INK)
    if layer.count_params():
        count = f"{layer.count_params():,} parameters"
        axes.text(left + WIDTH - 0.08, top - 0.39, count, fontsize=7, va="center", ha="right", color=INK)


def _shortened(layer: Any) -> str:
    """The layer's name, cut to the space that the name of its class leaves in the box."""
    space = int((WIDTH - 0.35 - 0.085 * len(type(layer).__name__)) / 0.06)
    return layer.name if len(layer.name) <= space else f"{layer.name[: max(space - 1, 0)]}…"


def _shape(tensor: Any) -> str:
    return " x ".join(str(size) for size in tensor.shape[1:]) or "scalar"
