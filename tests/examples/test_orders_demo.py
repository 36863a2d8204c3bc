"""`make demo ARGS=--once`, as a user would run it."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from pathlib import Path

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


def test_the_demo_shows_every_way_to_start_and_ends_well() -> None:
    process = subprocess.Popen(
        [sys.executable, "-m", "examples.orders", "--once"],
        cwd=ROOT,
        env={**os.environ, "COLUMNS": "200"},
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        encoding="utf-8",
        start_new_session=True,
    )
    try:
        shown, _ = process.communicate(timeout=150)
    except subprocess.TimeoutExpired:
        os.killpg(process.pid, signal.SIGKILL)  # its server too
        raise
    assert process.returncode == 0, shown
    assert [line for line in SHOWN if line not in shown] == [], shown
    table = shown[shown.index("Runs") :]
    assert [name for name in WORKFLOWS if name not in table] == [], table
