"""The stream of all rows: on the way from one horizon to another each is met once, and those of a run in order."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from random import Random

import pytest
from hypothesis import given
from hypothesis import strategies as st
from sqlalchemy import create_engine

from backends import SqliteFile
from stepwell.store.reading import feed
from stepwell.store.reading.feed import Horizon
from stepwell.store.sqlite.dialect import Sqlite
from stepwell.store.tx import Tx

RUN = (
    "INSERT INTO stepwell_runs (id, app_name, workflow_name, workflow_version, workspace_id, user_id, internal, labels,"
    " priority, args, created_at, inbox, status, place, version, claim, state, visit, entered_at, attempt, failures,"
    " automatic, takeovers, children, updated_at) VALUES (?, 'a', 'w', 1, 'ws', 'u', 0, '[]', 0, 'null', 0, 0, 'waiting',"
    " 'p', 0, 0, '{}', 0, 0, 0, 0, 0, 0, 0, 0)"
)
ROW = (
    "INSERT INTO stepwell_history (run_id, version, attempt, status, started_at, finished_at, seq, xact)"
    " VALUES (?, ?, 1, 'committed', 0, 0, ?, ?)"
)


@contextmanager
def opened(database: SqliteFile) -> Iterator[Tx]:
    engine = create_engine(database.url)
    with engine.connect() as connection:
        yield Tx(connection, Sqlite())
    engine.dispose()


def overtaking(tx: Tx, seed: int) -> int:
    """Rows of 20 runs; transactions overlap, and one that waited for a lock has a lower number than who held it."""
    random, versions, seq = Random(seed), [0] * 20, 0
    for run in range(20):
        tx.run(RUN, f"r{run}")
    for first in range(100, 420, 2):
        for xact in (first + 1, first) if random.random() < 0.5 else (first, first + 1):
            for run in random.sample(range(20), 3):
                seq += 1
                tx.run(ROW, f"r{run}", versions[run], seq, xact)
                versions[run] += 1
    return seq


def walked(tx: Tx, seen: Horizon, until: Horizon, most: int, page: int) -> list[tuple[str, int]]:
    found = []
    while seen != until:
        stop, after = feed.halt(tx, seen, until, most), 0
        while entries := feed.between(tx, seen, stop, after, page):
            found += [(entry.run.id, entry.row.version) for entry in entries]
            after = entries[-1].seq
        seen = stop
    return found


@pytest.mark.parametrize("most", [1, 7, 50, 10_000])
@pytest.mark.parametrize("seed", range(3))
def test_every_row_once_and_those_of_a_run_in_order_wherever_one_halts(
    most: int, seed: int, sqlite_database: SqliteFile
) -> None:
    with opened(sqlite_database) as tx:
        count = overtaking(tx, seed)
        found = walked(tx, Horizon(1, 1), Horizon(1000, 1000), most, page=11)
        assert len(found) == len(set(found)) == count
        for run in range(20):
            versions = [version for one, version in found if one == f"r{run}"]
            assert versions == sorted(versions)


def test_what_was_open_then_is_new_now(sqlite_database: SqliteFile) -> None:
    with opened(sqlite_database) as tx:
        overtaking(tx, 1)
        seen, until = Horizon(200, 300, (200, 250)), Horizon(280, 400, (280, 350))
        rows = tx.rows("SELECT run_id, version, xact FROM stepwell_history")
        new = {
            (run, version)
            for run, version, xact in rows
            if (xact in (200, 250) or xact >= 300) and xact < 400 and xact not in (280, 350)
        }
        for most in (1, 9, 1000):
            assert set(walked(tx, seen, until, most, page=5)) == new


@given(st.integers(0, 10**18), st.integers(0, 10**18), st.lists(st.integers(0, 10**18), max_size=5))
def test_a_horizon_is_the_same_after_its_text(xmin: int, xmax: int, unseen: list[int]) -> None:
    horizon = Horizon(xmin, xmax, tuple(unseen))
    assert Horizon.parse(str(horizon)) == horizon
