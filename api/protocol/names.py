"""Names that the service and its clients share."""

from __future__ import annotations

SHORT_NAMES = {
    "SharingLedger": "ledger",
    "AuditAnchor": "anchor",
    "CostPools": "pools",
    "Conditions": "conditions",
}
"""The contracts as a trust file names them."""

DECIDED = "gateway:read:decided"
REPEATED = "gateway:read:repeated"
"""The decision about a repeated call with its idempotency key, which is charged only the first time."""

SEEN_HEADER = "Civic-Seen"
"""The newest head of the log that the caller has seen, as a signed note in base64 with the log's signature."""
