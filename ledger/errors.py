"""Errors of the ledger package: one root, each with a stable ``code``."""

from __future__ import annotations


class LedgerError(Exception):
    """Root of every error this package raises; ``code`` is stable, ``hint`` says what to do next."""

    code = "ledger.error"

    def __init__(self, message: str, *, hint: str = "") -> None:
        super().__init__(message)
        self.message = message
        self.hint = hint
