"""Disclosures (RFC 9901): the text that opens a commitment of an entry.

A disclosure is base64url of the JSON ``[salt, name, value]``; the commitment is its SHA-256. This module uses the
standard library only, so a holder of an entry and a disclosure can check them without other packages.
"""

from __future__ import annotations

import base64
import binascii
import json
from collections.abc import Mapping
from hashlib import sha256
from typing import Any

from ledger.audit.formats.errors import AuditError


class DisclosureInvalid(AuditError):
    """A disclosure is malformed, of another name, or not what the entry commits to."""

    code = "audit.disclosure"


def disclosure_digest(disclosure: str) -> str:
    """The commitment to this disclosure: base64url of its SHA-256, without padding."""
    return base64.urlsafe_b64encode(sha256(disclosure.encode()).digest()).rstrip(b"=").decode("ascii")


def read_disclosure(disclosure: str) -> tuple[str, str, Any]:
    """Salt, name and value; raises `DisclosureInvalid`."""
    try:
        padded = disclosure + "=" * (-len(disclosure) % 4)
        salt, name, value = json.loads(base64.b64decode(padded, altchars=b"-_", validate=True))
    except (binascii.Error, ValueError, TypeError, RecursionError) as malformed:
        raise DisclosureInvalid("not a disclosure: base64url of [salt, name, value]") from malformed
    if not isinstance(salt, str) or not isinstance(name, str):
        raise DisclosureInvalid("the salt and the name of a disclosure are texts")
    return salt, name, value


def opened(entry: Mapping[str, Any], name: str, disclosure: object) -> Any:
    """The value that an entry commits to under ``name``; raises `DisclosureInvalid` when this is not its disclosure."""
    commitments = entry.get("commitments")
    committed = commitments.get(name) if isinstance(commitments, Mapping) else None
    if not isinstance(disclosure, str) or committed is None:
        raise DisclosureInvalid(f"the entry's commitment {name!r} is not opened")
    _, called, value = read_disclosure(disclosure)
    if called != name or committed != disclosure_digest(disclosure):
        raise DisclosureInvalid(f"the disclosure is not what the entry commits to under {name!r}")
    return value
