"""How processes hear of what others commit, by the database that they share."""

from __future__ import annotations

from typing import Protocol

from stepwell.events.local import Hub
from stepwell.store.store import Store
from stepwell.store.tx import Hints


class Watcher(Protocol):
    """Tells others, and publishes to the hub what they tell. Both may lose something."""

    async def run(self) -> None:
        """Works until it is cancelled."""
        ...

    def tell(self, hints: Hints) -> None:
        """Others hear soon of what was committed. Never waits."""
        ...


def watcher(store: Store, hub: Hub) -> Watcher:
    """The one that the store's database makes possible."""
    if store.reports_commits:
        from stepwell.events.postgres import Listener
        from stepwell.store.postgres_store import PostgresStore

        assert isinstance(store, PostgresStore)
        return Listener(store, hub)
    from stepwell.events.pulse import Pulse
    from stepwell.store.sqlite_store import SqliteStore

    assert isinstance(store, SqliteStore)
    return Pulse(store, hub)
