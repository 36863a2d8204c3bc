"""Studio under `/studio`: the built files, and a page of its own for every response.

The files hold no data; whoever may load them still has to ask the API for everything. Where nobody has said who may ask,
the pages are refused too, with the cure. What is served comes from a listing of the folder, never from a path that a
request brought.
"""

from __future__ import annotations

import secrets
from collections.abc import Callable, Coroutine, Mapping, Sequence
from html import escape
from pathlib import Path
from typing import Any

from anyio import to_thread
from fastapi import APIRouter, Depends, Request, Response
from fastapi.routing import APIRoute

from stepwell.errors import StepwellError
from stepwell.http.problems import problem, problem_of
from stepwell.http.studio_files import INDEX, Built, StudioFile, is_file_name

STATIC = Path(__file__).parent / "static"
"""Where the build puts Studio; git doesn't hold it, the wheel does."""

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


def studio_routes(
    access: Callable[..., Any] | None = None, *, api_path: str = "/api/v1", folder: Path = STATIC
) -> APIRouter:
    """The routes of Studio. `access` is a dependency that raises where nobody may ask the API; None: somebody may."""
    pages = Studio(Built(folder), api_path)
    dependencies: Sequence[Any] = () if access is None else (Depends(access),)
    router = APIRouter(route_class=StudioRoute, include_in_schema=False, dependencies=dependencies)
    for path in (PATH, PATH + "/{path:path}"):
        router.add_api_route(path, pages.answer, methods=["GET", "HEAD"], name="studio")
    return router


class StudioRoute(APIRoute):
    """Errors are pages for those who read pages, and problems for all others."""

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
    """Answers every path under `/studio`: a file, or the page in which the client finds out what to show."""

    def __init__(self, built: Built, api_path: str) -> None:
        self._built = built
        self._api_path = api_path

    async def answer(self, request: Request, path: str = "") -> Response:
        """The file of that name; else the page, unless the name is a file's or pages aren't read there."""
        files = await to_thread.run_sync(self._built.files)
        if (file := files.get(path)) is not None and path != INDEX:
            return _file(file, request)
        if is_file_name(path) and path != INDEX:
            return problem(404, "Not found", f"Studio has no file {path!r}.", headers=_HEADERS)
        if INDEX not in files:
            return _not_built(request)
        if not _reads_pages(request):
            return problem(404, "Not found", f"Studio has pages, and no JSON: ask {self._api_path}.", headers=_HEADERS)
        return self._page(request, files[INDEX])

    def _page(self, request: Request, index: StudioFile) -> Response:
        root = str(request.scope.get("root_path", "")).rstrip("/")
        nonce = secrets.token_urlsafe(18)
        values = {"__STUDIO_BASE__": f"{root}{PATH}/", "__API_BASE__": root + self._api_path, "__CSP_NONCE__": nonce}
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
    # 503 and not 404: the address is right, and it will be there once it is built; nothing may keep the answer.
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
