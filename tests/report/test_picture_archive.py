"""The cut maps of a large run are packed, and its page shows the same."""

import pytest

from harness.report import files, picture_archive, pictures
from harness.report.load import read_run
from harness.report.page_pictures import pictures_of
from harness.report.picture_archive import NAME, pack_cut_maps
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
    before, shown = sorted(path.name for path in folder.iterdir()), pictures_of(run_dir, summary)
    pack_cut_maps(run_dir, summary)
    assert sorted(path.name for path in folder.iterdir()) == before, "few operations: they stay"
    monkeypatch.setattr(picture_archive, "ABOVE", 5)
    for _ in range(2):
        pack_cut_maps(run_dir, summary)
        left = {path.name for path in folder.iterdir()}
        bad = {(op["rig"], op["operation"]) for op in summary["operations"] if op["violations"]}
        assert bad
        maps = {name for name in left if files.CUT_MAP in name} - {NAME}
        assert maps == {files.picture_path(run_dir, *names, files.CUT_MAP).name for names in bad}
        assert {name for name in before if files.CUT_MAP not in name} < left
        assert NAME in left
        assert pictures_of(run_dir, summary) == shown
    assert read_run(run_dir).damage.sentences == []
    (folder / NAME).write_bytes((folder / NAME).read_bytes()[:-30])
    without = pictures_of(run_dir, summary)
    assert {names for names in without if any(one.main for one in without[names])} == bad
