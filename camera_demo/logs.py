"""The log on stderr: plain lines for people, JSON lines for journald and its like."""

from __future__ import annotations

import logging
import sys
import threading
from datetime import datetime, timezone
from typing import Final

from camera_demo.settings import LogFormat
from edge.text import json_text, one_line

__all__ = ["JsonFormatter", "log_what_nobody_catches", "set_up_logs"]

_log = logging.getLogger(__name__)
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
        return json_text(line, default=str)


class _LineFormatter(logging.Formatter):
    """The message on one line, and what may come from a server, a camera or a label made safe for a terminal."""

    def formatMessage(self, record: logging.LogRecord) -> str:  # noqa: N802 - logging's own name
        """The line; a traceback, if there is one, stands below it."""
        return f"{_CLEAR_LINE if sys.stderr.isatty() else ''}{one_line(record.message)}"


def set_up_logs(form: LogFormat) -> None:
    """Send what this program says to stderr.

    On a terminal each line begins with clearing the one that :mod:`camera_demo.sinks.terminal` keeps up to date.
    """
    handler = logging.StreamHandler()
    handler.setFormatter(JsonFormatter() if form == "json" else _LineFormatter())
    for name in _LOGGERS:
        logger = logging.getLogger(name)
        logger.handlers, logger.propagate = [handler], False
        logger.setLevel(logging.INFO)


def log_what_nobody_catches() -> None:
    """Let what ends a thread, or comes up while something is freed, be a line of the log instead of a traceback."""

    def log(what: str, kind: type[BaseException], error: BaseException | None) -> None:
        _log.error("%s: %s", what, repr(error) if error else kind.__name__, extra={"event": "internal_error"})

    def of_thread(failed: threading.ExceptHookArgs) -> None:
        log(f"{failed.thread.name if failed.thread else 'a thread'} ended", failed.exc_type, failed.exc_value)

    threading.excepthook = of_thread
    sys.unraisablehook = lambda failed: None
