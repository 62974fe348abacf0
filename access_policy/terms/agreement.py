"""Terms of sharing: ODRL 2.2 agreements, offers and requests in a closed profile, typed and frozen.

``parse_terms`` reads JSON-LD and refuses unknown members; ``render`` writes the normal form; ``canonical`` gives the normal
form as RFC 8785 bytes and ``terms_hash`` their SHA-256, the ``termsHash`` that officers sign. Different forms of the same
terms (a single value for a list of one, ``odrl:read`` for ``read``, another order of members, another zone of an instant)
have the same normal form and the same hash. Contexts are never fetched.
"""

from __future__ import annotations

import hashlib
import re
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Literal, TypeAlias

import rfc8785

from access_policy.errors import TermsError
from access_policy.terms.constraints import (
    ACTION_OPERANDS,
    PARTY_OPERANDS,
    PINS,
    RULE_OPERANDS,
    Constraint,
    ConstraintNode,
    read_constraint,
    read_name,
    write_constraint,
)
from access_policy.terms.documents import Reader, load
from access_policy.terms.duties import Duty, read_duty, read_remedy, write_duty
from access_policy.terms.targets import Target, read_target, write_target
from access_policy.terms.vocabulary import actions

CONTEXT = ("http://www.w3.org/ns/odrl.jsonld", "urn:civic:context:1")
PROFILE = "urn:civic:profile:1"
MAX_RULES = 256
ODRL_ACTIONS = frozenset(("use", "read", "aggregate", "derive"))

Conflict: TypeAlias = Literal["prohibit", "perm", "invalid"]
CONFLICTS: tuple[Conflict, ...] = ("prohibit", "perm", "invalid")
_ASSESSMENT = re.compile(r"sha256:[0-9a-f]{64}")


@dataclass(frozen=True, slots=True)
class ActionUse:
    """An action of a rule, with refinements of the action."""

    action: str
    refinements: tuple[ConstraintNode, ...] = ()


@dataclass(frozen=True, slots=True)
class Permission:
    """The assignee may do ``actions`` to ``target`` when all ``constraints`` are satisfied and no duty prevents it."""

    target: Target
    actions: tuple[ActionUse, ...]
    constraints: tuple[ConstraintNode, ...] = ()
    duties: tuple[Duty, ...] = ()
    uid: str | None = None


@dataclass(frozen=True, slots=True)
class Prohibition:
    """The assignee must not do ``actions`` to ``target`` when all ``constraints`` are satisfied.

    ``remedies`` are duties after an infringement. While one is due and not fulfilled, the grant cannot be used.
    """

    target: Target
    actions: tuple[ActionUse, ...]
    constraints: tuple[ConstraintNode, ...] = ()
    remedies: tuple[Duty, ...] = ()
    uid: str | None = None


@dataclass(frozen=True, slots=True)
class Party:
    """The assignee: a party or a collection of parties, narrowed by refinements (area, kind)."""

    id: str
    refinements: tuple[ConstraintNode, ...] = ()


@dataclass(frozen=True, slots=True)
class Terms:
    """The common members of all kinds of terms. ``law`` cites the legal grounds; ``assessment`` is the hash of the impact
    assessment (``sha256:`` and 64 hex digits)."""

    uid: str
    assigner: str | None
    assignee: Party | None
    permissions: tuple[Permission, ...]
    prohibitions: tuple[Prohibition, ...] = ()
    obligations: tuple[Duty, ...] = ()
    conflict: Conflict = "prohibit"
    law: tuple[str, ...] = ()
    assessment: str | None = None
    description: str | None = None


@dataclass(frozen=True, slots=True)
class Agreement(Terms):
    """Terms that bind both parties; the engine accepts only this kind."""


@dataclass(frozen=True, slots=True)
class Offer(Terms):
    """Terms that an assigner proposes; they permit nothing."""


@dataclass(frozen=True, slots=True)
class RequestTerms(Terms):
    """Terms that an assignee requests; they permit nothing."""


_KINDS: dict[str, type[Agreement] | type[Offer] | type[RequestTerms]] = {
    "Agreement": Agreement,
    "Offer": Offer,
    "Request": RequestTerms,
}
_MEMBERS = (
    "@context",
    "@type",
    "uid",
    "profile",
    "conflict",
    "assigner",
    "assignee",
    "permission",
    "prohibition",
    "obligation",
    "law",
    "assessment",
    "description",
)


def parse_terms(document: bytes | str | Mapping[str, object]) -> Agreement | Offer | RequestTerms:
    """Read terms. Raises TermsError, with a JSON pointer and close matches, for anything outside the profile."""
    reader = Reader(load(document)).members(_MEMBERS, required=("@context", "@type", "uid", "profile"))
    _context(reader["@context"])
    kind_name = read_name(reader["@type"], "kind of terms", tuple(_KINDS))
    if tuple(r.value for r in reader["profile"].items()) != (PROFILE,):
        reader["profile"].fail(f"the profile is {PROFILE}")
    conflict: Conflict = "prohibit"
    if "conflict" in reader:
        name = read_name(reader["conflict"], "conflict strategy", CONFLICTS)
        conflict = next(c for c in CONFLICTS if c == name)
    seen: set[str] = set()
    rules = {
        name: list(reader[name].items()) if name in reader else []
        for name in ("permission", "prohibition", "obligation")
    }
    if sum(map(len, rules.values())) > MAX_RULES:
        reader.fail(f"terms have at most {MAX_RULES} rules")
    kind = _KINDS[kind_name]
    terms = kind(
        uid=reader["uid"].iri("the uid of the terms"),
        assigner=reader["assigner"].iri("the assigner") if "assigner" in reader else None,
        assignee=_party(reader["assignee"]) if "assignee" in reader else None,
        permissions=tuple(_permission(r, seen) for r in rules["permission"]),
        prohibitions=tuple(_prohibition(r, seen) for r in rules["prohibition"]),
        obligations=tuple(read_duty(r, seen) for r in rules["obligation"]),
        conflict=conflict,
        law=tuple(r.text("a citation") for r in reader["law"].items()) if "law" in reader else (),
        assessment=_assessment(reader["assessment"]) if "assessment" in reader else None,
        description=reader["description"].text() if "description" in reader else None,
    )
    _check_whole(terms, reader)
    return terms


def _context(reader: Reader) -> None:
    for item in reader.items():
        if item.value not in CONTEXT:
            item.fail("no other context is read, and none is fetched", known=CONTEXT)
    if sorted(map(str, (r.value for r in reader.items()))) != sorted(CONTEXT):
        reader.fail(f"the context is {' and '.join(CONTEXT)}")


def _assessment(reader: Reader) -> str:
    text = reader.text("the hash of an assessment")
    if not _ASSESSMENT.fullmatch(text):
        reader.fail("an assessment is named by 'sha256:' and 64 hex digits")
    return text


def _party(reader: Reader) -> Party:
    value = reader.value
    if isinstance(value, str) or (isinstance(value, dict) and set(value) == {"@id"}):
        return Party(reader.iri("the assignee"))
    reader.members(("@type", "source", "refinement"), required=("source", "refinement"))
    if "@type" in reader and value["@type"] != "PartyCollection":
        reader["@type"].fail("a PartyCollection belongs here")
    refinements = tuple(read_constraint(r, PARTY_OPERANDS) for r in reader["refinement"].items())
    return Party(reader["source"].iri("the assignee"), refinements)


def _action(reader: Reader) -> ActionUse:
    known = tuple(actions().concepts)
    if not isinstance(reader.value, dict) or set(reader.value) == {"@id"}:
        return ActionUse(read_name(reader, "action", known))
    reader.members(("rdf:value", "refinement"), required=("rdf:value", "refinement"))
    refinements = tuple(read_constraint(r, ACTION_OPERANDS) for r in reader["refinement"].items())
    return ActionUse(read_name(reader["rdf:value"], "action", known), refinements)


def _rule(reader: Reader, more: str, kind: str, operands: frozenset[str] = RULE_OPERANDS) -> dict[str, Any]:
    reader.members(("@type", "uid", "target", "action", "constraint", more), required=("target", "action"))
    if "@type" in reader and reader.value["@type"] != kind:
        reader["@type"].fail(f"a {kind} belongs here")
    uses = tuple(_action(r) for r in reader["action"].items())
    if not uses or len(set(uses)) != len(uses):
        reader["action"].fail("at least one action belongs here, each once")
    constraints = reader["constraint"].items() if "constraint" in reader else ()
    return {
        "target": read_target(reader["target"]),
        "actions": uses,
        "constraints": tuple(read_constraint(r, operands) for r in constraints),
        "uid": _rule_name(reader["uid"]) if "uid" in reader else None,
    }


def _rule_name(reader: Reader) -> str:
    text = reader.text("the rule's name")
    if len(text) > 256 or any(c.isspace() for c in text):
        reader.fail("a rule's name has at most 256 characters and no spaces")
    return text


def _permission(reader: Reader, seen: set[str]) -> Permission:
    fields = _rule(reader, "duty", "Permission", RULE_OPERANDS | PINS)
    pins = [c for c in fields["constraints"] if isinstance(c, Constraint) and c.operand in PINS]
    if len(pins) > 1:
        reader["constraint"].fail("a permission pins one version, once")
    if fields["target"].columns is None:
        # Minimum scope (PIPL art. 6): a grant must name every column.
        reader["target"].fail("a permission names its columns in a refinement")
    duties = reader["duty"].items() if "duty" in reader else ()
    return Permission(**fields, duties=tuple(read_duty(r, seen) for r in duties))


def _prohibition(reader: Reader, seen: set[str]) -> Prohibition:
    fields = _rule(reader, "remedy", "Prohibition")
    target: Target = fields["target"]
    if target.transforms or target.cohort is not None or target.epsilon is not None:
        reader["target"].fail("a prohibition is refined by columns and rows only")
    remedies = reader["remedy"].items() if "remedy" in reader else ()
    return Prohibition(**fields, remedies=tuple(read_remedy(r, seen) for r in remedies))


def _check_whole(terms: Terms, reader: Reader) -> None:
    if isinstance(terms, Agreement | Offer) and terms.assigner is None:
        reader.fail("the member 'assigner' is missing")
    if isinstance(terms, Agreement | RequestTerms) and terms.assignee is None:
        reader.fail("the member 'assignee' is missing")
    if not terms.permissions and not terms.prohibitions:
        reader.fail("terms have at least one permission or prohibition")
    named = [p.uid for p in terms.permissions if p.uid] + [p.uid for p in terms.prohibitions if p.uid]
    if len(set(named)) != len(named):
        reader.fail("two rules have the same uid")


def render(terms: Terms) -> dict[str, Any]:
    """The normal form; ``parse_terms(render(t)) == t``, and for a normal document ``render(parse_terms(d)) == d``."""
    names: dict[type[Terms], str] = {cls: name for name, cls in _KINDS.items()}
    kind = names.get(type(terms))
    if kind is None:
        raise TermsError(f"{type(terms).__name__} cannot be rendered")
    document: dict[str, Any] = {
        "@context": list(CONTEXT),
        "@type": kind,
        "uid": terms.uid,
        "profile": PROFILE,
        "conflict": terms.conflict,
    }
    if terms.assigner is not None:
        document["assigner"] = terms.assigner
    if terms.assignee is not None:
        document["assignee"] = _write_party(terms.assignee)
    if terms.law:
        document["law"] = list(terms.law)
    for member, text in (("assessment", terms.assessment), ("description", terms.description)):
        if text is not None:
            document[member] = text
    if terms.permissions:
        document["permission"] = [_write_rule(p, "duty", p.duties) for p in terms.permissions]
    if terms.prohibitions:
        document["prohibition"] = [_write_rule(p, "remedy", p.remedies) for p in terms.prohibitions]
    if terms.obligations:
        document["obligation"] = [write_duty(d) for d in terms.obligations]
    return document


def _write_party(party: Party) -> str | dict[str, object]:
    if not party.refinements:
        return party.id
    refinement = [write_constraint(r) for r in party.refinements]
    return {"@type": "PartyCollection", "source": party.id, "refinement": refinement}


def _write_action(use: ActionUse) -> str | dict[str, object]:
    if not use.refinements:
        return use.action
    prefix = "odrl:" if use.action in ODRL_ACTIONS else "civic:"
    refinement = [write_constraint(r) for r in use.refinements]
    return {"rdf:value": {"@id": prefix + use.action}, "refinement": refinement}


def _write_rule(rule: Permission | Prohibition, member: str, duties: tuple[Duty, ...]) -> dict[str, object]:
    written: dict[str, object] = {"uid": rule.uid} if rule.uid is not None else {}
    written["target"] = write_target(rule.target)
    written["action"] = [_write_action(u) for u in rule.actions]
    if rule.constraints:
        written["constraint"] = [write_constraint(c) for c in rule.constraints]
    if duties:
        written[member] = [write_duty(d) for d in duties]
    return written


def canonical(document: bytes | str | Mapping[str, object] | Terms) -> bytes:
    """The normal form in canonical JSON (RFC 8785). These bytes are stored, hashed for signing, and given to auditors."""
    terms = document if isinstance(document, Terms) else parse_terms(document)
    return rfc8785.dumps(render(terms))


def terms_hash(document: bytes | str | Mapping[str, object] | Terms) -> bytes:
    """SHA-256 of the canonical bytes (32 bytes): the ``termsHash`` of the signed Terms."""
    return hashlib.sha256(canonical(document)).digest()
