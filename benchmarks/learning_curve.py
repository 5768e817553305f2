"""How a configuration's RMSE falls with the number of training galaxies, and where it would be with all of them.

    python benchmarks/learning_curve.py configs/votes_efficientnet_lite0.yaml --images DIR --labels CSV

The configuration is trained on nested random subsets of its training part and measured on the same test
galaxies. All runs take as many optimizer steps as one on the whole training part (``--same steps``): a small
set is seen more often, so that the curve shows what galaxies are worth and not what steps are. ``--same
epochs`` costs half as much and leaves small sets undertrained. Finished runs are not repeated, and an interrupted
one is resumed; other settings need another ``--out``.

The curve is ``RMSE = a + b (n / 1000)^-c`` with a, b >= 0, by least squares. Its 95 % band is that of a
bootstrap over seeds and test galaxies: it holds the noise of the measurements, and not the doubt whether
one power law goes on so far beyond the largest subset.
"""

from __future__ import annotations

import argparse
import json
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from math import ceil
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
from command import start
from numpy.typing import ArrayLike, NDArray
from recipes import run_settings, train_run
from scipy.optimize import least_squares

from galaxycnn.bootstrap import interval, weights
from galaxycnn.config import Config, load_config
from galaxycnn.data.dataset import GalaxyData, prepare
from galaxycnn.data.split import Split
from galaxycnn.ensembles import read_predictions
from galaxycnn.errors import UserError
from galaxycnn.plots.style import BLUE, GREY, INK, picture

Floats = NDArray[np.float64]

FULL = round(0.8 * 61_578)
"""Training galaxies that an 80/20 split of the whole Galaxy Challenge would leave."""
MARKS = {
    "ResNet18": (4_000, 0.0977),
    "parallel CNN": (39_410, 0.0985),
    "seven-block CNN": (FULL, 0.079),
    "winner of 2014": (61_578, 0.0749),
}
"""Published RMSE by training galaxies (80 % of all, where no split is told); each on test galaxies of its own."""
COUNTED_IN_EPOCHS = {
    "train_params": ("epochs",),
    "train_params.schedule": ("warmup_epochs", "epochs", "patience"),
    "model_params": ("unfreeze_epoch", "early_stop_patience"),
}


def main() -> None:
    arguments = _arguments()
    config = load_config(arguments.config, run_settings("learning_curve", arguments.set, arguments))
    data = prepare(config)
    sizes = sorted(set(arguments.sizes or _default_sizes(len(data.train))))
    if sizes[-1] > len(data.train) or len(sizes) < 3:
        raise UserError(f"--sizes: give at least three, up to the {len(data.train)} training galaxies; got {sizes}")
    for size in sizes:
        for seed in arguments.seeds:
            name = _name(arguments.config, size, seed)
            split_file = arguments.out / "splits" / f"{name}.csv"
            _subset(data.split, size, seed).save(split_file)
            changes = [f"data_preprocessing.split_file={split_file}", *arguments.set]
            if arguments.same == "steps":
                changes += _as_many_steps(config, len(data.train), size)
            train_run(name, arguments.config, changes, seed, arguments)
    curve = Curve.measure(
        {
            size: [_errors(arguments.out, _name(arguments.config, size, seed), data) for seed in arguments.seeds]
            for size in sizes
        }
    )
    _write(curve, arguments.out / f"{arguments.config.stem}-learning_curve")


def _arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("config", type=Path)
    parser.add_argument("--images", required=True, type=Path)
    parser.add_argument("--labels", required=True, type=Path)
    parser.add_argument("--sizes", nargs="+", type=int, help="default: 500, 1000, 2000 and the whole training part")
    parser.add_argument("--seeds", nargs="+", type=int, default=[48, 49, 50], help="of the subset and the weights")
    parser.add_argument("--same", choices=("steps", "epochs"), default="steps", help="what runs have in common")
    parser.add_argument("--set", action="append", default=[], metavar="SECTION.KEY=VALUE", help="a change to all runs")
    parser.add_argument("--out", type=Path, default=Path("benchmarks/results"))
    return parser.parse_args()


def _default_sizes(most: int) -> list[int]:
    return [size for size in (500, 1000, 2000) if size < most] + [most]


# -- runs ----------------------------------------------------------------------------------------


def _name(config: Path, size: int, seed: int) -> str:
    return f"{config.stem}-n{size}-seed{seed}"


def _subset(split: Split, size: int, seed: int) -> Split:
    """The split with ``size`` of its training galaxies; a larger subset of the same seed holds a smaller one."""
    order = np.random.default_rng(seed).permutation(len(split.train))
    return Split([split.train[i] for i in order[:size]], split.validation, split.test)


def _as_many_steps(config: Config, most: int, size: int) -> list[str]:
    """Settings that give ``size`` galaxies the optimizer steps that ``most`` have, schedule and thawing with them."""
    batch = config.train_params.batch_size
    factor = ceil(most / batch) / ceil(size / batch)
    given = config.model_dump(exclude_unset=True)
    given.setdefault("train_params", {}).setdefault("epochs", config.train_params.epochs)
    return [
        f"{section}.{key}={_scaled(value, factor)}"
        for section, keys in COUNTED_IN_EPOCHS.items()
        for key, value in _section(given, section).items()
        if key in keys and value
    ]


def _section(given: Mapping[str, Any], section: str) -> Mapping[str, Any]:
    for name in section.split("."):
        given = given.get(name) or {}
    return given


def _scaled(epochs: int | list[int], factor: float) -> int | list[int]:
    return [round(epoch * factor) for epoch in epochs] if isinstance(epochs, list) else round(epochs * factor)


def _errors(out: Path, name: str, data: GalaxyData) -> Floats:
    """Mean square error of each test galaxy, from the predictions that the run saved."""
    table = read_predictions(out / "metrics_plots" / name / "predictions_test.csv", data.tree.columns)
    return np.square(table.loc[data.test.ids.tolist()].to_numpy() - data.test.fractions).mean(axis=1)


# -- curve ---------------------------------------------------------------------------------------


def power_law(galaxies: ArrayLike, floor: float, excess: float, exponent: float) -> Floats:
    """RMSE after training on so many galaxies: ``floor + excess (galaxies / 1000)^-exponent``."""
    return floor + excess * (np.asarray(galaxies, float) / 1000) ** -exponent


def fit_power_law(galaxies: ArrayLike, rmse: ArrayLike) -> Floats:
    """Floor, excess and exponent of the power law through these points.

    Example:
        >>> sizes = [500, 1000, 2000, 2864]
        >>> fit_power_law(sizes, power_law(sizes, 0.06, 0.05, 0.4)).round(3).tolist()
        [0.06, 0.05, 0.4]
    """
    galaxies, rmse = np.asarray(galaxies, float), np.asarray(rmse, float)
    lowest = rmse.min()
    start = 0.6 * lowest, max(rmse.mean() - 0.6 * lowest, 1e-4), 0.4
    bounds = (0, 0, 0.02), (lowest, 1, 2)
    precise = {"xtol": 1e-12, "ftol": 1e-12, "gtol": 1e-12, "x_scale": "jac"}
    return least_squares(lambda parameters: power_law(galaxies, *parameters) - rmse, start, bounds=bounds, **precise).x


@dataclass(frozen=True)
class Curve:
    """A learning curve and what the bootstrap makes of it.

    Attributes:
        sizes: training galaxies, shape (sizes,).
        rmse: RMSE of each run, shape (sizes, seeds).
        means: mean RMSE of each size in each resample, shape (resamples, sizes).
        parameters: floor, excess and exponent of the power law, shape (3,).
        resampled: the same in each resample, shape (resamples, 3).
    """

    sizes: NDArray[np.int64]
    rmse: Floats
    means: Floats
    parameters: Floats
    resampled: Floats

    @classmethod
    def measure(cls, errors: Mapping[int, Sequence[Floats]], resamples: int = 1000) -> Curve:
        """Fit the mean square errors of each test galaxy, one array per seed for each number of training galaxies."""
        sizes = np.array(list(errors))
        runs = np.array([errors[size] for size in sizes])
        rmse = np.sqrt(runs.mean(axis=2))
        means = np.array(list(_resampled_means(runs, resamples)))
        fits = np.array([fit_power_law(sizes, resampled) for resampled in means])
        return cls(sizes, rmse, means, fit_power_law(sizes, rmse.mean(axis=1)), fits)

    def at(self, galaxies: ArrayLike) -> tuple[Floats, Floats]:
        """The RMSE that the power law gives so many training galaxies, and its 95 % interval (…, 2)."""
        resampled = np.array([power_law(galaxies, *parameters) for parameters in self.resampled])
        return power_law(galaxies, *self.parameters), interval(resampled)


def _resampled_means(runs: Floats, resamples: int) -> Iterator[Floats]:
    """Mean RMSE of each size, with other seeds and other test galaxies drawn: shape (sizes,) each."""
    generator = np.random.default_rng(0)
    sizes, seeds, galaxies = runs.shape
    for drawn in weights(galaxies, resamples, generator):
        chosen = generator.integers(seeds, size=(sizes, seeds))
        yield np.sqrt(runs @ drawn)[np.arange(sizes)[:, None], chosen].mean(axis=1)


# -- results -------------------------------------------------------------------------------------


def _write(curve: Curve, path: Path) -> None:
    runs = pd.DataFrame(curve.rmse, index=pd.Index(curve.sizes, name="galaxies"))
    runs.columns = [f"run {i}" for i in range(1, runs.shape[1] + 1)]
    runs.to_csv(path.with_suffix(".csv"), float_format="%.6f")
    ends = interval(curve.means)
    expected, (low, high) = curve.at(FULL)[0], curve.at(FULL)[1].T
    fit = dict(zip(("floor", "excess", "exponent"), curve.parameters.tolist(), strict=True))
    summary = {"fit": fit, "galaxies": FULL, "rmse": float(expected), "interval": [float(low), float(high)]}
    path.with_suffix(".json").write_text(json.dumps(summary, indent=1))
    _draw(curve, path.with_suffix(".png"))
    print("| training galaxies | RMSE [95 %] |\n|---|---|")
    for size, rmse, limits in zip(curve.sizes, curve.rmse.mean(axis=1), ends, strict=True):
        print(f"| {size:,} | {rmse:.4f} [{limits[0]:.4f}, {limits[1]:.4f}] |")
    print(f"| {FULL:,} (extrapolated) | {expected:.4f} [{low:.4f}, {high:.4f}] |\n\n{_formula(curve)}")


def _formula(curve: Curve) -> str:
    floor, excess, exponent = curve.parameters
    return f"RMSE = {floor:.4f} + {excess:.4f} (n / 1000)^-{exponent:.2f}"


def _draw(curve: Curve, path: Path) -> None:
    galaxies = np.geomspace(0.8 * curve.sizes[0], 1.3 * max(x for x, _ in MARKS.values()), 200)
    expected, band = curve.at(galaxies)
    inside = galaxies <= curve.sizes[-1]
    means, ends = curve.rmse.mean(axis=1), interval(curve.means)
    with picture(path, 7.6, 4.8, f"{path.stem.removesuffix('-learning_curve')}: {_formula(curve)}") as figure:
        axes = figure.add_subplot(xscale="log", xlabel="training galaxies", ylabel="RMSE on the test galaxies")
        axes.fill_between(galaxies, *band.T, color=BLUE, alpha=0.15, linewidth=0, label="95 % of resamples")
        axes.plot(galaxies[inside], expected[inside], color=BLUE, label="power law")
        axes.plot(galaxies[~inside], expected[~inside], "--", color=BLUE, label="extrapolated")
        axes.plot(np.repeat(curve.sizes, curve.rmse.shape[1]), curve.rmse.ravel(), ".", color=GREY, label="runs")
        around = np.abs(ends.T - means)
        axes.errorbar(curve.sizes, means, around, fmt="o", color=BLUE, capsize=3, label="their mean, 95 % interval")
        for name, (size, rmse) in MARKS.items():
            axes.axhline(rmse, color=GREY, linestyle=":", linewidth=0.8, zorder=0)
            axes.plot(size, rmse, "x", color=INK, label="published, on other test galaxies")
            axes.annotate(f"{name} {rmse:.4g}", (size, rmse), (6, 4), textcoords="offset points", size=8)
        axes.set_xticks([*curve.sizes, 10_000, FULL], [f"{size:,}" for size in [*curve.sizes, 10_000, FULL]])
        axes.minorticks_off()
        legend = dict(zip(*reversed(axes.get_legend_handles_labels()), strict=True))
        figure.legend(legend.values(), legend, loc="outside lower center", ncols=3)


if __name__ == "__main__":
    start(main)
