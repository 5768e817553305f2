"""Batches as ``fit`` takes them without waiting between epochs, for :mod:`galaxycnn.training.fitting`."""

from __future__ import annotations

from typing import Any

import keras

from galaxycnn.data.generator import MultiOutputDataGenerator

AHEAD = 2
"""Batches that are prepared while the network is busy."""


def stream(batches: MultiOutputDataGenerator) -> Any:
    """``batches`` for ``fit``: on TensorFlow as a ``tf.data.Dataset``, on other backends as they are.

    Keras wraps a ``PyDataset`` in a ``tf.data.Dataset`` of its own, whose number of prepared batches TensorFlow tunes
    from a thread that wakes ever more seldom: 10 ms after an epoch's begin, 30, 70, … An epoch's end does not always
    wake it (TensorFlow 2.21), and ``fit`` then stands still for up to as long as the epoch took
    (``benchmarks/epoch_gaps.py``). Here the number is fixed, and there is no such thread.
    """
    if keras.backend.backend() != "tensorflow":
        return batches
    import tensorflow as tf

    options = tf.data.Options()
    options.autotune.enabled = False
    spec = keras.tree.map_structure(
        lambda array: tf.TensorSpec((None, *array.shape[1:]), array.dtype), batches.batch(0, 0)
    )
    dataset = tf.data.Dataset.from_generator(
        lambda: (batches[number] for number in range(len(batches))), output_signature=spec
    )
    return dataset.apply(tf.data.experimental.assert_cardinality(len(batches))).prefetch(AHEAD).with_options(options)
