"""The identity of an installation: the origin of its log, and the trust document that callers and auditors pin."""

from __future__ import annotations

from api.protocol.names import SHORT_NAMES
from api.runtime.settings import Home
from ledger.audit.formats.checkpoint import Origin
from ledger.audit.formats.note import VerifierKey
from ledger.chain.deployment import Deployment


def origin_of(deployment: Deployment, epoch: int = 1) -> Origin:
    """The origin of the installation's log: its chain and its AuditAnchor contract."""
    return Origin(deployment.chain_id, deployment.addresses["AuditAnchor"].lower(), epoch)


def trust_document(home: Home, log_key: VerifierKey, gateway_key: str) -> dict[str, object]:
    """The document that callers and auditors pin; it must reach them by another channel than this service."""
    deployment = Deployment.from_json(home.deployment)
    return {
        "version": 1,
        "origin": log_key.name,
        "log_key": str(log_key),
        "gateway_key": gateway_key,
        "chain_id": home.chain_id,
        "salt": deployment.salt,
        "contracts": {
            short: deployment.addresses[name].lower()
            for name, short in SHORT_NAMES.items()
            if name in deployment.addresses
        },
        "witnesses": [],
        "quorum": 0,
    }
