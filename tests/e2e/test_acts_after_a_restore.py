"""A home restored from a backup: what officers took back after the backup stays taken back."""

from __future__ import annotations

import hashlib
import io
import json
import os
import shutil
import time
from collections.abc import Iterator
from contextlib import redirect_stdout
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any
from unittest.mock import patch

import pytest

from api.cli.main import main
from api.demo.cast import AUDIT, BUREAU, EDUCATION, ELDER_CARE, ENVIRONMENT, PLANNING, PUBLIC_SECURITY
from api.demo.city import City, wait_for_anchor
from api.demo.governing import AIR_POLICY, PENSION_CHECK
from api.demo.process import ServiceProcess
from api.sdk.acts import ActDraft, sign_act
from api.sdk.drafts import (
    deadline_in,
    draft_officer_removal,
    draft_revocation,
    draft_service_key_removal,
    draft_suspension,
)
from api.sdk.errors import ServiceProblem
from ledger.audit.checkpoint import Origin
from tests.simulators.city import open_city, reconnect

BACKED_UP = shutil.ignore_patterns("departments", "gateway.lock")
"""The departments' own machines are not the operator's to restore."""


def civic(*arguments: object, code: int = 0, **environment: str) -> dict[str, Any]:
    with patch.dict(os.environ, environment), redirect_stdout(io.StringIO()) as out:
        assert main([*map(str, arguments), "--json"]) == code, out.getvalue()
    document: dict[str, Any] = json.loads(out.getvalue().splitlines()[-1])
    return document


def restore(saved: Path, home: Path) -> None:
    """The whole home as it was: chain, database, keys, and whatever else stands in it."""
    for one in home.iterdir():
        if one.name != "departments":
            shutil.rmtree(one) if one.is_dir() else one.unlink()
    shutil.copytree(saved, home, dirs_exist_ok=True)


def epoch_act(city: City, kept: dict[str, Any], path: Path) -> Path:
    """The council vouches for the newest head that the restored chain holds."""
    old = str(city.trust.document["origin"])
    new = str(Origin.parse(old).next())
    message = {
        "origin": "0x" + hashlib.sha256(old.encode()).hexdigest(),
        "lastSize": kept["size"],
        "lastRoot": kept["root"],
        "newOrigin": "0x" + hashlib.sha256(new.encode()).hexdigest(),
        "operator": BUREAU.number,
        "quorum": 0,
        "reason": "the newest backup ended here",
        "deadline": deadline_in(),
    }
    path.write_text(
        json.dumps(sign_act(ActDraft("NewEpoch", message), city.trust, city.council[:2]).to_json())
    )
    return path


def hand_in(city: City, act: ActDraft) -> dict[str, Any]:
    state: dict[str, Any] = city.of(AUDIT).civic.act(
        act.type, act.message, act.signatures, documents=act.documents
    )
    return state


@dataclass
class Loss:
    """A restored home, and a bundle that an auditor took before the loss."""

    home: Path
    bundle: Path
    act: Path
    acts: dict[str, ActDraft] = field(default_factory=dict)


@pytest.fixture(scope="module")
def loss(founded: Path, tmp_path_factory: pytest.TempPathFactory) -> Loss:
    work = tmp_path_factory.mktemp("lost-acts")
    home = Path(shutil.copytree(founded, work / "city"))
    city = open_city(home, CIVIC_ANCHOR_EVERY_S="1")
    city.of(PLANNING).civic.read(city.assets["air_quality"], AIR_POLICY, {"limit": 1})
    kept = wait_for_anchor(city, 20)
    assert kept is not None
    city.service.stop()
    saved = Path(shutil.copytree(home, work / "saved", ignore=BACKED_UP))
    city = open_city(home)
    environment, police, education = city.of(ENVIRONMENT), city.of(PUBLIC_SECURITY), city.of(EDUCATION)
    acts = {
        "grant": sign_act(
            draft_revocation(city.grants["air-planning"]), city.trust, [environment.secrets["steward"]]
        ),
        "asset": sign_act(
            draft_suspension(city.assets["population_register"], "a leak"),
            city.trust,
            [police.secrets["steward"]],
        ),
        "key": sign_act(
            draft_service_key_removal(EDUCATION.number, education.service.public),
            city.trust,
            [education.secrets["admin"]],
        ),
        "seat": sign_act(
            draft_officer_removal(environment.keys["cdo"].public),
            city.trust,
            [environment.secrets["cdo"]],
        ),
    }
    for act in acts.values():
        assert hand_in(city, act)["state"] == "recorded"
    with pytest.raises(ServiceProblem, match="revoked"):
        city.of(PLANNING).civic.read(city.assets["air_quality"], AIR_POLICY, {"limit": 1})
    city.of(AUDIT).civic.export(work / "bundle.tar")
    city.service.stop()
    restore(saved, home)
    return Loss(home, work / "bundle.tar", epoch_act(city, kept, work / "epoch.json"), acts)


@pytest.fixture(scope="module")
def recovered(loss: Loss, tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[City, dict[str, Any]]]:
    home = Path(shutil.copytree(loss.home, tmp_path_factory.mktemp("recovered") / "city"))
    made = civic("audit", "epoch", "--home", home, "--act", loss.act, "--lost", loss.bundle)
    city = open_city(home)
    yield city, made
    city.service.stop()


def test_a_revoked_grant_stays_dead_after_the_recovery(recovered: tuple[City, dict[str, Any]]) -> None:
    city, made = recovered
    assert made["lost"] > 0
    with pytest.raises(ServiceProblem) as refused:
        city.of(PLANNING).civic.read(city.assets["air_quality"], AIR_POLICY, {"limit": 1})
    assert refused.value.reasons in (["grant.lost-act"], ["grant.revoked"])


def test_every_lost_act_is_listed_with_its_entry(recovered: tuple[City, dict[str, Any]], loss: Loss) -> None:
    city, made = recovered
    states = {(one["event"], one["target"]): one["state"] for one in made["acts"] if "target" in one}
    education, cdo = city.of(EDUCATION).service.public, city.of(ENVIRONMENT).keys["cdo"].public
    assert states == {
        ("Revoked", city.grants["air-planning"]): "held",
        ("AssetSuspended", city.assets["population_register"]): "held",
        ("ServiceKeyRemoved", f"{EDUCATION.number}:0x{education}"): "held",
        ("OfficerRemoved", cdo): "held",
    }
    status = city.of(AUDIT).civic.status()
    assert {one["event"] for one in status["held"]} == {event for event, _ in states}
    entries = [hit["entry"] for hit in city.of(AUDIT).civic.entries(type="log:act:held")]
    assert {entry["facts"]["lost_entry"] for entry in entries} == {one["entry"] for one in made["acts"]}


def test_what_is_held_shows_in_every_list(recovered: tuple[City, dict[str, Any]]) -> None:
    city, _ = recovered
    civic_of = city.of(AUDIT).civic
    grant = city.grants["air-planning"]
    assert civic_of.grant(grant)["status"] == "lost-act"
    assert grant in [one["id"] for one in civic_of.grants(status="lost-act")]
    assert civic_of.dataset(city.assets["population_register"])["held"]
    assert not civic_of.dataset(city.assets["air_quality"])["held"]
    officers = {one["address"]: one["held"] for one in civic_of.department(ENVIRONMENT.number)["officers"]}
    assert [address for address, held in officers.items() if held] == [
        city.of(ENVIRONMENT).keys["cdo"].public
    ]
    [key] = civic_of.department(EDUCATION.number)["service_keys"]
    assert key["held"]


def test_a_removed_key_a_suspended_dataset_and_a_removed_officer_stay_refused(
    recovered: tuple[City, dict[str, Any]],
) -> None:
    city, _ = recovered
    with pytest.raises(ServiceProblem) as refused:
        city.of(EDUCATION).civic.read(city.assets["air_quality"], AIR_POLICY, {"limit": 1})
    assert refused.value.code == "signature.unknown-key"
    with pytest.raises(ServiceProblem) as refused:
        city.of(ELDER_CARE).civic.read(
            city.assets["population_register"], PENSION_CHECK, {"columns": ["citizen_id"]}
        )
    assert refused.value.reasons == ["grant.lost-act"]
    revoke = sign_act(
        draft_revocation(city.grants["air-health"]), city.trust, [city.of(ENVIRONMENT).secrets["cdo"]]
    )
    with pytest.raises(ServiceProblem) as refused:
        hand_in(city, revoke)
    assert refused.value.code == "act.lost-act"


def test_holds_outlive_a_restart_and_end_when_the_department_signs_again(
    recovered: tuple[City, dict[str, Any]],
) -> None:
    city, _ = recovered
    city.service.kill()
    city.service = ServiceProcess(city.home)
    reconnect(city)
    with pytest.raises(ServiceProblem) as refused:
        city.of(PLANNING).civic.read(city.assets["air_quality"], AIR_POLICY, {"limit": 1})
    assert refused.value.reasons == ["grant.lost-act"]
    environment, police = city.of(ENVIRONMENT), city.of(PUBLIC_SECURITY)
    register = city.assets["population_register"]
    again = [
        sign_act(
            draft_officer_removal(environment.keys["cdo"].public), city.trust, [environment.secrets["cdo"]]
        ),
        sign_act(draft_revocation(city.grants["air-planning"]), city.trust, [environment.secrets["steward"]]),
        sign_act(draft_suspension(register, "again"), city.trust, [police.secrets["steward"]]),
    ]
    for act in again:
        assert hand_in(city, act)["state"] == "recorded"
    held = {one["event"] for one in city.of(AUDIT).civic.status()["held"]}
    assert held == {"ServiceKeyRemoved"}
    assert city.of(AUDIT).civic.grant(city.grants["air-planning"])["status"] == "revoked"
    lifting = sign_act(
        draft_suspension(register, "mended", lift=True), city.trust, [police.secrets["steward"]]
    )
    assert hand_in(city, lifting)["state"] == "recorded"
    city.of(ELDER_CARE).civic.read(register, PENSION_CHECK, {"columns": ["citizen_id"]})


def test_without_a_bundle_the_operator_is_told_what_is_alive_again(loss: Loss, tmp_path: Path) -> None:
    home = Path(shutil.copytree(loss.home, tmp_path / "city"))
    made = civic("audit", "epoch", "--home", home, "--act", loss.act, "--lost", "none")
    assert made["alive_again"]["grants"] == 9
    assert made["alive_again"]["service_keys"] == 8
    assert made["acts"] == []
    assert made["alive_again"]["since"]


def test_a_key_removed_on_a_chain_that_was_rolled_back_stays_removed(city: City, tmp_path: Path) -> None:
    """The database is not lost, the chain is: the act is too old to be sent again."""
    city.service.stop()
    for file in city.home.glob("chain.sqlite*"):
        shutil.copy(file, tmp_path)
    city.service = ServiceProcess(city.home)
    reconnect(city)
    education = city.of(EDUCATION)
    removal = draft_service_key_removal(EDUCATION.number, education.service.public, deadline=deadline_in(6))
    assert hand_in(city, sign_act(removal, city.trust, [education.secrets["admin"]]))["state"] == "recorded"
    city.service.stop()
    time.sleep(max(0.0, removal.message["deadline"] + 1.5 - time.time()))
    for file in city.home.glob("chain.sqlite*"):
        file.unlink()
    for file in tmp_path.glob("chain.sqlite*"):
        shutil.copy(file, city.home)
    city.service = ServiceProcess(city.home)
    reconnect(city)
    deadline = time.monotonic() + 20
    while not (held := city.of(AUDIT).civic.status()["held"]):
        assert time.monotonic() < deadline
        time.sleep(0.2)
    assert [one["event"] for one in held] == ["ServiceKeyRemoved"]
    with pytest.raises(ServiceProblem) as refused:
        city.of(EDUCATION).civic.read(city.assets["air_quality"], AIR_POLICY, {"limit": 1})
    assert refused.value.code == "signature.unknown-key"
