"""Steps of a root key ceremony with SmartCard-HSMs, and what the people do when the power fails in one."""

from __future__ import annotations

import hashlib
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path

from harness.api import Advice, CeremonyRules, Doing, Refused, Rig, pin_for
from harness_schsm import cvc, description
from harness_schsm.client import CERTIFICATE, EC_SHA256, KEY, PRKD, SO, SO_PIN, USER_PIN, ScHsm
from harness_schsm.home import P256, plaintext
from harness_schsm.items import verifies
from harness_schsm.threshold import Part, divide, join

ROOT_KEY = 1
LABEL = "root key"
NEEDED, CUSTODIANS = 2, 3
_PASSWORD = b"password"
NOTHING = "nothing"


@dataclass
class Paper:
    """What is kept outside of the devices.

    :ivar parts: of the password of the DKEK share, one for each custodian.
    :ivar request: of the root key, with its public key. :ivar blob: the wrapped key.
    """

    parts: list[Part] = field(default_factory=lambda: divide(_PASSWORD, NEEDED, CUSTODIANS, lambda n: n // 3))
    request: bytes = b""
    blob: bytes = b""

    def share(self, *custodians: int) -> bytes:
        """The DKEK share that these custodians, from 1, put together."""
        return hashlib.sha256(join([self.parts[number - 1] for number in custodians])).digest()


def state(rig: Rig) -> str:
    """The state of a device as it shows without a PIN."""
    client = ScHsm(rig)
    if client.state(SO) == 0x6A88:
        return "not initialised"
    words = ["initialised", _dkek(client)]
    there = client.objects()
    keys = [fid & 0xFF for fid in there if fid >> 8 == KEY >> 8 and fid != KEY]
    for key in keys:
        lacks = [
            name
            for name, kind in (("request", CERTIFICATE), ("description", PRKD))
            if kind | key not in there
        ]
        words.append(f"key {key} " + ("described" if not lacks else f"without {' and '.join(lacks)}"))
    left = [fid for fid in there if fid & 0xFF and fid & 0xFF not in keys]
    return ", ".join(words + [f"file {fid:04X} alone" for fid in left])


def _dkek(client: ScHsm) -> str:
    try:
        found = client.dkek()
    except Refused:
        return "no DKEK"
    return (
        f"{found.outstanding} share outstanding" if found.outstanding else f"DKEK complete, KCV {found.kcv}"
    )


def _initialise(rig: Rig, paper: Paper) -> str:
    ScHsm(rig).initialize(pin_for(rig, "first", SO_PIN), pin_for(rig, "first", USER_PIN), shares=1)
    return state(rig)


def _import(*custodians: int) -> Callable[[Rig, Paper], str]:
    def do(rig: Rig, paper: Paper) -> str:
        ScHsm(rig).import_share(paper.share(*custodians))
        return state(rig)

    return do


def _user(rig: Rig) -> ScHsm:
    client = ScHsm(rig)
    client.verify(pin_for(rig, "first", USER_PIN))
    return client


def _describe(client: ScHsm) -> None:
    client.update(PRKD | ROOT_KEY, description.private_key("ec", LABEL, ROOT_KEY, P256.bits))


def _generate(rig: Rig, paper: Paper) -> str:
    client = _user(rig)
    paper.request = client.generate_ec(ROOT_KEY, P256)
    _describe(client)
    return state(rig)


def _finish_key(rig: Rig, paper: Paper) -> str:
    """Read the request from the card, which kept it, and describe the key."""
    client = _user(rig)
    paper.request = client.read(CERTIFICATE | ROOT_KEY)
    _describe(client)
    return state(rig)


def _back_up(rig: Rig, paper: Paper) -> str:
    client = _user(rig)
    paper.blob = client.wrap(ROOT_KEY)
    same = paper.blob[:8].hex() == client.dkek().kcv
    return "a blob under this DKEK" if same else "a blob under another DKEK"


def _restore_files(client: ScHsm, paper: Paper) -> None:
    client.update(CERTIFICATE | ROOT_KEY, paper.request)
    _describe(client)


def _restore(rig: Rig, paper: Paper) -> str:
    client = _user(rig)
    client.unwrap(ROOT_KEY, paper.blob)
    _restore_files(client, paper)
    return state(rig)


def _finish_restore(rig: Rig, paper: Paper) -> str:
    _restore_files(_user(rig), paper)
    return state(rig)


def _prove(rig: Rig, paper: Paper) -> str:
    message = plaintext(ROOT_KEY)
    signature = _user(rig).sign(ROOT_KEY, EC_SHA256, message)
    public = cvc.decode_authenticated(paper.request).request.key()
    return (
        "the signature verifies" if verifies(public, signature, message) else "the signature does not verify"
    )


_GO_ON = "go on with the next step"
_AGAIN = "do this step again"
_NO_INITIALIZE = "--initialize: it erases the keys, and a wrong SO-PIN costs a try for ever"
DOINGS = {
    "initialise": Doing(
        "initialise the device with one DKEK share",
        _initialise,
        not_done=Advice(
            "do this step again with the same SO-PIN",
            "another SO-PIN: if the device took the first one, each other one costs a try for ever",
            NOTHING,
        ),
        done=Advice(_GO_ON, _NO_INITIALIZE, "what was on the device before"),
    ),
    "import share of 1 and 2": Doing(
        "put the password together and import the DKEK share",
        _import(1, 2),
        not_done=Advice(_AGAIN, "--create-dkek-share: a new share makes another DKEK", NOTHING),
        done=Advice("compare the KCV with the protocol, then " + _GO_ON, "the share once more", NOTHING),
    ),
    "generate": Doing(
        "generate the root key and describe it",
        _generate,
        not_done=Advice(_AGAIN, _NO_INITIALIZE, NOTHING),
        half_done=Advice(
            "write the description of key 1; its request is on the device",
            "--keypairgen once more: PKCS #11 does not see the key, but its number is taken",
            NOTHING,
        ),
        mend=_finish_key,
        done=Advice(_GO_ON, "--delete-object: there is no backup yet", NOTHING),
    ),
    "back up": Doing(
        "wrap the root key; keep the blob outside",
        _back_up,
        not_done=Advice(_AGAIN, _NO_INITIALIZE, NOTHING),
        done=Advice(_GO_ON, "--delete-object: a backup counts only when device B has proved it", NOTHING),
    ),
    "restore": Doing(
        "unwrap the root key on this device, with its request and description",
        _restore,
        not_done=Advice(_AGAIN, _NO_INITIALIZE, NOTHING),
        half_done=Advice(
            "write the request and the description of key 1",
            "--unwrap-key --force: it deletes the key first, and a cut then leaves none",
            NOTHING,
        ),
        mend=_finish_restore,
        done=Advice(_GO_ON, "the blob once more: its number is taken", NOTHING),
    ),
    "prove": Doing(
        "sign on this device, and verify under the public key of device A's request",
        _prove,
        not_done=Advice(_AGAIN, "anything on device A before this step has succeeded", NOTHING),
        done=Advice("put both devices away, apart", _NO_INITIALIZE, NOTHING),
    ),
}
DOINGS["import share of 2 and 3"] = Doing(
    "put the password together and import the DKEK share",
    _import(2, 3),
    not_done=DOINGS["import share of 1 and 2"].not_done,
    done=DOINGS["import share of 1 and 2"].done,
)
RULES = CeremonyRules(DOINGS, state, Paper, Path(__file__).parent / "ceremonies")
