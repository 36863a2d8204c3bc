"""`stepwell tokens`: tokens of the API."""

from __future__ import annotations

from stepwell.errors import NotBuilt


def tokens() -> None:
    """Tokens for the API. Not built yet."""
    raise NotBuilt("stepwell tokens (access to the API by token)")
