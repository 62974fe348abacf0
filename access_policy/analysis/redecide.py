"""Repeating past decisions: the same input, terms and engine must give the same decision.

The gateway commits to ``record(request, context)`` in the audit entry of a decision. An auditor with the opening and the terms
of the candidate grants calls ``replay``, which compares. When the opening was erased, the terms are missing or another version
of the engine decided, the verdict is *not replayable*.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from types import MappingProxyType
from typing import Any, Literal, TypeAlias

from access_policy.decision.answers import Context, Permit, Request
from access_policy.decision.engine import ENGINE_VERSION, decide
from access_policy.decision.reasons import CODES
from access_policy.errors import PolicyError
from access_policy.terms.agreement import Agreement, parse_terms
from access_policy.terms.constraints import instant_text, is_version

Verdict: TypeAlias = Literal["same", "different", "not replayable"]


class RecordError(PolicyError):
    """A recorded request and context cannot be read."""

    code = "record.invalid"


@dataclass(frozen=True, slots=True)
class RecordedDecision:
    """The decision in the audit entry: the outcome, the grant of a permit, the reason codes of a denial, the version of the
    engine, and the version of the asset if it is to be compared with the terms."""

    decision: Literal["permit", "deny"]
    grant: str | None = None
    reasons: tuple[str, ...] = ()
    engine: str = ENGINE_VERSION
    version: int | None = None


@dataclass(frozen=True, slots=True)
class Replayed:
    """The verdict on one entry, with the reason (``why``) when it is not ``same``."""

    verdict: Verdict
    why: str = ""
    decision: Literal["permit", "deny"] | None = None
    grant: str | None = None
    reasons: tuple[str, ...] = ()


def record(request: Request, context: Context) -> dict[str, Any]:
    """Request and context as plain JSON: the value to which the entry commits, and the input of ``replay``."""
    return {
        "request": {
            "assignee": request.assignee,
            "asset": request.asset,
            "action": request.action,
            "purpose": request.purpose,
            "columns": list(request.columns),
            "filter_columns": list(request.filter_columns),
            "attributes": {k: list(v) if isinstance(v, tuple) else v for k, v in request.attributes.items()},
            **_version(request.version),
        },
        "context": {
            "now": instant_text(context.now),
            "used": dict(context.used),
            "duties": dict(context.duties),
            "collections": {member: list(groups) for member, groups in context.collections.items()},
            "first_used": {grant: instant_text(first) for grant, first in context.first_used.items()},
            **_version(context.version),
        },
    }


def _version(number: int | None) -> dict[str, int]:
    """The member ``version``; absent without a version, as in older records."""
    return {} if number is None else {"version": number}


def recall(recorded: Mapping[str, Any]) -> tuple[Request, Context]:
    """The inverse of ``record``; raises RecordError."""
    try:
        asked, known = dict(recorded["request"]), dict(recorded["context"])
        if not all(is_version(one["version"]) for one in (asked, known) if "version" in one):
            raise ValueError("not the number of a version")
        attributes = {k: tuple(v) if isinstance(v, list) else v for k, v in asked.pop("attributes").items()}
        columns, filtered = tuple(asked.pop("columns")), tuple(asked.pop("filter_columns"))
        request = Request(**asked, columns=columns, filter_columns=filtered, attributes=attributes)
        now = datetime.fromisoformat(known.pop("now"))
        first = {grant: datetime.fromisoformat(text) for grant, text in known.pop("first_used").items()}
        groups = {member: tuple(names) for member, names in known.pop("collections").items()}
        return request, Context(now=now, first_used=first, collections=groups, **known)
    except (KeyError, TypeError, ValueError, AttributeError) as error:
        raise RecordError(f"not a recorded decision: {error}") from None


def replay(
    recorded: Mapping[str, Any] | None,
    grants: Mapping[str, bytes | Agreement] | None,
    entry: RecordedDecision,
    ancestors: Mapping[str, Sequence[tuple[str, bytes | Agreement]]] = MappingProxyType({}),
) -> Replayed:
    """Decide again from the opening and the terms of every candidate grant, and compare with the entry.

    ``recorded`` is None when the opening was erased. ``grants`` holds the terms of the candidates of the decision (None: not
    available), ``ancestors`` the ids and terms of the ancestors of each delegated candidate, the parent first. The signed
    Terms name the parent, so the list of ancestors can be checked for completeness. Reason codes of the gateway
    (``grant.revoked``, ``call.replayed``...) are not compared, and a denial with such codes only is not replayable.
    """
    if recorded is None:
        return Replayed("not replayable", "the opening of request and context was erased or is not at hand")
    if grants is None:
        return Replayed("not replayable", "the terms of the candidate grants are not at hand")
    if entry.engine != ENGINE_VERSION:
        return Replayed("not replayable", f"engine {entry.engine} decided, this is engine {ENGINE_VERSION}")
    own = tuple(code for code in entry.reasons if code in CODES)
    if entry.decision == "deny" and not own:
        return Replayed(
            "not replayable", f"decided by the gateway before the engine: {', '.join(entry.reasons)}"
        )
    request, context = recall(recorded)
    decision = decide(
        request,
        {grant: _agreement(terms) for grant, terms in grants.items()},
        context,
        ancestors={g: tuple((a, _agreement(t)) for a, t in above) for g, above in ancestors.items()},
    )
    if isinstance(decision, Permit):
        again = Replayed("same", "", "permit", decision.grant)
        read = decision.version or context.version
        if entry.version not in (None, read) and read is not None and entry.decision == "permit":
            why = f"the entry says version {entry.version}, the terms give version {read}"
            return Replayed("different", why, "permit", decision.grant)
    else:
        again = Replayed("same", "", "deny", None, tuple(dict.fromkeys(r.code for r in decision.reasons)))
    logged = (entry.decision, entry.grant if entry.decision == "permit" else None, frozenset(own))
    if logged == (again.decision, again.grant, frozenset(again.reasons)):
        return again
    why = f"the entry says {_words(entry.decision, entry.grant, own)}"
    why += f", the engine says {_words(again.decision, again.grant, again.reasons)}"
    return Replayed("different", why, again.decision, again.grant, again.reasons)


def replaced_text(replaced: Mapping[str, str]) -> str:
    """The fact ``replaced`` of a decision's entry: for each ancestor that was replaced, the newer grant."""
    return " ".join(f"{old}={new}" for old, new in replaced.items())


def with_newer(above: Sequence[str], said: str) -> list[str]:
    """The ids of the grants that were evaluated above a candidate: its ancestors ``above``, the parent first, and their
    replacements according to the fact ``replaced`` of the entry (``said``)."""
    newer = dict(pair.split("=", 1) for pair in said.split() if "=" in pair)
    found = list(above)
    for one in above:
        while (at := newer.pop(one, None)) is not None:
            found.append(at)
            one = at
    return found


def _agreement(terms: bytes | Agreement) -> Agreement:
    parsed = parse_terms(terms) if isinstance(terms, bytes) else terms
    if not isinstance(parsed, Agreement):
        raise RecordError("a candidate grant is not an agreement")
    return parsed


def _words(decision: str | None, grant: str | None, reasons: tuple[str, ...]) -> str:
    return f"permit by {grant}" if decision == "permit" else f"deny ({', '.join(sorted(reasons))})"
