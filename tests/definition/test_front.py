"""An instance is a thin front of its context, and says so where it has none."""

from __future__ import annotations

import inspect
from collections.abc import Callable
from typing import Any

import pytest

from stepwell.definition.authoring.marks import END, transition
from stepwell.definition.authoring.workflow import Workflow
from stepwell.errors import StepwellError, UnknownTransition


class Child(Workflow[int]):
    @transition(target=END)
    async def go(self) -> None: ...


class Parent(Workflow[int, dict[str, int], str]):
    @transition(target=END, wait=True)
    async def done(self) -> None: ...


class Recorder:
    """A context that says what it was asked."""

    args, state, result = 7, {"a": 1}, None
    documents, info, log = "documents", "info", "log"

    async def step(self, name: str, fn: Callable[..., Any], args: tuple[Any, ...], kwargs: dict[str, Any]) -> Any:
        return ("step", name, await fn(*args, **kwargs))

    def transaction(self) -> str:
        return "transaction"

    async def start(self, workflow: Any, args: Any, **options: Any) -> Any:
        return ("start", workflow, args, options)

    async def start_many(self, starts: Any, **options: Any) -> Any:
        return ("start_many", starts, options)

    async def emit(self, name: str, data: Any) -> None:
        self.emitted = (name, data)


@pytest.fixture
def context() -> Recorder:
    return Recorder()


@pytest.fixture
def run(context: Recorder) -> Any:
    instance = Parent()
    instance.__stepwell_bind__(context)  # type: ignore[arg-type]
    return instance


@pytest.mark.parametrize("name", ["args", "state", "result", "documents", "info", "log"])
def test_a_property_is_the_contexts(run: Any, context: Recorder, name: str) -> None:
    assert getattr(run, name) is getattr(context, name)


@pytest.mark.parametrize("name", ["state", "result"])
def test_state_and_result_can_be_set(run: Any, context: Recorder, name: str) -> None:
    setattr(run, name, {"b": 2})
    assert getattr(context, name) == {"b": 2}


@pytest.mark.parametrize("name", ["args", "documents", "info", "log"])
def test_nothing_else_can_be_set(run: Any, name: str) -> None:
    with pytest.raises(AttributeError):
        setattr(run, name, None)


async def test_a_step_passes_all_arguments_on_also_one_called_name(run: Any) -> None:
    async def fn(*args: Any, **kwargs: Any) -> Any:
        return args, kwargs

    assert await run.step("s", fn, 1, name="x", fn=2) == ("step", "s", ((1,), {"name": "x", "fn": 2}))


async def test_the_other_verbs_are_the_contexts(run: Any, context: Recorder) -> None:
    assert run.transaction() == "transaction"
    options = {"until": "each", "max_in_flight": None, "show": "hidden", "callback": None, "on_parent_end": None}
    assert await run.start_many([1]) == ("start_many", [1], {**options, "label": None, "meta": None})
    await run.emit("paid", {"x": 1})
    assert context.emitted == ("paid", {"x": 1})


async def test_a_start_has_the_contracts_defaults(run: Any) -> None:
    assert await run.start(Child, 5) == (
        "start",
        Child,
        5,
        {"callback": None, "show": "inline", "label": None, "meta": None, "on_parent_end": None, "app_name": None},
    )


async def test_a_callback_is_a_signal_transition_of_the_parent(run: Any) -> None:
    assert (await run.start(Child, 5, callback="done"))[3]["callback"] == "done"
    with pytest.raises(UnknownTransition, match=r"Parent has no signal transition 'dnoe' .* \(it has: done\)"):
        await run.start(Child, 5, callback="dnoe")


@pytest.mark.parametrize(
    ("name", "use"),
    [
        ("args", lambda it: it.args),
        ("state", lambda it: it.state),
        ("state", lambda it: setattr(it, "state", {})),
        ("result", lambda it: it.result),
        ("documents", lambda it: it.documents.save(None)),
        ("info", lambda it: it.info.attempt),
        ("log", lambda it: it.log.info("x")),
        ("step", lambda it: it.step("x", int)),
        ("transaction", lambda it: it.transaction()),
        ("start", lambda it: it.start(Child, 1)),
        ("start_many", lambda it: it.start_many([])),
        ("emit", lambda it: it.emit("x")),
    ],
)
async def test_outside_of_a_transition_it_says_when_it_would_work(name: str, use: Callable[[Any], Any]) -> None:
    async def using() -> None:
        value = use(Parent())
        if inspect.isawaitable(value):
            await value

    with pytest.raises(StepwellError, match=f"self.{name} works only while Stepwell executes a transition"):
        await using()


def test_instances_do_not_share_their_context(run: Any) -> None:
    with pytest.raises(StepwellError):
        _ = Parent().state
