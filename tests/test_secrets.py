"""No error, log, `repr` or output of a command repeats a secret of the settings, however the setting was mistyped."""

from __future__ import annotations

import base64
import logging
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
from pydantic import BaseModel, ValidationError

from stepwell import App, Settings, Stepwell
from stepwell.console.cli.backends.local import shown as shown_place
from stepwell.errors import StepwellError
from stepwell.settings import AuthSettings, OidcSettings
from stepwell.store import opening
from stepwell.triggers import senders
from stepwell.urls import shown_parameter, shown_url

SECRET = "S3CR3T"
PART = "CR3T"

DATABASES = [
    f"ann:{SECRET}@nowhere.invalid/shop",
    f"ann:{SECRET}@nowhere.invalid:5432/shop?sslmode=require",
    f"postgres:{SECRET}@nowhere.invalid/shop",
    f"{SECRET}@nowhere.invalid/shop",
    SECRET,
    f"//ann:{SECRET}@nowhere.invalid/shop",
    f"://ann:{SECRET}@nowhere.invalid/shop",
    f"ann:{SECRET}://nowhere.invalid/shop",
    f"postgresql:ann:{SECRET}@nowhere.invalid/shop",
    f"postgresql:/ann:{SECRET}@nowhere.invalid/shop",
    f"postgresql//ann:{SECRET}@nowhere.invalid/shop",
    f" postgresql://ann:{SECRET}@nowhere.invalid/shop",
    f"Postgresql://ann:{SECRET}@nowhere.invalid/shop",
    f"mysql://ann:{SECRET}@nowhere.invalid/shop",
    f"postgresql+psycopg://ann:{SECRET}@nowhere.invalid/shop",
    f"postgresql+{SECRET}://ann@nowhere.invalid/shop",
    f"postgresql://ann:{SECRET}@nowhere.invalid/shop",
    f"postgresql://ann:a@{SECRET}@nowhere.invalid/shop",
    f"postgresql://ann:a@S3:{PART}@nowhere.invalid/shop",
    f"postgresql://ann:a/{SECRET}@nowhere.invalid/shop",
    f"postgresql://ann:a?{SECRET}@nowhere.invalid/shop",
    f"postgresql://ann:a#{SECRET}@nowhere.invalid/shop",
    f"postgresql://ann:[{SECRET}@nowhere.invalid/shop",
    f"postgresql://ann:\u2100{SECRET}@nowhere.invalid/shop",
    f"postgresql://ann:{SECRET}/shop",
    f"postgresql://ann:5432:{SECRET}/shop",
    *(
        f"postgresql://ann@nowhere.invalid/shop?{name}={SECRET}"
        for name in ("password", "passwd", "PASSWORD", "sslpassword", "passfile", "pass", "token", "options", "user")
    ),
    f"postgresql://ann@nowhere.invalid/shop?password=a@{SECRET}",
    f"postgresql://ann@nowhere.invalid/shop?password=a&{SECRET}=b",
    f"postgresql://ann@nowhere.invalid/shop?password=a&{SECRET}",
    f"postgresql://ann@nowhere.invalid/shop?password={SECRET}&password={SECRET}",
    f"postgresql://ann@nowhere.invalid/shop?sslmode={SECRET}",
    f"sqlite://ann:{SECRET}@nowhere.invalid/shop",
    f"sqlite://ann:{SECRET}@nowhere.invalid",
    f"sqlite://ann:{SECRET}/shop",
    f"sqlite:///ann:{SECRET}@nowhere.invalid/shop",
    f"sqlite:///shop.db?password={SECRET}",
    f"sqlite:///:memory:?password={SECRET}",
    f"sqlite:///shop.db?key=a&{SECRET}=1",
]
QUEUES = [
    f"user:{SECRET}@nowhere.invalid:6379/0",
    SECRET,
    f"{SECRET}@nowhere.invalid",
    f"redis:{SECRET}@nowhere.invalid",
    f"http://:{SECRET}@nowhere.invalid",
    f"redis://:{SECRET}@nowhere.invalid:x/0",
    f"redis://:a@{SECRET}@nowhere.invalid:x/0",
    f"redis://:a#{SECRET}@nowhere.invalid/0",
    f"redis://:a/{SECRET}@nowhere.invalid/0",
    f"redis://:a?{SECRET}@nowhere.invalid/0",
    f"redis://user:{SECRET}",
    f"redis://nowhere.invalid/0?password=a&{SECRET}=b",
    f"redis://nowhere.invalid/0?password=a&{SECRET}",
    f"redis://nowhere.invalid/first?password={SECRET}",
    f"rediss://nowhere.invalid/first?ssl_password={SECRET}",
    f"redis://nowhere.invalid/0?ssl_password={SECRET}",
    f"redis://nowhere.invalid/0?password={SECRET}&password={SECRET}",
    f"redis://nowhere.invalid/0?db={SECRET}",
]
OIDC = [
    {"issuer": f"https://user:{SECRET}@login.invalid", "audience": "a"},
    {"issuer": f"https://login.invalid:{SECRET}", "audience": "a"},
    {"issuer": f"https://\u2100{SECRET}", "audience": "a"},
    {"issuer": SECRET, "audience": "a"},
    {"issuer": "https://login.invalid", "audience": "a", "jwks_url": f"https://u:{SECRET}@login.invalid"},
    {"issuer": "https://login.invalid", "audience": "a", "jwks_url": SECRET},
    {"issuer": "https://login.invalid", "audience": "a", "client_secret": SECRET},
    {"issuer": "https://login.invalid", "audience": "a", "algorithms": [SECRET]},
    {"issuer": "https://login.invalid", "audience": "a", "roles": {"x": SECRET}},
]


def told(error: BaseException) -> str:
    """The texts of the error and of those behind it that are shown; without lines of source code, which are no values."""
    texts = []
    seen: BaseException | None = error
    while seen is not None:
        texts += [str(seen), repr(seen)]
        seen = seen.__cause__ or (None if seen.__suppress_context__ else seen.__context__)
    return "\n".join(texts)


async def opened(given: dict[str, Any], folder: Path) -> None:
    base: dict[str, Any] = {"database_url": f"sqlite:///{folder}/x.db", "busy_seconds": 0.1}
    async with Stepwell([App("shop")], settings=Settings(_env_file=None, **{**base, **given})):
        pass


@pytest.mark.parametrize(
    "given",
    [
        *({"database_url": url} for url in DATABASES),
        *({"queue_url": url} for url in QUEUES),
        *({"auth": {"oidc": one}} for one in OIDC),
        {"auth": SECRET},
        {"auth": {"failed_logins": SECRET}},
        {"auth": {"cors_origins": [f"https://u:{SECRET}@a.invalid/"]}},
        {"auth": {"cors_origins": [f"https://a.invalid:{SECRET}"]}},
        {"auth": {"secret": SECRET}},
    ],
    ids=str,
)
async def test_no_refusal_of_a_setting_repeats_a_secret(
    given: dict[str, Any], tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.DEBUG, "stepwell")
    with pytest.raises((StepwellError, ValidationError)) as refusal:
        await opened(given, tmp_path)
    assert PART not in told(refusal.value)
    assert PART not in caplog.text


def refusal_of(model: type[BaseModel], **given: Any) -> str | None:
    try:
        model(**given)
    except (ValidationError, StepwellError) as error:
        return told(error)
    return None


@pytest.mark.parametrize("model", [Settings, AuthSettings, OidcSettings])
def test_no_field_of_the_settings_repeats_a_value_that_it_refuses(model: type[BaseModel]) -> None:
    """Also fields that are added later: a secret may stand in the wrong place."""
    taken = set()
    for name in model.model_fields:
        for value in (SECRET, f"ann:{SECRET}@nowhere", {SECRET: SECRET}, [[SECRET]]):
            given: dict[str, Any] = {"issuer": "https://a.invalid", "audience": "a"} if model is OidcSettings else {}
            extra = {"_env_file": None} if model is Settings else {}
            said = refusal_of(model, **{**given, **extra, name: value})
            if said is None:
                taken.add(name)
            # The name of an unknown key is shown, and nothing that stands behind one.
            elif isinstance(value, dict):
                assert said.count(SECRET) <= said.count(f"{SECRET} is unknown") + said.count(f".{SECRET}"), name
            else:
                assert SECRET not in said, name
    assert taken < set(model.model_fields)


def test_the_environment_is_refused_without_its_values(monkeypatch: pytest.MonkeyPatch) -> None:
    for name, value in (("AUTH", f'{{"oidc": {SECRET}'), ("AUTH__OIDC", SECRET), ("LEASE_SECONDS", SECRET)):
        with monkeypatch.context() as changed:
            changed.setenv(f"STEPWELL_{name}", value)
            with pytest.raises(Exception, match=r".") as refusal:
                Settings(_env_file=None)
            assert SECRET not in told(refusal.value), name


@pytest.mark.parametrize("url", DATABASES)
def test_settings_show_no_secret_as_text(url: str, tmp_path: Path) -> None:
    queue = f"redis://user:{SECRET}@localhost/0?password={SECRET}"
    settings = Settings(_env_file=None, database_url=url, queue_url=queue)
    assert PART not in f"{settings!r} {settings} {[settings]}"
    assert PART not in shown_url(url)
    assert settings.database_url == url
    if "://" in url and not url.startswith("sqlite"):
        assert PART not in shown_place(settings)
    with pytest.raises(StepwellError) as refusal:
        opening.current(settings)
    assert PART not in told(refusal.value)


def test_what_is_no_secret_is_shown() -> None:
    for url in (
        "postgresql://db.example:5432/shop",
        "postgresql://a:1,b:2/shop",
        "postgresql://[::1]:5432/shop",
        "sqlite+aiosqlite:///folder/stepwell.db",
        "redis://localhost:6379/0",
        "https://orders.example.com/base",
    ):
        assert shown_url(url) == url
    assert shown_url("redis://localhost:six/0") == "redis://localhost:***"
    assert shown_url("rediss://u:p@h:1/0?db=2&ssl_password=x") == "rediss://***@h:1/0"
    assert (shown_parameter("sslmod", ["host", "sslmod"]), shown_parameter("b", ["password", "b"])[0]) == (
        "'sslmod'",
        "(",
    )


def test_verifiers_of_webhooks_show_no_secret_as_text() -> None:
    """All presets that there are, also those that are added later."""
    secret = "whsec_" + base64.b64encode(SECRET.encode() * 5).decode()
    presets = [one for name, one in vars(senders).items() if name.endswith(("_signature", "_webhooks"))]
    made = [one(secret=secret) for one in presets if one is not senders.hmac_signature]
    made.append(senders.hmac_signature(secret=secret, header="x-signature"))
    assert len(made) >= 5
    for one in made:
        shown = f"{one!r} {one}"
        assert secret not in shown
        assert SECRET not in shown


COMMANDS = [
    ("db", "current"),
    ("db", "upgrade"),
    ("tokens", "list"),
    ("worker", "--app", "shop:stepwell"),
    ("check", "shop:stepwell"),
]


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("STEPWELL_DATABASE_URL", f"ann:{SECRET}@127.0.0.1:1/shop"),
        ("STEPWELL_DATABASE_URL", f"postgresql://ann:{SECRET}@127.0.0.1:1/shop?sslpassword={SECRET}"),
        ("STEPWELL_DATABASE_URL", f"postgresql://ann:a@{SECRET}@127.0.0.1:1/shop"),
        ("STEPWELL_QUEUE_URL", f"redis://ann:{SECRET}@127.0.0.1:1/0"),
        ("STEPWELL_LEASE_SECONDS", SECRET),
        ("STEPWELL_URL", f"http://ann:{SECRET}@127.0.0.1:1"),
        ("STEPWELL_URL", f"ann:{SECRET}@127.0.0.1"),
        ("STEPWELL_URL", f"http://ann:{SECRET}:x"),
    ],
)
def test_no_command_prints_a_secret_of_its_settings(name: str, value: str, tmp_path: Path) -> None:
    (tmp_path / "shop.py").write_text("from stepwell import App, Stepwell\nstepwell = Stepwell([App('shop')])\n")
    env = {key: one for key, one in os.environ.items() if not key.startswith("STEPWELL_")} | {
        "STEPWELL_BUSY_SECONDS": "0.1",
        name: value,
    }
    failed = 0
    for command in COMMANDS:
        if name == "STEPWELL_URL" and command[0] != "tokens":
            continue
        done = subprocess.run(
            [sys.executable, "-m", "stepwell.console.cli", *command],
            capture_output=True, text=True, check=False, timeout=300, cwd=tmp_path, env=env,
        )  # fmt: skip
        failed += done.returncode != 0
        assert PART not in done.stdout + done.stderr, command
    assert failed, "none of them used the setting"
