"""`python -m examples.migration`: a deployment with runs in flight, two versions side by side, both killed."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

from backends import Database

ROOT = Path(__file__).parents[2]
SHOWN = [
    "12 loans of the code before wait for a decision. The check of the new code finds 0 that it can't carry on.",
    "Side by side both were killed 8 times. All 24 loans are paid.",
    "All are completed, 24 of them in version 2.",
    "The bank was asked again at least 4 times, after a worker had died with the answer.",
    "✓ Each loan was paid under one key, whatever paid it.",
]


@pytest.fixture(params=["sqlite", "postgres"])
def database(request: pytest.FixtureRequest) -> Database:
    found: Database = request.getfixturevalue(f"empty_{request.param}")
    return found


def test_a_deployment_over_waiting_runs_loses_none_and_pays_each_once(database: Database, tmp_path: Path) -> None:
    done = subprocess.run(
        [sys.executable, "-m", "examples.migration"],
        cwd=ROOT,
        env={**os.environ, "STEPWELL_DATABASE_URL": database.url, "MIGRATION_LEDGER": str(tmp_path / "ledger")},
        capture_output=True,
        encoding="utf-8",
        timeout=400,
        check=False,
    )
    assert done.returncode == 0, done.stdout + done.stderr
    assert [line for line in SHOWN if line not in done.stdout] == [], done.stdout
    assert database.read("SELECT count(*), min(workflow_version) FROM stepwell_runs WHERE status='completed'") == [
        (24, 2)
    ]
    signals = "SELECT count(*) FROM stepwell_signals WHERE state<>'taken'"
    assert database.read(signals) == [(0,)], "every answer that was accepted was used"
