"""How much the tree's sums should weigh in the loss: one configuration trained for several λ, as a figure and a table.

    python benchmarks/lambda_sweep.py configs/votes_parallel_cnn.yaml --images DIR --labels CSV
    python benchmarks/lambda_sweep.py CONFIG --images DIR --labels CSV --seeds 48 49 50 --set train_params.epochs=60

λ is the weight of the loss ``constraint`` ("Soft-Classification of Galaxy Morphologies", section 6.2 and figure 7). The
network's head must leave the sums free, as ``sigmoid`` does. Figures are those of the validation part. Finished
runs are not repeated, and an interrupted one is resumed.
"""

from __future__ import annotations

import argparse
import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
from command import start
from matplotlib.axes import Axes
from matplotlib.ticker import LogLocator, MaxNLocator
from recipes import train_run

from galaxycnn.plots.style import BLUE, COLOURS, RED, picture

LAMBDAS = (0.0, 1e-4, 1e-3, 1e-2, 1e-1)


def main() -> None:
    arguments = _arguments()
    runs = [(weight, seed) for weight in arguments.weights for seed in arguments.seeds]
    for weight, seed in runs:
        changes = [
            *arguments.set,
            "train_params.loss_function=constraint",
            f"train_params.loss_params={{weight: {weight!r}}}",
            "train_params.metrics=[rmse, accuracy]",
        ]
        train_run(_name(arguments.config, weight, seed), arguments.config, changes, seed, arguments)
    table = pd.DataFrame([_row(arguments, weight, seed) for weight, seed in runs])
    curves = {run: _curve(arguments, *run) for run in runs}
    stem = arguments.out / f"{arguments.config.stem}-lambda"
    table.to_csv(f"{stem}.csv", index=False)
    draw(table, curves, Path(f"{stem}.png"), arguments.config.stem)
    print(_markdown(table))
    print(f"written: {stem}.csv, {stem}.png")


def _arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("config", type=Path)
    parser.add_argument("--images", required=True, type=Path)
    parser.add_argument("--labels", required=True, type=Path)
    parser.add_argument("--weights", nargs="+", type=float, default=LAMBDAS, metavar="λ")
    parser.add_argument("--seeds", nargs="+", type=int, default=[48])
    parser.add_argument("--set", action="append", default=[], metavar="SECTION.KEY=VALUE", help="a change for all runs")
    parser.add_argument("--out", type=Path, default=Path("benchmarks/results"))
    return parser.parse_args()


def _name(config: Path, weight: float, seed: int) -> str:
    return f"{config.stem}-lambda{weight:g}-seed{seed}"


def _row(arguments: argparse.Namespace, weight: float, seed: int) -> dict[str, Any]:
    """The kept network of a run: its RMSE, and how far its answers miss the sums, on average over those that exist."""
    name = _name(arguments.config, weight, seed)
    results = json.loads((arguments.out / "metrics_plots" / name / "metrics.json").read_text())
    part = results["parts"]["validation"]
    missed = [output["sums"]["mean"] for output in part["outputs"].values() if output["sums"]["mean"] is not None]
    low, high = part["overall"]["intervals"]["rmse"]
    return {
        "lambda": weight,
        "seed": seed,
        "epochs": results["epochs"],
        "rmse": part["overall"]["rmse"],
        "rmse_low": low,
        "rmse_high": high,
        "sum_missed_by": float(np.mean(missed)),
        "galaxies": part["n"],
    }


def _curve(arguments: argparse.Namespace, weight: float, seed: int) -> Sequence[float]:
    """Validation RMSE after every epoch of a run."""
    name = _name(arguments.config, weight, seed)
    return pd.read_csv(arguments.out / "saved_models" / f"History_{name}.csv")["val_rmse"].tolist()


# -- the figure ---------------------------------------------------------------------------------


def draw(table: pd.DataFrame, curves: dict[tuple[float, int], Sequence[float]], path: Path, name: str) -> None:
    """Training histories on the left; RMSE and missed sums of the kept networks against λ on the right."""
    galaxies = int(table["galaxies"].iloc[0])
    title = f"Weight λ of the sums in the loss of {name}: {galaxies:,} validation galaxies"
    with picture(path, 9.5, 4.6, title) as figure:
        left, right = figure.subfigures(1, 2, width_ratios=(1.25, 1))
        _histories(left.subplots(), curves)
        above, below = right.subplots(2, 1, sharex=True)
        _against_lambda(above, table, "rmse", BLUE, "RMSE of the kept network")
        _against_lambda(below, table, "sum_missed_by", RED, "mean |deviation of a sum|")
        if (table["sum_missed_by"] > 0).all():
            below.set_yscale("log")
            below.yaxis.set_major_locator(LogLocator(subs=(1, 2, 5)))
            below.yaxis.set_major_formatter("{x:g}")
            below.yaxis.set_minor_formatter("")
        below.set_xlabel("λ")


def _histories(axes: Axes, curves: dict[tuple[float, int], Sequence[float]]) -> None:
    weights = sorted({weight for weight, _ in curves})
    for colour, weight in zip(COLOURS, weights, strict=False):
        label = f"λ = {weight:g}"
        for rmse in (rmse for (of, _), rmse in curves.items() if of == weight):
            marker = "o" if len(rmse) < 3 else ""
            axes.plot(np.arange(1, len(rmse) + 1), rmse, color=colour, marker=marker, linewidth=1.2, label=label)
            label = ""
    everything = np.concatenate([np.asarray(rmse) for rmse in curves.values()])
    low, high = everything.min(), np.percentile(everything, 95)
    axes.set_ylim(low - 0.03 * (high - low), high + 0.03 * (high - low) if high > low else None)
    axes.set(xlabel="epoch", ylabel="RMSE", title="RMSE while training")
    axes.xaxis.set_major_locator(MaxNLocator(integer=True, min_n_ticks=1))
    axes.legend()


def _against_lambda(axes: Axes, table: pd.DataFrame, figure: str, colour: str, title: str) -> None:
    """A point per run and a line through the means; λ in steps, since 0 has no place on a logarithmic axis."""
    weights = sorted(table["lambda"].unique())
    means = table.groupby("lambda")[figure].mean().reindex(weights)
    axes.plot(range(len(weights)), means, color=colour, linewidth=1)
    for row in table.to_dict("records"):
        axes.plot(weights.index(row["lambda"]), row[figure], "o", color=colour)
        if figure == "rmse":
            axes.vlines(weights.index(row["lambda"]), row["rmse_low"], row["rmse_high"], color=colour, linewidth=1)
    axes.set_xticks(range(len(weights)), [f"{weight:g}" for weight in weights])
    axes.set_title(f"{title}, with 95 % interval" if figure == "rmse" else title)


def _markdown(table: pd.DataFrame) -> str:
    """Mean and standard deviation over the seeds of every λ."""
    lines = ["| λ | seeds | epochs | RMSE | mean \\|deviation of a sum\\| |", "|---|---|---|---|---|"]
    for weight, rows in table.groupby("lambda"):
        cells = [_cell(rows[name]) for name in ("rmse", "sum_missed_by")]
        lines.append(f"| {weight:g} | {len(rows)} | {rows['epochs'].mean():.0f} | {' | '.join(cells)} |")
    return "\n".join(lines)


def _cell(values: pd.Series[float]) -> str:
    return f"{values.mean():.4f}" + (f" ± {values.std():.4f}" if len(values) > 1 else "")


if __name__ == "__main__":
    start(main)
