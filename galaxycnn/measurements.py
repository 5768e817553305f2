"""Classical morphology of cutouts: size, shape, concentration, asymmetry, clumpiness, colour, neighbours.

The measures are those of catalogues and of the CAS and Gini–M20 systems (Conselice 2003, ApJS 147, 1; Lotz, Primack
and Madau 2004, AJ 128, 163), taken from the colour picture that a volunteer sees: its bands are stretched and clipped
to 0…255, so values agree with those of calibrated images in order, not in number. Everything runs on a batch of
cutouts at once. statmorph (Rodriguez-Gomez et al. 2019, MNRAS 483, 4140) defines the same measures, with the care that
calibrated images deserve (a Petrosian aperture, a weight map, a Sérsic fit), one galaxy at a time.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
import pandas as pd
from numpy.typing import NDArray
from scipy import ndimage

from galaxycnn.errors import DataError

Array = NDArray[np.floating]
Mask = NDArray[np.bool_]

PLACE = {
    "x": "centre of light, pixels from the left edge's pixel",
    "y": "centre of light, pixels from the top edge's pixel",
    "position_angle": "of the major axis, degrees in (-90, 90], counter-clockwise from the x axis",
}
"""Where a galaxy lies and points to: no part of its morphology."""

MORPHOLOGY = {
    "background": "level of the frame around the cutout, 0…1",
    "noise": "standard deviation of the sky, 0…1",
    "light": "mean of the galaxy's light over the cutout, 0…1",
    "area": "share of the cutout that the galaxy covers",
    "peak": "brightest pixel (smoothed), 0…1",
    "surface_brightness": "mean within the half-light ellipse, 0…1",
    "half_light_radius": "semi-major axis of the ellipse that holds half of the light, in sides of the cutout",
    "petrosian_radius": "where the light of a ring is a fifth of the mean inside (Petrosian 1976), in sides",
    "axis_ratio": "minor over major axis, from second moments",
    "minor_axis": "standard deviation of the light along the minor axis, in sides",
    "concentration": "C = 5 log10(r80 / r20), circles (Conselice 2003)",
    "asymmetry": "A: light that a turn by 180° moves, over the light, less that of the noise (Conselice 2003)",
    "shape_asymmetry": "the same of the outline alone (Pawlik et al. 2016, MNRAS 456, 3032)",
    "clumpiness": "S: light in structures below a quarter of the Petrosian radius (Lotz et al. 2004, without factor 10)",
    "gini": "inequality of the galaxy's pixels, 0…1 (Lotz et al. 2004)",
    "m20": "log10 of the share that the brightest fifth of light has in the second moment (Lotz et al. 2004)",
    **{
        f"fourier{m}_{zone}": f"amplitude of {m}-fold symmetry over the light, {where} the half-light ellipse"
        for zone, where in (("inside", "inside"), ("outside", "from one to two and a half times"))
        for m in (1, 2, 3, 4)
    },
    **{
        f"{colour}_{zone}": f"2.5 log10 of {colour.replace('_', ' over ')} light {zone} the half-light ellipse"
        for zone in ("inside", "outside")
        for colour in ("red_green", "green_blue")
    },
    "second_peak": "next brightest maximum of the galaxy over its peak; 0 for none",
    "second_peak_distance": "from the centre, in half-light radii; 0 for none",
    "neighbours": "number of other sources",
    "neighbour_light": "light of the brightest other source over the galaxy's, at most 10",
    "neighbour_distance": "of that source from the centre, in sides; 1 for none",
}
"""Every measure of a galaxy's morphology and its unit; none changes with flips and quarter turns."""

BATCH = 128
SMALLEST = 8
"""Shortest side in pixels of a cutout that can be measured."""


def measure_cutouts(cutouts: NDArray[np.uint8]) -> pd.DataFrame:
    """Measure the source in the middle of every cutout.

    Args:
        cutouts: uint8 pixels, shape (galaxies, height, width, 1 or 3).

    Returns:
        One row per cutout with the columns of :data:`PLACE` and :data:`MORPHOLOGY`, all finite. Where there is no
        source in the middle, ``area`` and ``light`` are 0. A grey cutout has colours of 0.

    Raises:
        DataError: the array has another type or shape, or its cutouts are smaller than 8 pixels.

    Example:
        >>> y, x = np.indices((64, 64)) - 31.5
        >>> galaxy = 200 * np.exp(-np.hypot(x, 2 * y) / 8)
        >>> measured = measure_cutouts(galaxy[None, :, :, None].astype(np.uint8))
        >>> measured[["axis_ratio", "position_angle", "concentration"]].round(1).values.tolist()
        [[0.5, 0.0, 2.3]]
    """
    _check(cutouts)
    batches = (cutouts[start : start + BATCH] for start in range(0, len(cutouts), BATCH))
    columns = [*PLACE, *MORPHOLOGY]
    return pd.DataFrame(np.concatenate([_measure(batch) for batch in batches] or [np.empty((0, len(columns)))]),
                        columns=columns)
