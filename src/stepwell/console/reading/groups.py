"""Groups of children as a reader may see them: those of visible apps."""

from __future__ import annotations

from stepwell.console.reading.views import Reading
from stepwell.errors import GroupNotFound
from stepwell.runner.groups import GroupProgress
from stepwell.store import groups


class VisibleGroups(Reading):
    """The groups of visible apps."""

    async def progress(self, group_id: str) -> GroupProgress:
        """Return how far a group is. Raises GroupNotFound, also for a group that isn't visible."""
        progress = await self.reader.group(group_id)
        row = await self.reader.read(lambda tx: groups.load(tx, progress.group_id))
        if row is None or not self._sees(row.app_name):
            raise GroupNotFound(f"No group {group_id!r}.")
        return progress
