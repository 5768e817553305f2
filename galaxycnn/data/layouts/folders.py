"""A folder per class: ``spiral/7.jpg``, ``elliptical/8.jpg``, …"""

from __future__ import annotations

from pathlib import Path

import numpy as np

from galaxycnn.data.catalogue import Catalogue, assemble
from galaxycnn.data.label_files import list_images
from galaxycnn.errors import DataError
from galaxycnn.registry import LAYOUTS
from galaxycnn.tree import DecisionTree


@LAYOUTS.register("folders")
def read_folders(images: Path, labels: Path | None) -> Catalogue:
    """Read one class per folder, as the question ``label``; images may lie in folders below it.

    Images beside the class folders have no label and become problems.

    Raises:
        DataError: fewer than two folders hold images, or a label file is given, too.
    """
    if labels is not None:
        raise DataError(f"a folder per class needs no label file: leave out paths.labels_path ({labels})")
    found = list_images(images)
    classes = sorted({name.split("/")[0] for name in found if "/" in name})
    if len(classes) < 2:
        raise DataError(
            f"{images} has images in {len(classes)} folders: give the label file as paths.labels_path, "
            "or sort the images into one folder per class"
        )
    inside = {name: path for name, path in found.items() if "/" in name}
    tree = DecisionTree.from_classes({"label": classes})
    chosen = [classes.index(name.split("/")[0]) for name in inside]
    fractions = np.eye(len(classes), dtype=np.float32)[chosen]
    return assemble(tree, list(inside), fractions, found)
