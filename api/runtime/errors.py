"""Refusals of calls and acts, with stable codes. `api.http.problems` converts them to HTTP."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from ledger.errors import LedgerError

SOON_S = 2
"""Seconds after which a busy resource may be requested again."""


class RefusedError(LedgerError):
    """A call or act is refused. ``code`` is stable; ``message`` gives the reason, in English.

    ``members`` are further facts for the caller (a pointer, reasons, a receipt) and contain no data values.
    ``retry_after_s``: it may be repeated after so many seconds; None if that would not help.
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
    """A catalogue entry, or the opening of its source, is not stored, or differs from what was signed."""

    def __init__(self, message: str) -> None:
        super().__init__("asset.metadata-missing", message)
