"""What the sections of a configuration are made of: a section as such, and the types that its keys share."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Any, Literal

from pydantic import AfterValidator, BaseModel, BeforeValidator, ConfigDict, Field

from galaxycnn.errors import nearest
from galaxycnn.registry import LAYOUTS, QUANTITY_HEADS, Registry

Folder = Annotated[Path, Field(strict=False)]
Positive = Annotated[float, Field(gt=0)]
NonNegative = Annotated[float, Field(ge=0)]
BelowOne = Annotated[float, Field(ge=0, lt=1)]
BetweenZeroAndOne = Annotated[float, Field(gt=0, lt=1)]
Share = Annotated[float, Field(gt=0, le=1)]
Fraction = Annotated[float, Field(ge=0, le=1)]
PositiveInt = Annotated[int, Field(gt=0)]
PositiveInts = Annotated[list[PositiveInt], Field(min_length=1)]
NonNegativeInt = Annotated[int, Field(ge=0)]
Switch = Annotated[bool, BeforeValidator(lambda value: False if value is None else value)]
"""True or false; ``null`` is false, as it switches off any option."""
Size = Annotated[list[PositiveInt], Field(min_length=2, max_length=2)]
Units = list[PositiveInt]
"""Units of each dense layer; there may be none."""
Flattening = Literal["GlobalAveragePooling2D", "GlobalMaxPooling2D", "Flatten"]
Penalty = NonNegative
DropRate = BelowOne


def known(name: str, choices: Registry[Any]) -> str:
    """``name``, where it is an entry of a registry; else a ValueError that names the nearest one."""
    if name not in choices:
        raise ValueError(f"there is no {choices.kind} {name!r}{nearest(name, choices)}")
    return name


class Section(BaseModel):
    """A section of the file: unknown keys and wrong types are errors, and nothing changes later."""

    model_config = ConfigDict(extra="forbid", strict=True, frozen=True, use_attribute_docstrings=True)


def _known_layout(name: str) -> str:
    return name if name == "auto" else known(name, LAYOUTS)


Layout = Annotated[str, AfterValidator(_known_layout)]
QuantityHead = Annotated[str, AfterValidator(lambda name: known(name, QUANTITY_HEADS))]


def _old_classes(given: Any) -> Any:
    """A single old class may stand without its brackets, and a class that is a number without its quotes."""

    def name(given: Any) -> Any:
        return str(given) if type(given) is int else given

    if not isinstance(given, dict):
        return given
    lists = {name(new): old if isinstance(old, list) or old == REST else [old] for new, old in given.items()}
    return {new: [name(each) for each in old] if isinstance(old, list) else old for new, old in lists.items()}


def _no_class_twice(classes: dict[str, list[str] | Literal["rest"]]) -> dict[str, list[str] | Literal["rest"]]:
    named = [name for names in classes.values() if names != REST for name in names]
    twice = sorted({name for name in named if named.count(name) > 1})
    if twice:
        raise ValueError(f"the old class {twice[0]!r} is named twice")
    if list(classes.values()).count(REST) > 1:
        raise ValueError(f"only one new class can be the {REST!r}")
    return classes


REST: Literal["rest"] = "rest"
"""Stands for all old classes that no other new class has."""
OldClasses = Annotated[list[str], Field(min_length=1)] | Literal["rest"]
Classes = Annotated[
    dict[str, OldClasses], Field(min_length=2), BeforeValidator(_old_classes), AfterValidator(_no_class_twice)
]
"""Old classes by new class; at least two new ones."""
