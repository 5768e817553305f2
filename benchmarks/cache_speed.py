"""How fast images are decoded into the cache, and how fast a second run starts.

    python benchmarks/cache_speed.py IMAGES LABELS [--copies N] [--crop 256] [--size 64]

``--copies`` repeats the galaxies, as links to the same files and as shifted cutouts, to see how the
steps grow: 17 copies of 3,580 galaxies are about as many as the Galaxy Challenge has.
"""

from __future__ import annotations

import argparse
import resource
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import numpy as np
from command import start
from numpy.typing import NDArray

from galaxycnn.config.schema import DataPreprocessing, Paths
from galaxycnn.data.cache import load_cutouts
from galaxycnn.data.catalogue import Catalogue, read_catalogue
from galaxycnn.data.leaks import find_twins


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("images", type=Path)
    parser.add_argument("labels", type=Path)
    parser.add_argument("--copies", type=int, default=1)
    parser.add_argument("--crop", type=int)
    parser.add_argument("--size", type=int, default=64)
    arguments = parser.parse_args()
    preprocessing = DataPreprocessing(
        crop=arguments.crop is not None, crop_size=arguments.crop, img_size=[arguments.size] * 2
    )
    with tempfile.TemporaryDirectory() as folder:
        with timed("reading the catalogue"):
            catalogue = read_catalogue(Paths(images_path=arguments.images, labels_path=arguments.labels))
        catalogue = repeated(catalogue, arguments.copies, Path(folder) / "copies")
        with timed("decoding, first call", len(catalogue)):
            load_cutouts(catalogue, preprocessing, folder)
        with timed("second call"):
            cutouts = load_cutouts(catalogue, preprocessing, folder)
        images = shifted(cutouts.images[: len(cutouts.images) // arguments.copies], arguments.copies, Path(folder))
        with timed("comparing all pairs", len(images)):
            find_twins(images)
    print(f"peak memory {resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 2**20:.2f} GiB (maps included)")


@contextmanager
def timed(what: str, count: int = 0) -> Iterator[None]:
    start = time.perf_counter()
    yield
    seconds = time.perf_counter() - start
    print(f"{what}: {seconds:.2f} s" + f" for {count:,} images, {count / seconds:,.0f} a second" * (count > 0))


def repeated(catalogue: Catalogue, copies: int, folder: Path) -> Catalogue:
    """The catalogue ``copies`` times over, each galaxy as a link of its own."""
    if copies == 1:
        return catalogue
    folder.mkdir()
    paths = [folder / f"{path.stem}-{copy}{path.suffix}" for copy in range(copies) for path in catalogue.pictures]
    for link, path in zip(paths, catalogue.pictures * copies, strict=True):
        link.symlink_to(path.absolute())
    ids = np.array([path.stem for path in paths])
    return Catalogue(catalogue.tree, ids, paths, np.tile(catalogue.fractions, (copies, 1)))


def shifted(images: NDArray[np.uint8], copies: int, folder: Path) -> NDArray[np.uint8]:
    """The cutouts ``copies`` times over, each time shifted so far that they do not look the same."""
    shape = (copies * len(images), *images.shape[1:])
    array = np.lib.format.open_memmap(folder / "shifted.npy", mode="w+", dtype=np.uint8, shape=shape)
    for copy in range(copies):
        shift = (5 * copy, 3 * copy)
        array[copy * len(images) : (copy + 1) * len(images)] = np.roll(images, shift, axis=(1, 2))
    return array


if __name__ == "__main__":
    start(main)
