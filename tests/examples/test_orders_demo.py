"""`make demo ARGS=--once` and `ARGS="--once --servers"`, as a user would run them."""

from __future__ import annotations

import os
import re
import signal
import subprocess
import sys
from collections.abc import Iterable, Iterator
from pathlib import Path

import httpx
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
    "$ stepwell batch import_item examples/orders/catalogue.csv --label catalogue --max-in-flight 16",
    "100 %, 120/120, 3 failed",
    "line 35: ",
    "Walnut clock costs",
    "✓ 117 items of 120 were imported, 3 failed: exit code 1",
    "✓ 20 new runs; the second call: 0",
    "✓ 20 orders completed; of",
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
    "import_item",
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


def test_the_demo_leaves_a_shop_in_which_a_limit_holds_a_run_back() -> None:
    with subprocess.Popen(
        [sys.executable, "-m", "examples.orders"],
        cwd=ROOT,
        env={**os.environ, "COLUMNS": "200", "PYTHONUNBUFFERED": "1"},
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        encoding="utf-8",
        start_new_session=True,
    ) as process:
        try:
            assert process.stdout is not None
            lines = list(until_served(process.stdout))
            assert "Everything ended as expected." in "".join(lines), "".join(lines)
            url = re.search(r"Studio: (http://[^/]+)/", lines[-1])
            assert url is not None, lines
            look_around(url[1])
            process.send_signal(signal.SIGINT)
            rest, _ = process.communicate(timeout=120)
            assert "Bye." in rest
            assert process.returncode == 0, rest
        finally:
            if process.poll() is None:
                os.killpg(process.pid, signal.SIGINT)


def until_served(shown: Iterable[str]) -> Iterator[str]:
    """The lines up to that which names Studio."""
    for line in shown:
        yield line
        if "/sign-in?user=" in line:
            return


def look_around(url: str) -> None:
    """What the operator finds: a batch with its failed items, and a run that waits for another one of its warehouse."""
    with httpx.Client(base_url=f"{url}/api/v1", headers={"X-User": "olivia"}, timeout=60) as client:
        [batch] = client.get("/batches").json()["items"]
        assert (batch["label"], batch["progress"]["completed"], batch["progress"]["failed"]) == ("catalogue", 117, 3)
        asked = client.get("/runs", params={"workflow": "sync_stock"}).json()["items"]
        running, waiting = (
            next(run["workflow_id"] for run in asked if run["args"]["warehouse"] == "east" and run["status"] == status)
            for status in ("running", "pending")
        )
        why = " ".join(client.get(f"/runs/{waiting}/explain").json()["reasons"])
        assert "at most 1 run" in why
        assert running in why
        held = client.get("/limits", params={"held": True}).json()["items"]
        assert [(one["workflow_name"], one["holding"], one["held"]) for one in held] == [("sync_stock", 1, 1)]


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
