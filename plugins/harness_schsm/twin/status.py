"""Status words of a simulated SmartCard-HSM.

Seen by clients of the genuine card (OpenSC 14c80b0, sc-hsm-embedded c875eca): those below. Marked "assumed": nobody has
published what the genuine card answers; the suite accepts a set of words there.
"""

from __future__ import annotations

from harness_cards.refusals import CardError as CardError

OK = 0x9000
END_OF_FILE = 0x6282
TRIES = 0x63C0
WRONG_LENGTH = 0x6700
NOT_LOGGED_IN = 0x6982
BLOCKED = 0x6983
TRANSPORT_PIN = 0x6984
USED_UP = 0x6984
CONDITIONS = 0x6985  # assumed, wherever a state forbids a command
NOT_ALLOWED = 0x6986  # assumed
WRONG_DATA = 0x6A80
NOT_SUPPORTED = 0x6A81
NOT_FOUND = 0x6A82
NO_SPACE = 0x6A84
WRONG_P1P2 = 0x6A86
NOT_REFERENCED = 0x6A88
EXISTS = 0x6A89  # assumed
WRONG_OFFSET = 0x6B00
NO_INSTRUCTION = 0x6D00
NO_CLASS = 0x6E00
