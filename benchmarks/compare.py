"""One table and one figure of finished runs, best first.

    python benchmarks/compare.py benchmarks/results --labels training_solutions_rev1.csv -o table

Takes ``metrics.json`` files, or folders that hold them. A run's configuration is read from ``logs/NAME.yaml``
beside its folder of pictures, where it is there. With ``--labels`` every run whose predictions were saved is
compared with the best one, galaxy by galaxy, by a paired bootstrap: how much larger its RMSE is, with the 95 %
interval. Writes ``OUT.csv`` and ``OUT.png`` and prints the table as Markdown.

Columns: accuracy is the mean over the questions, each among the galaxies whose volunteers' walk comes to it;
the missed sum is the mean over galaxies and questions of |sum of the answers - what the tree says|; images a
second are those of the training, validation included.
"""

from __future__ import annotations

import argparse
import json
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import yaml
from command import start
from numpy.typing import NDArray

from galaxycnn.bootstrap import rmse_difference
from galaxycnn.data.label_files import numeric_columns, read_table
from galaxycnn.ensembles import read_predictions
from galaxycnn.errors import DataError
from galaxycnn.files import atomic_path
from galaxycnn.plots.style import BLUE, GREY, picture

Floats = NDArray[np.float64]

PARTS = ("test", "out-of-fold")
"""The parts that a run may be measured on, best first."""
AXES = {"parameters": "parameters", "minutes": "minutes of training"}
AGREES = 1e-4
"""Saved predictions have the RMSE of their run up to this, where the labels are the same."""


def main() -> None:
    arguments = _arguments()
    files = find_runs(arguments.runs)
    if not files:
        raise DataError(f"there is no metrics.json in {', '.join(map(str, arguments.runs))}")
    table = pd.DataFrame([row(path) for path in files]).sort_values("rmse", ignore_index=True)
    if arguments.labels:
        table = table.join(against_best(table, arguments.labels))
    with atomic_path(arguments.out.with_suffix(".csv")) as temporary:
        table.drop(columns="columns").to_csv(temporary, index=False)
    draw(table, arguments.against, arguments.out.with_suffix(".png"))
    print(markdown(table))


def _arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("runs", nargs="+", type=Path, help="metrics.json files, or folders that hold them")
    parser.add_argument("--labels", type=Path, metavar="CSV", help="vote fractions: ids first, then the columns")
    parser.add_argument("--against", choices=AXES, default="parameters", help="the figure's other axis")
    parser.add_argument("-o", "--out", type=Path, default=Path("benchmarks/results/compare"))
    return parser.parse_args()


def find_runs(paths: Sequence[Path]) -> list[Path]:
    """The ``metrics.json`` files among ``paths`` and below them, each once.

    Raises:
        DataError: a path is not there.
    """
    absent = [path for path in paths if not path.exists()]
    if absent:
        raise DataError(f"there is no file {absent[0]}")
    found = [file for path in paths for file in (sorted(path.rglob("metrics.json")) if path.is_dir() else [path])]
    return list(dict.fromkeys(found))


# -- rows ----------------------------------------------------------------------------------------


def row(path: Path) -> dict[str, Any]:
    """What is compared of the run that wrote ``path``; None where it does not say."""
    run = json.loads(path.read_text())
    part = next((name for name in PARTS if name in run["parts"]), None)
    if part is None:
        raise DataError(f"{path}: was measured on none of {', '.join(PARTS)}")
    measured, config = run["parts"][part], _config(path, run["model_name"])
    outputs, overall = measured["outputs"].values(), measured["overall"]
    low, high = overall["intervals"]["rmse"]
    seconds, seen = run.get("training_seconds"), run.get("epochs", 0) * run.get("galaxies", {}).get("train", 0)
    return {
        "run": run["model_name"],
        "model": config.get("model_params", {}).get("model_type") or run.get("model_type"),
        "head": config.get("model_params", {}).get("head"),
        "loss": config.get("train_params", {}).get("loss_function"),
        "part": part,
        "galaxies": measured["n"],
        "rmse": overall["rmse"],
        "rmse_low": low,
        "rmse_high": high,
        "views": measured.get("views", 1),
        "single_view_rmse": measured.get("single_view_rmse", overall["rmse"]),
        "missed_sum": _mean(output["sums"]["mean"] for output in outputs),
        "reached_accuracy": _mean(output["confusion"]["true_walk"]["accuracy"] for output in outputs),
        "parameters": run.get("parameters"),
        "minutes": seconds and seconds / 60,
        "images_per_second": seen / seconds if seconds else None,
        "hardware": _hardware(run.get("machine")),
        "predictions": str(path.with_name(f"predictions_{part}.csv")),
        "columns": [column for output in outputs for column in output["columns"]],
    }


def _config(path: Path, name: str) -> dict[str, Any]:
    file = path.parents[2] / "logs" / f"{name}.yaml"
    return yaml.safe_load(file.read_text()) if file.exists() else {}


def _mean(values: Iterable[float | None]) -> float | None:
    known = [value for value in values if value is not None]
    return float(np.mean(known)) if known else None


def _hardware(machine: dict[str, Any] | None) -> str | None:
    if machine is None:
        return None
    chips = machine["gpus"] or [f"{machine['processor']}, {machine['cores']} cores"]
    return f"{', '.join(chips)}, {machine['backend']}"


# -- galaxy by galaxy ----------------------------------------------------------------------------


def against_best(table: pd.DataFrame, labels: Path) -> pd.DataFrame:
    """How much larger each run's RMSE is than the first one's on the same galaxies: ``worse_by``, ``_low``, ``_high``.

    NaN for the first, and for runs without saved predictions or with other galaxies.

    Raises:
        DataError: a run was measured against other labels than these, or the first has no predictions.
    """
    truth = read_table(labels)
    truth = numeric_columns(truth.set_index(truth.columns[0]))
    errors = [_errors(run, truth, labels) for run in table.itertuples()]
    best = errors[0]
    if best is None:
        raise DataError(f"{table['predictions'][0]}: the best run has no saved predictions to compare with")
    rows = []
    for own in errors:
        if own is best or own is None or set(own.index) != set(best.index):
            rows.append((np.nan, np.nan, np.nan))
        else:
            difference, limits = rmse_difference(own[best.index], best)
            rows.append((difference, *limits))
    return pd.DataFrame(rows, columns=["worse_by", "worse_by_low", "worse_by_high"], index=table.index)


def _errors(run: Any, truth: pd.DataFrame, labels: Path) -> pd.Series | None:
    """Mean square error of each galaxy, by id; None where the run saved no predictions."""
    file = Path(run.predictions)
    if not file.exists():
        return None
    predicted = read_predictions(file, run.columns)
    absent = [column for column in predicted.columns if column not in truth.columns]
    unknown = [name for name in predicted.index if name not in truth.index]
    if absent or unknown:
        raise DataError(f"{labels}: has no {'column' if absent else 'galaxy'} {[*absent, *unknown][0]!r} of {file}")
    errors = ((predicted - truth.loc[predicted.index, predicted.columns]) ** 2).mean(axis=1)
    if abs(np.sqrt(errors.mean()) - run.rmse) > AGREES:
        raise DataError(f"{labels}: these are not the labels that {run.run} was measured against ({file})")
    return errors


# -- table and figure ----------------------------------------------------------------------------


def markdown(table: pd.DataFrame) -> str:
    """The table for a README, without what no run knows."""
    columns = {
        "run": table["run"],
        "model": table["model"],
        "head": table["head"],
        "loss": table["loss"],
        "RMSE [95 %]": _with_limits(table, "rmse", 4),
        "views": table["views"].where(table["views"] > 1),
        "one view": _numbers(table["single_view_rmse"].where(table["views"] > 1), ".4f"),
        "worse than the first by [95 %]": _with_limits(table, "worse_by", 4) if "worse_by" in table else None,
        "missed sum": _numbers(table["missed_sum"].where(table["missed_sum"] >= 1e-6, 0), ".3g"),
        "accuracy": _numbers(table["reached_accuracy"], ".3f"),
        "parameters": _numbers(table["parameters"], ",.0f"),
        "minutes": _numbers(table["minutes"], ".1f"),
        "images/s": _numbers(table["images_per_second"], ",.0f"),
        "hardware": table["hardware"],
    }
    shown = pd.DataFrame({name: cells for name, cells in columns.items() if cells is not None and cells.notna().any()})
    lines = [list(shown.columns), ["---"] * shown.shape[1], *shown.astype(object).fillna("-").values.tolist()]
    return "\n".join(f"| {' | '.join(map(_cell, line))} |" for line in lines)


def _cell(value: object) -> str:
    return f"{value:.0f}" if isinstance(value, float) else str(value)


def _numbers(values: pd.Series, form: str) -> pd.Series:
    return values.map(lambda value: f"{value:{form}}", na_action="ignore")


def _with_limits(table: pd.DataFrame, name: str, digits: int) -> pd.Series:
    figures = table[[name, f"{name}_low", f"{name}_high"]].itertuples(index=False)
    texts = [f"{value:.{digits}f} [{low:.{digits}f}, {high:.{digits}f}]" for value, low, high in figures]
    return pd.Series(texts, index=table.index).where(table[name].notna())


def draw(table: pd.DataFrame, against: str, path: Path) -> Path:
    """RMSE with its 95 % interval against parameters or minutes; names in a column, the best at the bottom."""
    runs = table[table[against].notna()]
    with picture(path, 8.6, max(4.2, 0.19 * len(runs) + 1.2), "RMSE of the runs, 95 % intervals") as figure:
        axes = figure.add_subplot(xscale="log", xlabel=AXES[against], ylabel="RMSE")
        around = np.abs(runs[["rmse_low", "rmse_high"]].to_numpy().T - runs["rmse"].to_numpy())
        axes.errorbar(runs[against], runs["rmse"], around, fmt="o", color=BLUE, elinewidth=1)
        axes.set_xlim(runs[against].min() / 1.5, runs[against].max() * 1.5)
        for height, run in zip(np.linspace(0.02, 0.98, len(runs)), runs.itertuples(), strict=True):
            axes.annotate(
                f"{run.rmse:.4f} {run.run}",
                (getattr(run, against), run.rmse),
                (1.04, height),
                textcoords="axes fraction",
                va="center",
                size=8,
                arrowprops={"arrowstyle": "-", "color": GREY, "linewidth": 0.5, "shrinkB": 4, "relpos": (0, 0.5)},
            )
    return path


if __name__ == "__main__":
    start(main)
