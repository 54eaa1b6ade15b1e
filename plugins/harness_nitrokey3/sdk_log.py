"""The vendor's SDK's own log, as a user takes it from nitropy.log: the last lines, kept in memory."""

from __future__ import annotations

import logging
from collections import deque
from collections.abc import Iterator
from contextlib import contextmanager

LINES, CHARACTERS = 400, 400
"""How many lines are kept, and how much of each."""
LOGGER = "nitrokey"


class _Ring(logging.Handler):
    def __init__(self) -> None:
        super().__init__(logging.DEBUG)
        # As nitropy writes it.
        self.setFormatter(logging.Formatter("%(relativeCreated)-8d %(levelname)6s %(name)10s %(message)s"))
        self.lines: deque[str] = deque(maxlen=LINES)

    def emit(self, record: logging.LogRecord) -> None:
        self.lines.append(self.format(record)[:CHARACTERS])


_ring = _Ring()


@contextmanager
def kept() -> Iterator[None]:
    """While entered, keep what the SDK logs, all levels; what was kept before is forgotten."""
    logger = logging.getLogger(LOGGER)
    before = logger.level
    _ring.lines.clear()
    logger.addHandler(_ring)
    logger.setLevel(logging.DEBUG)
    try:
        yield
    finally:
        logger.setLevel(before)
        logger.removeHandler(_ring)


def text() -> str:
    """Return what was logged while `kept` was entered last."""
    return "".join(f"{line}\n" for line in _ring.lines)
