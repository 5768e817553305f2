"""How many galaxies a second networks predict on this machine, side by side.

    python benchmarks/prediction_speed.py
    OMP_NUM_THREADS=1 TF_NUM_INTRAOP_THREADS=1 TF_NUM_INTEROP_THREADS=1 taskset -c 0 \\
        python benchmarks/prediction_speed.py galaxy_zoo saved_models/NAME.keras --views 1 15

Batches of noise, each network's own cutouts of them, go through what `galaxycnn predict` asks, views included;
images are not decoded, which is beside it. Without names: all that come along. The networks and numbers of views take
turns, so that all feel alike what else the machine does; one turn that is not counted comes first, and the median of
the others is shown, with the slowest and the fastest. The table is also written as CSV.
"""

from __future__ import annotations

import argparse
import time
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pandas as pd
from command import start
from speeds import report, spread

from galaxycnn.predicting.networks import Networks
from galaxycnn.pretrained import PRETRAINED


def main() -> None:
    arguments = _arguments()
    each = [
        (model, views, batch_of(model, views, arguments.batch))
        for model in arguments.models
        for views in arguments.views
    ]
    turns = [[speed(predict, arguments.batch) for _, _, predict in each] for _ in range(1 + arguments.repeats)]
    rows = [
        {"network": Path(model).stem, "views": views, **spread("galaxies_per_second", speeds)}
        for (model, views, _), speeds in zip(each, zip(*turns[1:], strict=True), strict=True)
    ]
    report(pd.DataFrame(rows), arguments.out, ["network", "views", "galaxies/s", "slowest, fastest"])


def _arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("models", nargs="*", default=PRETRAINED, help="files, or networks that come along")
    parser.add_argument("--views", nargs="+", type=int, default=[1, 15])
    parser.add_argument("--batch", type=int, default=64, help="galaxies that are predicted at once")
    parser.add_argument("--repeats", type=int, default=3)
    parser.add_argument("-o", "--out", type=Path, default=Path("benchmarks/results/prediction_speed.csv"))
    return parser.parse_args()


def batch_of(model: str, views: int, galaxies: int) -> Callable[[], object]:
    """A function that predicts so many galaxies."""
    networks, rng = Networks.load(model, views), np.random.default_rng(0)
    cutouts = {
        name: rng.integers(0, 256, (galaxies, *settings.input_shape), dtype=np.uint8)
        for name, settings in networks.preparations.items()
    }
    given = {name: np.ones(galaxies, np.float32) for name in networks.inputs}
    return lambda: networks.predict(cutouts, given, 0)


def speed(predict: Callable[[], object], galaxies: int) -> float:
    """Galaxies a second."""
    begun = time.perf_counter()
    predict()
    return galaxies / (time.perf_counter() - begun)


if __name__ == "__main__":
    start(main)
