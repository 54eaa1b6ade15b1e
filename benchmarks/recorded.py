"""What the images of a recorded firmware take: how much of the time is the firmware's, and what the recording costs.

The firmware is the tiny card that the package brings, on the flash of its driver, behind a start that takes as long as
asked. The other one keeps its flash in a file that is recorded. It takes a C compiler.

    python -m benchmarks.recorded [--boot SECONDS]... [--cuts N]
"""

from __future__ import annotations

import argparse
import resource
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from statistics import median

from harness.bench.plugin_api import RigRequest
from harness.campaign.common import CampaignTerms
from harness.campaign.home import Home, go_home
from harness.campaign.walk import Campaign
from harness.model.key import Key
from harness.model.rig import Rig
from harness.search.stopping import Allowance
from harness.twin.recorder import Recorder
from harness_rigs.emulator.driver import make
from harness_rigs.emulator.options import EmulatorOptions
from harness_rigs.vendor_flash import HERE

ROOT = Path(__file__).parent.parent
DRIVER = {"kind": "driver", "page_size": 512, "pages": 2}
IMAGE = {"kind": "image", "files": ["flash.bin"]}
BOOTS = (0.02, 1.0)
CUTS = 40
BOOTS_PER_IMAGE, PROCESSES, ACTS = 2, 2, 15


@dataclass(frozen=True)
class Walked:
    """A walk of `images` distinct images by a firmware that boots in `boot_s`.

    :ivar wall_s: of the whole walk, in PROCESSES processes. :ivar own_s: processor time of Keyharness alone.
    """

    boot_s: float
    images: int
    wall_s: float
    own_s: float

    @property
    def share(self) -> float:
        """The part of the time of all processes in which the firmware boots."""
        return BOOTS_PER_IMAGE * self.images * self.boot_s / (PROCESSES * self.wall_s)


@contextmanager
def rig_of(flash: dict[str, object] | None, source: Path, boot_s: float) -> Iterator[tuple[Rig, Home]]:
    """The tiny card on a rig, at home."""
    with tempfile.TemporaryDirectory() as folder:
        program = Path(folder) / "tiny_card"
        build = ["cc", "-std=c11", "-O1", f"-I{HERE}", "-o", program, HERE / "tiny_card.c", source]
        subprocess.run(build, check=True)
        options = EmulatorOptions(
            command=["sh", "-c", f"sleep {boot_s}; exec {program} {{port}} right"],
            transport="vpcd",
            ready_s=60,
            answer_s=60,
            settle_s=0.0,
            flash=flash,
        )
        rig = make(RigRequest("tiny", small_card(), True, 1, options))
        try:
            yield rig, go_home(rig)
        finally:
            rig.close()


def small_card() -> Key:
    sys.path.insert(0, str(ROOT / "docs"))
    from small_card import keyharness_keys

    key: Key = next(iter(keyharness_keys()))
    return key


def walk(boot_s: float, cuts: int) -> Walked:
    with rig_of(DRIVER, HERE / "keyharness_flash.c", boot_s) as (rig, home):
        campaign = Campaign(
            rig, rig.key.operations["card.update"], home, CampaignTerms(Allowance(cuts), PROCESSES)
        )
        campaign.prepare()
        own, began = _own_s(), time.monotonic()
        result = campaign.run()
        return Walked(boot_s, result.distinct_states, time.monotonic() - began, _own_s() - own)


def act_ms(flash: dict[str, object] | None) -> float:
    """Milliseconds of one operation of the firmware on a file; recorded where there is a table `[rig.flash]`."""
    with rig_of(flash, ROOT / "tests" / "support" / "file_flash.c", 0.0) as (rig, home):
        operation, vault = rig.key.operations["card.update"], rig.vault
        took: list[float] = []
        assert vault is not None
        memory = home.memory.copy()

        def act() -> None:
            began = time.monotonic()
            operation.act(rig, memory)
            took.append(1000 * (time.monotonic() - began))

        for _ in range(ACTS):
            memory = home.memory.copy()
            vault.restore(home.state)
            if isinstance(vault, Recorder):
                vault.ready_to_record()
            rig.power.on()
            rig.wait_until_up()
            operation.arrange(rig, memory)
            if isinstance(vault, Recorder):
                vault.record(act)
            else:
                act()
            rig.power.off()
        return median(took)


def _own_s() -> float:
    """Processor time of this process and of those that it has waited for; the firmware's namespaces have their own."""
    both = [resource.getrusage(who) for who in (resource.RUSAGE_SELF, resource.RUSAGE_CHILDREN)]
    return sum(one.ru_utime + one.ru_stime for one in both)


def lines(walks: Sequence[Walked], plain_ms: float, recorded_ms: float) -> list[str]:
    """The result for a person."""
    return [
        *(
            f"boot of {one.boot_s:g} s: {one.images} images, {one.images / one.wall_s:.1f} a second, "
            f"{one.share:.0%} of the time in the firmware's boots, "
            f"{1000 * one.own_s / one.images:.0f} ms of our own each"
            for one in walks
        ),
        f"an operation: {plain_ms:.1f} ms, recorded {recorded_ms:.1f} ms ({recorded_ms / plain_ms:.2f} times)",
    ]


def main() -> int:
    parser = argparse.ArgumentParser(
        prog="python -m benchmarks.recorded", description=__doc__.splitlines()[0]
    )
    parser.add_argument("--boot", type=float, action="append", help="seconds; default 0.02 and 1")
    parser.add_argument("--cuts", type=int, default=CUTS)
    wanted = parser.parse_args()
    sys.dont_write_bytecode = True
    walks = [walk(boot_s, wanted.cuts) for boot_s in wanted.boot or BOOTS]
    print("\n".join(lines(walks, act_ms(None), act_ms(IMAGE))))
    return 0


if __name__ == "__main__":
    sys.exit(main())
