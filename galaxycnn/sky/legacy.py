"""The Legacy Surveys."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from galaxycnn.registry import SURVEYS
from galaxycnn.sky.survey import Cutout, Survey


@SURVEYS.register("legacy")
@dataclass(frozen=True)
class Legacy(Survey):
    """DESI Legacy Imaging Surveys (Dey et al. 2019, AJ 157, 168): JPEG in colour, or FITS with one plane per band.

    The service is that of the Sky Viewer, https://www.legacysurvey.org/viewer/urls. Its other layers are asked for by
    their names (``ls-dr9``, ``des-dr2``, ``sdss``, ``unwise-neo7``, …). Outside of its images it gives black pictures.

    Args:
        bands: of FITS files, such as ``grz``; ``""``: all that the layer has.

    Example:
        >>> Legacy().request(Cutout(190.1, 1.2, 256, 0.262))[1]["layer"]
        'ls-dr10'
    """

    bands: str = ""

    home = "https://www.legacysurvey.org/viewer"
    layers = ("ls-dr10", "ls-dr9", "ls-dr8", "des-dr2", "sdss")
    forms = ("jpg", "fits")
    scale = 0.262
    sizes = (1, 3000)

    def request(self, cutout: Cutout) -> tuple[str, dict[str, Any]]:
        service = "jpeg-cutout" if self.form == "jpg" else "fits-cutout"
        asked = {"ra": cutout.ra, "dec": cutout.dec, "pixscale": cutout.scale, "size": cutout.size, "layer": self.layer}
        return f"{self.url.rstrip('/')}/{service}", asked | ({"bands": self.bands} if self.bands else {})
