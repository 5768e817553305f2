"""Libraries that say what nobody has to hear."""

from __future__ import annotations

import logging
from collections.abc import Iterator
from contextlib import contextmanager


@contextmanager
def quiet(*loggers: str, level: int = logging.CRITICAL) -> Iterator[None]:
    """Within the block these loggers say nothing below ``level``.

    Example:
        >>> with quiet("tf2onnx"):
        ...     logging.getLogger("tf2onnx").isEnabledFor(logging.ERROR)
        False
    """
    found = [logging.getLogger(name) for name in loggers]
    before = [logger.level for logger in found]
    try:
        for logger in found:
            logger.setLevel(level)
        yield
    finally:
        for logger, its_level in zip(found, before, strict=True):
            logger.setLevel(its_level)
