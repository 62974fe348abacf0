"""Sealing the source of a catalogue entry: the public entry names a salted opening instead of the file's digest.

`ledger.catalogue.metadata` defines and checks the form of both.
"""

from __future__ import annotations

import hashlib
import secrets
from collections.abc import Mapping
from typing import Any

import rfc8785

from ledger.audit.formats.source_parts import opening_of

SALT_BYTES = 16


def seal(document: Mapping[str, Any]) -> tuple[dict[str, Any], dict[str, Any] | None]:
    """Returns the entry as it is signed, and the opening of its source (None when the entry was already sealed).

    A source without a salt gets a random one.
    """
    source = document["source"]
    if "opening" in source:
        return dict(document), None
    opening = {"salt": new_salt()} | opening_of(source)
    named = hashlib.sha256(rfc8785.dumps(opening)).hexdigest()
    return {**document, "source": {"format": source["format"], "opening": named}}, opening


def new_salt() -> str:
    """128 random bits in hex."""
    return secrets.token_hex(SALT_BYTES)
