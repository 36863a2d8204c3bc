"""How a process hears of what others commit, by the database that they share."""

from __future__ import annotations

from collections.abc import Callable, Coroutine
from typing import Any

from stepwell.events.local import Hub
from stepwell.store.store import Store


def watcher(store: Store, hub: Hub) -> Callable[[], Coroutine[Any, Any, None]]:
    """The duty that publishes to the hub what other processes do."""
    if store.reports_commits:
        from stepwell.events.postgres import Listener
        from stepwell.store.postgres_store import PostgresStore

        assert isinstance(store, PostgresStore)
        return Listener(store, hub).run
    from stepwell.events.pulse import Pulse
    from stepwell.store.sqlite_store import SqliteStore

    assert isinstance(store, SqliteStore)
    return Pulse(store, hub).run
