"""What Studio's tests are made on is what the product does today: `python studio/fixtures/record.py` makes it anew."""

from __future__ import annotations

import importlib.util
import json
import sys
from pathlib import Path
from typing import Any

import pytest

pytestmark = pytest.mark.thorough

FIXTURES = Path(__file__).parents[2] / "studio" / "fixtures"


async def test_the_recorded_runs_are_those_of_this_code(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sys, "path", [*sys.path])  # the recorder adds its folder
    await _recorder().main(tmp_path)
    for name in sorted({file.name for folder in (tmp_path, FIXTURES) for file in folder.glob("*json")}):
        assert _told(tmp_path / name) == _told(FIXTURES / name), f"{name}: run studio/fixtures/record.py, read the diff"


def _recorder() -> Any:
    spec = importlib.util.spec_from_file_location("record", FIXTURES / "record.py")
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def _told(file: Path) -> Any:
    """The values of a file, a list of lines for NDJSON; without the traces, which every Python writes in its own way."""
    text = file.read_text() if file.exists() else "null"
    lines = [json.loads(line) for line in text.splitlines()] if file.suffix == ".ndjson" else json.loads(text)
    return _without_traces(lines)


def _without_traces(value: Any) -> Any:
    if isinstance(value, dict):
        return {key: _without_traces(one) for key, one in value.items() if key != "trace"}
    return [_without_traces(one) for one in value] if isinstance(value, list) else value
