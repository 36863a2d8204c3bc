"""Triggers that start runs besides code: schedules and webhooks.

Events that code emits are in `execution/emission.py` and `engine/matching.py`.

The rules are pure: `declare.py` (what an app declares), `signatures.py` and `senders.py` (who sent a webhook),
`challenges.py` (who tests its address), `events.py` and `forms.py` (what a handler is given), and `answers.py` (what it
returns). They may import `errors`, `nearest` and `definition`, and nothing else of Stepwell. When a schedule ticks, and
which ticks fire, is in `definition/schedules/`.

The other modules do the work, and may import `runner` and what `runner` may import: `handlers.py` makes handlers into
internal workflows and knows what they are called with, `handler_runner.py` lets their starts count once, `firing.py` is
one look at one schedule inside a transaction, `scheduler.py` says when to look, `made_firing.py` and
`made_scheduler.py` do both for schedules that are made at run time (`runner/schedules.py`), `webhooks.py` takes
deliveries, with `bodies.py` (how much is read) and `taking.py` (whether a delivery is new).
Rules are cited by their numbers in docs/rules.md.
"""

from stepwell.triggers.answers import WebhookResponse
from stepwell.triggers.challenges import Challenge, ChallengeAnswer, meta_challenge
from stepwell.triggers.declare import DeclaredSchedule, WebhookRoute, cron_schedule, interval_schedule, webhook_route
from stepwell.triggers.events import Tick, WebhookEvent
from stepwell.triggers.forms import FormFields
from stepwell.triggers.senders import (
    github_signature,
    hmac_signature,
    shopify_signature,
    slack_signature,
    standard_webhooks,
    stripe_signature,
    twilio_signature,
)
from stepwell.triggers.signatures import BadSignature, Delivery, UrlVerifier, Verifier

__all__ = [
    "BadSignature",
    "Challenge",
    "ChallengeAnswer",
    "DeclaredSchedule",
    "Delivery",
    "FormFields",
    "Tick",
    "UrlVerifier",
    "Verifier",
    "WebhookEvent",
    "WebhookResponse",
    "WebhookRoute",
    "cron_schedule",
    "github_signature",
    "hmac_signature",
    "interval_schedule",
    "meta_challenge",
    "shopify_signature",
    "slack_signature",
    "standard_webhooks",
    "stripe_signature",
    "twilio_signature",
    "webhook_route",
]
