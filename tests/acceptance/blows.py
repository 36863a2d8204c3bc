"""What is done to a scene, one thing at a time. Each is over, and work goes on, when its function returns."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Sequence
from random import Random
from typing import Any, NamedTuple, TypeVar

import asyncpg

from acceptance.scene import DATABASE, FULL, USER, Scene, rest
from servers.loop import LoopThread
from servers.sql import Sql

T = TypeVar("T")


class Blow(NamedTuple):
    """The numbers that a fault is made of, from 0 to 1; all of them drawn, whatever the fault takes of them."""

    gap: float
    who: float
    how: float
    size: float

    @classmethod
    def drawn(cls, chance: Random) -> Blow:
        return cls(*(chance.random() for _ in cls._fields))


_HANGS = "SELECT count(*) FROM pg_stat_activity WHERE wait_event='SyncRep'"
_LET_GO = "SELECT pg_cancel_backend(pid) FROM pg_stat_activity WHERE wait_event='SyncRep'"
Strike = Callable[[Scene, Blow], None]


def chosen(among: Sequence[T], number: float) -> T:
    """One of them."""
    return among[int(number * len(among))]


# -- processes -------------------------------------------------------------------------------------------------------------


def kill(scene: Scene, blow: Blow) -> None:
    """A process is killed, and replaced."""
    scene.load.kill(chosen([*scene.load.workers, *scene.load.workers, "client"], blow.who))


def freeze(scene: Scene, blow: Blow) -> None:
    """A worker stands still for one lease and a half to three; then it goes on, and nobody waits for it."""
    role = chosen(scene.load.workers, blow.who)
    scene.load.cast[role].freeze()
    with scene.load.absent(role):
        scene.load.watch(scene.load.lease * (1.5 + 1.5 * blow.size))
    scene.load.cast[role].thaw()


# -- the database ----------------------------------------------------------------------------------------------------------


def restart(scene: Scene, blow: Blow) -> None:
    """The server is restarted, with or without a checkpoint."""
    scene.server.restart(chosen(["fast", "immediate"], blow.how))
    scene.goes_on()


def crash(scene: Scene, blow: Blow) -> None:
    """The server is killed, and is back after up to two seconds."""
    scene.server.kill()
    rest(2.0 * blow.size)
    scene.server.start()
    scene.goes_on()


def blackout(scene: Scene, blow: Blow) -> None:
    """Everything is killed, the server last; then everything starts, the server last."""
    for role in scene.load.cast:
        scene.load.end(role)
    scene.server.kill()
    for role in scene.load.cast:
        scene.load.start(role)
    rest(2.0 * blow.size)
    scene.server.start()
    scene.goes_on()


def pause(scene: Scene, blow: Blow) -> None:
    """The server stands still for up to two leases and a half, with all connections open."""
    scene.server.pause()
    rest(2.5 * scene.load.lease * blow.size)
    scene.server.resume()
    scene.goes_on()


def starve(scene: Scene, blow: Blow) -> None:
    """Somebody has all connections that there are, for one to four seconds, and everybody else has lost theirs."""
    eater = LoopThread("eater")
    try:
        eater.call(_eat(scene, 1.0 + 3.0 * blow.size))
    finally:
        eater.close()
    scene.goes_on()


async def _eat(scene: Scene, seconds: float) -> None:
    loop = asyncio.get_running_loop()
    until = loop.time() + seconds
    eaten: list[Any] = []
    url = scene.server.url("postgres").replace("postgres@", f"{USER}@")
    refused = 0
    try:
        while loop.time() < until:
            try:
                eaten.append(await asyncpg.connect(url, timeout=60))
            except asyncpg.TooManyConnectionsError:
                refused += 1
                if refused == 1:
                    await asyncio.to_thread(_evict, scene)
                await asyncio.sleep(0.01)
    finally:
        for connection in eaten:
            connection.terminate()
    assert refused > 1, "the server had connections left"


def _evict(scene: Scene) -> None:
    scene.server.sql.execute(
        f"SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE usename='{USER}' AND datname <> 'postgres'"
    )


def fill(scene: Scene, blow: Blow) -> None:
    """The server's disk is full until it has felt it, and for up to three seconds more. It may break down over it."""
    before = scene.server.log.read_text().count(FULL)
    with scene.server.full():
        scene.load.wait(lambda: scene.server.log.read_text().count(FULL) > before, "the disk is full")
        rest(3.0 * blow.size)
    if not scene.server.running():
        scene.server.start()
    scene.server.wait_ready()
    scene.goes_on()


def hold(scene: Scene, blow: Blow) -> None:
    """Somebody has locked the rows of up to 40 runs for one to four seconds."""
    holder = Sql(scene.server.url(DATABASE))
    holder.execute("BEGIN")
    held = holder.read("SELECT id FROM stepwell_runs WHERE finished_at IS NULL LIMIT 40 FOR UPDATE SKIP LOCKED")
    scene.load.watch(1.0 + 3.0 * blow.size)
    holder.execute("ROLLBACK")
    holder.close()
    assert held
    scene.goes_on()


def hush(scene: Scene, blow: Blow) -> None:
    """Somebody's COMMIT with a NOTIFY hangs for one to four seconds, in another database: no other can be made meanwhile."""
    hanging = LoopThread("hanging")
    try:
        task = asyncio.run_coroutine_threadsafe(_hang(scene.server.root), hanging.loop)
        scene.load.wait(lambda: scene.server.sql.read(_HANGS)[0][0], "a COMMIT hangs")
        scene.load.watch(1.0 + 3.0 * blow.size)
        scene.server.sql.read(_LET_GO)
        task.result(60)
    finally:
        hanging.close()
    scene.goes_on()


async def _hang(url: str) -> None:
    connection = await asyncpg.connect(url)
    # The server waits for a standby that there isn't, with the lock that NOTIFY takes in every COMMIT.
    await connection.execute("SET synchronous_commit=on; BEGIN; CREATE TABLE IF NOT EXISTS hush (n int);"
                             "INSERT INTO hush VALUES (1); NOTIFY hush; COMMIT")  # fmt: skip
    await connection.close()


# -- the network -----------------------------------------------------------------------------------------------------------


def cut(scene: Scene, blow: Blow) -> None:
    """Between one process and the server nothing goes through, for up to two leases and a half; then the rest does."""
    role = chosen(sorted(scene.proxies), blow.who)
    scene.proxies[role].drop()
    with scene.load.absent(role):
        scene.load.watch(2.5 * scene.load.lease * blow.size)
    scene.proxies[role].passes()


def lose(scene: Scene, blow: Blow) -> None:
    """As `cut`, and what was under way is lost: the connections are reset when the network is back."""
    role = chosen(sorted(scene.proxies), blow.who)
    scene.proxies[role].drop()
    with scene.load.absent(role):
        scene.load.watch(2.5 * scene.load.lease * blow.size)
    scene.proxies[role].reset()
    scene.proxies[role].passes()


def deafen(scene: Scene, blow: Blow) -> None:
    """What one process says to the server arrives, and the answers are lost: every commit of that moment is in doubt."""
    proxy = scene.proxies[chosen(sorted(scene.proxies), blow.who)]
    proxy.deafen()
    scene.load.watch(0.05 + 0.75 * scene.load.lease * blow.size)
    proxy.reset()
    proxy.passes()


def slow(scene: Scene, blow: Blow) -> None:
    """Everything between one process and the server takes 50 to 300 ms, for three seconds."""
    proxy = scene.proxies[chosen(sorted(scene.proxies), blow.who)]
    proxy.delay(0.05 + 0.25 * blow.size)
    scene.load.watch(3.0)
    proxy.passes()


def reset(scene: Scene, blow: Blow) -> None:
    """The connections of one process are reset; half the time new ones are refused for up to a lease and a half."""
    proxy = scene.proxies[chosen(sorted(scene.proxies), blow.who)]
    refuse = blow.how < 0.5
    proxy.reset(refuse=refuse)
    if refuse:
        scene.load.watch(1.5 * scene.load.lease * blow.size)
        proxy.passes()


# -- Redis -----------------------------------------------------------------------------------------------------------------


def forget(scene: Scene, blow: Blow) -> None:
    """Redis holds nothing any more."""
    assert scene.valkey is not None
    scene.valkey.flush()
    scene.goes_on()


def lose_queue(scene: Scene, blow: Blow) -> None:
    """Redis is killed, is away for up to three seconds, and comes back empty. Work goes on meanwhile."""
    assert scene.valkey is not None
    scene.valkey.kill()
    scene.goes_on()
    scene.load.watch(3.0 * blow.size)
    scene.valkey.start()
    scene.goes_on()


def hang_queue(scene: Scene, blow: Blow) -> None:
    """Redis answers nobody for one to four seconds. Work goes on meanwhile."""
    assert scene.valkey is not None
    scene.valkey.pause()
    scene.goes_on()
    scene.load.watch(1.0 + 3.0 * blow.size)
    scene.valkey.resume()
    scene.goes_on()
