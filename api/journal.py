"""The service's log on standard error: one line for each event, whatever the origin of its text."""

from __future__ import annotations

import logging
from typing import Any, TextIO

from ledger.visible import visible


class Visible(logging.Formatter):
    """A formatter for text of other origin: it cannot begin a line of the log or control the terminal. A traceback
    is marked, below its event."""

    def formatMessage(self, record: logging.LogRecord) -> str:
        """The event's own line."""
        return visible(super().formatMessage(record))

    def formatException(self, ei: Any) -> str:
        """The traceback, each of its lines marked."""
        return _marked(super().formatException(ei))

    def formatStack(self, stack_info: str) -> str:
        """The stack, marked like a traceback."""
        return _marked(stack_info)


def log_to(stream: TextIO) -> None:
    """Write every event from INFO on to this stream."""
    handler = logging.StreamHandler(stream)
    handler.setFormatter(Visible("%(asctime)s %(levelname)s %(name)s %(message)s"))
    logging.basicConfig(level=logging.INFO, handlers=[handler])


def _marked(text: str) -> str:
    return "\n".join(f"  | {visible(line)}" for line in text.split("\n"))
