"""A submission to Kaggle's Galaxy Challenge: every image of a folder predicted, in the form that it takes."""

from __future__ import annotations

from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from functools import partial
from pathlib import Path

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from galaxycnn.config import Config
from galaxycnn.config.schema import DataPreprocessing
from galaxycnn.data.cache import read_cutout
from galaxycnn.data.dataset import Part
from galaxycnn.data.label_files import list_images
from galaxycnn.ensembles import Ensemble, load_ensemble
from galaxycnn.errors import DataError, UserError
from galaxycnn.files import atomic_path
from galaxycnn.progress import progress_bar
from galaxycnn.tree import GALAXY_ZOO_2
from galaxycnn.views import ahead

HEADER = ("GalaxyID", *GALAXY_ZOO_2.columns)
TEST_GALAXIES = 79_975
"""Images in the challenge's test set."""

NAMED = 5
"""How many unusable images or galaxies a message names."""

Images = NDArray[np.uint8]


@dataclass(frozen=True)
class Submission:
    """A file that was written and read back.

    Attributes:
        path: the file.
        galaxies: its rows.
        views: how many views of each galaxy were averaged.
    """

    path: Path
    galaxies: int
    views: int

    def __str__(self) -> str:
        whole = self.galaxies == TEST_GALAXIES
        test_set = "the challenge's test set" if whole else f"the challenge's test set has {TEST_GALAXIES:,}"
        views = f", each from {self.views} views" if self.views > 1 else ""
        return f"{self.path}: {self.galaxies:,} galaxies{views}; {test_set}"


def submit(
    model: str | Path,
    images: str | Path,
    output: str | Path = "submission.csv",
    *,
    views: int | None = None,
    sample: str | Path | None = None,
) -> Submission:
    """Predict every image of a folder and write the challenge's CSV: ``GalaxyID,Class1.1,…,Class11.6``.

    All images are read once to find those that cannot be used before any is predicted; then they are decoded again as
    they are needed, so that memory and disk hold a few hundred at a time. The file is read back and
    checked before it takes its name.

    Args:
        model: a ``.keras`` or ``.h5`` file or an ``.ensemble.yaml``, of networks that answer all 37 columns.
        images: folder of images named ``<GalaxyID>.jpg``.
        output: the file to write.
        views: views of each galaxy to average (60 as the winner of the challenge); None for as many as
            the model's configuration says.
        sample: the challenge's sample submission (``all_zeros_benchmark.csv``), whose galaxies and order the file
            then has; None for all images, ids ascending.

    Raises:
        UserError: the model answers other questions, images cannot be used, or they are not those of the sample.
    """
    ensemble = load_ensemble(model)
    if ensemble.tree is None or ensemble.tree.columns != GALAXY_ZOO_2.columns:
        asked = ", ".join(question.name for question in ensemble.tree.questions) if ensemble.tree else "other questions"
        raise UserError(f"{model} answers {asked}; a submission has the answers to Class1 … Class11")
    files = _image_files(Path(images))
    ids = _in_order(files) if sample is None else _ids_of_sample(Path(sample), files, Path(images))
    paths = [files[name] for name in ids]
    _check_readable(ensemble, paths)

    def part_for(config: Config) -> Part:
        cutouts = Cutouts(paths, config.data_preprocessing)
        no_labels = np.zeros((len(paths), 0), np.float32)
        return Part("submission", np.array(ids), cutouts, np.arange(len(paths)), no_labels)  # type: ignore[arg-type]

    predicted = ensemble.predict(GALAXY_ZOO_2, part_for, views).mean.clip(0, 1)
    table = pd.DataFrame(predicted, columns=list(GALAXY_ZOO_2.columns))
    table.insert(0, "GalaxyID", ids)
    with atomic_path(output) as temporary:
        table.to_csv(temporary, index=False, float_format="%.7f", lineterminator="\n")
        check_submission(temporary, ids)
    return Submission(Path(output), len(ids), views or ensemble.views)


def check_submission(path: str | Path, ids: Sequence[str]) -> None:
    """Whether a file is what the challenge takes: its header, these galaxies in this order, fractions in 0…1.

    Raises:
        DataError: it is not.
    """
    table = pd.read_csv(path, dtype={"GalaxyID": str})
    _check_header(path, table)
    if table["GalaxyID"].tolist() != list(ids):
        raise DataError(f"{path}: has {len(table)} rows that are not those of the {len(ids)} galaxies, in their order")
    values = table[list(HEADER[1:])].to_numpy(dtype=np.float64)
    wrong = ~((values >= 0) & (values <= 1))
    if wrong.any():
        row, column = np.argwhere(wrong)[0]
        raise DataError(f"{path}: {HEADER[column + 1]} of galaxy {ids[row]} is {values[row, column]}, not in 0…1")


def _check_header(path: str | Path, table: pd.DataFrame) -> None:
    if tuple(table.columns) != HEADER:
        raise DataError(f"{path}: its header is not that of the challenge, {HEADER[0]},{HEADER[1]},…,{HEADER[-1]}")


# -- galaxies and their images -------------------------------------------------------------------


class Cutouts:
    """The cutouts of image files, decoded whenever they are asked for: indexed like an array of them.

    Args:
        paths: the image files.
        preprocessing: how a cutout is made.

    Example:
        >>> Cutouts([], DataPreprocessing(img_size=[16, 16])).shape
        (0, 16, 16, 3)
    """

    dtype = np.dtype(np.uint8)

    def __init__(self, paths: Sequence[Path], preprocessing: DataPreprocessing) -> None:
        self.paths = paths
        self.preprocessing = preprocessing

    @property
    def shape(self) -> tuple[int, int, int, int]:
        return len(self.paths), *self.preprocessing.input_shape

    def __getitem__(self, rows: NDArray[np.intp]) -> Images:
        return np.stack([read_cutout(self.paths[row], self.preprocessing) for row in rows])


def _image_files(folder: Path) -> dict[str, Path]:
    """The images of a folder by galaxy id."""
    if not folder.is_dir():
        raise DataError(f"there is no folder of images at {folder}")
    files: dict[str, Path] = {}
    for path in list_images(folder).values():
        if path.stem in files:
            raise DataError(f"{folder} has two images of galaxy {path.stem}: {files[path.stem].name} and {path.name}")
        files[path.stem] = path
    return files


def _in_order(files: dict[str, Path]) -> list[str]:
    """Ids ascending: as numbers, as the challenge's are, and others after them as text."""
    return sorted(files, key=lambda name: (0, int(name), name) if name.isdecimal() else (1, 0, name))


def _ids_of_sample(sample: Path, files: dict[str, Path], folder: Path) -> list[str]:
    """The galaxies of a sample submission, in its order."""
    if not sample.is_file():
        raise DataError(f"there is no sample submission at {sample}")
    table = pd.read_csv(sample, dtype=str, keep_default_na=False)
    _check_header(sample, table)
    ids = table["GalaxyID"].tolist()
    if len(set(ids)) < len(ids):
        raise DataError(f"{sample} has galaxy {table['GalaxyID'][table['GalaxyID'].duplicated()].iloc[0]} twice")
    absent, others = [name for name in ids if name not in files], sorted(files.keys() - set(ids))
    if absent:
        raise DataError(f"{folder} has no image of {_some(absent, 'galaxy')} of {sample}")
    if others:
        raise DataError(f"{sample} has no row for {_some(others, 'image')} of {folder}")
    return ids


def _check_readable(ensemble: Ensemble, paths: list[Path]) -> None:
    """Decode every image once for each way in which the members prepare them.

    Raises:
        DataError: some cannot be used; they are named.
    """
    keys = ("crop", "crop_size", "img_size", "grayscale")
    prepared = {str(m.config.data_preprocessing.model_dump(include=set(keys))): m.config for m in ensemble.members}
    bad: dict[str, str] = {}
    with progress_bar() as bar, ThreadPoolExecutor() as pool:
        task = bar.add_task("Checking images", total=len(prepared) * len(paths))
        for config in prepared.values():
            for path, problem in zip(paths, ahead(pool, partial(_problem, config), paths, depth=256), strict=True):
                if problem is not None:
                    bad.setdefault(path.name, problem)
                bar.advance(task)
    if bad:
        raise DataError(f"{_some(list(bad), 'image')} cannot be used ({next(iter(bad.values()))})")


def _problem(config: Config, path: Path) -> str | None:
    try:
        read_cutout(path, config.data_preprocessing)
    except DataError as error:
        return str(error)
    return None


def _some(names: list[str], noun: str) -> str:
    named = ", ".join(names[:NAMED])
    plural = {"galaxy": "galaxies", "image": "images"}[noun]
    if len(names) == 1:
        return f"1 {noun} ({named})"
    return f"{len(names):,} {plural} ({named}{', …' if len(names) > NAMED else ''})"
