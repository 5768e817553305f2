"""How many images a second networks train on this machine, and their parameters.

    python benchmarks/network_speed.py configs/votes_base.yaml --rows benchmarks/votes_networks.yaml
    TF_ENABLE_ONEDNN_OPTS=0 python benchmarks/network_speed.py configs/votes_efficientnet_lite0.yaml

Whole training steps on noise of the configured size, in batches as configured: forward, backward and optimizer,
without decoding and augmentation, which run beside them (``augmentation_speed.py``). First weights are random and
all stages learn. Each repeat begins with two steps that are not counted; the median of the repeats is shown, with
the slowest and the fastest. The table is also written as CSV.
"""

from __future__ import annotations

import argparse
import time
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pandas as pd
import yaml
from command import start
from speeds import report, spread

from galaxycnn.config import Config, load_config
from galaxycnn.data.generator import MultiOutputDataGenerator
from galaxycnn.models import CNNBuilder
from galaxycnn.models.family import ModelFamily
from galaxycnn.models.outputs import Outputs
from galaxycnn.models.staged import StagedParams
from galaxycnn.training.fitting import compile_model
from galaxycnn.training.precision import dtype_policy, precision
from galaxycnn.tree import GALAXY_ZOO_2

DATA = ["paths.images_path=none", "paths.labels_path=none"]
"""No galaxies are read."""


def main() -> None:
    arguments = _arguments()
    rows = yaml.safe_load(arguments.rows.read_text()) if arguments.rows else {arguments.config.stem: []}
    table = pd.DataFrame([measure(name, _config(arguments, changes), arguments) for name, changes in rows.items()])
    headings = ["network", "pixels", "parameters", "precision", "images/s", "slowest, fastest"]
    report(table, arguments.out, headings)


def _arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("config", type=Path)
    parser.add_argument("--rows", type=Path, metavar="YAML", help="named lists of changes, as for recipes.py")
    parser.add_argument("--set", action="append", default=[], metavar="SECTION.KEY=VALUE", help="a change to all")
    parser.add_argument("--repeats", type=int, default=3)
    parser.add_argument("--seconds", type=float, default=4, help="that each repeat takes at least")
    parser.add_argument("-o", "--out", type=Path, default=Path("benchmarks/results/network_speed.csv"))
    return parser.parse_args()


def _config(arguments: argparse.Namespace, changes: list[str]) -> Config:
    return load_config(arguments.config, [*DATA, *changes, *arguments.set])


def measure(name: str, config: Config, arguments: argparse.Namespace) -> dict[str, object]:
    """One network: what it is, and how many images a second it trains."""
    with precision(config):
        step, parameters = training_step(config)
        speeds = [speed(step, config.train_params.batch_size, arguments.seconds) for _ in range(arguments.repeats)]
    height, width, _ = config.data_preprocessing.input_shape
    return {
        "network": name,
        "pixels": f"{height}×{width}",
        "parameters": parameters,
        "precision": dtype_policy(config),
        **spread("images_per_second", speeds),
    }


def training_step(config: Config) -> tuple[Callable[[], object], int]:
    """A function that trains on one batch, and the network's parameters."""
    if isinstance(config.model_params, StagedParams):
        random = {"weights": "none", "frozen_stages": 0, "lora_rank": None}
        known = {key: value for key, value in random.items() if key in type(config.model_params).model_fields}
        config = config.model_copy(update={"model_params": config.model_params.model_copy(update=known)})
    tree, batch, rng = GALAXY_ZOO_2, config.train_params.batch_size, np.random.default_rng(0)
    model = CNNBuilder(config, tree).build()
    fractions = rng.random((batch, len(tree.columns)), dtype=np.float32)
    rates = ModelFamily.of(config, tree).rates(model)
    compile_model(config, model, tree, fractions, 100, rates)
    images = rng.integers(0, 256, (batch, *config.data_preprocessing.input_shape), dtype=np.uint8)
    targets = Outputs.of(model, tree).targets(fractions, {})
    given, wanted = MultiOutputDataGenerator(images, targets, batch, shuffle=False)[0]
    return lambda: model.train_on_batch(given, wanted), model.count_params()


def speed(step: Callable[[], object], images: int, seconds: float) -> float:
    """Images a second of ``step``, which trains on so many, after two that are not counted."""
    for _ in range(2):
        step()
    begun, steps = time.perf_counter(), 0
    while (passed := time.perf_counter() - begun) < seconds:
        step()
        steps += 1
    return steps * images / passed


if __name__ == "__main__":
    start(main)
