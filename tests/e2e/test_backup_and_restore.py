"""``civic backup`` while a city is served, and ``civic restore``: nothing acknowledged is missing, and what was lost is said."""

from __future__ import annotations

import hashlib
import io
import json
import os
import shlex
import shutil
import signal
import sqlite3
import stat
import subprocess
import sys
import threading
import time
from collections.abc import Callable
from contextlib import closing, redirect_stdout
from pathlib import Path
from typing import Any
from unittest.mock import patch

import httpx
import pytest

from api.cli.main import main
from api.demo.city import City, wait_for_anchor
from api.demo.governing import AIR_POLICY
from api.demo.participants import AUDIT, ENVIRONMENT, PASSPHRASE, PLANNING
from api.demo.process import ServiceDidNotStart, ServiceProcess
from api.operator.backups.taking import take_backup
from api.protocol.keystore import open_ed25519
from api.runtime.settings import Settings
from api.sdk.drafts import draft_suspension, sign_act
from api.terminal.language import language
from ledger.audit.formats.checkpoint import sign_checkpoint
from ledger.audit.formats.note import Signer
from tests.e2e.test_a_full_disk import no_more_than
from tests.e2e.test_a_restored_chain import read, revoke
from tests.simulators.city import open_city
from tests.simulators.version_0_1 import unpacked_home


def more(*values: int) -> list[Any]:
    """Further values, for the long drills."""
    return [pytest.param(one, marks=pytest.mark.drill) for one in values]


def civic(*arguments: object, code: int = 0) -> dict[str, Any]:
    environment = {"CIVIC_PASSPHRASE": PASSPHRASE, "CIVIC_PASSPHRASE_FILE": ""}
    with patch.dict(os.environ, environment), redirect_stdout(io.StringIO()) as out:
        assert main([*map(str, arguments), "--json"]) == code, out.getvalue()
    document: dict[str, Any] = json.loads(out.getvalue().splitlines()[-1])
    return dict(document.get("error", document))


def mark_of(home: Path) -> Path:
    return home.with_name(f"{home.name}.high-water")


def lose(home: Path) -> Path:
    """The operator's disk is gone, with the mark; the machines of departments are elsewhere. Returns what they need."""
    kept = home.with_name(f"{home.name}-elsewhere")
    kept.mkdir()
    for name in ("departments", "story.json"):
        shutil.move(home / name, kept / name)
    shutil.rmtree(home)
    shutil.rmtree(mark_of(home), ignore_errors=True)
    return kept


def give_back(kept: Path, home: Path) -> None:
    for name in ("departments", "story.json"):
        shutil.copytree(kept / name, home / name) if (kept / name).is_dir() else shutil.copy(
            kept / name, home / name
        )


def leaves(home: Path) -> list[str]:
    with closing(sqlite3.connect(f"file:{home / 'ledger.sqlite'}?mode=ro", uri=True)) as database:
        return [
            hashlib.sha256(leaf).hexdigest()
            for (leaf,) in database.execute("SELECT leaf FROM audit_entry ORDER BY idx")
        ]


REFUSED_FULL = ("backup.failed", "store.copy", "home.database-unreachable")
"""The last one where SQLite cannot make its files beside the home's database."""


class Traffic:
    """Reads and acts from several threads; ``acknowledged`` are the entries that their callers were given, by index."""

    def __init__(self, city: City) -> None:
        self._city = city
        self._over = threading.Event()
        self.acknowledged: dict[int, str] = {}
        self.acts = 0
        self._threads = [threading.Thread(target=one) for one in (self._read, self._read, self._act)]

    def __enter__(self) -> Traffic:
        for one in self._threads:
            one.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._over.set()
        for one in self._threads:
            one.join()

    def _read(self) -> None:
        planning, asset = self._city.of(PLANNING).civic, self._city.assets["air_quality"]
        while not self._over.is_set():
            receipt = planning.read(asset, AIR_POLICY, {"limit": 1}).receipt
            self.acknowledged[receipt.index] = hashlib.sha256(receipt.leaf).hexdigest()

    def _act(self) -> None:
        owner, weather = self._city.of(ENVIRONMENT), self._city.assets["weather"]
        while not self._over.is_set():
            for lift in (False, True):
                draft = draft_suspension(weather, f"a test {self.acts}", lift=lift)
                act = sign_act(draft, self._city.trust, [owner.secrets["steward"]])
                assert (
                    owner.civic.act(act.type, act.message, act.signatures, documents=act.documents)["state"]
                    == "recorded"
                )
                self.acts += 1


def test_backups_of_a_served_home_have_everything_acknowledged_and_are_of_one_moment(
    home: Path, tmp_path: Path
) -> None:
    folder = tmp_path / "backups"
    city = open_city(home, CIVIC_ANCHOR_EVERY_S="1")
    taken: list[tuple[dict[str, Any], dict[int, str]]] = []
    try:
        with Traffic(city) as traffic:
            for _ in range(4):
                time.sleep(1.5)
                before = dict(traffic.acknowledged)
                taken.append((civic("backup", folder, "--home", home), before))
        assert traffic.acts > 2
        last = civic("backup", folder, "--home", home)
        taken.append((last, dict(traffic.acknowledged)))
    finally:
        city.service.kill()
    kept = lose(home)
    sizes = [one["log"]["size"] for one, _ in taken]
    assert sizes == sorted(sizes)
    assert len(set(sizes)) == len(sizes)
    for number, (one, before) in enumerate(taken):
        place = tmp_path / f"restored-{number}"
        made = civic("restore", one["backup"], "--home", place)
        assert (made["damage"], made["lossy"]) == ([], False)
        stored = leaves(place)
        assert len(stored) == one["log"]["size"]
        assert {index: stored[index] for index in before} == before
        service = ServiceProcess(place)
        try:
            status = httpx.get(f"{service.url}/v1/status", timeout=30).json()
            assert set(status["work"].values()) == {None}
            assert not status["held"], "nothing was reverted: the chain is not older than the log"
        finally:
            service.stop()
        assert civic("audit", "fsck", "--home", place)["ok"]
    civic("restore", folder, "--home", home)
    assert leaves(home)[: sizes[-1]] == leaves(tmp_path / "restored-4")[: sizes[-1]]
    give_back(kept, home)
    city = open_city(home)
    try:
        assert read(city) == ""
        city.of(AUDIT).civic.export(tmp_path / "log.tar")
    finally:
        city.service.stop()
    verdict = civic("audit", "verify", tmp_path / "log.tar", "--trust", home / "trust.json")
    assert verdict["size"] > sizes[-1]


def test_lossy_restore_is_said_and_its_printed_steps_continue_the_log(home: Path, tmp_path: Path) -> None:
    """The mark outlives the home: the backup is known to be older. A revocation after it stays in force."""
    folder = tmp_path / "backups"
    city = open_city(home, CIVIC_ANCHOR_EVERY_S="1")
    try:
        assert wait_for_anchor(city, 20)
        backup = civic("backup", folder, "--home", home)
        assert revoke(city, city.grants["air-planning"]) == "recorded"
        city.of(AUDIT).civic.export(tmp_path / "log.tar")
    finally:
        city.service.stop()
    mark = Path(shutil.copytree(mark_of(home), tmp_path / "kept-mark"))
    kept = lose(home)
    shutil.copytree(mark, mark_of(home))
    made = civic("restore", folder, "--home", home)
    assert made["lossy"]
    assert made["damage"] == []
    assert made["heads"][0]["source"].startswith(str(mark_of(home)))
    assert made["lost"] == made["heads"][0]["size"] - backup["log"]["size"] > 0
    give_back(kept, home)
    with pytest.raises(ServiceDidNotStart, match=r"audit\.rollback|high-water"):
        open_city(home)

    members = sorted((home / "departments" / "council" / "keys").glob("member-*.json"))
    steps = [shlex.split(one) for one in made["next"]]
    assert [one[1:3] for one in steps] == [
        ["audit", "new-epoch"],
        ["sign", "epoch.json"],
        ["audit", "epoch"],
        ["audit", "erase"],
        ["serve", "--home"],
    ]
    (tmp_path / "pass").write_text(PASSPHRASE)
    signed_by = [
        *("--profile", str(home / "departments" / "data-bureau")),
        *("--passphrase-file", str(tmp_path / "pass"), "--yes"),
    ]
    for step in steps[:3]:
        words = [
            str(tmp_path / "epoch.json")
            if word == "epoch.json"
            else str(members[int(word[7:8]) - 1])
            if word.startswith("MEMBER-")
            else word.replace("BUNDLE", str(tmp_path / "log.tar"))
            for word in step[1:]
        ]
        signing = [] if words[:2] == ["audit", "epoch"] else signed_by
        answer = civic(*words, *signing)
    assert {one["event"]: one["state"] for one in answer["acts"]} == {"Revoked": "applied"}
    service = ServiceProcess(home)
    try:
        status = httpx.get(f"{service.url}/v1/status", timeout=30).json()
        assert status["log"]["size"] > made["log"]["size"]
    finally:
        service.stop()
    civic("backup", folder, "--home", home)
    shutil.rmtree(home)
    again = civic("restore", folder, "--home", home)
    assert (again["lossy"], again["damage"]) == (False, []), (
        "the mark of the ended epoch is not held against it"
    )
    assert {one["epoch"] for one in again["heads"]} == {1, 2}


def head_of(home: Path, size: int, root: bytes) -> str:
    """A head that the log's own key signs."""
    name = json.loads((home / "trust.json").read_text())["origin"]
    return str(sign_checkpoint(Signer(name, open_ed25519(home / "keys/log.json", PASSPHRASE)), size, root))


@pytest.fixture
def backup(home: Path, tmp_path: Path) -> Path:
    return Path(civic("backup", tmp_path / "backups", "--home", home)["backup"])


def test_kept_head_shows_what_a_backup_lacks_and_keeps_its_home_from_being_served(
    home: Path, backup: Path, tmp_path: Path
) -> None:
    size = json.loads((backup / "manifest.json").read_text())["log"]["size"]
    head = tmp_path / "head"
    head.write_text(head_of(home, size + 7, b"\x07" * 32))
    listed = tmp_path / "heads.json"
    listed.write_text(json.dumps({"heads": [head.read_text()]}))
    for number, file in enumerate((head, listed)):
        place = tmp_path / f"new-{number}"
        made = civic("restore", backup, "--home", place, "--kept", file)
        assert (made["lossy"], made["lost"], made["heads"][0]["source"]) == (True, 7, str(file))
        with pytest.raises(ServiceDidNotStart, match="high-water"):
            ServiceProcess(place)
    assert not civic("restore", backup, "--home", tmp_path / "whole")["lossy"]
    head.write_text(head_of(home, size - 1, b"\x07" * 32))
    refused = civic("restore", backup, "--home", tmp_path / "fork", "--kept", head, code=1)
    assert refused["code"] == "backup.other-log"
    foreign = Signer.generate(json.loads((home / "trust.json").read_text())["origin"])
    head.write_text(str(sign_checkpoint(foreign, size + 7, b"\x07" * 32)))
    refused = civic("restore", backup, "--home", tmp_path / "foreign", "--kept", head, code=1)
    assert refused["code"] == "backup.kept"
    assert not (tmp_path / "fork").exists()
    assert not (tmp_path / "foreign").exists()


def test_flipped_byte_of_any_file_is_named(home: Path, backup: Path, tmp_path: Path) -> None:
    files = [path for path in backup.rglob("*") if path.is_file()]
    assert len(files) > 15
    for path in files:
        data = path.read_bytes()
        place = len(data) // 2
        path.write_bytes(data[:place] + bytes([data[place] ^ 1]) + data[place + 1 :])
        refused = civic("restore", backup, "--home", tmp_path / "new", code=1)
        name = path.relative_to(backup).as_posix()
        if name == "manifest.json":
            assert refused["code"] in ("backup.invalid", "backup.damaged", "backup.log")
        else:
            assert refused["code"] == "backup.damaged"
            assert f"{name}: " in refused["message"]
        path.write_bytes(data)
    assert [one.name for one in tmp_path.iterdir() if "new" in one.name] == []
    assert civic("restore", backup, "--home", tmp_path / "new", "--check")["damage"] == []
    assert not (tmp_path / "new").exists()


def altered(backup: Path, change: Callable[[dict[str, Any]], None]) -> None:
    manifest = json.loads((backup / "manifest.json").read_text())
    change(manifest)
    (backup / "manifest.json").write_text(json.dumps(manifest))


def entry(path: str, data: bytes = b"") -> dict[str, Any]:
    return {"path": path, "size": len(data), "sha256": hashlib.sha256(data).hexdigest()}


@pytest.mark.parametrize(
    ("change", "code"),
    [
        (lambda m: m["files"].append(entry("../outside")), "backup.invalid"),
        (lambda m: m["files"].append(entry("keys/../../outside")), "backup.invalid"),
        (lambda m: m["files"].append(entry("/etc/outside")), "backup.invalid"),
        (lambda m: m["files"].append(entry("keys/a/b")), "backup.invalid"),
        (lambda m: m["files"].append(entry("keys\\outside")), "backup.invalid"),
        (lambda m: m["files"].append(entry("keys/.hidden")), "backup.invalid"),
        (lambda m: m["files"].append(entry("keys/a\n")), "backup.invalid"),
        (lambda m: m["files"].append(entry("")), "backup.invalid"),
        (lambda m: m["files"].append(m["files"][0]), "backup.invalid"),
        (lambda m: m["files"].append(entry("keys/missing.json")), "backup.damaged"),
        (lambda m: m["files"].pop(), "backup.damaged"),
        (lambda m: m["files"][0].update(size=-1), "backup.invalid"),
        (lambda m: m["files"][0].update(size=1e3), "backup.invalid"),
        (lambda m: m["files"][0].update(size=True), "backup.invalid"),
        (lambda m: m["files"][0].update(sha256="A" * 64), "backup.invalid"),
        (lambda m: m.update(files={}), "backup.invalid"),
        (lambda m: m.update(more=1), "backup.invalid"),
        (lambda m: m.pop("log"), "backup.invalid"),
        (lambda m: m.update(log=None), "backup.log"),
        (lambda m: m["log"].update(size=m["log"]["size"] + 1), "backup.log"),
        (lambda m: m["log"].update(root="0x" + "00" * 32), "backup.log"),
        (lambda m: m["chain"].update(block=m["chain"]["block"] + 1), "backup.log"),
        (lambda m: m["chain"].update(hash="0x" + "00" * 32), "backup.log"),
        (lambda m: m.update(installation="f" * 32), "backup.invalid"),
        (lambda m: m.update(epoch=2), "backup.invalid"),
        (lambda m: m.update(database_url="postgresql://a/b"), "backup.invalid"),
        (lambda m: m.update(revision="0001"), "backup.version"),
        (lambda m: m.update(format="civic-backup/2"), "backup.version"),
        (lambda m: m.update(format=1), "backup.invalid"),
        (lambda m: m.update(mark="/dev/zero"), ""),
        (lambda m: m.update(mark="/proc/self/mem"), ""),
    ],
)
def test_manifest_that_lies_is_refused(
    backup: Path, tmp_path: Path, change: Callable[[dict[str, Any]], None], code: str
) -> None:
    altered(backup, change)
    before = sorted(tmp_path.iterdir())
    answer = civic("restore", backup, "--home", tmp_path / "new", "--check", code=1 if code else 0)
    assert answer.get("code", "") == code
    assert sorted(tmp_path.iterdir()) == before


def test_links_pipes_and_further_files_are_refused(backup: Path, tmp_path: Path) -> None:
    def refused(name: str) -> None:
        answer = civic("restore", backup, "--home", tmp_path / "new", code=1)
        assert (answer["code"], name in answer["message"]) == ("backup.damaged", True), answer
        assert not (tmp_path / "new").exists()

    secret = tmp_path / "secret"
    secret.write_text("secret")
    trust, moved = backup / "trust.json", tmp_path / "trust.json"
    trust.rename(moved)
    trust.symlink_to(moved)
    refused("trust.json")
    trust.unlink()
    os.mkfifo(trust)
    refused("trust.json")
    trust.unlink()
    trust.mkdir()
    refused("trust.json")
    trust.rmdir()
    moved.rename(trust)
    keys = tmp_path / "keys"
    (backup / "keys").rename(keys)
    (backup / "keys").symlink_to(keys)
    refused("keys")
    (backup / "keys").unlink()
    keys.rename(backup / "keys")
    for name in ("extra", "keys/extra", "data/extra", ".hidden", "ledger.sqlite-wal"):
        (backup / name).write_text("more")
        refused(name)
        (backup / name).unlink()
    (backup / "more").mkdir()
    refused("more")
    (backup / "more").rmdir()
    (backup / "manifest.json").rename(tmp_path / "manifest.json")
    os.mkfifo(backup / "manifest.json")
    assert civic("restore", backup, "--home", tmp_path / "new", code=1)["code"] == "backup.invalid"


def test_home_that_exists_is_not_touched(home: Path, backup: Path, founded: Path, tmp_path: Path) -> None:
    other = Path(shutil.copytree(founded, tmp_path / "other"))
    (other / "civic.json").write_text((other / "civic.json").read_text() + "\n")
    before = {path: path.read_bytes() for path in other.rglob("*") if path.is_file()}
    assert civic("restore", backup, "--home", other, code=1)["code"] == "home.exists"
    assert {path: path.read_bytes() for path in other.rglob("*") if path.is_file()} == before
    foreign = unpacked_home(tmp_path / "foreign")
    assert civic("backup", backup.parent, "--home", foreign, code=1)["code"] == "backup.place"
    assert civic("backup", home / "backups", "--home", home, code=1)["code"] == "backup.place"
    (tmp_path / "empty").mkdir()
    assert (
        civic("restore", tmp_path / "empty", "--home", tmp_path / "new", code=1)["code"] == "backup.invalid"
    )
    assert civic("restore", backup, "--home", tmp_path / "empty")["damage"] == []


def test_next_backup_copies_what_is_new_and_needs_no_earlier_one(
    home: Path, backup: Path, tmp_path: Path
) -> None:
    more = home / "data" / "9.9"
    more.mkdir()
    body = os.urandom(50_000)
    (more / f"{hashlib.sha256(body).hexdigest()}.csv").write_bytes(body)
    second = civic("backup", backup.parent, "--home", home)
    first = json.loads((backup / "manifest.json").read_text())
    data = [one for one in first["files"] if one["path"].startswith("data/")]
    assert second["linked"] == len(data)
    assert second["written"] == second["bytes"] - sum(one["size"] for one in data)
    for one in data:
        assert os.path.samefile(backup / one["path"], Path(second["backup"], one["path"]))
    for path in [Path(second["backup"]), *Path(second["backup"]).rglob("*")]:
        assert stat.S_IMODE(path.stat().st_mode) == (0o700 if path.is_dir() else 0o600), path
    shutil.rmtree(backup)
    made = civic("restore", backup.parent, "--home", tmp_path / "new")
    assert made["backup"] == second["backup"]
    assert [one["code"] for one in made["damage"]] == ["fsck.source"], (
        "no version names the file that was added"
    )


def test_backup_of_an_earlier_version_is_restored_by_that_version(tmp_path: Path) -> None:
    """It is taken before an upgrade, as docs/upgrading.md has it."""
    (tmp_path / "old").mkdir()
    home = unpacked_home(tmp_path / "old")
    taken = civic("backup", tmp_path / "backups", "--home", home)
    assert (taken["revision"], taken["log"]["size"]) == ("0001", 119)
    assert "high-water" in {one.name for one in Path(taken["backup"]).iterdir()}
    refused = civic("restore", taken["backup"], "--home", tmp_path / "new", code=1)
    assert refused["code"] == "backup.version"
    assert "civic upgrade" in refused["hint"]
    civic("upgrade", "--home", home)
    assert civic("backup", tmp_path / "backups", "--home", home)["linked"] == 7


def test_data_files_that_come_and_go_meanwhile_are_those_of_the_moment(home: Path, tmp_path: Path) -> None:
    """A file that comes while others are copied is in the backup, and one that goes after the moment; one that was
    copied and goes before the moment is not."""
    folder = tmp_path / "backups"

    def put(asset: str, body: bytes) -> Path:
        path = home / "data" / asset / f"{hashlib.sha256(body).hexdigest()}.csv"
        path.parent.mkdir(exist_ok=True)
        path.write_bytes(body * 1000)
        return path

    before, after, comes = put("1.1", b"before"), put("1.1", b"after"), home / "data" / "1.2"

    def report(_done: int, _known: int) -> None:
        written = {name for _, _, names in os.walk(folder) for name in names}
        if before.name in written and not comes.exists():
            before.unlink()
            put("1.2", b"comes")
        if "ledger.sqlite" in written:
            after.unlink(missing_ok=True)

    taken = take_backup(Settings.given(home=home), folder, report)
    assert not before.exists()
    assert not after.exists()
    names = {one.path.rpartition("/")[2] for one in taken.manifest.files}
    assert (before.name in names, after.name in names) == (False, True)
    assert {path.name for path in comes.iterdir()} <= names
    on_disk = {path.relative_to(taken.path).as_posix() for path in taken.path.rglob("*") if path.is_file()}
    assert on_disk == {one.path for one in taken.manifest.files} | {"manifest.json"}


def started(*arguments: object) -> subprocess.Popen[bytes]:
    return subprocess.Popen(
        [sys.executable, "-m", "api.cli.main", *map(str, arguments), "--json"],
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
        env=os.environ | {"CIVIC_PASSPHRASE": PASSPHRASE},
    )


def killed_when(process: subprocess.Popen[bytes], reached: Callable[[], bool]) -> None:
    """Kill a process with SIGKILL as soon as a state of the disk is reached; it may have ended before."""
    until = time.monotonic() + 60
    while process.poll() is None and not reached():
        assert time.monotonic() < until
    process.send_signal(signal.SIGKILL)
    process.wait()


def files_below(folder: Path) -> int:
    return sum(len(files) for _, _, files in os.walk(folder))


@pytest.mark.parametrize("files", [1, 8, 18, *more(0, 5, 10, 15, 19)])
def test_killed_backup_leaves_no_half_backup(home: Path, tmp_path: Path, files: int) -> None:
    folder = tmp_path / "backups"
    first = civic("backup", folder, "--home", home)

    def reached() -> bool:
        partial = list(folder.glob(".*.partial"))
        return bool(partial) and files_below(partial[0]) >= files

    killed_when(started("backup", folder, "--home", home), reached)
    for one in [one for one in folder.iterdir() if not one.name.startswith(".")]:
        assert civic("restore", one, "--home", tmp_path / "new", "--check")["damage"] == []
    assert Path(first["backup"]).is_dir()
    civic("backup", folder, "--home", home)
    assert not list(folder.glob(".*.partial"))
    assert civic("restore", folder, "--home", tmp_path / "new")["damage"] == []


@pytest.mark.parametrize("files", [1, 18, *more(0, 5, 12)])
def test_killed_restore_leaves_no_half_home(home: Path, backup: Path, tmp_path: Path, files: int) -> None:
    place, building = tmp_path / "new", tmp_path / ".new.restoring"
    killed_when(
        started("restore", backup, "--home", place),
        lambda: place.exists() or (building.exists() and files_below(building) >= files),
    )
    if place.exists():
        assert civic("audit", "fsck", "--home", place)["ok"]
    else:
        assert civic("restore", backup, "--home", place)["damage"] == []
    assert not building.exists()


@pytest.mark.parametrize("most", [0, 500_000, *more(500, 20_000)])
def test_full_disk_leaves_nothing(home: Path, backup: Path, tmp_path: Path, most: int) -> None:
    before = sorted(backup.parent.iterdir())
    shutil.rmtree(home / "temporary", ignore_errors=True)
    elsewhere = tmp_path / "elsewhere"
    with no_more_than(os.getpid(), most), redirect_stdout(io.StringIO()) as out:
        code = main(["restore", str(backup), "--home", str(tmp_path / "new"), "--json"])
        assert (code, json.loads(out.getvalue())["error"]["code"]) == (1, "restore.failed"), out.getvalue()
    assert not (tmp_path / "new").exists()
    with no_more_than(os.getpid(), most), redirect_stdout(io.StringIO()) as out:
        code = main(["backup", str(elsewhere), "--home", str(home), "--json"])
        assert code == 1
        assert json.loads(out.getvalue())["error"]["code"] in REFUSED_FULL, out.getvalue()
    assert [one.name for one in elsewhere.iterdir()] in ([], [".lock"])
    assert sorted(backup.parent.iterdir()) == before
    assert civic("restore", backup, "--home", tmp_path / "new")["damage"] == []


def test_damaged_log_in_a_backup_is_not_restored(home: Path, tmp_path: Path) -> None:
    """The digests are right: the home was changed before it was backed up."""
    with closing(sqlite3.connect(home / "ledger.sqlite")) as database, database:
        database.execute("UPDATE audit_entry SET leaf = x'7b7d' WHERE idx = 3")
    backup = civic("backup", tmp_path / "backups", "--home", home)
    refused = civic("restore", backup["backup"], "--home", tmp_path / "new", code=1)
    assert refused["code"] == "backup.log"
    assert "entry 3" in refused["message"]
    assert not (tmp_path / "new").exists()


@pytest.mark.parametrize(
    ("chosen", "whole", "restored"), [("en", "is whole", "is restored"), ("zh", "已完整", "恢复")]
)
def test_words_in_both_languages(
    home: Path,
    tmp_path: Path,
    capsys: pytest.CaptureFixture[str],
    monkeypatch: pytest.MonkeyPatch,
    chosen: str,
    whole: str,
    restored: str,
) -> None:
    monkeypatch.setenv("CIVIC_LANG", chosen)
    language.cache_clear()
    try:
        assert main(["backup", str(tmp_path / "b"), "--home", str(home)]) == 0
        assert whole in capsys.readouterr().out
        assert main(["restore", str(tmp_path / "b"), "--home", str(tmp_path / "new")]) == 0
        assert restored in capsys.readouterr().out
    finally:
        language.cache_clear()


@pytest.mark.needs("postgresql")
def test_database_elsewhere_is_left_to_its_own_tools(
    postgres_url: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    from tests.simulators.city import founded_home

    monkeypatch.setenv("CIVIC_DATABASE_URL", postgres_url)
    home = founded_home(tmp_path / "city")
    taken = civic("backup", tmp_path / "backups", "--home", home)
    assert taken["missing"] == ["database"]
    assert taken["dump"].startswith("pg_dump --format=custom --file=")
    assert "ledger.sqlite" not in {one.name for one in Path(taken["backup"]).iterdir()}
    made = civic("restore", taken["backup"], "--home", tmp_path / "new")
    assert made["missing"] == ["database"]
    assert made["next"][0].startswith("pg_restore ")
    assert made["next"][1].startswith("civic audit fsck")
