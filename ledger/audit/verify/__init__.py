"""Checking a log without its operator: from a bundle, from static tiles, or one receipt.

Standard library plus ``cryptography``; the extra ``verify-chain`` adds the check of anchors. Nothing of the
server is imported here.
"""

from __future__ import annotations

from ledger.audit.verify.check import compare_bundles, verify_bundle
from ledger.audit.verify.trust import Trust, TrustInvalid
from ledger.audit.verify.verdict import Finding, Verdict

__all__ = ["Finding", "Trust", "TrustInvalid", "Verdict", "compare_bundles", "verify_bundle"]
