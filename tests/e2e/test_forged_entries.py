"""A person who writes the database adds entries to the log with a consistent tree, but cannot sign a head: they
have no effect, while running and at the start, and the service signs none of them."""

from __future__ import annotations

import hashlib
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from sqlalchemy import Engine, text

from access_policy.terms.templates import agreement
from api.demo.city import City, hand_in
from api.demo.governing import AIR_POLICY
from api.demo.participants import EDUCATION, PLANNING
from api.sdk.drafts import acceptance_of, draft_grant, sign_act
from api.sdk.errors import ServiceProblem
from ledger.audit.formats.events import Event, new_event_id
from ledger.audit.log.append import NewEntry
from ledger.chain.signers import address_of
from ledger.grants.acceptances import ACCEPTED, acceptance_id
from ledger.ids import asset_iri, department_iri, parse_asset
from ledger.store.engine import open_engine
from tests.simulators.city import open_city
from tests.simulators.forged_log import NOTES, forge, restored

AIR: dict[str, Any] = {"columns": ["pm25"], "limit": 1}


@contextmanager
def rows_of(city: City) -> Iterator[Engine]:
    engine = open_engine(f"sqlite:///{city.home / 'ledger.sqlite'}")
    try:
        yield engine
    finally:
        engine.dispose()


def anything(**members: Any) -> NewEntry:
    event = Event(id=new_event_id(), type="log:note:made", time=datetime.now(UTC), **members)
    return NewEntry(event, fresh=True)


def granted_unaccepted(city: City) -> tuple[str, dict[str, Any]]:
    """A grant that its grantee has not accepted: its id and Terms."""
    owner = next(a for a in city.actors.values() if a.part.slug == "environment")
    until = datetime.now(UTC).replace(microsecond=0) + timedelta(days=3)
    asset = city.assets["air_quality"]
    terms = agreement(
        department_iri(owner.part.number),
        department_iri(EDUCATION.number),
        asset_iri(parse_asset(asset)),
        columns=("no2",),
        purposes=(AIR_POLICY,),
        expiry=until,
        max_uses=5,
    )
    draft = draft_grant(
        asset, EDUCATION.number, terms, not_before=0, expiry=int(until.timestamp()), max_uses=5
    )
    hand_in(city, owner, draft, [owner.secrets["steward"]])
    return draft.id, draft.message


@pytest.mark.parametrize("how", NOTES)
def test_forged_acceptance_releases_nothing(shared_city: City, how: str) -> None:
    """The entry, its tree and the row exist; the grantee's officer signed nothing."""
    city = shared_city
    grant, message = granted_unaccepted(city)
    secret = hashlib.sha256(b"a stranger").digest()
    signed = sign_act(acceptance_of(message), city.trust, [secret])
    row = {
        "grant": grant,
        "officer": address_of(secret),
        "signature": bytes.fromhex(signed.signatures[0][2:]),
        "moment": int(datetime.now(UTC).timestamp() * 1_000_000),
    }
    event = Event(
        id=acceptance_id(grant),
        type=ACCEPTED,
        time=datetime.now(UTC),
        department=EDUCATION.number,
        officer=address_of(secret),
        grant=grant,
    )
    with rows_of(city) as engine, restored(engine):
        forge(engine, [NewEntry(event)], how)
        with engine.begin() as connection:
            connection.execute(
                text("INSERT INTO grant_acceptance VALUES (:grant, :officer, :signature, :moment)"), row
            )
        civic = city.of(EDUCATION).civic
        with pytest.raises(ServiceProblem) as refused:
            civic.read(city.assets["air_quality"], AIR_POLICY, {"columns": ["no2"]}, grant=grant)
        assert refused.value.code in ("audit.log_corrupt", "log.unavailable")
    # The attacker restores the log; what was read from it meanwhile is not trusted afterwards either.
    with pytest.raises(ServiceProblem) as refused:
        civic.read(city.assets["air_quality"], AIR_POLICY, {"columns": ["no2"]}, grant=grant)
    assert refused.value.reasons == ["grant.not-accepted"]


@pytest.mark.parametrize("how", NOTES)
def test_the_service_signs_no_head_over_a_forged_entry(shared_city: City, how: str) -> None:
    city, civic = shared_city, shared_city.of(PLANNING).civic
    assert civic.read(city.assets["air_quality"], AIR_POLICY, AIR).rows()
    with rows_of(city) as engine, restored(engine):
        forge(engine, [anything()], how)
        for call in (
            lambda: civic.read(city.assets["air_quality"], AIR_POLICY, AIR),
            lambda: civic.status(),
        ):
            with pytest.raises(ServiceProblem) as refused:
                call()
            assert refused.value.code in ("audit.log_corrupt", "log.unavailable")
        with engine.begin() as connection:
            [(note,)] = connection.execute(text("SELECT note FROM audit_state")).all()
        assert note.count("\n— ") < 3
    assert civic.read(city.assets["air_quality"], AIR_POLICY, AIR).rows(), "put back, the service goes on"


def test_a_service_does_not_start_on_forged_entries(city: City) -> None:
    city.service.stop()
    home = city.home
    for how in (NOTES[0], NOTES[-1]):
        with rows_of(city) as engine, restored(engine):
            forge(engine, [anything()], how)
            with pytest.raises(Exception, match=r"did not sign|does not sign|another key"):
                open_city(home).service.stop()
    again = open_city(home)
    try:
        assert again.of(PLANNING).civic.read(again.assets["air_quality"], AIR_POLICY, AIR).rows()
    finally:
        again.service.stop()
