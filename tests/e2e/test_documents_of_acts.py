"""An act's documents against its message, each other and the catalogue: what contradicts is never recorded."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from access_policy.slots import slot_bounds
from access_policy.templates import agreement
from access_policy.terms import Agreement, parse_terms
from api.demo.cast import ENVIRONMENT, HEALTH, PLANNING, Actor
from api.demo.city import City
from api.demo.governing import AIR_POLICY
from api.sdk.acts import ActDraft
from api.sdk.drafts import UNLIMITED, draft_grant, sign_act, submit
from api.sdk.errors import ServiceProblem
from ledger.ids import asset_iri, department_iri, parse_asset

AIR = "6.1"


def terms_of(
    asset: str = AIR,
    to: int = PLANNING.number,
    by: int = ENVIRONMENT.number,
    columns: Sequence[str] = ("district", "pm25"),
    **more: Any,
) -> dict[str, Any]:
    now = datetime.now(UTC).replace(microsecond=0)
    return agreement(
        department_iri(by),
        department_iri(to),
        asset_iri(parse_asset(asset)),
        columns=columns,
        purposes=(AIR_POLICY,),
        expiry=now + timedelta(days=9),
        **more,
    )


def granting(document: dict[str, Any], asset: str = AIR, to: int = PLANNING.number, **slot: Any) -> ActDraft:
    parsed = parse_terms(document)
    assert isinstance(parsed, Agreement)
    bounds = slot_bounds(parsed)
    assert bounds.expiry is not None
    stated: dict[str, Any] = {
        "not_before": int(bounds.not_before.timestamp()) if bounds.not_before else 0,
        "expiry": int(bounds.expiry.timestamp()),
        "max_uses": UNLIMITED if bounds.max_uses is None else bounds.max_uses,
    }
    return draft_grant(asset, to, document, **(stated | slot))


def batch(*drafts: ActDraft) -> ActDraft:
    message = {
        "grants": [dict(draft.message) for draft in drafts],
        "deadline": drafts[0].message["deadline"],
    }
    return ActDraft("GrantBatch", message, tuple(draft.documents[0] for draft in drafts))


def handed_in(city: City, draft: ActDraft, *signers: str, by: Actor | None = None) -> dict[str, Any]:
    actor = by or city.of(ENVIRONMENT)
    return submit(actor.civic, sign_act(draft, city.trust, [actor.secrets[name] for name in signers]))


def refusal(city: City, draft: ActDraft, *signers: str, by: Actor | None = None) -> dict[str, Any]:
    """The problem with which an act is refused; the log has grown by nothing."""
    civic = city.of(ENVIRONMENT).civic
    before = civic.status()["log"]["size"]
    with pytest.raises(ServiceProblem) as refused:
        handed_in(city, draft, *signers, by=by)
    assert 400 <= refused.value.status < 500
    assert civic.status()["log"]["size"] == before
    return dict(refused.value.document)


def test_a_batch_of_grants_is_recorded_over_http(shared_city: City) -> None:
    first = granting(terms_of())
    second = granting(terms_of(to=HEALTH.number), to=HEALTH.number)
    answer = handed_in(shared_city, batch(first, second), "steward")
    assert answer["state"] == "recorded"
    for draft in (first, second):
        assert shared_city.of(PLANNING).civic.grant(draft.id)["status"] == "active"


@pytest.mark.parametrize("many", [False, True])
def test_an_agreement_by_another_department_is_not_recorded(shared_city: City, many: bool) -> None:
    foreign = granting(terms_of(by=HEALTH.number))
    problem = refusal(shared_city, batch(granting(terms_of()), foreign) if many else foreign, "steward")
    assert problem["code"] == "terms.parties"
    assert problem["pointer"] == f"/documents/{int(many)}/assigner"


def test_every_grant_of_a_batch_is_held_against_its_agreement(shared_city: City) -> None:
    wide = granting(terms_of(max_uses=3), max_uses=4)
    problem = refusal(shared_city, batch(granting(terms_of()), wide), "steward")
    assert (problem["code"], problem["pointer"]) == ("terms.slot-mismatch", "/message/grants/1/maxUses")
