"""Networks for TensorFlow Serving: a folder with one numbered version below it, a SavedModel.

A server that is started with ``--model_name=best --model_base_path=/…/served/best`` answers two kinds of requests to
``POST /v1/models/best:predict``. Prepared cutouts, brightness from 0 to 255, go to the signature that is taken where
none is named; a row holds one cutout, by name where the network takes numbers beside it::

    {"instances": [[[[12, 9, 8], …], …]]}
    {"instances": [{"cutout": [[[12, 9, 8], …], …], "inputs": [0.396]}]}

JPEG and PNG files of any size, in base 64, go to the signature ``images``, which prepares them as galaxycnn does, from
the file's own pixels (an orientation in its EXIF is not followed, and CMYK is not understood)::

    {"signature_name": "images", "instances": [{"image_bytes": {"b64": "/9j/4AAQSk…"}}]}

The answer is ``{"predictions": [[0.62, 0.35, …]]}``, or with several outputs a dict by name for each image. What the
columns are is said in ``assets.extra/galaxycnn.json`` of the version (:mod:`galaxycnn.exporting.card`).
"""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import keras

from galaxycnn.config.schema import DataPreprocessing
from galaxycnn.data.generator import CUTOUT, INPUTS
from galaxycnn.exporting.card import NAME, card
from galaxycnn.exporting.network import Exportable, Exported
from galaxycnn.files import atomic_path, write_json

SERVE, IMAGES = "serve", "images"
"""The signatures: prepared cutouts, and files; the former is also the default."""

IMAGE_BYTES = "image_bytes"
"""What the files are called in a request."""

LUMA = (0.299, 0.587, 0.114)
"""Red, green and blue in grey (ITU-R 601-2), as in Pillow."""


def write_serving(exportable: Exportable, folder: Path) -> Exported:
    """Write the next version of a network into the folder that a server watches; servers take the highest number.

    Raises:
        UserError: it gives something else than the network.
    """
    import tensorflow as tf

    settings, network = exportable.recipe.config.data_preprocessing, exportable.network
    prepare = prepared(settings)
    archive = keras.export.ExportArchive()
    archive.track(network)
    archive.add_endpoint(SERVE, network.__call__, exportable.inputs)
    files = tf.TensorSpec([None], tf.string, name=IMAGE_BYTES)
    if settings.inputs:
        numbers = tf.TensorSpec([None, len(settings.inputs)], tf.float32, name=INPUTS)
        archive.add_endpoint(IMAGES, lambda f, n: network({CUTOUT: prepare(f), INPUTS: n}), [files, numbers])
    else:
        archive.add_endpoint(IMAGES, lambda f: network(prepare(f)), [files])
    version = _next_version(folder)
    with atomic_path(version) as temporary:
        archive.write_out(str(temporary), verbose=False)
        write_json(temporary / "assets.extra" / f"{NAME}.json", card(exportable))
        served = tf.saved_model.load(str(temporary)).signatures[SERVE]
        given = {name: tf.constant(values) for name, values in exportable.made_up[0].items()}
        difference = exportable.compare({name: each.numpy() for name, each in served(**given).items()})
    return Exported(version, difference)


def _next_version(folder: Path) -> Path:
    numbers = [int(path.name) for path in folder.glob("*") if path.name.isdecimal()]
    return folder / str(max(numbers, default=0) + 1)


def prepared(settings: DataPreprocessing) -> Callable[[Any], Any]:
    """From encoded JPEG and PNG files, text of shape (images,), to cutouts: float32 (images, height, width, channels).

    It does what Pillow does: rows first, with the pixels beyond the edge of a crop, and 8 bits after either direction.
    """
    import tensorflow as tf

    rows, columns, channels = settings.input_shape

    def cut_out(content: Any) -> Any:
        picture = tf.io.decode_jpeg(content, channels=3, dct_method="INTEGER_ACCURATE")  # PNG, too
        picture = tf.cast(picture, tf.float32)
        if settings.grayscale:
            picture = rounded(tf.tensordot(picture, tf.constant(LUMA), 1)[..., None])
        whole = tf.shape(picture)[:2]
        sides = whole
        if settings.crop:
            sides = tf.repeat(tf.minimum(settings.crop_size, tf.reduce_min(whole)), 2)
        scales = tf.constant([rows, columns], tf.float32) / tf.cast(sides, tf.float32)
        shifts = -tf.cast((whole - sides) // 2, tf.float32) * scales
        across, down = tf.constant([0.0, 1.0]), tf.constant([1.0, 0.0])
        picture = resized(picture, [whole[0], columns], scales * across + down, shifts * across)
        picture = resized(picture, [rows, columns], scales * down + across, shifts * down)
        return tf.ensure_shape(picture, (rows, columns, channels))

    def resized(picture: Any, size: Any, scales: Any, shifts: Any) -> Any:
        lanczos = {"kernel_type": "lanczos3", "antialias": True}
        scaled = tf.raw_ops.ScaleAndTranslate(
            images=picture[None], size=size, scale=scales, translation=shifts, **lanczos
        )
        return rounded(scaled[0])

    def rounded(picture: Any) -> Any:
        return tf.clip_by_value(tf.floor(picture + 0.5), 0, 255)

    each = tf.TensorSpec((rows, columns, channels), tf.float32)
    return lambda contents: tf.map_fn(cut_out, contents, fn_output_signature=each)
