"""Five days at the office in a few seconds: `python -m examples.approval`."""

from __future__ import annotations

import asyncio
import os
from tempfile import TemporaryDirectory

from examples.approval.story import settings, tell
from examples.approval.workflows import office
from stepwell.testing import Harness


async def main() -> None:
    """Print the story."""
    with TemporaryDirectory() as folder:
        os.environ.setdefault("APPROVAL_MAILS", folder)
        async with Harness(apps=[office], settings=settings()) as harness:
            for line in await tell(harness):
                print(line)


if __name__ == "__main__":
    asyncio.run(main())
