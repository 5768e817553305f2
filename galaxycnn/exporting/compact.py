"""A network in little space: an ordinary ``.keras`` file without optimizer, whose weights have half precision.

Weights stay float32, so that the file is read, and computes, like any other, and in float32 wherever it was trained;
their last bits are rounded away, which lets the archive pack them.
"""

from __future__ import annotations

import zipfile
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from galaxycnn.exporting.network import Exportable, Exported, in_float32
from galaxycnn.files import atomic_path
from galaxycnn.models.saving import load_model, save_model
from galaxycnn.models.typical import read_typical

BITS = 10
"""Bits of a fraction that are kept of 23: as many as half precision has."""
ROUNDING = 0.02
"""By how much its outputs may change, as a share of the largest from 1 on."""


def write_compact(exportable: Exportable, path: Path) -> Exported:
    """Write the network of a model file, with its recipe and what it finds typical, in less space.

    Raises:
        UserError: its outputs are not those of the network, up to rounding.
    """
    network = in_float32(load_model(exportable.path))
    network.set_weights([rounded(weights) for weights in network.get_weights()])
    with atomic_path(path) as temporary:
        save_model(network, temporary, exportable.recipe, read_typical(exportable.path))
        _pack(temporary)
        _, found = Exportable.load(temporary).made_up
        difference = exportable.compare(found, ROUNDING)
    return Exported(path, difference)


def rounded(weights: NDArray[np.generic]) -> NDArray[np.generic]:
    """float32 numbers to :data:`BITS` bits, so to within 0.05 %; others as they are.

    Example:
        >>> rounded(np.array([1 / 3, -1e-9], np.float32)).tolist()
        [0.333251953125, -1.000444171950221e-09]
    """
    if weights.dtype != np.float32:
        return weights
    dropped = 23 - BITS
    bits = weights.view(np.uint32) + np.uint32(1 << (dropped - 1))
    return (bits & ~np.uint32((1 << dropped) - 1)).view(np.float32)


def _pack(path: Path) -> None:
    with (
        atomic_path(path) as packed,
        zipfile.ZipFile(path) as old,
        zipfile.ZipFile(packed, "w", zipfile.ZIP_DEFLATED, compresslevel=9) as new,
    ):
        for name in old.namelist():
            new.writestr(name, old.read(name))
