"""A tiny firmware, as it is, on a file system that records: every state that a power cut could leave is booted."""

from __future__ import annotations

import json
import os
import select
import shutil
import signal
import socket
import subprocess
import sys
import tempfile
from pathlib import Path
from queue import Queue

import pytest

from harness.base.errors import CallerError, RigError
from harness.bench.plugin_api import RigRequest
from harness.bench.registry import discover
from harness.campaign.home import go_home
from harness.campaign.recording import VARIES
from harness.campaign.walk import Campaign
from harness.report.schema import EvidenceLine
from harness_rigs.emulator.driver import make
from harness_rigs.emulator.options import EmulatorOptions
from harness_rigs.emulator.process import Process
from harness_rigs.emulator.state import DirectoryState
from harness_rigs.recorded.recording import FileRecording
from support.emulator.emulated import KEY, TINY_COMMAND
from support.limits import HUNG_S
from support.paths import with_support
from support.recorded import no_recording
from support.terms import terms

pytestmark = pytest.mark.skipif(no_recording() is not None, reason=str(no_recording()))
RESIDENT = "fido2.make_credential.resident"
FILES = {"kind": "files"}


def rig_with(flash, *more, **options):
    command = [*TINY_COMMAND, "--udp", "{port}:{answer_port}", *more]
    chosen = {"transport": "ctaphid-udp", "ready_s": 20, "answer_s": 10, "flash": flash, **options}
    return make(
        RigRequest("emu", discover().key(KEY, "test"), True, 1, EmulatorOptions(command=command, **chosen))
    )


@pytest.fixture
def start():
    rigs = []

    def made(*arguments, **options):
        rigs.append(rig_with(*arguments, **options))
        return rigs[-1]

    yield made
    for rig in rigs:
        rig.close()


def walked(rig, name=RESIDENT, **more):
    campaign = Campaign(
        rig, rig.key.operations[name], go_home(rig), terms(**{"cuts": None, "processes": 2, **more})
    )
    campaign.run()
    return campaign


@pytest.fixture(scope="module")
def unsynced():
    """It replaces its files by rename, and never calls fsync."""
    rig = rig_with(FILES)
    try:
        yield walked(rig)
    finally:
        rig.close()


def test_each_change_is_seen_in_order(unsynced):
    trace = unsynced.prepared.trace
    kinds = [(op.kind, op.chip) for op in trace.ops]
    assert kinds[:3] == [("create", ".dirty"), ("write", ".dirty"), ("rename", ".dirty")]
    assert ("rename", ".rk") in kinds
    assert kinds[-1] == ("unlink", "dirty")
    assert all(a.start_us <= b.start_us for a, b in zip(trace.ops, trace.ops[1:]))
    # All before its answer, or the operation would be acknowledged before it is written.
    assert trace.ops[-1].end_us <= trace.acknowledged_us


def test_a_rename_whose_content_is_not_on_the_disk_is_found(unsynced):
    result = unsynced.result
    assert result.exhaustive
    assert {row["outcome"] for row in result.rows} >= {"old", "new", "stuck"}
    stuck = [row for row in result.rows if row["outcome"] == "stuck"]
    assert all(not row["planned"]["phase"].startswith(("before", "after", "torn")) for row in stuck)
    assert result.distinct_states < len(result.rows)
    for row in result.rows:
        EvidenceLine.model_validate(json.loads(json.dumps(row)), strict=False)


def test_a_sample_was_really_killed_there(unsynced):
    assert unsynced.result.live_checked == 3


def test_only_a_state_that_a_kill_can_leave_is_compared_with_one(start):
    """What a late disk has not written is computed: a killed process leaves all that it has written."""
    campaign = walked(start(FILES), "fido2.get_assertion")
    assert campaign.glass.repeats, "it writes the same again, so that images are compared"
    assert any(row["planned"]["phase"].startswith(("without", "unsynced")) for row in campaign.result.rows)
    assert campaign.result.live_checked == 3


def test_a_firmware_that_writes_the_time_in_seconds_does_not_write_the_same_again(start):
    """Two runs within a second wrote the same; a live cut later left another image, and that was a fault of ours."""
    campaign = walked(start({"kind": "files", "faults": ["torn"]}, "--fault", "dated"), cuts=2)
    assert not campaign.glass.repeats
    assert campaign.rig.remark == VARIES
    assert campaign.result.live_checked


def test_a_firmware_that_repeats_itself_by_luck_is_no_fault_of_the_harness(start, tmp_path):
    """What it draws may depend on how often it was asked before, which a busy host decides."""
    flash = {"kind": "files", "faults": ["torn"]}
    campaign = walked(start(flash, "--fault", "drawn", "--note", str(tmp_path / "note")), cuts=2)
    assert campaign.rig.remark == VARIES
    assert campaign.result.live_checked


def test_on_a_disk_that_keeps_the_order_it_is_sound(start):
    campaign = walked(start({"kind": "files", "faults": ["torn"]}))
    assert campaign.result.findings == []
    assert {row["outcome"] for row in campaign.result.rows} == {"old", "new"}


def test_a_cut_is_repeated_from_its_id_if_the_writes_repeat(unsynced):
    row = next(row for row in unsynced.result.rows if row["outcome"] == "stuck")
    again, breaches = unsynced.replay(row["id"].split(":")[3])
    assert again["outcome"] == "stuck"
    assert breaches


def test_a_file_that_is_no_flash_of_that_geometry_is_explained(start):
    rig = start({"kind": "image", "files": ["master"], "page_size": 4096})
    with pytest.raises(CallerError, match="whole pages") as error:
        walked(rig)
    assert "master has" in str(error.value)
    rig = start({"kind": "image", "files": ["nobody"]})
    with pytest.raises(CallerError, match="no file nobody"):
        walked(rig)


@pytest.mark.parametrize("where", ["another folder", "shared memory"])
def test_state_that_is_kept_elsewhere_is_explained(start, tmp_path, where):
    memory = tempfile.mkdtemp(dir="/dev/shm") if where == "shared memory" else str(tmp_path)
    try:
        with pytest.raises(RigError, match="keeps its state elsewhere"):
            walked(start(FILES, "--fault", "elsewhere", "--note", memory))
    finally:
        shutil.rmtree(memory)


@pytest.mark.parametrize("fault", ["restless", "forked"])
def test_a_firmware_that_never_ends_to_write_is_walked(fault, start):
    """Its writes go on while the recording ends: what comes after that is not a part of it."""
    campaign = walked(start({"kind": "files", "faults": ["torn"]}, "--fault", fault), cuts=2)
    assert campaign.result.findings == []
    assert any(op.chip == "ticks" for op in campaign.prepared.trace.ops)


def test_on_the_ports_of_this_host_one_process_after_the_other_runs_it(start):
    """What had recorded it kept the ports, and the first process that was to boot an image was refused them."""
    port, answers = free_port(), free_port()
    files = {"kind": "files", "faults": ["torn"]}
    rig = start(files, "--fault", "forked", isolation="none", port=port, answer_port=answers)
    assert walked(rig, cuts=3).result.findings == []


def free_port() -> int:
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as sock:
        sock.bind(("127.0.0.1", 0))
        return sock.getsockname()[1]


def ran(start, program: str) -> tuple[RigError | None, list[str]]:
    """Run a program in the place of a firmware, recorded: (the error of that, kinds of the operations)."""
    try:
        return None, [op.kind for op in recorded(start(FILES), program).ops]
    except RigError as error:
        return error, []


def recorded(rig, program: str) -> FileRecording:
    rig.vault.ready_to_record()

    def act() -> None:
        folder, output = rig.folder.path, os.open(os.devnull, os.O_WRONLY)
        process = rig.emulated.host.spawn([sys.executable, "-ISc", program], dict(os.environ), folder, output)
        os.close(output)
        assert process.wait(HUNG_S)
        assert process.reap() == 0, "the program must not fail"

    return rig.vault.record(act)


@pytest.mark.parametrize("synced", ["at the end", "after each"])
def test_pages_of_one_msync_may_be_left_in_any_order(start, synced):
    """The same pages by pwrite have one order: that in which they were written."""
    program = f"""
import mmap, os
file = os.open("flash.bin", os.O_RDWR)
with mmap.mmap(file, 12288) as flash:
    for page in (2, 0, 1):
        flash[4096 * page] = 0
        if {synced == "after each"}:
            flash.flush()
    flash.flush()
for page in (2, 0, 1):
    os.pwrite(file, bytes(2), 4096 * page)
"""
    flash = {"kind": "image", "files": ["flash.bin"]}
    rig = start({**flash, "faults": ["torn", "reordered"]})
    (rig.folder.path / "flash.bin").write_bytes(b"\xff" * 12288)
    run = recorded(rig, program)
    assert not run.remark
    cuts = run.all_cuts(0)
    late = {cut.label: seen(state) for cut, state in run.images(cuts) if cut.phase.startswith(("wi", "al"))}
    if synced == "after each":
        assert [op.page for op in run.ops] == 2 * [2, 0, 1]
        assert late == {}
        return
    assert [op.page for op in run.ops] == [0, 1, 2, 2, 0, 1], "the kernel writes by address"
    assert late == {"op2.without1": [1], "op3.without1": [1, 2], "op3.without2": [0, 2], "op3.alone": [2]}
    assert not any(run.can_be_live(cut) for cut in cuts if cut.label in late)
    (place,) = [run.phase_words(cut) for cut in cuts if cut.label == "op3.without2"]
    assert place == "written back before the page of flash op 2: the map does not tell the order"
    rig = start(flash)
    (rig.folder.path / "flash.bin").write_bytes(b"\xff" * 12288)
    plain = recorded(rig, program)
    assert {cut.phase for cut in plain.all_cuts(0)} == {"before", "after", "end"}
    assert "in which order it changed them is not seen" in plain.remark


def seen(state: DirectoryState) -> list[int]:
    """The pages whose first byte was written."""
    content = state.entries["flash.bin"][1]
    return [page for page in range(3) if content[4096 * page] == 0]


def test_space_that_is_reserved_is_a_change_of_the_size(start):
    program = """
import ctypes, os
file = os.open("reserved", os.O_RDWR | os.O_CREAT)
libc = ctypes.CDLL(None, use_errno=True)
assert libc.fallocate(file, 0, ctypes.c_long(0), ctypes.c_long(9000)) == 0
assert os.fstat(file).st_size == 9000
"""
    error, kinds = ran(start, program)
    assert error is None
    assert kinds == ["create", "truncate"]


def test_a_file_with_two_names_is_explained(start):
    program = """
import os
open("one", "w").close()
os.link("one", "two")
open("two", "a").write("x")
"""
    error, _ = ran(start, program)
    assert "two is a hard link of one" in str(error)


def test_a_live_cut_counts_changes_as_the_recording_does_where_the_system_refuses_one(start):
    program = """
import os
os.mkdir("folder")
open("folder/file", "w").close()
try:
    os.rmdir("folder")
except OSError:
    os.mkdir("last")
"""
    rig = start(FILES)
    rig.vault.ready_to_record()
    running: Queue[Process] = Queue()

    def act() -> None:
        folder, output = rig.folder.path, os.open(os.devnull, os.O_WRONLY)
        process = rig.emulated.host.spawn([sys.executable, "-ISc", program], dict(os.environ), folder, output)
        os.close(output)
        running.put(process)
        assert process.wait(HUNG_S)
        process.reap()

    trace = rig.vault.record(act)
    assert [op.kind for op in trace.ops] == ["mkdir", "create", "mkdir"]
    running.get(timeout=HUNG_S)
    rig.vault.restore(trace.base)

    def kill() -> None:
        running.get(timeout=HUNG_S).signal(signal.SIGKILL)

    hit = rig.vault._source.cut_at(trace.sources[-1] + 1, kill, act)
    assert hit is not None
    assert (hit.kind, hit.path) == ("mkdir", "last")
    assert not (rig.folder.path / "last").exists()


def test_nothing_is_left_mounted(start):
    walked(start(FILES), cuts=2)
    with open("/proc/self/mounts") as mounts:
        assert "keyharness" not in mounts.read()


def test_nothing_outlives_a_killed_run():
    program = """
import os, sys
sys.path.insert(0, sys.argv[1])
from test_recorded_walk import FILES, rig_with
rig = rig_with(FILES)
rig.vault.ready_to_record()
rig.power.on()
print(rig.vault._source._process.pid, rig.emulated.process.pid, flush=True)
input()
"""
    child = subprocess.Popen(
        [sys.executable, "-c", program, str(Path(__file__).parent)],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        env=with_support(),
        text=True,
    )
    pids = [int(pid) for pid in child.stdout.readline().split()]
    ends = [os.pidfd_open(pid) for pid in pids]
    child.kill()
    child.wait(HUNG_S)
    for end in ends:
        poll = select.poll()
        poll.register(end, select.POLLIN)
        assert poll.poll(1000 * HUNG_S), "it lives on"
        os.close(end)
    child.stdin.close()
    child.stdout.close()
