"""Small made-up files in the layout of Galaxy10."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import h5py
import numpy as np
from galaxy_files import pixels


def galaxy10_file(path: Path, count: int = 40, size: int = 40, **fields: Any) -> Path:
    """Noisy blobs with all fields of Galaxy10 DECaLS; ``fields`` replaces some, None leaves them out."""
    rng = np.random.default_rng(count)
    columns = {
        "ans": np.arange(count, dtype=np.uint8) % 10,
        "redshift": rng.uniform(0.01, 0.2, count),
        "ra": rng.uniform(0, 360, count),
        "dec": rng.uniform(-20, 60, count),
        "pxscale": np.full(count, 0.262),
        **fields,
    }
    path.parent.mkdir(parents=True, exist_ok=True)
    with h5py.File(path, "w") as file:
        images = np.stack([pixels(seed, size) for seed in range(count)])
        file.create_dataset("images", data=images, chunks=(min(16, count), 8, 8, 1), compression="gzip")
        for name, values in columns.items():
            if values is not None:
                file[name] = values
    return path
