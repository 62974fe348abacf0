"""Concurrent calls and repeated acts: the second attempt gets nothing that the first would be refused."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from access_policy.terms.templates import agreement
from api.demo.city import City, hand_in
from api.demo.governing import AIR_POLICY
from api.demo.participants import ENVIRONMENT, PLANNING
from api.sdk.client import Civic
from api.sdk.drafts import (
    ActDraft,
    acceptance_of,
    document_hash,
    draft_grant,
    draft_suspension,
    sign_act,
    submit,
)
from api.sdk.errors import ServiceProblem
from ledger.ids import asset_iri, department_iri, parse_asset

AIR = "6.1"
CALLERS = 8


def offered(**more: Any) -> tuple[ActDraft, datetime]:
    """A grant of air quality to planning, whose second permission has one more column and no count."""
    expiry = datetime.now(UTC).replace(microsecond=0) + timedelta(days=3)
    document = agreement(
        department_iri(ENVIRONMENT.number),
        department_iri(PLANNING.number),
        asset_iri(parse_asset(AIR)),
        columns=("district", "pm25"),
        purposes=(AIR_POLICY,),
        expiry=expiry,
        **more,
    )
    return draft_grant(AIR, PLANNING.number, document, expiry=int(expiry.timestamp())), expiry


def once_of_two(columns: tuple[str, ...]) -> ActDraft:
    """A grant that permits one read of pm25 and any number of reads of the district."""
    once, expiry = offered(max_uses=1)
    often, _ = offered()
    document = dict(once.documents[0])
    second = dict(often.documents[0]["permission"][0])
    second["target"] = {
        **second["target"],
        "refinement": [{"leftOperand": "columns", "operator": "isAnyOf", "rightOperand": list(columns)}],
    }
    document["permission"] = [*document["permission"], second]
    return draft_grant(AIR, PLANNING.number, document, expiry=int(expiry.timestamp()))


def accepted(city: City, draft: ActDraft) -> str:
    giver, taker = city.of(ENVIRONMENT), city.of(PLANNING)
    hand_in(city, giver, draft, [giver.secrets["steward"]])
    signed = sign_act(acceptance_of(draft.message), city.trust, [taker.secrets["steward"]])
    taker.civic.accept(draft.id, signed.signatures[0])
    return draft.id


def read(civic: Civic, grant: str, column: str) -> str:
    try:
        civic.read(AIR, AIR_POLICY, {"columns": [column], "limit": 1}, grant=grant)
    except ServiceProblem as problem:
        return problem.code
    return "permitted"


def test_concurrent_calls_use_a_single_use_permission_once(shared_city: City) -> None:
    grant = accepted(shared_city, once_of_two(("district",)))
    civic = shared_city.of(PLANNING).civic
    with ThreadPoolExecutor(CALLERS) as pool:
        answers = list(pool.map(lambda _: read(civic, grant, "pm25"), range(CALLERS)))
    assert answers.count("permitted") == 1, answers
    assert read(civic, grant, "pm25") != "permitted"
    assert read(civic, grant, "district") == "permitted"


def test_a_failed_act_is_checked_again_when_it_is_handed_in_again(shared_city: City) -> None:
    giver = shared_city.of(ENVIRONMENT)
    steward = [giver.secrets["steward"]]
    for _ in range(20):
        draft, _ = offered()
        stop = sign_act(draft_suspension(AIR, "a race"), shared_city.trust, steward)
        submit(giver.civic, stop, wait_s=0)
        try:
            submit(giver.civic, sign_act(draft, shared_city.trust, steward), wait_s=10)
            failed = False
        except ServiceProblem:
            failed = _state(giver.civic, shared_city, draft) == "failed"
        submit(giver.civic, stop)
        hand_in(shared_city, giver, draft_suspension(AIR, "over", lift=True), steward)
        if failed:
            break
    else:
        pytest.fail("no act failed on the chain")
    foreign = {"name": "a file that nobody signed"}
    stuffed = ActDraft(draft.type, draft.message, (*draft.documents, foreign))
    with pytest.raises(ServiceProblem) as refused:
        submit(giver.civic, sign_act(stuffed, shared_city.trust, steward))
    assert refused.value.code == "act.document-unnamed", document_hash(foreign)
    stranger = [shared_city.of(PLANNING).secrets["steward"]]
    with pytest.raises(ServiceProblem) as unsigned:
        submit(giver.civic, sign_act(draft, shared_city.trust, stranger))
    assert unsigned.value.code.startswith("act.signer"), unsigned.value.code
    assert hand_in(shared_city, giver, draft, steward)["state"] == "recorded"


def _state(civic: Civic, city: City, draft: ActDraft) -> str:
    try:
        return str(civic.act_status("0x" + draft.digest(city.trust).hex())["state"])
    except ServiceProblem as problem:
        return "failed" if problem.code == "act.refused" else problem.code
