"""The findings of the web's log about a crawl: pure functions of the visits."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Sequence

from examples.crawl.web import Visit

CLOCKS = 0.02
"""Seconds by which the database's clock and the web's may have drifted apart."""


def most_at_once(visits: Iterable[Visit]) -> int:
    """The most visits that were under way at one moment."""
    changes = [(visit.began, 1) for visit in visits]
    changes += [(visit.ended, -1) for visit in visits]
    most = now = 0
    for _, change in sorted(changes):  # an end before a beginning at the same moment
        now += change
        most = max(most, now)
    return most


def too_early(visits: Iterable[Visit], limit: int, per: float, since: float) -> list[Visit]:
    """Visits that a rate didn't allow yet: of those after `since`, the n-th one comes after n // limit whole windows.

    Runs begin before their visits, so this holds however long the way of a request is.
    """
    began = sorted(visits, key=lambda visit: visit.began)
    return [visit for n, visit in enumerate(began) if visit.began < since + n // limit * per - CLOCKS]


def problems(
    log: Sequence[Visit], *, since: float, at_once: int, at_once_per_host: int, per_second_and_host: int
) -> list[str]:
    """Every limit that wasn't kept, and every page that was fetched twice."""
    found = []
    if (most := most_at_once(log)) > at_once:
        found.append(f"{most} pages at once, not {at_once}")
    for host, visits in by_host(log).items():
        if (most := most_at_once(visits)) > at_once_per_host:
            found.append(f"{host}: {most} pages at once, not {at_once_per_host}")
        early = too_early(visits, per_second_and_host, 1.0, since)
        found += [f"{host}{one.path}: {one.began - since:.2f} s after the start, before its turn" for one in early]
        again = [path for path, times in Counter(visit.path for visit in visits).items() if times > 1]
        found += [f"{host}{path} was fetched more than once" for path in again]
    return found


def by_host(log: Iterable[Visit]) -> dict[str, list[Visit]]:
    """The visits of each host."""
    found: dict[str, list[Visit]] = {}
    for visit in log:
        found.setdefault(visit.host, []).append(visit)
    return found
