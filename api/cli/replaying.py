"""Runs past decisions again from files: entries, the openings of their commitments, and the grants they name.

The file is ``{"entries": [{"entry": {...}, "disclosures": {"decision": "..."}}], "grants": {id: {"terms": {...},
"agreement": {...}}}}``. A disclosure must match the commitment of its entry, a grant's id must be the hash of its
terms, and the terms must name the agreement, so a recorded decision cannot get another input. A delegated grant
also needs its ancestors up to the root, and the grants that had replaced one of them: the entry's fact ``replaced``
names them.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from access_policy.analysis.redecide import RecordedDecision, Replayed, replay, with_newer
from access_policy.terms.agreement import Agreement, parse_terms, terms_hash
from access_policy.terms.constraints import is_version
from api.cli.failures import CommandError
from api.sdk.drafts import acceptance_of
from api.terminal.language import say
from ledger.audit.log.openings import Opening
from ledger.chain.limits import NOTHING

COMMITMENT = "decision"


class ReplayInputInvalid(CommandError):
    """The input does not belong to the entries."""

    code = "replay.input"


def replay_all(document: Mapping[str, Any]) -> list[tuple[str, Replayed]]:
    """The verdict on each decision, with the id of its entry."""
    given = _members(document, "grants")
    grants = {grant: _agreement(grant, one) for grant, one in given.items()}
    parents = {grant: str(given[grant]["terms"]["parent"]).lower() for grant in grants}
    found = []
    entries = document.get("entries")
    if not isinstance(entries, list):
        raise ReplayInputInvalid(say("'entries' is a list"))
    for item in entries:
        entry = item.get("entry") if isinstance(item, Mapping) else None
        if not isinstance(entry, Mapping):
            raise ReplayInputInvalid(say("each of 'entries' holds an 'entry'"))
        if entry.get("decision") in ("permit", "deny"):
            verdict = _verdict(entry, _members(item, "disclosures"), grants, parents)
            found.append((str(entry.get("id", "")), verdict))
    return found


def _verdict(
    entry: Mapping[str, Any],
    disclosures: Mapping[str, Any],
    grants: Mapping[str, Agreement],
    parents: Mapping[str, str],
) -> Replayed:
    recorded = None
    if disclosure := disclosures.get(COMMITMENT):
        opening = Opening(COMMITMENT, str(disclosure))
        if _members(entry, "commitments").get(COMMITMENT) != opening.digest:
            raise ReplayInputInvalid(
                say("the disclosure is not what entry {id} commits to", id=entry.get("id"))
            )
        recorded = opening.value
    candidates = list(entry.get("candidates", ()))
    replaced = str(_members(entry, "facts").get("replaced", ""))
    chains = {grant: with_newer(_above(grant, parents), replaced) for grant in candidates}
    complete = all(
        grant in grants for grant in (*candidates, *(a for above in chains.values() for a in above))
    )
    version = _members(entry, "facts").get("version")
    decision = RecordedDecision(
        entry["decision"],
        entry.get("grant"),
        tuple(entry.get("reasons", ())),
        str(entry.get("engine", "")),
        version if is_version(version) else None,
    )
    if not complete:
        return replay(recorded, None, decision)
    ancestors = {grant: tuple((a, grants[a]) for a in above) for grant, above in chains.items()}
    return replay(recorded, {grant: grants[grant] for grant in candidates}, decision, ancestors)


def _above(grant: str, parents: Mapping[str, str]) -> list[str]:
    """The ancestors of a delegated grant, as far as they are given: the signed Terms name the parent. The chain
    ends, because a grant's id is a hash over its parent's id."""
    found: list[str] = []
    while (parent := parents.get(grant, NOTHING)) != NOTHING:
        found.append(parent)
        grant = parent
    return found


def _agreement(grant: str, given: object) -> Agreement:
    if not isinstance(given, Mapping) or not isinstance(given.get("terms"), Mapping):
        raise ReplayInputInvalid(say("a grant has 'terms' and 'agreement'"))
    agreement = parse_terms(given.get("agreement", {}))
    named = "0x" + terms_hash(agreement).hex()
    if acceptance_of(given["terms"]).id != grant or given["terms"]["termsHash"] != named:
        raise ReplayInputInvalid(
            say("the terms are not those of grant {grant}", grant=grant),
        )
    if not isinstance(agreement, Agreement):
        raise ReplayInputInvalid(say("a grant rests on an agreement"))
    return agreement


def _members(document: Mapping[str, Any], name: str) -> Mapping[str, Any]:
    value = document.get(name, {})
    if not isinstance(value, Mapping):
        raise ReplayInputInvalid(say("{name!r} is a JSON object", name=name))
    return value
