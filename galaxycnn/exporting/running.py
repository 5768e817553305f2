"""From a saved network to what other programs run, in the form that the name of the output asks for."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import keras

from galaxycnn.ensembles import load_ensemble
from galaxycnn.errors import UserError, nearest
from galaxycnn.exporting.compact import write_compact
from galaxycnn.exporting.network import Exportable, Exported
from galaxycnn.exporting.onnx_file import onnx_libraries, write_onnx
from galaxycnn.exporting.tensorflow_serving import write_serving

ONNX, KERAS = ".onnx", ".keras"


def export(model: str | Path, output: str | Path) -> Exported:
    """Write a saved network as an ONNX file, for TensorFlow Serving, or smaller; what was written is run and compared.

    The first two forms take cutouts as float32 of shape (images, height, width, channels) with brightness from 0 to
    255, give the outputs of the network by their names, and carry a description (:func:`galaxycnn.exporting.card.card`)
    of how a cutout is prepared and what each column means. Networks of mixed precision are written in float32.

    Args:
        model: a ``.keras`` or ``.h5`` file, or the YAML file of a finished run.
        output: a file that ends with ``.onnx`` (:mod:`galaxycnn.exporting.onnx_file`), a folder
            (:mod:`galaxycnn.exporting.tensorflow_serving`), or a file that ends with ``.keras``: the network in less
            space (:mod:`galaxycnn.exporting.compact`).

    Raises:
        UserError: the model is an ensemble, the output is none of these, a library is not installed, or what was
            written gives something else than the network.

    Example:
        >>> from galaxycnn.exporting import export
        >>> export("saved_models/best.keras", "best.onnx")  # doctest: +SKIP
        >>> export("saved_models/best.keras", "served/best")  # doctest: +SKIP
    """
    write = _writer(output)
    if keras.backend.backend() != "tensorflow":
        raise UserError("networks are exported with KERAS_BACKEND=tensorflow, whatever they were trained with")
    members = load_ensemble(model).members
    if len(members) > 1:
        named = ", ".join(str(member.path) for member in members)
        raise UserError(f"{model}: an ensemble is not exported as one network; export its members ({named})")
    return write(Exportable.load(members[0].path), Path(output))


def _writer(output: str | Path) -> Callable[[Exportable, Path], Exported]:
    ending = Path(output).suffix.lower()
    if ending == ONNX:
        onnx_libraries()
        return write_onnx
    if not ending or str(output).endswith("/") or Path(output).is_dir():
        return write_serving
    if ending == KERAS:
        return write_compact
    hint = nearest(ending, [ONNX, KERAS])
    hint = hint if "did you" in hint else ""
    raise UserError(f"{output}: an export is a file that ends with {ONNX} or {KERAS}, or a folder{hint}")
