"""One fit of a network: optimizer, loss, metrics, callbacks and batches, from the configuration."""

from __future__ import annotations

import logging
from collections.abc import Sequence
from typing import Any

import keras
import numpy as np

from galaxycnn.artefacts import RunFiles
from galaxycnn.config import Config
from galaxycnn.data.dataset import GalaxyData, Part
from galaxycnn.data.generator import MultiOutputDataGenerator
from galaxycnn.losses import check_output, class_weights, make_loss, takes_class_weights
from galaxycnn.metrics import make_metrics
from galaxycnn.models.family import ModelFamily, Rate, Stage
from galaxycnn.models.outputs import per_question, to_fractions, to_targets
from galaxycnn.optimizers import make_optimizer
from galaxycnn.progress import progress_bar
from galaxycnn.training.callbacks import AverageWeights, EpochProgress, Fitted, RefuseNaN, ResumeState
from galaxycnn.tree import DecisionTree, Floats

logger = logging.getLogger("galaxycnn")

PREDICT_BATCH = 256


def make_losses(config: Config, model: keras.Model, tree: DecisionTree, fractions: Floats) -> Any:
    """The configured loss for each output of ``model``, with class weights from ``fractions`` where it takes them.

    Raises:
        ConfigError: the loss compares questions, and ``model`` has an output for each.
    """
    train = config.train_params
    check_output(train.loss_function, flat=not per_question(model))
    weights = None
    if config.model_params.class_weights and takes_class_weights(train.loss_function):
        weights = class_weights(tree, fractions, train.threshold, train.take_weights_log)
    if not per_question(model):
        return make_loss(train.loss_function, train.loss_params, weights, tree)
    return {
        question.name: make_loss(
            train.loss_function,
            train.loss_params,
            None if weights is None else weights[tree.slice(question)],
            tree.subset([question.name]),
        )
        for question in tree.questions
    }


def compile_model(
    config: Config, model: keras.Model, tree: DecisionTree, fractions: Floats, steps: int, rates: Sequence[Rate] = ()
) -> None:
    """Give ``model`` its optimizer, losses and metrics; ``steps`` are the batches of an epoch."""
    model.compile(
        optimizer=make_optimizer(config.train_params, steps, rates),
        loss=make_losses(config, model, tree, fractions),
        metrics=make_metrics(config.train_params.metrics, tree, per_question(model)),
        jit_compile=config.train_params.xla or keras.backend.backend() == "jax",
    )


def stage_targets(
    stage: Stage, model: keras.Model, tree: DecisionTree, part: Part
) -> tuple[np.ndarray, DecisionTree, Floats]:
    """Which galaxies of ``part`` a stage sees (positions), the questions it answers, and their fractions.

    A stage of one question sees the galaxies for which ``model``, as trained so far, chooses an
    answer that leads there (all, where it never does), and learns the fractions among those who
    were asked.
    """
    answered = stage.answers(tree)
    if stage.question is None:
        return np.arange(len(part)), answered, part.fractions
    question, gate = stage.question, tree.gate(stage.question)
    asked = tree.conditional(part.fractions)[:, tree.slice(question)]
    positions = np.flatnonzero(np.isfinite(asked).all(axis=1))
    if gate is not None:
        parent, leading = gate
        answers = predict(model, tree, part)[:, tree.slice(parent)].argmax(axis=1)
        led_here = positions[np.isin(answers[positions], leading)]
        if len(led_here):
            positions = led_here
        else:
            logger.warning("no %s galaxy is predicted to lead to %s: it sees all", part.name, question.name)
    return positions, answered, asked[positions]


def fit_stage(
    config: Config,
    files: RunFiles,
    stage: Stage,
    before: Fitted,
    model: keras.Model,
    data: GalaxyData,
    watchers: Sequence[keras.callbacks.Callback] = (),
) -> Fitted:
    """Fit one stage, from its saved state where there is one, and add it to what was done ``before``.

    ``watchers`` are told of every epoch before anything else is.
    """
    train, network = config.train_params, stage.model
    batches, tree, fractions = _batches(config, stage, model, data, data.train, augmented=True)
    validation = None
    if len(data.validation):
        validation, _, _ = _batches(config, stage, model, data, data.validation, augmented=False)
    rates = ModelFamily.of(config, data.tree).rates(network)
    compile_model(config, network, tree, fractions, len(batches), rates)
    others = _callbacks(config, files)
    state = ResumeState(files.state, before, others)
    state.restore(network)
    title = "epoch" if stage.question is None else f"{stage.question.name} epoch"
    with progress_bar(count=False) as bar:
        progress = EpochProgress(bar, title, train.epochs, state.first_epoch)
        network.fit(
            batches,
            validation_data=validation,
            initial_epoch=state.first_epoch,
            epochs=state.first_epoch if state.finished else train.epochs,
            callbacks=[*watchers, RefuseNaN(train.learning_rate), *others, batches.epoch_callback, progress, state],
            shuffle=False,
            verbose=0,
        )
    history = state.history if stage.question is None else [_renamed(row, stage.question.name) for row in state.history]
    return before.then(history, state.seconds)


def _renamed(row: dict[str, float], question: str) -> dict[str, float]:
    """A one-question stage's figures under the names they have where questions train together."""
    named = {}
    for name, value in row.items():
        kept = name in ("epoch", "learning_rate")
        prefix, bare = ("val_", name[4:]) if name.startswith("val_") else ("", name)
        named[name if kept else f"{prefix}{question}_{bare}"] = value
    return named


def _batches(
    config: Config, stage: Stage, model: keras.Model, data: GalaxyData, part: Part, *, augmented: bool
) -> tuple[MultiOutputDataGenerator, DecisionTree, Floats]:
    positions, tree, fractions = stage_targets(stage, model, data.tree, part)
    batches = MultiOutputDataGenerator(
        part.images,
        to_targets(stage.model, tree, fractions),
        config.train_params.batch_size,
        config.data_augmentation_params if augmented else None,
        seed=config.seed,
        shuffle=augmented,
        rows=part.rows[positions],
    )
    return batches, tree, fractions


def _callbacks(config: Config, files: RunFiles) -> list[keras.callbacks.Callback]:
    params, schedule, monitor = config.model_params, config.train_params.schedule, config.model_params.monitor
    mode = "max" if monitor.endswith(("accuracy", "F1_score")) else "min"
    callbacks: list[keras.callbacks.Callback] = []
    if config.train_params.average_weights:
        callbacks.append(AverageWeights())
    if params.early_stop_patience:
        callbacks.append(
            keras.callbacks.EarlyStopping(
                monitor, patience=params.early_stop_patience, mode=mode, restore_best_weights=True
            )
        )
    if schedule.name == "plateau":
        callbacks.append(keras.callbacks.ReduceLROnPlateau(monitor, schedule.factor, schedule.patience, mode=mode))
    if config.train_params.tensorboard:
        callbacks.append(keras.callbacks.TensorBoard(files.tensorboard))
    return callbacks


def predict(model: keras.Model, tree: DecisionTree, part: Part) -> Floats:
    """Predicted fractions of every galaxy of ``part``: shape (galaxies, columns)."""
    batches = MultiOutputDataGenerator(part.images, None, batch_size=PREDICT_BATCH, rows=part.rows, shuffle=False)
    return to_fractions(tree, model.predict(batches, verbose=0))


def loss_values(losses: Any, model: keras.Model, tree: DecisionTree, part: Part, predicted: Floats) -> dict[str, float]:
    """What ``losses`` say of ``predicted`` on ``part``: ``total``, and each question where it has its own output."""
    targets, outputs = (to_targets(model, tree, fractions) for fractions in (part.fractions, predicted))
    if not isinstance(losses, dict):
        return {"total": float(losses(targets, outputs))}
    values = {name: float(loss(targets[name], outputs[name])) for name, loss in losses.items()}
    return {"total": sum(values.values()), **values}
