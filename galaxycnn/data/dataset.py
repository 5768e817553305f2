"""From a configuration to arrays: three parts of galaxies with their pixels and targets."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from galaxycnn.config.schema import Config, DataPreprocessing, Paths
from galaxycnn.data.cache import Cutouts, load_cutouts
from galaxycnn.data.catalogue import Catalogue, Problem, read_catalogue
from galaxycnn.data.leaks import LeakReport, Neighbours, find_leaks, find_neighbours, load_twins
from galaxycnn.data.sampling import balance, class_numbers, oversample
from galaxycnn.data.split import Split, make_split
from galaxycnn.data.targets import Targets, make_targets
from galaxycnn.errors import DataError
from galaxycnn.tree import DecisionTree


@dataclass(frozen=True)
class Part:
    """Galaxies that are used for one purpose.

    Args:
        name: ``train``, ``validation``, ``test`` or ``all``.
        ids: names, shape (galaxies,).
        images: uint8 cutouts of this and all other parts, shape (images, height, width, channels),
            memory-mapped.
        rows: where this part's galaxies stand in ``images``, shape (galaxies,).
        fractions: float32 targets, shape (galaxies, columns); NaN where an answer is not known.
        quantities: float32 numbers to learn, shape (galaxies, quantities); NaN where one is not known.
        inputs: float32 numbers that the network is given, shape (galaxies, inputs).
    """

    name: str
    ids: NDArray[np.str_]
    images: NDArray[np.uint8]
    rows: NDArray[np.intp]
    fractions: NDArray[np.float32]
    quantities: NDArray[np.float32] = None  # type: ignore[assignment]
    inputs: NDArray[np.float32] = None  # type: ignore[assignment]

    def __post_init__(self) -> None:
        for name in ("quantities", "inputs"):
            if getattr(self, name) is None:
                object.__setattr__(self, name, np.zeros((len(self.ids), 0), np.float32))

    def __len__(self) -> int:
        return len(self.ids)

    def only(self, positions: NDArray[np.integer]) -> Part:
        """The galaxies at these positions of the part, in this order; one may come several times."""
        per_galaxy = ("ids", "rows", "fractions", "quantities", "inputs")
        return replace(self, **{name: getattr(self, name)[positions] for name in per_galaxy})

    def once(self) -> tuple[Part, NDArray[np.intp]]:
        """The galaxies of the part, each once, and the position among them of each galaxy of the part.

        Example:
            >>> ids, images = np.array(["b", "a", "b"]), np.zeros((2, 8, 8, 3), np.uint8)
            >>> part = Part("train", ids, images, np.array([1, 0, 1]), np.zeros((3, 0), np.float32))
            >>> single, positions = part.once()
            >>> single.ids.tolist(), positions.tolist()
            (['b', 'a'], [0, 1, 0])
        """
        _, first, same = np.unique(self.ids, return_index=True, return_inverse=True)
        order = np.argsort(first)
        return self.only(first[order]), np.argsort(order)[same]

    def pixels(self, indices: NDArray[np.integer] | Sequence[int] | slice = slice(None)) -> NDArray[np.uint8]:
        """Cutouts of the galaxies at these positions of the part: uint8 (galaxies, height, width, channels)."""
        return self.images[self.rows[indices]]


@dataclass(frozen=True)
class GalaxyData:
    """Everything that training and evaluation need.

    Args:
        tree: the questions that the columns of ``fractions`` answer.
        train, validation, test: the parts; no galaxy is in two of them, and none comes twice in one but where
            ``train`` is over-sampled.
        problems: what was left out because it could not be used.
        leaks: galaxies of different parts whose images look the same.
        quantities: what the columns of a part's ``quantities`` are.
        inputs: what the columns of a part's ``inputs`` are.
    """

    tree: DecisionTree
    train: Part
    validation: Part
    test: Part
    problems: list[Problem]
    leaks: LeakReport
    quantities: tuple[str, ...] = ()
    inputs: tuple[str, ...] = ()

    @property
    def parts(self) -> tuple[Part, ...]:
        """Train, validation and test; those that have galaxies."""
        return tuple(part for part in (self.train, self.validation, self.test) if len(part))

    @property
    def once(self) -> GalaxyData:
        """The same with each galaxy of an over-sampled training part once, as it is to be measured."""
        return replace(self, train=self.train.once()[0])

    def by_quantity(self, part: Part) -> dict[str, NDArray[np.float32]]:
        """The quantities of a part's galaxies by name, each of shape (galaxies,)."""
        return dict(zip(self.quantities, part.quantities.T, strict=True))

    def __str__(self) -> str:
        counts = ", ".join(f"{part.name} {len(part):,}" for part in self.parts)
        if len(set(self.train.ids)) < len(self.train):
            counts += f" ({len(set(self.train.ids)):,} different ones to train on)"
        kinds = Counter(problem.kind for problem in self.problems)
        left_out = ", ".join(f"{count:,} {kind}" for kind, count in kinds.items()) or "none"
        return f"galaxies: {counts}; left out: {left_out}; {self.leaks}"

    @property
    def split(self) -> Split:
        """The ids of the parts, each once, to be saved beside the run."""
        return Split(*(list(dict.fromkeys(part.ids.tolist())) for part in (self.train, self.validation, self.test)))


def prepare(config: Config, split: Split | None = None) -> GalaxyData:
    """Read, check, decode and split the galaxies that a configuration describes.

    Images are decoded on the first call and memory-mapped after that. Where ``config.simulation`` is
    set and there is nothing at ``paths.images_path``, the survey is simulated first.

    Args:
        split: a saved split to use; None takes ``data_preprocessing.split_file``, or draws one from ``config.seed``,
            out of a balanced sample of the galaxies where ``data_preprocessing.sampling`` says so.

    Raises:
        DataError: the data cannot be used, a part is empty, or two parts share an image.
    """
    preprocessing = config.data_preprocessing
    simulate_if_absent(config)
    galaxies = load_galaxies(preprocessing, config.paths)
    if split is None:
        split = draw_split(galaxies, preprocessing, config.seed)
    parts = {name: galaxies.part(name, rows) for name, rows in split.rows(galaxies.ids).items()}
    for name in ("train", "test"):
        if not len(parts[name]):
            raise DataError(f"the split has no galaxies for {name}")
    leaks = find_leaks(parts, galaxies.cutouts.digests, load_twins(galaxies.cutouts), galaxies.neighbours)
    if preprocessing.sampling == "oversample":
        classes = class_numbers(galaxies.targets.tree, parts["train"].fractions)
        parts["train"] = parts["train"].only(oversample(classes, preprocessing.sampling_ratio, config.seed))
    return GalaxyData(
        galaxies.targets.tree,
        **parts,
        problems=galaxies.problems,
        leaks=leaks,
        quantities=tuple(preprocessing.quantities),
        inputs=tuple(preprocessing.inputs),
    )


def draw_split(galaxies: Galaxies, preprocessing: DataPreprocessing, seed: int) -> Split:
    """The split of the configuration's file or of its seed; extra galaxies train."""
    if preprocessing.split_file is not None:
        split = Split.load(preprocessing.split_file)
    else:
        ours = np.flatnonzero(~galaxies.extra)
        if preprocessing.sampling == "balanced":
            classes = class_numbers(galaxies.targets.tree, galaxies.targets.fractions[ours])
            ours = ours[balance(classes, seed)]
        strata = galaxies.targets.strata[ours] if preprocessing.stratify else None
        split = make_split(galaxies.ids[ours], strata, preprocessing.training_size, preprocessing.test_size, seed)
    return split.with_training(galaxies.ids[galaxies.extra])


def load_part(
    preprocessing: DataPreprocessing,
    images: str | Path,
    labels: str | Path | None,
    cache_path: str | Path,
) -> tuple[DecisionTree, Part]:
    """All galaxies of a folder as one part, to evaluate a saved model on.

    Args:
        preprocessing: how the model's training images were prepared; its ``min`` is not applied, so
            that uncertain galaxies count.

    Returns:
        The questions and the part.
    """
    preprocessing = preprocessing.model_copy(update={"min": None})
    paths = Paths(images_path=Path(images), labels_path=Path(labels) if labels is not None else None)
    galaxies = load_galaxies(preprocessing, paths.model_copy(update={"cache_path": Path(cache_path)}))
    return galaxies.targets.tree, galaxies.part("all", np.arange(len(galaxies.ids)))


# -- one folder of galaxies ----------------------------------------------------------------------


@dataclass(frozen=True)
class Galaxies:
    """The galaxies of a folder that can be used: catalogue, cutouts and targets joined."""

    catalogue: Catalogue
    cutouts: Cutouts
    targets: Targets

    @property
    def ids(self) -> NDArray[np.str_]:
        return self.catalogue.ids[self._rows]

    @property
    def extra(self) -> NDArray[np.bool_]:
        """Which galaxies are for training only: shape (galaxies,)."""
        return self._rows >= len(self.catalogue) - self.catalogue.extra

    @property
    def _rows(self) -> NDArray[np.intp]:
        return self.cutouts.keep[self.targets.rows]

    @property
    def neighbours(self) -> Neighbours | None:
        """Galaxies at one place in the sky, as rows of the catalogue, where the labels have ``ra`` and ``dec``."""
        columns = {str(name).lower(): str(name) for name in self.catalogue.numbers}
        if not {"ra", "dec"} <= set(columns):
            return None
        return find_neighbours(*self.catalogue.known([columns["ra"], columns["dec"]]).T)

    @property
    def problems(self) -> list[Problem]:
        return [*self.catalogue.problems, *self.cutouts.problems, *self.targets.problems]

    def part(self, name: str, positions: NDArray[np.intp]) -> Part:
        known = (self.targets.fractions, self.targets.quantities, self.targets.inputs)
        return Part(name, self.ids, self.cutouts.images, self._rows, *known).only(positions)


def load_galaxies(preprocessing: DataPreprocessing, paths: Paths) -> Galaxies:
    """Read a folder: catalogue, cutouts and targets.

    Raises:
        DataError: nothing can be used, or something cannot and ``on_bad_images`` is ``fail``.
    """
    fatal = preprocessing.on_bad_images == "fail"
    catalogue = read_catalogue(paths, preprocessing.layout, preprocessing.quantities)
    catalogue.known([*preprocessing.quantities, *preprocessing.inputs])  # before the images are decoded
    if fatal:
        _refuse(catalogue.problems)
    cutouts = load_cutouts(catalogue, preprocessing, paths.cache_path)
    if fatal:
        _refuse(cutouts.problems)
    targets = make_targets(catalogue.only(cutouts.keep), preprocessing)
    if fatal:
        _refuse(targets.problems)
    return Galaxies(catalogue, cutouts, targets)


def _refuse(problems: list[Problem]) -> None:
    if problems:
        first = problems[0]
        raise DataError(
            f"{len(problems)} galaxies cannot be used, first {first.name} ({first.kind}: {first.reason}); "
            "data_preprocessing.on_bad_images: skip leaves them out"
        )


def simulate_if_absent(config: Config) -> None:
    """Simulate the survey of ``config.simulation`` where there is nothing at ``paths.images_path``.

    Raises:
        DataError: the folder holds a survey simulated with other settings, or its name does not fit.
    """
    simulation, images = config.simulation, config.paths.images_path
    if simulation is None:
        return
    from galaxycnn.simulate.survey import IMAGES, STAMP, simulate_survey, survey_matches

    folder, settings = images.parent, simulation.model_dump()
    if not images.exists():
        if images.name != IMAGES:
            raise DataError(f"paths.images_path {images} must end in {IMAGES} for a survey to be simulated there")
        simulate_survey(folder, **settings)
    elif (folder / STAMP).exists() and not survey_matches(folder, **settings):
        raise DataError(
            f"{folder} holds a survey that was simulated with other settings than the section 'simulation' has: "
            "remove it, or set paths.images_path and paths.labels_path to a new folder"
        )
