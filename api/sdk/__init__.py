"""The public API for a department's program: ``from api.sdk import Civic, Trust, ServiceKey``.

A name outside ``__all__`` may change in any version. Every error is a `ClientError` with a stable ``code``
(docs/codes.md), a ``message`` and a ``hint``; `docs/sdk.md` has a complete program.
"""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from api.protocol.errors import ClientError as ClientError
    from api.protocol.errors import KeystoreError as KeystoreError
    from api.protocol.errors import ProfileError as ProfileError
    from api.protocol.errors import WrongPassphrase as WrongPassphrase
    from api.protocol.keystore import open_ed25519 as open_ed25519
    from api.protocol.keystore import open_secp256k1 as open_secp256k1
    from api.protocol.trust import Trust as Trust
    from api.sdk.acts import ActDraft as ActDraft
    from api.sdk.client import Civic as Civic
    from api.sdk.errors import AnswerRefused as AnswerRefused
    from api.sdk.errors import CallMalformed as CallMalformed
    from api.sdk.errors import ForkFound as ForkFound
    from api.sdk.errors import HeadsInvalid as HeadsInvalid
    from api.sdk.errors import NotWitnessed as NotWitnessed
    from api.sdk.errors import RollbackDetected as RollbackDetected
    from api.sdk.errors import ServiceProblem as ServiceProblem
    from api.sdk.errors import ServiceUnreachable as ServiceUnreachable
    from api.sdk.reading import Asked as Asked
    from api.sdk.reading import Reading as Reading
    from api.sdk.reading import Released as Released
    from api.sdk.transport import ServiceKey as ServiceKey
    from api.sdk.witnesses import Watch as Watch
    from ledger.audit.verify.receipts import Receipt as Receipt

_PLACES = {
    "ActDraft": "api.sdk.acts",
    "AnswerRefused": "api.sdk.errors",
    "Asked": "api.sdk.reading",
    "CallMalformed": "api.sdk.errors",
    "Civic": "api.sdk.client",
    "ClientError": "api.protocol.errors",
    "ForkFound": "api.sdk.errors",
    "HeadsInvalid": "api.sdk.errors",
    "KeystoreError": "api.protocol.errors",
    "NotWitnessed": "api.sdk.errors",
    "ProfileError": "api.protocol.errors",
    "Reading": "api.sdk.reading",
    "Receipt": "ledger.audit.verify.receipts",
    "Released": "api.sdk.reading",
    "RollbackDetected": "api.sdk.errors",
    "ServiceKey": "api.sdk.transport",
    "ServiceProblem": "api.sdk.errors",
    "ServiceUnreachable": "api.sdk.errors",
    "Trust": "api.protocol.trust",
    "Watch": "api.sdk.witnesses",
    "WrongPassphrase": "api.protocol.errors",
    "open_ed25519": "api.protocol.keystore",
    "open_secp256k1": "api.protocol.keystore",
}
"""The module of each public name. A module is imported when one of its names is first used."""

__all__ = [*_PLACES]


def __getattr__(name: str) -> Any:
    if name not in _PLACES:
        raise AttributeError(f"api.sdk has no name {name!r}")
    return getattr(import_module(_PLACES[name]), name)
