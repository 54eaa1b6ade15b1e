"""Write the C sources of the flash, and the tiny firmware with the plugin for its key, into a folder."""

from __future__ import annotations

import sys
from pathlib import Path

from harness_rigs.vendor_flash import sources

USAGE = "usage: python -m harness_rigs.vendor_flash FOLDER\n"


def main() -> int:
    if len(sys.argv) != 2 or sys.argv[1].startswith("-"):
        sys.stderr.write(USAGE)
        return 4
    folder = Path(sys.argv[1])
    if folder.exists() and (not folder.is_dir() or any(folder.iterdir())):
        sys.stderr.write(
            f"{folder}\n  found     something that is there\n  expected  a new or empty folder\n"
        )
        return 4
    for name, content in sources().items():
        path = folder / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(content)
        sys.stdout.write(f"{path}\n")
    return 0


if __name__ == "__main__":
    sys.exit(main())
