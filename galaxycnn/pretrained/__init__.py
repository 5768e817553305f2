"""The networks that come with galaxycnn, so that it answers before anything is trained; README.md is their card.

Whatever takes a model file takes their names as well: ``galaxycnn explain galaxy_zoo galaxy.jpg``.
"""

from __future__ import annotations

from pathlib import Path

DEFAULT = "galaxy_zoo"
"""The network that predicts where none is named: all 37 vote fractions."""

_FOLDER = Path(__file__).parent

PRETRAINED = {path.stem: path for path in sorted(_FOLDER.glob("*.keras"))}
"""Their files, by name."""

ENSEMBLES = {path.name.partition(".")[0]: path for path in sorted(_FOLDER.glob("*.ensemble.yaml"))}
"""Files of means of several of them, by name."""


def model_file(model: str | Path) -> Path:
    """The file of the network or ensemble of that name; anything that is not such a name is taken for a path.

    Example:
        >>> model_file("galaxy_zoo").name, model_file("saved_models/mine.keras").name
        ('galaxy_zoo.keras', 'mine.keras')
    """
    return (PRETRAINED | ENSEMBLES).get(str(model), Path(model))
