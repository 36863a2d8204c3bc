"""Studio under `/studio`: the built files, held in memory, and a page of its own for every response.

The files hold no data; their reader still has to request everything from the API. Where the API has no way to identify
users, the pages are refused too, with the cure. What is served comes from a listing of the folder, never from a path in
a request.
"""

from __future__ import annotations

import gzip
import hashlib
import secrets
from collections.abc import Callable, Coroutine, Mapping, Sequence
from dataclasses import dataclass
from html import escape
from pathlib import Path, PurePosixPath
from typing import Any

from anyio import to_thread
from fastapi import APIRouter, Depends, Request, Response
from fastapi.routing import APIRoute

from stepwell.console.http.problems import problem, problem_of
from stepwell.errors import StepwellError

STATIC = Path(__file__).parent / "static"
"""The folder that the build puts Studio into; git doesn't hold it, the wheel does."""
PATH = "/studio"

_CSP = (
    "default-src 'none'; script-src 'self'; style-src 'self'{nonce}; img-src 'self' data: blob:; font-src 'self'; "
    "connect-src 'self'; worker-src 'self'; form-action 'self'; base-uri 'self'; frame-ancestors 'none'"
)
_HEADERS = {
    "X-Content-Type-Options": "nosniff",
    "X-Frame-Options": "DENY",
    "Referrer-Policy": "no-referrer",
    "Cross-Origin-Opener-Policy": "same-origin",
    "Cross-Origin-Resource-Policy": "same-origin",
    "Permissions-Policy": "camera=(), display-capture=(), geolocation=(), microphone=(), payment=(), usb=()",
}
_NOT_BUILT = (
    "Studio isn't built in this installation of Stepwell; the API works without it. In a checkout, build it with: "
    "make studio. Installed otherwise, install Stepwell again where pip reaches npm's registry."
)

INDEX = "index.html"
_HASHED = "assets/"
"""The folder whose files have a hash of their content in their names."""

# Given here, not guessed: a machine's registry may call JavaScript text/plain, and browsers then show nothing.
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
"""Suffixes of files that are compressed already."""


def studio_routes(
    access: Callable[..., Any] | None = None,
    *,
    prefix: str = "",
    api_path: str = "/api/v1",
    folder: Path = STATIC,
    app: object = None,
) -> APIRouter:
    """Return the routes of Studio, under `prefix`.

    `access` is a dependency that raises where no user may call the API; None: some user may. `app` is the application that
    may override it.
    """
    pages = Studio(Built(folder), prefix + PATH, api_path)
    dependencies: Sequence[Any] = () if access is None else (Depends(access),)
    router = APIRouter(
        route_class=StudioRoute, include_in_schema=False, dependencies=dependencies, dependency_overrides_provider=app
    )
    for path in (PATH, PATH + "/{path:path}"):
        router.add_api_route(prefix + path, pages.answer, methods=["GET", "HEAD"], name="studio")
    return router


class StudioRoute(APIRoute):
    """A route whose errors are pages for browsers, and problems for all other clients."""

    def get_route_handler(self) -> Callable[[Request], Coroutine[Any, Any, Response]]:
        handle = super().get_route_handler()

        async def guarded(request: Request) -> Response:
            try:
                return await handle(request)
            except StepwellError as error:
                if not _reads_pages(request):
                    return problem_of(error)
                return _notice(error.http_status, "Studio is closed", str(error))

        return guarded


class Studio:
    """An endpoint for every path under that of Studio: a file, or the page whose client decides what to show."""

    def __init__(self, built: Built, own_path: str, api_path: str) -> None:
        self._built = built
        self._own_path = own_path
        self._api_path = api_path

    async def answer(self, request: Request, path: str = "") -> Response:
        """Return the file of that name; else the page, unless the name is a file's or the client accepts no pages."""
        files = await to_thread.run_sync(self._built.files)
        if (file := files.get(path)) is not None and path != INDEX:
            return _file(file, request)
        if is_file_name(path) and path != INDEX:
            return problem(404, "Not found", f"Studio has no file {path!r}.", headers=_HEADERS)
        if INDEX not in files:
            return _not_built(request)
        if not _reads_pages(request):
            detail = f"Studio serves pages, not JSON: request {self._api_path}."
            return problem(404, "Not found", detail, headers=_HEADERS)
        return self._page(request, files[INDEX])

    def _page(self, request: Request, index: StudioFile) -> Response:
        root = str(request.scope.get("root_path", "")).rstrip("/")
        nonce = secrets.token_urlsafe(18)
        values = {
            "__STUDIO_BASE__": f"{root}{self._own_path}/",
            "__API_BASE__": root + self._api_path,
            "__CSP_NONCE__": nonce,
        }
        text = index.content.decode()
        for placeholder, value in values.items():
            text = text.replace(placeholder, escape(value))
        return _html(200, text, nonce)


def _file(file: StudioFile, request: Request) -> Response:
    headers = {
        **_HEADERS,
        "Content-Security-Policy": _CSP.format(nonce=""),
        "Cache-Control": "public, max-age=31536000, immutable" if file.hashed else "no-cache",
        "ETag": file.etag,
        "Vary": "Accept-Encoding",
    }
    if file.etag in [one.strip() for one in request.headers.get("if-none-match", "").split(",")]:
        return Response(status_code=304, headers=headers)
    content = file.content
    if file.gzipped and "gzip" in request.headers.get("accept-encoding", ""):
        content = file.gzipped
        headers["Content-Encoding"] = "gzip"
    return Response(content, headers=headers | {"Content-Type": file.media_type})


def _reads_pages(request: Request) -> bool:
    accept = request.headers.get("accept", "*/*")
    return "text/html" in accept or "*/*" in accept


def _not_built(request: Request) -> Response:
    # 503 and not 404: the address is right once Studio is built; no cache may keep the answer.
    if not _reads_pages(request):
        return problem(503, "Not built", _NOT_BUILT, headers=_HEADERS | {"Cache-Control": "no-store"})
    return _notice(503, "Studio isn't built", _NOT_BUILT)


_NOTICE = """<!doctype html>
<html lang="en"><head><meta charset="utf-8"><title>{title} - Stepwell</title>
<meta name="viewport" content="width=device-width, initial-scale=1"><meta name="color-scheme" content="light dark">
<style nonce="{nonce}">body {{ font: 16px/1.5 system-ui, sans-serif; max-width: 40rem; margin: 4rem auto; padding: 0 1rem }}
</style></head><body><main><h1>{title}</h1><p>{text}</p></main></body></html>
"""


def _notice(status: int, title: str, text: str) -> Response:
    nonce = secrets.token_urlsafe(18)
    return _html(status, _NOTICE.format(title=escape(title), text=escape(text), nonce=nonce), nonce)


def _html(status: int, text: str, nonce: str) -> Response:
    headers: Mapping[str, str] = {
        **_HEADERS,
        "Content-Security-Policy": _CSP.format(nonce=f" 'nonce-{nonce}'"),
        "Cache-Control": "no-store",
    }
    return Response(text, status, headers, media_type="text/html; charset=utf-8")


@dataclass(frozen=True, slots=True)
class StudioFile:
    """One file as it is sent. `hashed`: other content would have another name."""

    content: bytes
    gzipped: bytes | None
    media_type: str
    etag: str
    hashed: bool


class Built:
    """The content of the build folder. Threads may read at once: each sees one build or the other, never a mixture."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self._known: tuple[int, Mapping[str, StudioFile]] = (0, {})

    def files(self) -> Mapping[str, StudioFile]:
        """Return the files by their paths; empty if nothing is built."""
        try:
            built_at = (self._folder / INDEX).stat().st_mtime_ns
        except OSError:  # not built, or being replaced at this moment
            built_at = 0
        known, files = self._known
        if built_at == known:
            return files
        try:
            found = self._folder.rglob("*") if built_at else ()
            paths = [path for path in found if path.is_file() and path.name[0] != "."]
            files = {path.relative_to(self._folder).as_posix(): _read(self._folder, path) for path in paths}
        except FileNotFoundError:  # it is being replaced at this moment, and the next request sees the new one
            return {}
        self._known = (built_at, files)
        return files


def is_file_name(path: str) -> bool:
    """Return whether this can't be a page: a build might hold it. Names of workflows may contain a dot, too."""
    return path.startswith(_HASHED) or PurePosixPath(path).suffix.lower() in _MEDIA_TYPES


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
