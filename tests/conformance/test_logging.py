"""What is logged of runs: a failed attempt as a warning, a failed run and a failed handler as errors, with their fields."""

from __future__ import annotations

import logging
from datetime import timedelta
from typing import Any

import pytest

from conformance.support import ME, StepwellOn
from stepwell import END, Retry, Workflow, transition

FIELDS = ("workflow_id", "workflow_name", "app_name", "user_id", "transition", "attempt")


class Twice(Workflow):
    """Fails once, then at each attempt of its second transition."""

    @transition(target="ready", retry=Retry(retries=1, delay=timedelta(0)))
    async def begin(self) -> None:
        if self.info.attempt == 1:
            raise ValueError("not yet")

    @transition("ready", END)
    async def go(self) -> None:
        raise KeyError("never")


class Recovers(Workflow):
    @transition(target=END, error_place="broken")
    async def go(self) -> None:
        raise ValueError("to the error place")

    @transition("broken", END)
    async def repair(self) -> None: ...


class Unsayable(Exception):
    def __str__(self) -> str:
        raise RuntimeError("it can't be printed")


class Silent(Workflow):
    @transition(target=END)
    async def go(self) -> None:
        raise Unsayable


def of(caplog: pytest.LogCaptureFixture, run_id: str | None) -> list[tuple[int, dict[str, Any]]]:
    """The records about this run, with their fields."""
    return [
        (record.levelno, {name: getattr(record, name) for name in FIELDS})
        for record in caplog.records
        if record.name == "stepwell.execution" and getattr(record, "workflow_id", None) == run_id
    ]


async def test_a_failed_attempt_is_a_warning_and_a_failed_run_an_error(
    stepwell_on: StepwellOn, caplog: pytest.LogCaptureFixture
) -> None:
    async with stepwell_on([Twice]) as stepwell:
        done = await stepwell.runner.run_sync(Twice, **ME)
    common = {"workflow_id": done.workflow_id, "workflow_name": "twice", **ME}
    assert of(caplog, done.workflow_id) == [
        (logging.WARNING, {**common, "transition": "begin", "attempt": 1}),
        (logging.ERROR, {**common, "transition": "go", "attempt": 1}),
    ]
    error = next(
        record
        for record in caplog.records
        if record.levelno == logging.ERROR and getattr(record, "workflow_id", None) == done.workflow_id
    )
    assert f"run {done.workflow_id} (twice) failed at 'ready', in attempt 1 of go: " in error.getMessage()
    assert error.exc_info is not None
    assert isinstance(error.exc_info[1], KeyError)


async def test_a_run_that_goes_on_at_its_error_place_is_a_warning(
    stepwell_on: StepwellOn, caplog: pytest.LogCaptureFixture
) -> None:
    async with stepwell_on([Recovers]) as stepwell:
        done = await stepwell.runner.run_sync(Recovers, **ME)
    [(level, fields)] = of(caplog, done.workflow_id)
    assert (done.status, level, fields["transition"]) == ("completed", logging.WARNING, "go")


async def test_an_exception_that_cannot_be_printed_is_logged_all_the_same(
    stepwell_on: StepwellOn, caplog: pytest.LogCaptureFixture
) -> None:
    async with stepwell_on([Silent]) as stepwell:
        done = await stepwell.runner.run_sync(Silent, **ME)
    [(level, _)] = of(caplog, done.workflow_id)
    assert level == logging.ERROR


class Unstorable(Workflow):
    """Its state passes while it is dumped, and can't be stored."""

    @transition(target=END)
    async def go(self) -> None:
        self.state["text"] = "\ud800"


async def test_a_run_that_fails_because_its_checkpoint_cannot_be_stored_has_a_traceback(
    stepwell_on: StepwellOn, caplog: pytest.LogCaptureFixture
) -> None:
    async with stepwell_on([Unstorable]) as stepwell:
        done = await stepwell.runner.run_sync(Unstorable, **ME)
    assert done.status == "failed"
    [record] = [one for one in caplog.records if getattr(one, "workflow_id", None) == done.workflow_id]
    assert record.levelno == logging.ERROR
    assert record.exc_info is not None


def occupied(*args: Any, **kwargs: Any) -> logging.LogRecord:
    """A record factory of an application that notes the user of its request, as ours does."""
    record = logging.LogRecord(*args, **kwargs)
    record.user_id = "theirs"
    return record


class Refusing(logging.Filter):
    def filter(self, record: logging.LogRecord) -> bool:
        raise RuntimeError("not this one")


@pytest.mark.parametrize("broken", ["factory", "filter"])
async def test_logging_that_raises_changes_no_run(stepwell_on: StepwellOn, broken: str) -> None:
    logger, refusing, factory = logging.getLogger("stepwell.execution"), Refusing(), logging.getLogRecordFactory()
    async with stepwell_on([Recovers]) as stepwell:
        try:
            if broken == "filter":
                logger.addFilter(refusing)
            else:
                logging.setLogRecordFactory(occupied)
            done = await stepwell.runner.run_sync(Recovers, **ME)
            pure = await stepwell.runner.run_sync(Recovers, **ME, stateless=True)
        finally:
            logger.removeFilter(refusing)
            logging.setLogRecordFactory(factory)
        assert (done.status, pure.status) == ("completed", "completed")
        assert done.workflow_id is not None
        rows = await stepwell.runner.history(done.workflow_id)
        assert [row.status for row in rows] == ["committed", "failed", "committed"]
