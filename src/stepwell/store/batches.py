"""Batches: rows of the groups' table. How far one is, is counted from its runs (`groups.py`)."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final, NamedTuple

from stepwell.engine.groups import GroupRow
from stepwell.engine.run import Moment
from stepwell.store import tables
from stepwell.store.tables import groups
from stepwell.store.tx import Tx

_ALL: Final = tables.columns(groups)
_OPEN: Final = ("pending", "running", "waiting", "retrying")
_AFTER_ALL: Final = "g"
"""Comes after every character of an id."""


class MemberArgs(NamedTuple):
    """The args of a run of a batch."""

    number: int
    app_name: str
    workflow_name: str
    args: str


def by_key(tx: Tx, app_name: str, user_id: str, key: str) -> GroupRow | None:
    """Return the batch of this idempotency key, or None."""
    sql = f"SELECT {_ALL} FROM stepwell_groups WHERE app_name=? AND user_id=? AND idempotency_key=?"
    return tx.one(GroupRow._make, sql, app_name, user_id, key)


def page(
    tx: Tx, user_id: str | None, app_name: str | None, apps: Sequence[str] | None, before: str | None, limit: int
) -> list[GroupRow]:
    """Return batches, the newest first, those before an id: of a user, of an app and of `apps`; None: of any."""
    wanted, given = "", list[object]()
    for column, value in (("user_id", user_id), ("app_name", app_name)):
        if value is not None:
            wanted += f" AND {column}=?"
            given.append(value)
    if apps is not None:
        wanted += " AND app_name IN list(?)"
        given.append(tx.listed(apps))
    sql = f"SELECT {_ALL} FROM stepwell_groups WHERE kind='batch' AND id<?{wanted} ORDER BY id DESC LIMIT ?"
    return tx.fetch(GroupRow._make, sql, _AFTER_ALL if before is None else before, *given, limit)


def args_of(tx: Tx, batch_id: str, after: int, limit: int) -> list[MemberArgs]:
    """Return the args of the runs behind an index, in the order of the starts."""
    sql = (
        "SELECT group_index, app_name, workflow_name, args FROM stepwell_runs INDEXED BY stepwell_runs_member"
        " WHERE group_id=? AND group_index>? ORDER BY group_index LIMIT ?"
    )
    return tx.fetch(MemberArgs._make, sql, batch_id, after, limit)


def failed(tx: Tx, batch_id: str, before: Moment, limit: int) -> list[str]:
    """Return runs of the batch that have failed before a moment, those that failed first at the beginning."""
    sql = (
        "SELECT id FROM stepwell_runs INDEXED BY stepwell_runs_counted"
        " WHERE group_id=? AND status='failed' AND updated_at<=? ORDER BY ended_at LIMIT ?"
    )
    return [row[0] for row in tx.rows(sql, batch_id, before, limit)]


def failed_kinds(tx: Tx, batch_id: str, before: Moment) -> list[tuple[str, str]]:
    """Return app and name of the workflows of which runs of the batch have failed before a moment."""
    sql = (
        "SELECT DISTINCT app_name, workflow_name FROM stepwell_runs INDEXED BY stepwell_runs_counted"
        " WHERE group_id=? AND status='failed' AND updated_at<=?"
    )
    return [(app_name, name) for app_name, name in tx.rows(sql, batch_id, before)]


def unended(tx: Tx, batch_id: str, limit: int) -> list[str]:
    """Return runs of the batch that haven't ended, in no order."""
    found: list[str] = []
    for status in _OPEN:
        sql = "SELECT id FROM stepwell_runs INDEXED BY stepwell_runs_counted WHERE group_id=? AND status=? LIMIT ?"
        found += [row[0] for row in tx.rows(sql, batch_id, status, limit - len(found))]
        if len(found) == limit:
            break
    return found


def apps(tx: Tx, batch_id: str) -> set[str]:
    """Return the apps of its runs."""
    sql = "SELECT DISTINCT app_name FROM stepwell_runs INDEXED BY stepwell_runs_member WHERE group_id=?"
    return {row[0] for row in tx.rows(sql, batch_id)}


def is_open(tx: Tx, batch_id: str) -> bool:
    """Return whether a run of the batch hasn't ended."""
    return bool(unended(tx, batch_id, 1))


def canceled(tx: Tx, batch_id: str) -> int:
    """Return the number of runs of the batch that were cancelled."""
    sql = "SELECT count(*) FROM stepwell_runs INDEXED BY stepwell_runs_counted WHERE group_id=? AND status='canceled'"
    return int(tx.scalar(sql, batch_id))


def decide(tx: Tx, batch_id: str, outcome: str, now: Moment) -> None:
    """Note what was decided about the batch."""
    tx.run("UPDATE stepwell_groups SET outcome=?, decided_at=? WHERE id=?", outcome, now, batch_id)


def reopen(tx: Tx, batch_id: str, now: Moment) -> None:
    """Let the batch run again: what was decided counts no longer, nor do failures before this moment."""
    tx.run(
        "UPDATE stepwell_groups SET status='running', outcome=NULL, decided_by=NULL, decided_at=?, finished_at=NULL"
        " WHERE id=?",
        now,
        batch_id,
    )
    tx.hints.groups.add(batch_id)
