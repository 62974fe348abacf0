"""The service's log on standard error: one line for each event, whatever the origin of its text; as text or as JSON."""

from __future__ import annotations

import logging
from datetime import UTC, datetime
from typing import Any, Literal, TextIO

from api.http.exchanges import request_id
from ledger.visible import json_line, visible

LINE = "%(asctime)s %(levelname)s %(name)s %(message)s"


class Visible(logging.Formatter):
    """A formatter for text of other origin: it cannot begin a line of the log or control the terminal. A traceback
    is marked, below its event."""

    def formatMessage(self, record: logging.LogRecord) -> str:
        """The event's own line, and the request's id in brackets."""
        name = request_id.get()
        return visible(super().formatMessage(record) + (f" [request {name}]" if name else ""))

    def formatTime(self, record: logging.LogRecord, datefmt: str | None = None) -> str:
        """UTC, with milliseconds."""
        return _utc(record)

    def formatException(self, ei: Any) -> str:
        """The traceback, each of its lines marked."""
        return _marked(super().formatException(ei))

    def formatStack(self, stack_info: str) -> str:
        """The stack, marked like a traceback."""
        return _marked(stack_info)


class OneObject(logging.Formatter):
    """A formatter that writes each event as one JSON object in one line; a traceback is its member ``exception``."""

    def format(self, record: logging.LogRecord) -> str:
        """``time``, ``level``, ``logger``, ``message``, ``request_id`` within a request, and the members of an access."""
        event: dict[str, Any] = {
            "time": _utc(record),
            "level": record.levelname,
            "logger": record.name,
            "message": record.getMessage(),
        }
        if name := request_id.get():
            event["request_id"] = name
        event |= getattr(record, "members", {})
        if record.exc_info:
            event["exception"] = self.formatException(record.exc_info)
        return json_line(event, ascii_only=True)


class _Lines(logging.StreamHandler[TextIO]):
    """A line that cannot be written is lost: a full disk below the log stops nothing."""

    def handleError(self, record: logging.LogRecord) -> None:
        return


def log_to(stream: TextIO, form: Literal["text", "json"] = "text") -> None:
    """Write every event from INFO on to this stream."""
    handler = _Lines(stream)
    handler.setFormatter(OneObject() if form == "json" else Visible(LINE))
    logging.basicConfig(level=logging.INFO, handlers=[handler])


def _utc(record: logging.LogRecord) -> str:
    moment = datetime.fromtimestamp(record.created, UTC)
    return moment.isoformat(timespec="milliseconds").replace("+00:00", "Z")


def _marked(text: str) -> str:
    return "\n".join(f"  | {visible(line)}" for line in text.split("\n"))
