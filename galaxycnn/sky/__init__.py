"""Cutouts of the sky by position, from the servers of surveys, as a list that is predicted."""

from galaxycnn.sky.fetching import Fetched, fetch_cutouts

__all__ = ["Fetched", "fetch_cutouts"]
