"""What a method of explanation is, and how one is found by its name."""

from __future__ import annotations

from dataclasses import dataclass, fields
from typing import ClassVar

from galaxycnn.errors import UserError, nearest
from galaxycnn.explain.network import Array, Images, Scores
from galaxycnn.registry import EXPLANATIONS


@dataclass(frozen=True)
class Method:
    """Base of all methods: subclass it in a file of this package and register it with ``EXPLANATIONS``.

    Its fields are its settings.
    """

    galaxies: ClassVar[int] = 16
    """How many galaxies it explains at a time."""

    def maps(self, scores: Scores, cutouts: Images) -> Array:
        """How much each pixel speaks for each answer, negative where it speaks against it.

        Args:
            scores: what is explained.
            cutouts: uint8, shape (galaxies, height, width, channels).

        Returns:
            Shape (questions, galaxies, height, width).

        Raises:
            UserError: the method does not apply to this network.
        """
        raise TypeError(f"{type(self).__name__} makes no maps")


def make_method(name: str, layer: str | None = None) -> Method:
    """The method of that name, looking at that layer.

    Raises:
        UserError: there is no such method, or it looks at no layer.

    Example:
        >>> make_method("gradcam", "top_relu")
        GradCAM(layer='top_relu')
    """
    method: type[Method] = EXPLANATIONS[name]
    if layer is None:
        return method()
    if not _looks_at_a_layer(method):
        others = [other for other, entry in EXPLANATIONS.items() if _looks_at_a_layer(entry)]
        raise UserError(f"the method {name!r} looks at no layer, so {layer!r} means nothing to it{nearest('', others)}")
    return method(layer=layer)  # type: ignore[call-arg]


def _looks_at_a_layer(method: type[Method]) -> bool:
    return "layer" in {entry.name for entry in fields(method)}
