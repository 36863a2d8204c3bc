"""The demo's client: it calls the application, waits for runs, and shows both."""

from __future__ import annotations

import asyncio
import json
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from datetime import datetime
from typing import Any

import httpx
from rich.console import Console
from rich.markup import escape
from rich.table import Table

Json = dict[str, Any]

_COLOURS = {"completed": "green", "waiting": "yellow", "retrying": "yellow", "failed": "red", "canceled": "red"}


class Stage:
    """The play as it is shown: what was called, what came of it, and in `problems` all that was expected otherwise."""

    def __init__(self, client: httpx.AsyncClient, console: Console, operator: str) -> None:
        self.client = client
        self.console = console
        self.operator = operator
        self.problems: list[str] = []

    @contextmanager
    def act(self, title: str) -> Iterator[None]:
        """A part of the demo under its title; what it raises becomes a problem, and the next part goes on."""
        self.console.print()
        self.console.rule(f"[bold]{escape(title)}", align="left", style="dim")
        try:
            yield
        except (AssertionError, TimeoutError, httpx.HTTPError) as error:
            self.expect(False, f"{title}: {type(error).__name__}: {error}")

    def say(self, text: str) -> None:
        self.console.print(f"  [dim]{escape(text)}")

    def command(self, *words: str) -> None:
        """A command as it is typed in a shell, which shows itself what comes of it."""
        self.console.print(f"  [cyan]$ {escape(' '.join(words))}")
        self.console.file.flush()

    def expect(self, met: bool, what: str) -> None:
        """A line with a tick, or a problem."""
        self.console.print(f"  [green]✓[/] {escape(what)}" if met else f"  [red]✗ {escape(what)}")
        if not met:
            self.problems.append(what)

    async def call(
        self,
        method: str,
        path: str,
        *,
        user: str | None = None,
        body: Any = None,
        headers: Mapping[str, str] | None = None,
        status: int | None = None,
    ) -> Any:
        """The answer's JSON. Shown, and an AssertionError unless it has this status (default: any success)."""
        content = body if isinstance(body, str) or body is None else json.dumps(body)
        sent = {"Content-Type": "application/json", **({"X-User": user} if user else {}), **(headers or {})}
        response = await self.client.request(method, path, content=content, headers=sent)
        who = f" as {user}" if user else ""
        self.console.print(f"  [cyan]{method} {escape(path)}[/]{who} → {response.status_code}")
        expected = response.is_success if status is None else response.status_code == status
        assert expected, f"{method} {path} answered {response.status_code}: {response.text[:500]}"
        return response.json() if response.content else None

    async def look(self, path: str, user: str | None = None) -> Any:
        """The answer's JSON, without showing the call."""
        response = await self.client.get(path, headers={"X-User": user or self.operator})
        response.raise_for_status()
        return response.json()

    async def follow(self, workflow_id: str, user: str, *, until: str = "completed", seconds: float = 60.0) -> Json:
        """The run, once it has this status; every change on the way there is shown."""
        last = None
        async with asyncio.timeout(seconds):
            while True:
                run: Json = await self.look(f"/api/v1/runs/{workflow_id}", user)
                seen = (run["status"], run["place"])
                if seen != last and run["status"] not in ("pending", "running"):
                    self.console.print(f"    {line_of(run)}")
                    last = seen
                if run["status"] == until:
                    return run
                assert run["status"] not in ("failed", "canceled"), f"{run['workflow_name']}: {run['error']}"
                await asyncio.sleep(0.05)

    async def ended(self, workflow: str, *, at_least: int = 1, since: datetime, seconds: float = 60.0) -> list[Json]:
        """The runs of this workflow that were created since then, once so many of them are completed."""
        async with asyncio.timeout(seconds):
            while True:
                runs = await self.runs(since)
                done = [run for run in runs if run["workflow_name"] == workflow and run["status"] == "completed"]
                if len(done) >= at_least:
                    return done
                await asyncio.sleep(0.1)

    async def runs(self, since: datetime) -> list[Json]:
        """All runs since then, oldest first."""
        found = [run for run in await self.look("/runs") if datetime.fromisoformat(run["created_at"]) >= since]
        return sorted(found, key=lambda run: str(run["created_at"]))


def line_of(run: Json) -> str:
    """One line about where a run stands."""
    text = f"{run['workflow_name']} {coloured(run['status'])}"
    if run["status"] == "completed":
        return f"{text} in {seconds_of(run):.2f} s: {escape(text_of(run['result']))}"
    if run["status"] == "retrying":
        return f"{text}: {escape(str(run['error']))}"
    waits = f" for {', '.join(run['waiting_for'])}" if run["waiting_for"] else ""
    return f"{text} at [bold]{escape(run['place'])}[/]{waits}"


def table_of(runs: list[Json]) -> Table:
    """All runs; those of a batch, and imported orders with what they started, in one line per workflow and status."""
    table = Table("workflow", "runs", "status", "place", "seconds", "result", title="Runs", title_justify="left")
    imported = {run["args"]["order_id"] for run in runs if "imported" in run["labels"]}
    groups: dict[tuple[str, ...], list[Json]] = {}
    for run in runs:
        order_id = (run["args"] or {}).get("order_id")
        many = run["group_id"] is not None or order_id in imported
        key = ("many", run["workflow_name"]) if many else (run["workflow_id"],)
        groups.setdefault((*key, run["status"], run["place"]), []).append(run)
    for same in groups.values():
        table.add_row(*_row(same))
    return table


def _row(same: list[Json]) -> list[str]:
    run, times = same[0], sorted(seconds_of(run) for run in same)
    spread = f"{times[0]:.2f}" if len(same) == 1 else f"{times[0]:.2f} to {times[-1]:.2f}"
    result = escape(text_of(run["result"])) if len(same) == 1 else "(many)"
    return [run["workflow_name"], str(len(same)), coloured(run["status"]), run["place"], spread, result]


def text_of(result: Any) -> str:
    """A result in a few words."""
    if not isinstance(result, dict):
        return str(result)
    return ", ".join(f"{key} {value}" for key, value in result.items() if value is not None)


def coloured(status: str) -> str:
    colour = _COLOURS.get(status)
    return f"[{colour}]{status}[/]" if colour else status


def seconds_of(run: Json) -> float:
    """From its creation to its end, or to its last change."""
    end = datetime.fromisoformat(run["finished_at"] or run["updated_at"])
    return (end - datetime.fromisoformat(run["created_at"])).total_seconds()
