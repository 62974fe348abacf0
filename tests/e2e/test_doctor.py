"""`civic doctor`: what is wrong with an installation is named with its remedy, and nothing is changed."""

from __future__ import annotations

import hashlib
import json
import os
import shutil
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from api.demo.city import City
from api.demo.governing import AIR_POLICY
from api.demo.participants import PLANNING
from api.demo.process import ServiceProcess
from api.http.problems import ADVICE
from api.operator.doctor import SEVERITIES
from api.runtime.settings import read_home


def doctor(home: Path, *more: str, **environment: str) -> tuple[int, dict[str, Any]]:
    """Exit code and document."""
    done = subprocess.run(
        [sys.executable, "-m", "api.cli.main", "doctor", "--home", str(home), "--json", *more],
        env={**os.environ, **environment},
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.stdout, done.stderr
    return done.returncode, json.loads(done.stdout)


def codes(document: dict[str, Any]) -> set[str]:
    return {one["code"] for one in document["findings"]}


def content(home: Path) -> dict[str, str]:
    """Every file of a home, with its digest and rights; SQLite's memory of readers changes without a write."""
    return {
        str(
            path.relative_to(home)
        ): f"{path.stat().st_mode:o} {hashlib.sha256(path.read_bytes()).hexdigest()}"
        for path in sorted(home.rglob("*"))
        if path.is_file() and not path.name.endswith(("-shm", "-wal"))
    }


@pytest.fixture
def stopped(city: City) -> Path:
    """A home whose service has run and is stopped."""
    city.service.stop()
    return city.home


def test_well_home_is_well_and_unchanged(stopped: Path) -> None:
    home = stopped
    before = content(home)
    code, document = doctor(home)
    assert (code, document["ok"], document["findings"]) == (0, True, [])
    assert document["log"]["size"] > 0
    assert document["files"] > 0
    assert document["revision"]["database"] == document["revision"]["program"]
    assert content(home) == before


def test_running_service_is_examined_and_goes_on(city: City) -> None:
    code, document = doctor(city.home)
    assert (code, codes(document) - {"doctor.acts-waiting"}) == (0, set())
    assert city.of(PLANNING).civic.status()["version"] == document["version"]


def test_every_fault_is_named_at_once_with_its_remedy(stopped: Path) -> None:
    home = stopped
    (home / "civic.json").chmod(0o644)
    shutil.rmtree(read_home(home).high_water_folder)
    (home / "keys" / "gateway.json").unlink()
    data = max(
        (path for path in (home / "data").rglob("*") if path.is_file()), key=lambda p: p.stat().st_size
    )
    data.write_bytes(data.read_bytes() + b"1")
    before = content(home)
    code, document = doctor(home)
    assert code == 1
    found = codes(document)
    assert {"doctor.permissions", "doctor.mark-missing", "fsck.source"} <= found
    assert any(one.startswith("keystore") for one in found)
    for one in document["findings"]:
        assert one["severity"] in ("error", "warning", "note")
        assert one["remedy"]
        assert one["zh"]["remedy"] not in ("", one["remedy"]), one["code"]
    assert content(home) == before, "nothing is repaired"
    assert not read_home(home).high_water_folder.exists()


def test_chain_of_another_home_and_a_missing_database_are_named(stopped: Path) -> None:
    home = stopped
    (home / "ledger.sqlite").rename(home / "elsewhere.sqlite")
    (home / "chain.sqlite").unlink()
    code, document = doctor(home)
    assert (code, codes(document)) == (1, {"home.database-missing", "chain.missing"})


def test_older_copy_of_the_log_is_named(city: City, tmp_path: Path) -> None:
    city.service.stop()
    shutil.copy(city.home / "ledger.sqlite", tmp_path / "older.sqlite")
    city.service = ServiceProcess(city.home)
    city.of(PLANNING).connect(city.service.url, city.trust)
    city.of(PLANNING).civic.read(city.assets["air_quality"], AIR_POLICY, {"limit": 1})
    city.service.stop()
    shutil.copy(tmp_path / "older.sqlite", city.home / "ledger.sqlite")
    for beside in ("ledger.sqlite-wal", "ledger.sqlite-shm"):
        (city.home / beside).unlink(missing_ok=True)
    code, document = doctor(city.home)
    assert (code, "home.contradicted" in codes(document)) == (1, True)


def test_directory_that_is_no_home_is_named(tmp_path: Path) -> None:
    code, document = doctor(tmp_path)
    assert (code, codes(document)) == (1, {"home.invalid"})


@pytest.mark.parametrize(("language", "word"), [("en", "Findings"), ("zh", "发现")])
def test_people_read_it_in_their_language(home: Path, language: str, word: str) -> None:
    (home / "civic.json").chmod(0o644)
    done = subprocess.run(
        [sys.executable, "-m", "api.cli.main", "doctor", "--home", str(home), "--lang", language],
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 1
    assert word in done.stdout
    assert "doctor.permissions" in done.stdout


def test_every_code_of_the_doctor_has_its_advice() -> None:
    assert SEVERITIES.keys() <= ADVICE.keys()
