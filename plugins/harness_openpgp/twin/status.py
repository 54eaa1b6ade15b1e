"""Status words of a simulated OpenPGP card (specification 3.4, section 7.1)."""

from __future__ import annotations

from harness_cards.refusals import CardError as CardError

OK = 0x9000
TERMINATED = 0x6285
WRONG_OLD = 0x6300
"""A wrong old PIN in CHANGE, as the application of the Nitrokey 3 answers it."""
TRIES = 0x63C0
NOT_TOUCHED = 0x6600
WRONG_LENGTH = 0x6700
NO_SECURE_MESSAGING = 0x6882
LAST_OF_CHAIN = 0x6883
NOT_VERIFIED = 0x6982
BLOCKED = 0x6983
CONDITIONS = 0x6985
WRONG_DATA = 0x6A80
NOT_FOUND = 0x6A82
NO_SPACE = 0x6A84
WRONG_P1P2 = 0x6A86
NO_REFERENCE = 0x6A88
"""An unknown data object, or a slot without a key."""
WRONG_PARAMETERS = 0x6B00
NO_INSTRUCTION = 0x6D00
NO_CLASS = 0x6E00
INTERNAL = 0x6F00
