"""Small made-up galaxies on disk, in the layouts that the data tests read."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pandas as pd
from numpy.typing import NDArray
from PIL import Image

from galaxycnn.tree import GALAXY_ZOO_2, DecisionTree


def pixels(seed: int, size: int = 40, channels: int = 3) -> NDArray[np.uint8]:
    """A noisy blob, uint8 (size, size, channels)."""
    rng = np.random.default_rng(seed)
    y, x = np.indices((size, size)) - (size - 1) / 2
    blob = 150 * np.exp(-(x**2 + (y * rng.uniform(1, 3)) ** 2) / (size * rng.uniform(0.5, 2)))
    return np.clip(blob[..., None] + rng.normal(30, 12, (size, size, channels)), 0, 255).astype(np.uint8)


def write_image(path: Path, seed: int, size: int = 40) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    Image.fromarray(pixels(seed, size)).save(path, quality=95)
    return path


def votes(galaxies: int, seed: int = 0, tree: DecisionTree = GALAXY_ZOO_2) -> NDArray[np.float64]:
    """Vote fractions whose sums hold, shape (galaxies, columns)."""
    rng = np.random.default_rng(seed)
    fractions = np.zeros((galaxies, len(tree.columns)))
    for question in tree.questions:
        shares = rng.dirichlet(np.ones(len(question)), galaxies)
        parents = fractions[:, tree.indices(question.parents)].sum(axis=1) if question.parents else np.ones(galaxies)
        fractions[:, tree.slice(question)] = shares * parents[:, None]
    return fractions


def kaggle_table(galaxies: int, seed: int = 0, tree: DecisionTree = GALAXY_ZOO_2) -> pd.DataFrame:
    table = pd.DataFrame(votes(galaxies, seed, tree), columns=list(tree.columns))
    table.insert(0, "GalaxyID", [f"{100 + i}" for i in range(galaxies)])
    return table


def kaggle_folder(folder: Path, galaxies: int, seed: int = 0, size: int = 40) -> tuple[Path, Path]:
    """A folder of images and a label file in the layout of the challenge; ids count from 100."""
    images, labels = folder / "images_training_rev1", folder / "training_solutions_rev1.csv"
    for i in range(galaxies):
        write_image(images / f"{100 + i}.jpg", seed * 10_000 + i, size)
    kaggle_table(galaxies, seed).to_csv(labels, index=False)
    return images, labels
