"""Logs: where they go (logfile) and how a line looks (log-format).

    text   2026-11-21 18:00:00,000 INFO ready to accept connections on 127.0.0.1:6379
    json   {"time": "2026-11-21T18:00:00.000+00:00", "level": "INFO", "message": "...", "address": "127.0.0.1:6379"}

What it is: one handler for the logger `tsunami`, for a process that is ours. A program that embeds a server decides
about its logs itself, and sees the same records, with the same extra fields.

What must stay true: a logfile that was moved away is made anew with the next line, so that logrotate needs no signal.
"""

import datetime
import logging
import logging.handlers
import sys
from typing import Final

from tsunami_server.config import ConfigError

LEVELS: Final = {
    "debug": logging.DEBUG,
    "verbose": logging.INFO,
    "notice": logging.INFO,
    "warning": logging.WARNING,
}
TEXT: Final = "%(asctime)s %(levelname)s %(message)s"


def configure(form: str, path: str, level: str) -> None:
    """Log so from now on. ConfigError."""
    handler = open_handler(path)
    handler.setFormatter(json_formatter() if form == "json" else logging.Formatter(TEXT))
    root = logging.getLogger()
    for old in root.handlers[:]:
        root.removeHandler(old)
        old.close()
    root.addHandler(handler)
    root.setLevel(LEVELS[level])


def open_handler(path: str) -> logging.Handler:
    if not path:
        return logging.StreamHandler(sys.stderr)
    try:
        return logging.handlers.WatchedFileHandler(path, encoding="utf-8")
    except OSError as error:
        raise ConfigError("logfile", f"{path}: {error.strerror}") from None


def json_formatter() -> logging.Formatter:
    try:
        from pythonjsonlogger.json import JsonFormatter
    except ImportError:
        raise ConfigError(
            "log-format", "json needs the package python-json-logger: pip install 'tsunami[server]'"
        ) from None

    class Lines(JsonFormatter):
        """Times as RFC 3339 has them, to the millisecond."""

        def formatTime(self, record: logging.LogRecord, datefmt: str | None = None) -> str:
            return datetime.datetime.fromtimestamp(record.created, datetime.UTC).isoformat(timespec="milliseconds")

    return Lines(
        "%(asctime)s %(levelname)s %(message)s", rename_fields={"asctime": "time", "levelname": "level"},
        json_ensure_ascii=False,
    )  # fmt: skip
