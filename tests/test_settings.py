"""No setting, variable or part of a URL is accepted and ignored."""

from __future__ import annotations

import logging
from pathlib import Path
from typing import Any

import pytest
from pydantic import ValidationError

from stepwell import App, Settings, Stepwell
from stepwell.errors import ConfigurationError
from stepwell.queue.bullmq.url import checked_url
from stepwell.store.postgres.engine import url_of
from stepwell.store.sqlite.engine import path_of

SETTINGS = [*Settings.model_fields]


@pytest.fixture(autouse=True)
def empty_folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)


@pytest.mark.parametrize("name", SETTINGS)
def test_a_keyword_with_a_slip_is_refused_with_the_right_one(name: str) -> None:
    with pytest.raises(ConfigurationError, match=rf"Settings: {name}x= is unknown; did you mean {name}=\?"):
        Settings(**{name + "x": "1"})


def test_a_keyword_like_no_other_is_refused() -> None:
    with pytest.raises(ConfigurationError, match="zzz= is unknown; choose from database_url=, "):
        Settings(zzz=1)  # type: ignore[call-arg]


@pytest.mark.parametrize("name", SETTINGS)
def test_a_variable_with_a_slip_is_refused_with_the_right_one(name: str, monkeypatch: pytest.MonkeyPatch) -> None:
    slip = f"STEPWELL_{name[:-1]}x{name[-1]}".upper()
    monkeypatch.setenv(slip, "1")
    with pytest.raises(ConfigurationError, match=rf"{slip} isn't a setting; did you mean STEPWELL_{name.upper()}\?"):
        Settings()


def test_a_slip_in_the_file_is_refused_too(tmp_path: Path) -> None:
    (tmp_path / ".env").write_text("STEPWELL_DATABSE_URL=sqlite:///x.db\nOTHER=1\n")
    with pytest.raises(
        ConfigurationError, match="STEPWELL_DATABSE_URL isn't a setting; did you mean STEPWELL_DATABASE_URL"
    ):
        Settings()
    assert Settings(_env_file=None).database_url


@pytest.mark.parametrize(
    "name",
    [
        *("STEPWELL_APP", "STEPWELL_URL", "STEPWELL_TOKEN", "STEPWELL_TEST_SEED", "STEPWELL_SKIP_STUDIO"),
        *(
            "STEPWELL_SERVICE_HOST",
            "STEPWELL_SERVICE_PORT_HTTP",
            "STEPWELL_PORT_80_TCP_ADDR",
            "STEPWELL_WEB_PORT_80_TCP",
        ),
    ],
)
def test_what_shares_the_prefix_and_is_no_setting_is_left_alone(
    name: str, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    monkeypatch.setenv(name, "1")
    with caplog.at_level(logging.WARNING):
        Settings()
    assert [text for text in caplog.messages if name in text] == []


def test_what_may_be_somebody_elses_is_told_in_the_log_once(
    monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    monkeypatch.setenv("STEPWELL_COMPANY_NAME", "ours")
    with caplog.at_level(logging.WARNING):
        Settings()
        Settings()
    assert [text for text in caplog.messages if "STEPWELL_COMPANY_NAME isn't a setting" in text] == caplog.messages
    assert len(caplog.messages) == 1


def test_nested_settings_are_known_by_name(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("STEPWELL_AUTH__TOKENS", "false")
    auth = Settings().auth
    assert auth is not None
    assert auth.tokens is False
    monkeypatch.setenv("STEPWELL_AUTH__TOKNES", "false")
    with pytest.raises(ValidationError, match=r"toknes is unknown; did you mean tokens\?"):
        Settings()


@pytest.mark.parametrize(
    "given",
    [
        *({"lease_seconds": value} for value in (0, -1, float("inf"), float("nan"), "soon")),
        *({"worker_concurrency": value} for value in (0, -1, 10_001, 1.5)),
        *({"port": value} for value in (-1, 65_536, "http")),
        *({"drain_seconds": value} for value in (-1, float("inf"))),
        *({"transition_timeout": value} for value in (-1, float("nan"))),
        *({"max_args_bytes": value} for value in (0, -1)),
        *({"retention": value} for value in (0, -1)),
    ],
)
def test_a_value_out_of_range_is_refused(given: dict[str, Any]) -> None:
    with pytest.raises(ValidationError, match=next(iter(given))):
        Settings(**given)


# -- URLs ---------------------------------------------------------------------------------------------------------------

POSTGRES = "postgresql://u:secret@h/d"


@pytest.mark.parametrize(
    ("url", "text"),
    [
        (f"{POSTGRES}?foo=bar", "the parameter 'foo' is unknown. Choose from ssl, "),
        (f"{POSTGRES}?ssmode=require", r"'ssmode' is unknown. Did you mean sslmode\?"),
        (f"{POSTGRES}?timeout=5", "'timeout' is unknown. Stepwell sets it itself"),
        (f"{POSTGRES}?ssl=require&ssl=allow", "'ssl' is given 2 times"),
        (f"{POSTGRES}?ssl=require&sslmode=require", "mean the same"),
    ],
)
def test_a_parameter_that_postgresqls_driver_does_not_take_is_refused(url: str, text: str) -> None:
    with pytest.raises(ConfigurationError, match=text) as caught:
        url_of(Settings(_env_file=None, database_url=url))
    assert "secret" not in str(caught.value)


def test_known_parameters_reach_the_driver_and_sslmode_is_its_ssl() -> None:
    url = url_of(Settings(_env_file=None, database_url=f"{POSTGRES}?sslmode=require&host=a:1&host=b:2&passfile=/p"))
    assert dict(url.query) == {"host": ("a:1", "b:2"), "passfile": "/p", "ssl": "require"}


@pytest.mark.parametrize(
    ("url", "text"),
    [
        ("sqlite:///x.db?timeout=5", "'timeout' is unknown; SQLite takes none. .*busy_seconds"),
        ("sqlite:///x.db?foo=bar", "'foo' is unknown; SQLite takes none"),
        ("sqlite+aiosqlit:///x.db", r"'sqlite\+aiosqlit'; did you mean 'sqlite\+aiosqlite'"),
        ("sqlite://x.db", "three slashes"),
        ("sqlite://u:p@h/x.db", "no host and no user"),
    ],
)
def test_a_part_of_a_sqlite_url_that_does_nothing_is_refused(url: str, text: str) -> None:
    with pytest.raises(ConfigurationError, match=text):
        path_of(url)


@pytest.mark.parametrize("given", [{"database_schema": "s"}, {"transaction_pooler": True}])
async def test_settings_of_postgresql_are_refused_with_sqlite(given: dict[str, Any]) -> None:
    settings = Settings(_env_file=None, database_url="sqlite:///x.db", **given)
    with pytest.raises(ConfigurationError, match=f"{next(iter(given))} is for PostgreSQL"):
        async with Stepwell([App("a")], settings=settings):
            pass


@pytest.mark.parametrize(
    ("url", "text"),
    [
        ("redis://:secret@h/0?foo=bar", "'foo' is unknown; choose from db, "),
        ("redis://:secret@h/0?sockettimeout=5", r"'sockettimeout' is unknown; did you mean socket_timeout\?"),
        ("redis://h/0?ssl_cert_reqs=none", "It needs rediss://"),
        ("redis://h?db=1&db=2", "'db' is given 2 times"),
        ("redis://h?decode_responses=no", "'decode_responses' is unknown"),
    ],
)
def test_a_parameter_that_redis_client_does_not_take_is_refused(url: str, text: str) -> None:
    with pytest.raises(ConfigurationError, match=text) as caught:
        checked_url(url)
    assert "secret" not in str(caught.value)


@pytest.mark.parametrize(
    "url", ["redis://h/0?socket_timeout=5", "rediss://h?ssl_cert_reqs=none", "unix:///run/redis.sock?db=1"]
)
def test_a_parameter_that_redis_client_takes_is_taken(url: str) -> None:
    assert checked_url(url) == url


@pytest.mark.parametrize(
    "name",
    [name for name, one in Settings.model_fields.items() if name.endswith("_seconds") or name == "transition_timeout"],
)
@pytest.mark.parametrize("value", [-1, float("inf"), float("nan")])
def test_no_number_of_seconds_is_without_an_end(name: str, value: float) -> None:
    with pytest.raises(ValidationError, match=name):
        Settings(**{name: value})
