"""The logs of a process that the command line runs: on stderr, unless the application has configured logging."""

from __future__ import annotations

import json
import logging
import sys
from datetime import UTC, datetime
from enum import StrEnum
from typing import Annotated, Final

import typer


class LogLevel(StrEnum):
    """The lowest level that is logged."""

    DEBUG = "debug"
    INFO = "info"
    WARNING = "warning"
    ERROR = "error"


class LogFormat(StrEnum):
    """One line of text, or of JSON."""

    TEXT = "text"
    JSON = "json"


LogLevelOption = Annotated[
    LogLevel | None, typer.Option("--log-level", case_sensitive=False, help="The lowest level to log (default: info).")
]
LogFormatOption = Annotated[
    LogFormat, typer.Option("--log-format", case_sensitive=False, help="The form of each line.")
]

_TEXT: Final = "%(asctime)s %(process)d %(levelname)s %(name)s: %(message)s"
_STANDARD: Final = frozenset({*vars(logging.makeLogRecord({})), "message", "asctime", "taskName"})
"""The attributes of every record; all others were given as `extra`."""


class JsonFormatter(logging.Formatter):
    """A record as one line of JSON: time, level, logger, message, process, its extra fields, and the traceback if any."""

    def format(self, record: logging.LogRecord) -> str:
        shown = {
            "time": datetime.fromtimestamp(record.created, UTC).isoformat(timespec="milliseconds"),
            "level": record.levelname.lower(),
            "logger": record.name,
            "message": record.getMessage(),
            "process": record.process,
        }
        if record.exc_info:
            shown["traceback"] = self.formatException(record.exc_info)
        extra = {name: value for name, value in vars(record).items() if name not in _STANDARD}
        try:
            return json.dumps({**shown, **extra}, default=repr, allow_nan=False)
        except (TypeError, ValueError, RecursionError):  # infinity, keys that aren't texts, circles
            return json.dumps({**shown, **{name: repr(value) for name, value in extra.items()}})


def configure_logs(level: LogLevel | None, form: LogFormat) -> None:
    """Log to stderr, unless the application has configured logging; set the level of Stepwell's loggers if it is given.

    The application's handlers and formats stay. In a process that imports the application, call it after the import.
    """
    if level is not None:
        logging.getLogger("stepwell").setLevel(level.upper())
    logging.getLogger("alembic").setLevel(logging.WARNING)
    if logging.getLogger().hasHandlers():
        return
    handler = logging.StreamHandler(sys.stderr)
    handler.setFormatter(JsonFormatter() if form is LogFormat.JSON else logging.Formatter(_TEXT))
    logging.basicConfig(level=(level or LogLevel.INFO).upper(), handlers=[handler])
