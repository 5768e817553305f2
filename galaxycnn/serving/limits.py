"""What a client may ask for: bytes, pixels, files, images a minute, and requests at a time."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field, fields
from math import ceil
from typing import Any

from galaxycnn.errors import UserError

MEGA = 10**6


class Refused(Exception):
    """A request, or one of its files, that is not served.

    Attributes:
        status: of HTTP: 408 too slow, 413 too large, 415 not an image, 422 damaged, 429 too often, 503 busy.
        retry_after: seconds after which the same request may be served; None where it never will.
    """

    def __init__(self, status: int, reason: str, retry_after: int | None = None) -> None:
        super().__init__(reason)
        self.status = status
        self.retry_after = retry_after


def _limit(default: float, text: str) -> Any:
    return field(default=default, metadata={"text": text})


@dataclass(frozen=True)
class Limits:
    """What is refused; each field says in its metadata what it is.

    Example:
        >>> Limits(megabytes=0.001).bytes
        1000
    """

    megabytes: float = _limit(16.0, "largest file, in MB")
    megapixels: float = _limit(16.0, "largest picture, in millions of pixels, all planes of a FITS file together")
    files: int = _limit(32, "most files of a request")
    request_megabytes: float = _limit(64.0, "largest request, in MB")
    per_minute: int = _limit(240, "images that one client may send in a minute; an explanation counts as four")
    waiting: int = _limit(8, "requests that are served or wait at a time, of all clients")
    seconds: float = _limit(60.0, "longest time that a request may take to arrive")

    def __post_init__(self) -> None:
        for each in fields(self):
            if getattr(self, each.name) <= 0:
                raise UserError(f"the {each.metadata['text']} must be above 0, not {getattr(self, each.name)}")

    @property
    def bytes(self) -> int:
        return round(self.megabytes * MEGA)

    @property
    def request_bytes(self) -> int:
        return round(self.request_megabytes * MEGA)

    @property
    def pixels(self) -> int:
        return round(self.megapixels * MEGA)


class Rate:
    """How many images each client may still send: a bucket that fills evenly over a minute.

    Args:
        per_minute: what a full bucket holds.
        clock: seconds, from any beginning on.

    Example:
        >>> now = [0.0]
        >>> rate = Rate(60, lambda: now[0])
        >>> rate.take("client", 60)
        >>> try:
        ...     rate.take("client", 10)
        ... except Refused as refused:
        ...     (refused.status, refused.retry_after)
        (429, 10)
        >>> now[0] = 10
        >>> rate.take("client", 10)
    """

    MOST_CLIENTS = 10_000
    """From so many on, those with a full bucket are forgotten."""

    def __init__(self, per_minute: int, clock: Callable[[], float] = time.monotonic) -> None:
        self.per_minute = per_minute
        self._clock = clock
        self._left: dict[str, tuple[float, float]] = {}

    def take(self, client: str, images: int) -> None:
        """Count ``images`` of a client.

        Raises:
            Refused: it has sent too many.
        """
        now, images = self._clock(), min(images, self.per_minute)
        left = self._now(client, now)
        if left < images:
            wait = max(1, ceil((images - left) * 60 / self.per_minute))
            raise Refused(
                429, f"more than {self.per_minute:,} images a minute: go on in {wait} second{'s' * (wait > 1)}", wait
            )
        if len(self._left) >= self.MOST_CLIENTS:
            self._left = {one: found for one, found in self._left.items() if self._now(one, now) < self.per_minute}
        self._left[client] = (left - images, now)

    def _now(self, client: str, now: float) -> float:
        left, then = self._left.get(client, (float(self.per_minute), now))
        return min(self.per_minute, left + (now - then) * self.per_minute / 60)


class Room:
    """How many requests are served or wait at a time.

    Example:
        >>> room = Room(1)
        >>> with room.place():
        ...     try:
        ...         with room.place():
        ...             pass
        ...     except Refused as refused:
        ...         refused.status
        503
    """

    def __init__(self, places: int) -> None:
        self.places = places
        self._taken = 0

    @contextmanager
    def place(self) -> Iterator[None]:
        """One of the places, for the length of the block.

        Raises:
            Refused: all are taken.
        """
        if self._taken >= self.places:
            raise Refused(503, f"{self.places} requests are being served: try again in a few seconds", 3)
        self._taken += 1
        try:
            yield
        finally:
            self._taken -= 1
