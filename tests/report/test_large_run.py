"""What clean operations of a large run left is packed; page and traces are the same."""

import pytest

from harness.report import files, large_run, pictures
from harness.report.files import Damage
from harness.report.large_run import CUT_MAPS, TRACES, pack_clean, read_trace
from harness.report.load import read_run
from harness.report.page_pictures import pictures_of
from harness.report.summary import conclude
from support.report import sample


@pytest.fixture(scope="module")
def drawn(tmp_path_factory):
    run_dir = sample.failing().write(tmp_path_factory.mktemp("drawn") / "run")
    pictures.draw_run(run_dir)
    return run_dir, conclude(run_dir)[0]


def test_the_page_shows_what_is_packed(drawn, monkeypatch):
    run_dir, summary = drawn
    folder = run_dir / files.PICTURES
    every = [(op["rig"], op["operation"]) for op in summary["operations"]]
    traces = {names: read_trace(run_dir, *names, Damage()) for names in every}
    assert all(traces.values())
    before, shown = sorted(path.name for path in folder.iterdir()), pictures_of(run_dir, summary)
    pack_clean(run_dir, summary)
    assert sorted(path.name for path in folder.iterdir()) == before, "few operations: they stay"
    monkeypatch.setattr(large_run, "ABOVE", 5)
    for _ in range(2):
        pack_clean(run_dir, summary)
        left = {path.name for path in folder.iterdir()}
        bad = {(op["rig"], op["operation"]) for op in summary["operations"] if op["violations"]}
        assert bad
        maps = {name for name in left if files.CUT_MAP in name} - {CUT_MAPS}
        assert maps == {files.picture_path(run_dir, *names, files.CUT_MAP).name for names in bad}
        assert {name for name in before if files.CUT_MAP not in name} < left
        assert CUT_MAPS in left
        assert pictures_of(run_dir, summary) == shown
        assert {names: read_trace(run_dir, *names, Damage()) for names in every} == traces
        logs = {path.name for path in (run_dir / files.LOGS).iterdir()}
        assert logs == {files.trace_path(run_dir, *names).name for names in bad} | {TRACES}
    assert read_run(run_dir).damage.sentences == []
    (folder / CUT_MAPS).write_bytes((folder / CUT_MAPS).read_bytes()[:-30])
    (run_dir / files.LOGS / TRACES).write_bytes(b"PK")
    assert {names for names in every if read_trace(run_dir, *names, Damage())} == bad
    without = pictures_of(run_dir, summary)
    assert {names for names in without if any(one.main for one in without[names])} == bad
