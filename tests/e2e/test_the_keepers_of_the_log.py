"""Witnesses, erasure, the auditor's questions, replay, and a new epoch after a loss: on a running city."""

from __future__ import annotations

import hashlib
import json
import shutil
import subprocess
import sys
import time
from dataclasses import replace
from pathlib import Path
from typing import Any

import httpx
import pytest

from api.demo.city import City, wait_for_anchor
from api.demo.governing import AIR_POLICY, PENSION_CHECK
from api.demo.participants import AUDIT, BUREAU, ELDER_CARE, PASSPHRASE, PLANNING
from api.demo.process import ServiceDidNotStart, ServiceProcess
from api.protocol.errors import ClientError
from api.protocol.trust import Trust
from api.runtime.settings import read_home
from api.sdk.acts import read_act, sign_act
from api.sdk.client import Civic
from api.sdk.errors import ForkFound, NotWitnessed
from api.sdk.witnesses import Watch
from ledger.audit.formats.checkpoint import Origin, read_checkpoint
from ledger.audit.formats.errors import WitnessConflict
from ledger.audit.formats.note import VerifierKey
from ledger.audit.outside.witness import Answer, collect
from ledger.audit.verify import Trust as LogTrust
from ledger.audit.verify import verify_bundle
from ledger.audit.verify.receipts import verify_receipt
from tests.simulators.city import open_city, reconnect
from tests.simulators.foreign_witness import ForeignWitness


def civic(*arguments: object, timeout: int = 120) -> dict[str, Any]:
    done = subprocess.run(
        [sys.executable, "-m", "api.cli.main", *map(str, arguments), "--json"],
        capture_output=True,
        text=True,
        timeout=timeout,
    )
    assert done.returncode == 0, done.stdout + done.stderr
    document: dict[str, Any] = json.loads(done.stdout.splitlines()[-1])
    return document


def one_person(city: City) -> str:
    rows = (
        city.of(ELDER_CARE).civic.read(city.assets["population_register"], PENSION_CHECK, {"limit": 1}).rows()
    )
    return str(rows[0]["citizen_id"])


def test_readers_of_a_person_are_listed_and_erased(city: City) -> None:
    asset = city.assets["population_register"]
    person = one_person(city)
    query = {"where": {"column": "citizen_id", "op": "eq", "value": person}}
    point = city.of(ELDER_CARE).civic.read(asset, PENSION_CHECK, query)
    auditor = city.of(AUDIT).civic
    [found] = auditor.readers(asset, person)["named"]
    assert found["index"] == point.receipt.index
    assert person not in json.dumps(found["entry"])
    opened = auditor.openings(point.receipt.index)
    assert {"call", "decision", "source"} == set(opened)
    size = auditor.status()["log"]["size"]
    city.service.stop()
    erased = civic(
        "audit",
        "erase",
        "--home",
        city.home,
        "--asset",
        asset,
        "--subject",
        person,
        "--officer",
        "0x" + "11" * 20,
    )
    assert erased["erased"] == 2, "of the decision and of the answer"
    files = b"".join(path.read_bytes() for path in city.home.glob("ledger.sqlite*"))
    assert opened["decision"].encode() not in files
    city.service = ServiceProcess(city.home)
    reconnect(city)
    auditor = city.of(AUDIT).civic
    assert auditor.readers(asset, person)["named"] == []
    assert set(auditor.openings(point.receipt.index)) == {"call", "source"}
    assert auditor.status()["log"]["size"] > size
    assert auditor.receipt(point.receipt.index).leaf == point.receipt.leaf
    assert civic("audit", "fsck", "--home", city.home)["ok"]


def test_a_receipt_proves_its_entry_up_to_a_block_header(home: Path, tmp_path: Path) -> None:
    city = open_city(home, CIVIC_ANCHOR_EVERY_S="1")
    try:
        read = city.of(PLANNING).civic.read(city.assets["air_quality"], AIR_POLICY, {"limit": 1})
        assert wait_for_anchor(city, 20) is not None
        receipt = city.of(AUDIT).civic.receipt(read.receipt.index, anchored=True)
        assert receipt.leaf == read.receipt.leaf
        assert receipt.anchor is not None
        block = receipt.anchor["block_number"]
        document = {**city.trust.document, "blocks": {str(block): receipt.anchor["block_hash"]}}
        trust = LogTrust.parse(json.dumps(document))
        verdict = verify_receipt(receipt, trust)
        assert verdict.ok
        assert verdict.anchor == "anchor checked"
        other = LogTrust.parse(json.dumps(document | {"blocks": {str(block): "0x" + "12" * 32}}))
        assert not verify_receipt(receipt, other).ok
    finally:
        city.service.stop()


def test_all_decisions_are_replayed_with_the_same_result(city: City, tmp_path: Path) -> None:
    for purpose in (AIR_POLICY, "dpv:Marketing"):
        for _ in range(2):
            try:
                city.of(PLANNING).civic.read(city.assets["air_quality"], purpose, {"limit": 1})
            except ClientError:
                continue
    auditor = city.of(AUDIT).civic
    entries, grants = [], {}
    for item in auditor.entries(type="gateway:read:decided"):
        entries.append({"entry": item["entry"], "disclosures": auditor.openings(item["index"])})
        for grant in item["entry"].get("candidates", []):
            known = auditor.grant(grant)
            grants[grant] = {"terms": known["terms"], "agreement": known["agreement"]}
    record = tmp_path / "day.json"
    record.write_text(json.dumps({"entries": entries, "grants": grants}))
    verdicts = civic("policy", "replay", record)
    assert verdicts["same"] == len(entries) == 4
    assert verdicts["different"] == 0


def test_witness_cosigns_extensions_and_refuses_a_rollback(home: Path, tmp_path: Path) -> None:
    state = tmp_path / "witness"
    (state / "keys").mkdir(parents=True)
    (state / "keys" / "demo-passphrase").write_text(PASSPHRASE + "\n")
    made = civic(
        "witness", "init", "--state", state, "--trust", home / "trust.json", "--name", "audit.city.example"
    )
    process = subprocess.Popen(
        [sys.executable, "-m", "api.cli.main", "witness", "serve", "--state", str(state), "--port", "0"],
        stdout=subprocess.PIPE,
        text=True,
    )
    assert process.stdout is not None
    told = json.loads(process.stdout.readline())
    environment = {"CIVIC_WITNESSES": json.dumps({told["url"]: made["vkey"]}), "CIVIC_ANCHOR_EVERY_S": "1"}
    yesterday = Path(shutil.copytree(home, tmp_path / "yesterday"))
    city = open_city(home, **environment)
    try:
        city.of(PLANNING).civic.read(city.assets["air_quality"], AIR_POLICY, {"limit": 1})
        assert wait_for_anchor(city, 20) is not None
        bundle = tmp_path / "bundle.tar"
        city.of(AUDIT).civic.export(bundle)
        document = {**city.trust.document, "witnesses": [made["vkey"]], "quorum": 1}
        trust = tmp_path / "trust.json"
        trust.write_text(json.dumps(document))
        verdict = verify_bundle(bundle, trust)
        assert verdict.word == "verified", verdict.lines()
        assert any("audit.city.example" in said for said in verdict.held_elsewhere)
    finally:
        city.service.stop()
    try:
        with pytest.raises(ServiceDidNotStart, match=r"audit\.rollback.*audit\.city\.example stands at size"):
            open_city(yesterday, **environment)
        rolled_back = open_city(yesterday)  # An operator who hides a rollback does not use the witness.
        try:
            origin = str(rolled_back.trust.document["origin"])
            heads = f"{told['url']}/{hashlib.sha256(origin.encode()).hexdigest()}/checkpoint"
            seen = read_checkpoint(httpx.get(heads).raise_for_status().text)
            auditor = rolled_back.of(AUDIT).civic
            deadline = time.monotonic() + 20
            while auditor.status()["log"]["size"] <= seen.size:
                assert time.monotonic() < deadline
                rolled_back.of(PLANNING).civic.read(
                    rolled_back.assets["air_quality"], AIR_POLICY, {"limit": 2}
                )
            head = read_checkpoint(httpx.get(f"{rolled_back.service.url}/checkpoint").raise_for_status().text)
            assert head.size > seen.size

            def ask(body: str) -> Answer:
                said = httpx.post(f"{told['url']}/add-checkpoint", content=body)
                return Answer(said.status_code, said.text, said.headers["content-type"])

            with pytest.raises(WitnessConflict, match="does not cosign: 422"):
                collect(head, VerifierKey.parse(made["vkey"]), ask, auditor.consistency)
            now = read_checkpoint(httpx.get(heads).raise_for_status().text)
            assert now.checkpoint == seen.checkpoint
            url, reader = rolled_back.service.url, Trust.parse(document)
            with Civic(url, reader, tmp_path / "quorum") as client, pytest.raises(NotWitnessed):
                client.status()
            watch = Watch(urls={"audit.city.example": told["url"]})
            with Civic(url, reader, tmp_path / "asks", watch=watch) as client, pytest.raises(ForkFound):
                client.status()
        finally:
            rolled_back.service.stop()
        with pytest.raises(ServiceDidNotStart, match=r"audit\.rollback.*audit\.city\.example"):
            open_city(yesterday, **environment)  # Longer than the log that the witness saw, and another log.
    finally:
        process.kill()
        process.wait()


def test_witness_of_another_project_is_supported_and_shown(home: Path, tmp_path: Path) -> None:
    """The witness of another project answers with a post-quantum line before the expected one."""
    with ForeignWitness() as foreign, ForeignWitness("lost.example") as lost:
        lost.mood = "post-quantum only"
        keys = {foreign.url: foreign.vkey, lost.url: lost.vkey}
        city = open_city(home, CIVIC_WITNESSES=json.dumps(keys), CIVIC_ANCHOR_EVERY_S="1")
        try:
            auditor = city.of(AUDIT).civic
            city.of(PLANNING).civic.read(city.assets["air_quality"], AIR_POLICY, {"limit": 1})
            bundle = tmp_path / "bundle.tar"
            auditor.export(bundle)
            good, bad = auditor.status()["log"]["witnesses"]
            assert (good["name"], good["key"], good["problem"]) == (foreign.name, foreign.vkey, None)
            assert good["cosigned"]["size"] == foreign.seen
            assert (bad["name"], bad["cosigned"], bad["problem"]) == (lost.name, None, "audit.witness_key")
            document = {
                **city.trust.document,
                "witnesses": [foreign.post_quantum_vkey, foreign.vkey],
                "quorum": 1,
            }
            (tmp_path / "trust.json").write_text(json.dumps(document))
            verdict = verify_bundle(bundle, tmp_path / "trust.json")
            assert verdict.word == "verified", verdict.lines()
            tile = httpx.get(f"{city.service.url}/tile/0/000.p/1")
            assert tile.headers["cache-control"] == "public, max-age=86400"
            assert httpx.get(f"{city.service.url}/checkpoint").headers["cache-control"] == "no-cache"
        finally:
            city.service.stop()


def test_after_a_lossy_restore_the_council_opens_a_new_epoch(home: Path, tmp_path: Path) -> None:
    city = open_city(home, CIVIC_ANCHOR_EVERY_S="1")
    old = str(city.trust.document["origin"])
    assert wait_for_anchor(city, 20) is not None
    city.service.stop()
    saved = tmp_path / "saved"
    saved.mkdir()
    for file in city.home.glob("ledger.sqlite*"):
        shutil.copy(file, saved)
    city.service = ServiceProcess(city.home, environment={"CIVIC_ANCHOR_EVERY_S": "1"})
    reconnect(city)
    planning = city.of(PLANNING).civic
    planning.read(city.assets["air_quality"], AIR_POLICY, {"limit": 1})
    assert wait_for_anchor(city, 20) is not None
    city.service.stop()
    for stale in city.home.glob("ledger.sqlite*"):
        stale.unlink()
    for file in saved.iterdir():
        shutil.copy(file, city.home)
    with pytest.raises(ClientError) as refused:
        ServiceProcess(city.home)
    assert "audit.rollback" in refused.value.message
    new = str(Origin.parse(old).next())
    kept = civic("audit", "fsck", "--home", city.home)["head"]
    draft = tmp_path / "draft.json"
    civic(
        *("audit", "new-epoch", BUREAU.number, "--size", kept["size"], "--root", kept["root"], "--epoch", 1),
        *("--reason", "the disk of the database was lost; the newest backup ended here"),
        *("--profile", city.of(BUREAU).directory, "--save", draft),
    )
    act = tmp_path / "epoch.json"
    unsigned = replace(read_act(draft), signatures=())  # Signed by the bureau's own officer, who drafted it.
    by_one = sign_act(unsigned, city.trust, city.council[:1])
    act.write_text(json.dumps(by_one.to_json()))
    refused_run = subprocess.run(
        [
            sys.executable,
            "-m",
            "api.cli.main",
            "audit",
            "epoch",
            "--home",
            str(city.home),
            "--act",
            str(act),
            "--lost",
            "none",
            "--json",
        ],
        capture_output=True,
        text=True,
        timeout=60,
    )
    assert refused_run.returncode == 1
    assert "CouncilQuorum" in refused_run.stdout
    act.write_text(json.dumps(sign_act(unsigned, city.trust, city.council[:2]).to_json()))
    made = civic("audit", "epoch", "--home", city.home, "--act", act, "--lost", "none")
    assert made["origin"] == new
    assert made["proven"] is False, "the nodes of the lost entries are in nobody's hands"
    assert read_home(city.home).epoch == 2
    city.service = ServiceProcess(city.home)
    with pytest.raises(ClientError):
        Civic(city.service.url, city.trust, tmp_path / "state").status()
    city.trust = Trust.read(city.home / "trust.json")
    reconnect(city)
    city.of(PLANNING).civic.read(city.assets["air_quality"], AIR_POLICY, {"limit": 1})
    assert VerifierKey.parse(str(city.trust.document["log_key"])).name == new
    city.service.stop()
