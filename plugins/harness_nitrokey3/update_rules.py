"""The vendor's rules for updates: which version may follow which, and which containers must be refused.

The rule (the vendor's manual, "Downgrade Protection"): an update has the same or a higher major, minor and
patch number than the installed version. What follows the patch number (rc, test) does not count, because the
number that the bootloader compares does not hold it: major << 22 | minor << 6 | patch.

`host` is what the vendor's updater does when it knows the running version. In the bootloader it does not know
the version, and the key alone protects itself.
What an update does to data is in the vendor's manual, "Firmware Update" and "Release Types": they are kept from
1.0.1 on, and deleted from 1.0.0 and below.
"""

from __future__ import annotations

from collections.abc import Callable

from harness.api import NEVER_STARTS, REFUSED, TAKEN, UNCHANGED, DamagedContainer, Data, VersionPair
from harness_nitrokey3 import containers, images, signing
from harness_nitrokey3.containers import Container
from harness_nitrokey3.images import Image, Recipe
from harness_nitrokey3.init_packets import WRONG_PACKETS, WrongPacket
from harness_nitrokey3.twin.dfu_image import number_of

DEVICE = "nitrokey3-mini"


def _up(ours: str, wanted: str, why: str, data: Data = Data.KEPT) -> VersionPair:
    return VersionPair(DEVICE, ours, wanted, TAKEN, TAKEN, data, why)


def _down(ours: str, wanted: str, why: str) -> VersionPair:
    return VersionPair(DEVICE, ours, wanted, REFUSED, REFUSED, Data.NONE, why)


def _overflow(ours: str, wanted: str, key: str, why: str) -> VersionPair:
    """The number in the image is not that of the manifest's version: the updater sees that in every state."""
    return VersionPair(DEVICE, ours, wanted, key, REFUSED, Data.NONE, why)


PAIRS: tuple[VersionPair, ...] = (
    # Stable releases.
    _up("1.8.3", "1.8.4", "a higher patch number"),
    _up("1.8.3", "1.9.0", "a higher minor number"),
    _up("1.8.3", "2.0.0", "a higher major number"),
    _up("1.8.3", "1.8.3", "the same version may be installed again"),
    _up("1.3.1", "1.3.2", "the manual's own example"),
    _up("1.3.1", "1.4.0", "the manual's own example"),
    _up("1.7.1", "1.7.2", "the genuine container's step"),
    _up("1.7.2", "1.8.3", "over the move of the resident credentials"),
    _up("1.2.2", "1.3.1", "over the move behind a journal"),
    _up("1.2.2", "1.8.3", "over both moves at once"),
    _up("1.0.1", "1.8.3", "the oldest version whose data are kept"),
    _up("1.0.0", "1.0.1", "from 1.0.0 the user's data are deleted", Data.DELETED),
    _up("1.0.0", "1.8.3", "the same over all moves", Data.DELETED),
    _down("1.8.3", "1.8.2", "a lower patch number"),
    _down("1.8.3", "1.7.63", "the highest patch number of a lower minor one"),
    _down("1.8.3", "1.0.0", "the lowest stable version"),
    _down("1.8.3", "0.255.63", "a lower major number"),
    _down("1.9.0", "1.8.3", "a lower minor number"),
    _down("2.0.0", "1.65535.63", "the highest number of a lower major one"),
    _down("1.7.2", "1.7.1", "the genuine container's step, backwards"),
    _down("1.0.1", "1.0.0", "between the two that differ in what an update keeps"),
    # Release candidates.
    _up("1.8.3-rc.1", "1.8.3", "from the candidate to its release"),
    _up("1.8.3", "1.8.3-rc.1", "back to the candidate: the numbers are the same"),
    _up("1.8.3-rc.2", "1.8.3-rc.1", "back to an earlier candidate: the numbers are the same"),
    _up("1.8.3", "1.8.4-rc.1", "to the candidate of a later version"),
    _down("1.8.4-rc.1", "1.8.3", "from a candidate to an earlier release"),
    _down("1.3.1", "1.3.0-rc.1", "the manual's own example"),
    # Test releases.
    _up("1.3.1", "1.3.1-test.20230414", "the manual's own example", Data.FREE),
    _up("1.3.1-test.20230414", "1.3.1", "the manual's own example, vice versa", Data.FREE),
    _up("1.9.0-test.20260101", "1.9.0-rc.1", "from a test release to a candidate", Data.FREE),
    _up("1.8.3", "1.9.0-test.20260101", "to the test release of a later version", Data.FREE),
    _down("1.9.0-test.20260101", "1.8.3", "from a test release to an earlier stable one"),
    # Numbers at the edges of their fields.
    _up("1.8.3", "1.256.0", "minor 256 is legal: only bcdDevice, which nobody compares, wraps"),
    _up("1.8.0", "1.8.63", "the highest patch number"),
    _up("1.8.63", "1.9.0", "from the highest patch number to the next minor one"),
    _down("1.8.63", "1.8.0", "back to patch 0"),
    _down("1.9.0", "1.8.63", "the highest patch number of the minor one before"),
    _up("1.256.0", "1.256.1", "and goes on from there"),
    _down("1.256.0", "1.9.0", "and does not fall back because it wrapped"),
    _overflow("1.9.0", "1.8.64", TAKEN, "patch 64 runs into the minor number: for the key it is 1.9.0"),
    _overflow("1.9.1", "1.8.64", REFUSED, "the same below what runs"),
    _overflow("2.0.0", "1.65536.0", TAKEN, "minor 65536 runs into the major number: for the key it is 2.0.0"),
    _overflow("2.0.1", "1.65536.0", REFUSED, "the same below what runs"),
    _overflow("1.8.3", "1024.0.0", REFUSED, "major 1024 leaves the 32 bits and starts again at 0"),
)


GOOD_IMAGE = frozenset(
    {
        "manifest-of-another-version",
        "image-of-the-lpc55",
        "image-of-the-lpc55-called-nrf52",
        "container-of-the-passkey",
        "wrong-sum",
        "missing-sum",
        "container-cut",
    }
)
"""Only the container is damaged. The image in it may be installed, so no case asks what the key does with it."""

WANTED = "1.9.5"


def _good(seed: bytes, validated: bool = True) -> Image:
    return images.make(Recipe(WANTED, validated=validated), seed)


def _wrong(packet: WrongPacket) -> Callable[[bytes], Container]:
    """A good container whose init packet has one wrong field."""
    return lambda seed: containers.make(seed, packet.change(Recipe(WANTED), number_of("1.8.2")))


def _made(recipe: Recipe) -> Callable[[bytes], Container]:
    return lambda seed: containers.make(seed, recipe)


def _binary(change: Callable[[bytes], bytes], validated: bool = True) -> Callable[[bytes], Container]:
    """The good init packet with another binary.

    :param validated: False for an image without a check of its own for the boot.
    """

    def make(seed: bytes) -> Container:
        good = _good(seed, validated)
        return containers.pack(Image(good.dat, change(good.bin), good.number), f"v{WANTED}")

    return make


def _packet(change: Callable[[bytes], bytes]) -> Callable[[bytes], Container]:
    """Another init packet with the good binary."""

    def make(seed: bytes) -> Container:
        good = _good(seed)
        return containers.pack(Image(change(good.dat), good.bin, good.number), f"v{WANTED}")

    return make


def _packed(**how: str) -> Callable[[bytes], Container]:
    return lambda seed: containers.pack(_good(seed), f"v{WANTED}", **how)


def _beginning(size: int) -> Callable[[bytes], bytes]:
    return lambda data: data[:size]


def _flip(data: bytes, at: int) -> bytes:
    at %= len(data)
    return data[:at] + bytes((data[at] ^ 1,)) + data[at + 1 :]


def _wrong_manifest(seed: bytes) -> Container:
    return containers.make(seed, Recipe(WANTED), manifest_version="v1.9.6")


def _short_zip(seed: bytes) -> Container:
    whole = containers.make(seed, Recipe(WANTED))
    return Container(whole.version, whole.data[: len(whole.data) // 2], whole.image)


SB2_HEAD = bytes(16) + b"\0" * 4 + b"STMP" + bytes((2, 1)) + bytes(70)
"""Begins as an SB 2.1 file does: nonce, reserved word, signature, version."""
SIGNATURE = "the signature does not fit"
OWN = "the check that the image carries for the boot does not fit it"
HASH = "the hash in the signed init packet does not fit the binary"


def _damaged(id: str, make: Callable[[bytes], Container], key: str, why: str) -> DamagedContainer:
    return DamagedContainer(
        DEVICE,
        id,
        lambda rig: make(signing.seed_of(rig)),
        key,
        why,
        image_is_good=id in GOOD_IMAGE,
        only_the_key_sees=id.startswith("boot-"),
    )


DAMAGES: tuple[DamagedContainer, ...] = (
    _damaged("unsigned", _made(Recipe(WANTED, signer="")), UNCHANGED, "unsigned images are nobody's"),
    _damaged("foreign-key", _made(Recipe(WANTED, signer="somebody else")), UNCHANGED, SIGNATURE),
    _damaged(
        "foreign-key-same-version", _made(Recipe("1.8.3", signer="somebody else")), UNCHANGED, SIGNATURE
    ),
    _damaged(
        "foreign-key-same-version-bare",
        _made(Recipe("1.8.3", signer="somebody else", validated=False)),
        UNCHANGED,
        "the signature does not fit, and the image has none of its own that a boot would look at",
    ),
    _damaged("other-seed", lambda seed: containers.make(seed[::-1], Recipe(WANTED)), UNCHANGED, SIGNATURE),
    *(
        _damaged(
            f"binary-cut-at-page-{page}",
            _binary(_beginning(page * 4096)),
            NEVER_STARTS,
            HASH,
        )
        for page in range(1, images.PAGES)
    ),
    _damaged("binary-cut-in-a-page", _binary(lambda b: b[:10_000]), NEVER_STARTS, HASH),
    _damaged("binary-without-its-last-byte", _binary(lambda b: b[:-1]), NEVER_STARTS, HASH),
    _damaged("binary-first-bit", _binary(lambda b: _flip(b, 0)), NEVER_STARTS, HASH),
    _damaged("binary-middle-bit", _binary(lambda b: _flip(b, 16_384)), NEVER_STARTS, HASH),
    _damaged("binary-last-bit", _binary(lambda b: _flip(b, -1)), NEVER_STARTS, HASH),
    _damaged("packet-version-bit", _packet(lambda d: _flip(d, 10)), UNCHANGED, SIGNATURE),
    _damaged("packet-hash-bit", _packet(lambda d: _flip(d, 45)), UNCHANGED, SIGNATURE),
    _damaged("signature-first-half-bit", _packet(lambda d: _flip(d, -60)), UNCHANGED, SIGNATURE),
    _damaged("signature-last-bit", _packet(lambda d: _flip(d, -1)), UNCHANGED, SIGNATURE),
    _damaged("packet-cut-in-the-signature", _packet(lambda d: d[:-8]), UNCHANGED, "a broken packet"),
    _damaged("packet-cut-in-the-command", _packet(lambda d: d[:40]), UNCHANGED, "a broken packet"),
    _damaged("manifest-of-another-version", _wrong_manifest, NEVER_STARTS, "manifest and image disagree"),
    _damaged("hardware-53", _made(Recipe(WANTED, hardware=53)), UNCHANGED, "an image for other hardware"),
    _damaged("softdevice-wanted", _made(Recipe(WANTED, softdevice=0x100)), UNCHANGED, "needs a SoftDevice"),
    _damaged("too-large", _made(Recipe(WANTED, pages=0xD8, short_by=0)), UNCHANGED, "leaves its region"),
    *(
        _damaged(f"packet-{packet.id}", _wrong(packet), UNCHANGED, packet.why)
        for packet in WRONG_PACKETS
        if packet.id not in ("older",)
    ),
    *(
        _damaged(f"{name}-bare", _binary(change, validated=False), NEVER_STARTS, f"{HASH}, and no boot looks")
        for name, change in {
            "binary-cut-in-a-page": lambda b: b[:10_000],
            "binary-without-its-last-byte": lambda b: b[:-1],
            "binary-first-bit": lambda b: _flip(b, 0),
            "binary-middle-bit": lambda b: _flip(b, 16_384),
            "binary-last-bit": lambda b: _flip(b, -1),
        }.items()
    ),
    _damaged("boot-signature-of-another", _made(Recipe(WANTED, boot="wrong signature")), NEVER_STARTS, OWN),
    _damaged("boot-hash-of-another", _made(Recipe(WANTED, boot="wrong hash")), NEVER_STARTS, OWN),
    _damaged("image-of-the-lpc55", _packed(variant="lpc55"), NEVER_STARTS, "no image for this variant"),
    _damaged(
        "image-of-the-lpc55-called-nrf52",
        lambda seed: containers.pack(_good(seed), f"v{WANTED}", bare=SB2_HEAD),
        NEVER_STARTS,
        "the image is not one of this variant",
    ),
    _damaged("container-of-the-passkey", _packed(device="Nitrokey Passkey"), NEVER_STARTS, "another device"),
    _damaged("wrong-sum", _packed(sums="wrong"), NEVER_STARTS, "sha256sums has another sum"),
    _damaged("missing-sum", _packed(sums="missing"), NEVER_STARTS, "sha256sums does not name the image"),
    _damaged("container-cut", _short_zip, NEVER_STARTS, "half a zip file"),
)
