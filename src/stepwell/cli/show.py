"""Documents of a run in the terminal, on stderr: readable, and as plain text where nobody looks at a terminal."""

from __future__ import annotations

import json
import sys
from typing import Any, Final

from rich.console import Console, RenderableType
from rich.markdown import Markdown
from rich.padding import Padding
from rich.text import Text

from stepwell.cli.output import plain, say
from stepwell.runner.models import StoredDocument

_INDENT: Final = 4
_LONGEST: Final = 200
"""Characters of a field that are shown."""


def show_document(document: StoredDocument) -> None:
    """The document, below the line of the transition that saved it."""
    shown = _rendered(document.name, document.content)
    if sys.stderr.isatty():
        Console(stderr=True, highlight=False).print(Padding(shown, (0, 0, 0, _INDENT), expand=False))
    else:
        for line in _as_text(document.name, document.content).splitlines():
            say(" " * _INDENT + line)


def _rendered(name: str, content: dict[str, Any]) -> RenderableType:
    text = plain(_as_text(name, content))
    match name, content:
        case "markdown", {"text": str(found)}:
            return Markdown(plain(found), hyperlinks=False)
        case "message", {"role": str(role)}:
            said = Text(text)
            said.stylize("bold", 0, len(plain(role)) + 1)
            return said
        case "error", {"message": str()}:
            return Text(text, style="red")
        case _:
            return Text(text)


def _as_text(name: str, content: dict[str, Any]) -> str:
    match name, content:
        case "message", {"role": str(role), "text": str(text)}:
            return f"{role}: {text}"
        case (("markdown" | "plain"), {"text": str(text)}):
            return text
        case "link", {"label": str(label), "workflow_id": str(run_id)}:
            return f"-> {label}: {run_id}"
        case "error", {"message": str(message), "type": str(type_)}:
            return message if message.startswith(type_) else f"{type_}: {message}"
        case _:
            return "\n".join([name, *(f"  {key}: {_shortened(value)}" for key, value in content.items())])


def _shortened(value: Any) -> str:
    text = value if isinstance(value, str) else json.dumps(value, ensure_ascii=False)
    return text if len(text) <= _LONGEST else text[: _LONGEST - 3] + "..."
