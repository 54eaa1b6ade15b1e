"""Who is one person: a name as a record has it, however it is spelled."""

from __future__ import annotations

from collections.abc import Iterable

from harness.qualify.plan import Roles, person

NAMES = ("executor", "reviewer", "approver")


def shared_roles(roles: Roles) -> list[str]:
    """Say in sentences which roles one person holds: then nobody else has looked at what that person did."""
    holders: dict[str, list[str]] = {}
    for role in NAMES:
        holders.setdefault(person(getattr(roles, role)), []).append(role)
    return [
        f"one person, {getattr(roles, held[0])}, is {_and(held)}"
        for held in holders.values()
        if len(held) > 1
    ]


def _and(words: Iterable[str]) -> str:
    *first, last = words
    return f"{', '.join(first)} and {last}"
