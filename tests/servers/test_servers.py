"""The servers do what the tests rely on: they recover, stand still, break the network, and lose a session."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import psutil
import pytest
import redis

from servers.databases import Databases
from servers.keeper import NoDisk
from servers.postgres import Postgres, PostgresServer
from servers.sql import FAILURES, Sql
from servers.valkey import Valkey, ValkeyServer


@pytest.fixture(scope="module")
def databases(postgres_server: Postgres) -> Iterator[Databases]:
    opened = Databases(postgres_server, _prepare, name="servers")
    yield opened
    opened.close()


def test_committed_rows_outlive_a_kill(own: PostgresServer, numbers: Sql) -> None:
    numbers.execute("INSERT INTO numbers VALUES (1)")
    numbers.execute("BEGIN")
    numbers.execute("INSERT INTO numbers VALUES (2)")
    before = own.pid
    own.kill()
    assert not own.running()
    with pytest.raises(FAILURES):
        numbers.read("SELECT 1")
    own.start()
    assert own.pid != before
    assert numbers.read("SELECT n FROM numbers") == [(1,)]


@pytest.mark.parametrize("mode", ["fast", "immediate"])
def test_committed_rows_outlive_a_restart(own: PostgresServer, numbers: Sql, mode: str) -> None:
    numbers.execute("INSERT INTO numbers VALUES (1)")
    own.restart(mode)
    numbers.disconnect()
    assert numbers.read("SELECT n FROM numbers") == [(1,)]


def test_a_paused_server_answers_nobody_until_it_goes_on(own: PostgresServer, numbers: Sql) -> None:
    numbers.read("SELECT 1")
    own.pause()
    hasty = Sql(own.root, seconds=0.3)
    hasty._connection, hasty._thread = numbers._connection, numbers._thread
    with pytest.raises(TimeoutError):
        hasty.read("SELECT 1")
    own.resume()
    numbers.disconnect()
    assert numbers.read("SELECT 1") == [(1,)]


def test_settings_are_the_servers(own: PostgresServer) -> None:
    assert own.sql.read("SELECT current_setting('fsync'), current_setting('max_connections')") == [("on", "200")]
    assert own.version() == 18
    with PostgresServer({"max_connections": 20, "superuser_reserved_connections": 2}, version=16) as small:
        assert small.version() == 16
        assert small.sql.read("SHOW max_connections") == [("20",)]


def test_a_database_is_a_copy_of_its_template(postgres_server: Postgres) -> None:
    name = f"servers_{os.getpid()}"
    template = Sql(postgres_server.create_database(name))
    template.execute("CREATE TABLE kept (n int); INSERT INTO kept VALUES (7)")
    template.close()
    copy = Sql(postgres_server.create_database(f"{name}_copy", name))
    assert copy.read("SELECT n FROM kept") == [(7,)]
    postgres_server.drop_database(f"{name}_copy")
    with pytest.raises(FAILURES):
        copy.read("SELECT n FROM kept")
    copy.close()
    postgres_server.drop_database(name)


def _prepare(url: str) -> None:
    sql = Sql(url)
    sql.execute(
        "CREATE TABLE parents (n int PRIMARY KEY); CREATE TABLE children (n int REFERENCES parents, id serial);"
        "CREATE TABLE version (n int); INSERT INTO version VALUES (1); CREATE SCHEMA other; CREATE TABLE other.rows (a text);"
        "CREATE INDEX rows_a ON other.rows (a)"
    )
    sql.close()


@pytest.mark.parametrize(
    ("deed", "again"),
    [
        ("INSERT INTO parents VALUES (1); INSERT INTO children VALUES (1); INSERT INTO other.rows VALUES ('a')", True),
        ("SELECT 1", True),
        ("UPDATE version SET n=2", False),
        ("CREATE TABLE more (n int)", False),
        ("ALTER TABLE parents ADD m text", False),
        ("DROP INDEX other.rows_a; CREATE INDEX rows_a ON other.rows (a) WHERE a <> ''", False),
        ("DROP SCHEMA other CASCADE", False),
    ],
)
def test_a_database_that_was_used_is_given_to_the_next_as_it_was(databases: Databases, deed: str, again: bool) -> None:
    url = databases.take()
    other = databases.take()
    assert other != url
    databases.give_back(other)
    left_open = Sql(url)
    left_open.execute(deed)
    databases.give_back(url)
    with pytest.raises(FAILURES):
        left_open._thread.call(left_open._connection.fetch("SELECT 1"))  # type: ignore[union-attr]
    left_open.close()
    following = databases.take()
    assert (following == url) is again
    fresh = Sql(following)
    counts = "SELECT (SELECT count(*) FROM parents), (SELECT count(*) FROM other.rows), (SELECT n FROM version)"
    assert fresh.read(counts) == [(0, 0, 1)]
    fresh.execute("INSERT INTO parents VALUES (1); INSERT INTO children VALUES (1)")
    assert fresh.read("SELECT n, id FROM children") == [(1, 1)]
    fresh.close()
    databases.give_back(following)


_RUN = """
import sys, time
from pathlib import Path
from servers.shared import shared_postgres
from servers.valkey import ValkeyServer
with shared_postgres(Path(sys.argv[1])) as server, ValkeyServer() as valkey:
    print(server.root, server.sql.read("SELECT pg_backend_pid()")[0][0], valkey.pid, flush=True)
    sys.stdin.readline()
"""


def test_no_server_outlives_its_users_however_they_end(tmp_path: Path) -> None:
    """Two processes share a PostgreSQL; it lives until the second one is killed."""
    environment = {name: value for name, value in os.environ.items() if not name.startswith("STEPWELL_TEST_POSTGRES")}
    users = [
        subprocess.Popen(
            [sys.executable, "-c", _RUN, str(tmp_path)],
            cwd=Path(__file__).parents[1],
            env=environment,
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
        )
        for _ in range(2)
    ]
    found = [user.stdout.readline().split() for user in users if user.stdout]
    assert found[0][0] == found[1][0]
    backends = [psutil.Process(int(backend)) for _, backend, _ in found]
    postmaster = backends[0].parent()
    assert postmaster is not None
    valkeys = [psutil.Process(int(pid)) for _, _, pid in found]
    users[0].send_signal(signal.SIGKILL)
    users[0].communicate()
    assert psutil.wait_procs([valkeys[0], backends[0]], timeout=60)[1] == []
    assert postmaster.is_running()
    users[1].send_signal(signal.SIGKILL)
    users[1].communicate()
    assert psutil.wait_procs([postmaster, *valkeys], timeout=60)[1] == []


# -- Valkey ----------------------------------------------------------------------------------------------------------------


def test_valkey_is_emptied_killed_and_paused() -> None:
    with (
        ValkeyServer() as server,
        redis.Redis.from_url(server.url) as client,
        redis.Redis.from_url(server.url, socket_timeout=0.5) as hasty,
    ):
        client.set("a", 1)
        server.flush()
        assert client.get("a") is None
        client.set("a", 1)
        server.kill()
        with pytest.raises(redis.ConnectionError):
            client.get("a")
        server.start()
        assert client.get("a") is None
        server.pause()
        with pytest.raises(redis.TimeoutError):
            hasty.get("a")
        server.resume()
        assert client.get("a") is None
        server.stop()
        assert not server.running()


def test_a_persistent_valkey_keeps_what_it_has_acknowledged() -> None:
    with ValkeyServer(persistent=True) as server, redis.Redis.from_url(server.url) as client:
        client.set("a", 1)
        server.restart()
        assert client.get("a") == b"1"


def test_the_valkey_of_the_run_is_there(valkey_server: Valkey) -> None:
    with redis.Redis.from_url(valkey_server.url) as client:
        client.set("a", 1)
        valkey_server.flush()
        assert client.get("a") is None


def test_a_server_on_a_full_disk_works_again_once_there_is_room() -> None:
    """It refuses what it can't store, or breaks down; what it has acknowledged is there afterwards."""
    try:
        server = PostgresServer({"max_wal_size": "16MB", "min_wal_size": "2MB"}, disk_mib=128)
    except NoDisk as error:
        pytest.skip(f"a disk of one's own: {error}")
    with server:
        sql = Sql(server.root)
        sql.execute("CREATE TABLE texts (n int)")
        before = _insert(sql, 20)
        with server.full():
            meanwhile = _insert(sql, 10_000)
        assert before == 20
        assert meanwhile < 10_000
        sql.disconnect()
        if not server.running():
            server.start()
        server.wait_ready()
        # One may have been stored without an answer.
        assert sql.read("SELECT count(DISTINCT n) FROM texts")[0][0] - before - meanwhile in (0, 1)
        assert _insert(sql, 1) == 1
        sql.close()
    assert not server.keeper.folder.exists()


def _insert(sql: Sql, times: int) -> int:
    """How often it was acknowledged, until it is refused."""
    for done in range(times):
        try:
            sql.execute(
                "INSERT INTO texts SELECT (SELECT coalesce(max(n), 0) + 1 FROM texts) FROM generate_series(1, 5000)"
            )
        except FAILURES:
            return done
    return times
