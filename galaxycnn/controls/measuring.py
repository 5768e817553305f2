"""A saved network measured on galaxies as they are, and on changed ones."""

from __future__ import annotations

import tempfile
from collections.abc import Iterator
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from galaxycnn.controls.changes import Control, Galaxies, shuffled, with_another_input
from galaxycnn.controls.scoring import compared, weighted_scores
from galaxycnn.data.dataset import Part
from galaxycnn.ensembles import Ensemble, combine, load_ensemble
from galaxycnn.errors import DataError
from galaxycnn.evaluating import Labelled, load_labelled
from galaxycnn.measuring import Known, NeverLooked, measure
from galaxycnn.models.saving import load_model
from galaxycnn.progress import silent_progress, track
from galaxycnn.registry import CONTROLS
from galaxycnn.views import Seen, fill_mode, predict_views

UNCHANGED = "as_they_are"
"""What galaxies are called that no control has changed."""

BATCH = 128
"""Galaxies that are changed at a time."""

EXAMPLE = 0.6
"""How large the first of the two galaxies that are shown should be, in half-light radii of the second."""


@dataclass(frozen=True)
class Controlled:
    """What :func:`measure_controls` found.

    Attributes:
        results: plain numbers, to be written as JSON: ``n`` galaxies; ``views``; ``seed``; ``sky``, the median share of
            a cutout around its source; ``without_sky``, the share of cutouts that show none and got another's;
            ``outputs``: see :func:`galaxycnn.controls.scoring.compared`.
        examples: by control, two cutouts as it changes them, each with what it takes from another galaxy taken from
            the other one; shape (2, height, width, channels). Controls that leave pixels alone are not among them.
    """

    results: dict[str, Any]
    examples: dict[str, NDArray[np.uint8]]


def measure_controls(
    model: str | Path,
    images: str | Path,
    labels: str | Path | None = None,
    *,
    cache_path: str | Path | None = None,
    views: int | None = None,
    split: str | Path | None = None,
) -> Controlled:
    """Predict labelled galaxies as they are and changed by every control that applies, and compare with the labels.

    Args:
        model: a ``.keras`` or ``.h5`` file, or the ``.ensemble.yaml`` of several.
        images: folder of images.
        labels: CSV of labels; None for a folder per class.
        cache_path: where decoded cutouts are kept; None for a temporary folder.
        views: how many views of each galaxy to average; None for as many as the model's configuration says.
        split: a saved split (``<name>.split.csv``) of which only the test part is used; None for all galaxies.

    Raises:
        UserError: the model or the data cannot be used, or there are not two galaxies.
    """
    ensemble = load_ensemble(model)
    seed, threshold = ensemble.config.seed, ensemble.threshold
    limit = ensemble.config.evaluation_params.outlier_limit
    controls = _controls(ensemble.config.data_preprocessing.inputs)
    with tempfile.TemporaryDirectory() as temporary:
        galaxies = load_labelled(ensemble, images, labels, cache_path or temporary, split)
        count = len(galaxies.ids)
        if count < 2:
            raise DataError(f"{images}: controls take the sky and the labels of other galaxies, but there is one alone")
        others = shuffled(count, seed)
        known, seen = _predicted(ensemble, galaxies, controls, others, views or ensemble.views)
        examples, sky = _examples(next(iter(galaxies.parts.values())), controls, others, seed)
    baseline = ensemble.baseline or NeverLooked.fit(galaxies.known)
    measured = {
        name: measure(known[name], each, baseline, outlier_limit=limit, threshold=threshold, seed=seed)
        for name, each in seen.items()
    }
    scores = {name: weighted_scores(known[name], each, threshold) for name, each in seen.items()}
    about = {"n": count, "views": seen[UNCHANGED].views, "seed": seed, **sky}
    return Controlled({**about, "outputs": compared(scores, measured, count, seed)}, examples)


def _controls(inputs: list[str]) -> dict[str, Control]:
    """All controls by name, those of the numbers that the network is given among them."""
    return {**CONTROLS, **{f"with_another_{name}": with_another_input(i) for i, name in enumerate(inputs)}}


def _predicted(
    ensemble: Ensemble, galaxies: Labelled, controls: dict[str, Control], others: NDArray[np.intp], views: int
) -> tuple[dict[str, Known], dict[str, Seen]]:
    """What is held for known and what is predicted of the galaxies as they are, and under every control that applies.

    Every network is loaded once. One to which a control does not apply predicts the galaxies as they are for it.
    """
    known = {UNCHANGED: galaxies.known}
    seen: dict[str, list[Seen]] = {name: [] for name in (UNCHANGED, *controls)}
    for member in ensemble.members:
        network, part = load_model(member.path), galaxies.part_for(member.config)
        look = partial(predict_views, network, galaxies.tree, views=views, fill_mode=fill_mode(member.config))
        seen[UNCHANGED].append(look(part))
        for name, control in track(controls.items(), "Controls", len(controls)):
            changed = _changed(part, control, others, ensemble.config.seed)
            if changed is None:
                seen[name].append(seen[UNCHANGED][-1])
                continue
            known[name] = replace(galaxies, truth=changed.fractions, parts={"changed": changed}).known
            with silent_progress():
                seen[name].append(look(changed))
    return known, {name: combine(ensemble.weights, each) for name, each in seen.items() if name in known}


def _changed(part: Part, control: Control, others: NDArray[np.intp], seed: int) -> Part | None:
    """The galaxies of a part, changed; None where the control does not apply to them."""
    changed = []
    for own, other in _batches(part, others, seed):
        galaxies = control(own, other)
        if galaxies is own:
            return None
        changed.append(galaxies)
    cutouts, inputs, fractions, quantities = (
        np.concatenate([getattr(each, name) for each in changed])
        for name in ("cutouts", "inputs", "fractions", "quantities")
    )
    return Part(part.name, part.ids, cutouts, np.arange(len(part)), fractions, quantities, inputs)


def _batches(part: Part, others: NDArray[np.intp], seed: int) -> Iterator[tuple[Galaxies, Galaxies]]:
    """Galaxies with the others of each."""
    for i, rows in enumerate(np.array_split(np.arange(len(part)), -(-len(part) // BATCH))):
        yield Galaxies.of(part, rows, seed + 2 * i), Galaxies.of(part, others[rows], seed + 2 * i + 1)


# -- what the cutouts show -----------------------------------------------------------------------


def _examples(
    part: Part, controls: dict[str, Control], others: NDArray[np.intp], seed: int
) -> tuple[dict[str, NDArray[np.uint8]], dict[str, float]]:
    """Two galaxies on skies of their own through all controls, and how much sky there is in all cutouts."""
    scenes = [own.scenes for own, _ in _batches(part, others, seed)]
    radius, bare = (np.concatenate([getattr(each, name) for each in scenes]) for name in ("radius", "bare"))
    sky = np.concatenate([(each.share == 0).mean(axis=(1, 2)) for each in scenes])
    fit = ~bare & ~bare[others] & (radius > 0) & (radius[others] > 0)
    unlike = np.abs(np.divide(radius, radius[others], out=np.full(len(part), np.inf), where=fit) - EXAMPLE)
    first = int((unlike - np.minimum(sky, sky[others])).argmin())
    pair = np.array([first, others[first]])
    own, other = (Galaxies.of(part, rows, seed) for rows in (pair, pair[::-1]))
    examples = {UNCHANGED: own.cutouts}
    for name, control in controls.items():
        changed = control(own, other).cutouts
        if changed is not own.cutouts:
            examples[name] = changed
    return examples, {"sky": float(np.median(sky)), "without_sky": float(bare.mean())}
