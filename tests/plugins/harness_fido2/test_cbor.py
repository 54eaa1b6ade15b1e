"""The strict CBOR codec against python-fido2's, and against everything that is not canonical."""

from __future__ import annotations

from enum import IntEnum
from typing import NamedTuple

import pytest
from fido2 import cbor as fido2_cbor
from hypothesis import given
from hypothesis import strategies as st

from harness.twin import cbor

integers = st.integers(-(1 << 64), (1 << 64) - 1)
plain = st.booleans() | integers | st.binary(max_size=300) | st.text(max_size=80)


def _nested(scalars: st.SearchStrategy[object]) -> st.SearchStrategy[object]:
    keys = integers | st.text(max_size=30)
    return st.recursive(
        scalars,
        lambda inner: st.lists(inner, max_size=4) | st.dictionaries(keys, inner, max_size=4),
        max_leaves=8,
    )


values = _nested(plain | st.none())


def _levels(value: object) -> int:
    inner = value.values() if isinstance(value, dict) else value if isinstance(value, list) else None
    return 0 if inner is None else 1 + max(map(_levels, inner), default=0)


@given(values)
def test_what_is_encoded_is_decoded(value: object) -> None:
    encoded = cbor.encode(value)
    if _levels(value) <= cbor.MAX_LEVELS:
        assert cbor.decode(encoded) == value
    else:
        with pytest.raises(cbor.CborError):
            cbor.decode(encoded)


@given(_nested(plain))
def test_the_encoding_is_that_of_python_fido2(value: object) -> None:
    assert cbor.encode(value) == fido2_cbor.encode(value)


def _can_be_sent(value: object) -> bool:
    """Is there neither a float nor an undefined value in it? No message of a key has one."""
    if isinstance(value, dict):
        return all(map(_can_be_sent, value.values()))
    if isinstance(value, list):
        return all(map(_can_be_sent, value))
    return value is None or isinstance(value, (int, bytes, str))


@given(st.binary(max_size=40) | values.map(cbor.encode))
def test_any_bytes_are_decoded_canonically_or_refused(data: bytes) -> None:
    try:
        value = cbor.decode(data)
    except cbor.CborError:
        return
    if _can_be_sent(value):
        assert cbor.encode(value) == data
    else:
        with pytest.raises(cbor.CborError, match="cannot encode"):
            cbor.encode(value)


@given(values, st.binary(min_size=1, max_size=3))
def test_nothing_may_follow(value: object, more: bytes) -> None:
    with pytest.raises(cbor.CborError):
        cbor.decode(cbor.encode(value) + more)


@pytest.mark.parametrize(
    "data",
    [
        "",
        "1800",
        "1817",
        "190018",
        "1a0000ffff",
        "1b00000000ffffffff",
        "5800",
        "9f01ff",
        "5f4101ff",
        "bf0102ff",
        "c101",
        "f818",
        "e0",
        "1c",
        "ff",
        "62c328",
        "4201",
        "8201",
        "a101",
        "a2020101020",
        "a201010102",
        "a2020001000",
        "a2613101010",
        "a2626161016162",
        "a1810101",
        "a1f501",
        "8181818181",
        "9bffffffffffffffff",
    ],
)
def test_what_is_not_canonical_is_refused(data: str) -> None:
    with pytest.raises(cbor.CborError):
        cbor.decode(bytes.fromhex(data if len(data) % 2 == 0 else data + "0"))


def test_keys_are_sorted_by_length_first() -> None:
    assert cbor.encode({"b": 1, "aa": 2, 10: 3, -1: 4, 1: 5}).hex() == "a501050a03200461620162616102"


class _Status(IntEnum):
    DENIED = 0x27


class _Pair(NamedTuple):
    first: int
    second: str


def test_subclasses_are_encoded_as_what_they_are() -> None:
    assert cbor.encode(_Status.DENIED) == cbor.encode(0x27)
    assert cbor.encode(_Pair(1, "x")) == cbor.encode([1, "x"])
    with pytest.raises(cbor.CborError, match="cannot encode float"):
        cbor.encode(1.5)


def test_keys_that_are_equal_in_python_keep_their_own_encodings() -> None:
    """1, True and _Status are kept apart although they are equal and have one hash."""
    assert cbor.encode({1: 0}) == b"\xa1\x01\x00"
    assert cbor.encode({True: 0}) == b"\xa1\xf5\x00"
    assert cbor.encode({0x27: 0}) == cbor.encode({_Status.DENIED: 0})
