"""The trust file of an installation, as the offline verifier reads it: only what concerns the log."""

from __future__ import annotations

import json
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from ledger.audit.verify import Trust

_OF_THE_LOG = (
    "version",
    "origin",
    "log_key",
    "chain_id",
    "contracts",
    "witnesses",
    "quorum",
    "pins",
    "blocks",
)


def log_trust(path: Path) -> Trust:
    """What a trust file pins of the log; TrustInvalid when it is missing, damaged or about something else.

    The one file that callers and auditors are handed also names the gateway's key, the deployment's salt and the
    contracts by their names on chain; the verifier needs neither of the first two.
    """
    from ledger.audit.verify import Trust, TrustInvalid

    try:
        document = json.loads(path.read_bytes())
    except FileNotFoundError as missing:
        raise TrustInvalid(f"there is no trust file at {path}") from missing
    except (OSError, ValueError, RecursionError) as damaged:
        raise TrustInvalid(f"the trust file {path} is not JSON") from damaged
    if not isinstance(document, dict):
        raise TrustInvalid("the trust file is not a JSON object")
    pinned = {name: document[name] for name in _OF_THE_LOG if name in document}
    contracts = pinned.get("contracts")
    if isinstance(contracts, dict) and "AuditAnchor" in contracts:
        pinned["contracts"] = {
            "ledger": str(contracts.get("SharingLedger", "")).lower(),
            "anchor": str(contracts["AuditAnchor"]).lower(),
        }
    return Trust.parse(json.dumps(pinned))
