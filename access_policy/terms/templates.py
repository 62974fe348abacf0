"""Templates for terms: the agreement of a grant, and common cases with citations of their legal grounds.

Every function returns a document in normal form (for ``parse_terms`` and ``terms_hash``). The uid is derived from the
content, so the same terms always give the same document.
"""

from __future__ import annotations

import hashlib
from collections.abc import Mapping, Sequence
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from typing import Any

import rfc8785

from access_policy.errors import TermsError
from access_policy.terms.agreement import CONTEXT, PROFILE, parse_terms, render
from access_policy.terms.constraints import duration_text, instant_text
from access_policy.terms.vocabulary import ANY_DEPARTMENT

DataDuty = Mapping[str, Any]

PIPL_MINIMUM = "《个人信息保护法》第六条（最小范围）; Personal Information Protection Law of the PRC (2021), art. 6: minimum scope"
PIPL_RETENTION = "《个人信息保护法》第十九条（最短保存期限）; Personal Information Protection Law of the PRC (2021), art. 19: shortest retention"
PIPL_ASSESSMENT = "《个人信息保护法》第五十五条、第五十六条（影响评估）; Personal Information Protection Law of the PRC (2021), art. 55 and 56: impact assessment"
PIPL_EMERGENCY = "《个人信息保护法》第十三条第一款第四项（公共卫生或紧急情况）; Personal Information Protection Law of the PRC (2021), art. 13(1)(4): public health or emergency"
PIPL_DUTY = "《个人信息保护法》第十三条第一款第三项（法定职责）; Personal Information Protection Law of the PRC (2021), art. 13(1)(3): statutory duties"
STATE_COUNCIL_SHARING = "《政务数据共享条例》（国务院令第809号）第十四条; Government Data Sharing Regulation (State Council Decree 809), art. 14"
STATISTICS_LAW = "《统计法》（单个调查对象资料的保密）; Statistics Law of the PRC: confidentiality of data on single persons and households"
EMERGENCY_LAW = "《突发事件应对法》（突发事件信息共享）; Emergency Response Law of the PRC: sharing of information in an emergency"
"""The citations contain both languages, because they are stored in signed terms, which cannot be translated later."""


def agreement(
    assigner: str,
    assignee: str,
    asset: str,
    *,
    actions: Sequence[str] = ("read",),
    columns: Sequence[str],
    purposes: Sequence[str],
    rows: Mapping[str, Any] | None = None,
    transforms: Mapping[str, Mapping[str, Any]] | None = None,
    not_before: datetime | None = None,
    expiry: datetime | None = None,
    max_uses: int | None = None,
    duties: Sequence[DataDuty] = (),
    legal_basis: str | None = None,
    version: int | None = None,
    cohort: int | None = None,
    epsilon: Decimal | str | None = None,
    law: Sequence[str] = (),
    assessment: str | None = None,
    description: str | None = None,
) -> dict[str, Any]:
    """An agreement of one permission, in normal form.

    ``purposes`` are DPV ids; each permits itself and its narrower purposes (empty: any purpose). The permission is valid from
    ``not_before`` to before ``expiry`` (aware datetimes) for ``max_uses`` uses. With ``legal_basis`` a call must state this
    basis or a narrower one (``Request.attributes["legalBasis"]``). ``version`` pins a version of the asset, which is then
    read also when there is a newer version. ``duties`` are results of ``duty``. Raises TermsError for anything outside the
    profile.
    """
    return _document(
        {
            "@type": "Agreement",
            "assigner": assigner,
            "assignee": assignee,
            "law": list(law),
            "assessment": assessment,
            "description": description,
            "permission": [
                {
                    "target": _target(asset, columns, rows, transforms, cohort, epsilon),
                    "action": list(actions),
                    "constraint": _constraints(purposes, not_before, expiry, max_uses, legal_basis, version),
                    "duty": list(duties),
                }
            ],
        }
    )


def duty(
    action: str,
    *,
    uid: str | None = None,
    within: timedelta | None = None,
    until: datetime | None = None,
    before: bool | None = None,
    consequences: Sequence[DataDuty] = (),
) -> dict[str, Any]:
    """A duty for ``agreement``: after the use when it has a limit or with ``before=False``, otherwise before the use."""
    first = (within is None and until is None) if before is None else before
    limits: list[dict[str, Any]] = [
        {
            "leftOperand": "event",
            "operator": "lt" if first else "gt",
            "rightOperand": {"@id": "odrl:policyUsage"},
        }
    ]
    if within is not None:
        limits.append(
            {"leftOperand": "elapsedTime", "operator": "lteq", "rightOperand": duration_text(within)}
        )
    if until is not None:
        limits.append({"leftOperand": "dateTime", "operator": "lteq", "rightOperand": instant_text(until)})
    written: dict[str, Any] = {"uid": uid or f"#{action}", "action": action, "constraint": limits}
    return {**written, "consequence": list(consequences)} if consequences else written


def unconditional(assigner: str, asset: str, *, columns: Sequence[str], **more: Any) -> dict[str, Any]:
    """无条件共享 (unconditional sharing): a standing grant to every department, for any purpose, with the duty to name the
    source."""
    options = {"duties": (duty("attribute", before=False),), "law": (STATE_COUNCIL_SHARING,), **more}
    return agreement(assigner, ANY_DEPARTMENT, asset, columns=columns, purposes=(), **options)


def statistics_only(
    assigner: str, assignee: str, asset: str, *, columns: Sequence[str], cohort: int = 10, **more: Any
) -> dict[str, Any]:
    """Statistics only: aggregates over groups of at least ``cohort`` persons; no rows."""
    options = {"purposes": ("dpv:ProvideOfficialStatistics", "dpv:PublicPolicyMaking"), **more}
    law = (STATISTICS_LAW, PIPL_MINIMUM)
    return agreement(
        assigner,
        assignee,
        asset,
        actions=("aggregate",),
        columns=columns,
        cohort=cohort,
        **{"law": law, **options},
    )


def match_only(
    assigner: str, assignee: str, asset: str, *, columns: Sequence[str], max_uses: int = 12, **more: Any
) -> dict[str, Any]:
    """数据比对 (data matching): the grantee learns which items of its own list are in the asset, and no other value."""
    options = {"purposes": ("dpv:ServiceAccessDetermination", "dpv:FraudPreventionAndDetection"), **more}
    law = (PIPL_DUTY, PIPL_MINIMUM)
    return agreement(
        assigner,
        assignee,
        asset,
        actions=("match",),
        columns=columns,
        max_uses=max_uses,
        **{"law": law, **options},
    )


def research_extract(
    assigner: str,
    assignee: str,
    asset: str,
    *,
    columns: Sequence[str],
    transforms: Mapping[str, Mapping[str, Any]],
    keep: timedelta = timedelta(days=180),
    **more: Any,
) -> dict[str, Any]:
    """A pseudonymised extract for research, with the duties of an assessment before use, of deletion ``keep`` after the
    first use, and of a report."""
    duties = (
        duty("assess"),
        duty("delete", within=keep, consequences=(duty("inform", uid="#inform-breach"),)),
        duty("report", within=keep),
    )
    options = {"purposes": ("dpv:AcademicResearch", "dpv:ScientificResearch"), "duties": duties, **more}
    law = (PIPL_ASSESSMENT, PIPL_RETENTION, PIPL_MINIMUM)
    return agreement(
        assigner, assignee, asset, columns=columns, transforms=transforms, **{"law": law, **options}
    )


def emergency(
    assigner: str,
    assignee: str,
    asset: str,
    *,
    columns: Sequence[str],
    not_before: datetime,
    hours: int = 24,
    **more: Any,
) -> dict[str, Any]:
    """应急授权 (emergency grant): for ``hours`` hours (at most 72), for public security or health, with the duties to notify
    the provider and to report."""
    if not 1 <= hours <= 72:
        raise TermsError("an emergency grant lasts from 1 to 72 hours")
    duties = (
        duty("inform", within=timedelta(hours=24)),
        duty("report", within=timedelta(days=5)),
        duty("delete", within=timedelta(days=30)),
    )
    options = {
        "purposes": ("dpv:ProtectionOfPublicSecurity", "dpv:ImproveHealthcare"),
        "duties": duties,
        **more,
    }
    return agreement(
        assigner,
        assignee,
        asset,
        columns=columns,
        not_before=not_before,
        expiry=not_before + timedelta(hours=hours),
        **{"law": (EMERGENCY_LAW, PIPL_EMERGENCY), **options},
    )


def _document(body: Mapping[str, Any]) -> dict[str, Any]:
    shared = {"@context": list(CONTEXT), "profile": PROFILE}
    document = {**shared, **{k: v for k, v in body.items() if v not in (None, [])}}
    unnamed = render(parse_terms({**document, "uid": "urn:civic:terms:unnamed"}))
    digest = hashlib.sha256(rfc8785.dumps(unnamed)).hexdigest()
    return {**unnamed, "uid": f"urn:civic:terms:{digest[:32]}"}


def _target(
    asset: str,
    columns: Sequence[str],
    rows: Mapping[str, Any] | None,
    transforms: Mapping[str, Mapping[str, Any]] | None,
    cohort: int | None,
    epsilon: Decimal | str | None,
) -> dict[str, Any]:
    refinement: list[dict[str, Any]] = [
        {"leftOperand": "columns", "operator": "isAnyOf", "rightOperand": list(columns)}
    ]
    if rows is not None:
        right = {"@type": "@json", "@value": dict(rows)}
        refinement.append({"leftOperand": "rows", "operator": "eq", "rightOperand": right})
    if transforms:
        right = {"@type": "@json", "@value": dict(transforms)}
        refinement.append({"leftOperand": "transforms", "operator": "eq", "rightOperand": right})
    if cohort is not None:
        refinement.append({"leftOperand": "cohort", "operator": "gteq", "rightOperand": cohort})
    if epsilon is not None:
        refinement.append({"leftOperand": "epsilon", "operator": "lteq", "rightOperand": str(epsilon)})
    return {"@type": "AssetCollection", "source": asset, "refinement": refinement}


def _constraints(
    purposes: Sequence[str],
    not_before: datetime | None,
    expiry: datetime | None,
    max_uses: int | None,
    legal_basis: str | None,
    version: int | None,
) -> list[dict[str, Any]]:
    found: list[dict[str, Any]] = []

    def add(operand: str, operator: str, right: Any) -> None:
        found.append({"leftOperand": operand, "operator": operator, "rightOperand": right})

    if len(purposes) == 1:
        add("purpose", "isA", purposes[0])
    elif purposes:
        add("purpose", "isAnyOf", list(purposes))
    for operator, instant in (("gteq", not_before), ("lt", expiry)):
        if instant is not None:
            if instant.tzinfo is None:
                raise TermsError("an instant needs its zone")
            add("dateTime", operator, instant_text(instant.astimezone(UTC)))
    if max_uses is not None:
        add("count", "lteq", max_uses)
    if legal_basis is not None:
        add("legalBasis", "isA", legal_basis)
    if version is not None:
        add("version", "eq", version)
    return found
