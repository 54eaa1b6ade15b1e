"""Known bugs of the Nitrokey Pro's firmware, and of its kind, to be seeded into the twin.

Those that were read in the source were not seen on a device. Each is described by the invariant that it breaks.
"""

from __future__ import annotations

from harness.api import Defect

READ = "nitrokey-pro-firmware 981a7e6, read in source"


def _defect(name: str, title: str, source: str) -> Defect:
    return Defect(name, title, source, application="pro")


_ALL = (
    _defect(
        "backup-address-half",
        "a slot page is copied first, and a half-written address of the copy stops every boot",
        f"{READ}: hotp.c, write_data_to_flash and check_backups: invariant N4",
    ),
    _defect(
        "slot-page-in-place",
        "the page of the slots is erased and written without a copy",
        "made up, of the kind of the safe's page below: invariant N6",
    ),
    _defect(
        "counter-before-slot",
        "the counter of a HOTP slot is written before its secret",
        f"{READ}: hotp.c, write_to_slot: invariant N1",
    ),
    _defect(
        "slot-before-counter",
        "the secret of a HOTP slot is written before its counter",
        "made up, the other order of the one before: invariant N1",
    ),
    _defect(
        "hotp-roll-locks-flash",
        "the 1,017th use of a HOTP slot leaves the flash unit with an error: until the power goes nothing is stored",
        f"{READ}: hotp.c, increment_counter_page: invariant N1",
    ),
    _defect(
        "hotp-roll-in-place",
        "the counter page of a HOTP slot is erased, then begun anew: a cut between the two loses the counter",
        "made up, of the kind of the roll above without its copy: invariant N1",
    ),
    _defect(
        "hotp-answered-first",
        "a HOTP code is answered before its use is stored",
        "made up, of the kind of keycard #37 (the answer before the count): invariant N1",
    ),
    _defect(
        "verified-code-again",
        "a code that the hidden slot has taken is taken again",
        "made up: RFC 4226, section 7.2 wants each code to be taken once: invariant N1",
    ),
    _defect(
        "safe-page-without-backup",
        "a new entry of the safe erases the page of all sixteen first",
        f"{READ}: pwd-safe, PWS_WriteSlot: invariant N2",
    ),
    _defect(
        "safe-slots-mixed",
        "the second report of an entry stores what the first one announced for another slot",
        f"{READ}: pwd-safe, PWS_WriteSlotData_2: invariant N2",
    ),
    _defect(
        "safe-key-before-pin",
        "a new key of the safe is stored before the admin PIN is checked",
        f"{READ}: pwd-safe, BuildNewAesMasterKey: invariant N7",
    ),
    _defect(
        "user-page-without-backup",
        "each change of the firmware password erases the page that also holds the safe's key",
        f"{READ}: FlashStorage.c, WriteUpdatePinHashToFlash: invariant N3",
    ),
    _defect(
        "update-password-in-two",
        "salt and hash of the firmware password are written one after the other",
        f"{READ}: report_protocol.c, change of the firmware password: invariant N8",
    ),
    _defect(
        "update-cut-starts-anyway",
        "after a cut in an update the bootloader starts what is there: parts of two firmwares",
        f"{READ}: its notes on the bootloader: invariant N10",
    ),
    _defect(
        "reset-card-first",
        "a factory reset gives the card its default PINs before the old secrets go",
        f"{READ}: report_protocol.c, factory reset: invariant N5",
    ),
    _defect(
        "reset-keeps-settings",
        "a factory reset leaves the configuration as it is",
        f"{READ}: CcidLocalAccess.c, factoryReset writes the slots alone: invariant N5",
    ),
    _defect(
        "time-page-erased-first",
        "where its page is full the time is erased before the new one is stored",
        f"{READ}: hotp.c, set_time_value: invariant N9",
    ),
    _defect(
        "totp-stale-time",
        "codes are made of the last time that was stored, although nobody told the time in this boot",
        "made up, of the kind of a clock that was rolled back (RFC 6238, section 6): invariant N9",
    ),
    _defect(
        "admin-not-asked",
        "slots are written without the admin's temporary password",
        "made up, of the kind of pico-keys-sdk #25 (a state of the PIN that is not obeyed): invariant N7",
    ),
)
DEFECTS = {defect.name: defect for defect in _ALL}
AS_READ = frozenset(defect.name for defect in _ALL if defect.source.startswith(READ))
"""What the personality of 0.15 has."""
