"""Run pytest with these arguments, and try again, alone, what failed among many: `make test-all PYTEST=tests/again.py`.

The processes that run the tests, and whatever else a machine does, share its cores. A test that fails among them and
passes alone has depended on that: it is unsteady, a defect to mend next, and is printed as such; but it says nothing about
the change that is tested. One that fails alone, too, fails, and more than a few never pass as unsteady.
"""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

MOST = 3
"""So many failures of one run may be unsteady tests."""
_FAILED = Path(".pytest_cache/v/cache/lastfailed")
_TESTS_FAILED = 1
"""pytest's exit code of a run that came to its end: others (interrupted, internal error) say that tests weren't run."""


def main(arguments: list[str]) -> int:
    _FAILED.unlink(missing_ok=True)
    code = _pytest(arguments)
    failed = sorted(json.loads(_FAILED.read_text())) if _FAILED.exists() else []
    if code != _TESTS_FAILED or not 0 < len(failed) <= MOST or _pytest(failed):
        return code
    sys.stdout.writelines(f"UNSTEADY: {one} failed among others and passed alone; mend it next.\n" for one in failed)
    return 0


def _pytest(arguments: list[str]) -> int:
    return subprocess.run([sys.executable, "-m", "pytest", *arguments], check=False).returncode


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
