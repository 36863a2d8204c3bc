"""The network breaks as it is told to, and the pooler loses a session."""

from __future__ import annotations

import socket
import time
from collections.abc import Iterator

import asyncpg
import pytest

from servers.pooler import TransactionPooler
from servers.postgres import PostgresServer
from servers.proxy import TcpProxy
from servers.sql import Sql

# -- the network -----------------------------------------------------------------------------------------------------------


@pytest.fixture
def proxy(own: PostgresServer) -> Iterator[TcpProxy]:
    with TcpProxy(own.port) as proxy:
        yield proxy


@pytest.fixture
def through(proxy: TcpProxy) -> Iterator[Sql]:
    sql = Sql(f"postgresql://postgres@127.0.0.1:{proxy.port}/postgres", connect_seconds=60, seconds=60)
    yield sql
    sql.close()


def test_the_proxy_passes_much_both_ways(through: Sql) -> None:
    text = "x" * 5_000_000
    assert through.read("SELECT $1 || 'y'", text) == [(text + "y",)]


def test_the_proxy_delays_each_direction(proxy: TcpProxy, through: Sql) -> None:
    through.read("SELECT 1")
    proxy.delay(0.1)
    began = time.monotonic()
    through.execute("SELECT 1")
    assert time.monotonic() - began >= 0.2
    proxy.delay(600)
    proxy.passes()
    through.execute("SELECT 1")


def test_the_proxy_swallows_and_keeps_connections_open(proxy: TcpProxy, through: Sql) -> None:
    through.read("SELECT 1")
    backend = through.read("SELECT pg_backend_pid()")
    proxy.drop()
    fresh = Sql(through.url, connect_seconds=0.3)
    with pytest.raises(TimeoutError):
        fresh.read("SELECT 1")
    fresh.close()
    assert proxy.connections == 1
    proxy.passes()
    assert through.read("SELECT pg_backend_pid()") == backend


def test_the_proxy_loses_answers(proxy: TcpProxy, through: Sql, numbers: Sql) -> None:
    hasty = Sql(through.url, connect_seconds=60)
    hasty.read("SELECT 1")
    hasty._seconds = 1
    proxy.deafen()
    with pytest.raises(TimeoutError):
        hasty.execute("INSERT INTO numbers VALUES (1)")
    deadline = time.monotonic() + 60
    while not numbers.read("SELECT n FROM numbers"):
        assert time.monotonic() < deadline
        time.sleep(0.01)
    proxy.passes()
    hasty.close()
    assert through.read("SELECT n FROM numbers") == [(1,)]


def test_the_proxy_resets_and_refuses(proxy: TcpProxy, through: Sql) -> None:
    through.read("SELECT 1")
    with socket.create_connection(("127.0.0.1", proxy.port)) as plain:
        while proxy.accepted < 2:
            time.sleep(0.001)
        proxy.reset()
        with pytest.raises(ConnectionResetError):
            plain.recv(1)
    through.disconnect()
    assert through.read("SELECT 1") == [(1,)]
    proxy.reset(refuse=True)
    through.disconnect()
    with pytest.raises(ConnectionRefusedError):
        through.read("SELECT 1")
    proxy.passes()
    assert through.read("SELECT 1") == [(1,)]


def test_the_proxy_passes_a_servers_last_words(own: PostgresServer) -> None:
    with TcpProxy(own.port) as proxy:
        sql = Sql(f"postgresql://postgres@127.0.0.1:{proxy.port}/nowhere")
        with pytest.raises(asyncpg.InvalidCatalogNameError):
            sql.read("SELECT 1")
        sql.close()


# -- the pooler ------------------------------------------------------------------------------------------------------------


@pytest.fixture
def pooler(own: PostgresServer) -> Iterator[TransactionPooler]:
    with TransactionPooler(own.root, size=2) as pooler:
        yield pooler


async def test_the_pooler_gives_each_transaction_a_connection(pooler: TransactionPooler) -> None:
    clients = [await asyncpg.connect(pooler.url("postgres"), statement_cache_size=0) for _ in range(20)]
    seen = set()
    for client in clients:
        async with client.transaction():
            first = await client.fetchval("SELECT pg_backend_pid()")
            assert await client.fetchval("SELECT pg_backend_pid()") == first
            seen.add(first)
    assert len(seen) == pooler.most == 2
    for client in clients:
        await client.close()


async def test_the_pooler_makes_whoever_is_too_many_wait(pooler: TransactionPooler) -> None:
    one, two, three = [await asyncpg.connect(pooler.url("postgres"), statement_cache_size=0) for _ in range(3)]
    async with one.transaction(), two.transaction():
        await one.execute("SELECT 1")
        await two.execute("SELECT 1")
        with pytest.raises(TimeoutError):
            await three.fetchval("SELECT 1", timeout=0.2)
    three.terminate()
    four = await asyncpg.connect(pooler.url("postgres"), statement_cache_size=0)
    assert await four.fetchval("SELECT 1") == 1
    for client in (one, two, four):
        await client.close()


async def test_the_pooler_loses_the_session(pooler: TransactionPooler) -> None:
    """What was SET, listened to, or prepared under a name isn't there in the next transaction."""
    client = await asyncpg.connect(pooler.url("postgres"), statement_cache_size=0)
    heard: list[str] = []
    await client.execute("SET search_path = nowhere")
    assert await client.fetchval("SHOW search_path") != "nowhere"
    await client.add_listener("bell", lambda *call: heard.append(call[-1]))
    await client.execute("NOTIFY bell, 'a'")
    named = await client.prepare("SELECT 1", name="mine")
    assert await named.fetchval() == 1  # asyncpg prepares and first executes in one go
    with pytest.raises(asyncpg.InvalidSQLStatementNameError):
        await named.fetchval()
    client.terminate()
    assert len(heard) < 2


async def test_the_pooler_rolls_back_what_a_client_leaves(own: PostgresServer, pooler: TransactionPooler) -> None:
    own.sql.execute("DROP TABLE IF EXISTS left_over; CREATE TABLE left_over (n int)")
    client = await asyncpg.connect(pooler.url("postgres"), statement_cache_size=0)
    await client.execute("BEGIN")
    await client.execute("INSERT INTO left_over VALUES (1)")
    client.terminate()
    other = await asyncpg.connect(pooler.url("postgres"), statement_cache_size=0)
    for _ in range(4):
        await other.execute("INSERT INTO left_over VALUES (2)")
    assert {row["n"] for row in await other.fetch("SELECT n FROM left_over")} == {2}
    with pytest.raises(asyncpg.ProtocolViolationError, match="unsupported startup parameter"):
        await asyncpg.connect(pooler.url("postgres"), server_settings={"search_path": "x"})
    await other.close()
