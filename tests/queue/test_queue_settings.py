"""What is wrong with the setting of a queue is said in one line, when the Stepwell is made."""

from __future__ import annotations

import subprocess
import sys

import pytest

from stepwell import App, Settings, Stepwell
from stepwell.errors import ConfigurationError
from stepwell.queue.bullmq.url import checked_url, shown


@pytest.mark.parametrize(
    "url", ["redis", "http://localhost", "redis://", "redis://localhost:port", "redis://localhost/first", "://x", ""]
)
def test_a_url_of_something_else_is_refused(url: str) -> None:
    with pytest.raises(ConfigurationError, match="isn't the URL of a Redis or Valkey"):
        Stepwell([App("shop")], settings=Settings(_env_file=None, queue_url=url))


@pytest.mark.parametrize(
    "url",
    [
        *("redis://localhost", "redis://:secret@localhost:6380/3", "rediss://user:secret@example.org:6379"),
        *("valkey://localhost:6379/0", "valkeys://localhost", "unix:///run/redis.sock?db=1"),
    ],
)
def test_urls_of_redis_and_valkey_are_taken(url: str) -> None:
    assert checked_url(url).startswith(("redis://", "rediss://", "unix://"))


def test_secrets_are_not_told() -> None:
    assert shown("redis://user:sec@ret@localhost:6379/0") == "redis://***@localhost:6379/0"
    with pytest.raises(ConfigurationError) as raised:
        checked_url("redis://user:secret@localhost/first")
    assert "secret" not in str(raised.value)


MISSING = """
import sys
class Absent:
    def find_spec(self, name, path=None, target=None):
        if name.split(".")[0] == "bullmq":
            raise ModuleNotFoundError(f"No module named {name!r}", name=name)
sys.meta_path.insert(0, Absent())
from stepwell import App, Settings, Stepwell
from stepwell.errors import ConfigurationError
Stepwell([App("shop")], settings=Settings(_env_file=None))
try:
    Stepwell([App("shop")], settings=Settings(_env_file=None, queue_url="redis://localhost"))
except ConfigurationError as error:
    print(error)
"""


def test_without_the_extra_it_says_what_to_install() -> None:
    done = subprocess.run([sys.executable, "-c", MISSING], capture_output=True, text=True, check=True, timeout=60)
    assert done.stdout == ("queue_url needs BullMQ, and bullmq can't be imported: pip install -U 'stepwell[bullmq]'.\n")


def test_nothing_of_it_is_imported_without_the_setting() -> None:
    code = (
        "import sys; from stepwell import App, Settings, Stepwell\n"
        "Stepwell([App('shop')], settings=Settings(_env_file=None)); import stepwell.process\n"
        "print([name for name in ('bullmq', 'redis', 'msgpack') if name in sys.modules])"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True, timeout=60)
    assert done.stdout == "[]\n"
