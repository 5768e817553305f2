"""Where a score would have stood in the Galaxy Challenge of 2014, as far as its leaderboard is known.

Kaggle ranked 326 teams by the RMSE over a part of the 79,975 test galaxies that it kept to itself, so a
score on all of them differs a little from the one that Kaggle would give. A score on any other
galaxies, a part of the training set for one, says nothing about a place and is given none.
"""

from __future__ import annotations

from bisect import bisect_left
from dataclasses import dataclass
from typing import Any

from galaxycnn.tree import GALAXY_ZOO_2

TEST_GALAXIES = 79_975
TEAMS = 326
"""Teams on the final leaderboard; more were ranked before some were removed."""
CENTRAL_PIXEL = 0.16194
"""Kaggle's own entry: the mean fractions of training galaxies whose centre has the same colour."""


@dataclass(frozen=True)
class Place:
    """A team's rank among so many ``teams``, its RMSE on the private leaderboard, and who says so."""

    rank: int
    rmse: float
    source: str
    teams: int = TEAMS

    def __str__(self) -> str:
        among = "" if self.teams == TEAMS else f" when {self.teams} teams were ranked"
        return f"rank {self.rank} ({self.rmse:.5f}{among})"


_FIRST_FIVE = "Kaggle's page of the competition, five decimals, not rounded"
KNOWN_PLACES = (
    Place(1, 0.07491, f"sedielem. {_FIRST_FIVE}; 0.07492 in Dieleman, Willett & Dambre 2015, MNRAS 450, 1441"),
    Place(2, 0.07752, f"Maxim Milakov. {_FIRST_FIVE}"),
    Place(3, 0.07869, f"6789. {_FIRST_FIVE}"),
    Place(4, 0.07951, f"simon. {_FIRST_FIVE}"),
    Place(5, 0.07952, f"Julian de Wit. {_FIRST_FIVE}"),
    Place(60, 0.10494, "Chenglong Chen, README of his code for the challenge", teams=331),
    Place(145, 0.12859, "M. Delhey, mjd2.blogs.rice.edu, May 2014", teams=329),
)
"""The places whose score is public, best first."""


def place(rmse: float) -> str:
    """The known places between which an RMSE on the test galaxies would have stood.

    Example:
        >>> place(0.0740)
        'ahead of rank 1 (0.07491)'
        >>> place(0.0780)
        'between rank 2 (0.07752) and rank 3 (0.07869)'
        >>> place(0.0985)
        'between rank 5 (0.07952) and rank 60 (0.10494 when 331 teams were ranked)'
    """
    better = bisect_left([known.rmse for known in KNOWN_PLACES], rmse)
    if better == 0:
        return f"ahead of {KNOWN_PLACES[0]}"
    if better == len(KNOWN_PLACES):
        benchmark = "better" if rmse < CENTRAL_PIXEL else "no better"
        return f"behind {KNOWN_PLACES[-1]}, {benchmark} than the central-pixel benchmark ({CENTRAL_PIXEL:.5f})"
    return f"between {KNOWN_PLACES[better - 1]} and {KNOWN_PLACES[better]}"


def leaderboard_sentence(results: dict[str, Any]) -> str | None:
    """The place of an evaluation of the whole test set of 2014; None for any other galaxies or columns.

    Args:
        results: what :func:`galaxycnn.evaluation.evaluate_fractions` returned.

    Example:
        >>> results = {"n": 79975, "overall": {"rmse": 0.0761},
        ...            "outputs": {q.name: {"columns": list(q.columns)} for q in GALAXY_ZOO_2.questions}}
        >>> leaderboard_sentence(results)
        'among the 326 teams of 2014: between rank 1 (0.07491) and rank 2 (0.07752)'
        >>> leaderboard_sentence(results | {"n": 61578}) is None
        True
    """
    columns = [column for output in results["outputs"].values() for column in output["columns"]]
    if results["n"] != TEST_GALAXIES or columns != list(GALAXY_ZOO_2.columns):
        return None
    return f"among the {TEAMS} teams of 2014: {place(results['overall']['rmse'])}"
