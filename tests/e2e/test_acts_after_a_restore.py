"""A home restored from a backup: what officers revoked after the backup stays revoked."""

from __future__ import annotations

import hashlib
import io
import json
import os
import shutil
import sqlite3
import tarfile
import time
from collections.abc import Iterator
from contextlib import AbstractContextManager, contextmanager, nullcontext, redirect_stdout
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any
from unittest.mock import patch

import pytest
from sqlalchemy import create_engine, text

from access_policy.terms.templates import agreement
from api.cli.lost_acts import lost_act_words
from api.cli.main import main
from api.demo.city import City, wait_for_anchor
from api.demo.governing import AIR, AIR_POLICY, PENSION_CHECK
from api.demo.participants import AUDIT, BUREAU, EDUCATION, ELDER_CARE, ENVIRONMENT, PLANNING, PUBLIC_SECURITY
from api.demo.process import ServiceProcess
from api.sdk.acts import ActDraft, sign_act, write_act
from api.sdk.drafts import (
    NewServiceKey,
    acceptance_of,
    deadline_in,
    draft_grant,
    draft_officer_removal,
    draft_revocation,
    draft_service_key,
    draft_service_key_removal,
    draft_suspension,
)
from api.sdk.errors import ServiceProblem
from ledger.audit.formats.checkpoint import Origin
from ledger.audit.verify.acts import ACTS
from ledger.audit.verify.strict import write_json
from ledger.ids import asset_iri, department_iri, parse_asset
from tests.simulators.city import founded_home, open_city, reconnect
from tests.simulators.postgres import copied_database, ordinary_database

STORES = ["sqlite", pytest.param("postgresql", marks=(pytest.mark.drill, pytest.mark.needs("postgresql")))]

BACKED_UP = shutil.ignore_patterns("departments", "gateway.lock")
"""The operator cannot restore the departments' machines."""


def civic(*arguments: object, code: int = 0, **environment: str) -> dict[str, Any]:
    with patch.dict(os.environ, environment), redirect_stdout(io.StringIO()) as out:
        assert main([*map(str, arguments), "--json"]) == code, out.getvalue()
    document: dict[str, Any] = json.loads(out.getvalue().splitlines()[-1])
    return document


def restore(saved: Path, home: Path) -> None:
    """Restore the whole home: chain, database, keys and all other files."""
    for one in home.iterdir():
        if one.name != "departments":
            shutil.rmtree(one) if one.is_dir() else one.unlink()
    shutil.copytree(saved, home, dirs_exist_ok=True)


def epoch_act(city: City, kept: dict[str, Any], path: Path) -> Path:
    """The council signs a NewEpoch that keeps the newest head on the restored chain."""
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
        "epoch": 1,
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
    """A restored home, and a bundle that an auditor exported before the loss; ``old`` is that of an earlier
    version."""

    home: Path
    database: str
    server: str
    bundle: Path
    old: Path
    act: Path
    acts: dict[str, ActDraft] = field(default_factory=dict)

    def copied(self, to: Path) -> AbstractContextManager[tuple[Path, dict[str, str]]]:
        """A copy of home and database for one recovery, and the environment to open it in."""
        return copied_home(self.home, self.database, self.server, to)


@contextmanager
def copied_home(home: Path, url: str, server: str, to: Path) -> Iterator[tuple[Path, dict[str, str]]]:
    """A copy of a home with its database, and the environment to open it in."""
    copy = Path(shutil.copytree(home, to))
    if not server:
        yield copy, {}
        return
    with copied_database(server, url) as database:
        environment = {"CIVIC_DATABASE_URL": database}
        civic("home", "move", "--home", copy, **environment)
        yield copy, environment


def without_acts(bundle: Path, path: Path) -> Path:
    """The same bundle in the form of a version that exported no acts."""
    with tarfile.open(bundle) as tar:
        tar.extractall(path, filter="data")
    (path / ACTS).unlink()
    manifest = json.loads((path / "manifest.json").read_bytes())
    del manifest["acts"]
    (path / "manifest.json").write_bytes(write_json(manifest))
    return path


@pytest.fixture(scope="module", params=STORES)
def founded_in(
    request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[tuple[Path, str, str]]:
    """A founded home, the URL of its database, and the database server."""
    if request.param == "sqlite":
        yield request.getfixturevalue("founded"), "", ""
        return
    server = request.getfixturevalue("postgres_server")
    with ordinary_database(server) as url, pytest.MonkeyPatch.context() as patch:
        patch.setenv("CIVIC_DATABASE_URL", url)
        home = founded_home(tmp_path_factory.mktemp("founded") / "city")
        patch.undo()
        yield home, url, server


@pytest.fixture(scope="module")
def loss(founded_in: tuple[Path, str, str], tmp_path_factory: pytest.TempPathFactory) -> Iterator[Loss]:
    work = tmp_path_factory.mktemp("lost-acts")
    server = founded_in[2]
    with copied_home(*founded_in, work / "city") as (home, environment):
        city = open_city(home, CIVIC_ANCHOR_EVERY_S="1", **environment)
        city.of(PLANNING).civic.read(city.assets["air_quality"], AIR_POLICY, {"limit": 1})
        kept = wait_for_anchor(city, 20)
        assert kept is not None
        city.service.stop()
        saved = Path(shutil.copytree(home, work / "saved", ignore=BACKED_UP))
        live = environment.get("CIVIC_DATABASE_URL", "")
        with copied_database(server, live) if server else nullcontext("") as backup:
            city = open_city(home, **environment)
            acts = lost_part(city)
            city.of(AUDIT).civic.export(work / "bundle.tar")
            city.service.stop()
            restore(saved, home)
            old = without_acts(work / "bundle.tar", work / "old")
            late = acts["key"].message["deadline"] + 1.5 - time.time()
            act = epoch_act(city, kept, work / "epoch.json")
            time.sleep(max(0.0, late))
            yield Loss(home, backup, server, work / "bundle.tar", old, act, acts)


def lost_part(city: City) -> dict[str, ActDraft]:
    """The acts of officers after the backup; the removal of a key has a deadline that soon passes."""
    environment, police, education = city.of(ENVIRONMENT), city.of(PUBLIC_SECURITY), city.of(EDUCATION)
    planning = city.of(PLANNING)
    weather = city.assets["weather"]
    machine = NewServiceKey("5e" * 32, roles=("reader",))
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
            draft_service_key_removal(
                EDUCATION.number, education.service.public, epoch=1, deadline=deadline_in(15)
            ),
            city.trust,
            [education.secrets["admin"]],
        ),
        "seat": sign_act(
            draft_officer_removal(environment.keys["cdo"].public, epoch=1),
            city.trust,
            [environment.secrets["cdo"]],
        ),
        "given": sign_act(
            draft_service_key(PLANNING.number, machine, epoch=1), city.trust, [planning.secrets["admin"]]
        ),
        "stop": sign_act(draft_suspension(weather, "a test"), city.trust, [environment.secrets["steward"]]),
        "share": sign_act(granted(city), city.trust, [environment.secrets["steward"]]),
        "lift": sign_act(
            draft_suspension(weather, "over", lift=True), city.trust, [environment.secrets["steward"]]
        ),
    }
    for act in acts.values():
        assert hand_in(city, act)["state"] == "recorded"
    with pytest.raises(ServiceProblem, match="revoked"):
        planning.civic.read(city.assets["air_quality"], AIR_POLICY, {"limit": 1})
    return acts


@pytest.fixture(scope="module")
def recovered(loss: Loss, tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[City, dict[str, Any]]]:
    """After a recovery with a bundle that has no signed acts."""
    with loss.copied(tmp_path_factory.mktemp("recovered") / "city") as (home, environment):
        made = civic("audit", "epoch", "--home", home, "--act", loss.act, "--lost", loss.old, **environment)
        city = open_city(home, **environment)
        yield city, made | {"environment": environment}
        city.service.stop()


@pytest.fixture(scope="module")
def carried(loss: Loss, tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[City, dict[str, Any]]]:
    """After a recovery with a bundle that has them."""
    with loss.copied(tmp_path_factory.mktemp("carried") / "city") as (home, environment):
        made = civic(
            "audit", "epoch", "--home", home, "--act", loss.act, "--lost", loss.bundle, **environment
        )
        city = open_city(home, **environment)
        yield city, made
        city.service.stop()


def test_lost_acts_that_the_chain_still_accepts_are_sent_again(
    carried: tuple[City, dict[str, Any]], loss: Loss
) -> None:
    """Only the act that is too late is held: the removal of a key, whose deadline has passed."""
    city, made = carried
    states = {(one["event"], one["state"]): one.get("why") for one in made["acts"]}
    assert states == {
        ("Revoked", "applied"): None,
        ("AssetSuspended", "applied"): None,
        ("AssetLifted", "applied"): None,
        ("ServiceKeyRemoved", "held"): "act.expired",
        ("OfficerRemoved", "applied"): None,
        ("ServiceKeyAdded", "applied"): None,
        ("Granted", "applied"): None,
    }
    auditor = city.of(AUDIT).civic
    assert [one["event"] for one in auditor.status()["held"]] == ["ServiceKeyRemoved"]
    assert auditor.grant(city.grants["air-planning"])["status"] == "revoked"
    assert auditor.dataset(city.assets["population_register"])["status"] == "suspended"
    assert auditor.dataset(city.assets["weather"])["status"] == "active"
    keys = {key["key"] for key in auditor.department(PLANNING.number)["service_keys"]}
    assert any("5e" * 32 in key for key in keys)
    with pytest.raises(ServiceProblem) as refused:
        city.of(PLANNING).civic.read(city.assets["air_quality"], AIR_POLICY, {"limit": 1})
    assert refused.value.reasons == ["grant.revoked"]
    for name in ("grant", "asset", "seat"):
        assert hand_in(city, loss.acts[name])["state"] == "recorded", "it is one act, and on record"


def granted(city: City) -> ActDraft:
    """A grant of air readings to the elder care department that was not accepted yet."""
    asset, begin = city.assets["air_quality"], datetime.now(UTC).replace(microsecond=0)
    document = agreement(
        department_iri(ENVIRONMENT.number),
        department_iri(ELDER_CARE.number),
        asset_iri(parse_asset(asset)),
        columns=AIR,
        purposes=(AIR_POLICY,),
        not_before=begin,
        expiry=begin + timedelta(days=30),
        law=("PIPL art. 6",),
    )
    times = {
        "not_before": int(begin.timestamp()),
        "expiry": int((begin + timedelta(days=30)).timestamp()),
    }
    return draft_grant(asset, ELDER_CARE.number, document, max_uses=2**32 - 1, **times)


def test_lost_agreement_of_a_grant_can_be_handed_in_again(
    carried: tuple[City, dict[str, Any]], loss: Loss, tmp_path: Path
) -> None:
    """As docs/audit.md says: the grant is recorded, permits nothing, and the department submits its act file
    again."""
    city, made = carried
    act = loss.acts["share"]
    [told] = [one for one in made["acts"] if "documents_missing" in one]
    assert told["event"] == "Granted"
    assert told["documents_missing"] == [act.message["termsHash"]]
    assert "civic submit FILE" in lost_act_words(told)
    reader, asset = city.of(ELDER_CARE), city.assets["air_quality"]
    assert reader.civic.grant(act.id)["status"] == "terms-missing"
    with pytest.raises(ServiceProblem) as refused:
        reader.civic.read(asset, AIR_POLICY, {"limit": 1}, grant=act.id)
    assert refused.value.reasons == ["grant.terms-missing"]
    file = tmp_path / "grant.json"
    foreign = replace(act, documents=({"another": "document"},))
    write_act(file, foreign)
    profile = ("--profile", city.of(ENVIRONMENT).directory)
    assert civic("submit", file, *profile)["state"] == "recorded"
    assert reader.civic.grant(act.id)["status"] == "terms-missing", "what the grant does not name is not kept"
    file.unlink()
    write_act(file, act)
    answer = civic("submit", file, *profile)
    assert (answer["state"], answer["documents"]) == ("recorded", [act.message["termsHash"]])
    assert civic("submit", file, *profile).get("documents") is None, "it is here already"
    assert reader.civic.grant(act.id)["status"] == "not-accepted"
    accepted = sign_act(acceptance_of(act.message), city.trust, [reader.secrets["steward"]])
    reader.civic.accept(act.id, accepted.signatures[0])
    assert list(reader.civic.read(asset, AIR_POLICY, {"columns": ["pm25"], "limit": 1}, grant=act.id).rows())


def test_document_lost_from_the_database_alone_can_be_handed_in_again(home: Path, tmp_path: Path) -> None:
    """The chain has the grant, and the restored database does not have its act."""
    city = open_city(home)
    act = sign_act(granted(city), city.trust, [city.of(ENVIRONMENT).secrets["steward"]])
    hand_in(city, act)
    city.service.stop()
    with sqlite3.connect(home / "ledger.sqlite") as database:
        named = act.message["termsHash"].removeprefix("0x")
        assert database.execute("DELETE FROM document WHERE sha256 = ?", (named,)).rowcount == 1
        database.execute("DELETE FROM outbox_act WHERE digest = ?", (digest_of(city, act),))
    city.service = ServiceProcess(home)
    reconnect(city)
    try:
        assert city.of(ELDER_CARE).civic.grant(act.id)["status"] == "terms-missing"
        write_act(tmp_path / "grant.json", act)
        profile = ("--profile", city.of(ENVIRONMENT).directory)
        answer = civic("submit", tmp_path / "grant.json", *profile)
        assert (answer["state"], answer["documents"]) == ("documents-kept", [act.message["termsHash"]])
        assert city.of(ELDER_CARE).civic.grant(act.id)["status"] == "not-accepted"
    finally:
        city.service.stop()


def digest_of(city: City, act: ActDraft) -> str:
    return "0x" + act.digest(city.trust).hex()


def test_revoked_grant_stays_denied_after_the_recovery(recovered: tuple[City, dict[str, Any]]) -> None:
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
        ("AssetSuspended", city.assets["weather"]): "gone",
    }, "a dataset that was lifted in the lost part as well is not held"
    assert {one["why"] for one in made["acts"]} == {"act.not-in-bundle"}
    status = city.of(AUDIT).civic.status()
    said = {(one["event"], one["target"]) for one in status["held"]}
    assert said == {act for act, state in states.items() if state == "held"}
    entries = [hit["entry"] for hit in city.of(AUDIT).civic.entries(type="log:act:held")]
    held = {one["entry"] for one in made["acts"] if one["state"] == "held"}
    assert {entry["facts"]["lost_entry"] for entry in entries} == held


def test_held_acts_are_shown_in_every_list(recovered: tuple[City, dict[str, Any]]) -> None:
    city, _ = recovered
    civic_of = city.of(AUDIT).civic
    grant = city.grants["air-planning"]
    assert civic_of.grant(grant)["status"] == "lost-act"
    assert grant in [one["id"] for one in civic_of.grants(status="lost-act")]
    assert civic_of.dataset(city.assets["population_register"])["held"]
    assert not civic_of.dataset(city.assets["air_quality"])["held"]
    assert not civic_of.dataset(city.assets["weather"])["held"]
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


def test_deleting_the_rows_of_holds_releases_nothing(recovered: tuple[City, dict[str, Any]]) -> None:
    """The log records what is held, and fsck names the missing rows. The later tests do not need these
    rows."""
    city, made = recovered
    held = city.of(AUDIT).civic.status()["held"]
    engine = create_engine(
        made["environment"]
        .get("CIVIC_DATABASE_URL", f"sqlite:///{city.home / 'ledger.sqlite'}")
        .replace("postgresql:", "postgresql+psycopg:")
    )
    with engine.begin() as database:
        database.execute(text("UPDATE lost_act SET lifted_block = 1 WHERE kind = 'asset'"))
        database.execute(text("DELETE FROM lost_act WHERE kind <> 'asset'"))
    engine.dispose()
    with pytest.raises(ServiceProblem) as refused:
        city.of(PLANNING).civic.read(city.assets["air_quality"], AIR_POLICY, {"limit": 1})
    assert refused.value.reasons == ["grant.lost-act"]
    test_a_removed_key_a_suspended_dataset_and_a_removed_officer_stay_refused(recovered)
    assert city.of(AUDIT).civic.status()["held"] == held
    said = civic("audit", "fsck", "--home", city.home, code=1, **made["environment"])
    assert [one["code"] for one in said["damage"]] == ["fsck.hold"] * len(held)


def test_holds_outlive_a_restart_and_end_when_the_department_signs_again(
    recovered: tuple[City, dict[str, Any]],
) -> None:
    city, made = recovered
    recovered_in = made["environment"]
    city.service.kill()
    city.service = ServiceProcess(city.home, environment=recovered_in)
    reconnect(city)
    with pytest.raises(ServiceProblem) as refused:
        city.of(PLANNING).civic.read(city.assets["air_quality"], AIR_POLICY, {"limit": 1})
    assert refused.value.reasons == ["grant.lost-act"]
    environment, police = city.of(ENVIRONMENT), city.of(PUBLIC_SECURITY)
    register = city.assets["population_register"]
    again = [
        sign_act(
            draft_officer_removal(environment.keys["cdo"].public, epoch=1),
            city.trust,
            [environment.secrets["cdo"]],
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


def test_without_a_bundle_the_answer_counts_what_is_live_again(loss: Loss, tmp_path: Path) -> None:
    with loss.copied(tmp_path / "city") as (home, environment):
        made = civic("audit", "epoch", "--home", home, "--act", loss.act, "--lost", "none", **environment)
    assert made["alive_again"]["grants"] == 9
    assert made["alive_again"]["service_keys"] == 8
    assert made["acts"] == []
    assert made["alive_again"]["since"]


def test_mark_of_a_lost_epoch_is_renamed(loss: Loss, tmp_path: Path) -> None:
    """Only after the council's act is accepted, because this chain does not know the later epoch."""
    with loss.copied(tmp_path / "city") as (home, environment):
        civic("audit", "epoch", "--home", home, "--act", loss.act, "--lost", "none", **environment)
        shutil.rmtree(home)
    folder = tmp_path / "city.high-water"
    [later] = folder.glob("*-2")
    said = later.read_bytes()
    later.unlink()  # The database of the copy has another name, and a home with a later mark cannot be moved.
    with loss.copied(tmp_path / "city") as (home, environment):
        later.write_bytes(said)
        unsigned = json.loads(loss.act.read_text()) | {"signatures": []}
        (tmp_path / "unsigned.json").write_text(json.dumps(unsigned))
        refused = ("audit", "epoch", "--home", home, "--act", tmp_path / "unsigned.json", "--lost", "none")
        civic(*refused, code=1, **environment)
        assert later.read_bytes() == said
        made = civic("audit", "epoch", "--home", home, "--act", loss.act, "--lost", "none", **environment)
        aside = later.with_name(f"{later.name}.lost")
        assert made["set_aside"] == [str(aside)]
        assert aside.read_bytes() == said
        assert later.read_bytes() != said
        open_city(home, **environment).service.stop()


@pytest.mark.drill
def test_revocation_in_a_lost_epoch_stays_in_force(loss: Loss, tmp_path: Path) -> None:
    """The same backup is restored again; the bundle is of the epoch that began after the first loss."""
    with loss.copied(tmp_path / "city") as (home, environment):
        civic("audit", "epoch", "--home", home, "--act", loss.act, "--lost", loss.bundle, **environment)
        city = open_city(home, **environment)
        revoked = draft_revocation(city.grants["air-health"])
        steward = city.of(ENVIRONMENT).secrets["steward"]
        assert hand_in(city, sign_act(revoked, city.trust, [steward]))["state"] == "recorded"
        city.of(AUDIT).civic.export(tmp_path / "later.tar")
        city.service.stop()
        shutil.rmtree(home)
    [later] = (tmp_path / "city.high-water").glob("*-2")
    later.rename(tmp_path / "mark")  # as above
    with loss.copied(tmp_path / "city") as (home, environment):
        (tmp_path / "mark").rename(later)
        epoch = ("audit", "epoch", "--home", home, "--act", loss.act, "--lost", tmp_path / "later.tar")
        acts = [(one["event"], one["state"]) for one in civic(*epoch, **environment)["acts"]]
        assert acts.count(("Revoked", "applied")) == 2
        city = open_city(home, **environment)
        for grant in ("air-planning", "air-health"):
            assert city.of(AUDIT).civic.grant(city.grants[grant])["status"] == "revoked"
        city.service.stop()


def test_key_removal_survives_a_rolled_back_chain(founded_in: tuple[Path, str, str], tmp_path: Path) -> None:
    """The chain is lost, the database is not: the act is too old to be sent again."""
    with copied_home(*founded_in, tmp_path / "city") as (home, environment):
        older = tmp_path / "older"
        older.mkdir()
        for file in home.glob("chain.sqlite*"):
            shutil.copy(file, older)
        city = open_city(home, **environment)
        education = city.of(EDUCATION)
        removal = draft_service_key_removal(
            EDUCATION.number, education.service.public, epoch=1, deadline=deadline_in(15)
        )
        signed = sign_act(removal, city.trust, [education.secrets["admin"]])
        assert hand_in(city, signed)["state"] == "recorded"
        city.service.stop()
        time.sleep(max(0.0, removal.message["deadline"] + 1.5 - time.time()))
        for file in home.glob("chain.sqlite*"):
            file.unlink()
        for file in older.iterdir():
            shutil.copy(file, home)
        if environment:
            civic("home", "move", "--home", home, "--older-chain", **environment)
        city.service = ServiceProcess(home, environment=environment)
        reconnect(city)
        try:
            deadline = time.monotonic() + 20
            while not (held := city.of(AUDIT).civic.status()["held"]):
                assert time.monotonic() < deadline
                time.sleep(0.2)
            assert [one["event"] for one in held] == ["ServiceKeyRemoved"]
            with pytest.raises(ServiceProblem) as refused:
                city.of(EDUCATION).civic.read(city.assets["air_quality"], AIR_POLICY, {"limit": 1})
            assert refused.value.code == "signature.unknown-key"
        finally:
            city.service.stop()
