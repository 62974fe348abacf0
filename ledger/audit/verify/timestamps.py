"""RFC 3161 timestamps in a bundle: what they are over, and what this verifier says about them."""

from __future__ import annotations

from ledger.audit.errors import NoteInvalid
from ledger.audit.note import unb64
from ledger.audit.verify.bundle import TIMESTAMPS, Bundle
from ledger.audit.verify.strict import take
from ledger.audit.verify.verdict import tampered


def check_timestamps(bundle: Bundle) -> list[str]:
    """Remarks on the tokens: each must belong to a head of the bundle.

    The token's own signature is checked with the service's certificate by ``ledger.audit.timestamps`` (extra
    ``timestamps``), not here.
    """
    sizes = {head.size for head in bundle.heads}
    for item in bundle.timestamps:
        take(item, {"size": int, "token": str}, TIMESTAMPS, "a timestamp")
        if item["size"] not in sizes:
            raise tampered("timestamp.changed", "a timestamp of a head that is not here", TIMESTAMPS)
        try:
            unb64(item["token"], "a timestamp token")
        except NoteInvalid as error:
            raise tampered("timestamp.changed", str(error), TIMESTAMPS) from error
    if not bundle.timestamps:
        return []
    return [f"{len(bundle.timestamps)} RFC 3161 timestamps present, not checked"]
