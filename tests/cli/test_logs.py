"""What a worker process logs: as text or as JSON, and as the application says where it has said something."""

from __future__ import annotations

import json
import logging

import pytest

from stepwell.console.cli.terminal.logs import JsonFormatter

from .conftest import Shell


def failed(stepwell: Shell) -> str:
    """The id of a run that has failed in a worker."""
    done = stepwell("run", "break", "--detach")
    assert done.returncode == 0, done.stderr
    run_id = done.stdout.strip()
    assert stepwell("runs", run_id, "--follow").returncode != 0
    return run_id


def test_each_line_is_json_with_the_fields_of_the_run(stepwell: Shell) -> None:
    worker = stepwell.worker("--log-format", "json")
    run_id = failed(stepwell)
    lines = [json.loads(line) for line in stepwell.log(worker).splitlines() if line.startswith("{")]
    [line] = [one for one in lines if one["level"] == "error" and one.get("workflow_id") == run_id]
    assert (line["logger"], line["workflow_name"], line["transition"]) == ("stepwell.execution", "break", "snap")
    assert run_id in line["message"]
    assert "Traceback" in line["traceback"]


def test_the_level_is_that_of_the_option(stepwell: Shell) -> None:
    loud, quiet = stepwell.worker(), stepwell.worker("--log-level", "ERROR")
    assert "INFO stepwell" not in stepwell.log(quiet)
    run_id = failed(stepwell)
    assert f"run {run_id} (break) failed at" in stepwell.log(loud) + stepwell.log(quiet)
    assert stepwell("worker", "shop:stepwell", "--log-level", "loud").returncode == 2


def test_an_application_that_configures_its_logs_keeps_them(stepwell: Shell) -> None:
    (stepwell.folder / "logged.py").write_text(
        "import logging\nlogging.basicConfig(format='theirs: %(message)s', level='INFO')\nfrom shop import stepwell\n"
    )
    worker = stepwell.worker(target="logged:stepwell")
    run_id = failed(stepwell)
    assert f"theirs: run {run_id} (break) failed at" in stepwell.log(worker)


@pytest.mark.parametrize("odd", [float("inf"), object(), {1: "a"}, b"\xff", "\ud800"])
def test_whatever_a_record_carries_becomes_one_line_of_json(odd: object) -> None:
    record = logging.makeLogRecord(
        {"name": "x", "msg": "said %s", "args": ("it\nall",), "levelname": "INFO", "odd": odd}
    )
    text = JsonFormatter().format(record)
    assert "\n" not in text
    read = json.loads(text, parse_constant=pytest.fail)
    assert read["message"] == "said it\nall"
    assert read["odd"]
