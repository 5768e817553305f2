"""Writes state dicts as ``torch.save`` does, in its old and its new format, without PyTorch."""

from __future__ import annotations

import io
import pickle
import zipfile
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

_STORAGES = {"float32": "FloatStorage", "float64": "DoubleStorage", "int64": "LongStorage"}


class _Name:
    """A name of PyTorch's that the file refers to."""

    def __init__(self, module: str, name: str) -> None:
        self.module, self.name = module, name

    def __call__(self) -> None: ...


class _Storage:
    def __init__(self, key: str, numbers: NDArray[Any]) -> None:
        self.key, self.numbers = key, numbers


class _Pickler(pickle._Pickler):  # type: ignore[name-defined] # the one in C cannot write names that are not there
    def __init__(self, file: Any, legacy: bool) -> None:
        super().__init__(file, protocol=2)
        self.storages: list[_Storage] = []
        self.view = (None,) if legacy else ()

    def persistent_id(self, value: Any) -> Any:
        if not isinstance(value, _Storage):
            return None
        kind = _Name("torch", _STORAGES[value.numbers.dtype.name])
        return "storage", kind, value.key, "cpu", value.numbers.size, *self.view

    def save(self, value: Any, *words: Any, **options: Any) -> None:
        if isinstance(value, _Name):
            self.write(f"c{value.module}\n{value.name}\n".encode())
        else:
            super().save(value, *words, **options)

    def reducer_override(self, value: Any) -> Any:
        if not isinstance(value, np.ndarray):
            return NotImplemented
        self.storages.append(_Storage(str(len(self.storages)), np.ascontiguousarray(value).ravel()))
        strides = tuple(step // value.itemsize for step in np.ascontiguousarray(value).strides)
        arguments = (self.storages[-1], 0, value.shape, strides if value.shape else (), False, {})
        return _Name("torch._utils", "_rebuild_tensor_v2"), arguments


def write_state_dict(state: Mapping[str, Any], path: Path, *, legacy: bool = False) -> Path:
    """Write arrays by name, or such a dictionary among other entries, to ``path``."""
    content = io.BytesIO()
    pickler = _Pickler(content, legacy)
    pickler.dump(dict(state))
    if legacy:
        _write_legacy(path, content.getvalue(), pickler.storages)
    else:
        with zipfile.ZipFile(path, "w") as archive:
            archive.writestr("archive/version", "3\n")
            archive.writestr("archive/data.pkl", content.getvalue())
            for storage in pickler.storages:
                archive.writestr(f"archive/data/{storage.key}", storage.numbers.tobytes())
    return path


def _write_legacy(path: Path, content: bytes, storages: list[_Storage]) -> None:
    with path.open("wb") as file:
        for header in (0x1950A86A20F9469CFC6C, 1001, {"little_endian": True}):
            pickle.dump(header, file, protocol=2)
        file.write(content)
        pickle.dump([storage.key for storage in storages], file, protocol=2)
        for storage in storages:
            file.write(np.int64(storage.numbers.size).tobytes() + storage.numbers.tobytes())
