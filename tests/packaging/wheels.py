"""What the tests of the build look at."""

from __future__ import annotations

import importlib.util
import zipfile
from collections.abc import Callable
from pathlib import Path

NOWHERE = "http://127.0.0.1:9/"
"""A registry that nobody can reach."""

Backend = Callable[..., str]

_STATIC = "stepwell/console/http/studio/static/"


def wheel_in(folder: Path) -> Path:
    """The one wheel there."""
    (found,) = folder.glob("*.whl")
    return found


def built_files(wheel: Path) -> list[str]:
    """The files of Studio in it."""
    with zipfile.ZipFile(wheel) as archive:
        return [name.removeprefix(_STATIC) for name in archive.namelist() if name.startswith(_STATIC)]


def fake_build(checkout: Path) -> Path:
    """Files as a build of these sources would leave them; the folder of them."""
    script = checkout / "studio" / "build_studio.py"
    spec = importlib.util.spec_from_file_location("build_studio_of_a_copy", script)
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    static = checkout / "src" / _STATIC
    (static / "assets").mkdir(parents=True)
    (static / "index.html").write_text('<script type="module" src="./assets/index-1.js"></script>')
    (static / "assets" / "index-1.js").write_text("")
    (static / ".stamp").write_text(module.stamp_of(checkout / "studio"))
    return static
