"""The JSON form of a signed act: its members, and the form of a signature."""

from __future__ import annotations

import re

ACT_MEMBERS = frozenset({"type", "message", "signatures", "arguments", "documents", "request"})

_SIGNATURE = re.compile(r"0x[0-9a-fA-F]{130}", re.ASCII)


def is_signature(value: object) -> bool:
    """Whether this is a signature: 0x and 130 hex digits (65 bytes)."""
    return isinstance(value, str) and _SIGNATURE.fullmatch(value) is not None
