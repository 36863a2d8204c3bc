"""Write openapi.json, the API as Studio's types are made from: `python studio/write_openapi.py && npm run types`.

With `--check` nothing is written; the exit code is 1 if the file says something else than the server.
"""

from __future__ import annotations

import asyncio
import json
import sys
from pathlib import Path

import httpx
from fastapi import FastAPI

from stepwell import App, Settings, Stepwell
from stepwell.fastapi import Principal

FILE = Path(__file__).with_name("openapi.json")


async def document() -> str:
    """The document with sorted keys, and without the version, which changes more often than the API."""
    app = FastAPI()
    Stepwell([App("any", title="Any")], settings=Settings(_env_file=None)).mount(app, user=reader)
    async with httpx.AsyncClient(transport=httpx.ASGITransport(app), base_url="http://studio") as client:
        answer = await client.get("/api/v1/openapi.json")
    found = answer.raise_for_status().json()
    found["info"]["version"] = "1"
    # Where the API is mounted is the server's to say, in the page.
    found["paths"] = {path.removeprefix("/api/v1"): operations for path, operations in found["paths"].items()}
    return json.dumps(found, indent=1, sort_keys=True, ensure_ascii=False) + "\n"


def reader() -> Principal:
    return Principal("studio", "viewer")


def main() -> int:
    text = asyncio.run(document())
    if "--check" in sys.argv:
        return int(not FILE.exists() or FILE.read_text("utf-8") != text)
    FILE.write_text(text, "utf-8")
    return 0


if __name__ == "__main__":
    raise SystemExit(main())
