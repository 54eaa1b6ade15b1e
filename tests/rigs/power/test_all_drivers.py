"""docs/rigs-power.md names every driver of ours with all of its settings, and no driver imports what it need not."""

from __future__ import annotations

import re
import subprocess
import sys
import types

import pytest

from harness.base.errors import RigError
from harness.bench.plugin_api import ActuatorRequest
from harness_rigs.power.all_drivers import POWER, RELAYS
from harness_rigs.touch.all_drivers import TOUCH
from support.paths import ROOT
from support.power.powertools import cut, says
from support.power.serialboards import SerialBoard

PAGE = (ROOT / "docs" / "rigs-power.md").read_text(encoding="utf-8")


@pytest.mark.parametrize("driver", [*POWER, *TOUCH], ids=lambda driver: driver.name)
def test_it_is_explained_with_its_settings(driver):
    missing = [name for name in (driver.name, *driver.options.model_fields) if f"`{name}`" not in PAGE]
    assert not missing


def test_the_table_has_every_power_driver_in_the_order_of_the_list():
    rows = [line for line in PAGE.splitlines() if line.startswith("| `") and line.count("|") == 5]
    assert [row.split("`")[1] for row in rows[: len(POWER)]] == [driver.name for driver in POWER]


def test_every_relay_may_hang_on_either_contact():
    assert all("normally" in driver.options.model_fields for driver in RELAYS)


def test_what_is_heavy_is_imported_where_it_is_used():
    program = (
        "import sys, harness_rigs.power.all_drivers, harness_rigs.touch.all_drivers; print(*sys.modules)"
    )
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True)
    assert not {"usb", "serial", "fido2", "http.client"} & set(done.stdout.split())


def test_the_board_of_one_s_own_works(host, clock, cutter):
    """The page's own driver, with a board that does as its first line says."""
    (source,) = re.findall(r"```python acme_board/acme_board.py\n(.*?)```", PAGE, re.DOTALL)
    module = types.ModuleType("acme_board")
    exec(compile(source, "docs/rigs-power.md", "exec"), module.__dict__)
    (driver,) = module.keyharness_power()

    class Board(SerialBoard):
        def take(self, data):
            if data[:1] == b"?":
                return 1, bytes(ord("A" if on else "a") + n - 1 for n, on in self.relays.items())
            if data:
                self.switch(ord(data[:1].lower()) - ord("a") + 1, data[:1].isupper())
                return 1, b""
            return None

    board = Board(host.dev / "ttyUSB0", 4)
    options = driver.options.model_validate({"port": "/dev/ttyUSB0", "channel": 2})
    switch = driver.make(ActuatorRequest("mini-1", options, None, host, clock))
    switch.on()
    assert board.relays[2]
    assert cut(switch, cutter).error == 0
    assert board.is_hearing(b"b")
    assert not any(board.relays.values())
    board.garbage = b"1234"
    with pytest.raises(RigError) as caught:
        switch.off()
    says(
        caught.value,
        'rig "mini-1" · power',
        "acme-board channel 2 at port /dev/ttyUSB0",
        "31 32 33 34",
        "a letter for each",
    )
    board.close()
