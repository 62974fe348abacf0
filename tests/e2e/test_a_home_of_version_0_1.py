"""A home of version 0.1 is upgraded completely, on SQLite and on PostgreSQL: its log verifies, is searched and
exported, and everything that its contracts of the first edition lack is refused with one code."""

from __future__ import annotations

import json
import time
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from api.cli.main import main
from api.demo.city import Actor
from api.demo.participants import AUDIT, PLANNING, Part, load_department
from api.demo.process import ServiceProcess
from api.protocol.trust import Trust
from api.runtime.settings import read_home
from ledger.audit.verify import Trust as LogTrust
from ledger.audit.verify import verify_bundle
from tests.simulators.version_0_1 import home_on_postgresql, unpacked_home

REFUSED = "contracts.first-edition"
ENTRIES = 119
"""The number of entries in the log of either home of version 0.1."""


@dataclass
class OldCity:
    """The service of an upgraded home, and the clients of its departments."""

    home: Path
    trust: Trust
    service: ServiceProcess
    actors: dict[int, Actor]

    def of(self, part: Part) -> Actor:
        return self.actors[part.number]


@pytest.fixture(
    scope="module", params=["sqlite", pytest.param("postgresql", marks=pytest.mark.needs("postgresql"))]
)
def upgraded(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Iterator[OldCity]:
    root = tmp_path_factory.mktemp("old")
    if request.param == "sqlite":
        home = unpacked_home(root)
    else:
        home = home_on_postgresql(root, request.getfixturevalue("module_database"))
    assert main(["upgrade", "--home", str(home), "--json"]) == 0
    service = ServiceProcess(home, environment={"CIVIC_ANCHOR_EVERY_S": "1"})
    trust = Trust.read(home / "trust.json")
    actors = {}
    for part in (AUDIT, PLANNING):
        actors[part.number] = load_department(part, home / "departments")
        actors[part.number].connect(service.url, trust)
    try:
        yield OldCity(home, trust, service, actors)
    finally:
        service.stop()


@pytest.fixture(scope="module")
def module_database(postgres_server: str) -> Iterator[str]:
    from tests.simulators.postgres import ordinary_database

    with ordinary_database(postgres_server) as url:
        yield url


def test_log_is_searched_and_each_query_is_an_entry(upgraded: OldCity) -> None:
    auditor = upgraded.of(AUDIT).civic
    found = list(auditor.entries(decision="deny"))
    assert len(found) == 7, "every refusal of the demo"
    assert auditor.status()["log"]["size"] > ENTRIES


def test_exported_log_verifies_and_extends_an_earlier_bundle(upgraded: OldCity, tmp_path: Path) -> None:
    bundle = tmp_path / "bundle.tar"
    upgraded.of(AUDIT).civic.export(bundle)
    trust = LogTrust.load(upgraded.home / "departments" / "audit-office" / "trust.json")
    verdict = verify_bundle(bundle, trust)
    assert verdict.size >= ENTRIES
    taken = upgraded.home / "audit-bundle.tar"
    if taken.exists():
        assert verify_bundle(taken, trust).size <= verdict.size


def test_log_is_still_anchored_under_first_edition_contracts(upgraded: OldCity) -> None:
    auditor = upgraded.of(AUDIT).civic
    before = auditor.status()["chain"]["block"]
    end = time.monotonic() + 90
    while auditor.status()["chain"]["block"] == before and time.monotonic() < end:
        list(auditor.entries(decision="deny"))
        time.sleep(0.3)
    assert auditor.status()["chain"]["block"] > before
    assert auditor.status()["work"]["anchors"] is None


def test_the_status_says_which_edition_it_is(upgraded: OldCity) -> None:
    status = upgraded.of(AUDIT).civic.status()
    assert status["chain"]["edition"] == 1
    assert {status["work"][part] for part in ("chain", "acts", "uses")} == {REFUSED}
    assert status["held"] == []


CALLS: dict[str, tuple[str, str, Any]] = {
    "an act": ("POST", "/v1/acts", {"type": "Revoke", "message": {}, "signatures": ["0x" + "11" * 65]}),
    "an acceptance": ("POST", f"/v1/grants/0x{'11' * 32}/acceptance", {"signature": "0x" + "11" * 65}),
    "a read": ("POST", "/v1/read", {"asset": "6.1", "purpose": "dpv:PublicPolicyMaking"}),
    "a dry run": ("POST", "/v1/read", {"asset": "6.1", "purpose": "dpv:PublicPolicyMaking", "dry_run": True}),
    "a request": ("POST", "/v1/requests", {"asset": "6.1"}),
    "a file": ("PUT", "/v1/datasets/6.1/source", {}),
    "how grants stand": ("GET", "/v1/grants", None),
    "the catalogue": ("GET", "/v1/datasets", None),
    "who can": ("GET", "/v1/policy/who-can?asset=6.1", None),
    "conditions": ("GET", "/v1/conditions", None),
}


@pytest.mark.parametrize("what", CALLS)
def test_calls_that_first_edition_contracts_lack_are_refused_with_code_and_next_step(
    upgraded: OldCity, what: str
) -> None:
    method, path, document = CALLS[what]
    body = b"" if document is None else json.dumps(document).encode()
    size = upgraded.of(AUDIT).civic.status()["log"]["size"]
    headers = {"Content-Type": "application/json"} if body else {}
    answer = upgraded.of(PLANNING).civic.transport.call(method, path, body=body, headers=headers)
    problem = answer.json()
    assert (answer.status, problem["code"]) == (409, REFUSED)
    assert "civic init" in problem["next"]
    assert "civic init" in problem["zh"]["next"]
    assert upgraded.of(AUDIT).civic.status()["log"]["size"] == size


def test_fsck_finds_the_upgraded_log_intact(upgraded: OldCity, capsys: pytest.CaptureFixture[str]) -> None:
    capsys.readouterr()
    code = main(["audit", "fsck", "--home", str(upgraded.home), "--json"])
    [line] = capsys.readouterr().out.splitlines()
    found = json.loads(line)
    missing = [one for one in found["damage"] if one["code"] != "fsck.source"]
    assert missing == []
    assert found["edition"] == 1
    if (upgraded.home / "data").is_dir() and any((upgraded.home / "data").iterdir()):
        assert code == 0


def test_upgrade_changes_only_the_database_of_a_home(upgraded: OldCity) -> None:
    home = read_home(upgraded.home)
    assert home.id, "the home and its database name each other"
    assert not home.old_high_water_file.exists(), "the mark of the log stands outside"
    assert home.high_water_file.exists()
