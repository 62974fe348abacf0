"""The files that a catalogue entry signs: one, or the parts of a table that grows, each by its digest.

A source names one file (``{"sha256", "bytes"}``) or several, in the order in which their rows are read::

    {"parts": [{"sha256": "64 hex digits", "bytes": 1024}, ...]}

Its form stands in `ledger.catalogue.metadata`, which checks it.
"""

from __future__ import annotations

import hashlib
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import rfc8785

PARTS_FORMAT = "parquet"
"""Parts say the types of their columns themselves, so that they can be held to be the same in all of them."""
MAX_PARTS = 400
"""A part a day for more than a year. Figures: ``docs/decisions/0015``."""


@dataclass(frozen=True, slots=True)
class SignedFile:
    """A file as it was signed: SHA-256 in hex, and bytes."""

    sha256: str
    size: int

    def to_json(self) -> dict[str, Any]:
        """As a part of a source."""
        return {"sha256": self.sha256, "bytes": self.size}


def signed_files(source: Mapping[str, Any]) -> tuple[SignedFile, ...]:
    """The files of an opened source, or of an opening, in their order; none of a sealed one."""
    parts = source.get("parts", [source] if "sha256" in source else [])
    return tuple(SignedFile(part["sha256"], part["bytes"]) for part in parts)


def opening_of(source: Mapping[str, Any]) -> dict[str, Any]:
    """The members of an opened source that its opening has; without a salt where it has none."""
    names = ("parts", "salt") if in_parts(source) else ("sha256", "bytes", "salt")
    return {name: source[name] for name in names if name in source}


def in_parts(source: Mapping[str, Any]) -> bool:
    """Whether an opened source, or an opening, is a list of parts."""
    return "parts" in source


def manifest_digest(source: Mapping[str, Any]) -> str:
    """One name (hex) for the data of an opened source: the SHA-256 of its file, or that of the list of its parts."""
    if not in_parts(source):
        return str(source["sha256"])
    return hashlib.sha256(rfc8785.dumps([one.to_json() for one in signed_files(source)])).hexdigest()
