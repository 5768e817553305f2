"""How fast augmentation is, alone and as a share of a training step.

Run:    python benchmarks/augmentation_speed.py [--repeats 5] [--galaxies 2000] [--skip-training]
Needs:  nothing but the package; the images are noise, since the cost does not depend on what they show.
Cost:   about a minute on 2 free cores.

Settings that are compared take turns within every repeat. Images per second are by the clock and suffer
from whatever else the machine does; processor time (of all threads together) hardly does. Both are
medians over the repeats, ratios are medians of the ratios within a repeat.
"""

from __future__ import annotations

import argparse
import time
from collections.abc import Callable

import cv2
import keras
import numpy as np
from command import start
from rich.console import Console
from rich.table import Table

from galaxycnn.config.schema import DataAugmentation
from galaxycnn.data.augmentation import Augmenter
from galaxycnn.data.generator import MultiOutputDataGenerator

BATCH, SIZE = 100, 64
Times = dict[str, list[tuple[float, float]]]
"""Seconds by the clock and of processor time, per image, for each repeat."""


def random_images(n: int) -> np.ndarray:
    return np.random.default_rng(0).integers(0, 256, (n, SIZE, SIZE, 3), dtype=np.uint8)


def take_turns(tasks: dict[str, Callable[[], object]], images: int, repeats: int) -> Times:
    """What each task takes per image, once per repeat, after one round that is not counted."""
    times: Times = {name: [] for name in tasks}
    for repeat in range(repeats + 1):
        for name, task in tasks.items():
            clock, processor = time.perf_counter(), time.process_time()
            task()
            if repeat:
                times[name].append(((time.perf_counter() - clock) / images, (time.process_time() - processor) / images))
    return times


def stacked_layers() -> keras.Sequential:
    """The geometry of ``seed_task2`` as Keras' own layers, each of which interpolates anew."""
    return keras.Sequential(
        [
            keras.layers.RandomFlip(),
            keras.layers.RandomRotation(0.25, fill_mode="nearest"),
            keras.layers.RandomTranslation(0.01, 0.01, fill_mode="nearest"),
            keras.layers.RandomZoom(0.15, fill_mode="nearest"),
        ]
    )


def augmentation_alone(repeats: int) -> Times:
    cv2.setNumThreads(1)
    images, rng = random_images(BATCH), np.random.default_rng(48)
    tasks: dict[str, Callable[[], object]] = {}
    for name in ("seed_task2", "dieleman"):
        augment = Augmenter(DataAugmentation(preset=name), images.shape[1:])
        tasks[f"{name}, one warp"] = lambda augment=augment: [augment(images, rng) for _ in range(10)]
    layers = stacked_layers()
    tasks["seed_task2, Random* layers"] = lambda: [np.asarray(layers(images, training=True)) for _ in range(10)]
    return take_turns(tasks, 10 * BATCH, repeats)


def base_network() -> keras.Model:
    network = keras.Sequential([keras.Input((SIZE, SIZE, 3)), keras.layers.Rescaling(1 / 255)])
    for filters in (32, 64, 128):
        network.add(keras.layers.Conv2D(filters, 3, activation="relu"))
        network.add(keras.layers.MaxPooling2D())
    network.add(keras.layers.Flatten())
    for units in (256, 128):
        network.add(keras.layers.Dense(units, activation="relu"))
    network.add(keras.layers.Dense(8, activation="sigmoid"))
    network.compile("adam", "mean_squared_error")
    return network


def training(galaxies: int, repeats: int) -> Times:
    images = random_images(galaxies)
    targets = np.random.default_rng(1).random((galaxies, 8), dtype=np.float32)
    network = base_network()

    def through_generator(preset: str | None) -> Callable[[], object]:
        augmentation = preset and DataAugmentation(preset=preset)
        batches = MultiOutputDataGenerator(images, targets, BATCH, augmentation)
        return lambda: network.fit(batches, shuffle=False, callbacks=[batches.epoch_callback], verbose=0)

    return take_turns(
        {
            "arrays in memory": lambda: network.fit(images, targets, batch_size=BATCH, verbose=0),
            "generator, no augmentation": through_generator(None),
            "generator, seed_task2": through_generator("seed_task2"),
            "generator, dieleman": through_generator("dieleman"),
        },
        galaxies,
        repeats,
    )


def table(title: str, times: Times) -> Table:
    """Medians over the repeats, and processor time relative to the first row."""
    shown = Table("", "images/s", "processor ms per batch", "relative", title=title)
    first = np.array(next(iter(times.values())))[:, 1]
    for name, found in times.items():
        clock, processor = np.array(found).T
        relative = np.median(processor / first)
        shown.add_row(
            name, f"{np.median(1 / clock):,.0f}", f"{1e3 * BATCH * np.median(processor):.2f}", f"{relative:.2f}"
        )
    return shown


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--repeats", type=int, default=5)
    parser.add_argument("--galaxies", type=int, default=2000, help="in one epoch of the training comparison")
    parser.add_argument("--skip-training", action="store_true", help="measure the augmentation alone")
    options = parser.parse_args()

    console = Console()
    console.print(
        table(f"Augmentation on one thread, {SIZE}x{SIZE}x3, batches of {BATCH}", augmentation_alone(options.repeats))
    )
    if not options.skip_training:
        title = f"One epoch of the base CNN, {options.galaxies} galaxies, {keras.backend.backend()}"
        console.print(table(title, training(options.galaxies, options.repeats)))


if __name__ == "__main__":
    start(main)
