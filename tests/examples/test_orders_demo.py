"""`make demo ARGS=--once` and `ARGS="--once --servers"`, as a user would run them."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import psutil
import pytest

ROOT = Path(__file__).parents[2]
SHOWN = [
    "✓ its event order.completed started book_points",
    "✓ the charge: failed, failed, committed",
    "process_order waiting at review for approve, reject",
    "POST /webhooks/stripe → 401",
    "✓ the same delivery twice: 1 run of record_payment",
    "✓ publish_changelog wrote a Markdown document",
    "✓ 20 new runs; the second call: 0",
    "✓ exactly once: 1 row, 1 receipt",
    "✓ delayed by 3 s (really: 3 days)",
    "✓ a schedule, every 4 s",
    "✓ daily_report wrote a report",
    "Everything ended as expected.",
]
WORKFLOWS = [
    "process_order",
    "ship",
    "record_payment",
    "book_points",
    "ask_for_review",
    "publish_changelog",
    "sales_overview",
    "daily_report",
]


@pytest.mark.parametrize(
    "options", [[], pytest.param(["--servers"], marks=pytest.mark.thorough)], ids=["sqlite", "servers"]
)
def test_the_demo_shows_every_way_to_start_and_ends_well(options: list[str]) -> None:
    process = subprocess.Popen(
        [sys.executable, "-m", "examples.orders", "--once", *options],
        cwd=ROOT,
        env={**os.environ, "COLUMNS": "200"},
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        encoding="utf-8",
    )
    started: list[psutil.Process] = []
    try:
        shown, _ = process.communicate(timeout=300)
    except subprocess.TimeoutExpired:
        started = psutil.Process(process.pid).children(recursive=True)
        process.kill()
        raise
    finally:
        for one in started:  # its server, its workers, and what they need
            one.kill()
    assert process.returncode == 0, shown
    assert [line for line in SHOWN if line not in shown] == [], shown
    table = shown[shown.index("Runs") :]
    assert [name for name in WORKFLOWS if name not in table] == [], table
    if options:
        assert "Database: postgresql+asyncpg://" in shown
        assert "Queue:    redis://" in shown or "Queue:    127.0.0.1" in shown
        assert "Workers:  3 processes" in shown


def test_a_database_that_can_not_be_used_is_told_in_a_few_words() -> None:
    done = subprocess.run(
        [sys.executable, "-m", "examples.orders", "--once"],
        cwd=ROOT,
        env={**os.environ, "STEPWELL_DATABASE_URL": "postgresql://ann:secret@nowhere.invalid/shop"},
        capture_output=True,
        encoding="utf-8",
        timeout=60,
        check=False,
    )
    assert done.returncode == 2
    assert "Is the server running" in " ".join(done.stdout.split())
    assert "Traceback" not in done.stdout + done.stderr
    assert "secret" not in done.stdout + done.stderr
