"""The built files of Studio, held in memory: some two megabytes, read again when they are built again."""

from __future__ import annotations

import gzip
import hashlib
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path, PurePosixPath

INDEX = "index.html"

_HASHED = "assets/"
"""The folder whose files have a hash of their content in their names."""

# Given here and never guessed: a machine's registry may call JavaScript text/plain, and a browser then shows nothing.
_MEDIA_TYPES = {
    ".css": "text/css; charset=utf-8",
    ".html": "text/html; charset=utf-8",
    ".ico": "image/x-icon",
    ".js": "text/javascript; charset=utf-8",
    ".json": "application/json",
    ".map": "application/json",
    ".mjs": "text/javascript; charset=utf-8",
    ".png": "image/png",
    ".svg": "image/svg+xml",
    ".txt": "text/plain; charset=utf-8",
    ".wasm": "application/wasm",
    ".webmanifest": "application/manifest+json",
    ".woff2": "font/woff2",
}
_PRESSED = frozenset({".png", ".ico", ".woff2"})
"""Compressed already."""


@dataclass(frozen=True, slots=True)
class StudioFile:
    """One file as it is sent. `hashed`: another content would have another name."""

    content: bytes
    gzipped: bytes | None
    media_type: str
    etag: str
    hashed: bool


class Built:
    """What the folder holds. Threads may ask at once: each sees one build or the other, never a mixture."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self._known: tuple[int, Mapping[str, StudioFile]] = (0, {})

    def files(self) -> Mapping[str, StudioFile]:
        """The files by their paths; empty if nothing is built."""
        built_at = self._built_at()
        known, files = self._known
        if built_at == known:
            return files
        try:
            files = _listing(self._folder) if built_at else {}
        except FileNotFoundError:  # it is being replaced at this moment, and the next request sees the new one
            return {}
        self._known = (built_at, files)
        return files

    def _built_at(self) -> int:
        try:
            return (self._folder / INDEX).stat().st_mtime_ns
        except OSError:  # not built, or being replaced at this moment
            return 0


def is_file_name(path: str) -> bool:
    """Whether no page can be meant: a build might hold it. Names of workflows may have a dot in them, too."""
    return path.startswith(_HASHED) or PurePosixPath(path).suffix.lower() in _MEDIA_TYPES


def _listing(folder: Path) -> Mapping[str, StudioFile]:
    paths = [path for path in folder.rglob("*") if path.is_file() and not path.name.startswith(".")]
    return {path.relative_to(folder).as_posix(): _read(folder, path) for path in paths}


def _read(folder: Path, path: Path) -> StudioFile:
    content = path.read_bytes()
    suffix = path.suffix.lower()
    gzipped = None if suffix in _PRESSED else gzip.compress(content, 6, mtime=0)
    return StudioFile(
        content=content,
        gzipped=gzipped if gzipped and len(gzipped) < len(content) else None,
        media_type=_MEDIA_TYPES.get(suffix, "application/octet-stream"),
        etag=f'W/"{hashlib.sha256(content).hexdigest()[:24]}"',
        hashed=path.relative_to(folder).as_posix().startswith(_HASHED),
    )
