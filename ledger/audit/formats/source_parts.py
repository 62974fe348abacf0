"""The files that a catalogue entry signs by their digests: one file, or the parts of a growing table.

A source names one file (``{"sha256", "bytes"}``) or several parts, in the order in which their rows are read::

    {"parts": [{"sha256": "64 hex digits", "bytes": 1024}, ...]}

`ledger.catalogue.metadata` defines and checks the form of a source.
"""

from __future__ import annotations

import hashlib
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import rfc8785

PARTS_FORMAT = "parquet"
"""The format of parts. A Parquet file states the types of its columns, so all parts can be checked for the same types."""
MAX_PARTS = 400
"""The most parts of a source: one a day for more than a year. Measured in ``docs/decisions/0015``."""


@dataclass(frozen=True, slots=True)
class SignedFile:
    """A signed file: SHA-256 (64 hex digits) and size in bytes."""

    sha256: str
    size: int

    def to_json(self) -> dict[str, Any]:
        """The form of a part in a source."""
        return {"sha256": self.sha256, "bytes": self.size}


def signed_files(source: Mapping[str, Any]) -> tuple[SignedFile, ...]:
    """The files of an opened source, or of an opening, in order; empty for a sealed source."""
    parts = source.get("parts", [source] if "sha256" in source else [])
    return tuple(SignedFile(part["sha256"], part["bytes"]) for part in parts)


def opening_of(source: Mapping[str, Any]) -> dict[str, Any]:
    """The members that the opening of an opened source has: its files, and the salt if the source has one."""
    names = ("parts", "salt") if in_parts(source) else ("sha256", "bytes", "salt")
    return {name: source[name] for name in names if name in source}


def in_parts(source: Mapping[str, Any]) -> bool:
    """Whether an opened source, or an opening, is a list of parts."""
    return "parts" in source


def manifest_digest(source: Mapping[str, Any]) -> str:
    """The digest (SHA-256, hex) of the data of an opened source: of its file, or of the RFC 8785 list of its parts."""
    if not in_parts(source):
        return str(source["sha256"])
    return hashlib.sha256(rfc8785.dumps([one.to_json() for one in signed_files(source)])).hexdigest()
