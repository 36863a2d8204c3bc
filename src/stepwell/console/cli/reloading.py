"""The watch of `stepwell dev`: it restarts the server when a source file changes, and sees no other file.

uvicorn's own watch wakes up, and logs a line, for each write to the database and its log beside the sources, and restarts
for each package that is installed into a virtual environment there.
"""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from socket import socket
from typing import Final

from uvicorn import Config
from uvicorn.supervisors.watchfilesreload import WatchFilesReload
from watchfiles import watch

_OTHERS: Final = frozenset({"__pycache__", "__pypackages__", "node_modules", "site-packages", "venv"})
"""Folders of other programs; so are all whose names begin with a dot (.git, .venv, caches)."""


class SourceReload(WatchFilesReload):
    """A supervisor that restarts the server when one of the application's own Python files changes."""

    def __init__(self, config: Config, target: Callable[[list[socket] | None], None], sockets: list[socket]) -> None:
        super().__init__(config, target, sockets)
        self.watcher = watch(
            *self.reload_dirs,
            watch_filter=lambda change, path: any(is_source(folder, Path(path)) for folder in self.reload_dirs),
            stop_event=self.should_exit,
            yield_on_timeout=True,
            ignore_permission_denied=True,
        )


def is_source(folder: Path, path: Path) -> bool:
    """Return whether the file is a Python file of the application in this folder."""
    if path.suffix != ".py" or not path.is_relative_to(folder):
        return False
    return not any(part.startswith(".") or part in _OTHERS for part in path.relative_to(folder).parts)
