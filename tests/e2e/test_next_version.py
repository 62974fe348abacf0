"""A new version of a dataset waits for its file: no read fails while it replaces the version before."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import threading
import time
from contextlib import redirect_stderr, redirect_stdout
from dataclasses import dataclass, field
from io import StringIO
from pathlib import Path
from typing import Any
from unittest.mock import patch

import pytest

from api.cli.main import main
from api.demo.city import Actor, City
from api.demo.datasets import dataset_path
from api.demo.governing import AIR_POLICY
from api.demo.participants import AUDIT, EDUCATION, HEALTH, PLANNING
from api.demo.process import ServiceProcess
from api.sdk.drafts import ActDraft, draft_version, sign_act, source_of, submit
from api.sdk.errors import ServiceProblem
from tests.simulators.city import TIDY, reconnect

AIR = "6.1"
QUERY: dict[str, Any] = {"columns": ["district"], "limit": 5}


def owner_of(city: City) -> Actor:
    return city.actors[6]


def renamed(city: City, mark: str) -> Path:
    """Another file of the air quality data in which every district has this letter as its name."""
    head, *rows = dataset_path("air_quality").read_text().splitlines()
    place = head.split(",").index("district")
    cells = [row.split(",") for row in rows]
    lines = [",".join([*row[:place], mark, *row[place + 1 :]]) for row in cells]
    path = city.home / f"{mark}.csv"
    path.write_text("\n".join([head, *lines]) + "\n")
    return path


def drafted(city: City, file: Path, deadline: int | None = None, **entry: Any) -> ActDraft:
    """The next version with this file, signed by its steward."""
    known = owner_of(city).civic.dataset(AIR)
    metadata = dict(known["metadata"]) | {"source": source_of(file)} | entry
    draft = draft_version(AIR, known["version"] + 1, metadata, deadline=deadline)
    return sign_act(draft, city.trust, [owner_of(city).secrets["steward"]])


def handed_in(city: City, draft: ActDraft) -> dict[str, Any]:
    return submit(owner_of(city).civic, draft)


def state_of(city: City, digest: str, wait_s: float = 10) -> str:
    return str(owner_of(city).civic.act_status(digest, wait_s=wait_s)["state"])


def read(city: City) -> tuple[int, set[str]]:
    answer = city.of(PLANNING).civic.read(AIR, AIR_POLICY, QUERY)
    return answer.release["version"], {row["district"] for row in answer.rows()}


def refused(actor: Actor, file: Path) -> str:
    with pytest.raises(ServiceProblem) as problem:
        actor.civic.upload(AIR, file)
    return problem.value.code


@dataclass
class Reader:
    """A reader in a loop, from before an update until after it."""

    city: City
    seen: list[tuple[int, set[str]]] = field(default_factory=list)
    failed: list[Exception] = field(default_factory=list)

    def __enter__(self) -> Reader:
        self._stop = threading.Event()
        self._threads = [threading.Thread(target=self._run) for _ in range(2)]
        for thread in self._threads:
            thread.start()
        self.some()
        return self

    def _run(self) -> None:
        while not self._stop.is_set():
            try:
                self.seen.append(read(self.city))
            except Exception as error:  # noqa: BLE001 - what fails is what is asked
                self.failed.append(error)
                return

    def some(self, more: int = 6) -> None:
        """Wait until this many more answers arrived."""
        wanted, until = len(self.seen) + more, time.monotonic() + 20
        while len(self.seen) < wanted and not self.failed and time.monotonic() < until:
            time.sleep(0.005)

    def __exit__(self, *_: object) -> None:
        self._stop.set()
        for thread in self._threads:
            thread.join()


def killed_and_started(city: City) -> None:
    city.service.kill()
    city.service = ServiceProcess(city.home, environment=TIDY)
    reconnect(city)


def test_no_read_fails_or_mixes_versions_during_an_update(tidy_city: City) -> None:
    owner, first = owner_of(tidy_city).civic, read(tidy_city)[0]
    marks = {first + 1: "x", first + 2: "y", first + 3: "z"}
    with Reader(tidy_city) as reader:
        for version, mark in marks.items():
            file = renamed(tidy_city, mark)
            answer = handed_in(tidy_city, drafted(tidy_city, file))
            assert answer["state"] == "awaiting-file"
            before = len(reader.seen)
            reader.some()
            assert not reader.failed, reader.failed
            assert {seen for seen, _ in reader.seen[before:]} == {version - 1}
            assert owner.dataset(AIR)["version"] == version - 1
            given = owner.upload(AIR, file)
            assert (given["version"], given["act"]) == (version, answer["digest"])
            assert state_of(tidy_city, answer["digest"]) == "recorded"
            reader.some()
    assert not reader.failed, reader.failed
    assert all(told == {marks[version]} for version, told in reader.seen if version in marks)
    assert all(not told & set(marks.values()) for version, told in reader.seen if version == first)
    assert reader.seen[-1] == (first + 3, {"z"})


def test_acknowledged_uploads_and_acts_survive_a_kill(tidy_city: City) -> None:
    file, before = renamed(tidy_city, "killed"), read(tidy_city)
    digest = handed_in(tidy_city, drafted(tidy_city, file))["digest"]
    killed_and_started(tidy_city)
    assert read(tidy_city) == before
    assert state_of(tidy_city, digest, 0) == "awaiting-file"
    owner_of(tidy_city).civic.upload(AIR, file)
    killed_and_started(tidy_city)
    assert state_of(tidy_city, digest) == "recorded"
    assert read(tidy_city) == (before[0] + 1, {"killed"})


def test_only_a_right_holder_hands_in_the_signed_file(tidy_city: City) -> None:
    file, other, before = renamed(tidy_city, "right"), renamed(tidy_city, "wrong"), read(tidy_city)
    assert refused(owner_of(tidy_city), file) == "source.mismatch"
    digest = handed_in(tidy_city, drafted(tidy_city, file))["digest"]
    assert refused(tidy_city.of(EDUCATION), file) == "caller.not-holder"
    assert refused(tidy_city.of(HEALTH), file) == "caller.not-holder"
    assert refused(owner_of(tidy_city), other) == "source.mismatch"
    place = tidy_city.home / "data" / AIR / f"{source_of(file)['sha256']}.csv"
    file.write_bytes(file.read_bytes() + b"one,line,too,many\n")
    assert refused(owner_of(tidy_city), file) == "source.mismatch"
    assert state_of(tidy_city, digest, 0) == "awaiting-file"
    assert read(tidy_city) == before
    assert not place.exists()


@pytest.mark.parametrize("fault", ["a line of another shape", "a column less"])
def test_version_with_an_unreadable_file_does_not_take_effect(
    tidy_city: City, tmp_path: Path, fault: str
) -> None:
    file, before = renamed(tidy_city, "odd"), read(tidy_city)
    if fault == "a column less":
        without_column(file, "o3", file)
    else:
        file.write_bytes(file.read_bytes() + b"a,line,of,another,shape,than,the,header,says,it,has,indeed\n")
    digest = handed_in(tidy_city, drafted(tidy_city, file))["digest"]
    assert refused(owner_of(tidy_city), file) == "source.unreadable"
    assert state_of(tidy_city, digest, 0) == "awaiting-file"
    assert read(tidy_city) == before


def test_version_with_a_stored_file_takes_effect_at_once(tidy_city: City) -> None:
    with Reader(tidy_city) as reader:
        version = reader.seen[-1][0] + 1
        source = owner_of(tidy_city).civic.dataset_source(AIR)
        entry = {"source": {name: source[name] for name in ("format", "sha256", "bytes", "salt")}}
        words = {"description": {"en": "Said better"}}
        draft = drafted(tidy_city, dataset_path("air_quality"), **entry, **words)
        assert handed_in(tidy_city, draft)["state"] == "recorded"
        reader.some()
    assert not reader.failed, reader.failed
    assert reader.seen[-1][0] == version


def environment_of(city: City) -> dict[str, str]:
    return {
        "CIVIC_PROFILE": str(owner_of(city).directory),
        "CIVIC_URL": city.service.url,
        "CIVIC_PASSPHRASE": "open-demo",
    }


def commanded(city: City, *arguments: object) -> tuple[dict[str, Any], str]:
    """The answer of a command of the owner, and its standard error."""
    with patch.dict(os.environ, environment_of(city)), redirect_stdout(StringIO()) as out:
        with redirect_stderr(StringIO()) as err:
            main([*map(str, arguments), "--json"])
    return json.loads(out.getvalue().splitlines()[-1]), err.getvalue()


def commanded_in_chinese(city: City, *arguments: object) -> tuple[dict[str, Any], str]:
    """The same in a separate process, because a process has one language."""
    words = [sys.executable, "-m", "api.cli.main", *map(str, arguments), "--json"]
    environment = {**os.environ, **environment_of(city), "CIVIC_LANG": "zh"}
    ran = subprocess.run(words, capture_output=True, text=True, check=False, env=environment)
    return json.loads(ran.stdout.splitlines()[-1]), ran.stderr


def without_column(file: Path, name: str, path: Path) -> Path:
    """The same rows without a column."""
    cells = [line.split(",") for line in file.read_text().splitlines()]
    place = cells[0].index(name)
    path.write_text("\n".join(",".join(one[:place] + one[place + 1 :]) for one in cells) + "\n")
    return path


SIGNED = ("--key", "steward", "--yes")


def test_the_command_updates_and_no_read_fails(tidy_city: City, tmp_path: Path) -> None:
    file, before = tmp_path / "明日.csv", owner_of(tidy_city).civic.dataset_source(AIR)
    head, *rows = renamed(tidy_city, "n").read_text().splitlines()
    file.write_bytes("\r\n".join([head, *rows[:50]]).encode("utf-16"))
    with Reader(tidy_city) as reader:
        made, said = commanded_in_chinese(tidy_city, "dataset", "update", AIR, file, *SIGNED)
        reader.some()
    assert not reader.failed, reader.failed
    assert (made["state"], made["version"]) == ("recorded", before["version"] + 1)
    assert reader.seen[-1] == (made["version"], {"n"})
    after = owner_of(tidy_city).civic.dataset_source(AIR)
    assert made["changes"] == {
        "rows": {"before": before["rows"], "after": 50},
        "bytes": {"before": before["bytes"], "after": after["bytes"]},
        "sha256": {"before": before["sha256"], "after": after["sha256"]},
        "columns": [],
        "breaks": [],
        "pinned": [],
    }
    assert after["rows"] == 50
    for words in (
        f"行数：{before['rows']} -> 50",
        "数据项：未变",
        "没有有效授权因此失效",
        "已受理，现在提交文件",
    ):
        assert words in said
    fields = owner_of(tidy_city).civic.dataset(AIR)["metadata"]["schema"]["fields"]
    assert [one["unit"] for one in fields if one["name"] == "pm25"] == ["ug/m3"]
    same, _ = commanded(tidy_city, "dataset", "update", AIR, file, *SIGNED)
    assert same["error"]["code"] == "version.unchanged"


def test_file_of_a_failed_version_is_deleted(tidy_city: City, capsys: pytest.CaptureFixture[str]) -> None:
    """The file had arrived, and the service was killed before it answered; then its act was too late."""
    file, soon = renamed(tidy_city, "late"), int(time.time()) + 3
    digest = handed_in(tidy_city, drafted(tidy_city, file, deadline=soon))["digest"]
    place = tidy_city.home / "data" / AIR / f"{source_of(file)['sha256']}.csv"
    place.write_bytes(file.read_bytes())
    capsys.readouterr()
    assert main(["audit", "fsck", "--home", str(tidy_city.home), "--json"]) == 0, capsys.readouterr().out
    until = time.monotonic() + 20
    while place.exists():
        assert time.monotonic() < until
        time.sleep(0.1)
    assert time.time() > soon
    with pytest.raises(ServiceProblem) as problem:
        owner_of(tidy_city).civic.act_status(digest)
    assert problem.value.code == "act.expired"
    assert refused(owner_of(tidy_city), file) == "act.expired"
    version = owner_of(tidy_city).civic.dataset(AIR)["version"] + 1
    [*_, entry] = [one["entry"] for one in tidy_city.of(AUDIT).civic.entries(type="gateway:source:deleted")]
    told = {"version": version, "metadata": entry["facts"]["metadata"], "why": "not-recorded"}
    assert (entry["asset"], entry["facts"]) == (AIR, told)
    again = handed_in(tidy_city, drafted(tidy_city, file))["digest"]
    owner_of(tidy_city).civic.upload(AIR, file)
    assert state_of(tidy_city, again) == "recorded"
    assert read(tidy_city) == (version, {"late"})


def test_update_command_names_broken_grants_and_accepts_the_file_later(
    tidy_city: City, tmp_path: Path
) -> None:
    version, act = read(tidy_city)[0], tmp_path / "act.json"
    file = without_column(renamed(tidy_city, "later"), "pm25", tmp_path / "air.csv")
    file.write_text(file.read_text().replace("\n", ",-\n").replace(",-\n", ",note\n", 1))
    given = ("dataset", "update", AIR, file, "--class", "no2=sensitive", "--type", "o3=string")
    saved, said = commanded(tidy_city, *given, "--save", act, *SIGNED)
    assert [(one["column"], one["change"]) for one in saved["changes"]["columns"]] == [
        ("pm25", "goes"),
        ("note", "comes"),
        ("no2", "class"),
        ("o3", "type"),
    ]
    broken = {one["grant"] for one in saved["changes"]["breaks"]}
    assert broken == {tidy_city.grants[name] for name in ("air-planning", "air-health", "air-education")}
    for words in ("column pm25 goes", "column no2: class plain -> sensitive", "version.breaks-grant"):
        assert words in said
    assert read(tidy_city)[0] == version
    handed, _ = commanded(tidy_city, "submit", act)
    assert handed["state"] == "awaiting-file"
    [awaited] = [
        one
        for one in owner_of(tidy_city).civic.dataset_source(AIR)["awaited"]
        if one["act"] == handed["digest"]
    ]
    assert (awaited["version"], awaited["sha256"]) == (version + 1, source_of(file)["sha256"])
    assert read(tidy_city)[0] == version
    answer, _ = commanded(tidy_city, "dataset", "upload", AIR, file)
    assert (answer["act"], answer["version"]) == (handed["digest"], version + 1)
    assert state_of(tidy_city, handed["digest"]) == "recorded"
