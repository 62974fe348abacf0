"""A trust file extended by heads that the caller kept."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from ledger.audit.verify import Trust


def with_kept_heads(trust: Trust, kept: Sequence[Path]) -> Trust:
    """The trust file with kept heads: checkpoint notes (a client's ``state/``) or receipts.

    A kept head must be signed by the pinned log key, or by a key that it is known to have handed over to. The
    operator cannot have rewritten entries under a head that matches.
    """
    from api.sdk.memory import keys_beside, remembered_keys
    from ledger.audit.formats.checkpoint import Head
    from ledger.audit.formats.errors import NoteInvalid
    from ledger.audit.verify import TrustInvalid
    from ledger.audit.verify.keychain import KeyChain
    from ledger.audit.verify.receipts import HEADER, Receipt
    from ledger.small_files import read_text

    pins = list(trust.pins)
    for path in kept:
        try:
            text = read_text(path)
            if text.startswith(HEADER):
                receipt = Receipt.parse(text)
                chain, note = receipt.chain() or KeyChain.of(trust.log_key), receipt.checkpoint
                keys = chain.since(trust.log_key)
            else:
                keys, note = remembered_keys(keys_beside(path), trust.log_key), text
            if keys is None:
                raise NoteInvalid("the pinned key is not among the log's keys")
            head = keys.open(note)
        except (NoteInvalid, UnicodeDecodeError) as damaged:
            raise TrustInvalid(f"{path} is no checkpoint of this log: {damaged}") from damaged
        pins.append(Head(head.size, head.root))
    return replace(trust, pins=tuple(pins))
