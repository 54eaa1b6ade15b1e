"""Commands about bundles: what a run has found, for another machine."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Annotated

import typer

from harness.cli.common import JsonOption, ReportsOption, command_group, write_json

app = command_group()


@app.command()
def bundle(
    out: Annotated[Path, typer.Argument(metavar="OUT", help="The bundle to write: failure.zip.")],
    run: Annotated[
        str | None, typer.Option("--run", metavar="RUN", help="Name of a run; default: the latest.")
    ] = None,
    embargo: Annotated[
        bool, typer.Option("--embargo", help="Mark it as private, and write a public summary beside it.")
    ] = False,
    reports: ReportsOption = Path("reports"),
    json: JsonOption = False,
) -> None:
    """Pack what a run has found, so that `keyharness replay OUT` shows it on another machine.

    PINs, and names of hosts and users, are taken out of all texts.
    """
    from harness.run.bundling import make_bundle
    from harness.run.launch import find_run

    made = make_bundle(find_run(run, reports), out, embargo=embargo)
    public = str(made.public) if made.public else None
    if json:
        write_json(
            "bundle",
            path=str(made.path),
            public=public,
            embargo=embargo,
            files=len(made.manifest.files),
            replays=list(made.manifest.replays),
        )
        return
    sys.stdout.write(
        f"written: {made.path}, {len(made.manifest.files)} files, {len(made.manifest.replays)} kept states\n"
    )
    if public:
        sys.stdout.write(f"to publish: {public}\nkeep private until it is mended: {made.path}\n")
    sys.stdout.write(f"elsewhere: keyharness replay {made.path.name}\n")


def show_replayed(path: Path, bench: Path | None, *, json: bool) -> int:
    """Replay a bundle and show it; return the exit code: 1 if something is violated again."""
    from harness.run.bundling import replay_bundle

    manifest, found = replay_bundle(path, bench)
    if json:
        write_json(
            "replay",
            bundle=str(path),
            run=manifest.run,
            version=manifest.version,
            embargo=manifest.embargo,
            violated=any(one.violated for one in found),
            replayed=[one.table() for one in found],
        )
    else:
        said = " · under embargo: do not pass it on" if manifest.embargo else ""
        sys.stdout.write(f"bundle {path} · run {manifest.run} · keyharness {manifest.version}{said}\n")
        for one in found:
            now = (one.kept.row or {}).get("outcome")
            cut = f", cut again: {(one.cut.row or {}).get('outcome')}" if one.cut else ""
            sys.stdout.write(f"  {one.id}\n    then {one.kept.then}, the kept state now: {now}{cut}\n")
            for breach in one.kept.breaches:
                sys.stdout.write(
                    f'    {breach.severity} key     item "{breach.item}" {breach.outcome}: {breach.text}\n'
                )
    return 1 if any(one.violated for one in found) else 0
