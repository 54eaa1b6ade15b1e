"""A tiny firmware in C on a flash of ours: sound in the right order of writes, caught in each of four wrong ones."""

from __future__ import annotations

import mmap
import os
import shutil
import socket
import struct
import subprocess
import sys

import pytest

from harness.base.errors import CallerError, RigError
from harness.bench.plugin_api import RigRequest
from harness.campaign.home import go_home
from harness.campaign.walk import Campaign
from harness.model.outcome import Outcome
from harness_rigs.emulator.content import content
from harness_rigs.emulator.driver import make
from harness_rigs.emulator.options import EmulatorOptions
from harness_rigs.emulator.state import DirectoryState, write
from harness_rigs.recorded.flash_server import ERASE, HEAD, PROGRAM, VARIABLE, FlashServer
from harness_rigs.recorded.options import FlashOptions
from harness_rigs.vendor_flash import HERE, sources
from support.emulator.emulated import namespaces_permitted
from support.limits import HUNG_S
from support.paths import ROOT
from support.recorded import no_recording
from support.terms import terms

COMPILER = shutil.which("cc") or shutil.which("gcc")
FLASH = {"kind": "driver", "page_size": 512, "pages": 2}
needs_compiler = pytest.mark.skipif(COMPILER is None, reason="no C compiler here: Debian's gcc")


def built(folder, flash, *more):
    program, done = compiled(folder, flash, *more)
    assert done.returncode == 0, done.stderr.decode()
    return program


def compiled(folder, flash, *more):
    program = folder / "tiny_card"
    flags = ["-std=c11", "-O1", "-Wall", "-Wextra", "-Werror", "-pedantic", f"-I{HERE}"]
    files = [HERE / "tiny_card.c", flash]
    done = subprocess.run([COMPILER, *flags, *more, "-o", program, *files], capture_output=True, check=False)
    return program, done


@pytest.fixture(scope="module")
def firmware(tmp_path_factory):
    return built(tmp_path_factory.mktemp("firmware"), HERE / "keyharness_flash.c")


@pytest.fixture(scope="module", params=["pwrite", "mmap"])
def on_a_file(request, tmp_path_factory):
    """The same firmware, with its flash in a file: nothing of it knows Keyharness."""
    more = ["-DMAPPED"] if request.param == "mmap" else []
    return built(tmp_path_factory.mktemp("on-a-file"), ROOT / "tests" / "support" / "file_flash.c", *more)


@pytest.fixture
def card(monkeypatch):
    """The plugin of the tiny firmware's key."""
    monkeypatch.syspath_prepend(str(ROOT / "docs"))
    monkeypatch.setattr(sys, "dont_write_bytecode", True)
    import small_card

    yield next(iter(small_card.keyharness_keys()))
    sys.modules.pop("small_card", None)


@pytest.fixture
def start(firmware, card):
    rigs = []

    def made(order, program=firmware, directory=None, **flash):
        options = {
            "transport": "vpcd",
            "ready_s": 20,
            "answer_s": 10,
            # What is written after the answer is waited for, also on a busy host.
            "settle_s": 1.0 if order == "answer-first" else 0.1,
            "directory": directory,
        }
        if not namespaces_permitted():
            options["isolation"] = "none"
        command = [str(program), "{port}", order]
        chosen = EmulatorOptions(
            command=command, flash=flash if "kind" in flash else {**FLASH, **flash}, **options
        )
        rigs.append(make(RigRequest("tiny", card, True, 1, chosen)))
        return rigs[-1]

    yield made
    for rig in rigs:
        rig.close()


def walked(rig, *names):
    home = go_home(rig)
    results = []
    for name in names:
        campaign = Campaign(rig, rig.key.operations[name], home, terms(processes=2))
        results.append(campaign.run())
    return results


@needs_compiler
def test_in_the_right_order_it_loses_nothing(start):
    for result in walked(start("right"), "card.update", "card.wrong"):
        assert result.findings == []
        assert result.exhaustive
        assert {row["outcome"] for row in result.rows} == {"old", "new"}
        assert result.live_checked == 3, "killed at that very write, it leaves the computed image"


@needs_compiler
@pytest.mark.parametrize(
    ("order", "operation", "outcome"),
    [
        ("guess-first", "card.wrong", Outcome.LOOSENED),
        ("in-place", "card.change", Outcome.TORN),
        ("marker-first", "card.change", Outcome.TORN),
        ("answer-first", "card.update", Outcome.LOST),
    ],
)
def test_each_wrong_order_is_caught(start, order, operation, outcome):
    (result,) = walked(start(order), operation)
    assert outcome in {finding.outcome for finding in result.findings}


@needs_compiler
def test_a_replay_depends_on_the_flash_and_not_on_where_it_is_served(start):
    assert start("right").fingerprint() == start("right").fingerprint()
    assert start("right").fingerprint() != start("right", page_size=1024).fingerprint()


@needs_compiler
def test_a_run_that_was_interrupted_is_taken_up(start):
    kept = []
    operation = "card.wrong"
    rig = start("right")
    whole = Campaign(rig, rig.key.operations[operation], go_home(rig), terms(on_judged=kept.extend)).run()
    again = start("right")
    campaign = Campaign(again, again.key.operations[operation], go_home(again), terms(earlier=kept[:7]))
    assert [row["id"] for row in campaign.run().rows] == [row["id"] for row in whole.rows]


@needs_compiler
def test_on_a_flash_that_is_erased_to_zero_it_is_the_same(start):
    (result,) = walked(start("right", erase_value=0), "card.change")
    assert result.findings == []


@needs_compiler
@pytest.mark.skipif(no_recording() is not None, reason=str(no_recording()))
def test_a_flash_in_a_file_is_seen_as_erases_and_programs(start, on_a_file):
    image = {"kind": "image", "files": ["flash.bin"]}
    (sound,) = walked(start("right", on_a_file, **image), "card.update")
    assert sound.findings == []
    assert {op.kind for op in sound.trace.ops} == {"erase", "program"}
    (wrong,) = walked(start("in-place", on_a_file, **image), "card.update")
    assert Outcome.TORN in {finding.outcome for finding in wrong.findings}


@needs_compiler
@pytest.mark.skipif(no_recording() is not None, reason=str(no_recording()))
def test_a_firmware_that_loads_no_library_is_recorded_too(start, tmp_path):
    program, done = compiled(tmp_path, ROOT / "tests" / "support" / "file_flash.c", "-static")
    if done.returncode != 0:
        pytest.skip(f"no static C library here: {done.stderr.decode(errors='replace').strip()[-200:]}")
    rig = start("in-place", program, kind="image", files=["flash.bin"])
    (wrong,) = walked(rig, "card.update")
    assert {op.kind for op in wrong.trace.ops} == {"erase", "program"}
    assert Outcome.TORN in {finding.outcome for finding in wrong.findings}


@pytest.mark.long
@needs_compiler
@pytest.mark.skipif(no_recording() is not None, reason=str(no_recording()))
def test_a_mapped_page_larger_than_those_of_the_host_is_erased_once(start, tmp_path):
    """8 MiB in pages of 16 KiB: a thousand states of it fit into memory, and four host pages are one flash page."""
    more = ["-DMAPPED", "-DFLASH_PAGE=16384", "-DFLASH_PAGES=512"]
    program = built(tmp_path, ROOT / "tests" / "support" / "file_flash.c", *more)
    image = {"kind": "image", "files": ["flash.bin"], "page_size": 16384}
    (sound,) = walked(start("right", program, **image), "card.update")
    assert sound.findings == []
    assert [op.kind for op in sound.trace.ops] == 3 * ["erase", "program", "program"]
    assert sound.live_checked == 3, "killed before the first page of the host, it leaves the computed image"


@needs_compiler
def test_a_directory_that_holds_what_an_earlier_run_laid_down_is_no_state_elsewhere(start, tmp_path):
    """The card cannot be reset: its earlier canaries are those of this run, and putting them back shows no change."""
    first = start("right")
    write(tmp_path, go_home(first).state)
    again = start("right", directory=tmp_path)
    assert go_home(again).lasting


@needs_compiler
def test_a_dump_that_is_not_of_this_flash_is_explained(start, tmp_path):
    vault = start("right").vault
    blank = content(b"\xff" * 1024)
    like = DirectoryState({"tiny_card": ("file", b"", 0o755), "flash.bin": ("file", blank, 0o600)})
    (tmp_path / "empty").mkdir()
    (tmp_path / "short").write_bytes(b"\xff" * 1000)
    for name, found in (("empty", "no such file"), ("short", "1,000 bytes"), ("nowhere", "no such file")):
        with pytest.raises(CallerError) as error:
            vault.read_dump(tmp_path / name, like)
        assert (error.value.found, bool(error.value.mend)) == (found, True)
    folder = tmp_path / "folder"
    folder.mkdir()
    (folder / "flash.bin").write_bytes(b"\0" * 1024)
    dumped = vault.read_dump(folder, like)
    assert dumped.entries.keys() == like.entries.keys(), "the firmware's program is not a part of a dump"
    assert bytes(dumped.entries["flash.bin"][1]) == b"\0" * 1024


@needs_compiler
def test_a_geometry_that_the_firmware_does_not_fit_is_explained(start):
    rig = start("right", word_size=256)
    with pytest.raises(RigError, match="misused its flash") as error:
        walked(rig, "card.update")
    assert "whole words of 256 bytes" in str(error.value)


@needs_compiler
def test_a_firmware_may_open_its_flash_again_in_the_same_process(flash, tmp_path):
    """Two modules of one firmware may both open it: the second call only tells the geometry."""
    (tmp_path / "two.c").write_text("""
#include "keyharness_flash.h"
int main(void)
{
    struct keyharness_flash_geometry first = {0}, second = {0};
    uint32_t word = 0x12345678, read = 0;
    if (keyharness_flash_open(&first) != 0 || keyharness_flash_open(&second) != 0 || keyharness_flash_open(0) != 0)
        return 1;
    if (second.pages != 2 || second.page_size != first.page_size)
        return 2;
    if (keyharness_flash_program(4, &word, 4) != 0 || keyharness_flash_read(4, &read, 4) != 0)
        return 3;
    return read != word;
}
""")
    program, files = tmp_path / "two", [tmp_path / "two.c", HERE / "keyharness_flash.c"]
    subprocess.run([COMPILER, "-std=c11", "-Wall", "-Werror", f"-I{HERE}", "-o", program, *files], check=True)
    env = {**os.environ, VARIABLE: flash.address}
    assert subprocess.run([program], env=env, timeout=HUNG_S, check=False).returncode == 0
    flash.drained()
    assert flash.refused is None


@pytest.fixture
def flash(tmp_path):
    server = FlashServer("rig", tmp_path, FlashOptions(**FLASH), lambda: 0)
    yield server
    server.close()


class Client:
    """The protocol, as docs/vendor-flash.md tells it."""

    def __init__(self, server):
        self.link = socket.socket(socket.AF_UNIX)
        self.link.settimeout(HUNG_S)
        self.link.connect(server.address)
        head, fds, _, _ = socket.recv_fds(self.link, HEAD.size, 1)
        self.head = HEAD.unpack(head)
        self.file = fds[0]

    def ask(self, what, offset, length, data=b""):
        self.link.sendall(struct.pack("<3I", what, offset, length) + data)
        return struct.unpack("<I", self.link.recv(4))[0]

    def read(self, offset, length):
        return os.pread(self.file, length, offset)


def test_it_says_its_geometry_and_programs_only_ones(flash):
    client = Client(flash)
    assert client.head == (b"KHF1", 512, 2, 4, 255)
    assert client.ask(PROGRAM, 8, 4, b"\x0f\xf0\xff\x00") == 0
    assert client.ask(PROGRAM, 8, 4, b"\xff\x00\x00\xff") == 0
    assert client.read(8, 4) == b"\x0f\x00\x00\x00"
    assert client.ask(ERASE, 0, 512) == 0
    assert client.read(0, 512) == b"\xff" * 512


@pytest.mark.parametrize(
    ("what", "offset", "length"),
    [(PROGRAM, 2, 4), (PROGRAM, 0, 3), (ERASE, 4, 512), (ERASE, 1024, 512), (9, 0, 4)],
)
def test_what_no_flash_does_is_refused_and_named(flash, what, offset, length):
    client = Client(flash)
    flash.start()
    assert client.ask(what, offset, length, bytes(length) if what == PROGRAM else b"") == 22
    with pytest.raises(RigError, match="misused its flash") as error:
        flash.stop()
    assert f"{length} bytes at {offset}" in str(error.value)


def test_a_firmware_cannot_write_past_its_recorder(flash):
    client = Client(flash)
    with pytest.raises(OSError):
        os.pwrite(client.file, b"\0", 0)
    with pytest.raises(OSError):
        mmap.mmap(client.file, 1024, prot=mmap.PROT_READ | mmap.PROT_WRITE)
    assert client.read(0, 1024) == b"\xff" * 1024


def test_a_flash_that_is_opened_twice_at_once_is_explained(flash):
    """The second one waited without an end for somebody to serve it."""
    first, second = Client(flash), socket.socket(socket.AF_UNIX)
    second.settimeout(HUNG_S)
    second.connect(flash.address)
    assert second.recv(1) == b"", "it is told at once that it does not get it"
    assert first.ask(ERASE, 0, 512) == 0, "the first one keeps it"
    with pytest.raises(RigError, match="opened its flash twice") as error:
        flash.stop()
    assert error.value.mend
    second.close()
    first.link.close()


def test_the_next_boot_opens_it_after_the_one_before_has_ended(flash):
    for _ in range(3):
        client = Client(flash)
        assert client.ask(ERASE, 0, 512) == 0
        client.link.close()
    flash.drained()
    assert flash.refused is None


def test_a_firmware_that_asks_for_more_than_there_is_is_cut_off(flash):
    client = Client(flash)
    assert client.ask(PROGRAM, 0, 1 << 31) == 22
    assert client.link.recv(1) == b""
    assert Client(flash).ask(ERASE, 0, 512) == 0


@pytest.mark.parametrize("sent", [b"", b"\x00\x00"], ids=["before its data", "in its data"])
def test_a_firmware_that_is_killed_in_a_request_has_programmed_nothing(flash, sent):
    client = Client(flash)
    assert client.ask(PROGRAM, 0, 4, b"\x12\x34\x56\x78") == 0
    flash.start()
    client.link.sendall(struct.pack("<3I", PROGRAM, 0, 4) + sent)
    client.link.shutdown(socket.SHUT_WR)
    assert client.link.recv(4) == b"", "no answer, as there is nobody"
    assert client.read(0, 4) == b"\x12\x34\x56\x78"
    assert flash.stop() == []


def test_the_sources_are_complete():
    found = sources()
    assert {
        "keyharness_flash.h",
        "keyharness_flash.c",
        "tiny_card.c",
        "small-card/small_card.py",
    } <= found.keys()
    assert any(name.startswith("small-card/small_card_suite/test_") for name in found)
