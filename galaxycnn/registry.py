"""Registries: things that a YAML file names, found by that name."""

from __future__ import annotations

import importlib
import pkgutil
from collections.abc import Callable, Iterator, Mapping
from typing import Any, Generic, TypeVar

from galaxycnn.errors import UserError, nearest

T = TypeVar("T")


def first_line(entry: object) -> str:
    """What an entry is: the first line of its docstring.

    Example:
        >>> first_line(first_line)
        'What an entry is: the first line of its docstring.'
    """
    return (entry.__doc__ or "").strip().splitlines()[0]


class Registry(Mapping[str, T], Generic[T]):
    """A mapping from name to entry that fills itself by importing the modules of a package.

    Args:
        kind: what an entry is, in the singular, for messages ("model").
        package: the package or module whose import registers the entries, looked at on first use.

    Example:
        >>> shapes: Registry[object] = Registry("shape", "galaxycnn.errors")
        >>> @shapes.register("round")
        ... class Round: ...
        >>> list(shapes)
        ['round']
    """

    def __init__(self, kind: str, package: str) -> None:
        self.kind = kind
        self._package = package
        self._entries: dict[str, T] = {}
        self._discovered = False

    def register(self, name: str) -> Callable[[T], T]:
        """Decorator that enters its argument under ``name``."""

        def enter(entry: T) -> T:
            if name in self._entries:
                raise ValueError(f"the {self.kind} {name!r} is registered twice")
            self._entries[name] = entry
            return entry

        return enter

    def _filled(self) -> dict[str, T]:
        if not self._discovered:
            self._discovered = True
            package = importlib.import_module(self._package)
            for module in pkgutil.iter_modules(getattr(package, "__path__", []), f"{self._package}."):
                importlib.import_module(module.name)
        return self._entries

    def __getitem__(self, name: str) -> T:
        entries = self._filled()
        if name not in entries:
            raise UserError(f"there is no {self.kind} {name!r}{nearest(name, entries)}")
        return entries[name]

    def __contains__(self, name: object) -> bool:
        return name in self._filled()

    def __iter__(self) -> Iterator[str]:
        return iter(self._filled())

    def __len__(self) -> int:
        return len(self._filled())


MODELS: Registry[Any] = Registry("model", "galaxycnn.models")
HEADS: Registry[Any] = Registry("head", "galaxycnn.models.heads")
QUANTITY_HEADS: Registry[Any] = Registry("quantity head", "galaxycnn.models.quantity_heads")
LOSSES: Registry[Any] = Registry("loss", "galaxycnn.losses")
AUGMENTATIONS: Registry[Any] = Registry("augmentation", "galaxycnn.data.augmentation")
LAYOUTS: Registry[Any] = Registry("data layout", "galaxycnn.data.layouts")
BASELINES: Registry[Any] = Registry("baseline", "galaxycnn.baselines")
EXPLANATIONS: Registry[Any] = Registry("explanation", "galaxycnn.explain")
CONTROLS: Registry[Any] = Registry("control", "galaxycnn.controls")
SURVEYS: Registry[Any] = Registry("survey", "galaxycnn.sky")
