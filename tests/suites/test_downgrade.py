"""The downgrade suite fails where it must: each defect of the bootloader breaks cases of it."""

from __future__ import annotations

import pytest

DEFECTS = {
    "refusal-erases": "test_versions and 1.8.3-to-1.8.2 and bootloader",
    "written-before-verified": "test_damaged and foreign-key",
    "same-version-unchecked": "test_damaged and same-version",
    "version-raised-late": "test_versions and 1.8.3-to-1.9.0 and bootloader",
    "version-raised-early": "test_versions and 1.8.3-to-1.8.3 and half-updated",
}
HEAD = '[[rig]]\nname = "a"\nkey = "nitrokey3-mini"\ndriver = "virtual"\nexpendable = true\n'


QUICK = ("",)


@pytest.mark.parametrize(
    "defect",
    [pytest.param(name, marks=[] if name in QUICK else [pytest.mark.long]) for name in ("", *DEFECTS)],
)
def test_a_defect_of_the_bootloader_fails_the_suite(cli, defect: str) -> None:  # type: ignore[no-untyped-def]
    chosen = DEFECTS.get(defect, " or ".join(f"({cases})" for cases in DEFECTS.values()))
    (cli.cwd / "bench.toml").write_text(HEAD + (f'twin.defects = ["{defect}"]\n' if defect else ""))
    done = cli("run", "downgrade", "--seed", 1, "--bench", "bench.toml", "--", "-k", chosen)
    assert done.returncode == (1 if defect else 0), done.stdout + done.stderr
