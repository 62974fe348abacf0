"""Refusals of calls and acts, with stable codes. How they are told over HTTP is said at the edge (`api.http.problems`)."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from ledger.errors import LedgerError

SOON_S = 2
"""Seconds until it makes sense to ask again for what was busy."""


class RefusedError(LedgerError):
    """What was asked is refused. ``code`` is stable; ``message`` says what is wrong, in English.

    ``members`` are what the caller is told besides (a pointer, reasons, a receipt) and hold no data values.
    ``retry_after_s``: so many seconds later it may be asked again; None where that would not help.
    """

    def __init__(
        self,
        code: str,
        message: str = "",
        members: Mapping[str, Any] | None = None,
        *,
        retry_after_s: int | None = None,
    ) -> None:
        super().__init__(message)
        self.code = code
        self.members = members or {}
        self.retry_after_s = retry_after_s

    def __str__(self) -> str:
        return f"{self.code}: {self.message}"


class EntryMissingError(RefusedError):
    """A catalogue entry, or the opening of its source, is not on this gateway, or is not what was signed."""

    def __init__(self, message: str) -> None:
        super().__init__("asset.metadata-missing", message)
