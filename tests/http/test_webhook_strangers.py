"""A stranger's request calls functions of the application: `challenge=` and a `verify` of its own. None of them is called
on the event loop, without a limit of time, or more than a few times at once.
"""

from __future__ import annotations

import asyncio
import threading
from collections.abc import AsyncIterator, Callable, Mapping
from contextlib import asynccontextmanager
from functools import wraps
from pathlib import Path
from typing import Any

import httpx
import pytest
from fastapi import FastAPI

from stepwell import App, Stepwell, WebhookEvent
from stepwell.errors import BadSignature
from stepwell.triggers import Delivery, github_signature, limited_calls

StepwellOf = Callable[..., Stepwell]
ClientOf = Callable[..., Any]
LIVE = "/api/v1/health/live"
BODY = b"{}"


@pytest.fixture
def database_url(tmp_path: Path) -> str:
    """One kind is enough: nothing here depends on it."""
    return f"sqlite:///{tmp_path / 'stepwell.db'}"


class Slow:
    """Something that hangs in its thread until it is released, and counts its calls."""

    def __init__(self) -> None:
        self.loop = threading.get_ident()
        self.released = threading.Event()
        self.running = self.most = self.calls = 0
        self._lock = threading.Lock()

    def wait(self) -> None:
        assert threading.get_ident() != self.loop, "it runs on the event loop"
        with self._lock:
            self.calls += 1
            self.running += 1
            self.most = max(self.most, self.running)
        assert self.released.wait(120)
        with self._lock:
            self.running -= 1


class Own:
    """A verifier of the application's own."""

    def __init__(self, slow: Slow) -> None:
        self.slow = slow

    def verify(self, headers: Mapping[str, str], body: bytes, now: Any) -> Delivery:
        self.slow.wait()
        if headers.get("x-key") != "right":
            raise BadSignature("another key")
        return Delivery(headers["x-id"])


@asynccontextmanager
async def hooked(
    stepwell_of: StepwellOf, client_of: ClientOf, *, verify: Any = None, challenge: Any = None
) -> AsyncIterator[tuple[httpx.AsyncClient, list[str]]]:
    handled: list[str] = []
    app = App("office")

    @app.webhook("/in", verify=verify or github_signature("s"), name="in", challenge=challenge)
    async def received(event: WebhookEvent) -> None:
        handled.append(event.id)

    stepwell = stepwell_of(app)
    host = FastAPI(lifespan=stepwell.lifespan)
    stepwell.mount(host)
    async with client_of(stepwell, host) as client:
        yield client, handled


async def deliver(client: httpx.AsyncClient, n: int, key: str = "right") -> int:
    return (await client.post("/in", content=BODY, headers={"x-key": key, "x-id": f"d-{n}"})).status_code


async def until(condition: Callable[[], bool]) -> None:
    async with asyncio.timeout(60):
        while not condition():
            await asyncio.sleep(0.01)


@pytest.mark.parametrize("what", ["challenge", "verify"])
async def test_a_slow_function_of_the_application_does_not_block_the_event_loop(
    what: str, stepwell_of: StepwellOf, client_of: ClientOf
) -> None:
    slow = Slow()

    def challenge(request: Any) -> str:
        slow.wait()
        return "yes"

    given: dict[str, Any] = {"challenge": challenge} if what == "challenge" else {"verify": Own(slow)}
    async with hooked(stepwell_of, client_of, **given) as (client, _):
        asked = [client.get("/in") if what == "challenge" else deliver(client, n) for n in range(3)]
        tasks = [asyncio.ensure_future(one) for one in asked]
        await until(lambda: slow.running == 3)
        assert (await client.get(LIVE)).status_code == 200
        slow.released.set()
        answers = await asyncio.gather(*tasks)
        assert [one if isinstance(one, int) else one.status_code for one in answers] == [200] * 3


@pytest.mark.parametrize("what", ["challenge", "verify"])
async def test_functions_that_hang_in_threads_take_only_a_few_of_them_however_many_ask(
    what: str,
    stepwell_of: StepwellOf,
    client_of: ClientOf,
    monkeypatch: pytest.MonkeyPatch,
    caplog: pytest.LogCaptureFixture,
) -> None:
    slow = Slow()

    def challenge(request: Any) -> str:
        slow.wait()
        return "yes"

    given: dict[str, Any] = {"challenge": challenge} if what == "challenge" else {"verify": Own(slow)}
    async with hooked(stepwell_of, client_of, **given) as (client, handled):

        async def ask(n: int) -> httpx.Response:
            headers = {"x-key": "right", "x-id": f"d-{n}"}
            if what == "challenge":
                return await client.get("/in")
            return await client.post("/in", content=BODY, headers=headers)

        first = [asyncio.ensure_future(ask(n)) for n in range(limited_calls.AT_ONCE)]
        await until(lambda: slow.running == limited_calls.AT_ONCE)
        for one in first:
            one.cancel()
        await asyncio.gather(*first, return_exceptions=True)
        with monkeypatch.context() as short:
            short.setattr(limited_calls, "WITHIN", 0.05)
            for answer in await asyncio.gather(*map(ask, range(30))):
                assert (answer.status_code, answer.headers["retry-after"]) == (503, "10")
        assert (slow.calls, slow.running) == (limited_calls.AT_ONCE, limited_calls.AT_ONCE)
        assert "took longer than 0.05 s" in caplog.text
        slow.released.set()
        assert (await ask(99)).status_code == 200
        assert slow.most == limited_calls.AT_ONCE
        assert handled == ([] if what == "challenge" else ["d-99"])


async def test_an_asynchronous_challenge_that_hangs_is_cancelled(
    stepwell_of: StepwellOf, client_of: ClientOf, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(limited_calls, "WITHIN", 0.05)
    ended: list[str] = []

    async def challenge(request: Any) -> str:
        try:
            await asyncio.Event().wait()
        finally:
            ended.append("cancelled")
        return "never"

    async with hooked(stepwell_of, client_of, challenge=challenge) as (client, _):
        for n in range(1, limited_calls.AT_ONCE + 3):
            assert (await client.get("/in")).status_code == 503
            assert len(ended) == n


async def test_a_timeout_of_the_functions_own_is_its_failure_and_no_lack_of_places(
    stepwell_of: StepwellOf, client_of: ClientOf, caplog: pytest.LogCaptureFixture
) -> None:
    def challenge(request: Any) -> str:
        raise TimeoutError("a socket's")

    async with hooked(stepwell_of, client_of, challenge=challenge) as (client, _):
        assert (await client.get("/in")).status_code == 500
    assert "the challenge of webhook 'in' of app 'office' failed: TimeoutError: a socket's" in caplog.text


async def test_many_deliveries_at_once_wait_for_a_verifier_of_ones_own(
    stepwell_of: StepwellOf, client_of: ClientOf
) -> None:
    slow = Slow()
    slow.released.set()
    async with hooked(stepwell_of, client_of, verify=Own(slow)) as (client, handled):
        answers = await asyncio.gather(*(deliver(client, n) for n in range(30)))
        assert answers == [200] * 30
        assert sorted(handled) == sorted(f"d-{n}" for n in range(30))
        assert 0 < slow.most <= limited_calls.AT_ONCE
        assert await deliver(client, 99, "wrong") == 401


async def test_no_more_than_a_number_of_requests_wait_for_a_verifier(
    stepwell_of: StepwellOf, client_of: ClientOf, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(limited_calls, "WAITING", 2)
    monkeypatch.setattr(limited_calls, "WITHIN", 120)
    slow = Slow()
    async with hooked(stepwell_of, client_of, verify=Own(slow)) as (client, handled):
        held = limited_calls.AT_ONCE + 2
        tasks = [asyncio.ensure_future(deliver(client, n)) for n in range(held + 3)]
        await until(lambda: sum(one.done() for one in tasks) == 3)
        assert [one.result() for one in tasks if one.done()] == [503] * 3
        slow.released.set()
        answers = await asyncio.gather(*tasks)
        assert sorted(answers) == [200] * held + [503] * 3
        assert len(handled) == held


# -- the URL that a verifier asks for ---------------------------------------------------------------------------------


class Plain:
    def verify(self, headers: Mapping[str, str], body: bytes, now: Any) -> Delivery:
        return Delivery("plain")


class WithUrl:
    def verify(self, headers: Mapping[str, str], body: bytes, now: Any, url: str) -> Delivery:
        return Delivery(url)


class OnlyByName:
    def verify(self, headers: Mapping[str, str], body: bytes, now: Any, *, url: str = "none") -> Delivery:
        return Delivery(url)


class Passing:
    """A wrapper that passes on whatever it is given."""

    def __init__(self, inner: Any) -> None:
        self.inner = inner

    def verify(self, *args: Any, **kwargs: Any) -> Delivery:
        found: Delivery = self.inner.verify(*args, **kwargs)
        return found


class Wrapping:
    """A wrapper that shows the signature of what it wraps."""

    def __init__(self, inner: Any) -> None:
        @wraps(inner.verify)
        def verify(*args: Any, **kwargs: Any) -> Any:
            return inner.verify(*args, **kwargs)

        self.verify = verify


class Narrow:
    """A wrapper that takes less than what it shows."""

    def __init__(self, inner: Any) -> None:
        @wraps(inner.verify)
        def verify(headers: Any, body: bytes, now: Any) -> Any:
            return inner.verify(headers, body, now, url="its own")

        self.verify = verify


@pytest.mark.parametrize(
    ("verifier", "expected"),
    [
        (Plain(), "plain"),
        (WithUrl(), "http://localhost/in"),
        (OnlyByName(), "http://localhost/in"),
        (Passing(Plain()), "plain"),
        (Passing(OnlyByName()), "none"),
        (Wrapping(Plain()), "plain"),
        (Wrapping(WithUrl()), "http://localhost/in"),
        (Narrow(WithUrl()), "its own"),
    ],
    ids=["plain", "url", "by name", "passing", "passing by name", "wrapping", "wrapping url", "narrow"],
)
async def test_a_verifier_is_given_the_url_only_where_it_declares_it(
    verifier: Any, expected: str, stepwell_of: StepwellOf, client_of: ClientOf
) -> None:
    async with hooked(stepwell_of, client_of, verify=verifier) as (client, handled):
        assert (await client.post("/in", content=BODY)).status_code == 200
        assert handled == [expected]
