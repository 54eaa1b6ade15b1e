"""Commands about twins: ceremony, prove, twin."""

from __future__ import annotations

import os
import sys
from pathlib import Path
from typing import Annotated

import typer

from harness.cli.common import JsonOption, KeySeedOption, SeedOption, command_group

app = command_group()


@app.command()
def prove(
    key: Annotated[
        str | None,
        typer.Option(
            "--key", metavar="NAME", help="The key whose twin is used. Default: that of the default bench."
        ),
    ] = None,
    defect: Annotated[
        list[str] | None, typer.Option("--defect", metavar="NAME", help="Only this defect.")
    ] = None,
    seed: SeedOption = None,
    json: JsonOption = False,
    long: Annotated[
        bool,
        typer.Option("--long", help="Instead: 100,000 cuts into the sound twin, without a false alarm."),
    ] = False,
    cuts: Annotated[
        int, typer.Option("--cuts", metavar="N", min=1, help="With --long: the number of cuts.")
    ] = 100_000,
    random: Annotated[
        int | None,
        typer.Option(
            "--random",
            metavar="N",
            min=1,
            help="Instead: change the twin's code in N places, one at a time, and count what is caught.",
        ),
    ] = None,
    processes: Annotated[
        int | None,
        typer.Option(
            "--processes",
            metavar="N",
            min=1,
            help="With --random: trials at the same time. Default: one for each processor.",
        ),
    ] = None,
    limit: Annotated[
        int,
        typer.Option(
            "--limit", metavar="S", min=1, help="With --random: seconds of processor time for each trial."
        ),
    ] = 60,
    seeds: Annotated[
        int | None,
        typer.Option(
            "--seeds",
            metavar="N",
            min=1,
            help="With --long, instead of --cuts: every operation of every sound firmware on N seeds, 20 cuts each.",
        ),
    ] = None,
) -> None:
    """Seed known bugs into a twin; the suites must find each one."""
    from harness.run.prove import prove as do

    if seeds is not None and not long:
        raise typer.BadParameter("--seeds needs --long: known bugs are tried on one seed")
    if long and defect:
        raise typer.BadParameter("--long goes without --defect: it cuts the sound twin")
    if processes is not None and random is None:
        raise typer.BadParameter("--processes needs --random")
    if random is not None:
        if long or defect:
            raise typer.BadParameter("--random goes without --long and --defect: it makes its own defects")
        from harness.mutants.prove_random import prove_random

        raise typer.Exit(prove_random(key, seed, random, processes, limit, json, sys.stdout))
    raise typer.Exit(do(key, tuple(defect or ()), seed, json, sys.stdout, cuts if long else None, seeds))


@app.command()
def wear(
    key: Annotated[str, typer.Argument(metavar="KEY", help="Name of a key that has a twin.")],
    personality: Annotated[
        list[str] | None,
        typer.Option("--personality", metavar="P", help="Firmware version; may be repeated. Default: all."),
    ] = None,
    seed: KeySeedOption = 1,
    write: Annotated[
        bool, typer.Option("--write", help="Write what is found into the baseline of the key's plugin.")
    ] = False,
) -> None:
    """Show what each operation of a twin erases and writes, beside the baseline of its firmware."""
    from harness.commands.wear import wear as do

    raise typer.Exit(do(key, tuple(personality or ()), seed, write, sys.stdout))


@app.command()
def ceremony(
    script: Annotated[
        Path,
        typer.Argument(metavar="SCRIPT", help="The script: a TOML file, or the name of one that is shipped."),
    ],
    seed: KeySeedOption = 1,
    defect: Annotated[
        list[str] | None, typer.Option("--defect", metavar="NAME", help="Seed a known bug into the devices.")
    ] = None,
) -> None:
    """Play a ceremony on simulated keys, cut at every step: what to do next, what never, what is lost.

    Exit code 1: a state that the step must not leave, or words that are not as the script says.
    """
    from harness.run.ceremony import play

    raise typer.Exit(play(script, seed, tuple(defect or ()), sys.stdout))


@app.command()
def twin(
    key: Annotated[str, typer.Argument(metavar="KEY", help="Name of a key that has a twin.")],
    state: Annotated[
        Path, typer.Option("--state", metavar="DIR", help="Folder with the files of its flash.")
    ],
    personality: Annotated[
        str, typer.Option("--personality", metavar="P", help="Firmware version.")
    ] = "reference",
    version: Annotated[
        str | None,
        typer.Option("--version", metavar="V", help="Start from this version of it."),
    ] = None,
    flash: Annotated[str | None, typer.Option("--flash", metavar="LAYER", help="Flash layer.")] = None,
    defect: Annotated[
        list[str] | None, typer.Option("--defect", metavar="NAME", help="Seed a known bug.")
    ] = None,
    ctaphid_udp: Annotated[
        str | None,
        typer.Option("--ctaphid-udp", metavar="LISTEN:ANSWER", help="64-byte reports in UDP datagrams."),
    ] = None,
    ctaphid_tcp: Annotated[
        int | None,
        typer.Option(
            "--ctaphid-tcp", metavar="PORT", min=1, max=65535, help="TCP, each report after its length."
        ),
    ] = None,
    vpcd: Annotated[
        str | None, typer.Option("--vpcd", metavar="HOST:PORT", help="Be a card in this virtual reader.")
    ] = None,
    dfu_pty: Annotated[
        Path | None,
        typer.Option("--dfu-pty", metavar="LINK", help="Serial port of the bootloader, while it runs."),
    ] = None,
    feature_tcp: Annotated[
        int | None,
        typer.Option("--feature-tcp", metavar="PORT", min=1, max=65535, help="TCP, HID feature reports."),
    ] = None,
    usbredir: Annotated[
        Path | None,
        typer.Option("--usbredir", metavar="SOCKET", help="Be a USB device for QEMU at this Unix socket."),
    ] = None,
    uhid: Annotated[
        bool, typer.Option("--uhid", help="Be a HID device of this host (HID only; needs /dev/uhid).")
    ] = False,
    touch: Annotated[
        str,
        typer.Option(
            "--touch",
            metavar="WHEN",
            help="always, never, a number of ms, stdin (a line), or signal (SIGUSR1).",
        ),
    ] = "signal",
    speed: Annotated[
        str, typer.Option("--speed", metavar="real|max", help="max: flash takes no time.")
    ] = "real",
    exit_on_reboot: Annotated[
        int | None,
        typer.Option(
            "--exit-on-reboot", metavar="CODE", min=1, max=125, help="Exit with this code at a reboot."
        ),
    ] = None,
    uuid: Annotated[
        str | None,
        typer.Option("--uuid", metavar="HEX", help="The UUID of a new key. Default: by its rig or folder."),
    ] = None,
    seed: KeySeedOption = 1,
    trace: Annotated[bool, typer.Option("--trace", help="Write decoded messages to standard error.")] = False,
) -> None:
    """Serve a simulated key as a process, in real time.

    Killing the process is a power cut.
    """
    from harness.base.errors import CallerError
    from harness.commands.serve_twin import ServeOptions, serve
    from harness.twin.model import TwinOptions

    if speed not in ("real", "max"):
        raise CallerError("--speed", found=speed, expected="real or max")
    options = TwinOptions(personality, flash, defects=tuple(defect or ()), version=version)
    raise typer.Exit(
        serve(
            ServeOptions(
                key,
                options,
                state,
                seed,
                ctaphid_udp,
                ctaphid_tcp,
                vpcd,
                touch,
                speed,
                trace,
                dfu_pty,
                exit_on_reboot,
                uuid,
                os.environ.get("KEYHARNESS_RIG", ""),
                usbredir,
                uhid,
                feature_tcp,
            )
        )
    )
