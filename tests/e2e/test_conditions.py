"""A grant that is bound to a condition outside the chain: readable while it is open, denied from the moment it ends."""

from __future__ import annotations

import io
import json
import os
import sqlite3
from contextlib import redirect_stdout
from pathlib import Path
from typing import Any
from unittest.mock import patch

import pytest
from sqlmodel import SQLModel

from api.cli.main import main
from api.demo.city import City
from api.demo.governing import AIR_POLICY
from api.demo.participants import HEALTH, PLANNING, Part
from api.operator.home_chain import open_chain
from api.operator.homes import at_home
from api.runtime.settings import IN_HOME, Settings
from api.sdk.acts import sign_act
from api.sdk.conditions import draft_binding, draft_condition, draft_end, new_opening
from api.sdk.drafts import ActDraft, deadline_in, document_hash, draft_revocation, submit
from api.sdk.errors import ServiceProblem
from ledger.chain.deployment import Deployment
from ledger.ids import parse_asset
from ledger.projection.queries import followed_block
from ledger.projection.rebuild import departures, differences, rebuild
from ledger.store.engine import open_engine, reader
from tests.simulators.city import open_city

KEEPER = HEALTH


def holder_of(city: City) -> Any:
    return city.actors[parse_asset(city.assets["air_quality"]) >> 40]


def hand_in(city: City, who: Any, draft: ActDraft, role: str = "steward") -> dict[str, Any]:
    return submit(who.civic, sign_act(draft, city.trust, [who.secrets[role]]))


def read(city: City) -> Any:
    return city.of(PLANNING).civic.read(
        city.assets["air_quality"], AIR_POLICY, {"limit": 1}, grant=city.grants["air-planning"]
    )


def bound(city: City, sequence: int = 1) -> str:
    """A condition that the health department keeps, and the planning department's grant bound to it."""
    condition = f"{KEEPER.number}.{sequence}"
    hand_in(city, city.of(KEEPER), draft_condition(condition, "consent", new_opening("form 17")))
    hand_in(city, holder_of(city), draft_binding(city.grants["air-planning"], condition))
    return condition


def test_a_call_is_denied_once_the_condition_has_ended(city: City, tmp_path: Path) -> None:
    condition, grant = bound(city), city.grants["air-planning"]
    read(city)
    civic = city.of(PLANNING).civic
    assert civic.grant(grant)["conditions"] == [{"id": condition, "kind": "consent", "status": "open"}]
    answer = hand_in(city, city.of(KEEPER), draft_end(condition, "withdrawn"))
    assert answer["state"] == "recorded"
    with pytest.raises(ServiceProblem) as refused:
        read(city)
    assert (refused.value.status, refused.value.reasons) == (403, ["grant.condition-ended"])
    said = [civic.grant(grant), *(one for one in civic.grants() if one["id"] == grant)]
    assert [(one["status"], one["left"]) for one in said] == [("condition-ended", 0)] * 2
    found = civic.condition(condition)
    assert (found["status"], found["reason"], found["grants"]) == ("ended", 1, [grant])
    assert [one["id"] for one in civic.conditions(keeper=KEEPER.number)] == [condition]
    assert list(civic.conditions(keeper=PLANNING.number)) == []
    for again in (
        lambda: hand_in(city, city.of(KEEPER), draft_end(condition, "closed")),
        lambda: hand_in(city, holder_of(city), draft_binding(grant, condition)),
    ):
        with pytest.raises(ServiceProblem) as refused:
            again()
        assert refused.value.code == "condition.ended"
    city.service.stop()
    equal_when_rebuilt(city.home, tmp_path)


def equal_when_rebuilt(home: Path, tmp_path: Path) -> None:
    """The projection from block 0 is the stored one, and the chain's events make every row."""
    recorded, settings = at_home(Settings(home=home))
    deployment = Deployment.from_json(recorded.deployment)
    stored = open_engine(f"sqlite:///{home / IN_HOME}")
    fresh = open_engine(f"sqlite:///{tmp_path / 'fresh.db'}")
    SQLModel.metadata.create_all(fresh)
    with open_chain(recorded, settings, reading=True) as chain:
        with reader(stored).connect() as connection:
            followed = followed_block(connection)  # The last head is anchored while the service closes.
        rebuild(chain, fresh, deployment, to_block=followed)
        assert differences(stored, fresh) == []
        with reader(stored).connect() as connection:
            assert list(departures(connection, chain, deployment)) == []


def test_only_the_keeper_ends_a_condition(city: City) -> None:
    condition = bound(city)
    for who in (holder_of(city), city.of(PLANNING)):
        with pytest.raises(ServiceProblem) as refused:
            hand_in(city, who, draft_end(condition, "withdrawn"))
        assert refused.value.code == "act.signer-department"
    later = deadline_in(7200)  # With the holder's deadline it would be the holder's act, submitted again.
    with pytest.raises(ServiceProblem) as refused:
        hand_in(
            city, city.of(PLANNING), draft_binding(city.grants["air-planning"], condition, deadline=later)
        )
    assert refused.value.code in ("act.signer-department", "act.signer-role")
    with pytest.raises(ServiceProblem) as refused:
        hand_in(city, holder_of(city), draft_binding(city.grants["air-planning"], f"{KEEPER.number}.99"))
    assert refused.value.code == "condition.unknown"
    read(city)


def civic(city: City, part: Part, *arguments: object) -> dict[str, Any]:
    environment = {
        "CIVIC_PROFILE": str(city.of(part).directory),
        "CIVIC_URL": city.service.url,
        "CIVIC_PASSPHRASE": "open-demo",
    }
    with patch.dict(os.environ, environment), redirect_stdout(io.StringIO()) as out:
        assert main([*map(str, arguments), "--json"]) == 0, out.getvalue()
    found: dict[str, Any] = json.loads(out.getvalue().splitlines()[-1])
    return found


def test_the_command_opens_binds_lists_and_closes(city: City, tmp_path: Path) -> None:
    condition, grant, opening = f"{KEEPER.number}.7", city.grants["air-planning"], tmp_path / "opening.json"
    signs = ("--key", "steward", "--yes")
    said = ("--reference", "case 2026-17", "--opening", opening, "--kind", "case")
    civic(city, KEEPER, "condition", "open", condition, *said, *signs)
    kept = json.loads(opening.read_text())
    assert (kept["reference"], opening.stat().st_mode & 0o777) == ("case 2026-17", 0o600)
    civic(city, holder_of(city).part, "condition", "bind", grant, condition, *signs)
    (listed,) = civic(city, PLANNING, "condition", "list", "--keeper", KEEPER.number)["conditions"]
    assert (listed["id"], listed["kind"], listed["status"]) == (condition, "case", "open")
    assert listed["commitment"] == document_hash(kept)
    civic(city, KEEPER, "condition", "close", condition, "--reason", "closed", *signs)
    with pytest.raises(ServiceProblem) as refused:
        read(city)
    assert refused.value.reasons == ["grant.condition-ended"]


def test_condition_end_carries_a_revoke(city: City) -> None:
    condition, holder = bound(city), holder_of(city)
    revoke = sign_act(draft_revocation(city.grants["air-planning"]), city.trust, [holder.secrets["steward"]])
    hand_in(city, city.of(KEEPER), draft_end(condition, "withdrawn", revoke=revoke))
    with pytest.raises(ServiceProblem) as refused:
        read(city)
    assert refused.value.reasons == ["grant.revoked"]


def test_condition_state_comes_from_the_chain_not_the_database(city: City) -> None:
    """A person who writes the database cannot open a condition again."""
    condition = bound(city)
    hand_in(city, city.of(KEEPER), draft_end(condition, "withdrawn"))
    with sqlite3.connect(city.home / IN_HOME) as database:
        database.execute("DELETE FROM grant_condition")
        database.execute("UPDATE sharing_condition SET state = 1")
    with pytest.raises(ServiceProblem) as refused:
        read(city)
    assert refused.value.reasons == ["grant.condition-ended"]


def test_installation_without_conditions_contract_refuses_with_code(home: Path) -> None:
    """An installation from before conditions: its grants work, and acts about conditions are refused with a code."""
    document = json.loads((home / "civic.json").read_text())
    document["deployment"]["addresses"].pop("Conditions")
    (home / "civic.json").write_text(json.dumps(document))
    city = open_city(home)
    try:
        read(city)
        draft = draft_condition(f"{KEEPER.number}.1", "consent", new_opening("form 17"))
        with pytest.raises(ServiceProblem) as refused:
            hand_in(city, city.of(KEEPER), draft)
        assert refused.value.code == "act.contract-missing"
    finally:
        city.service.stop()
