"""`civic demo` and `civic audit verify`, as a newcomer runs them."""

from __future__ import annotations

import json
import re
import shutil
import signal
import subprocess
import sys
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from sqlmodel import SQLModel

from api.demo.participants import PASSPHRASE
from api.demo.process import ServiceProcess
from api.protocol.keystore import open_ed25519
from api.runtime.settings import SERVICE_PORT
from ledger.audit.formats.events import read_event
from ledger.audit.formats.note import Signer
from ledger.audit.keeping.export import export_bundle
from ledger.audit.log.append import NewEntry
from ledger.audit.log.log import AuditLog
from ledger.audit.log.reading import LogReader
from ledger.audit.verify import Trust, verify_bundle
from ledger.store.engine import open_engine


def civic(*arguments: str | Path, timeout: int = 180) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, "-m", "api.cli.main", *map(str, arguments)],
        capture_output=True,
        text=True,
        timeout=timeout,
    )


@pytest.fixture(scope="module")
def demo_run(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Any]:
    """A demo that continued to serve, as on a terminal, until Ctrl-C."""
    home = tmp_path_factory.mktemp("demo") / "city"
    command = [sys.executable, "-m", "api.cli.main", "demo", "--home", str(home), "--serve", "--json"]
    with subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True) as demo:
        assert demo.stdout is not None
        said = []
        for line in demo.stdout:
            said.append(line)
            if "The service goes on at" in line:
                demo.send_signal(signal.SIGINT)
    assert demo.returncode == 0, "".join(said)
    summary: dict[str, Any] = json.loads(next(line for line in said if line.startswith("{")))
    return summary | {"said": "".join(line for line in said if not line.startswith("{"))}


def test_demo_output_has_no_raw_values_and_no_error_after_ctrl_c(demo_run: dict[str, Any]) -> None:
    """No sentence contains a Python value, this shell finds every command, and there is no error after
    Ctrl-C."""
    assert not re.search(r"[{}\[\]]", demo_run["said"]), demo_run["said"]
    line = next(line for line in demo_run["said"].splitlines() if "Do it yourself" in line)
    assert shutil.which(line.split(": ", 1)[1].split()[0])
    assert "leaked" not in (Path(demo_run["home"]) / "service.log").read_text()


def test_demo_completes_all_chapters_within_a_minute(demo_run: dict[str, Any]) -> None:
    assert demo_run["departments"] >= 6
    assert demo_run["assets"] >= 5
    assert demo_run["grants"] >= 5
    assert demo_run["reads"]["permitted"] >= 5
    assert len(demo_run["denials"]) >= 5
    assert {
        "purpose.mismatch",
        "grant.expired",
        "grant.revoked",
        "column.not-granted",
        "call.replayed",
    } <= set(demo_run["denials"])
    assert demo_run["reads"]["denied"] == sum(demo_run["denials"].values())
    assert demo_run["audit"]["entries"] > 50
    assert demo_run["audit"]["anchored_block"] > 0
    assert [check["name"] for check in demo_run["checks"] if not check["passed"]] == []
    assert demo_run["seconds"] < 60


def test_the_bundle_verifies_offline_against_the_trust_file(demo_run: dict[str, Any]) -> None:
    done = civic("audit", "verify", demo_run["bundle"], "--trust", demo_run["trust"], "--json")
    assert done.returncode == 0, done.stdout
    assert "self-consistent only" not in done.stdout


def test_without_a_trust_file_the_verdict_claims_no_more_than_it_checked(demo_run: dict[str, Any]) -> None:
    done = civic("audit", "verify", demo_run["bundle"], "--json")
    assert done.returncode == 0, done.stdout
    assert "self-consistent only" in done.stdout


def test_any_changed_byte_is_detected_and_named(demo_run: dict[str, Any], tmp_path: Path) -> None:
    original = Path(demo_run["bundle"]).read_bytes()
    forged = tmp_path / "forged.tar"
    trust = Trust.load(Path(demo_run["trust"]))
    for place in range(0, len(original), max(1, len(original) // 400)):
        forged.write_bytes(original[:place] + bytes([original[place] ^ 1]) + original[place + 1 :])
        verdict = verify_bundle(forged, trust)
        assert not verdict.ok, place
        assert verdict.findings
    done = civic("audit", "verify", forged, "--trust", demo_run["trust"], "--json")
    assert done.returncode == 1, done.stdout


def test_log_rebuilt_by_the_operator_fails_against_the_trust_file(
    demo_run: dict[str, Any], tmp_path: Path
) -> None:
    """The operator has the log's key and its database, but not the state of the departments' clients."""
    home = Path(demo_run["home"])
    honest = LogReader(open_engine(f"sqlite:///{home / 'ledger.sqlite'}"))
    trust = Trust.load(Path(demo_run["trust"]))
    signer = Signer(trust.origin, open_ed25519(home / "keys" / "log.json", PASSPHRASE))
    engine = open_engine(f"sqlite:///{tmp_path / 'forged.sqlite'}")
    SQLModel.metadata.create_all(engine)
    forged = AuditLog.open(engine, signer)
    events = [read_event(entry.leaf) for entry in honest.entries(0, 1_000)]
    with engine.begin() as connection:
        kept = [NewEntry(replace(event, commitments={})) for event in events if event.decision != "deny"]
        appended = forged.append(connection, kept)
    forged.committed(appended)
    export_bundle(forged, tmp_path / "forged.tar")
    assert verify_bundle(tmp_path / "forged.tar").word == "self-consistent only"
    done = civic("audit", "verify", tmp_path / "forged.tar", "--trust", demo_run["trust"], "--json")
    assert done.returncode == 1, done.stdout
    assert "trust." in done.stdout


def test_a_whole_log_verifies_from_static_tiles_and_extends_an_earlier_bundle(
    demo_run: dict[str, Any], tmp_path: Path
) -> None:
    done = civic("audit", "publish", "--home", demo_run["home"], "--to", tmp_path / "tiles", "--json")
    assert done.returncode == 0, done.stdout
    done = civic("audit", "verify", tmp_path / "tiles", "--trust", demo_run["trust"], "--json")
    assert done.returncode == 0, done.stdout
    [tile] = [path for path in (tmp_path / "tiles" / "tile" / "entries").rglob("*") if path.is_file()]
    tile.write_bytes(tile.read_bytes().replace(b"permit", b"permut", 1))
    done = civic("audit", "verify", tmp_path / "tiles", "--trust", demo_run["trust"], "--json")
    assert done.returncode == 1, done.stdout
    done = civic(
        "audit",
        "verify",
        demo_run["bundle"],
        "--older",
        demo_run["bundle"],
        "--trust",
        demo_run["trust"],
        "--json",
    )
    assert done.returncode == 0, done.stdout


def test_the_profiles_of_an_ended_demo_name_the_address_of_civic_serve(demo_run: dict[str, Any]) -> None:
    for profile in (Path(demo_run["home"]) / "departments").glob("*/profile.json"):
        assert json.loads(profile.read_text())["url"] == f"http://127.0.0.1:{SERVICE_PORT}", profile


def test_home_can_be_served_after_the_demo(demo_run: dict[str, Any]) -> None:
    service = ServiceProcess(Path(demo_run["home"]))
    try:
        profile = Path(demo_run["home"]) / "departments" / "planning"
        settings = json.loads((profile / "profile.json").read_text()) | {"url": service.url}
        (profile / "profile.json").write_text(json.dumps(settings))
        done = civic("--profile", profile, "dataset", "list", "--json")
        assert done.returncode == 0, done.stdout + done.stderr
        assert len(json.loads(done.stdout)["datasets"]) == demo_run["assets"]
    finally:
        service.stop()


def test_a_second_demo_does_not_touch_the_first(demo_run: dict[str, Any]) -> None:
    done = civic("demo", "--home", demo_run["home"], "--no-serve", "--json")
    assert done.returncode == 1
    assert json.loads(done.stdout.splitlines()[-1])["error"]["code"] == "home.invalid"


def test_a_demo_home_is_refused_in_production(demo_run: dict[str, Any]) -> None:
    done = civic("serve", "--home", demo_run["home"], "--production", "--port", "0", "--json", timeout=60)
    assert done.returncode == 1
    assert "demo" in done.stdout + done.stderr


def test_replacing_leaves_other_directories_alone(tmp_path: Path) -> None:
    home = tmp_path / "precious"
    home.mkdir()
    (home / "letter.txt").write_text("keep me")
    done = civic("demo", "--home", home, "--replace", "--no-serve", "--json")
    assert done.returncode == 1
    assert (home / "letter.txt").read_text() == "keep me"
    shutil.rmtree(home)
