"""A shop in which something of everything has happened, to be looked at."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC, datetime

import httpx
import storefront
from filling import fill
from sites import Site

from stepwell.testing.webhooks import sign_stripe


@dataclass(frozen=True)
class Window:
    """The server, and the ids of its runs by what became of them."""

    site: Site
    runs: Mapping[str, str]


def dress(site: Site) -> Mapping[str, str]:
    """It has runs in every state, two deliveries of which one failed, a token, and a schedule that was fired."""
    runs = site.wait_for(fill(site.runner))
    headers = {"x-user": "ada", "X-Requested-With": "tests"}
    with httpx.Client(base_url=site.url, headers=headers) as client:
        for event in ({"id": "evt_paid"}, {"id": "evt_stolen", "stolen": True}):
            body = json.dumps(event)
            client.post(
                "/webhooks/payments", content=body, headers=sign_stripe(body, storefront.SECRET, datetime.now(UTC))
            )
        token = {"name": "pipeline", "role": "viewer", "everybody": False}
        client.post("/api/v1/tokens", json=token).raise_for_status()
        client.post("/api/v1/schedules/shop/reminders/fire").raise_for_status()
    return runs
