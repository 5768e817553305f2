"""A whole run: data, network, fits, evaluation, files."""

from __future__ import annotations

import json
import logging
import platform
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from importlib.metadata import version
from pathlib import Path
from typing import Any

import keras
import numpy as np
import pandas as pd

from galaxycnn.artefacts import RunFiles, split_of
from galaxycnn.config import Config, dump_config, load_config, save_config
from galaxycnn.data.dataset import GalaxyData, prepare
from galaxycnn.data.split import Split
from galaxycnn.diagram import draw_network
from galaxycnn.errors import ConfigError, UserError
from galaxycnn.files import atomic_path, write_json
from galaxycnn.losses import takes_class_weights
from galaxycnn.machine import machine
from galaxycnn.measuring import Known, NeverLooked, best_threshold, measure
from galaxycnn.metrics import check_monitor
from galaxycnn.models.builder import CNNBuilder
from galaxycnn.models.outputs import Outputs
from galaxycnn.models.saving import Recipe, read_recipe, save_model
from galaxycnn.models.staged import StagedParams
from galaxycnn.plots import EvaluatedPart, write_all
from galaxycnn.pretrained import model_file
from galaxycnn.reports import part_in_words, part_tables
from galaxycnn.tables import answer_table, render
from galaxycnn.training.callbacks import Fitted, read_state
from galaxycnn.training.fitting import fit_stage, loss_values, make_losses
from galaxycnn.training.precision import precision
from galaxycnn.training.typical import learn_typical
from galaxycnn.tree import Floats
from galaxycnn.views import Seen, fill_mode, predict_views


@dataclass
class Run:
    """A finished run.

    Attributes:
        model: the trained network, compiled; pixels 0–255 in, fractions out.
        data: the galaxies it was trained, validated and tested on.
        history: one dict per epoch: losses and metrics of training and validation.
        seen: what was predicted, by part.
        results: the content of ``metrics.json``.
        baseline: what predict-the-mean and predict-the-majority learnt from the training part.
        threshold: the second of two classes is chosen from this probability on, as was best for the validation part.
        files: what was written.
    """

    config: Config
    model: keras.Model
    data: GalaxyData
    history: list[dict[str, float]]
    seen: dict[str, Seen]
    results: dict[str, Any]
    baseline: NeverLooked
    threshold: float | None = None
    files: list[Path] = field(default_factory=list)

    @property
    def predictions(self) -> dict[str, Floats]:
        """Predicted fractions by part, each of shape (galaxies, columns)."""
        return {part: seen.mean.astype(np.float32) for part, seen in self.seen.items()}


def train(
    config: Config,
    *,
    split: Split | None = None,
    resume: bool = False,
    save_model: bool = True,
    save_history: bool = True,
    save_plots: bool = True,
) -> Run:
    """Train, evaluate and save the network that ``config`` describes.

    Args:
        config: a checked configuration; its ``seed`` decides split, weights and augmentation.
        split: which galaxies train, validate and test; None takes the configuration's.
        resume: go on with an interrupted training of this name, where there is one; a finished one
            of the same configuration is not repeated.
        save_model: write the network (``.keras`` and ``.h5``) and its diagram.
        save_history: write the history (CSV and pickle).
        save_plots: draw the pictures; the measures are written in any case.

    Raises:
        UserError: data or configuration are wrong, or the interrupted training was another one.

    Example:
        >>> import galaxycnn
        >>> run = galaxycnn.train(galaxycnn.load_config("configs/quickstart.yaml"))  # doctest: +SKIP
        >>> run.results["parts"]["test"]["overall"]["rmse"]  # doctest: +SKIP
        0.15
    """
    files = RunFiles(config)
    resuming = resume and _can_resume(config, files)
    with files.logging(append=resuming) as log, precision(config):
        _log_start(log, config, resuming)
        data = prepare(config, Split.load(files.split) if resuming else split)
        _log_data(log, data)
        _warn_of_known(log, config, data)
        model, builder = _begin(config, files, data, resuming)
        run = _evaluated(config, model, data.once, _fit(config, files, model, builder, data))
        run.files += _written(run, files, save_model, save_history, save_plots)
        files.forget_state()
        _log_end(log, run)
    return run


def fit(config: Config, data: GalaxyData, watchers: Sequence[keras.callbacks.Callback] = ()) -> keras.Model:
    """The network that :func:`train` would keep, and nothing else: it is not measured, drawn or saved.

    Args:
        config: a checked configuration.
        data: its galaxies.
        watchers: callbacks that are told of every epoch; an exception of theirs ends the training.
    """
    files = RunFiles(config)
    with precision(config):
        model, builder = _begin(config, files, data, resuming=False)
        _fit(config, files, model, builder, data, watchers)
    files.forget_state()
    return model


def _can_resume(config: Config, files: RunFiles) -> bool:
    """Whether an interrupted training is there; more epochs are the one change it may go on with."""
    if read_state(files.state) is None:
        if files.metrics.exists() and files.config_yaml.exists() and load_config(files.config_yaml) == config:
            raise UserError(f"{config.model_name} is finished ({files.metrics}); without --resume it is trained again")
        return False
    before = json.loads((files.state / "config.json").read_text())
    now = config.model_dump(mode="json")
    for key in _changes(before, now):
        if key != "train_params.epochs":
            raise ConfigError(
                f"{key}: the interrupted training of {config.model_name!r} had another value; restore it, or train"
                " without --resume"
            )
    return True


def _changes(before: Any, now: Any, key: str = "") -> Iterator[str]:
    if isinstance(before, Mapping) and isinstance(now, Mapping):
        for name in before.keys() | now.keys():
            yield from _changes(before.get(name), now.get(name), f"{key}.{name}" if key else name)
    elif before != now:
        yield key


def _begin(config: Config, files: RunFiles, data: GalaxyData, resuming: bool) -> tuple[keras.Model, CNNBuilder]:
    """A new network, and the files that a later resume will need."""
    keras.utils.set_random_seed(config.seed)
    builder = CNNBuilder(config, data.tree)
    model = builder.build()
    for stage in builder.family.stages(model):
        outputs = Outputs.of(stage.model, stage.answers(data.tree))
        check_monitor(config.model_params.monitor, config.train_params.metrics, outputs)
    builder.family.adapt(model, data.by_quantity(data.train), data.train.inputs)
    if not len(data.validation):
        config.refuse_to_watch_nothing()
    if not resuming:
        files.forget_state()
        data.split.save(files.split)
    write_json(files.state / "config.json", config.model_dump(mode="json"))
    save_config(config, files.config_yaml)
    return model, builder


def _fit(
    config: Config,
    files: RunFiles,
    model: keras.Model,
    builder: CNNBuilder,
    data: GalaxyData,
    watchers: Sequence[keras.callbacks.Callback] = (),
) -> Fitted:
    """All stages that are still to be fitted, one after the other."""
    stages = builder.family.stages(model)
    network = files.state / "network.weights.h5"
    state = read_state(files.state)
    done = Fitted(**state["before"]) if state else Fitted()
    if network.exists():
        model.load_weights(network)
    for stage in stages[done.stages :]:
        done = fit_stage(config, files, stage, done, model, data, watchers)
        if len(stages) > 1:
            with atomic_path(network) as temporary:
                model.save_weights(temporary)
    return done


def _evaluated(config: Config, model: keras.Model, data: GalaxyData, fitted: Fitted) -> Run:
    known = {part.name: Known(data.tree, part.fractions, data.by_quantity(part)) for part in data.parts}
    baseline = NeverLooked.fit(known["train"])
    seen = {}
    for part in data.parts:
        views = 1 if part.name == "train" else config.evaluation_params.views
        seen[part.name] = predict_views(model, data.tree, part, views, fill_mode(config))
    threshold = best_threshold(known["validation"], seen["validation"]) if "validation" in seen else None
    limit = config.evaluation_params.outlier_limit
    how: dict[str, Any] = {"outlier_limit": limit, "threshold": threshold, "seed": config.seed}
    losses = make_losses(config, model, data.tree, data.train.fractions)
    factors, parts = config.train_params.loss_weights, {}
    for part in data.parts:
        loss = loss_values(losses, factors, model, data, part, seen[part.name])
        parts[part.name] = {"loss": loss, **measure(known[part.name], seen[part.name], baseline, **how)}
    results = {
        "model_name": config.model_name,
        "model_type": config.model_params.model_type,
        "parameters": model.count_params(),
        "seed": config.seed,
        "galaxies": {part.name: len(part) for part in data.parts},
        "left_out": Counter(problem.kind for problem in data.problems),
        "epochs": len(fitted.history),
        "training_seconds": round(fitted.seconds, 1),
        "machine": machine(),
        "parts": parts,
    }
    return Run(config, model, data, fitted.history, seen, results, baseline, threshold)


def _written(run: Run, files: RunFiles, model: bool, history: bool, plots: bool) -> list[Path]:
    written = [files.config_yaml, files.split]
    if model:
        recipe = Recipe(run.config, run.data.tree, run.baseline.to_dict(), run.threshold)
        typical = learn_typical(run.model, run.data, run.config.seed)
        written += [save_model(run.model, files.model(suffix), recipe, typical) for suffix in (".keras", ".h5")]
        written.append(draw_network(run.model, files.model(".pdf")))
    if history:
        written += files.write_history(run.history)
    for part in run.data.parts[1:]:
        seen = run.seen[part.name]
        written.append(files.write_predictions(part.name, part.ids, run.data.tree, seen.mean, seen.quantities))
    return [*written, write_json(files.metrics, run.results), *(_plots(run, files) if plots else [])]


def _plots(run: Run, files: RunFiles) -> list[Path]:
    evaluated = [
        EvaluatedPart(
            part.name,
            part.ids.tolist(),
            part.fractions,
            run.seen[part.name].mean,
            run.results["parts"][part.name],
            part.pixels() if part.name == "test" else None,
            run.data.by_quantity(part),
            run.seen[part.name].quantities,
            [files.confusion(part.name)] if part.name in ("train", "test") else [],
        )
        for part in run.data.parts
    ]
    history = {str(name): column.tolist() for name, column in pd.DataFrame(run.history).items()}
    monitor = run.config.model_params.monitor
    return write_all(files.plots, run.data.tree, evaluated, history, name=run.config.model_name, monitor=monitor)


# -- the log ------------------------------------------------------------------------------------


def _log_start(log: logging.Logger, config: Config, resuming: bool) -> None:
    versions = ", ".join(f"{name} {version(name)}" for name in ("galaxycnn", "keras", "numpy"))
    backend = f"Keras on {keras.backend.backend()} in {keras.config.dtype_policy().name}"
    log.info("%s training of %s", "resumed" if resuming else "started", config.model_name)
    log.info("Python %s, %s, %s, %s", platform.python_version(), versions, backend, platform.platform())
    log.info("configuration:\n%s", dump_config(config))
    loss = config.train_params.loss_function
    if config.model_params.class_weights and not takes_class_weights(loss):
        log.warning("model_params.class_weights has no effect on the loss %r", loss)


def _log_data(log: logging.Logger, data: GalaxyData) -> None:
    log.info("%s", data)
    for problem in data.problems:
        log.info("left out: %s", problem)


def _warn_of_known(log: logging.Logger, config: Config, data: GalaxyData) -> None:
    """Say how many galaxies that are measured the first weights were trained with, where their split is known."""
    if not isinstance(config.model_params, StagedParams):
        return
    path = model_file(config.model_params.weights)
    try:
        file = split_of(path, read_recipe(path).config)
    except UserError:  # no network of this project
        return
    if not file.exists():
        return
    learnt = [name for part, names in Split.load(file) if part != "test" for name in names]
    for part in data.parts[1:]:
        shared = np.intersect1d(part.ids, learnt)
        if len(shared):
            log.warning(
                "%d of the %d galaxies of the %s part trained the first weights (%s), %s for one: its score will"
                " flatter; data_preprocessing.split_file: %s keeps them apart",
                *(len(shared), len(part), part.name, config.model_params.weights, shared[0], file),
            )


def _log_end(log: logging.Logger, run: Run) -> None:
    for part, results in run.results["parts"].items():
        for table in part_tables(results, part):
            log.info("%s", render(table))
        log.info("%s", part_in_words(results))
    if "outputs" in run.results["parts"]["test"]:
        log.info("every answer of the test part\n%s", render(answer_table(run.results["parts"]["test"])))
    for path in run.files:
        log.info("written: %s", path)
