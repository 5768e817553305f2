"""Reads the weights in a PyTorch file (``.pth``) without PyTorch, and without running code from it.

A state dict is a pickle of tensors. Only what a state dict is made of is unpickled here: ordered dictionaries, tensors
and their storages; anything else in the file is refused.
"""

from __future__ import annotations

import io
import pickle
import zipfile
from collections import OrderedDict
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import keras
import numpy as np
from numpy.typing import NDArray

from galaxycnn.errors import UserError

StateDict = Mapping[str, NDArray[Any]]

_MAGIC, _PROTOCOL = 0x1950A86A20F9469CFC6C, 1001
_DTYPES = {
    "FloatStorage": "<f4",
    "DoubleStorage": "<f8",
    "HalfStorage": "<f2",
    "LongStorage": "<i8",
    "IntStorage": "<i4",
    "ByteStorage": "u1",
    "BoolStorage": "?",
}


def read_state_dict(path: str | Path) -> StateDict:
    """The tensors in a file that ``torch.save(model.state_dict(), path)`` wrote, old format or new, by name.

    Raises:
        UserError: there is no such file, or it holds something else.
    """
    path = Path(path)
    try:
        read = _read_zip if zipfile.is_zipfile(path) else _read_legacy
        return {name: tensor.array() for name, tensor in _state_dict(read(path)).items()}
    except FileNotFoundError:
        raise UserError(f"{path}: there is no such file of weights") from None
    except Exception as error:  # whatever a damaged or foreign file makes its readers raise
        raise UserError(
            f"{path}: is no PyTorch state dict ({error}); save one with torch.save(model.state_dict(), FILE)"
        ) from None


def _state_dict(content: Any) -> Mapping[str, _Tensor]:
    """The state dict in a file, which may be an entry among others, as in a checkpoint of a training."""
    for key in ("state_dict", "model_state_dict"):
        if isinstance(content, Mapping) and isinstance(content.get(key), Mapping):
            content = content[key]
    if not isinstance(content, Mapping) or not all(isinstance(value, _Tensor) for value in content.values()):
        raise ValueError("it holds something else than tensors by name")
    return content


def copy_layer(layer: keras.layers.Layer, state: StateDict, prefix: str) -> None:
    """Give a convolution, batch normalisation or dense layer the weights that ``state`` has under ``prefix``.

    Raises:
        UserError: they are missing, or of another shape.
    """
    names = _BATCH_NORM if isinstance(layer, keras.layers.BatchNormalization) else ("weight", "bias")
    arrays = []
    for name, weight in zip(names, layer.weights, strict=False):
        if f"{prefix}.{name}" not in state:
            raise UserError(f"model_params.weights: the file has no {prefix}.{name} for the layer {layer.name!r}")
        array = _as_keras(layer, state[f"{prefix}.{name}"])
        if array.shape != tuple(weight.shape):
            raise UserError(
                f"model_params.weights: {prefix}.{name} has shape {array.shape}, but the layer {layer.name!r} takes"
                f" {tuple(weight.shape)}"
            )
        arrays.append(array)
    layer.set_weights(arrays)


_BATCH_NORM = ("weight", "bias", "running_mean", "running_var")


def _as_keras(layer: keras.layers.Layer, array: NDArray[Any]) -> NDArray[Any]:
    """PyTorch's (out, in, height, width) and (out, in) in the order of Keras."""
    if isinstance(layer, keras.layers.DepthwiseConv2D) and array.ndim == 4:
        return array.transpose(2, 3, 0, 1)
    return array.transpose(2, 3, 1, 0) if array.ndim == 4 else array.T


# -- the pickle -----------------------------------------------------------------------------------


class _Storage:
    """Numbers that tensors are views of; in the old format they follow after the pickle."""

    def __init__(self, dtype: str) -> None:
        self.dtype = np.dtype(dtype)
        self.numbers: NDArray[Any] = np.empty(0, dtype)


class _Tensor:
    def __init__(self, storage: _Storage, offset: int, shape: tuple[int, ...], strides: tuple[int, ...]) -> None:
        self.storage, self.offset, self.shape, self.strides = storage, offset, shape, strides

    def array(self) -> NDArray[Any]:
        numbers, size = self.storage.numbers, self.storage.dtype.itemsize
        last = self.offset + sum((n - 1) * stride for n, stride in zip(self.shape, self.strides, strict=True))
        if min((self.offset, *self.strides), default=0) < 0 or last >= max(len(numbers), 1):
            raise ValueError("a tensor lies outside its own numbers")
        steps = [stride * size for stride in self.strides]
        return np.lib.stride_tricks.as_strided(numbers[self.offset :], self.shape, steps).copy()


class _Unpickler(pickle.Unpickler):
    """Knows the few names that a state dict is made of, and no other."""

    def __init__(self, file: Any) -> None:
        super().__init__(file)
        self.storages: dict[str, _Storage] = {}

    def find_class(self, module: str, name: str) -> Any:
        if (module, name) == ("collections", "OrderedDict"):
            return OrderedDict
        if (module, name) == ("torch._utils", "_rebuild_tensor_v2"):
            return lambda storage, offset, shape, strides, *_: _Tensor(storage, offset, shape, strides)
        if (module, name) == ("torch._utils", "_rebuild_parameter"):
            return lambda tensor, *_: tensor
        if module == "torch" and name in _DTYPES:
            return _DTYPES[name]
        raise pickle.UnpicklingError(f"it asks for {module}.{name}")

    def persistent_load(self, pid: Any) -> _Storage:
        _, dtype, key, *_ = pid
        return self.storages.setdefault(key, _Storage(dtype))


def _read_zip(path: Path) -> Any:
    with zipfile.ZipFile(path) as archive:
        pickled = next((name for name in archive.namelist() if name.endswith("/data.pkl")), None)
        if pickled is None:
            raise ValueError("it holds no data.pkl")
        unpickler = _Unpickler(io.BytesIO(archive.read(pickled)))
        content = unpickler.load()
        folder = pickled.removesuffix("data.pkl")
        for key, storage in unpickler.storages.items():
            storage.numbers = np.frombuffer(archive.read(f"{folder}data/{key}"), storage.dtype)
    return content


def _read_legacy(path: Path) -> Any:
    with path.open("rb") as file:
        if _plain(file) != _MAGIC or _plain(file) != _PROTOCOL:
            raise ValueError("it does not begin as one")
        _plain(file)
        unpickler = _Unpickler(file)
        content = unpickler.load()
        for key in _plain(file):
            storage = unpickler.storages[key]
            count = int(np.frombuffer(file.read(8), "<i8")[0])
            storage.numbers = np.frombuffer(file.read(count * storage.dtype.itemsize), storage.dtype)
    return content


def _plain(file: Any) -> Any:
    """The next pickle of the file, which must hold plain values."""
    return _Unpickler(file).load()
