"""Cutouts that one core draws per second, with votes and JPEG: ``python benchmarks/simulate_speed.py [SIZE]``."""

from __future__ import annotations

import io
import sys
import time

from PIL import Image

from galaxycnn.simulate.survey import JPEG, Survey


def main(image_size: int, galaxies: int = 1000) -> None:
    survey = Survey(galaxies, image_size=image_size)
    for number in range(50):
        survey.draw(number)
    wall, cpu = time.perf_counter(), time.process_time()
    for number in range(galaxies):
        Image.fromarray(survey.draw(number).image).save(io.BytesIO(), "JPEG", **JPEG)
    wall, cpu = time.perf_counter() - wall, time.process_time() - cpu
    per_core, by_clock = galaxies / cpu, galaxies / wall
    print(
        f"{image_size}x{image_size}: {per_core:.0f} cutouts per second of processor time, {by_clock:.0f} by the clock"
    )


if __name__ == "__main__":
    main(int(sys.argv[1]) if len(sys.argv) > 1 else 64)
