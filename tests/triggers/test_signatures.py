"""Who sent a webhook: what the senders' own documents and libraries sign is accepted, all else is refused."""

from __future__ import annotations

import json
from base64 import b64encode
from collections.abc import Callable
from datetime import UTC, datetime, timedelta

import pytest
import standardwebhooks
import stripe

from stepwell.errors import DefinitionError, StepwellError
from stepwell.testing.webhooks import sign_github, sign_hmac, sign_slack, sign_standard, sign_stripe
from stepwell.triggers import (
    BadSignature,
    Verifier,
    github_signature,
    hmac_signature,
    slack_signature,
    standard_webhooks,
    stripe_signature,
)

NOW = datetime(2026, 1, 5, 12, tzinfo=UTC)
MINUTE = timedelta(minutes=1)
BODY = b'{"id": "evt_1", "event_id": "Ev1", "type": "paid"}'
SECRET = "whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw"
OTHER = "whsec_" + b64encode(b"another secret of this size").decode()

Preset = Callable[..., Verifier]
Sign = Callable[[bytes, str, datetime], dict[str, str]]

STAMPED = {"timestamp_header": "X-Time"}
SCHEMES: dict[str, tuple[Preset, Sign]] = {
    "stripe": (stripe_signature, sign_stripe),
    "github": (github_signature, lambda body, secret, at: sign_github(body, secret, delivery="d-1")),
    "slack": (slack_signature, sign_slack),
    "standard": (standard_webhooks, lambda body, secret, at: sign_standard(body, secret, at, delivery="msg_1")),
    "hmac": (
        lambda secret, **window: hmac_signature(secret, **STAMPED, **window),  # type: ignore[arg-type]
        lambda body, secret, at: sign_hmac(body, secret, at, timestamp_header="X-Time"),
    ),
}
STAMPING = [name for name in SCHEMES if name != "github"]
each_scheme = pytest.mark.parametrize("scheme", SCHEMES)
each_stamping = pytest.mark.parametrize("scheme", STAMPING)

SLACK_BODY = (
    b"token=xyzz0WbapA4vBCDEFasx0q6G&team_id=T1DC2JH3J&team_domain=testteamnow&channel_id=G8PSS9T3V"
    b"&channel_name=foobar&user_id=U2CERLKJA&user_name=roadrunner&command=%2Fwebhook-collect&text="
    b"&response_url=https%3A%2F%2Fhooks.slack.com%2Fcommands%2FT1DC2JH3J%2F397700885554%2F96rGlfmibIGlgcZRskXaIFfN"
    b"&trigger_id=398738663015.47445629121.803a0bc887a14d10d2c447fce8b6703c"
)


def refused(verifier: Verifier, headers: dict[str, str], body: bytes = BODY, now: datetime = NOW) -> str:
    with pytest.raises(BadSignature) as caught:
        verifier.verify(headers, body, now)
    return str(caught.value)


@each_scheme
def test_a_signed_request_is_accepted_whatever_the_case_of_its_headers(scheme: str) -> None:
    preset, sign = SCHEMES[scheme]
    headers = sign(BODY, SECRET, NOW)
    for variant in (headers, {k.lower(): v for k, v in headers.items()}, {k.upper(): v for k, v in headers.items()}):
        assert preset(SECRET).verify(variant, BODY, NOW).id


@each_scheme
def test_another_secret_or_another_body_is_refused(scheme: str) -> None:
    preset, sign = SCHEMES[scheme]
    assert "no signature matches" in refused(preset(SECRET), sign(BODY, OTHER, NOW))
    for changed in (BODY + b" ", BODY[:-1], b"", BODY.replace(b"paid", b"Paid"), b"\xff" + BODY):
        assert "no signature matches" in refused(preset(SECRET), sign(BODY, SECRET, NOW), changed)


@each_scheme
def test_while_secrets_are_rotated_any_of_them_is_accepted(scheme: str) -> None:
    preset, sign = SCHEMES[scheme]
    rotating = preset([OTHER, SECRET])
    for secret in (SECRET, OTHER):
        rotating.verify(sign(BODY, secret, NOW), BODY, NOW)
    refused(preset([OTHER]), sign(BODY, SECRET, NOW))


@each_scheme
def test_a_missing_or_malformed_header_is_refused(scheme: str) -> None:
    preset, sign = SCHEMES[scheme]
    headers = sign(BODY, SECRET, NOW)
    signed = [name for name in headers if name not in ("X-GitHub-Event", "X-GitHub-Delivery")]
    for name in signed:
        refused(preset(SECRET), {key: value for key, value in headers.items() if key != name})
        for value in (
            "",
            " ",
            "=",
            ",",
            "v1",
            "v1,",
            "sha256=",
            "t=,v1=",
            "t=x,v1=y",
            "é\udcff",
            "v0=" + "0" * 64,
            "1" * 99,
        ):
            refused(preset(SECRET), {**headers, name: value})
    refused(preset(SECRET), {})


@each_stamping
def test_the_replay_window_is_open_in_both_directions_and_no_further(scheme: str) -> None:
    preset, sign = SCHEMES[scheme]
    headers = sign(BODY, SECRET, NOW)
    for age in (-5 * MINUTE, timedelta(0), 5 * MINUTE):
        preset(SECRET).verify(headers, BODY, NOW + age)
    assert "signed 301 s ago" in refused(preset(SECRET), headers, now=NOW + timedelta(seconds=301))
    assert "301 s in the future" in refused(preset(SECRET), headers, now=NOW - timedelta(seconds=301))
    wide = preset(SECRET, tolerance=60 * MINUTE)
    wide.verify(headers, BODY, NOW + 60 * MINUTE)
    refused(wide, headers, now=NOW + 61 * MINUTE)


@each_stamping
def test_the_time_stamp_is_part_of_what_is_signed(scheme: str) -> None:
    preset, sign = SCHEMES[scheme]
    old, new = str(int(NOW.timestamp())), str(int((NOW + 60 * MINUTE).timestamp()))
    headers = {name: value.replace(old, new) for name, value in sign(BODY, SECRET, NOW).items()}
    assert "no signature matches" in refused(preset(SECRET), headers, now=NOW + 60 * MINUTE)


@pytest.mark.parametrize(
    ("scheme", "name"), [("stripe", "evt_1"), ("github", "d-1"), ("slack", "Ev1"), ("standard", "msg_1")]
)
def test_a_delivery_has_its_senders_name(scheme: str, name: str) -> None:
    preset, sign = SCHEMES[scheme]
    assert preset(SECRET).verify(sign(BODY, SECRET, NOW), BODY, NOW).id == name


@pytest.mark.parametrize("body", [b"", b"no json", b"[1]", b'{"id": 7}', b"\xff\xfe\xfd", b"[" * 100_000])
@pytest.mark.parametrize("scheme", ["stripe", "slack", "hmac"])
def test_without_a_name_a_delivery_is_called_by_the_hash_of_what_was_signed(scheme: str, body: bytes) -> None:
    preset, sign = SCHEMES[scheme]
    first, again, later = (
        preset(SECRET).verify(sign(body, SECRET, at), body, NOW).id for at in (NOW, NOW, NOW + timedelta(seconds=1))
    )
    assert first == again != later
    assert first.startswith("sha256:")


def test_a_very_long_name_is_hashed() -> None:
    headers = sign_github(BODY, SECRET, delivery="d" * 300)
    assert len(github_signature(SECRET).verify(headers, BODY, NOW).id) == len("sha256:") + 64


def test_githubs_documented_example() -> None:
    expected = "sha256=757107ea0eb2509fc211221cce984b8a37570b6d7586c22c46f4379c8b043e17"
    headers = sign_github("Hello, World!", "It's a Secret to Everybody", delivery="72d3162e")
    assert headers["X-Hub-Signature-256"] == expected
    assert github_signature("It's a Secret to Everybody").verify(headers, b"Hello, World!", NOW).id == "72d3162e"


def test_slacks_documented_example() -> None:
    secret, at = "8f742231b10e8888abcd99yyyzzz85a5", datetime.fromtimestamp(1531420618, UTC)
    headers = sign_slack(SLACK_BODY, secret, at)
    assert headers["X-Slack-Signature"] == "v0=a2114d57b48eac39b9ad189dd8316235a7b4a8d21a10bd27519666489c69b503"
    assert slack_signature(secret).verify(headers, SLACK_BODY, at).id.startswith("sha256:")


def test_slacks_test_of_an_address_is_answered_with_its_challenge() -> None:
    body = json.dumps({"type": "url_verification", "challenge": "3eZbrw1a"}).encode()
    assert slack_signature(SECRET).verify(sign_slack(body, SECRET, NOW), body, NOW).answer == "3eZbrw1a"
    assert slack_signature(SECRET).verify(sign_slack(BODY, SECRET, NOW), BODY, NOW).answer is None
    refused(slack_signature(SECRET), sign_slack(body, OTHER, NOW), body)


def test_the_standards_published_example() -> None:
    at, body = datetime.fromtimestamp(1614265330, UTC), b'{"test": 2432232314}'
    headers = sign_standard(body, SECRET, at, delivery="msg_p5jXN8AQM9LWM0D4loKWxJek")
    assert headers["webhook-signature"] == "v1,g0hM9SsE+OTPJTGt/tmIKtSyZlE3uFJELVlNIOLJ1OE="
    several = {**headers, "webhook-signature": f"v1a,x v1,bm9uZQ== {headers['webhook-signature']}"}
    assert (
        standard_webhooks(SECRET.removeprefix("whsec_")).verify(several, body, at).id == "msg_p5jXN8AQM9LWM0D4loKWxJek"
    )


def test_the_library_of_the_standard_agrees() -> None:
    library, now = standardwebhooks.Webhook(SECRET), datetime.now(UTC)
    assert library.verify(BODY, sign_standard(BODY, SECRET, now))["id"] == "evt_1"
    stamp = str(int(now.timestamp()))
    headers = {
        "webhook-id": "m",
        "webhook-timestamp": stamp,
        "webhook-signature": library.sign("m", now, BODY.decode()),
    }
    assert standard_webhooks(SECRET).verify(headers, BODY, now).id == "m"


def test_the_library_of_stripe_agrees() -> None:
    now = datetime.now(UTC)
    header = sign_stripe(BODY, SECRET, now)["Stripe-Signature"]
    assert stripe.WebhookSignature.verify_header(BODY.decode(), header, SECRET, 300)
    theirs = stripe.WebhookSignature.generate_signature_header(BODY.decode(), SECRET, int(now.timestamp()))
    assert stripe_signature(SECRET).verify({"Stripe-Signature": f"{theirs},v0=old"}, BODY, now).id == "evt_1"


@pytest.mark.parametrize(
    ("options", "signed"),
    [
        ({}, {}),
        ({"header": "X-Hub-Signature", "prefix": "sha1=", "algorithm": "sha1"},) * 2,
        ({"algorithm": "sha512", "encoding": "base64"},) * 2,
        ({"timestamp_header": "X-Time", "prefix": "v2 "},) * 2,
    ],
)
def test_any_hmac_can_be_described(options: dict[str, str], signed: dict[str, str]) -> None:
    headers = sign_hmac(BODY, SECRET, NOW, **signed)
    verifier = hmac_signature(SECRET, id_header="X-Id", **options)  # type: ignore[arg-type]
    assert verifier.verify({**headers, "X-Id": "7"}, BODY, NOW).id == "7"
    assert "x-id is missing" in refused(verifier, headers)


@each_scheme
@pytest.mark.parametrize("secret", ["", "  ", [], ["", "x"], None, 7, b"bytes", [None]])
def test_an_empty_secret_is_a_definition_error(scheme: str, secret: object) -> None:
    with pytest.raises(DefinitionError, match="the secret"):
        SCHEMES[scheme][0](secret)


def test_a_secret_of_the_standard_is_base64() -> None:
    for secret in ("whsec_", "whsec_!!", "ä", "whsec_A"):
        with pytest.raises(DefinitionError, match="secret"):
            standard_webhooks(secret)


def test_what_is_wrong_is_said_all_at_once() -> None:
    with pytest.raises(DefinitionError) as caught:
        hmac_signature("", header="", algorithm="md5", encoding="hey", tolerance=timedelta(0))  # type: ignore[arg-type]
    assert [fault.split("=")[0].split(" is")[0] for fault in caught.value.faults] == [
        "the secret",
        "tolerance",
        "header",
        "algorithm",
        "encoding",
    ]


@each_scheme
def test_no_text_shows_the_secret(scheme: str) -> None:
    preset, sign = SCHEMES[scheme]
    assert SECRET not in repr(preset(SECRET))
    assert SECRET not in refused(preset(SECRET), sign(BODY, OTHER, NOW))
    with pytest.raises(DefinitionError) as caught:
        preset([SECRET, ""])
    assert SECRET not in str(caught.value)


def test_a_bad_signature_is_answered_with_401() -> None:
    assert issubclass(BadSignature, StepwellError)
    assert BadSignature.http_status == 401
