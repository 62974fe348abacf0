"""The files of a running city are changed on disk: none of their data are released, and the change is
reported."""

from __future__ import annotations

import base64
import hashlib
import json
import os
import shutil
import sqlite3
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
import rfc8785

from api.cli.main import main
from api.demo.city import City, hand_in
from api.demo.datasets import dataset_path
from api.demo.governing import AIR_POLICY
from api.demo.participants import AUDIT, PLANNING
from api.sdk.drafts import draft_retirement, draft_version
from api.sdk.drafts import source_of as source_of_file
from api.sdk.errors import ServiceProblem
from ledger.audit.formats.source_opening import seal
from tests.simulators.city import TIDY, open_city, take_version

SMALL: dict[str, Any] = {"columns": ["pm25"], "limit": 3}


def charged(city: City) -> int:
    """Uses charged so far, of all grants."""
    with sqlite3.connect(f"file:{city.home / 'ledger.sqlite'}?mode=ro", uri=True) as database:
        return int(database.execute("SELECT coalesce(sum(used), 0) FROM grant_charge").fetchone()[0])


def source_of(city: City, key: str = "air_quality") -> Path:
    [file] = (city.home / "data" / city.assets[key]).iterdir()
    return file


def one_digit_another(file: Path) -> bytes:
    content = file.read_bytes()
    assert b"\nAQ01," in content
    return content.replace(b"\nAQ01,", b"\nAQ91,", 1)


def in_place(city: City) -> None:
    file = source_of(city)
    before = file.stat()
    file.write_bytes(one_digit_another(file))
    os.utime(file, ns=(before.st_atime_ns, before.st_mtime_ns))


def replaced(city: City) -> None:
    file = source_of(city)
    other = city.home / "other"
    other.write_bytes(one_digit_another(file))
    other.replace(file)


def another_assets_file(city: City) -> None:
    file = source_of(city)
    file.unlink()
    os.link(source_of(city, "weather"), file)


def link_to_another_assets_file(city: City) -> None:
    file = source_of(city)
    file.unlink()
    file.symlink_to(source_of(city, "weather"))


def folder_exchanged(city: City) -> None:
    folder = source_of(city).parent
    name = source_of(city).name
    folder.rename(city.home / "kept")
    shutil.copytree(source_of(city, "weather").parent, folder)
    next(folder.iterdir()).rename(folder / name)


ATTACKS = [in_place, replaced, another_assets_file, link_to_another_assets_file, folder_exchanged]


@pytest.fixture
def restored(shared_city: City) -> Iterator[City]:
    """The city; its files are restored after the test."""
    data, kept = shared_city.home / "data", shared_city.home / "data-as-it-was"
    shutil.copytree(data, kept)
    yield shared_city
    shutil.rmtree(shared_city.home / "kept", ignore_errors=True)
    for folder in data.iterdir():
        shutil.rmtree(folder)
    shutil.copytree(kept, data, dirs_exist_ok=True)
    shutil.rmtree(kept)


@pytest.mark.parametrize("attack", ATTACKS, ids=lambda attack: attack.__name__)
def test_changed_file_is_refused_logged_and_not_charged(
    attack: Callable[[City], None], restored: City
) -> None:
    city, civic = restored, restored.of(PLANNING).civic
    civic.read("6.1", AIR_POLICY, SMALL, idempotency_key=f"before-{attack.__name__}")
    before = charged(city)
    attack(city)
    for again in (None, f"before-{attack.__name__}", f"after-{attack.__name__}"):
        with pytest.raises(ServiceProblem) as refused:
            civic.read("6.1", AIR_POLICY, SMALL, idempotency_key=again)
        problem = refused.value
        assert (problem.code, problem.document["status"]) == ("source.changed", 500)
        assert problem.receipt is not None
        event = problem.receipt.event
        assert (event["decision"], event["reasons"]) == ("deny", ["source.changed"])
    assert charged(city) == before
    lines = (city.home / "service.log").read_text().splitlines()
    assert "asset 6.1, version 1" in [line for line in lines if " api.access " not in line][-1]


def test_inserted_catalogue_entry_is_refused_and_logged(restored: City) -> None:
    """A person who can write the database names another file, of another asset, with a matching hash."""
    city, civic = restored, restored.of(PLANNING).civic
    entry = civic.dataset("6.1")["metadata"]
    other = source_of(city, "weather")
    forged, opening = seal(entry | {"source": source_of_file(other)})
    shutil.copy(other, source_of(city).parent)
    bodies = [rfc8785.dumps(forged), rfc8785.dumps(opening)]
    digest, named = (hashlib.sha256(body).hexdigest() for body in bodies)
    with sqlite3.connect(city.home / "ledger.sqlite") as database:
        [(good,)] = database.execute("SELECT metadata_hash FROM asset WHERE id = '6.1'").fetchall()
        rows = list(zip((digest, named), bodies, strict=True))
        database.executemany("INSERT INTO document (sha256, body) VALUES (?, ?)", rows)
        database.execute("UPDATE asset SET metadata_hash = ? WHERE id = '6.1'", (f"0x{digest}",))
    try:
        before = charged(city)
        with pytest.raises(ServiceProblem) as refused:
            civic.read("6.1", AIR_POLICY, SMALL)
        assert (refused.value.code, refused.value.document["status"]) == ("asset.version-unsigned", 500)
        assert refused.value.receipt is not None
        assert charged(city) == before
    finally:
        with sqlite3.connect(city.home / "ledger.sqlite") as database:
            database.execute("UPDATE asset SET metadata_hash = ? WHERE id = '6.1'", (good,))
    assert civic.read("6.1", AIR_POLICY, SMALL).release["state"] == "done"


@pytest.mark.parametrize("attack", ATTACKS, ids=lambda attack: attack.__name__)
def test_fsck_hashes_every_file_and_names_what_was_changed(
    attack: Callable[[City], None], restored: City, capsys: pytest.CaptureFixture[str]
) -> None:
    city = restored
    assert main(["audit", "fsck", "--home", str(city.home), "--json"]) == 0
    good = json.loads(capsys.readouterr().out)
    assert (good["ok"], good["files"]) == (True, 7)
    name = source_of(city).name
    attack(city)
    assert main(["audit", "fsck", "--home", str(city.home), "--json"]) == 1
    [damage] = json.loads(capsys.readouterr().out)["damage"]
    assert damage["code"] == "fsck.source"
    assert damage["message"].startswith(f"6.1/{name} ")


def test_fsck_names_files_that_belong_to_no_version(
    restored: City, capsys: pytest.CaptureFixture[str]
) -> None:
    data = restored.home / "data"
    (data / "6.1" / "notes.txt").write_text("x")
    shutil.copy(source_of(restored, "weather"), data / "6.1")
    assert main(["audit", "fsck", "--home", str(restored.home), "--json"]) == 1
    found = [one["message"] for one in json.loads(capsys.readouterr().out)["damage"]]
    assert [text.partition("/")[0] for text in found] == ["6.1", "6.1"]


def test_restored_file_is_read_again(restored: City) -> None:
    city, civic = restored, restored.of(PLANNING).civic
    file = source_of(city)
    good = file.read_bytes()
    in_place(city)
    with pytest.raises(ServiceProblem):
        civic.read("6.1", AIR_POLICY, SMALL)
    file.write_bytes(good)
    assert civic.read("6.1", AIR_POLICY, SMALL).release["state"] == "done"


def test_decision_and_release_name_the_version_that_was_read(shared_city: City) -> None:
    city, civic = shared_city, shared_city.of(PLANNING).civic
    dataset = civic.dataset("6.1")
    named = {"version": dataset["version"], "metadata": dataset["metadata_hash"]}
    answer = civic.read("6.1", AIR_POLICY, SMALL)
    assert answer.receipt.event["facts"] | named == answer.receipt.event["facts"]
    assert (answer.release["version"], answer.release["metadata_hash"]) == tuple(named.values())
    # The digest of a small file can be guessed, so the leaf only commits to it, and the auditor gets the
    # opening.
    digest = hashlib.sha256(source_of(city).read_bytes()).hexdigest()
    assert digest not in str(answer.receipt)
    disclosed = city.of(AUDIT).civic.openings(answer.receipt.index)["source"]
    assert json.loads(base64.urlsafe_b64decode(disclosed + "=="))[2] == digest
    [outcome] = [
        one["entry"]
        for one in city.of(AUDIT).civic.entries(type="gateway:release:done", limit=200)
        if one["entry"]["facts"]["release"] == answer.release["id"]
    ]
    assert outcome["facts"] | named == outcome["facts"]


def test_a_file_exchanged_while_the_service_was_stopped_is_refused(home: Path) -> None:
    city = open_city(home)
    try:
        city.of(PLANNING).civic.read("6.1", AIR_POLICY, SMALL)
        city.service.stop()
        in_place(city)
        city = open_city(home)
        with pytest.raises(ServiceProblem) as refused:
            city.of(PLANNING).civic.read("6.1", AIR_POLICY, SMALL)
        assert refused.value.code == "source.changed"
    finally:
        city.service.stop()


def test_expired_files_are_deleted_by_the_profile_with_an_entry(
    home: Path,
) -> None:
    (home / "retention.json").write_text(
        json.dumps(
            {
                "version": 1,
                "files_days": 0,
                "rules": [{"types": "", "openings_days": None, "leaves_days": None}],
            }
        )
    )
    city = open_city(home, **TIDY)
    try:
        owner = next(actor for actor in city.actors.values() if actor.part.number == 6)
        first, weather = source_of(city), source_of(city, "weather")
        (home / "data" / ".incoming-0123").write_bytes(b"left by a crash")
        entry = owner.civic.dataset("6.1")["metadata"]
        entry["description"]["en"] = "Air quality, second version"
        new = city.home / "second.csv"
        new.write_bytes(one_digit_another(first))
        entry["source"] = source_of_file(new)
        take_version(city, owner, draft_version("6.1", 2, entry), new)
        both = [owner.secrets[name] for name in ("steward", "cdo")]
        hand_in(city, owner, draft_retirement(city.assets["weather"]), both)
        until(lambda: not first.exists() and not weather.exists())
        assert source_of(city).stat().st_size == new.stat().st_size
        assert city.of(PLANNING).civic.read("6.1", AIR_POLICY, SMALL).release["version"] == 2
        deleted = [e["entry"] for e in city.of(AUDIT).civic.entries(type="gateway:source:deleted", limit=50)]
        told = {(e["asset"], e["facts"]["version"], e["facts"]["why"]) for e in deleted}
        assert told == {("6.1", 1, "superseded"), (city.assets["weather"], 1, "retired")}
        with pytest.raises(ServiceProblem) as refused:
            owner.civic.upload(city.assets["weather"], dataset_path("weather"))
        assert refused.value.code == "asset.retired"
        city.service.stop()
        city = open_city(home)
        assert not list((home / "data").glob(".incoming-*"))
    finally:
        city.service.stop()


def until(true: Callable[[], bool], seconds: float = 20.0) -> None:
    deadline = time.monotonic() + seconds
    while not true():
        assert time.monotonic() < deadline, "it did not come about in time"
        time.sleep(0.1)
