"""Checks of every grant of an act, alone or in a batch, before it is recorded.

A new rule about grants is a function in `GRANT_CHECKS`.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from datetime import datetime
from typing import Any

from access_policy.decision.membership import recipients_to_know
from access_policy.errors import PolicyError
from access_policy.privacy.fit import misfits
from access_policy.privacy.schema import AssetSchema
from access_policy.terms.agreement import Agreement, Terms, canonical, parse_terms
from access_policy.terms.constraints import PINS, Constraint
from access_policy.terms.slots import lasting_pins, names_deriving, pins_of, slot_bounds, slot_parties
from api.documents.datasets import schema_of
from api.documents.facts import ActWithDocuments, Finding, Granting, agreements_above
from contracts.codes import MAY_DERIVE, UNLIMITED
from languages.texts import in_both
from ledger.acts.act import sha256_hex
from ledger.ids import asset_iri, department_iri


def grants(act: ActWithDocuments) -> Iterator[Finding]:
    """Every slot has its agreement, and both pass `GRANT_CHECKS`."""
    if not act.slots:
        return
    agreements: dict[str, tuple[Agreement, str]] = {}
    for place, document in enumerate(act.documents):
        agreement = _terms(document, place)
        if not isinstance(agreement, Agreement):
            yield Finding(
                "terms.not-agreement",
                in_both("only an agreement can be granted; offers and requests cannot"),
                f"/documents/{place}/@type",
            )
            return
        agreements["0x" + sha256_hex(canonical(agreement))] = (agreement, f"/documents/{place}")
    for terms, at in act.slots:
        if terms["termsHash"] not in agreements:
            yield Finding(
                "act.document-missing",
                in_both("the agreement that the termsHash names goes with the act, in normal form"),
                f"{at}/termsHash",
                "termsHash",
            )
            return
        granting = Granting(terms, at, *agreements[terms["termsHash"]], act.catalogue)
        for check in GRANT_CHECKS:
            yield from check(granting)


def _terms(document: Mapping[str, Any], place: int) -> Terms:
    try:
        return parse_terms(document)
    except PolicyError as refused:
        refused.pointer = f"/documents/{place}{refused.pointer}"
        raise


def slot_and_agreement_agree(granting: Granting) -> Iterator[Finding]:
    """The signed slot states exactly what the agreement says; otherwise one of them would mislead."""
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
        "depth": (
            "may derive" if int(terms["depth"]) & MAY_DERIVE else "may not derive",
            "may derive" if names_deriving(granting.agreement) else "may not derive",
        ),
        "maxUses": (int(terms["maxUses"]), UNLIMITED if bounds.max_uses is None else bounds.max_uses),
    }
    for member, (signed, said) in expected.items():
        if signed != said:
            yield Finding(
                "terms.slot-mismatch",
                in_both(
                    "the signed {member} is {signed}, the agreement says {said}",
                    member=member,
                    signed=signed,
                    said=said,
                ),
                f"{granting.at}/{member}",
                member,
            )


def assigner_is_the_grantor(granting: Granting) -> Iterator[Finding]:
    """The agreement's assigner is the department whose officers may sign this grant."""
    grantor = _grantor(granting)
    if grantor is not None and granting.agreement.assigner != department_iri(grantor):
        yield Finding(
            "terms.parties",
            in_both(
                "the grantor is {grantor}, the agreement names {assigner}",
                grantor=department_iri(grantor),
                assigner=granting.agreement.assigner,
            ),
            f"{granting.document_at}/assigner",
            "assigner",
        )


def pinned_versions_can_be_read(granting: Granting) -> Iterator[Finding]:
    """A version that a permission pins is on record, and its file is kept; otherwise the grant could never read it."""
    asset = int(granting.terms["asset"])
    current = granting.catalogue.dataset(asset)
    if current is None:
        return
    for place, pin in enumerate(pins_of(granting.agreement)):
        if pin is None or pin == current.version:
            continue
        pointer = f"{granting.document_at}/permission/{place}/constraint/{_pinned_at(granting, place)}"
        named = granting.catalogue.version(asset, pin) if pin < current.version else None
        if named is None:
            said = in_both(
                "the dataset has no version {pin}; the newest one is {newest}",
                pin=pin,
                newest=current.version,
            )
            yield Finding("terms.version-unknown", said, pointer)
        elif not named.kept:
            said = in_both(
                "the file of version {pin} is not kept any more; the newest version is {newest}",
                pin=pin,
                newest=current.version,
            )
            yield Finding("terms.version-not-kept", said, pointer)


def _pinned_at(granting: Granting, place: int) -> int:
    nodes = granting.agreement.permissions[place].constraints
    return next(n for n, one in enumerate(nodes) if isinstance(one, Constraint) and one.operand in PINS)


def pins_last_below(granting: Granting) -> Iterator[Finding]:
    """A pin below a grant without that pin, or below a grant that was replaced by one without it, applies only
    while the version is the current one: warn the signer."""
    pins = lasting_pins(granting.agreement, ())
    above = agreements_above(granting.catalogue, granting.terms) if pins else ()
    for pin in sorted(pins - lasting_pins(granting.agreement, above)):
        said = in_both(
            "a grant above does not pin version {pin}: this one ends when a newer version takes its place",
            pin=pin,
        )
        yield Finding("terms.version-ends", said, granting.document_at, warning=True)


def agreement_fits_the_schema(granting: Granting) -> Iterator[Finding]:
    """Its columns exist, and its row filters and transforms fit; otherwise it would permit reads that always fail."""
    entry = granting.catalogue.dataset(int(granting.terms["asset"]))
    schema = None if entry is None else schema_of(entry.metadata)
    if schema is None:
        return
    earlier = _earlier_schemas(granting, entry.version if entry else 0)
    for misfit in misfits(granting.agreement, schema, entry.spellings if entry else None, earlier):
        code = _MISFITS.get(misfit.code, "terms.unfit")
        pointer = f"{granting.document_at}{misfit.pointer}"
        yield Finding(code, misfit.detail, pointer, warning=not misfit.hard)


def _earlier_schemas(granting: Granting, current: int) -> dict[int, AssetSchema | None]:
    """The schemas of earlier versions that permissions pin."""
    asset, pins = int(granting.terms["asset"]), lasting_pins(granting.agreement, ())
    entries = {pin: granting.catalogue.version(asset, pin) for pin in pins if pin < current}
    return {pin: None if entry is None else schema_of(entry.metadata) for pin, entry in entries.items()}


_MISFITS: Mapping[str, str] = {
    "column.unknown": "terms.column-unknown",
    "transform.not-applicable": "terms.transform-unfit",
    "plan.row-filter": "terms.rows-unfit",
    "plan.option-unsupported": "terms.option-unenforced",
    "plan.spelling": "terms.spelling",
}
"""The code of a plan's error, and the code for the same error before recording."""


def nothing_depends_on_collections(granting: Granting) -> Iterator[Finding]:
    """No recipient is a collection of parties: the service stores no memberships, so an excluded party would get
    access."""
    for pointer, party in recipients_to_know(granting.agreement):
        yield Finding(
            "terms.collection",
            in_both("it is not known here who is in {party}; name the departments one by one", party=party),
            f"{granting.document_at}{pointer}",
        )


def _grantor(granting: Granting) -> int | None:
    """The department that grants the right, if the catalogue knows it; the contract refuses the rest."""
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
    pinned_versions_can_be_read,
    pins_last_below,
    agreement_fits_the_schema,
    nothing_depends_on_collections,
)
"""The checks of every grant, in this order."""
