"""The bootloader by raw requests, and what starts when."""

from __future__ import annotations

import struct
import zlib

import pytest

from harness.twin.glass_box import require_glass_box
from harness.twin.rig import TwinRig
from harness_nitrokey3 import bootloader_probe, images, signing
from harness_nitrokey3.dfu_port import dfu_port
from harness_nitrokey3.images import Image, Recipe
from harness_nitrokey3.twin import slip
from harness_nitrokey3.twin.bootloader import MTU
from harness_nitrokey3.updater import update
from support.update import MakeRig, container

CREATE, SET_PRN, CRC, EXECUTE, READ_ERROR, SELECT, GET_MTU, WRITE, PING = range(1, 10)
OK, NOT_SUPPORTED, BAD_PARAMETER, NO_RESOURCES, BAD_OBJECT = 1, 2, 3, 4, 5
BAD_SIGNATURE, BAD_TYPE, NOT_PERMITTED, EXTENDED = 6, 7, 8, 11


class Line:
    """Frames to and from the bootloader on a rig."""

    def __init__(self, rig: TwinRig):
        self._port = dfu_port(rig)
        self._port.timeout = 0.01

    def ask(self, *parts: int | bytes) -> bytes:
        """The response without 0x60; b"" if there is none."""
        frame = b"".join(part if isinstance(part, bytes) else bytes((part,)) for part in parts)
        self._port.write(slip.encode(frame))
        answers = slip.Decoder(MTU).feed(self._port.read(4096))
        if not answers:
            return b""
        assert len(answers) == 1
        assert answers[0][0] == 0x60
        return answers[0][1:]

    def send(self, kind: int, data: bytes) -> bytes:
        """Create an object, write it, execute it."""
        created = self.ask(CREATE, kind, struct.pack("<I", len(data)))
        if created[1] != OK:
            return created
        for at in range(0, len(data), 1024):
            self.ask(WRITE, data[at : at + 1024])
        return self.ask(EXECUTE)


@pytest.fixture
def twin(make_rig: MakeRig) -> TwinRig:
    twin = make_rig()
    bootloader_probe.enter_bootloader(twin)
    return twin


@pytest.fixture
def line(twin: TwinRig) -> Line:
    return Line(twin)


def _image(rig: TwinRig, version: str = "1.9.0", **more: object) -> Image:
    return images.make(Recipe(version, **more), signing.seed_of(rig))  # type: ignore[arg-type]


def test_small_requests(line: Line) -> None:
    assert line.ask(PING, 7) == bytes((PING, OK, 7))
    assert line.ask(GET_MTU) == bytes((GET_MTU, OK)) + struct.pack("<H", MTU)
    assert line.ask(SET_PRN, 0, 0) == bytes((SET_PRN, OK))
    assert line.ask(SELECT, 1) == bytes((SELECT, OK)) + struct.pack("<3I", 512, 0, 0)
    assert line.ask(SELECT, 2) == bytes((SELECT, OK)) + struct.pack("<3I", 4096, 0, 0)


@pytest.mark.parametrize(
    ("request_", "result"),
    [
        (b"\x55", NOT_SUPPORTED),
        (b"\x06\x03", BAD_TYPE),
        (b"\x06", BAD_PARAMETER),
        (b"\x01\x01\x00", BAD_PARAMETER),
        (b"\x01\x01\x00\x00\x00\x00", BAD_PARAMETER),
        (b"\x01\x01\x01\x02\x00\x00", NO_RESOURCES),
        (b"\x01\x02\x00\x10\x00\x00", NOT_PERMITTED),
        (b"\x08abc", NOT_PERMITTED),
        (b"\x04", NOT_PERMITTED),
        (b"\x02\x00", BAD_PARAMETER),
    ],
)
def test_what_may_not_be_asked_here_is_refused(line: Line, request_: bytes, result: int) -> None:
    assert line.ask(request_)[1] == result


def test_a_written_object_is_counted_and_summed(line: Line) -> None:
    line.ask(CREATE, 1, struct.pack("<I", 20))
    assert line.ask(WRITE, b"0123456789") == b""
    assert line.ask(CRC)[2:] == struct.pack("<2I", 10, zlib.crc32(b"0123456789"))
    assert line.ask(EXECUTE)[1] == NOT_PERMITTED
    assert line.ask(WRITE, bytes(11))[1] == BAD_PARAMETER


def test_receipts_come_as_often_as_they_are_asked_for(twin: TwinRig, line: Line) -> None:
    line.ask(SET_PRN, struct.pack("<H", 2))
    line.ask(CREATE, 1, struct.pack("<I", 30))
    assert line.ask(WRITE, bytes(10)) == b""
    assert line.ask(WRITE, bytes(10)) == bytes((CRC, OK)) + struct.pack("<2I", 20, zlib.crc32(bytes(20)))


@pytest.mark.parametrize(
    ("more", "answer"),
    [
        ({"hardware": 51}, bytes((EXECUTE, EXTENDED, 6))),
        ({"softdevice": 0x100}, bytes((EXECUTE, EXTENDED, 7))),
        ({"signer": ""}, bytes((EXECUTE, EXTENDED, 8))),
        ({"signer": "somebody else"}, bytes((EXECUTE, BAD_SIGNATURE))),
        ({"kind": 1}, bytes((EXECUTE, EXTENDED, 4))),
        ({"number": 4194304}, bytes((EXECUTE, EXTENDED, 5))),
        ({"pages": 0xD8}, bytes((EXECUTE, EXTENDED, 13))),
    ],
)
def test_an_init_packet_that_is_refused_says_why_and_changes_nothing(
    twin: TwinRig, line: Line, more: dict[str, object], answer: bytes
) -> None:
    before = require_glass_box(twin).snapshot()
    assert line.send(1, _image(twin, **more).dat) == answer
    assert line.ask(READ_ERROR)[2:] == answer[2:].ljust(1, b"\0")
    assert require_glass_box(twin).differing(before, require_glass_box(twin).snapshot()) == []


def test_a_packet_that_is_no_protobuf_is_refused(line: Line) -> None:
    assert line.send(1, b"\xff" * 40)[1] == BAD_OBJECT


def test_a_good_init_packet_gives_up_the_old_application_and_nothing_else(twin: TwinRig, line: Line) -> None:
    before = require_glass_box(twin).snapshot()
    assert line.send(1, _image(twin).dat)[1] == OK
    assert require_glass_box(twin).differing(before, require_glass_box(twin).snapshot()) == ["settings"]
    twin.power.cycle()
    twin.wait_until_up()
    assert twin.face == "bootloader"


def test_data_objects_are_pages_in_order(twin: TwinRig, line: Line) -> None:
    image = _image(twin)
    line.send(1, image.dat)
    assert line.ask(CREATE, 2, struct.pack("<I", 4097))[1] == BAD_PARAMETER
    assert line.ask(CREATE, 2, struct.pack("<I", 100))[1] == BAD_PARAMETER
    assert line.send(2, image.bin[:4096])[1] == OK
    assert twin.board.flash["app"].pages[0] == image.bin[:4096]


def test_a_data_object_that_was_given_up_begins_again(twin: TwinRig, line: Line) -> None:
    image = _image(twin)
    line.send(1, image.dat)
    line.send(2, image.bin[:4096])
    line.ask(CREATE, 2, struct.pack("<I", 4096))
    line.ask(WRITE, bytes(1024))
    line.ask(CREATE, 2, struct.pack("<I", 4096))
    assert line.ask(CRC)[2:] == struct.pack("<2I", 4096, zlib.crc32(image.bin[:4096]))


def test_odd_chunks_leave_the_same_flash(twin: TwinRig, line: Line) -> None:
    image = _image(twin)
    line.send(1, image.dat)
    line.ask(CREATE, 2, struct.pack("<I", 4096))
    at = 0
    for size in (1, 2, 3, 5, 1000, 1023, 7, 900, 1155):
        line.ask(WRITE, image.bin[at : at + size])
        at += size
    assert at == 4096
    assert line.ask(EXECUTE)[1] == OK
    assert twin.board.flash["app"].pages[0] == image.bin[:4096]


def test_a_wrong_binary_is_found_at_the_end_and_never_starts(twin: TwinRig, line: Line) -> None:
    image = _image(twin)
    line.send(1, image.dat)
    for at in range(0, len(image.bin), 4096):
        page = image.bin[at : at + 4096]
        answer = line.send(2, bytes(len(page)) if at == 8192 else page)
    assert answer == bytes((EXECUTE, EXTENDED, 12))
    twin.power.cycle()
    twin.wait_until_up()
    assert twin.face == "bootloader"


def test_the_register_that_asks_for_the_bootloader_is_lost_with_the_power(make_rig: MakeRig) -> None:
    rig = make_rig()
    bootloader_probe.enter_bootloader(rig)
    assert rig.face == "bootloader"
    rig.power.cycle()
    rig.wait_until_up()
    assert rig.face == "application"


def test_a_reset_without_power_loss_keeps_it(make_rig: MakeRig) -> None:
    rig = make_rig()
    rig.board.retained = 0xB1
    rig.board.power_on()
    assert rig.face == "bootloader"
    # It is used up: the next reset starts the application.
    rig.board.power_on()
    assert rig.face == "application"


@pytest.mark.parametrize("page", [0, 3, 7])
def test_an_application_with_a_flipped_bit_is_not_started(make_rig: MakeRig, page: int) -> None:
    rig = make_rig()
    state = require_glass_box(rig).snapshot()
    content = bytearray(state.chips["app"].pages[page])
    content[100] ^= 1
    require_glass_box(rig).restore(state.with_page("app", page, bytes(content)))
    rig.power.on()
    assert rig.face == "bootloader"
    # And with the right page it is, so the answer was not a remembered one.
    require_glass_box(rig).restore(state)
    rig.power.on()
    assert rig.face == "application"


def test_without_either_settings_page_nothing_runs_and_nothing_is_taken(make_rig: MakeRig) -> None:
    """Policy of our sound firmware: closed. That no power cut leads here is shown in test_update_settings."""
    rig = make_rig()
    state = require_glass_box(rig).snapshot()
    for page in range(2):
        state = state.with_page("settings", page, bytes(4096))
    require_glass_box(rig).restore(state)
    rig.power.on()
    assert rig.face == "bootloader"
    assert bootloader_probe.offer(rig, _image(rig, "1.0.0")).startswith("refused: Extended Error 0x05")
    assert bootloader_probe.offer(rig, _image(rig, "9.0.0")).startswith("refused: Extended Error 0x05")


def test_one_settings_page_is_enough(make_rig: MakeRig) -> None:
    rig = make_rig()
    state = require_glass_box(rig).snapshot()
    for page in range(2):
        require_glass_box(rig).restore(state.with_page("settings", page, bytes(4096)))
        rig.power.on()
        assert rig.face == "application"
        assert require_glass_box(rig).differing(state, require_glass_box(rig).snapshot()) == []


def test_the_data_file_systems_are_not_touched_by_an_update(make_rig: MakeRig) -> None:
    rig = make_rig()
    before = require_glass_box(rig).snapshot()
    update(rig, container(rig, "1.8.4").data)
    rig.power.off()
    changed = require_glass_box(rig).differing(before, require_glass_box(rig).snapshot())
    assert sorted(changed) == ["app", "settings"]
