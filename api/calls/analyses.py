"""Analyses of agreements before they are signed: of submitted agreements, and of the grants in force.

They read only, and the answers are plain JSON documents. None is a decision.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from access_policy.analysis.review import check_document, diff_document, what_can_document, who_can_document
from access_policy.errors import TermsError
from access_policy.terms.agreement import Agreement, parse_terms
from api.calls.grants_in_force import agreements_of_asset, agreements_of_department
from api.calls.standings import Standings
from ledger.clock import Timekeeper
from ledger.ids import asset_iri, department_iri

Document = Mapping[str, Any]


def checked(agreements: Mapping[str, Document]) -> dict[str, Any]:
    """Hashes, conflicts, and rules without effect of agreements, by names that the caller chooses;
    PolicyError for a document that is not an agreement."""
    return check_document({name: _agreement(document) for name, document in agreements.items()})


def compared(old: Document | None, new: Document | None) -> dict[str, Any]:
    """What is newly permitted and newly denied if one agreement replaces another; PolicyError as in
    `checked`."""
    before, after = (None if one is None else _agreement(one) for one in (old, new))
    return diff_document(before, after)


@dataclass(frozen=True, slots=True)
class Access:
    """Who can do what under the grants in force now."""

    standings: Standings
    clock: Timekeeper

    def who_can(self, asset: int, action: str, purpose: str) -> dict[str, Any]:
        """The departments that the grants in force permit to use an asset, for a DPV purpose."""
        now = self.clock.utc()
        grants = agreements_of_asset(self.standings, asset, now)
        return who_can_document(asset_iri(asset), action, purpose, now, grants.agreements, grants.ancestors)

    def what_can(self, department: int) -> dict[str, Any]:
        """What the grants in force permit to a department."""
        now = self.clock.utc()
        grants = agreements_of_department(self.standings, department, now)
        return what_can_document(department_iri(department), grants.agreements, now, grants.ancestors)


def _agreement(document: Document) -> Agreement:
    terms = parse_terms(document)
    if not isinstance(terms, Agreement):
        raise TermsError("only an agreement permits anything; offers and requests do not")
    return terms
