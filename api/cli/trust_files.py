"""The trust file of an installation, as the offline verifier reads it: only what concerns the log."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from ledger.audit.verify import Trust


def log_trust(path: Path) -> Trust:
    """What a trust file pins of the log; TrustInvalid when it is missing, damaged or about something else.

    The one file that callers and auditors are handed also names the gateway's key, the deployment's salt and the
    contracts by their names on chain; the verifier needs neither of the first two. A member without a meaning is
    refused: it would be a pin that somebody misspelled.
    """
    from ledger.audit.verify import Trust, TrustInvalid
    from ledger.audit.verify.strict import read_once

    try:
        document = read_once(path.read_bytes())
    except FileNotFoundError as missing:
        raise TrustInvalid(f"there is no trust file at {path}") from missing
    except (OSError, ValueError) as damaged:
        raise TrustInvalid(f"the trust file {path} is not JSON: {damaged}") from damaged
    contracts = document.get("contracts") if isinstance(document, dict) else None
    if isinstance(contracts, dict) and "AuditAnchor" in contracts:
        named = {
            "ledger": str(contracts.get("SharingLedger", "")).lower(),
            "anchor": str(contracts["AuditAnchor"]).lower(),
        }
        document = document | {"contracts": named}
    return Trust.of(document)


def with_kept(trust: Trust, kept: Sequence[Path]) -> Trust:
    """The trust file with heads that somebody kept: checkpoint notes (a client's ``state/``) or receipts.

    A kept head must be signed by the pinned log key, or by one that it is known to have handed over to; what matches it, the operator cannot have rewritten since.
    """
    from api.sdk.memory import keys_beside, remembered_keys
    from ledger.audit.checkpoint import Head
    from ledger.audit.errors import NoteInvalid
    from ledger.audit.receipts import HEADER, Receipt
    from ledger.audit.verify import TrustInvalid
    from ledger.audit.verify.keychain import KeyChain

    pins = list(trust.pins)
    for path in kept:
        try:
            text = path.read_text("utf-8")
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
