"""Layers of a network, at any depth, and what happens in them while it runs."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from functools import partial
from typing import Any

import keras


def all_layers(model: keras.Model) -> list[keras.layers.Layer]:
    """Those of ``model`` and of the models nested in it, from the pixels on."""
    found = ([layer, *(all_layers(layer) if isinstance(layer, keras.Model) else [])] for layer in model.layers)
    return [layer for layers_of_one in found for layer in layers_of_one]


@contextmanager
def intercepted(layer: keras.layers.Layer, answer: Callable[..., Any]) -> Iterator[None]:
    """Within the block, a call of ``layer`` gives what ``answer(call, *args, **kwargs)`` returns.

    It reaches layers at any depth of nested models, on every backend; models must be called in it, not be given to
    ``predict``, whose compiled program has forgotten its layers.
    """
    layer.call = partial(answer, layer.call)
    try:
        yield
    finally:
        del layer.call
