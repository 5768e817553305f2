"""Simulated volunteers who walk the decision tree of Galaxy Zoo 2 and the fractions their votes make.

What a volunteer answers depends on the truth as far as it can be seen: fine structure fades where
the galaxy is small against the seeing or faint against the sky, and then a spiral looks smooth.
"""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np
from numpy.typing import NDArray

from galaxycnn.simulate.population import Galaxy
from galaxycnn.tree import GALAXY_ZOO_2, Question

STOP = "star or artifact"
"""The answer after which a volunteer is asked nothing more."""
DETAIL = frozenset({"features or disk", "bar", "spiral", "odd"})
"""Answers that a keen volunteer gives more readily."""
KEENNESS_SCATTER = 0.6

Logits = dict[str, float]


def clarity(galaxy: Galaxy) -> float:
    """How well fine structure can be seen, 0 to 1: resolution times contrast against the sky."""
    resolution = _logistic(2.2 * np.log(galaxy.radius / (1.15 * galaxy.seeing)))
    contrast = _logistic((22.6 - galaxy.apparent_surface_brightness) / 0.45)
    return resolution * contrast


def beliefs(galaxy: Galaxy) -> dict[str, Logits]:
    """The log-odds of every answer to every question, by the question's key and the answer's name."""
    clear = clarity(galaxy)
    return {
        "shape": _shape(galaxy, clear),
        "edge_on": {"edge-on": _side_view(galaxy), "not edge-on": 0.0},
        "bar": {"bar": -2.1 + clear * (3.6 if galaxy.bar_length else 0.2), "no bar": 0.0},
        "spiral": {"spiral": -1.3 + (1.2 + 3.2 * clear * galaxy.arm_strength if galaxy.arms else 0), "no spiral": 0.0},
        "bulge": _nearest_of(
            np.sqrt(galaxy.bulge_fraction) if galaxy.kind == "disk" else 0.6 * (galaxy.kind == "elliptical"),
            {"no bulge": 0.0, "just noticeable": 0.39, "obvious": 0.68, "dominant": 0.95},
            0.21,
        ),
        "odd": {"odd": _oddness(galaxy, clear), "not odd": 0.0},
        "odd_feature": _odd_features(galaxy, clear),
        "roundness": _nearest_of(
            _seen_axis_ratio(galaxy), {"round": 0.93, "in between": 0.59, "cigar-shaped": 0.24}, 0.15
        ),
        "edge_on_bulge": _edge_on_bulge(galaxy, clear),
        "arm_winding": _nearest_of(
            galaxy.pitch_angle, {"tight arms": 11.0, "medium arms": 19.5, "loose arms": 31.0}, 7.5
        ),
        "arm_count": _arm_count(galaxy, clear),
    }


def vote(galaxy: Galaxy, volunteers: int, rng: np.random.Generator) -> NDArray[np.float64]:
    """Let volunteers classify a galaxy and count their votes.

    Args:
        galaxy: the truth.
        volunteers: how many look at it.
        rng: their moods.

    Returns:
        The cumulative vote fractions of the Kaggle challenge, shape (37,), in the order of
        ``GALAXY_ZOO_2.columns``: each question's answers sum to its parents' fractions.

    Example:
        >>> from galaxycnn.simulate.population import draw_galaxy
        >>> rng = np.random.default_rng(3)
        >>> fractions = vote(draw_galaxy(rng), 40, rng)
        >>> bool(abs(GALAXY_ZOO_2.deviations(fractions[None])).max() < 1e-12)
        True
    """
    tree = GALAXY_ZOO_2
    keenness = rng.normal(0, KEENNESS_SCATTER, volunteers)
    believed = beliefs(galaxy)
    chosen = np.zeros((volunteers, len(tree.columns)), dtype=bool)
    fractions = np.zeros(len(tree.columns))
    stopped = np.zeros(volunteers, dtype=bool)
    for question in tree.questions:
        parents = tree.indices(question.parents)
        asked = (chosen[:, parents].any(axis=1) if parents else np.ones(volunteers, dtype=bool)) & ~stopped
        answers = _answer(question, believed[question.key], keenness, rng)
        where = tree.slice(question)
        chosen[:, where] = asked[:, None] & (answers[:, None] == np.arange(len(question)))
        stopped |= chosen[:, where][:, [answer.name == STOP for answer in question.answers]].any(axis=1)
        counts = chosen[:, where].sum(axis=0)
        if not asked.any() and not parents:
            counts = np.array([answer.name == "not odd" for answer in question.answers], dtype=int)
        total = fractions[parents].sum() if parents else 1.0
        fractions[where] = total * counts / max(1, counts.sum())
    return fractions


def _answer(question: Question, logits: Mapping[str, float], keenness: NDArray, rng: np.random.Generator) -> NDArray:
    """Every volunteer's answer by position; adding Gumbel noise to log-odds samples from their softmax."""
    odds = np.array([logits[answer.name] for answer in question.answers])
    detail = np.array([answer.name in DETAIL for answer in question.answers])
    return (odds + keenness[:, None] * detail + rng.gumbel(size=(len(keenness), len(odds)))).argmax(axis=1)


def _logistic(x: float) -> float:
    return float(1 / (1 + np.exp(-x)))


def _nearest_of(value: float, centres: Mapping[str, float], width: float) -> Logits:
    return {name: -(((value - centre) / width) ** 2) for name, centre in centres.items()}


def _seen_axis_ratio(galaxy: Galaxy) -> float:
    """Axis ratio after the seeing has rounded it."""
    blur = (0.35 * galaxy.seeing) ** 2
    ratio = galaxy.apparent_axis_ratio
    return float(np.sqrt(((ratio * galaxy.radius) ** 2 + blur) / (galaxy.radius**2 + blur)))


def _shape(galaxy: Galaxy, clear: float) -> Logits:
    odds: Logits = {"smooth": 0.0, STOP: -3.4 + 5.5 * (galaxy.kind == "artifact") + 6.5 * (galaxy.kind == "star")}
    structure = 0.9 * galaxy.disturbance + 0.6 * bool(galaxy.companion)
    if galaxy.kind == "disk":
        flat = 1 - _seen_axis_ratio(galaxy)
        face_on = 3.4 * galaxy.arm_strength + 1.0 * bool(galaxy.bar_length) + 1.8 * galaxy.ring + 0.3
        structure += 1.2 * flat + (2.6 if galaxy.edge_on else face_on) + 0.5 * galaxy.star_formation
    elif galaxy.kind == "irregular":
        structure += 2.2
    return odds | {"features or disk": -1.35 + 1.25 * clear * structure}


def _side_view(galaxy: Galaxy) -> float:
    if galaxy.kind == "disk":
        return (galaxy.inclination - 77) / 4
    return -1.5 + 8 * (0.4 - galaxy.apparent_axis_ratio)


def _oddness(galaxy: Galaxy, clear: float) -> float:
    seen = 2.4 * galaxy.ring + 1.2 * galaxy.dust_lane * (galaxy.edge_on or galaxy.kind == "elliptical")
    plain = (
        3.2 * galaxy.arc
        + 3.0 * galaxy.disturbance
        + (2.4 if galaxy.companion else 0)
        + 2.2 * (galaxy.kind == "irregular")
    )
    return -1.75 + clear * seen + (0.4 + 0.6 * clear) * plain + 1.0 * (galaxy.defect != "none")


def _odd_features(galaxy: Galaxy, clear: float) -> Logits:
    return {
        "ring": -0.6 + 4.5 * clear * galaxy.ring,
        "lens or arc": -1.1 + 5 * galaxy.arc,
        "disturbed": 2.2 * galaxy.disturbance,
        "irregular": 0.1 + 3.0 * (galaxy.kind == "irregular"),
        "other": 0.9,
        "merger": -0.5 + (3.6 if galaxy.companion else 0),
        "dust lane": -3.0 + 3.5 * clear * galaxy.dust_lane * (galaxy.edge_on or galaxy.kind == "elliptical"),
    }


def _edge_on_bulge(galaxy: Galaxy, clear: float) -> Logits:
    boxy = galaxy.bulge_shape == "boxy"
    return {
        "rounded": 2.2 if galaxy.bulge_shape == "rounded" else 0.9 - 0.5 * clear,
        "boxy": -0.8 + 2.6 * clear * boxy,
        "no bulge": 0.3 + 2.5 * (galaxy.bulge_shape == "none") - 1.5 * min(1.0, 2 * galaxy.bulge_fraction),
    }


def _arm_count(galaxy: Galaxy, clear: float) -> Logits:
    odds: Logits = {"1 arm": -0.6, "2 arms": 0.9, "3 arms": -0.6, "4 arms": -1.4, "more than 4 arms": -1.6}
    if galaxy.arms:
        seen = list(odds)[min(galaxy.arms, 5) - 1]
        odds[seen] += 0.8 + 2.8 * clear * galaxy.arm_strength
    return odds | {"can't tell": 1.3 + 0.9 * galaxy.flocculence - 0.8 * clear * galaxy.arm_strength}
