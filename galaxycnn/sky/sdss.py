"""The Sloan Digital Sky Survey."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from galaxycnn.registry import SURVEYS
from galaxycnn.sky.survey import Cutout, Survey


@SURVEYS.register("sdss")
@dataclass(frozen=True)
class Sloan(Survey):
    """Sloan Digital Sky Survey: the pictures that Galaxy Zoo 2 and the Galaxy Challenge were made of.

    The service is SkyServer's ImgCutout; a layer is a data release. The pictures of Galaxy Zoo 2 have 424 pixels across
    and 0.02 ``petroR90_r`` arcseconds to a pixel (Willett et al. 2013, MNRAS 435, 2835).

    Example:
        >>> Sloan().request(Cutout(190.1, 1.2, 424, 0.3))
        ('https://skyserver.sdss.org/dr18/SkyServerWS/ImgCutout/getjpeg', {'ra': 190.1, 'dec': 1.2, 'scale': 0.3, \
'width': 424, 'height': 424})
    """

    home = "https://skyserver.sdss.org"
    layers = ("dr18", "dr17", "dr16")
    forms = ("jpg",)
    scale = 0.396127
    sizes = (64, 2048)

    def request(self, cutout: Cutout) -> tuple[str, dict[str, Any]]:
        asked = {"ra": cutout.ra, "dec": cutout.dec, "scale": cutout.scale}
        size = {"width": cutout.size, "height": cutout.size}
        return f"{self.url.rstrip('/')}/{self.layer}/SkyServerWS/ImgCutout/getjpeg", asked | size
