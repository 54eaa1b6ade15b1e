"""A fresh headless browser, to open a page in; tests skip where there is none."""

from __future__ import annotations

import re
import shutil
import subprocess
from pathlib import Path

from support.limits import HUNG_S

PROGRAM = shutil.which("chromium")
_QUIET = (
    *("--headless", "--no-sandbox", "--disable-gpu", "--disable-quic", "--no-first-run"),
    *("--disable-background-networking", "--disable-component-update", "--disable-sync", "--hide-scrollbars"),
)


def run(page: Path, tmp_path: Path, *options: str) -> subprocess.CompletedProcess[str]:
    """Open a page with a profile of its own."""
    shutil.rmtree(tmp_path / "profile", ignore_errors=True)
    command = [str(PROGRAM), *_QUIET, f"--user-data-dir={tmp_path / 'profile'}"]
    command += ["--virtual-time-budget=3000", *options, page.as_uri()]
    return subprocess.run(command, capture_output=True, text=True, timeout=HUNG_S, check=False)


def opened(page: Path, tmp_path: Path, *options: str) -> tuple[set[str], str]:
    """What a page asks for when a browser opens it (the browser's own requests have no origin), and its DOM."""
    log = tmp_path / "net.json"
    dom = run(page, tmp_path, f"--log-net-log={log}", "--dump-dom", *options).stdout
    asks = re.compile(r'"initiator":"(?!not an origin)[^\n]*?"url":"(?:https?|wss?|ftp)://([^/"]+)')
    return set(asks.findall(log.read_text(errors="replace"))), dom
