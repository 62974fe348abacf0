"""Heads that clients exchange: what another department saw of the log, as a file from any source.

``{"version": 1, "origin": ..., "heads": [signed checkpoint, ...], "keys": [...]}``; ``keys`` are the log's keys
with their handovers, if there was one. A head counts only under the reader's own pinned key, so the source of a
file need not be trusted.
"""

from __future__ import annotations

from typing import Any

from api.protocol.trust import Trust
from api.sdk.errors import HeadsInvalid
from ledger.audit.formats.checkpoint import MAX_SIZE, must_be_of, read_checkpoint
from ledger.audit.formats.errors import NoteInvalid
from ledger.audit.verify.keychain import KeyChain, read_chain

MOST_HEADS = 256
MOST_BYTES = 1 << 20


def read_heads(document: object, trust: Trust) -> tuple[list[str], list[Any]]:
    """The heads and keys of such a document, each head signed under the pinned key; HeadsInvalid otherwise."""
    if not isinstance(document, dict) or document.get("version") != 1:
        raise HeadsInvalid("this is no file of signed heads, or one of another version")
    heads, keys = document.get("heads"), document.get("keys", [])
    if not isinstance(heads, list) or not 0 < len(heads) <= MOST_HEADS or not isinstance(keys, list):
        raise HeadsInvalid(f"a file of signed heads holds 1 to {MOST_HEADS} of them")
    origin = trust.log_key.name
    try:
        chain = KeyChain.of(trust.log_key)
        if keys:
            found = read_chain(keys, origin, MAX_SIZE).since(trust.log_key)
            if found is None:
                raise NoteInvalid("the pinned key is not among the log's keys")
            chain = found
        for head in heads:
            if not isinstance(head, str):
                raise NoteInvalid("a head is a text")
            signed = read_checkpoint(head)
            must_be_of(signed, origin)
            chain.open(head)
    except NoteInvalid as bad:
        raise HeadsInvalid(f"a head of the file does not hold: {bad.message}") from bad
    return heads, keys
