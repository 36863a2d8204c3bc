"""Studio's types are made from the API as it is."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

STUDIO = Path(__file__).parents[2] / "studio"


def test_the_document_that_studio_is_typed_by_is_the_servers() -> None:
    done = subprocess.run([sys.executable, STUDIO / "write_openapi.py", "--check"], timeout=120)
    assert done.returncode == 0, "The API changed: `npm run types` in studio/ writes its types again."
