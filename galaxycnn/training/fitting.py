"""One fit of a network: optimizer, loss, metrics, callbacks and batches, from the configuration."""

from __future__ import annotations

import logging
from collections.abc import Mapping, Sequence
from typing import Any

import keras
import numpy as np

from galaxycnn.artefacts import RunFiles
from galaxycnn.config import Config
from galaxycnn.data.dataset import GalaxyData, Part
from galaxycnn.data.generator import MultiOutputDataGenerator
from galaxycnn.errors import ConfigError, nearest
from galaxycnn.losses import balanced, check_output, class_weights, make_loss, takes_class_weights
from galaxycnn.metrics import make_metrics
from galaxycnn.models.family import ModelFamily, Rate, Stage
from galaxycnn.models.outputs import Outputs
from galaxycnn.optimizers import make_optimizer
from galaxycnn.progress import progress_bar
from galaxycnn.training.callbacks import AverageWeights, EpochProgress, Fitted, HeedCtrlC, RefuseNaN, ResumeState
from galaxycnn.training.streaming import stream
from galaxycnn.tree import DecisionTree, Floats
from galaxycnn.views import Seen, predict_views

logger = logging.getLogger("galaxycnn")

COUNTED = "mean_with_sample_weight"
"""Losses are averaged over the galaxies whose labels are known."""


def make_losses(config: Config, model: keras.Model, tree: DecisionTree, fractions: Floats) -> dict[str, Any]:
    """The loss of each output of ``model``, by its name, with class weights from ``fractions`` where it takes them.

    Raises:
        ConfigError: the loss compares questions, and ``model`` has an output for each.
    """
    train, outputs = config.train_params, Outputs.of(model, tree)
    check_output(train.loss_function, flat=not outputs.per_question)
    weights = None
    if config.model_params.class_weights and takes_class_weights(train.loss_function):
        weights = class_weights(tree, fractions, train.threshold, train.take_weights_log)
    losses = {}
    for name, part in outputs.questions.items():
        chosen = None if weights is None else [weights[column] for column in tree.indices(part.columns)]
        losses[name] = make_loss(train.loss_function, train.loss_params, chosen, part)
        losses[name].reduction = COUNTED
    return losses | {name: head.loss() for name, head in outputs.heads.items()}


def compile_model(
    config: Config, model: keras.Model, tree: DecisionTree, fractions: Floats, steps: int, rates: Sequence[Rate] = ()
) -> None:
    """Give ``model`` its optimizer, losses and metrics; ``steps`` are the batches of an epoch.

    Raises:
        ConfigError: there are weights for outputs that ``model`` does not have.
    """
    train, outputs = config.train_params, Outputs.of(model, tree)
    losses = make_losses(config, model, tree, fractions)
    for name in train.loss_weights:
        if name not in outputs.names or not outputs.named:
            having = nearest(name, outputs.names) if outputs.named else "; there is only one output"
            raise ConfigError(f"train_params.loss_weights: there is no output {name!r}{having}")
    if train.balance == "uncertainty":
        losses = {name: balanced(loss) for name, loss in losses.items()}
    model.compile(
        optimizer=make_optimizer(train, steps, rates),
        loss=losses if outputs.named else next(iter(losses.values())),
        loss_weights={name: train.loss_weights.get(name, 1.0) for name in losses} if outputs.named else None,
        weighted_metrics=make_metrics(train.metrics, outputs),
        jit_compile=train.xla or keras.backend.backend() == "jax",
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
        answers = predict_views(model, tree, part).mean[:, tree.slice(parent)].argmax(axis=1)
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
        validation = stream(_batches(config, stage, model, data, data.validation, augmented=False)[0])
    rates = ModelFamily.of(config, data.tree).rates(network)
    compile_model(config, network, tree, fractions, len(batches), rates)
    _make_variables(network, batches)
    others = _callbacks(config, files)
    state = ResumeState(files.state, before, others)
    state.restore(network)
    title = "epoch" if stage.question is None else f"{stage.question.name} epoch"
    with HeedCtrlC() as ctrl_c, progress_bar(count=False) as bar:
        progress = EpochProgress(bar, title, train.epochs, state.first_epoch)
        network.fit(
            stream(batches),
            validation_data=validation,
            initial_epoch=state.first_epoch,
            epochs=state.first_epoch if state.finished else train.epochs,
            callbacks=[
                *watchers,
                RefuseNaN(train.learning_rate),
                *others,
                batches.epoch_callback,
                progress,
                state,
                ctrl_c,
            ],
            shuffle=False,
            verbose=0,
        )
    history = state.history if stage.question is None else [_renamed(row, stage.question.name) for row in state.history]
    return before.then(history, state.seconds)


def _make_variables(model: keras.Model, batches: MultiOutputDataGenerator) -> None:
    """Make the variables of optimizer, losses and metrics; ``fit`` would, and trace its step a second time for that."""
    images, targets, weights = keras.utils.unpack_x_y_sample_weight(batches.batch(0, 0))
    galaxies = len(keras.tree.flatten(images)[0])
    predicted = keras.tree.map_structure(lambda out: keras.ops.full((galaxies, *out.shape[1:]), 0.5), model.output)
    model.optimizer.build(model.trainable_variables)
    model.compute_loss(None, targets, predicted, weights)
    model.compute_metrics(None, targets, predicted, weights)
    model.reset_metrics()


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
    # Mixed once, so that no batch is of galaxies of which the same is unknown.
    order = np.random.default_rng(config.seed).permutation(len(positions))
    known, fractions = part.only(positions[order]), fractions[order]
    outputs, quantities = Outputs.of(stage.model, tree), data.by_quantity(known)
    batches = MultiOutputDataGenerator(
        part.images,
        outputs.targets(fractions, quantities),
        config.train_params.batch_size,
        config.data_augmentation_params if augmented else None,
        seed=config.seed,
        shuffle=augmented,
        rows=known.rows,
        inputs=known.inputs if config.data_preprocessing.inputs else None,
        sample_weights=outputs.weights(fractions, quantities),
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


def loss_values(
    losses: Mapping[str, Any],
    factors: Mapping[str, float],
    model: keras.Model,
    data: GalaxyData,
    part: Part,
    seen: Seen,
) -> dict[str, float]:
    """What ``losses`` say of predictions of ``part``: ``total``, and each output where there are several.

    The total is their sum, weighted by ``factors``, without ``balance``; the loss of a quantity is that of the first
    view.
    """
    outputs = Outputs.of(model, data.tree)
    quantities = data.by_quantity(part)
    targets, weights = outputs.targets(part.fractions, quantities), outputs.weights(part.fractions, quantities)
    predicted = {name: seen.mean[:, data.tree.indices(asked.columns)] for name, asked in outputs.questions.items()}
    values = {}
    for name, loss in losses.items():
        target, weight = (each[name] if isinstance(each, dict) else each for each in (targets, weights))
        values[name] = float(loss(target, predicted.get(name, seen.raw.get(name)), weight))
    total = sum(factors.get(name, 1.0) * value for name, value in values.items())
    return {"total": total, **(values if outputs.named else {})}
