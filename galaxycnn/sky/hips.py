"""Any survey that is published as a HiPS."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from galaxycnn.errors import MissingExtra
from galaxycnn.registry import SURVEYS
from galaxycnn.sky.survey import Cutout, Survey


@SURVEYS.register("hips")
@dataclass(frozen=True)
class Hips(Survey):
    """Any of a thousand surveys from radio to X-ray, resampled by the hips2fits service of the CDS, Strasbourg.

    A layer is the identifier of a Hierarchical Progressive Survey, of which https://aladin.cds.unistra.fr/hips/list
    holds all. What is asked of the service, ``astroquery.hips2fits`` says.

    Example:
        >>> Hips().request(Cutout(190.1, 1.2, 256, 0.25))[1]["hips"]  # doctest: +SKIP
        'CDS/P/PanSTARRS/DR1/color-i-r-g'
    """

    home = "https://alasky.cds.unistra.fr/hips-image-services/hips2fits"
    layers = (
        "CDS/P/PanSTARRS/DR1/color-i-r-g",
        "CDS/P/SDSS9/color",
        "CDS/P/DESI-Legacy-Surveys/DR10/color",
        "CDS/P/DSS2/color",
    )
    forms = ("jpg", "png", "fits")
    scale = 0.25
    sizes = (1, 7000)

    def request(self, cutout: Cutout) -> tuple[str, dict[str, Any]]:
        from astropy.coordinates import Angle, Latitude, Longitude

        try:
            from astroquery.hips2fits import hips2fits
        except ImportError as error:
            raise MissingExtra("a survey by HiPS", "sky") from error
        asked = hips2fits.query(
            hips=self.layer,
            width=cutout.size,
            height=cutout.size,
            projection="TAN",
            ra=Longitude(cutout.ra, unit="deg"),
            dec=Latitude(cutout.dec, unit="deg"),
            fov=Angle(cutout.size * cutout.scale, unit="arcsec"),
            format=self.form,
            get_query_payload=True,
        )
        return self.url, dict(asked)
