"""The embedded survey: simulated galaxies, their cutouts and the votes of simulated volunteers."""

from galaxycnn.simulate.population import Galaxy, draw_galaxy
from galaxycnn.simulate.scene import render
from galaxycnn.simulate.survey import Survey, simulate_survey, survey_matches
from galaxycnn.simulate.volunteers import vote

__all__ = ["Galaxy", "Survey", "draw_galaxy", "render", "simulate_survey", "survey_matches", "vote"]
