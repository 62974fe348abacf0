"""Uses after a lossy restore: they are counted again from the chain and from bundles of others, and no
further."""

from __future__ import annotations

import hashlib
import io
import json
import os
import shutil
import sqlite3
import time
from contextlib import redirect_stdout
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from unittest.mock import patch

import pytest

from api.cli.main import main
from api.demo.city import City, wait_for_anchor
from api.demo.governing import AIR_POLICY
from api.demo.participants import AUDIT, BUREAU, PLANNING
from api.runtime.settings import read_home
from api.sdk.acts import ActDraft, sign_act
from api.sdk.drafts import deadline_in
from ledger.audit.formats.checkpoint import Origin
from tests.simulators.city import open_city

OFTEN = {"CIVIC_ANCHOR_EVERY_S": "1", "CIVIC_RECORD_USE_EVERY_S": "1"}
SELDOM = {"CIVIC_ANCHOR_EVERY_S": "1", "CIVIC_RECORD_USE_EVERY_S": "3600"}


def civic(*arguments: object, code: int = 0, **environment: str) -> dict[str, Any]:
    with patch.dict(os.environ, environment), redirect_stdout(io.StringIO()) as out:
        assert main([*map(str, arguments), "--json"]) == code, out.getvalue()
    document: dict[str, Any] = json.loads(out.getvalue().splitlines()[-1])
    error: dict[str, Any] = document.get("error", document)
    return error


def read(city: City, times: int) -> None:
    for _ in range(times):
        city.of(PLANNING).civic.read(city.assets["air_quality"], AIR_POLICY, {"limit": 1})


def charged(home: Path, grant: str) -> int:
    with sqlite3.connect(home / "ledger.sqlite") as database:
        [(used,)] = database.execute("SELECT used FROM grant_charge WHERE grant_id = ?", (grant,))
    return int(used)


def on_chain(home: Path, grant: str) -> int:
    """The total of uses on the chain, as the service followed it."""
    with sqlite3.connect(home / "ledger.sqlite") as database:
        [(uses,)] = database.execute("SELECT uses FROM sharing_grant WHERE id = ?", (grant,))
    return int(uses)


@dataclass(frozen=True)
class LostUses:
    """A home with an older database: 1 of 6 uses is in it, 3 are on the chain, 5 in an auditor's bundle."""

    home: Path
    grant: str
    bundle: Path
    act: Path
    lost: int


@pytest.fixture(scope="module")
def loss(founded: Path, tmp_path_factory: pytest.TempPathFactory) -> LostUses:
    work = tmp_path_factory.mktemp("loss")
    home = Path(shutil.copytree(founded, work / "city"))
    city = open_city(home, **SELDOM)
    grant = city.grants["air-planning"]
    read(city, 1)
    city.service.stop()
    (work / "saved").mkdir()
    for file in home.glob("ledger.sqlite*"):
        shutil.copy(file, work / "saved")
    city = open_city(home, **OFTEN)
    read(city, 2)
    deadline = time.monotonic() + 30
    while on_chain(home, grant) < 3:
        assert time.monotonic() < deadline, on_chain(home, grant)
        time.sleep(0.2)
    city.service.stop()
    city = open_city(home, **SELDOM)
    read(city, 2)
    city.of(AUDIT).civic.export(work / "bundle.tar")
    read(city, 1)
    assert wait_for_anchor(city, 20) is not None
    size = city.of(AUDIT).civic.status()["log"]["size"]
    city.service.stop()
    city = open_city(
        home, **(SELDOM | {"CIVIC_ANCHOR_EVERY_S": "3600"})
    )  # The entries that the export adds are not anchored.
    city.of(AUDIT).civic.export(work / "whole.tar")
    city.service.stop()
    assert charged(home, grant) == 6
    for stale in home.glob("ledger.sqlite*"):
        stale.unlink()
    for file in (work / "saved").iterdir():
        shutil.copy(file, home)
    assert charged(home, grant) == 1
    kept = civic("audit", "fsck", "--home", home)["head"]
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
    act = work / "epoch.json"
    act.write_text(
        json.dumps(sign_act(ActDraft("NewEpoch", message), city.trust, city.council[:2]).to_json())
    )
    return LostUses(home, grant, work / "bundle.tar", act, size - kept["size"])


@pytest.fixture
def restored(loss: LostUses, tmp_path: Path) -> Path:
    return Path(shutil.copytree(loss.home, tmp_path / "city"))


def test_uses_recorded_on_chain_are_restored(loss: LostUses, restored: Path) -> None:
    made = civic("audit", "epoch", "--home", restored, "--act", loss.act, "--lost", "none")
    assert charged(restored, loss.grant) == 3
    assert made["recounted"] >= 1
    assert made["proven"] is False
    assert made["lost"] >= loss.lost
    assert made["uncounted"] == made["lost"], "nobody's copy of the lost entries was given"


def test_later_bundle_restores_its_uses(loss: LostUses, restored: Path) -> None:
    made = civic("audit", "epoch", "--home", restored, "--act", loss.act, "--lost", loss.bundle)
    assert charged(restored, loss.grant) == 5
    assert made["proven"] is False, "the bundle ends before the anchored head"
    assert 0 < made["uncounted"] < made["lost"]
    city = open_city(restored)
    try:
        read(city, 1)
        assert charged(restored, loss.grant) == 6
    finally:
        city.service.stop()


def test_a_bundle_that_reaches_the_anchored_head_proves_what_was_kept(loss: LostUses, restored: Path) -> None:
    whole = loss.bundle.with_name("whole.tar")
    made = civic("audit", "epoch", "--home", restored, "--act", loss.act, "--lost", whole)
    assert (made["proven"], made["kept"]) == (True, json.loads(loss.act.read_text())["message"]["lastSize"])
    assert charged(restored, loss.grant) == 6


def test_bundle_of_another_log_changes_nothing(loss: LostUses, restored: Path, tmp_path: Path) -> None:
    forged = tmp_path / "forged.tar"
    forged.write_bytes(loss.bundle.read_bytes().replace(b'"permit"', b'"denied"', 1))
    for bundle in (forged, tmp_path / "nowhere.tar"):
        refused = civic("audit", "epoch", "--home", restored, "--act", loss.act, "--lost", bundle, code=1)
        assert refused["code"] == "audit.lost_entries"
    assert read_home(restored).epoch == 1
    assert charged(restored, loss.grant) == 1
    civic("audit", "epoch", "--home", restored, "--act", loss.act, "--lost", "none")


@pytest.mark.drill
def test_interrupted_epoch_run_is_repeated(loss: LostUses, restored: Path) -> None:
    """The chain has accepted the act and the log continues already, but the home could not be written."""
    in_the_way = restored / "civic.new"
    in_the_way.mkdir()
    civic("audit", "epoch", "--home", restored, "--act", loss.act, "--lost", "none", code=1)
    assert read_home(restored).epoch == 1
    in_the_way.rmdir()
    civic("audit", "epoch", "--home", restored, "--act", loss.act, "--lost", "none")
    assert read_home(restored).epoch == 2
    assert civic("audit", "fsck", "--home", restored)["ok"]
    city = open_city(restored)
    try:
        read(city, 1)
    finally:
        city.service.stop()
