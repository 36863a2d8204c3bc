"""`python -m examples.crawl`: crawl a small web for two users, show how far it is, and read the web's log afterwards."""

from __future__ import annotations

import asyncio
import logging
import sys
import time
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Final

from rich.console import Console
from rich.markup import escape
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TaskID, TextColumn
from rich.table import Table

from examples.crawl.proof import by_host, most_at_once, problems
from examples.crawl.web import Visit, Web
from examples.crawl.workflows import (
    AT_ONCE,
    AT_ONCE_PER_HOST,
    PER_SECOND_AND_HOST,
    Crawl,
    Report,
    Seeds,
    browser,
    crawler,
)
from stepwell import GroupProgress, RunHandle, Settings, Stepwell, WorkflowRunner

ASKED: Final = {
    "ada": {f"shop-{n}.example": 13 for n in range(12)},
    "bob": {f"blog-{n}.example": 4 for n in range(3)},
}
"""Whose crawl has which hosts, each with so many pages. Bob comes second, and needn't wait until Ada's pages are done."""


async def main() -> int:
    """0 if all pages were fetched once and every limit was kept."""
    console = Console(highlight=False)
    logging.getLogger("stepwell").setLevel(logging.CRITICAL)  # a page that isn't there is no trouble, and in the report
    hosts = {host: pages for asked in ASKED.values() for host, pages in asked.items()}
    with TemporaryDirectory(prefix="stepwell-crawl-", ignore_cleanup_errors=True) as folder, Web(hosts) as web:
        since = time.monotonic()
        async with Stepwell(apps=[crawler], settings=settings(Path(folder))) as stepwell:
            reports = await crawled(stepwell.runner, web.url, console)
        await browser().aclose()
    found = problems(
        web.log,
        since=since,
        at_once=AT_ONCE,
        at_once_per_host=AT_ONCE_PER_HOST,
        per_second_and_host=PER_SECOND_AND_HOST,
    )
    wanted = sum(hosts.values())
    if (fetched := sum(report.pages for report in reports)) != wanted:
        found.append(f"{fetched} pages were fetched, not {wanted}")
    show(console, web.log, found)
    return 1 if found else 0


def settings(folder: Path) -> Settings:
    """On the database of STEPWELL_DATABASE_URL, or on a temporary SQLite file."""
    given = Settings(auto_migrate=True)
    if "database_url" in given.model_fields_set:
        return given
    return given.model_copy(update={"database_url": f"sqlite+aiosqlite:///{folder}/crawl.db"})


async def crawled(runner: WorkflowRunner, server: str, console: Console) -> list[Report]:
    """Start a crawl for each user, and follow them to their ends."""
    crawls: dict[str, RunHandle[Report]] = {}
    for user, hosts in ASKED.items():
        seeds = Seeds(server=server, hosts=list(hosts))
        crawls[user] = await runner.run(Crawl, seeds, app_name="crawler", user_id=user)
    columns = (TextColumn("{task.description}"), BarColumn(), MofNCompleteColumn(), TextColumn("{task.fields[text]}"))
    with Progress(*columns, console=console) as bars:
        reports = await asyncio.gather(*(followed(runner, user, crawl, bars) for user, crawl in crawls.items()))
    for user, report in zip(crawls, reports, strict=True):
        missing = ", ".join(report.missing) or "none"
        console.print(f"{user}: {report.pages} pages in {report.rounds} rounds; missing: {missing}")
    return reports


async def followed(runner: WorkflowRunner, user: str, crawl: RunHandle[Report], bars: Progress) -> Report:
    """Show a bar for each round of a crawl until it has ended, and return its report."""
    rounds: dict[str, TaskID] = {}
    ended = asyncio.ensure_future(crawl.result())
    over = False
    while not over:
        await asyncio.wait([ended], timeout=0.1)
        over = ended.done()  # and a last look
        for first in (await crawl.get()).state["rounds"]:
            group_id = (await runner.get(first)).group_id
            assert group_id is not None
            if first not in rounds:
                rounds[first] = bars.add_task(f"{user}, round {len(rounds) + 1}", text="")
            group = await runner.group(group_id)
            done = group.completed + group.failed + group.canceled
            bars.update(rounds[first], total=group.total, completed=done, text=text_of(group))
    return await ended


def text_of(group: GroupProgress) -> str:
    if group.finished_at is not None:
        return f"in {(group.finished_at - group.started_at).total_seconds():.1f} s"
    return f"{group.running} under way, {group.pending + group.held} wait"


def show(console: Console, log: list[Visit], found: list[str]) -> None:
    """Print what each host has seen, and whether every limit was kept."""
    visits = by_host(log)
    table = Table("user", "host", "requests", f"at once (limit {AT_ONCE_PER_HOST})", title="The web's log")
    for user, hosts in ASKED.items():
        for host in hosts:
            seen = visits.get(host, [])
            table.add_row(user, host, str(len(seen)), str(most_at_once(seen)))
    console.print(table)
    console.print(f"All together: {len(log)} requests, at most {most_at_once(log)} at once (limit {AT_ONCE}).")
    if not found:
        console.print(
            f"[green]✓[/] No host had more than {AT_ONCE_PER_HOST} at once, or {PER_SECOND_AND_HOST} a second."
        )
    for problem in found:
        console.print(f"[red]✗[/] {escape(problem)}")


if __name__ == "__main__":
    sys.exit(asyncio.run(main()))
