"""What the host knew is kept as text and read again, and a text loads no class that is not a plugin's."""

from __future__ import annotations

import json

import pytest
from fido2.cose import ES256

from harness.campaign.kept_memory import decoded, encoded
from harness.model.memory import Memory
from harness_fido2.client import Credential, FidoMemory


def test_a_memory_is_the_same_again():
    credential = Credential("rp", b"user", b"\1id", {1: 2, 3: -7, -2: b"x" * 32})
    mine = FidoMemory("1234", {"canary-1": credential}, credential, counter=7, blobs=(b"a", b"b"))
    known = {"memory": Memory({"fido2": mine}), "before": {"fido2.sign_count": (1, 2), "x": None, "y": True}}
    again = decoded(json.loads(json.dumps(encoded(known))))
    assert again["before"] == known["before"]
    assert again["memory"].parts == {"fido2": mine}


def test_numbers_of_a_library_are_numbers():
    assert encoded({1: ES256.ALGORITHM}) == ["map", [[1, -7]]]


@pytest.mark.parametrize(
    "text",
    [
        ["object", "os", "system", []],
        ["object", "subprocess", "Popen", [["args", "true"]]],
        ["object", "not.loaded", "Anything", []],
        ["object", "harness_fido2.client", "Credential", [["nonsense", 1]]],
        ["evil", 1],
        ["bytes", "zz"],
        [],
        {"a": 1},
    ],
)
def test_what_is_no_kept_memory_is_refused(text):
    with pytest.raises(ValueError, match=r"kept memory|hex|unpack"):
        decoded(text)


def test_what_cannot_be_kept_is_said():
    with pytest.raises(TypeError, match="cannot be kept"):
        encoded({"a": object()})
