"""What someone without galaxycnn has to know of an exported network: what it is fed, and what its outputs mean."""

from __future__ import annotations

from typing import Any

import galaxycnn
from galaxycnn.config.schema import DataPreprocessing
from galaxycnn.exporting.network import Exportable
from galaxycnn.models.quantity_heads import BinsHead, MixtureHead, QuantityHead
from galaxycnn.plain import plain
from galaxycnn.tree import DecisionTree

NAME = "galaxycnn"
"""What the description is called in an ONNX file's metadata; for TensorFlow Serving it is ``galaxycnn.json``."""


def card(exportable: Exportable) -> dict[str, Any]:
    """The description of an exported network, as plain values.

    Returns:
        ``name`` and ``made_with``; ``how_to``, sentences that say how it is fed; ``cutout``: ``crop_size`` (None: the
        whole image), ``height``, ``width``, ``channels``, ``resampling`` and ``range``; ``inputs``, the names of the
        numbers that it takes beside a cutout; ``outputs``, by name the ``columns`` of each and what they are;
        ``views``, over how many views of a galaxy galaxycnn averages, where the export sees one; ``threshold``, the
        probability from which on the second of two classes is chosen (None: the more probable one is).
    """
    recipe, outputs = exportable.recipe, exportable.outputs
    settings = recipe.config.data_preprocessing
    rows, columns, channels = settings.input_shape
    described = {name: _answers(tree) for name, tree in outputs.questions.items()}
    described |= {name: _quantity(name, head) for name, head in outputs.heads.items()}
    return {
        "name": recipe.config.model_name,
        "made_with": f"galaxycnn {galaxycnn.__version__}",
        "how_to": how_to(settings),
        "cutout": {
            "crop_size": settings.crop_size if settings.crop else None,
            "height": rows,
            "width": columns,
            "channels": channels,
            "resampling": "Lanczos",
            "range": [0, 255],
        },
        "inputs": settings.inputs,
        "outputs": described,
        "views": recipe.config.evaluation_params.views,
        "threshold": recipe.threshold,
    }


def how_to(settings: DataPreprocessing) -> str:
    """How an image becomes what the network takes, in sentences.

    Example:
        >>> how_to(DataPreprocessing(crop=True, crop_size=207, img_size=[69, 69]))
        'Cut the central 207 x 207 pixels out of the image, resize them to 69 x 69 (height x width) with Lanczos \
resampling, and give red, green and blue as float32 from 0 to 255, not scaled: shape (images, 69, 69, 3).'
    """
    rows, columns, channels = settings.input_shape
    side = settings.crop_size
    begin = f"Cut the central {side} x {side} pixels out of the image, resize them" if settings.crop else "Resize it"
    colours = "red, green and blue" if channels == 3 else "grey (luma, ITU-R 601-2)"
    text = (
        f"{begin} to {rows} x {columns} (height x width) with Lanczos resampling, and give {colours} as float32 from 0"
        f" to 255, not scaled: shape (images, {rows}, {columns}, {channels})."
    )
    named = ", ".join(settings.inputs)
    return f"{text} Beside it, in 'inputs' of shape (images, {len(settings.inputs)}): {named}." if named else text


def _answers(tree: DecisionTree) -> dict[str, Any]:
    words = {a.column: f"{q.text} {a.name}" for q in tree.questions for a in q.answers}
    return {"columns": list(words), "meanings": list(words.values()), "range": [0, 1]}


def _quantity(name: str, head: QuantityHead) -> dict[str, Any]:
    described: dict[str, Any] = {"columns": [name]}
    numbers = range(1, head.parts + 1)
    if isinstance(head, MixtureHead):
        words = ("weight", "mean", "deviation")
        described["columns"] += [f"{word}_{number}" for word in words for number in numbers]
        described["meanings"] = "the mean, then the weights, means and standard deviations of a mixture of Gaussians"
    elif isinstance(head, BinsHead):
        described["columns"] += [f"probability_{number}" for number in numbers]
        described["meanings"] = "the mean, then the probabilities of bins between these edges"
        described["edges"] = plain(head.edges.numpy())
    return described
