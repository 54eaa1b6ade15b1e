"""What the cases share: refusals by their status, and a new boot."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

import pytest

from harness.api import Refused
from harness_nitrokey_pro.client import NitrokeyPro
from harness_nitrokey_pro.reports import Status


@contextmanager
def refused(*statuses: Status) -> Iterator[None]:
    """The key must refuse, with one of these."""
    with pytest.raises(Refused) as caught:
        yield
    assert caught.value.status in {f"{status:02X}" for status in statuses}


def again(hid: NitrokeyPro) -> NitrokeyPro:
    """The key after a power cycle."""
    hid.rig.power.cycle()
    hid.rig.wait_until_up()
    return NitrokeyPro(hid.rig)
