"""Predicting images: a table in memory, or a file that grows with them and can be gone on with."""

from __future__ import annotations

import time
import warnings
from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import asdict, dataclass
from itertools import islice
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import pandas as pd
from PIL import Image

from galaxycnn.errors import DataError, UserError, nearest
from galaxycnn.predicting.fits_images import Planes
from galaxycnn.predicting.formats import typed, writer_of
from galaxycnn.predicting.images import Arrays, Item, Source, as_images, check_inputs
from galaxycnn.predicting.networks import Networks
from galaxycnn.predicting.opening import Opener
from galaxycnn.predicting.part_file import PartFile
from galaxycnn.predicting.preparing import Batch, Preparer
from galaxycnn.predicting.rows import FLAGS, Columns, Names
from galaxycnn.predicting.stretching import Stretch
from galaxycnn.predicting.tables import Meaning, beside, narrow, table_of
from galaxycnn.progress import progress_bar

BATCH = 256
"""Images that the networks are given at a time."""


@dataclass(frozen=True)
class Options:
    """How images are predicted; what an interrupted run must not change.

    Attributes:
        names: what columns of fractions are called: ``kaggle`` (``Class1.1``) or ``readable`` (``shape_smooth``).
        views: views of each image to average; None: as the model's configuration says.
        dropout: passes with Monte Carlo dropout (Gal and Ghahramani 2016), whose spread is stated; 0: none.
        stretch: of fluxes and pictures of 16 bits: see :class:`galaxycnn.predicting.stretching.Stretch`.
        planes: which planes of a FITS image are red, green and blue, counted from 1; None: as their filters say.
        batch: images that the networks are given at a time.
    """

    names: Names = "kaggle"
    views: int | None = None
    dropout: int = 0
    stretch: str = "auto"
    planes: Planes | None = None
    batch: int = BATCH

    def __post_init__(self) -> None:
        if self.names not in ("kaggle", "readable"):
            raise UserError(f"there are no names {self.names!r}{nearest(self.names, ('kaggle', 'readable'))}")
        if self.batch < 1 or self.dropout < 0 or (self.views is not None and self.views < 1):
            raise UserError("views and batch are at least 1, dropout at least 0")


@dataclass(frozen=True)
class Predicted:
    """A table that was written.

    Attributes:
        path: the file.
        images: its rows.
        flags: how many images have each flag.
        new: the rows that this run predicted; the others are of an interrupted one.
        seconds: how long that took.
    """

    path: Path
    images: int
    flags: dict[str, int]
    new: int
    seconds: float

    def __str__(self) -> str:
        found = ", ".join(f"{count:,} {flag}" for flag, count in sorted(self.flags.items())) or "none flagged"
        went_on = f", {self.images - self.new:,} of them before the interruption" if self.new < self.images else ""
        speed = f" ({self.new / self.seconds:,.0f} a second)" if self.new and self.seconds > 0 else ""
        return f"{self.path}: {self.images:,} images{went_on}{speed}; {found}"


def predict(
    images: Any,
    model: str | Path | None = None,
    *,
    names: Names = "kaggle",
    views: int | None = None,
    dropout: int = 0,
    stretch: str = "auto",
    planes: Planes | None = None,
    folder: str | Path | None = None,
    as_table: bool = False,
) -> pd.DataFrame | Any:
    """Predict galaxy images with a saved network or ensemble.

    Args:
        images: paths of image files, folders, patterns, HDF5 files and lists; a table of pandas or astropy with a
            column of files; arrays of uint8 (images, height, width[, channels]); images of Pillow's
            (:func:`galaxycnn.predicting.images.as_images`).
        model: a ``.keras``, ``.h5`` or ``.ensemble.yaml`` file; how cutouts are prepared is read from it.
        names: ``kaggle`` (``Class1.1``) or ``readable`` (``shape_smooth``).
        views: views of each image to average; None: as the model's configuration says.
        dropout: passes with Monte Carlo dropout; 0: none.
        stretch: ``auto``, ``asinh``, ``none`` or ``"MINIMUM,STRETCH,Q"``
            (:class:`galaxycnn.predicting.stretching.Stretch`).
        planes: which planes of a FITS image are red, green and blue, counted from 1.
        folder: what the names in a list are relative to; None: the folder of the list.
        as_table: return a table of astropy. Where one was given, it is that table, with its units, sky coordinates,
            masked values and metadata, and all but ``id`` and ``file`` of the following beside it.

    Returns:
        One row per image, in order: ``id``, ``file``, what a list knows of it, ``walk`` (the most likely path down the
        tree, in words), fractions 0…1 and with several views, passes or networks their ``_spread`` (standard
        deviation), quantities, ``flags`` (words of :data:`galaxycnn.predicting.flags.FLAGS`) and the ``reason`` why an
        image is unreadable; such a row has NaN.

    Raises:
        UserError: the model cannot be used, or there is nothing at a path.

    Example:
        >>> import galaxycnn
        >>> table = galaxycnn.predict("cutouts", "saved_models/quickstart.keras")  # doctest: +SKIP
        >>> from astropy.table import QTable
        >>> galaxies = QTable.read("galaxies.ecsv")  # doctest: +SKIP
        >>> found = galaxycnn.predict(galaxies, "saved_models/quickstart.keras", as_table=True)  # doctest: +SKIP
        >>> found[found["flags"] == ""].write("predicted.ecsv")  # doctest: +SKIP
    """
    whole = table_of(images) if as_table else None
    if whole is not None:
        folder = Path(images).parent if folder is None and isinstance(images, str | Path) else folder
        images = narrow(whole)
    run = Run.of(images, model, Options(names, views, dropout, stretch, planes), folder)
    with progress_bar() as bar:
        task = bar.add_task("Predicting", total=len(run.images))
        tables = []
        for rows, _ in run.tables():
            tables.append(rows)
            bar.advance(task, len(rows))
    predicted = typed(pd.concat(tables, ignore_index=True), run.columns.kinds)
    return beside(predicted, run.columns.given.values(), whole) if as_table else predicted


def predict_to_file(
    images: Any,
    output: str | Path,
    model: str | Path | None = None,
    options: Options | None = None,
    *,
    folder: str | Path | None = None,
    restart: bool = False,
) -> Predicted:
    """Predict any number of images into a file; memory does not grow with them.

    Rows are written as they come to ``<output>.part``, which becomes ``output`` at the end. An interrupted run goes on
    where it stopped when it is called again in the same way.

    Args:
        images, model, folder: as for :func:`predict`.
        output: its ending is the format: ``.csv``, ``.parquet``, ``.fits``, ``.vot`` or ``.xml`` (VOTable).
        options: how they are predicted.
        restart: forget the rows of an interrupted run.

    Raises:
        UserError: as for :func:`predict`; or the interrupted run had another model, other options or other images.
    """
    output, options = Path(output), options or Options()
    write = writer_of(output)
    run = Run.of(images, model, options, folder)
    made_with = {**asdict(options), "views": run.networks.views, "model": run.networks.digest}
    part = PartFile(output, made_with, list(run.columns.kinds), restart)
    before, count = part.rows, len(run.images)
    started = time.monotonic()
    with progress_bar() as bar:
        task = bar.add_task("Predicting", total=count, completed=before)
        items = iter(run.images)
        for item in islice(items, before):
            part.done(item)
        if before:
            part.check()
        for rows, batch in run.tables(items, before):
            part.append(rows, batch.items)
            bar.advance(task, len(rows))
    seconds = time.monotonic() - started
    flags = _counted(part.path)
    write(part.path, output, run.columns.kinds, run.meanings)
    part.forget()
    return Predicted(output, part.rows, flags, part.rows - before, seconds)


def _counted(path: Path) -> dict[str, int]:
    counts: Counter[str] = Counter()
    with pd.read_csv(path, usecols=[FLAGS], dtype=str, keep_default_na=False, chunksize=2**14) as parts:
        for part in parts:
            counts.update(flag for flags in part[FLAGS] for flag in flags.split())
    return dict(counts)


class Run(NamedTuple):
    """Images, the networks that predict them, and the columns of the table."""

    images: Source
    networks: Networks
    columns: Columns
    options: Options

    @classmethod
    def of(cls, images: Any, model: str | Path | None, options: Options, folder: str | Path | None) -> Run:
        """What is asked for; nothing is predicted yet."""
        stretch = Stretch.of(options.stretch)
        source = as_images(images, folder)
        if isinstance(source, Arrays) and stretch.kind == "auto":
            _refuse_fluxes(source)
        networks = Networks.load(model, options.views, options.dropout)
        check_inputs(source, networks.inputs)
        return cls(source, networks, Columns.of(networks, tuple(source.columns), options.names), options)

    @property
    def meanings(self) -> dict[str, Meaning]:
        """What is known of the columns that are carried through, by what they are called in the output."""
        return {self.columns.given[name]: meaning for name, meaning in self.images.columns.items()}

    def tables(self, items: Iterator[Item] | None = None, start: int = 0) -> Iterator[tuple[pd.DataFrame, Batch]]:
        """The rows of one batch after the other.

        Args:
            items: the images; None for all.
            start: the number of the first of them.
        """
        opener = Opener(Stretch.of(self.options.stretch), self.options.planes)
        preparer = Preparer(self.networks.preparations, opener)
        with _without_remarks():
            for batch in preparer.batches(self.images if items is None else items, self.options.batch):
                given = {name: batch.numbers(name) for name in self.networks.inputs}
                unknown = np.any([~np.isfinite(values) for values in given.values()], axis=0) | np.zeros(
                    len(batch), bool
                )
                prediction = self.networks.predict(
                    batch.cutouts, {name: np.nan_to_num(values) for name, values in given.items()}, start
                )
                yield self.columns.rows(batch, prediction, unknown), batch
                start += len(batch)


def _refuse_fluxes(source: Arrays) -> None:
    images: Any = [source.images] if isinstance(source.images, np.ndarray) else source.images
    if any(getattr(image, "dtype", np.dtype(np.uint8)).kind == "f" for image in images):
        raise DataError(
            "floating-point arrays may be fluxes or brightness: say stretch='asinh' for fluxes, stretch='none' for"
            " brightness from 0 to 255"
        )


@contextmanager
def _without_remarks() -> Iterator[None]:
    """Remarks about single files are not shown: their rows have flags."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", Image.DecompressionBombWarning)
        warnings.filterwarnings("ignore", module=r"PIL\.|astropy\.")
        yield
