"""The process of `drain.py`: loads everything, says so, waits for a word, then works until it is ended."""

from __future__ import annotations

import asyncio
import json
import sys

from benchmarks.workflows import on_postgres, opened, three_steps


async def live(url: str, at_once: int | None) -> None:
    async with opened(on_postgres(url, worker_concurrency=at_once), three_steps(lambda workflow_id: None)):
        await asyncio.Event().wait()


if __name__ == "__main__":
    print("ready", flush=True)
    sys.stdin.readline()
    asyncio.run(live(*json.loads(sys.argv[1])))
