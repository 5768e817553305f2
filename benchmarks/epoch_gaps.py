"""How long a training stands still between epochs: with batches as Keras gives them to TensorFlow, and as we do.

    python benchmarks/epoch_gaps.py [--epochs 6] [--seconds 12]
    taskset -c 0 python benchmarks/epoch_gaps.py

A network of one layer is trained on noise. Its steps are prolonged so that an epoch takes ``--seconds``: how long a gap
gets depends on the epoch's length, not on its work. The two ways take turns; a gap is the time from an epoch's begin
to that of its first step.
"""

from __future__ import annotations

import argparse
import time
from typing import Any

import keras
import numpy as np
from command import start

from galaxycnn.data.generator import MultiOutputDataGenerator
from galaxycnn.machine import machine
from galaxycnn.training.streaming import stream

STEPS = 40


class Gaps(keras.callbacks.Callback):
    """Prolongs steps and keeps the gap before each epoch's first one."""

    def __init__(self, seconds: float) -> None:
        super().__init__()
        self.seconds = seconds
        self.gaps: list[float] = []

    def on_epoch_begin(self, epoch: int, logs: dict[str, Any] | None = None) -> None:
        self.begun = time.perf_counter()

    def on_train_batch_begin(self, batch: int, logs: dict[str, Any] | None = None) -> None:
        if batch == 0:
            self.gaps.append(time.perf_counter() - self.begun)
        time.sleep(self.seconds / STEPS)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--epochs", type=int, default=6)
    parser.add_argument("--seconds", type=float, default=12, help="of an epoch (default: 12)")
    parser.add_argument("--repeats", type=int, default=3)
    arguments = parser.parse_args()
    ways = {"a PyDataset, as Keras takes it": lambda batches: batches, "galaxycnn's stream": stream}
    gaps: dict[str, list[float]] = {name: [] for name in ways}
    for _ in range(arguments.repeats):
        for name, served in ways.items():
            # The first epoch begins with the tracing of the step.
            gaps[name] += trained(served, arguments.epochs, arguments.seconds)[1:]
    about = machine()
    print(f"{about['processor']}, {about['cores']} cores; epochs of {arguments.seconds:g} s\n")
    print("| batches | gaps | longer than 1 s | longest | mean |\n|---|---|---|---|---|")
    for name, found in gaps.items():
        print(
            f"| {name} | {len(found)} | {sum(gap > 1 for gap in found)} | {max(found):.2f} s | {np.mean(found):.2f} s |"
        )


def trained(served: Any, epochs: int, seconds: float) -> list[float]:
    """The gap before each epoch, in seconds."""
    rng = np.random.default_rng(0)
    images, targets = rng.integers(0, 256, (STEPS, 8, 8, 3), np.uint8), rng.random((STEPS, 1), np.float32)
    batches = MultiOutputDataGenerator(images, targets, batch_size=1)
    network = keras.Sequential([keras.Input((8, 8, 3)), keras.layers.Flatten(), keras.layers.Dense(1)])
    network.compile("sgd", "mean_squared_error")
    gaps = Gaps(seconds)
    callbacks = [gaps, batches.epoch_callback]
    network.fit(served(batches), epochs=epochs, callbacks=callbacks, shuffle=False, verbose=0)
    return gaps.gaps


if __name__ == "__main__":
    start(main)
