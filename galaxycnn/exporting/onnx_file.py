"""Networks as ONNX files, through Keras' own export and tf2onnx.

The file needs onnxruntime alone, or any other program that reads ONNX. Its metadata hold the network's description
(:mod:`galaxycnn.exporting.card`), and its document string says how an image is prepared:

>>> import json, onnxruntime  # doctest: +SKIP
>>> session = onnxruntime.InferenceSession("best.onnx")  # doctest: +SKIP
>>> about = json.loads(session.get_modelmeta().custom_metadata_map["galaxycnn"])  # doctest: +SKIP
>>> [fractions] = session.run(["fractions"], {"cutout": cutouts})  # doctest: +SKIP
>>> dict(zip(about["outputs"]["fractions"]["columns"], fractions[0]))  # doctest: +SKIP
"""

from __future__ import annotations

import json
import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from functools import cache
from pathlib import Path
from typing import Any

import numpy as np

from galaxycnn.errors import MissingExtra, UserError
from galaxycnn.exporting.card import NAME, card
from galaxycnn.exporting.network import Exportable, Exported
from galaxycnn.files import atomic_path
from galaxycnn.quiet import quiet

BATCH = "images"
"""What the first dimension of every input and output is called."""


def onnx_libraries() -> Any:
    """onnx, with tf2onnx and onnxruntime ready beside it.

    Raises:
        UserError: one of them is not installed.
    """
    try:
        import onnx
        import onnxruntime  # noqa: F401
        import tf2onnx  # noqa: F401
    except ImportError as error:
        raise MissingExtra("an ONNX file", "onnx") from error
    return onnx


def write_onnx(exportable: Exportable, path: Path) -> Exported:
    """Write an ONNX file that gives the network's outputs by their names, for any number of images.

    Raises:
        UserError: the network has an operation that ONNX does not, or the file gives something else than the network.
    """
    onnx = onnx_libraries()
    _teach_erfc()
    with atomic_path(path) as temporary:
        with _without_remarks():
            exportable.network.export(str(temporary), format="onnx", verbose=False, input_signature=exportable.inputs)
        model = onnx.load(temporary)
        about = card(exportable)
        model.doc_string, model.graph.name = about["how_to"], about["name"]
        onnx.helper.set_model_props(model, {NAME: json.dumps(about)})
        for value in (*model.graph.input, *model.graph.output):
            value.type.tensor_type.shape.dim[0].dim_param = BATCH
        try:
            onnx.checker.check_model(model)
        except onnx.checker.ValidationError as error:
            reason = str(error).strip().splitlines()[0]
            raise UserError(f"{exportable.recipe.config.model_name} cannot be written as ONNX: {reason}") from None
        onnx.save(model, temporary)
        return Exported(path, exportable.compare(_run(temporary, exportable)))


def _run(path: Path, exportable: Exportable) -> dict[str, Any]:
    import onnxruntime

    session = onnxruntime.InferenceSession(path, providers=["CPUExecutionProvider"])
    names = [output.name for output in session.get_outputs()]
    return dict(zip(names, session.run(names, exportable.made_up[0]), strict=True))


@cache
def _teach_erfc() -> None:
    """Tell tf2onnx what Erfc is, of which TensorFlow makes GELU: 1 - Erf."""
    from tf2onnx.handler import tf_op

    @tf_op("Erfc")
    class _Erfc:
        @classmethod
        def version_9(cls, graph: Any, node: Any, **_: Any) -> None:
            output, shape, dtype = node.output[0], graph.get_shape(node.output[0]), graph.get_dtype(node.output[0])
            inputs = list(node.input)
            graph.remove_node(node.name)
            one = graph.make_const(f"{node.name}_one", np.ones((), np.float32)).output[0]
            erf = graph.make_node("Erf", inputs, shapes=[shape], dtypes=[dtype]).output[0]
            graph.make_node("Sub", [one, erf], outputs=[output], shapes=[shape], dtypes=[dtype])


@contextmanager
def _without_remarks() -> Iterator[None]:
    """What cannot be converted is said in one sentence afterwards."""
    with quiet("tf2onnx"), warnings.catch_warnings():
        warnings.filterwarnings("ignore", category=FutureWarning)
        yield
