"""What starts runs besides code: schedules, webhooks and events.

The rules are pure and take the time as an argument: `cron.py` (when a schedule ticks), `due.py` (which ticks fire),
`declare.py` (what an app declares), `verify.py`, `scheme.py` and `signatures.py` (who sent a webhook), `event.py` and
`tick.py`. They may import `errors` and `definition` and nothing else of Stepwell.

What runs is in the others, which may import `runner` and below: `handlers.py` makes handlers into internal workflows,
`binding.py` knows what they are called with, `keyed.py` lets their starts count once, `firing.py` is one look at one
schedule inside a transaction, `scheduler.py` says when to look, `webhooks.py` takes deliveries.
"""

from stepwell.triggers.declare import Schedule, WebhookRoute, cron_schedule, interval_schedule, webhook_route
from stepwell.triggers.event import WebhookEvent
from stepwell.triggers.signatures import (
    github_signature,
    hmac_signature,
    slack_signature,
    standard_webhooks,
    stripe_signature,
)
from stepwell.triggers.tick import Tick
from stepwell.triggers.verify import BadSignature, Delivery, Verifier

__all__ = [
    "BadSignature",
    "Delivery",
    "Schedule",
    "Tick",
    "Verifier",
    "WebhookEvent",
    "WebhookRoute",
    "cron_schedule",
    "github_signature",
    "hmac_signature",
    "interval_schedule",
    "slack_signature",
    "standard_webhooks",
    "stripe_signature",
    "webhook_route",
]
