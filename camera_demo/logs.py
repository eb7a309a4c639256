"""The log on stderr: plain lines for people, JSON lines for journald and its like."""

from __future__ import annotations

import json
import logging
import sys
from datetime import datetime, timezone
from typing import Final

from camera_demo.settings import LogFormat

__all__ = ["JsonFormatter", "set_up_logs"]

_CLEAR_LINE: Final = "\r\x1b[K"
_STANDARD: Final = frozenset(vars(logging.makeLogRecord({}))) | {"message", "asctime"}
_LOGGERS: Final = ("camera_demo", "edge")


class JsonFormatter(logging.Formatter):
    """One JSON object a line: time, level, message, and what else the record was given."""

    def format(self, record: logging.LogRecord) -> str:
        """The line."""
        moment = datetime.fromtimestamp(record.created, timezone.utc).isoformat(timespec="milliseconds")
        extra = {name: value for name, value in vars(record).items() if name not in _STANDARD}
        line = {"time": moment, "level": record.levelname.lower(), "message": record.getMessage(), **extra}
        return json.dumps(line, ensure_ascii=False, default=str)


def set_up_logs(form: LogFormat) -> None:
    """Send what this program says to stderr.

    On a terminal each line begins with clearing the one that :mod:`camera_demo.sinks.terminal` keeps up to date.
    """
    handler = logging.StreamHandler()
    clear = _CLEAR_LINE if sys.stderr.isatty() else ""
    handler.setFormatter(JsonFormatter() if form == "json" else logging.Formatter(f"{clear}%(message)s"))
    for name in _LOGGERS:
        logger = logging.getLogger(name)
        logger.handlers, logger.propagate = [handler], False
        logger.setLevel(logging.INFO)
