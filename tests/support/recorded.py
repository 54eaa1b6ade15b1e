"""May this host record what a firmware writes?"""

from __future__ import annotations

import importlib.util
import os
import subprocess
import sys
from functools import cache


@cache
def no_recording() -> str | None:
    """Why a recording file system cannot be mounted here; None if it can."""
    if not os.access("/dev/fuse", os.R_OK | os.W_OK):
        return "no /dev/fuse that may be opened"
    if importlib.util.find_spec("mfusepy") is None:
        return "no mfusepy"
    found = subprocess.run([sys.executable, "-c", "import mfusepy"], capture_output=True, check=False)
    if found.returncode != 0:
        return "no libfuse3: Debian's libfuse3-3"
    for way in (["-n", "-m"], ["-U", "-r", "-n", "-m"]):
        if subprocess.run(["unshare", *way, "true"], capture_output=True, check=False).returncode == 0:
            return None
    return "no mount namespace may be made here"
