"""Measure configurations over several seeds, one variation of them at a time, and print one table.

    python benchmarks/recipes.py configs/task*.yaml --images DIR --labels CSV
    python benchmarks/recipes.py configs/task2_hierarchy.yaml --images DIR --labels CSV \\
        --vary data_augmentation_params=null --vary model_params.max_out=true
    python benchmarks/recipes.py configs/votes_base.yaml --images DIR --labels CSV --rows benchmarks/votes_heads.yaml
    python benchmarks/recipes.py configs/galaxy10_dual_head.yaml --images FILE.h5 --rows benchmarks/galaxy10.yaml

A file of rows gives each a name and the changes that make it: ``tree: [model_params.head=tree]``.
Every run is a ``galaxycnn train`` of its own with its own weights and, unless ``--split`` is given, its own split;
finished runs are not repeated, and an interrupted one is resumed. The table is also written as CSV.
"""

from __future__ import annotations

import argparse
import json
import re
import subprocess
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import pandas as pd
import yaml
from command import start


def main() -> None:
    arguments = _arguments()
    fixed = [f"data_preprocessing.split_file={arguments.split}"] if arguments.split else []
    for config in arguments.config:
        for name, changes in _variations(config, arguments).items():
            for seed in arguments.seeds:
                train_run(f"{name}-seed{seed}", config, [*fixed, *changes], seed, arguments)
    runs = sorted(arguments.out.glob("metrics_plots/*/metrics.json"))
    table = pd.DataFrame([row for path in runs for row in _rows(path)])
    table.to_csv(arguments.out / "runs.csv", index=False)
    print(_markdown(table))


def _arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("config", nargs="+", type=Path)
    parser.add_argument("--images", required=True, type=Path)
    parser.add_argument("--labels", type=Path, help="where the images do not hold them")
    parser.add_argument("--seeds", nargs="+", type=int, default=[48, 49, 50])
    parser.add_argument("--vary", action="append", default=[], metavar="SECTION.KEY=VALUE", help="a change to compare")
    parser.add_argument("--split", type=Path, metavar="CSV", help="one split for all seeds (a run's NAME.split.csv)")
    parser.add_argument("--rows", type=Path, metavar="YAML", help="named lists of changes to compare")
    parser.add_argument("--out", type=Path, default=Path("benchmarks/results"))
    return parser.parse_args()


def _variations(config: Path, arguments: argparse.Namespace) -> dict[str, list[str]]:
    """The changes of every row, by its name."""
    if arguments.rows:
        return {
            f"{config.stem}-{name}": changes for name, changes in yaml.safe_load(arguments.rows.read_text()).items()
        }
    varied = {f"{config.stem}-{_slug(change)}": [change] for change in arguments.vary}
    return {config.stem: [], **varied}


def _slug(change: str) -> str:
    return re.sub(r"[^A-Za-z0-9.]+", "_", change.rpartition(".")[2])


def train_run(name: str, config: Path, changes: Sequence[str], seed: int, arguments: argparse.Namespace) -> None:
    """One ``galaxycnn train`` under ``arguments.out``, unless it is finished; an interrupted one is resumed."""
    if (arguments.out / "metrics_plots" / name / "metrics.json").exists():
        return
    words = [word for change in run_settings(name, changes, arguments) for word in ("--set", change)]
    command = [sys.executable, "-m", "galaxycnn.cli", "train", str(config), "--seed", str(seed), "--resume"]
    print(f"{name} …", flush=True)
    subprocess.run([*command, "--no-save_model", "--no-save_plots", *words], check=True, stdout=subprocess.DEVNULL)


def run_settings(name: str, changes: Sequence[str], arguments: argparse.Namespace) -> list[str]:
    """What a run of this name has other than its configuration: data, folders and ``changes``."""
    return [
        f"model_name={name}",
        f"paths.images_path={arguments.images}",
        f"paths.labels_path={arguments.labels or 'null'}",
        f"paths.cache_path={arguments.out / 'cache'}",
        *(f"paths.{kind}_path={arguments.out / folder}" for kind, folder in _FOLDERS.items()),
        *changes,
    ]


_FOLDERS = {"plots": "metrics_plots", "models": "saved_models", "logs": "logs"}


def _rows(path: Path) -> list[dict[str, Any]]:
    """One row per output and quantity of a finished run, measured on its test galaxies."""
    results = json.loads(path.read_text())
    run, _, seed = path.parent.name.rpartition("-seed")
    part = results["parts"]["test"]
    common = {"run": run, "seed": int(seed), "epochs": results["epochs"], "seconds": results["training_seconds"]}
    rows = [
        {
            "output": name,
            "n": output["n"],
            **{figure: output[figure] for figure in FIGURES},
            "reached_accuracy": output["confusion"]["true_walk"]["accuracy"],
            "sum_missed_by": output["sums"]["mean"],
            "majority": output["baseline"]["accuracy"],
            "mse_of_mean": output["baseline"]["mse"],
        }
        for name, output in part.get("outputs", {}).items()
    ]
    for name, quantity in part.get("quantities", {}).items():
        rows.append({"output": name, **{figure: quantity[figure] for figure in QUANTITY_FIGURES}})
    return [{**common, **row} for row in rows]


FIGURES = ("accuracy", "macro_f1", "weighted_f1", "mse")
QUANTITY_FIGURES = ("n", "mse", "r2", "nmad", "bias")


def _markdown(table: pd.DataFrame) -> str:
    """Mean and standard deviation over the seeds of every run and output."""
    figures = [column for column in table.columns if column not in ("run", "seed", "output")]
    lines = [["run", "output", "seeds", *figures], ["---"] * (len(figures) + 3)]
    for (run, output), rows in table.groupby(["run", "output"], sort=False):
        means, spreads = rows[figures].mean(), rows[figures].std()
        cells = [_cell(means[name], spreads[name]) for name in figures]
        lines.append([str(run), str(output), str(len(rows)), *cells])
    return "\n".join(f"| {' | '.join(line)} |" for line in lines)


def _cell(mean: float, spread: float) -> str:
    if pd.isna(mean):
        return "–"
    digits = 0 if mean > 10 else 3 if mean > 0.1 else 4 if mean > 0.01 else 6
    return f"{mean:.{digits}f}" + (f" ± {spread:.{digits}f}" if spread > 0 else "")


if __name__ == "__main__":
    start(main)
