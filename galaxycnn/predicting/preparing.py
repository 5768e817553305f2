"""From a stream of images to batches of cutouts, decoded ahead in threads while the network is at work."""

from __future__ import annotations

import os
from collections.abc import Iterable, Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from functools import partial
from itertools import islice
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from galaxycnn.config.schema import DataPreprocessing
from galaxycnn.data.cutouts import Unusable, cut_out, looked_at
from galaxycnn.data.pictures import Content, PictureReader, StoredPicture
from galaxycnn.predicting.flags import flags_of_cutouts, flags_of_image
from galaxycnn.predicting.images import Item
from galaxycnn.predicting.opening import Opened, Opener
from galaxycnn.views import ahead

TOGETHER = 32
"""Images that a thread decodes before it takes the next ones."""

Cutouts = dict[str, NDArray[np.uint8]]
"""By what a preparation is called, uint8 cutouts (images, height, width, channels); black where unreadable."""


@dataclass(frozen=True)
class Batch:
    """Some images, ready for the networks.

    Attributes:
        items: what they are.
        cutouts: see :data:`Cutouts`.
        flags: what is wrong with each (:data:`galaxycnn.predicting.flags.FLAGS`).
        reasons: why an image is unreadable, ``""`` where it is not.
    """

    items: list[Item]
    cutouts: Cutouts
    flags: list[list[str]]
    reasons: list[str]

    def __len__(self) -> int:
        return len(self.items)

    @property
    def readable(self) -> NDArray[np.bool_]:
        return np.array([not reason for reason in self.reasons], dtype=bool)

    def numbers(self, name: str) -> NDArray[np.float32]:
        """What is known of each image by that name, shape (images,); NaN where that is no number."""
        values = pd.to_numeric(pd.Series([item.given.get(name) for item in self.items]), errors="coerce")
        return values.to_numpy(np.float32)


@dataclass(frozen=True)
class Preparer:
    """Turns images into batches.

    Args:
        preparations: how the networks want their cutouts, by any name.
        opener: how images are opened.
    """

    preparations: Mapping[str, DataPreprocessing]
    opener: Opener

    def batches(self, items: Iterable[Item], size: int) -> Iterator[Batch]:
        """All images in batches of ``size``, the last one smaller.

        Memory holds about three batches: one at the network, those that are decoded meanwhile.
        """
        with PictureReader() as reader, ThreadPoolExecutor(os.cpu_count()) as pool:
            depth = 2 * max(1, size // TOGETHER) + (os.cpu_count() or 1)
            parts: list[Batch] = []
            try:
                for part in ahead(pool, partial(self._prepared, reader), _groups(items, size), depth):
                    parts.append(part)
                    if sum(map(len, parts)) == size:
                        yield _together(parts)
                        parts = []
                if parts:
                    yield _together(parts)
            finally:
                pool.shutdown(cancel_futures=True)

    def _prepared(self, reader: PictureReader, items: list[Item]) -> Batch:
        cutouts = {
            name: np.zeros((len(items), *settings.input_shape), np.uint8)
            for name, settings in self.preparations.items()
        }
        flags: list[list[str]] = [[] for _ in items]
        reasons = [""] * len(items)
        for row, content in enumerate(_contents(reader, items)):
            try:
                if isinstance(content, OSError):
                    raise Unusable("corrupt", content.strerror or str(content)) from content
                opened = self.opener(content)
                for number, (name, settings) in enumerate(self.preparations.items()):
                    cutouts[name][row], found = _cutout(opened, settings)
                    flags[row] += found if number == 0 else []
            except Unusable as problem:
                flags[row], reasons[row] = ["unreadable"], str(problem)
        batch = Batch(items, cutouts, flags, reasons)
        for row, found in zip(np.flatnonzero(batch.readable).tolist(), self._looked_at(batch), strict=True):
            flags[row] = found + flags[row]
        return batch

    def _looked_at(self, batch: Batch) -> list[list[str]]:
        first = next(iter(batch.cutouts.values()))[batch.readable]
        return flags_of_cutouts(first) if len(first) else []


def _cutout(opened: Opened, settings: DataPreprocessing) -> tuple[NDArray[np.uint8], list[str]]:
    """A cutout, and what is wrong with it; of an image smaller than the crop, as much of its centre as there is."""
    box = looked_at(opened.image, settings)
    try:
        cutout = cut_out(opened.image, settings, box)
    except Exception as error:  # a truncated file shows itself when its last pixels are needed
        raise Unusable("corrupt", str(error) or type(error).__name__) from error
    crop = settings.crop_size if settings.crop else None
    return cutout, flags_of_image(opened, box, min(settings.img_size), crop)


def _contents(reader: PictureReader, items: Sequence[Item]) -> Iterator[Content | OSError | Any]:
    """What the images consist of; those of one HDF5 file are read as one block."""
    pictures = [item.picture for item in items]
    stored = [picture for picture in pictures if isinstance(picture, StoredPicture)]
    if len(stored) == len(pictures):
        yield from reader.read(stored)
        return
    for picture in pictures:
        if isinstance(picture, Path | StoredPicture):
            yield from reader.read([picture])
        else:
            yield picture


def _groups(items: Iterable[Item], size: int) -> Iterator[list[Item]]:
    """What is decoded together; a batch of ``size`` begins with a new group."""
    remaining = iter(items)
    while batch := list(islice(remaining, size)):
        yield from (batch[start : start + TOGETHER] for start in range(0, len(batch), TOGETHER))


def _together(parts: Sequence[Batch]) -> Batch:
    return Batch(
        [item for part in parts for item in part.items],
        {name: np.concatenate([part.cutouts[name] for part in parts]) for name in parts[0].cutouts},
        [found for part in parts for found in part.flags],
        [reason for part in parts for reason in part.reasons],
    )
