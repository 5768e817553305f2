"""Metrics that are watched while training, by the names that ``train_params.metrics`` gives."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import keras
from keras import ops

from galaxycnn.errors import ConfigError, nearest
from galaxycnn.models.outputs import Outputs
from galaxycnn.tree import DecisionTree

_serializable = keras.saving.register_keras_serializable(package="galaxycnn")


@_serializable
class AnswerAccuracy(keras.metrics.Mean):
    """Share of galaxies whose most likely answer is predicted, for the answers ``start:stop`` of an output.

    Example:
        >>> accuracy = AnswerAccuracy()
        >>> accuracy.update_state(ops.convert_to_tensor([[0.7, 0.3]]), ops.convert_to_tensor([[0.6, 0.1]]))
        >>> float(accuracy.result())
        1.0
    """

    def __init__(self, start: int = 0, stop: int | None = None, name: str = "accuracy", **kwargs: Any) -> None:
        super().__init__(name=name, **kwargs)
        self.start, self.stop = start, stop

    def update_state(self, y_true: Any, y_pred: Any, sample_weight: Any = None) -> None:
        true, predicted = (ops.argmax(y[:, self.start : self.stop], axis=-1) for y in (y_true, y_pred))
        super().update_state(ops.cast(ops.equal(true, predicted), self.dtype), sample_weight)

    def get_config(self) -> dict[str, Any]:
        return {**super().get_config(), "start": self.start, "stop": self.stop}


@_serializable
class AnswerF1(keras.metrics.F1Score):
    """Macro F1 of the most likely answer, for the answers ``start:stop`` of an output.

    Keras' F1Score wants labels of 0 and 1; here the largest fraction is the label.
    """

    def __init__(self, start: int = 0, stop: int | None = None, name: str = "F1_score", **kwargs: Any) -> None:
        super().__init__(**{"average": "macro", **kwargs}, name=name)
        self.start, self.stop = start, stop

    def update_state(self, y_true: Any, y_pred: Any, sample_weight: Any = None) -> None:
        true, predicted = (y[:, self.start : self.stop] for y in (y_true, y_pred))
        chosen = [ops.one_hot(ops.argmax(y, axis=-1), y.shape[-1], dtype=self.dtype) for y in (true, predicted)]
        super().update_state(*chosen, sample_weight)

    def get_config(self) -> dict[str, Any]:
        return {**super().get_config(), "start": self.start, "stop": self.stop}


@_serializable
class BestEstimateError(keras.metrics.RootMeanSquaredError):
    """Root mean square error of a quantity's best estimate, the first column of what its head puts out."""

    def __init__(self, name: str = "rmse", **kwargs: Any) -> None:
        super().__init__(name=name, **kwargs)

    def update_state(self, y_true: Any, y_pred: Any, sample_weight: Any = None) -> None:
        super().update_state(y_true, y_pred[:, :1], sample_weight)


_WHOLE_OUTPUT = {
    "mse": lambda: keras.metrics.MeanSquaredError(name="mse"),
    "rmse": lambda: keras.metrics.RootMeanSquaredError(name="rmse"),
    "mae": lambda: keras.metrics.MeanAbsoluteError(name="mae"),
}
_PER_QUESTION = {"accuracy": AnswerAccuracy, "F1_score": AnswerF1}
NAMES = (*_WHOLE_OUTPUT, *_PER_QUESTION)
"""The metrics that a configuration may ask for."""


def check_metrics(names: Sequence[str]) -> None:
    """Raise a ConfigError for a name that is not among :data:`NAMES`."""
    for name in names:
        if name not in NAMES:
            raise ConfigError(f"train_params.metrics: there is no metric {name!r}{nearest(name, NAMES)}")


def make_metrics(names: Sequence[str], outputs: Outputs) -> Any:
    """Metric objects for ``compile``: a list for one flat output, a dict of lists by output where there are several.

    On a flat output of several questions, accuracy and F1 are measured question by question and
    named as on separate outputs (``Class1_accuracy``). Of a quantity, the RMSE of its best estimate is.
    """
    by_output = {name: _of_questions(names, tree) for name, tree in outputs.questions.items()}
    by_output |= {name: [BestEstimateError()] for name in outputs.heads}
    return by_output if outputs.named else next(iter(by_output.values()))


def _of_questions(names: Sequence[str], tree: DecisionTree) -> list[keras.metrics.Metric]:
    if len(tree.questions) == 1:
        return [_whole(name) for name in names]
    return [metric for name in names for metric in _flat(name, tree)]


def _whole(name: str) -> keras.metrics.Metric:
    return _WHOLE_OUTPUT[name]() if name in _WHOLE_OUTPUT else _PER_QUESTION[name]()


def _flat(name: str, tree: DecisionTree) -> list[keras.metrics.Metric]:
    if name in _WHOLE_OUTPUT:
        return [_WHOLE_OUTPUT[name]()]
    slices = {question.name: tree.slice(question) for question in tree.questions}
    return [
        _PER_QUESTION[name](where.start, where.stop, name=f"{question}_{name}") for question, where in slices.items()
    ]


def check_monitor(monitor: str, names: Sequence[str], outputs: Outputs) -> None:
    """Raise a ConfigError where a training with these metrics and outputs never records ``monitor``."""
    recorded = {"loss"}
    for output, metrics in (
        make_metrics(names, outputs) if outputs.named else {"": make_metrics(names, outputs)}
    ).items():
        several = len(outputs.names) > 1
        recorded |= {f"{output}_{each}" if several else each for each in ("loss", *(metric.name for metric in metrics))}
    known = [f"{part}{name}" for part in ("val_", "") for name in sorted(recorded)]
    if monitor not in known:
        raise ConfigError(
            f"model_params.monitor: nothing is called {monitor!r} in this training{nearest(monitor, known)}"
        )
