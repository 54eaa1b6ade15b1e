"""Read the members of a request: a missing one is refused with 0x14, one of another type with 0x11.

CTAP 2.1, section 8.2; unknown members are ignored (section 6).
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, TypeVar, cast

from harness_fido2.twin.features import LIST_MAX
from harness_fido2.twin.status import Status, StatusError

T = TypeVar("T")


def optional(members: Mapping[Any, Any], key: int | str, kind: type[T]) -> T | None:
    """Return a member of exactly this type (an int is unsigned); None if it is missing.

    :raises StatusError: CBOR_UNEXPECTED_TYPE.
    """
    if key not in members:
        return None
    value = members[key]
    if type(value) is not kind or (kind is int and cast(int, value) < 0):
        raise StatusError(Status.CBOR_UNEXPECTED_TYPE)
    return value


def required(members: Mapping[Any, Any], key: int | str, kind: type[T]) -> T:
    """:raises StatusError: MISSING_PARAMETER or CBOR_UNEXPECTED_TYPE."""
    value = optional(members, key, kind)
    if value is None:
        raise StatusError(Status.MISSING_PARAMETER)
    return value


def integer(members: Mapping[Any, Any], key: int | str) -> int:
    """A required integer that may be negative."""
    if key not in members:
        raise StatusError(Status.MISSING_PARAMETER)
    if type(members[key]) is not int:
        raise StatusError(Status.CBOR_UNEXPECTED_TYPE)
    return cast(int, members[key])


def entries(values: list[Any] | None) -> list[dict[Any, Any]]:
    """A list whose items must be maps."""
    for value in values or ():
        if type(value) is not dict:
            raise StatusError(Status.CBOR_UNEXPECTED_TYPE)
    return values or []


def options(members: Mapping[Any, Any], key: int) -> dict[str, bool]:
    """The options of a request; the known ones must be booleans (6.1.2, step 5; 6.2.2, step 4)."""
    found = optional(members, key, dict) or {}
    for name in ("rk", "up", "uv"):
        optional(found, name, bool)
    return found


def descriptor(members: dict[Any, Any]) -> bytes | None:
    """The id of a PublicKeyCredentialDescriptor; None for a type that is not ours (WebAuthn, 5.8.3)."""
    identity = required(members, "id", bytes)
    return identity if required(members, "type", str) == "public-key" else None


def descriptors(members: Mapping[Any, Any], key: int) -> list[bytes]:
    """The ids of an exclude or allow list.

    :raises StatusError: LIMIT_EXCEEDED, there are more than maxCredentialCountInList.
    """
    listed = entries(optional(members, key, list))
    if len(listed) > LIST_MAX:
        raise StatusError(Status.LIMIT_EXCEEDED)
    return [found for found in map(descriptor, listed) if found is not None]
