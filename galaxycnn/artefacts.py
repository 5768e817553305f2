"""Which files a run writes, and where: one place for every name."""

from __future__ import annotations

import logging
import pickle
import shutil
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pandas as pd

from galaxycnn.config import Config
from galaxycnn.files import atomic_path
from galaxycnn.quantities import Distribution, Prediction, best_estimate
from galaxycnn.tree import DecisionTree, Floats


@dataclass(frozen=True)
class RunFiles:
    """The files of the run that ``config`` describes.

    Example:
        >>> from galaxycnn.config import load_config
        >>> files = RunFiles(load_config({"paths": {"images_path": "images"}, "model_name": "first",
        ...                               "model_params": {}}))
        >>> files.model(".keras").as_posix(), files.metrics.as_posix()
        ('saved_models/first.keras', 'metrics_plots/first/metrics.json')
    """

    config: Config

    @property
    def name(self) -> str:
        return self.config.model_name

    def model(self, suffix: str) -> Path:
        """The saved network (``.keras``, ``.h5``) or its diagram (``.pdf``)."""
        return self.config.paths.models_path / f"{self.name}{suffix}"

    @property
    def history_csv(self) -> Path:
        return self.config.paths.models_path / f"History_{self.name}.csv"

    @property
    def history_pickle(self) -> Path:
        return self.config.paths.models_path / f"History_{self.name}"

    @property
    def plots(self) -> Path:
        return self.config.paths.plots_path / self.name

    @property
    def metrics(self) -> Path:
        return self.plots / "metrics.json"

    def predictions(self, part: str) -> Path:
        return self.plots / f"predictions_{part}.csv"

    @property
    def out_of_fold(self) -> Path:
        """What the folds of a cross-validation predict for the galaxies that each left out."""
        return self.config.paths.plots_path / f"{self.name}.oof.csv"

    @property
    def ensemble(self) -> Path:
        return self.model(".ensemble.yaml")

    @property
    def baselines(self) -> Path:
        """What baselines reach on the run's galaxies."""
        return self.plots / "baselines.json"

    def confusion(self, part: str) -> Path:
        return self.config.paths.plots_path / f"ConfusionMatrix_{self.name}_{part}.pdf"

    @property
    def log(self) -> Path:
        return self.config.paths.logs_path / f"{self.name}.txt"

    @property
    def config_yaml(self) -> Path:
        return self.config.paths.logs_path / f"{self.name}.yaml"

    @property
    def split(self) -> Path:
        return self.config.paths.logs_path / f"{self.name}.split.csv"

    @property
    def tensorboard(self) -> Path:
        return self.config.paths.logs_path / f"{self.name}.tensorboard"

    @property
    def state(self) -> Path:
        """The folder of an unfinished training; gone once it is finished."""
        return self.config.paths.models_path / f".{self.name}.training"

    def forget_state(self) -> None:
        shutil.rmtree(self.state, ignore_errors=True)

    def write_history(self, history: Sequence[dict[str, Any]]) -> list[Path]:
        """One row per epoch as CSV, and as a pickled dict of lists."""
        table = pd.DataFrame(history)
        with atomic_path(self.history_csv) as temporary:
            table.to_csv(temporary, index=False)
        with atomic_path(self.history_pickle) as temporary:
            temporary.write_bytes(pickle.dumps(table.drop(columns=["epoch"], errors="ignore").to_dict("list")))
        return [self.history_csv, self.history_pickle]

    def write_predictions(
        self,
        part: str,
        ids: Iterable[str],
        tree: DecisionTree,
        fractions: Floats,
        quantities: Mapping[str, Prediction] | None = None,
    ) -> Path:
        """One row per galaxy of ``part``: its ``id``, its predicted fractions (galaxies, columns), and its quantities.

        A quantity that was predicted with its distribution has a second column, ``<name>_spread``.
        """
        table = pd.DataFrame(fractions, columns=list(tree.columns))
        table.insert(0, "id", list(ids))
        for name, prediction in (quantities or {}).items():
            table[name] = best_estimate(prediction)
            if isinstance(prediction, Distribution):
                table[f"{name}_spread"] = prediction.spread
        with atomic_path(self.predictions(part)) as temporary:
            table.to_csv(temporary, index=False, float_format="%.6f")
        return self.predictions(part)

    @contextmanager
    def logging(self, append: bool = False) -> Iterator[logging.Logger]:
        """The project's log, written to :attr:`log` for the duration of a run; warnings are shown as well."""
        self.log.parent.mkdir(parents=True, exist_ok=True)
        handler = logging.FileHandler(self.log, mode="a" if append else "w", encoding="utf-8")
        handler.setFormatter(logging.Formatter("%(asctime)s %(message)s", "%Y-%m-%d %H:%M:%S"))
        shown = logging.StreamHandler()
        shown.setLevel(logging.WARNING)
        shown.setFormatter(logging.Formatter("galaxycnn: %(message)s"))
        logger = logging.getLogger("galaxycnn")
        level, propagates = logger.level, logger.propagate
        logger.setLevel(logging.INFO)
        logger.propagate = False
        logger.addHandler(handler)
        logger.addHandler(shown)
        try:
            yield logger
        finally:
            logger.removeHandler(handler)
            logger.removeHandler(shown)
            logger.setLevel(level)
            logger.propagate = propagates
            handler.close()


def split_of(model: Path, config: Config) -> Path:
    """Where the split of a saved network lies: beside one that comes along, else with the logs of its run.

    Args:
        model: the file of the network.
        config: what it was trained with.
    """
    beside = model.with_suffix(".split.csv")
    return beside if beside.exists() else RunFiles(config).split
