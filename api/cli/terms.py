"""Makes terms from command-line options: an agreement, and the signed slot that states the same."""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from typing import Any

from access_policy.errors import TermsError
from access_policy.terms import templates
from access_policy.terms.agreement import Agreement, parse_terms, render
from access_policy.terms.slots import names_deriving, slot_bounds, slot_parties
from access_policy.terms.transforms import parse_transform, transform_to_json
from access_policy.terms.vocabulary import duty_actions
from api.cli.failures import UsageError
from api.cli.json_input import pairs, read_object
from api.cli.times import duration, instant
from api.sdk.acts import ActDraft
from api.sdk.drafts import draft_grant
from api.terminal.language import say
from contracts.codes import UNLIMITED
from ledger.ids import (
    asset_iri,
    asset_text,
    department_iri,
    parse_asset,
    parse_asset_iri,
    parse_department_iri,
)

TEMPLATES = ("agreement", "unconditional", "statistics-only", "match-only", "research-extract", "emergency")


@dataclass(frozen=True, slots=True)
class GrantOptions:
    """The options of a grant: parties, columns, purposes, rows, transforms, period, uses, duties, and a pinned
    version."""

    assigner: int
    assignee: int
    asset: str
    columns: Sequence[str]
    purposes: Sequence[str] = ()
    rows: Mapping[str, Any] | None = None
    transforms: Mapping[str, Mapping[str, Any]] | None = None
    not_before: datetime | None = None
    expiry: datetime | None = None
    max_uses: int | None = None
    duties: Sequence[Mapping[str, Any]] = ()
    legal_basis: str | None = None
    version: int | None = None
    law: Sequence[str] = ()
    description: str | None = None


def agreement_of(grant_options: GrantOptions, template: str = "agreement") -> dict[str, Any]:
    """The agreement in normal form; TermsError if anything is outside the profile."""
    if template not in TEMPLATES:
        raise UsageError(
            say("there is no template {template!r}", template=template[:40]),
            hint=", ".join(TEMPLATES),
        )
    assigner, asset = department_iri(grant_options.assigner), asset_iri(parse_asset(grant_options.asset))
    given = {
        "purposes": grant_options.purposes,
        "rows": grant_options.rows,
        "transforms": grant_options.transforms,
        "not_before": grant_options.not_before,
        "expiry": grant_options.expiry,
        "max_uses": grant_options.max_uses,
        "duties": grant_options.duties,
        "legal_basis": grant_options.legal_basis,
        "version": grant_options.version,
        "law": grant_options.law,
        "description": grant_options.description,
    }
    more = {name: value for name, value in given.items() if value not in (None, (), [], {})}
    if template == "unconditional":
        return templates.unconditional(assigner, asset, columns=grant_options.columns, **more)
    if template == "emergency":
        return _emergency(grant_options, assigner, asset, more)
    makers: Mapping[str, Callable[..., dict[str, Any]]] = {
        "agreement": templates.agreement,
        "statistics-only": templates.statistics_only,
        "match-only": templates.match_only,
        "research-extract": templates.research_extract,
    }
    needed: Mapping[str, dict[str, Any]] = {
        "agreement": {"purposes": ()},
        "research-extract": {"transforms": {}},
    }
    grantee = department_iri(grant_options.assignee)
    return makers[template](
        assigner, grantee, asset, columns=grant_options.columns, **(needed.get(template, {}) | more)
    )


def _emergency(
    grant_options: GrantOptions, assigner: str, asset: str, more: dict[str, Any]
) -> dict[str, Any]:
    if grant_options.not_before is None or grant_options.expiry is None:
        raise UsageError(say("an emergency grant says from when to when"), hint="--from, --until")
    hours = (grant_options.expiry - grant_options.not_before).total_seconds() / 3600
    if hours != int(hours):
        raise UsageError(say("an emergency grant lasts whole hours"))
    rest = {name: value for name, value in more.items() if name not in ("not_before", "expiry")}
    return templates.emergency(
        assigner,
        department_iri(grant_options.assignee),
        asset,
        columns=grant_options.columns,
        not_before=grant_options.not_before,
        hours=int(hours),
        **rest,
    )


def read_agreement(path: Path) -> dict[str, Any]:
    """An agreement from a file, in normal form; offers and requests are refused."""
    terms = parse_terms(read_object(path, "--terms"))
    if not isinstance(terms, Agreement):
        raise TermsError("only an agreement can be granted; offers and requests cannot")
    return render(terms)


def grant_of(
    agreement: Mapping[str, Any],
    *,
    right: str = "use",
    request: str | None = None,
    deadline: int | None = None,
) -> ActDraft:
    """The Terms to sign for an agreement: its parties, validity and uses."""
    terms = parse_terms(agreement)
    if not isinstance(terms, Agreement):
        raise TermsError("only an agreement can be granted; offers and requests cannot")
    _, assignee, asset = slot_parties(terms)
    bounds = slot_bounds(terms)
    if bounds.expiry is None:
        raise UsageError(
            say("a grant ends: the agreement names no end"),
            hint="--until",
        )
    return draft_grant(
        asset_text(parse_asset_iri(asset)),
        parse_department_iri(assignee),
        render(terms),
        not_before=0 if bounds.not_before is None else int(bounds.not_before.timestamp()),
        expiry=int(bounds.expiry.timestamp()),
        max_uses=UNLIMITED if bounds.max_uses is None else bounds.max_uses,
        may_derive=names_deriving(terms),
        right=right,
        request=request,
        deadline=deadline,
    )


# -- options --------------------------------------------------------------------------------------------


def transforms_of(options: Sequence[str]) -> dict[str, dict[str, Any]]:
    """Parse ``column=mask:0:4`` and the like, or ``column={"type": ...}``; TransformError for an unknown transform."""
    found: dict[str, dict[str, Any]] = {}
    for column, written in pairs(options, "--transform").items():
        document = _transform(written)
        found[column] = transform_to_json(parse_transform(document, pointer=f"/{column}"))
    return found


_PARTS: Mapping[str, int] = {"mask": 3, "pseudonym": 0, "truncate": 1, "band": 2, "round": 1, "clamp": 2}
"""How many values a transform takes after its name."""


def _transform(written: str) -> dict[str, Any]:
    if written.startswith("{"):
        try:
            document: dict[str, Any] = json.loads(written)
        except ValueError:
            raise UsageError(say("--transform is not JSON")) from None
        return document
    kind, *parts = written.split(":")
    if kind in _PARTS and len(parts) > _PARTS[kind]:
        rest = ":".join(parts[_PARTS[kind] :])
        raise UsageError(say("--transform {kind} has no use for {rest!r}", kind=kind, rest=rest[:40]))
    match kind:
        case "mask":
            names = ("keep_first", "keep_last", "with")
            values = [*(_number(part) for part in parts[:2]), *parts[2:3]]
            return {"type": kind, **dict(zip(names, values, strict=False))}
        case "truncate":
            return {"type": kind, **dict(zip(("to",), parts, strict=False))}
        case "band":
            return {"type": kind, **dict(zip(("width", "origin"), map(_number, parts), strict=False))}
        case "round":
            return {"type": kind, **dict(zip(("step",), map(_number, parts), strict=False))}
        case "clamp":
            bounds = zip(("bottom", "top"), parts, strict=False)
            return {"type": kind, **{name: _number(part) for name, part in bounds if part}}
        case "ladder":
            return {"type": kind, "steps": read_object(Path(":".join(parts)), "--transform")}
    return {"type": kind}


def _number(text: str) -> int | float:
    try:
        return int(text)
    except ValueError:
        pass
    try:
        return float(text)
    except ValueError:
        raise UsageError(say("not a number: {given!r}", given=text[:40])) from None


def duties_of(options: Sequence[str]) -> list[dict[str, Any]]:
    """Parse ``delete:P30D`` (after the first use), ``report:2027-01-01``, ``assess`` (before use)."""
    found = []
    for text in options:
        action, _, limit = text.partition(":")
        if action not in duty_actions():
            raise TermsError(
                f"there is no duty {action[:40]!r}",
                matches=duty_actions().close_to(action) or tuple(duty_actions().concepts),
            )
        if not limit:
            found.append(templates.duty(action))
        elif limit[:1].isdigit() and "-" in limit:
            found.append(templates.duty(action, until=instant(limit)))
        else:
            found.append(templates.duty(action, within=duration(limit)))
    return found
