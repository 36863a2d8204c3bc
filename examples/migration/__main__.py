"""`python -m examples.migration`: deploy `after.py` over `before.py` while loans wait, and kill workers meanwhile."""

from __future__ import annotations

import asyncio
import os
import signal
import subprocess
import sys
from collections import Counter
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import AsyncExitStack, asynccontextmanager
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any, Final, TypeVar

from examples.migration import after, before
from examples.migration.ledger import booked, held
from stepwell import Run, Settings, Stepwell

T = TypeVar("T")

LOANS: Final = 12
"""Of each version."""
BANK: Final[dict[str, Any]] = {"app_name": "bank", "user_id": "ada"}


class Worker:
    """A process of one version that is killed and started again."""

    def __init__(self, version: str) -> None:
        self.version = version
        self.kills = 0
        self._process: asyncio.subprocess.Process | None = None

    async def start(self) -> None:
        """Start it, and wait until it executes runs."""
        self._process = await asyncio.create_subprocess_exec(
            sys.executable, "-m", "examples.migration.worker", self.version,
            stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL,
        )  # fmt: skip
        assert self._process.stdout is not None  # it is a pipe
        if await self._process.stdout.readline() != b"ready\n":
            raise SystemExit(f"the worker of {self.version} didn't start")

    async def kill(self) -> None:
        """Kill it as an operating system does, without a word."""
        if self._process is not None:
            self._process.send_signal(signal.SIGKILL)
            await self._process.wait()
            self._process = None
            self.kills += 1


async def main() -> int:
    """0 if each loan was paid once and no run was lost."""
    with TemporaryDirectory(prefix="stepwell-migration-", ignore_cleanup_errors=True) as folder:
        os.environ.setdefault("MIGRATION_LEDGER", str(Path(folder) / "ledger"))
        os.environ.setdefault("STEPWELL_DATABASE_URL", f"sqlite:///{folder}/loans.db")
        os.environ.setdefault("STEPWELL_LEASE_SECONDS", "2")
        return await deployed()


async def deployed() -> int:
    """Play the deployment, and say what came of it."""
    old_code, new_code = Worker("before"), Worker("after")
    async with AsyncExitStack() as stack:
        stack.push_async_callback(old_code.kill)
        stack.push_async_callback(new_code.kill)
        old, new = await stack.enter_async_context(front(before.app)), await stack.enter_async_context(front(after.app))
        ids = await waiting_loans(old, old_code)
        print(f"{len(ids)} loans of the code before wait for a decision. The check of the new code finds "
              f"{len(await new.check())} that it can't carry on.")  # fmt: skip

        await new_code.start()
        ids += [(await new.runner.run(after.Loan, loan(n), **BANK)).workflow_id for n in range(LOANS)]
        for n, run_id in enumerate(ids):  # both codes answer, under both names, while both are killed
            if n % 5 != 4:
                await decide(old if n % 2 else new, run_id, n)
                continue
            held().touch()
            await decide(old if n % 2 else new, run_id, n)
            await until(lambda run_id=run_id: asked_for(run_id))  # type: ignore[misc]
            await asyncio.gather(old_code.kill(), new_code.kill())  # one of them pays it, and waits for the bank
            held().unlink()
            await asyncio.gather(old_code.start(), new_code.start())
        await all_at(new, ids, "paid")
        print(f"Side by side both were killed {old_code.kills + new_code.kills} times. All {len(ids)} loans are paid.")

        await old_code.kill()
        for run_id in ids:
            await new.runner.signal(run_id, "close")
        runs = await all_at(new, ids, "end")
    return told(runs)


@asynccontextmanager
async def front(app: Any) -> AsyncIterator[Stepwell]:
    """Open a Stepwell of one version that starts and answers runs, and executes none."""
    async with Stepwell(apps=[app], settings=Settings(auto_migrate=True), embedded_worker=False) as stepwell:
        yield stepwell


def loan(n: int) -> dict[str, Any]:
    """Return the application for a loan of the code after."""
    return {"amount": {"cents": 100 * n, "currency": "CHF"}}


async def waiting_loans(old: Stepwell, worker: Worker) -> list[str]:
    """Return the runs that the code before has brought to their place."""
    await worker.start()
    ids = [(await old.runner.run(before.Loan, {"cents": 100 * n}, **BANK)).workflow_id for n in range(LOANS)]
    await all_at(old, ids, "review")
    return ids


async def decide(front: Stepwell, run_id: str, n: int) -> None:
    """Answer under the name that this front's code has for it; the code before doesn't know that of a new loan."""
    knows = "approve" if front.apps["bank"] is after.app else "decide"
    await front.runner.signal(run_id, knows, f"note {n}")


async def all_at(front: Stepwell, ids: list[str], place: str) -> list[Run]:
    """Return the runs once all of them are there."""

    async def look() -> list[Run]:
        runs = [await front.runner.get(run_id) for run_id in ids]
        if failed := [run for run in runs if run.status == "failed"]:
            raise SystemExit(f"{len(failed)} runs failed: {failed[0].error}")
        return runs if all(run.place == place for run in runs) else []

    return await until(look)


async def asked_for(run_id: str) -> list[str]:
    """Return the calls by which the bank was asked to pay this run's loan."""
    return [key for key in booked() if key.startswith(run_id)]


async def until(look: Callable[[], Awaitable[list[T]]]) -> list[T]:
    """Return what `look` finds, once it finds something."""
    async with asyncio.timeout(240):
        while not (found := await look()):
            await asyncio.sleep(0.1)
    return found


def told(runs: list[Run]) -> int:
    """Print the end, and return 1 if a loan was lost, or paid under two keys."""
    keys = Counter(key.split(":")[0] for key in dict.fromkeys(booked()))
    twice = [run.workflow_id for run in runs if keys[run.workflow_id] != 1]
    versions = Counter(run.workflow_version for run in runs)
    print(f"All are completed, {versions[2]} of them in version 2.")
    again = len(booked()) - len(keys)
    print(
        f"The bank was asked again {'at least 4' if again >= 4 else again} times, after a worker had died with the answer."
    )
    print(f"✗ Not paid once: {', '.join(twice)}" if twice else "✓ Each loan was paid under one key, whatever paid it.")
    return 1 if twice else 0


if __name__ == "__main__":
    sys.exit(asyncio.run(main()))
