"""A crawl starts a run for each page of a round, and goes on with the links that these have found."""

from __future__ import annotations

import re
from datetime import timedelta
from functools import lru_cache
from typing import Annotated

import httpx
from pydantic import BaseModel

from stepwell import END, App, Concurrency, Depends, Group, RateLimit, Retry, Signal, Start, Workflow, transition

AT_ONCE_PER_HOST = 2
AT_ONCE = 20
PER_SECOND_AND_HOST = 5


class Page(BaseModel):
    server: str
    """The address at which the hosts of this example are served: http://127.0.0.1:8000."""
    host: str
    path: str = "/"


class Found(BaseModel):
    title: str
    links: list[str]


@lru_cache
def browser() -> httpx.AsyncClient:
    """Return the client that all runs of this process share. It limits nothing: the workflow does."""
    return httpx.AsyncClient(timeout=60, limits=httpx.Limits(max_connections=None), trust_env=False)


class FetchPage(
    Workflow[Page, None, Found],
    title="Fetch a page",
    concurrency=[
        Concurrency(AT_ONCE_PER_HOST, key="args.host"),
        Concurrency(AT_ONCE, name="crawler"),  # every workflow that names it has a share in it
    ],
    rate_limit=RateLimit(PER_SECOND_AND_HOST, per=timedelta(seconds=1), key="args.host"),
    fair_by="user_id",
    expires=timedelta(hours=1),
):
    """Fetch one page, and return what it links to.

    The rate counts beginnings of runs. A retry isn't one, but takes a slot like any execution.
    """

    @transition(target=END, retry=Retry(retries=2, on=(httpx.TransportError,)))
    async def fetch(self, client: Annotated[httpx.AsyncClient, Depends(browser)]) -> Found:
        answer = await client.get(self.args.server + self.args.path, headers={"Host": self.args.host})
        answer.raise_for_status()
        titles = re.findall(r"<title>(.*?)</title>", answer.text)
        return Found(title=titles[0] if titles else "", links=re.findall(r'href="(.*?)"', answer.text))


class Seeds(BaseModel):
    server: str
    hosts: list[str]


class Frontier(BaseModel):
    """The memory of a crawl between its rounds."""

    rounds: list[str] = []
    """The first run of each round, by which its group is found."""
    pages: list[Page] = []
    """Those of the next round, or of that which is under way."""
    seen: set[tuple[str, str]] = set()
    missing: list[str] = []


class Report(BaseModel):
    rounds: int
    pages: int
    missing: list[str]
    """Links that led nowhere."""


class Crawl(Workflow[Seeds, Frontier, Report]):
    """Fetch the first page of every host, then in rounds what they link to, until nothing is new."""

    @transition(target="planned")
    async def begin(self) -> None:
        for host in self.args.hosts:
            self.plan(host, "/")

    def has_pages(self) -> bool:
        return bool(self.state.pages)

    @transition("planned", "fetching", when=has_pages, priority=1)
    async def fetch(self) -> None:
        # However many they are: all come into being in one commit, and one call tells that all have ended.
        starts = [Start(FetchPage, page) for page in self.state.pages]
        first, *_ = await self.start_many(starts, callback="collect", until="all_ended")
        self.state.rounds.append(first)

    @transition("fetching", "planned", wait=True)
    async def collect(self, end: Signal[Group[Found]]) -> None:
        fetched, self.state.pages = self.state.pages, []
        async for item in self.children(end.data.group_id):
            page = fetched[item.index]
            if item.result is None:
                self.state.missing.append(page.host + page.path)
                continue
            for path in item.result.links:
                self.plan(page.host, path)

    @transition("planned", END)
    async def report(self) -> Report:
        fetched = len(self.state.seen) - len(self.state.missing)
        return Report(rounds=len(self.state.rounds), pages=fetched, missing=self.state.missing)

    def plan(self, host: str, path: str) -> None:
        """Fetch this page in the next round, unless an earlier one has."""
        if (host, path) not in self.state.seen:
            self.state.seen.add((host, path))
            self.state.pages.append(Page(server=self.args.server, host=host, path=path))


crawler = App("crawler", title="Crawler", workflows=[Crawl, FetchPage])
