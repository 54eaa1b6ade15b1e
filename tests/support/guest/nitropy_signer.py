"""nitropy, with a test key among the signers that it knows; run by the Python that has nitropy, in the guest.

python nitropy_signer.py TEST_KEY ARGUMENT ...
"""

from __future__ import annotations

import sys

from nitrokey.nk3 import _NK3_DATA
from nitrokey.trussed._bootloader.nrf52 import SignatureKey
from pynitrokey.cli import main

if __name__ == "__main__":
    test_key = SignatureKey("Keyharness test key", True, sys.argv[1])
    _NK3_DATA.nrf52_signature_keys = [*_NK3_DATA.nrf52_signature_keys, test_key]
    sys.argv = ["nitropy", *sys.argv[2:]]
    main()
