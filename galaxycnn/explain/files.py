"""Image files explained by a saved model: figures, a table of where it looks, and the mean over all of them."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import NamedTuple

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from galaxycnn.config.schema import DataPreprocessing
from galaxycnn.data.generator import INPUTS
from galaxycnn.errors import DataError
from galaxycnn.explain.explaining import Explanation, explain
from galaxycnn.explain.method import make_method
from galaxycnn.explain.network import Images, Inputs, Network
from galaxycnn.files import atomic_path
from galaxycnn.models.saving import load_model, read_recipe
from galaxycnn.plots.explanation import Panel, explanation_tree
from galaxycnn.predicting.images import Source, as_images, check_inputs
from galaxycnn.predicting.opening import Opener
from galaxycnn.predicting.preparing import Preparer
from galaxycnn.progress import progress_bar
from galaxycnn.tree import DecisionTree

TABLE, MEAN = "attention.csv", "mean.png"
"""The names of the table, and of the figure of the mean maps."""
NUMBERS = "Numbers are fractions of those who were asked. Pale: questions that the galaxy does not come to."


@dataclass(frozen=True)
class Explained:
    """What was written.

    Attributes:
        folder: where.
        table: the rows of ``attention.csv``, one for each galaxy and question: the image, the question, the answer
            and its value, whether the galaxy comes to the question, the shares of the attention that fall on the
            ``galaxy``, on ``other_sources`` and on the ``sky``, and the share of the cutout that the galaxy covers.
        figures: the figures of single galaxies.
        problems: why images were left out, by their names.
    """

    folder: Path
    table: pd.DataFrame
    figures: list[Path]
    problems: dict[str, str]

    def by_question(self) -> pd.DataFrame:
        """Of each question, over the galaxies that come to it: how many, and the means of the four shares."""
        reached = self.table[self.table["reached"]]
        groups = reached.groupby("question", sort=False)
        return groups[["galaxy", "other_sources", "sky", "area"]].mean().assign(galaxies=groups.size())


def explain_files(
    model: str | Path,
    images: Sequence[str | Path],
    folder: str | Path,
    *,
    questions: Sequence[str] | None = None,
    method: str = "gradcam",
    layer: str | None = None,
    figures: int = 25,
) -> Explained:
    """Explain a model's answers for images, and write what it looks at into a folder.

    ``<image>.png`` is one galaxy with the map of each question, ``attention.csv`` says how much of each map falls on
    the galaxy, and ``mean.png`` shows the mean map of each question over the galaxies that come to it.

    Args:
        model: a ``.keras`` or ``.h5`` file, which says how cutouts are prepared.
        images: as :func:`galaxycnn.predict` takes them: image files (FITS, too), folders, patterns, lists, HDF5 files.
        folder: where to write.
        questions: names or keys of questions (``"bar"``), or names of quantities; None for all.
        method: a name of :data:`galaxycnn.registry.EXPLANATIONS`.
        layer: the layer to look at, where the method looks at one.
        figures: for how many galaxies a figure is drawn; the table and the mean are of all.

    Raises:
        UserError: the model, the question or the method cannot be used, or none of the images.
    """
    recipe = read_recipe(model)
    settings = recipe.config.data_preprocessing
    network = Network(load_model(model), recipe.tree)
    names, chosen = network.asked(questions), make_method(method, layer)
    source, folder = as_images(images), Path(folder)
    check_inputs(source, settings.inputs)
    _check_names(source)
    title = f"explained by {Path(model).stem} ({method})"
    tables: list[pd.DataFrame] = []
    drawn: list[Path] = []
    problems: dict[str, str] = {}
    mean = _Mean(recipe.tree, names)
    with progress_bar() as bar:
        task = bar.add_task("Explaining", total=len(source))
        for galaxies in _batches(source, settings, chosen.galaxies, problems):
            explained = explain(network.model, recipe.tree, galaxies.cutouts, names, chosen, inputs=galaxies.inputs)
            tables.append(attention_table(explained, galaxies.ids))
            mean.add(explained)
            for galaxy, name in enumerate(galaxies.ids):
                if len(drawn) < figures:
                    drawn.append(draw_galaxy(explained, galaxy, folder / f"{name}.png", f"Galaxy {name} {title}"))
                bar.advance(task)
        bar.advance(task, len(problems))
    if not tables:
        name, reason = next(iter(problems.items()))
        raise DataError(f"none of {len(source)} images can be used; {name}: {reason}")
    table = pd.concat(tables, ignore_index=True)
    with atomic_path(folder / TABLE) as temporary:
        table.to_csv(temporary, index=False, float_format="%.4f")
    if mean.galaxies > 1:
        mean.draw(table, folder / MEAN, f"Mean of {mean.galaxies:,} galaxies {title}")
    return Explained(folder, table, drawn, problems)


def attention_table(explained: Explanation, ids: Sequence[str]) -> pd.DataFrame:
    """One row for each galaxy and question, see :class:`Explained`."""
    shares = explained.regions.shares(explained.attention)
    rows = {
        "image": np.repeat(ids, len(explained.names)),
        "question": np.tile(explained.names, len(ids)),
        "answer": [explained.answer(galaxy, name) for galaxy in range(len(ids)) for name in explained.names],
        "value": explained.values.ravel(),
        "reached": explained.reached.ravel(),
    }
    return pd.DataFrame({**rows, **{name: share.ravel() for name, share in shares.items()}})


def draw_galaxy(explained: Explanation, galaxy: int, path: Path, title: str) -> Path:
    """The figure of one galaxy of ``explained``."""
    image = explained.cutouts[galaxy]
    panels = [
        Panel(
            name,
            _heading(explained.tree, name),
            f"{explained.answer(galaxy, name)} {explained.values[galaxy, i]:.2f}".strip(),
            image,
            explained.maps[i, galaxy],
            bool(explained.reached[galaxy, i]),
        )
        for i, name in enumerate(explained.names)
    ]
    root = Panel("", "", "what the network sees", image, None)
    return explanation_tree(explained.tree, root, panels, path, title=title, note=NUMBERS)


def _heading(tree: DecisionTree, name: str) -> str:
    return next((question.text for question in tree.questions if question.name == name), name)


# -- images --------------------------------------------------------------------------------------


class _Galaxies(NamedTuple):
    """Ids, cutouts, and what the network is given besides, of some images."""

    ids: list[str]
    cutouts: Images
    inputs: Inputs


def _batches(source: Source, settings: DataPreprocessing, size: int, problems: dict[str, str]) -> Iterator[_Galaxies]:
    """The images that can be used; ``problems`` takes the others."""
    for batch in Preparer({"": settings}, Opener()).batches(source, size):
        numbers = np.array([batch.numbers(name) for name in settings.inputs]).reshape(-1, len(batch)).T
        known = np.isfinite(numbers).all(axis=1)
        for item, reason, complete in zip(batch.items, batch.reasons, known, strict=True):
            if reason or not complete:
                problems[item.id] = reason or f"the network needs {', '.join(settings.inputs)}"
        usable = batch.readable & known
        if usable.any():
            ids = [item.id for item, used in zip(batch.items, usable, strict=True) if used]
            yield _Galaxies(ids, batch.cutouts[""][usable], {INPUTS: numbers[usable]} if settings.inputs else {})


def _check_names(source: Source) -> None:
    """Refuse what would give two figures one name."""
    files: dict[str, str] = {MEAN.removesuffix(".png"): f"the figure of the mean ({MEAN})"}
    for item in source:
        if item.id in files:
            raise DataError(f"{item.file}: {files[item.id]} is called {item.id!r} as well")
        files[item.id] = item.file


# -- the mean ------------------------------------------------------------------------------------


@dataclass
class _Mean:
    """Sums of cutouts and of attention over the galaxies that come to each question."""

    tree: DecisionTree
    names: tuple[str, ...]
    galaxies: int = 0
    light: NDArray[np.float64] | float = 0.0
    lights: dict[str, NDArray[np.float64]] = field(default_factory=dict)
    heats: dict[str, NDArray[np.float64]] = field(default_factory=dict)
    counts: dict[str, int] = field(default_factory=dict)

    def add(self, explained: Explanation) -> None:
        self.galaxies += len(explained.cutouts)
        self.light = self.light + explained.cutouts.sum(axis=0, dtype=np.float64)
        for name, attention, reached in zip(self.names, explained.attention, explained.reached.T, strict=True):
            lights = explained.cutouts[reached].sum(axis=0, dtype=np.float64)
            heat = np.nan_to_num(attention[reached]).sum(axis=0, dtype=np.float64)
            self.lights[name] = self.lights.get(name, 0) + lights
            self.heats[name] = self.heats.get(name, 0) + heat
            self.counts[name] = self.counts.get(name, 0) + int(reached.sum())

    def draw(self, table: pd.DataFrame, path: Path, title: str) -> Path:
        """The mean map of each question over the mean of the galaxies that come to it."""
        shares = table[table["reached"]].groupby("question")["galaxy"].mean()
        panels = [self._panel(name, float(shares.get(name, np.nan))) for name in self.names]
        root = Panel("", "", "mean of all cutouts", _image(self.light, self.galaxies), None)
        note = "Maps over the n galaxies that come to each question, and how much of them falls on the galaxy."
        return explanation_tree(self.tree, root, panels, path, title=title, note=note)

    def _panel(self, name: str, share: float) -> Panel:
        count, heading = self.counts[name], _heading(self.tree, name)
        if not count:
            return Panel(name, heading, "no galaxy", np.zeros_like(_image(self.light, 1)), None, reached=False)
        image = _image(self.lights[name], count)
        return Panel(name, heading, f"{share:.0%} on galaxy, n = {count:,}", image, self.heats[name] / count)


def _image(light: NDArray[np.float64] | float, galaxies: int) -> NDArray[np.uint8]:
    return np.round(np.asarray(light) / galaxies).clip(0, 255).astype(np.uint8)
