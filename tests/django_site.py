"""Django, configured for the tests of this process, and a connection of its own to the database of a test."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any
from urllib.parse import urlsplit

import django
from django.conf import settings
from django.db import connections

from backends import Database

if not settings.configured:
    settings.configure(DATABASES={"default": {"ENGINE": "django.db.backends.sqlite3", "NAME": ":memory:"}}, USE_TZ=True)
    django.setup()


def configured(url: str) -> dict[str, Any]:
    """The entry of `DATABASES` for this database."""
    parts = urlsplit(url)
    if parts.scheme == "sqlite":
        return {"ENGINE": "django.db.backends.sqlite3", "NAME": parts.path.removeprefix("/")}
    return {
        "ENGINE": "django.db.backends.postgresql",
        "NAME": parts.path.removeprefix("/"),
        "USER": parts.username,
        "PASSWORD": parts.password,
        "HOST": parts.hostname,
        "PORT": parts.port,
    }


@contextmanager
def django_on(database: Database, **more: Any) -> Iterator[Any]:
    """A connection of Django's, as an application has it for an alias of `DATABASES`."""
    every = connections.configure_settings({"default": {}, "shop": {**configured(database.url), **more}})
    connections.settings["shop"] = every["shop"]
    try:
        yield connections["shop"]
    finally:
        connections["shop"].close()
        del connections["shop"], connections.settings["shop"]
