"""Simulated keys on this host: one process that forks a served twin for each start, and kills it for each cut.

It reads lines of JSON: {"start": name, "options": {...}}, {"kill": name}; end of input ends all twins. A twin starts in
a tenth of a second, because it is forked and not started anew.
"""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
from contextlib import suppress
from pathlib import Path
from typing import Any

from support.paths import with_support


class Twins:
    """The process that has the twins, seen from the one that started it."""

    def __init__(self, log: Path):
        self._log = log.open("ab")
        self._process = subprocess.Popen(
            [sys.executable, "-m", "support.guest.twins"],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=self._log,
            text=True,
            env=with_support(),
        )

    def start(self, twin: str, options: dict[str, object]) -> None:
        """Start a twin, unless it runs; return when it is on its way."""
        self._say({"start": twin, "options": options})

    def kill(self, name: str) -> None:
        """Cut the power of a twin, if it runs; return when its process is gone."""
        self._say({"kill": name})

    def _say(self, line: dict[str, object]) -> None:
        assert self._process.stdin is not None
        assert self._process.stdout is not None
        self._process.stdin.write(json.dumps(line) + "\n")
        self._process.stdin.flush()
        self._process.stdout.readline()

    def close(self) -> None:
        assert self._process.stdin is not None
        # It has ended by itself if it could not start.
        with suppress(BrokenPipeError):
            self._process.stdin.close()
        self._process.wait()
        self._log.close()


class Server:
    """The process itself."""

    def __init__(self) -> None:
        self._running: dict[str, int] = {}

    def start(self, name: str, options: dict[str, Any]) -> None:
        pid = self._running.get(name)
        if pid is not None and os.waitpid(pid, os.WNOHANG)[0] == 0:
            return
        pid = os.fork()
        if pid == 0:
            _serve(options)
        self._running[name] = pid

    def kill(self, name: str) -> None:
        pid = self._running.pop(name, None)
        if pid is not None:
            with suppress(ProcessLookupError):
                os.kill(pid, signal.SIGKILL)
            with suppress(ChildProcessError):
                os.waitpid(pid, 0)

    def run(self) -> None:
        for line in sys.stdin:
            said = json.loads(line)
            if "start" in said:
                self.start(said["start"], said["options"])
            else:
                self.kill(said["kill"])
            print("done", flush=True)
        for name in list(self._running):
            self.kill(name)


def _serve(options: dict[str, Any]) -> None:
    from harness.commands.serve_twin import ServeOptions, serve
    from harness.twin.model import TwinOptions

    code = 70
    try:
        # What the twin prints would be taken for this process's own answers.
        null = os.open(os.devnull, os.O_RDWR)
        os.dup2(null, 0)
        os.dup2(null, 1)
        paths = {name: Path(options.pop(name)) for name in ("state", "usbredir")}
        twin = TwinOptions(**options.pop("twin", {}))
        plain = {"ctaphid_udp": None, "ctaphid_tcp": None, "vpcd": None, "touch": "always", "speed": "real"}
        code = serve(
            ServeOptions(**{**plain, "seed": 1, "trace": False, "options": twin, **paths, **options})
        )
    finally:
        os._exit(code)


def preload() -> None:
    """Make what is the same for each start of a twin before the first one."""
    import harness.commands.serve_twin  # noqa: F401 - a child that imports it is seconds late on a busy host
    from harness.base.seeds import child
    from harness.bench.registry import discover
    from harness.twin.model import TwinOptions

    discover().twin("nitrokey3-mini").build(TwinOptions(), child(1, "twin", "nitrokey3-mini"))


if __name__ == "__main__":
    preload()
    Server().run()
