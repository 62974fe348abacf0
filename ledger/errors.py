"""Errors of the ledger package: one root, each with a stable ``code``."""

from __future__ import annotations


class LedgerError(Exception):
    """Root of all errors of this package. ``code`` is stable; ``hint`` states the next step."""

    code = "ledger.error"

    def __init__(self, message: str, *, hint: str = "") -> None:
        super().__init__(message)
        self.message = message
        self.hint = hint
