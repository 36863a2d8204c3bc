"""`import stepwell` in a fresh interpreter: the time of the import statement, and the heavy packages that it imported.

Names are loaded when they are first used, so the import of what a program with a worker needs is timed as well:
`from stepwell import App, Stepwell, Workflow, transition`. It is compared with the cost of `import pydantic`.
"""

from __future__ import annotations

import json
import subprocess
import sys
from typing import Any

from benchmarks.measure import Answer, answer

UNWANTED = ("sqlalchemy", "alembic", "fastapi")
NAMES = "from stepwell import App, Stepwell, Workflow, transition"
PROBE = """
import json, sys, time
begun = time.perf_counter()
{statement}
print(json.dumps([time.perf_counter() - begun, [m for m in {unwanted} if m in sys.modules]]))
"""


def measure() -> Answer:
    """Each statement runs twice, in interpreters of their own; the first run compiles and warms the disk cache."""
    seconds, drawn_in = probe("import stepwell")
    return Answer(
        {
            "milliseconds": seconds * 1000,
            "names_milliseconds": probe(NAMES)[0] * 1000,
            "pydantic_milliseconds": probe("from pydantic import BaseModel")[0] * 1000,
            "unwanted_modules": float(len(drawn_in)),
        },
        {"unwanted_modules": ", ".join(drawn_in) or f"none of {', '.join(UNWANTED)} is imported"},
    )


def probe(statement: str) -> Any:
    """Seconds, and the unwanted packages that are loaded afterwards."""
    code = PROBE.format(statement=statement, unwanted=UNWANTED)
    for _ in range(2):
        ended = subprocess.run([sys.executable, "-c", code], stdout=subprocess.PIPE, check=True, text=True)
    return json.loads(ended.stdout)


if __name__ == "__main__":
    answer(measure)
