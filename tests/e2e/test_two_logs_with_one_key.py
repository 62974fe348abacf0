"""One key, two logs: a service shows each department a different one. A witness, or the departments' heads,
reveal it."""

from __future__ import annotations

import io
import json
import os
import shutil
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import redirect_stdout
from dataclasses import dataclass
from http.server import SimpleHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from threading import Thread
from typing import Any
from unittest.mock import patch

import pytest

from api.cli.main import main
from api.demo.city import City
from api.demo.governing import AIR_POLICY, PENSION_CHECK
from api.demo.participants import ELDER_CARE, PASSPHRASE, PLANNING
from api.protocol.trust import Trust
from api.sdk.client import Civic
from api.sdk.errors import ForkFound, NotWitnessed
from api.sdk.witnesses import Watch
from tests.simulators.bad_server import BadServer
from tests.simulators.city import open_city

NAME = "audit.city.example"


def civic(*arguments: object, code: int = 0) -> dict[str, Any]:
    """The document of a command, or the code of its error."""
    with patch.dict(os.environ, {"CIVIC_PASSPHRASE": PASSPHRASE}), redirect_stdout(io.StringIO()) as out:
        assert main([*map(str, arguments), "--json"]) == code, out.getvalue()
    document: dict[str, Any] = json.loads(out.getvalue().splitlines()[-1])
    error: dict[str, Any] = document.get("error", document)
    return error


def ask_for(client: Civic, seconds: float) -> None:
    deadline = time.monotonic() + seconds
    while time.monotonic() < deadline:
        client.status()
        time.sleep(0.5)


@dataclass
class TwoServices:
    """Two services with one key, and a department's profile at each."""

    first: City
    second: City
    witness_url: str
    vkey: str
    work: Path

    def trust(self, quorum: int = 1) -> Trust:
        document = {**self.first.trust.document, "witnesses": [self.vkey], "quorum": quorum}
        return Trust.parse(document)

    def profile(self, city: City, part: Any, name: str, *, quorum: int = 1, **said: Any) -> Path:
        """A new profile of a department, which has not seen any head yet."""
        path = self.work / name
        shutil.copytree(city.of(part).directory, path, ignore=shutil.ignore_patterns("state", "receipts"))
        document = json.loads((path / "profile.json").read_text())
        (path / "profile.json").write_text(json.dumps({**document, "url": city.service.url, **said}))
        (path / "trust.json").write_text(json.dumps(self.trust(quorum).document))
        return path

    def read(self, city: City, part: Any, profile: Path, code: int = 0) -> dict[str, Any]:
        asset, purpose = {
            PLANNING.number: ("air_quality", AIR_POLICY),
            ELDER_CARE.number: ("population_register", PENSION_CHECK),
        }[part.number]
        return civic(
            "read", city.assets[asset], "--purpose", purpose, "--limit", 1, "--profile", profile, code=code
        )

    def client(self, city: City, part: Any, name: str, watch: Watch, quorum: int = 1) -> Civic:
        return Civic(
            city.service.url, self.trust(quorum), self.work / name, city.of(part).service, watch=watch
        )


@pytest.fixture(scope="module")
def twins(founded: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[TwoServices]:
    work = tmp_path_factory.mktemp("twins")
    state = work / "witness"
    (state / "keys").mkdir(parents=True)
    (state / "keys" / "demo-passphrase").write_text(PASSPHRASE + "\n")
    one = Path(shutil.copytree(founded, work / "one"))
    made = civic("witness", "init", "--state", state, "--trust", one / "trust.json", "--name", NAME)
    process = subprocess.Popen(
        [sys.executable, "-m", "api.cli.main", "witness", "serve", "--state", str(state), "--port", "0"],
        stdout=subprocess.PIPE,
        text=True,
    )
    assert process.stdout is not None
    url = json.loads(process.stdout.readline())["url"]
    environment = {"CIVIC_WITNESSES": json.dumps({url: made["vkey"]}), "CIVIC_COSIGN_EVERY_S": "1"}
    two = Path(shutil.copytree(founded, work / "two"))
    first = open_city(one, **environment)
    first.of(PLANNING).civic.read(first.assets["air_quality"], AIR_POLICY, {"limit": 1})
    deadline = time.monotonic() + 20
    while first.of(PLANNING).civic.status()["log"]["witnesses"][0]["cosigned"] is None:
        assert time.monotonic() < deadline
        time.sleep(0.2)
    time.sleep(2.5)
    second = open_city(
        two
    )  # A cheating operator does not use the witness; with it, the service would not start.
    second.of(PLANNING).civic.read(second.assets["air_quality"], AIR_POLICY, {"limit": 2})
    yield TwoServices(first, second, url, made["vkey"], work)
    first.service.stop()
    second.service.stop()
    process.kill()
    process.wait()


def test_department_shown_an_unwitnessed_log_is_warned(twins: TwoServices) -> None:
    followed = twins.profile(twins.first, PLANNING, "followed", witnesses={NAME: twins.witness_url})
    said = civic("status", "--profile", followed)
    assert said["witnessed"]["checked"]
    assert [one["name"] for one in said["witnessed"]["cosigned"]] == [NAME]
    assert twins.read(twins.first, PLANNING, followed)["witnessed"]["cosigned"]

    for command in ("status", "read"):
        other = twins.profile(
            twins.second, ELDER_CARE, f"other-{command}", witnesses={NAME: twins.witness_url}
        )
        if command == "status":
            refused = civic("status", "--profile", other, code=1)
        else:
            refused = twins.read(twins.second, ELDER_CARE, other, code=1)
        assert refused["code"] == "log.fork"
        [kept] = (other / "state").glob("fork-*.json")
        assert len(json.loads(kept.read_text())["heads"]) == 2
        assert civic("status", "--profile", other, code=1)["code"] == "log.fork"
        assert civic("dataset", "list", "--profile", other, code=1)["code"] == "log.fork"


def test_without_the_witness_s_address_the_quorum_is_missing(twins: TwoServices) -> None:
    for command in ("status", "read"):
        other = twins.profile(twins.second, ELDER_CARE, f"quorum-{command}")
        if command == "status":
            refused = civic("status", "--profile", other, code=1)
        else:
            refused = twins.read(twins.second, ELDER_CARE, other, code=1)
        assert refused["code"] == "log.unwitnessed"
    followed = twins.profile(twins.first, PLANNING, "followed-quorum")
    assert civic("status", "--profile", followed)["witnessed"]["cosigned"]


def test_cosignatures_grow_old(twins: TwoServices) -> None:
    """A department that first saw the common part of the logs is told when its head is too old."""
    young = twins.client(twins.first, PLANNING, "moved", Watch(max_age_s=3))
    young.status()
    young.close()
    assert [path.name for path in (twins.work / "moved").glob("witnessed-*")]
    head = next((twins.work / "moved").glob("checkpoint-*"))
    head.unlink()  # As if it had seen only the common part of both logs.
    moved = twins.client(twins.second, ELDER_CARE, "moved", Watch(max_age_s=3))
    with moved, pytest.raises(NotWitnessed):
        ask_for(moved, 20)


def test_departments_that_exchange_heads_notice_without_a_witness(twins: TwoServices) -> None:
    here = twins.profile(twins.first, PLANNING, "here", quorum=0)
    there = twins.profile(twins.second, ELDER_CARE, "there", quorum=0)
    third = twins.profile(twins.first, ELDER_CARE, "third", quorum=0)
    assert not civic("status", "--profile", here)["witnessed"]["checked"]
    assert not twins.read(twins.second, ELDER_CARE, there)["witnessed"]["checked"]
    shared = twins.work / "shared.json"
    assert civic("heads", "exchange", shared, "--profile", here)["compared"] == 0
    assert civic("heads", "exchange", shared, "--profile", third)["compared"] == 1
    assert 1 <= len(json.loads(shared.read_text())["heads"]) <= 2
    assert civic("heads", "exchange", shared, "--profile", there, code=1)["code"] == "log.fork"
    assert civic("status", "--profile", there, code=1)["code"] == "log.fork"

    own = twins.work / "there.json"
    civic("heads", "export", own, "--profile", there)
    handler = type("Quiet", (SimpleHTTPRequestHandler,), {"log_message": lambda *_: None})
    server = ThreadingHTTPServer(("127.0.0.1", 0), lambda *given: handler(*given, directory=str(twins.work)))
    Thread(target=server.serve_forever, daemon=True).start()
    url = f"http://127.0.0.1:{server.server_address[1]}/there.json"
    assert civic("heads", "exchange", url, "--profile", here, code=1)["code"] == "log.fork"
    server.shutdown()
    server.server_close()
    assert twins.read(twins.first, PLANNING, here, code=1)["code"] == "log.fork"


def test_invalid_file_of_heads_changes_nothing(twins: TwoServices) -> None:
    here = twins.profile(twins.first, PLANNING, "careful", quorum=0)
    good = twins.work / "good.json"
    civic("heads", "exchange", good, "--profile", here)
    document = json.loads(good.read_text())
    bad: dict[str, Any] = {
        "not-json": "{",
        "a-list": [],
        "no-heads": {**document, "heads": []},
        "many": {**document, "heads": document["heads"] * 300},
        "number": {**document, "heads": [7]},
        "other-root": {**document, "heads": [document["heads"][0].replace("\n", "\nA", 2)]},
        "unsigned": {**document, "heads": [document["heads"][0].rpartition("—")[0]]},
        "version": {**document, "version": 2},
        "keys": {**document, "keys": [{"vkey": "x"}]},
        "deep": "[" * 100_000,
    }
    for name, content in bad.items():
        file = twins.work / f"bad-{name}.json"
        text = content if isinstance(content, str) else json.dumps(content)
        file.write_text(text)
        assert civic("heads", "exchange", file, "--profile", here, code=1)["code"] == "heads.invalid", name
        assert file.read_text() == text
    with BadServer("answers endlessly") as server:
        refused = civic("heads", "exchange", server.url, "--profile", here, code=1)
        assert refused["code"] == "heads.invalid"
    assert civic("status", "--profile", here)["log"]


@pytest.mark.parametrize("mood", ["drips its head", "closes", "sends a bomb", "redirects"])
def test_faulty_witness_is_harmless_if_the_quorum_is_reached(twins: TwoServices, mood: str) -> None:
    with BadServer(mood) as server:
        watch = Watch(urls={NAME: server.url})
        client = twins.client(twins.first, PLANNING, f"bad-{mood.replace(' ', '-')}", watch)
        began = time.monotonic()
        with client:
            client.status()
            assert time.monotonic() - began < 10
            assert NAME in client.witnesses.state()["problems"]
            assert client.witnesses.state()["cosigned"]


def test_a_profile_is_made_with_the_addresses_of_its_witnesses(twins: TwoServices) -> None:
    trust = twins.work / "made.json"
    trust.write_text(json.dumps(twins.trust().document))
    made = ("profile", "init", "--url", twins.second.service.url, "--department", 4, "--trust", trust)
    unknown = twins.work / "unknown"
    for wrong in ("other.example=http://127.0.0.1:1", f"{NAME}=ftp://x"):
        refused = civic(*made, "--profile", unknown, "--witness", wrong, code=1)
        assert refused["code"] == "profile.invalid"
        assert not unknown.exists()
    path = twins.work / "made"
    address = f"{NAME}={twins.witness_url}"
    civic(*made, "--profile", path, "--witness", address, "--witness-minutes", 5)
    assert civic("status", "--profile", path, code=1)["code"] == "log.fork"
    plain = twins.work / "plain.json"
    plain.write_text(json.dumps(twins.first.trust.document))
    unused = (*made[:-1], plain, "--profile", unknown, "--witness-minutes", 5)
    assert civic(*unused, code=2)["code"] == "usage"


def test_detected_fork_is_remembered(twins: TwoServices) -> None:
    watch = Watch(urls={NAME: twins.witness_url})
    with twins.client(twins.second, ELDER_CARE, "stays", watch, quorum=0) as client:
        with pytest.raises(ForkFound):
            client.status()
        with pytest.raises(ForkFound):
            client.status()
    with pytest.raises(ForkFound):
        twins.client(twins.first, ELDER_CARE, "stays", Watch(), quorum=0)
