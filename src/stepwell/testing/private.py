"""Settings of a database of one's own."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from pydantic_settings import BaseSettings, PydanticBaseSettingsSource

from stepwell.settings import Settings


class Hermetic(Settings):
    """Settings that no variable and no `.env` of the machine can change."""

    @classmethod
    def settings_customise_sources(
        cls, settings_cls: type[BaseSettings], init_settings: PydanticBaseSettingsSource, *_: Any, **__: Any
    ) -> tuple[PydanticBaseSettingsSource, ...]:
        return (init_settings,)


def private(settings: Settings | None, folder: Path, **changes: Any) -> Settings:
    """Settings on a file of their own in `folder`; what a test leaves executing isn't waited for when it closes."""
    file = f"sqlite+aiosqlite:///{folder / 'stepwell.db'}"
    alone = {"database_url": file, "database_schema": None, "transaction_pooler": False, "queue_url": None}
    changes = {**alone, "drain_seconds": 0.0, **changes}
    return Hermetic(**changes) if settings is None else settings.model_copy(update=changes)
