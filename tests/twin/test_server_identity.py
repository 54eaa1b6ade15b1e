"""The UUID of a served twin: another key for each folder or rig, and the same key in each of its starts."""

from __future__ import annotations

import json

import pytest
from nitrokey.nk3 import NK3
from nitrokey.trussed._connection.ctaphid import CtapHidConnection as SdkConnection

from harness.base.errors import CallerError
from harness.base.seeds import child
from harness.twin.model import TwinOptions
from support.twin_process import device, forked_twin

OWN = "00112233445566778899aabbccddeeff"
OF_THE_SEED = child(child(1, "twin", "nitrokey3-mini"), "uuid")[:16].hex()


def uuid(folder, **more) -> str:
    with forked_twin(folder, **more) as twin:
        told = NK3(SdkConnection(device(twin.client()))).uuid()
        return f"{told.value:032x}"


def test_each_folder_is_another_key_and_stays_the_same_one(tmp_path):
    first, second = uuid(tmp_path / "a"), uuid(tmp_path / "b")
    assert first != second
    (tmp_path / "a").rename(tmp_path / "moved")
    assert uuid(tmp_path / "moved") == first
    assert uuid(tmp_path / "a") == first, "a folder that is emptied is a factory reset, and no other key"


def test_the_rig_decides_where_the_folder_is_private(tmp_path):
    assert (
        uuid(tmp_path / "1", name="left")
        == uuid(tmp_path / "2", name="left")
        != uuid(tmp_path / "3", name="right")
    )


def test_a_uuid_may_be_given_and_is_then_that_of_the_folder(tmp_path):
    assert uuid(tmp_path / "state", uuid=OWN) == OWN == uuid(tmp_path / "state")
    with pytest.raises(AssertionError), forked_twin(tmp_path / "state", uuid=OF_THE_SEED):
        pass


def test_a_folder_of_the_first_version_keeps_the_uuid_of_its_seed(tmp_path):
    with forked_twin(tmp_path / "state") as twin:
        twin.client().channel()
    head = tmp_path / "state" / "twin.json"
    label = json.loads(head.read_text())
    del label["uuid"]
    head.write_text(json.dumps(label))
    assert uuid(tmp_path / "state") == OF_THE_SEED == uuid(tmp_path / "state")


def test_a_uuid_that_is_none_is_explained(tmp_path):
    from harness.commands.serve_twin import ServeOptions, serve

    options = ServeOptions(
        "nitrokey3-mini", TwinOptions(), tmp_path, 1, None, 1, None, "never", "max", False, uuid="x"
    )
    with pytest.raises(CallerError, match="--uuid"):
        serve(options)
