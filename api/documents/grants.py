"""What must hold for every grant of an act, alone or in a batch, before it is recorded.

A rule about grants is one more function in `GRANT_CHECKS`.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from datetime import datetime
from typing import Any

from access_policy.errors import PolicyError
from access_policy.membership import recipients_to_know
from access_policy.privacy.fit import misfits
from access_policy.slots import slot_bounds, slot_parties
from access_policy.terms import Agreement, Terms, canonical, parse_terms
from api.documents.datasets import schema_of
from api.documents.facts import Finding, Granting, Papers
from ledger.ids import asset_iri, department_iri
from ledger.outbox.acts import sha256_hex
from ledger.releases import UNLIMITED


def grants(papers: Papers) -> Iterator[Finding]:
    """Every slot has its agreement, and both pass `GRANT_CHECKS`."""
    if not papers.slots:
        return
    agreements: dict[str, tuple[Agreement, str]] = {}
    for place, document in enumerate(papers.documents):
        agreement = _terms(document, place)
        if not isinstance(agreement, Agreement):
            yield Finding(
                "terms.not-agreement",
                "only an agreement can be granted; offers and requests cannot",
                f"/documents/{place}/@type",
            )
            return
        agreements["0x" + sha256_hex(canonical(agreement))] = (agreement, f"/documents/{place}")
    for terms, at in papers.slots:
        if terms["termsHash"] not in agreements:
            yield Finding(
                "act.document-missing",
                "the agreement that the termsHash names goes with the act, in normal form",
                f"{at}/termsHash",
                "termsHash",
            )
            return
        granting = Granting(terms, at, *agreements[terms["termsHash"]], papers.catalogue)
        for check in GRANT_CHECKS:
            yield from check(granting)


def _terms(document: Mapping[str, Any], place: int) -> Terms:
    try:
        return parse_terms(document)
    except PolicyError as refused:
        refused.pointer = f"/documents/{place}{refused.pointer}"
        raise


def slot_and_agreement_agree(granting: Granting) -> Iterator[Finding]:
    """The signed slot is exactly what the agreement says; otherwise one of them would mislead."""
    terms = granting.terms
    try:
        _, assignee, asset = slot_parties(granting.agreement)
    except PolicyError as refused:
        yield Finding("terms.parties", refused.message, granting.document_at)
        return
    bounds = slot_bounds(granting.agreement)
    expected = {
        "asset": (asset_iri(int(terms["asset"])), asset),
        "grantee": (department_iri(int(terms["grantee"])), assignee),
        "notBefore": (int(terms["notBefore"]), _seconds(bounds.not_before, 0)),
        "expiry": (int(terms["expiry"]), _seconds(bounds.expiry, None)),
        "maxUses": (int(terms["maxUses"]), UNLIMITED if bounds.max_uses is None else bounds.max_uses),
    }
    for member, (signed, said) in expected.items():
        if signed != said:
            yield Finding(
                "terms.slot-mismatch",
                f"the signed {member} is {signed}, the agreement says {said}",
                f"{granting.at}/{member}",
                member,
            )


def assigner_is_the_grantor(granting: Granting) -> Iterator[Finding]:
    """The agreement's assigner is the department whose officers can grant this: another one never said it."""
    grantor = _grantor(granting)
    if grantor is not None and granting.agreement.assigner != department_iri(grantor):
        yield Finding(
            "terms.parties",
            f"the grantor is {department_iri(grantor)}, the agreement names {granting.agreement.assigner}",
            f"{granting.document_at}/assigner",
            "assigner",
        )


def agreement_fits_the_schema(granting: Granting) -> Iterator[Finding]:
    """Its columns exist, its row filters and transforms fit: otherwise it would permit what can never be read."""
    entry = granting.catalogue.dataset(int(granting.terms["asset"]))
    schema = None if entry is None else schema_of(entry.metadata)
    if schema is None:
        return
    for misfit in misfits(granting.agreement, schema):
        code = _MISFITS.get(misfit.code, "terms.unfit")
        pointer = f"{granting.document_at}{misfit.pointer}"
        yield Finding(code, misfit.detail, pointer, warning=not misfit.hard)


_MISFITS: Mapping[str, str] = {
    "column.unknown": "terms.column-unknown",
    "transform.not-applicable": "terms.transform-unfit",
    "plan.row-filter": "terms.rows-unfit",
    "plan.option-unsupported": "terms.option-unenforced",
}
"""The code of a plan's error, and what it is called while it can still be mended."""


def nothing_depends_on_collections(granting: Granting) -> Iterator[Finding]:
    """No recipient is a collection of parties: nobody keeps who is in one, and whom terms exclude would be let in."""
    for pointer, party in recipients_to_know(granting.agreement):
        yield Finding(
            "terms.collection",
            f"it is not known here who is in {party}; name the departments one by one",
            f"{granting.document_at}{pointer}",
        )


def _grantor(granting: Granting) -> int | None:
    """The department that gives the right, where the catalogue knows it; the contract refuses the rest."""
    if granting.delegated:
        parent = granting.parent
        return None if parent is None else parent.grantee
    entry, right = granting.catalogue.dataset(int(granting.terms["asset"])), int(granting.terms["right"])
    return entry.rights[right - 1] if entry is not None and 1 <= right <= 3 else None


def _seconds(moment: datetime | None, missing: int | None) -> int | None:
    return missing if moment is None else int(moment.timestamp())


GRANT_CHECKS: tuple[Callable[[Granting], Iterator[Finding]], ...] = (
    slot_and_agreement_agree,
    assigner_is_the_grantor,
    agreement_fits_the_schema,
    nothing_depends_on_collections,
)
"""What must hold for every grant, in this order."""
