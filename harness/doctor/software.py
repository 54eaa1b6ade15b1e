"""Check Python, its packages, shared libraries and real-time scheduling."""

from __future__ import annotations

import platform
from collections.abc import Iterator
from importlib.metadata import PackageNotFoundError, version

from harness.doctor.context import CheckedHost, CheckResult, ok, warn

OURS = "keyharness"
LIBRARIES = (
    ("libusb-1.0.so.0", "libusb", "libusb-1.0-0", "hubs and boards that are switched by USB requests"),
    ("libpcsclite.so.1", "pcsc library", "libpcsclite1", "the card side of keys"),
)


def python(checked: CheckedHost) -> Iterator[CheckResult]:
    """Report versions and plugins."""
    outside = sorted(
        {f"{one.distribution} {one.version}" for one in checked.plugins.found if one.distribution != OURS}
    )
    where = f" ({len(outside)} from outside: {', '.join(outside)})" if outside else ""
    text = f"python {platform.python_version()}, pytest {_version('pytest')}, "
    text += f"{len(checked.plugins.found)} plugins{where}"
    yield ok("python", text)


def xdist(checked: CheckedHost, pytest: str | None = None, xdist: str | None = None) -> Iterator[CheckResult]:
    """Check for pytest 9.2 with xdist 3.8: they silently spread tests that belong on one worker."""
    pytest, xdist = pytest or _version("pytest"), xdist or _version("pytest-xdist")
    if _parts(pytest) >= (9, 2) and (3, 8) <= _parts(xdist) < (3, 9):
        yield warn(
            "xdist",
            f"pytest {pytest} breaks xdist {xdist}'s --dist loadgroup, silently; our own scheduling goes on",
            "pip install 'pytest<9.2'",
        )


def libraries(checked: CheckedHost) -> Iterator[CheckResult]:
    """Check the shared libraries that Python packages load at their first use."""
    for file, name, package, use in LIBRARIES:
        if checked.loads(file):
            yield ok("libraries", f"{name} is there")
        else:
            yield warn("libraries", f"{name} is not there ({file}): no {use}", f"sudo apt install {package}")


def scheduling(checked: CheckedHost) -> Iterator[CheckResult]:
    """Check that the cutter may run with real-time scheduling."""
    if checked.may_fifo():
        yield ok("scheduling", "real-time scheduling permitted: cuts are late by 0.1 ms at most (p99)")
    else:
        yield warn(
            "scheduling",
            "real-time scheduling not permitted: cuts are late by up to 5 ms (p99) instead of 0.1 ms",
            "ulimit -r 60, or CAP_SYS_NICE for python",
        )


def _version(distribution: str) -> str:
    try:
        return version(distribution)
    except PackageNotFoundError:
        return "?"


def _parts(text: str) -> tuple[int, ...]:
    return tuple(int(part) for part in text.split(".")[:2] if part.isdigit())
