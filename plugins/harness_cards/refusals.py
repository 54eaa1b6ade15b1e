"""How a simulated card refuses a command."""

from __future__ import annotations


class CardError(Exception):
    """A command is refused.

    :param status: the status word. :param data: what is answered with it.
    """

    def __init__(self, status: int, data: bytes = b""):
        super().__init__(f"{status:04X}")
        self.status, self.data = status, data
