"""The count itself: each violation that is planted in a database without faults is found, by the count that names it."""

from __future__ import annotations

import shutil
from collections.abc import Iterator
from pathlib import Path

import pytest

from acceptance import evidence
from acceptance.audit import audit
from acceptance.load import Load, accepted
from acceptance.mix import KINDS, TABLES, recorded
from acceptance.nursery import Nursery

pytestmark = pytest.mark.thorough

_PLAIN = "(SELECT min(id) FROM stepwell_runs WHERE workflow_name='plain')"
_OF = "(SELECT min(id) FROM stepwell_runs WHERE workflow_name='{}')"
_ROW = (
    "INSERT INTO stepwell_history (run_id, version, transition, source, target, attempt, status, error, trace, state,"
    " signal_id, started_at, finished_at) SELECT run_id, version + 10, {}, {}, {}, attempt, {}, error, trace, state, NULL,"
    " started_at, finished_at"
)
_LAST = f" FROM stepwell_history WHERE run_id={_PLAIN} ORDER BY version DESC LIMIT 1"

PLANTED = {
    "accepted and not stored": "accepted + 99999 nowhere",
    "of another workflow than asked for": f"UPDATE stepwell_runs SET workflow_name='late' WHERE id={_PLAIN}",
    "keys with two runs": "accepted + 0 another",
    "stored and never acknowledged": "accepted - 0",
    "workspaces too many or too few": "INSERT INTO stepwell_workspaces VALUES ('w', 'a', 'nobody', 1, NULL)",
    "runs without the caller's row, or with two": f"DELETE FROM orders WHERE run_id={_OF.format('ordered')}",
    "runs lost": f"UPDATE stepwell_runs SET status='failed' WHERE id={_PLAIN}",
    "runs ended twice": _ROW.format("'four'", "'end'", "'end'", "'committed'") + _LAST,
    "runs with more or fewer failed attempts than they wanted": _ROW.format("'three'", "'third'", "NULL", "'failed'") + _LAST,
    "ended runs that are still due or owned": f"UPDATE stepwell_runs SET ready_at=1 WHERE id={_PLAIN}",
    "transitions committed twice": _ROW.format("'two'", "'second'", "'third'", "'committed'") + _LAST,
    "runs with a version missing or twice": f"DELETE FROM stepwell_history WHERE run_id={_OF.format('flaky')} AND version=1",
    "runs whose checkpoints aren't connected": f"UPDATE stepwell_history SET source='first' WHERE run_id={_PLAIN} AND version=2",
    "transitions entered before the last checkpoint": "early + run 1 0",
    "steps executed again after their journal row was committed": "again + run:first:1 a execution",
    "journal rows without an execution": f"""UPDATE stepwell_steps SET value='"x"' WHERE run_id={_OF.format("stepping")}""",
    "states that differ from the journal": f"UPDATE stepwell_runs SET result='[]' WHERE id={_OF.format('stepping')}",
    "children without their parent's commit": f"UPDATE stepwell_runs SET parent_id={_PLAIN} WHERE id={_OF.format('child')}",
    "commits without their child, or with two": f"DELETE FROM stepwell_runs WHERE id={_OF.format('child')}",
    "parents told twice": "INSERT INTO stepwell_signals SELECT id || '2', run_id, name, kind, data, status, error, sender,"
    " user_id, meta, idempotency_key, visit, accepted_at, state, version, size FROM stepwell_signals WHERE kind='child' LIMIT 1",
    "parents not told": f"UPDATE stepwell_signals SET sender='x' WHERE sender={_OF.format('child')}",
    "user rows without their transition, or twice": f"INSERT INTO bookings VALUES ({_OF.format('booking')}, 1)",
    "runs whose documents differ from their commits": f"""DELETE FROM stepwell_documents
        WHERE run_id={_OF.format("papers")} AND name='note' AND version=2 AND key IS NULL""",
    "documents of failed attempts": "UPDATE stepwell_documents SET name='note', key=NULL"
    f" WHERE run_id={_OF.format('flaky')} AND name='error'",
    "failed attempts without their trace": f"DELETE FROM stepwell_documents WHERE run_id={_OF.format('parent')} AND name='error'",
    "events without their commit, or twice": f"DELETE FROM stepwell_runs WHERE id={_OF.format('listening')}",
    "timers and delays that were too early": "UPDATE stepwell_history SET finished_at=started_at - 1000000"
    f" WHERE run_id={_OF.format('timed')} AND transition='rang'",
}  # fmt: skip


@pytest.fixture(scope="module")
def played(nursery: Nursery, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder after some load, without any fault."""
    folder = evidence.use(tmp_path_factory.mktemp("played"))
    load = Load(nursery, folder, lease=1.0)
    load.start("worker0")
    load.wait((folder / evidence.DATABASE).exists, "the worker opens the database")
    evidence.write(TABLES)
    load.start("client")
    load.wait(lambda: accepted() >= 2 * len(KINDS), "runs are accepted")
    load.finish()
    nursery.end_all()
    return folder


@pytest.fixture
def copy(played: Path, tmp_path: Path) -> Iterator[Path]:
    yield evidence.use(shutil.copytree(played, tmp_path / "copy"))
    evidence.leave()


def test_nothing_is_found_where_nothing_is_wrong(copy: Path) -> None:
    result = audit()
    assert result.broken == {}
    assert set(result.faults) == {*PLANTED, "damage in the database"}
    stored = evidence.number("SELECT count(*) FROM stepwell_runs")
    assert result.figures["runs stored (with children and listeners)"] == result.figures["runs ended"] == stored
    assert result.figures["runs accepted"] == accepted() >= 2 * len(KINDS)


def test_only_what_is_excused_is(copy: Path) -> None:
    evidence.write(PLANTED["runs with more or fewer failed attempts than they wanted"])
    evidence.write("UPDATE stepwell_history SET error='the disk is full' WHERE transition='three' AND status='failed'")
    what = "runs with more or fewer failed attempts than they wanted"
    assert what not in audit(excused="the disk is full").broken
    assert what in audit(excused="the moon is full").broken


@pytest.mark.parametrize("what", PLANTED)
def test_what_was_planted_is_found(copy: Path, what: str) -> None:
    _plant(PLANTED[what])
    assert what in audit().broken


def _plant(deed: str) -> None:
    file, _, rest = deed.partition(" ")
    match rest[:1]:
        case "+":
            evidence.append(file, rest[2:])
        case "-":
            path = evidence.folder() / file
            kept = [line for line in path.read_text().splitlines() if line.split()[0] != rest[2:]]
            path.write_text("\n".join(kept) + "\n")
        case _:
            evidence.write(deed)


def test_a_step_that_is_called_after_its_journal_row_is_noted(copy: Path) -> None:
    [(run_id, visit, method, name, at)] = evidence.read(
        "SELECT run_id, visit, transition, name, recorded_at FROM stepwell_steps LIMIT 1"
    )
    key = f"{run_id}:{method}:{visit}"
    recorded(key, name, at)
    assert evidence.lines("again") == []
    execution = recorded(key, name, at + 1)
    assert evidence.lines("again") == [[key, name, execution]]
