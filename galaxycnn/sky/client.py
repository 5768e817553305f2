"""Asking a server politely: seldom enough, again after a while where it may help, and never for ever."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass, field
from functools import cached_property
from typing import Any, TypeVar

import galaxycnn
from galaxycnn.errors import MissingExtra, UserError

Result = TypeVar("Result")

PASSING = (408, 425, 429, 500, 502, 503, 504)
"""Answers of a server that may be others a while later."""
PATIENCE = 600.0
"""The longest wait, in seconds, that a server may ask for."""
LOST = 5
"""After so many requests in a row without any answer each is made only once."""


class Refused(Exception):
    """Something is not to be had; the message says why."""


class Passing(Refused):
    """It is not to be had now, but maybe later: in ``after`` seconds, where the server says so."""

    def __init__(self, reason: str, after: float | None = None) -> None:
        super().__init__(reason)
        self.after = after


@dataclass(eq=False)
class Client:
    """Asks from any number of threads.

    Args:
        rate: most requests a second, of all threads together.
        timeout: seconds without a byte after which a request is given up.
        tries: how often a request is made before it is given up.
        pause: seconds before the second try; before each further one twice as long, and up to as long again by chance.

    Raises:
        UserError: a library is not installed, or a number makes no sense.
    """

    rate: float = 4.0
    timeout: float = 60.0
    tries: int = 5
    pause: float = 1.0
    _lock: threading.Lock = field(default_factory=threading.Lock, repr=False)
    _free: float = 0.0
    _silent: int = 0
    _closed: threading.Event = field(default_factory=threading.Event, repr=False)

    def __post_init__(self) -> None:
        if not (self.rate > 0 and self.timeout > 0 and self.tries >= 1):
            raise UserError("rate and timeout are above 0, tries at least 1")
        try:
            import requests
            import tenacity
        except ImportError as error:
            raise MissingExtra("fetching cutouts", "sky") from error
        self._requests, self._tenacity = requests, tenacity

    @cached_property
    def _session(self) -> Any:
        session = self._requests.Session()
        session.headers["User-Agent"] = f"galaxycnn/{galaxycnn.__version__}"
        return session

    def get(self, url: str, asked: dict[str, Any], use: Callable[[bytes, str], Result]) -> Result:
        """What ``use`` makes of the content that the server has at an address, and of its type.

        Args:
            url, asked: the address and its parameters.
            use: raises Passing where the content is damaged, and Refused where it is not what was asked for.

        Raises:
            Refused: there was nothing, however often it was asked for.
        """
        t = self._tenacity
        backoff = t.wait_exponential(multiplier=self.pause, max=PATIENCE) + t.wait_random(0, self.pause)

        def wait(state: Any) -> float:
            return 0.0 if state.outcome.exception().after is not None else float(backoff(state))

        def stop(state: Any) -> bool:
            return state.attempt_number >= self.tries or self._silent >= LOST or self._closed.is_set()

        retrying = t.Retrying(
            stop=stop,
            wait=wait,
            retry=t.retry_if_exception_type(Passing),
            sleep=t.sleep_using_event(self._closed),
            reraise=True,
        )
        result: Result = retrying(self._once, url, asked, use)
        return result

    def close(self) -> None:
        """Give up all that is waited for."""
        self._closed.set()

    def _once(self, url: str, asked: dict[str, Any], use: Callable[[bytes, str], Result]) -> Result:
        self._wait_for_turn()
        try:
            response = self._session.get(url, params=asked, timeout=self.timeout)
        except self._requests.Timeout:
            self._silent += 1
            raise Passing(f"the server gave no answer within {self.timeout:g} s") from None
        except (self._requests.exceptions.ChunkedEncodingError, self._requests.exceptions.ContentDecodingError):
            raise Passing("the answer of the server was cut short") from None
        except self._requests.RequestException as error:
            self._silent += 1
            raise Passing(f"the server cannot be reached ({type(error).__name__})") from None
        self._silent = 0
        if not response.ok:
            reason = f"the server says {response.status_code} {response.reason}".rstrip()
            if response.status_code not in PASSING:
                raise Refused(reason)
            raise Passing(reason, self._held_off(response))
        return use(response.content, response.headers.get("Content-Type", ""))

    def _held_off(self, response: Any) -> float | None:
        """The wait that a server asks for, in seconds; it holds for all threads."""
        from urllib3.exceptions import InvalidHeader
        from urllib3.util import Retry

        with suppress(InvalidHeader):
            seconds = Retry().parse_retry_after(response.headers.get("Retry-After", "?"))
            if seconds > PATIENCE:
                raise Refused(f"the server asks to come back in {seconds:,.0f} s")
            with self._lock:
                self._free = max(self._free, time.monotonic() + seconds)
            return float(seconds)
        return None

    def _wait_for_turn(self) -> None:
        while not self._closed.is_set():
            with self._lock:
                now = time.monotonic()
                if now >= self._free:
                    self._free = now + 1 / self.rate
                    return
                wait = self._free - now
            self._closed.wait(wait)
        raise Refused("it was not asked for any more")
