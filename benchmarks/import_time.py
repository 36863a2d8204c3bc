"""`import stepwell` in fresh interpreters: the median of the import statement, and the heavy packages it drew in."""

from __future__ import annotations

import json
import subprocess
import sys
from statistics import median
from typing import Any

from benchmarks.measure import Answer, answer

UNWANTED = ("sqlalchemy", "alembic", "fastapi")
PROBE = """
import json, sys, time
begun = time.perf_counter()
import {name}
print(json.dumps([time.perf_counter() - begun, [m for m in {unwanted} if m in sys.modules]]))
"""


def measure(*, times: int) -> Answer:
    probe("stepwell")
    ours = [probe("stepwell") for _ in range(times)]
    pydantic = [probe("pydantic")[0] for _ in range(times)]
    drawn_in = ours[0][1]
    return Answer(
        {
            "milliseconds": median(seconds for seconds, _ in ours) * 1000,
            "pydantic_milliseconds": median(pydantic) * 1000,
            "unwanted_modules": float(len(drawn_in)),
        },
        {"unwanted_modules": ", ".join(drawn_in) or f"none of {', '.join(UNWANTED)} is imported"},
    )


def probe(name: str) -> Any:
    """Seconds, and the unwanted packages that are loaded afterwards."""
    code = PROBE.format(name=name, unwanted=UNWANTED)
    return json.loads(subprocess.run([sys.executable, "-c", code], capture_output=True, check=True, text=True).stdout)


if __name__ == "__main__":
    answer(measure)
