"""Offline verification of a log from a bundle or static tiles, and of single receipts.

Standard library plus ``cryptography``; the extra ``verify-chain`` adds the check of anchors. This package imports no
server code.
"""

from __future__ import annotations

from ledger.audit.verify.check import compare_bundles, verify_bundle
from ledger.audit.verify.trust import Trust, TrustInvalid
from ledger.audit.verify.verdict import Finding, Verdict

__all__ = ["Finding", "Trust", "TrustInvalid", "Verdict", "compare_bundles", "verify_bundle"]
