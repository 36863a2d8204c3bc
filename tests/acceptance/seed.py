"""What makes a long crash test the same again, and what it says meanwhile."""

from __future__ import annotations

import os
import random
import sys


def seed() -> int:
    """`STEPWELL_TEST_SEED`, or a new one, to be printed."""
    return int(os.environ.get("STEPWELL_TEST_SEED") or random.SystemRandom().randrange(2**32))


def say(text: str) -> None:
    """The text is on the terminal."""
    sys.stdout.write(text)
    sys.stdout.flush()
