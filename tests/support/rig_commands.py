"""What the tests of rigs share: rigs that outlive a command, ports, and a program that goes on meanwhile."""

from __future__ import annotations

import socket
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from support.command import Cli
from support.paths import SUPPORT, with_path

LATCHED = SUPPORT / "latched_rig.py"
IDENTITY = "uuid:5C05E7C13054F20C4BF061D1095810AD"


def with_plugin(cli: Cli, name: str, file: Path) -> Path:
    """Install a plugin of one file for the commands of `cli`; returns the folder with it."""
    folder = cli.state / "plugins"
    info = folder / f"{name}-0.1.dist-info"
    info.mkdir(parents=True)
    (info / "METADATA").write_text(f"Metadata-Version: 2.1\nName: {name.replace('_', '-')}\nVersion: 0.1\n")
    (info / "entry_points.txt").write_text(f"[keyharness]\n{name} = {file.stem}\n")
    (folder / file.name).write_text(file.read_text())
    cli.env = with_path(folder, environ=cli.env)
    return folder


def latched(cli: Cli, *names: str, expendable: bool = False, more: str = "") -> None:
    """A bench `lab.toml` of rigs whose switches are files that stay as they are left."""
    with_plugin(cli, "latched_rig", LATCHED)
    rows = [
        f'[[rig]]\nname = "{name}"\nkey = "nitrokey3-mini"\ndriver = "latched"\nswitch = "{switch(cli, name)}"\n'
        f'identity = "{IDENTITY}"\nexpendable = {str(expendable).lower()}\n{more}'
        for name in names
    ]
    (cli.cwd / "lab.toml").write_text("\n".join(rows))


def switch(cli: Cli, name: str) -> Path:
    return cli.state / f"switch-{name}"


@contextmanager
def going_on(cli: Cli, *arguments: str) -> Iterator[subprocess.Popen[str]]:
    """A command that goes on until the block is left."""
    process = subprocess.Popen(
        [*cli.command, *arguments],
        cwd=cli.cwd,
        env={**cli.env, "PYTHONUNBUFFERED": "1"},
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )
    try:
        yield process
    finally:
        process.kill()
        process.wait()
        for pipe in (process.stdout, process.stderr):
            pipe.close()


def free_port() -> int:
    with socket.socket() as sock:
        sock.bind(("127.0.0.1", 0))
        return sock.getsockname()[1]


class InProcess:
    """As `Cli`, in this process: for what a process of its own would add nothing to but its start."""

    def __init__(self, cli: Cli, monkeypatch, capsys):
        self._cli, self._monkeypatch, self._capsys = cli, monkeypatch, capsys

    def __call__(self, *arguments: object) -> subprocess.CompletedProcess[str]:
        from harness.cli.main import main

        cli = self._cli
        with self._monkeypatch.context() as patch:
            patch.chdir(cli.cwd)
            for name, value in cli.env.items():
                patch.setenv(name, value)
            patch.syspath_prepend(str(cli.state / "plugins"))
            self._capsys.readouterr()
            with pytest.raises(SystemExit) as ended:
                main([str(one) for one in arguments])
        out, err = self._capsys.readouterr()
        return subprocess.CompletedProcess([*arguments], ended.value.code, out, err)
