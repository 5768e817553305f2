"""Shuffle controls: what a network reads in a cutout, the galaxy, or the scale of the pixels and the sky.

A network that is asked about galaxies that were changed in one respect scores as before where it does not look at that,
and worse where it does. The changed pixels are like none that it was trained on, too, so a score that stays says more
than one that falls; what is left of a score without the source is what the sky tells.
"""

from __future__ import annotations

from galaxycnn.controls.changes import Control, Galaxies, shuffled
from galaxycnn.controls.measuring import UNCHANGED, Controlled, measure_controls
from galaxycnn.controls.scenes import Scenes

__all__ = ["UNCHANGED", "Control", "Controlled", "Galaxies", "Scenes", "measure_controls", "shuffled"]
