"""``civic config``: every setting with its source, and every fault that a service would find at its start."""

from __future__ import annotations

import hashlib
import json
import shutil
from pathlib import Path

import pytest

from api.cli.environment import SETTINGS
from api.operator.installation import initialise
from api.operator.wiring import open_gateway
from api.runtime.settings import Settings
from tests.api.cli.conftest import Outcome, Run

PASSPHRASE = "the operator's own"
PARTS = [
    "settings", "home", "public-url", "files", "keys", "database", "chain", "retention", "timestamps",
]  # fmt: skip
SECRET = "hunter2-is-secret"


@pytest.fixture(scope="module")
def made(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A production home that was served once."""
    home = tmp_path_factory.mktemp("made") / "city"
    initialise(Settings(home=home), PASSPHRASE, council=["0x" + "11" * 20], threshold=1)
    with open_gateway(Settings(home=home, passphrase=PASSPHRASE), chores=False):
        pass
    return home


@pytest.fixture
def home(made: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    for name in SETTINGS:
        monkeypatch.delenv(f"CIVIC_{name}", raising=False)
    monkeypatch.setenv("CIVIC_PASSPHRASE", PASSPHRASE)
    monkeypatch.setenv("CIVIC_HIGH_WATER", str(tmp_path / "high-water"))
    shutil.copytree(made.with_name("city.high-water"), tmp_path / "high-water")
    return Path(shutil.copytree(made, tmp_path / "city"))


def shown(outcome: Outcome) -> dict[str, tuple[object, str]]:
    return {one["variable"]: (one["value"], one["origin"]) for one in outcome.document["settings"]}


def failed(outcome: Outcome) -> set[tuple[str, str]]:
    return {(one["part"], one["code"]) for one in outcome.document["checks"] if one["state"] == "failed"}


def files(home: Path) -> dict[str, str]:
    return {
        str(path.relative_to(home)): hashlib.sha256(path.read_bytes()).hexdigest()
        for path in home.rglob("*")
        if path.is_file()
    }


def test_every_setting_is_shown_with_its_source(
    run: Run, home: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("CIVIC_SCAN_WORKERS", "3")
    monkeypatch.setenv("CIVIC_HOST", "0.0.0.0")
    found = shown(run("config", "show", "--home", home, "--host", "127.0.0.2", "--port", 0, "--json"))
    assert list(found) == [f"CIVIC_{name.upper()}" for name in Settings.model_fields]
    assert found["CIVIC_HOME"] == (str(home), "option")
    assert found["CIVIC_HOST"] == ("127.0.0.2", "option")
    assert found["CIVIC_PORT"] == (0, "option")
    assert found["CIVIC_SCAN_WORKERS"] == (3, "environment")
    assert found["CIVIC_DATABASE_URL"] == ("ledger.sqlite", "home")
    assert found["CIVIC_READS"] == (64, "default")
    monkeypatch.setenv("CIVIC_HOME", str(home))
    assert shown(run("config", "show", "--json"))["CIVIC_HOME"] == (str(home), "environment")
    said = run("config", "show").out
    assert all(f"CIVIC_{name.upper()}" in said for name in Settings.model_fields)


@pytest.mark.parametrize("more", [(), ("--json",)], ids=["people", "programs"])
def test_no_secret_is_shown(
    run: Run, home: Path, monkeypatch: pytest.MonkeyPatch, more: tuple[str, ...]
) -> None:
    for name, value in {
        "PASSPHRASE": SECRET,
        "DATABASE_URL": f"postgresql://u:{SECRET}@127.0.0.1/x?sslpassword={SECRET}",
        "RPC_URL": f"http://u:{SECRET}@127.0.0.1:1 http://u:{SECRET}@127.0.0.1:2",
        "TIMESTAMP_URL": f"http://u:{SECRET}@127.0.0.1/tsr",
    }.items():
        monkeypatch.setenv(f"CIVIC_{name}", value)
    done = run("config", "show", "--home", home, *more)
    assert done.code == 0
    assert "127.0.0.1:2" in done.out
    assert SECRET not in done.out + done.err
    done = run("config", "check", "--home", home, *more)
    assert done.code == 1
    assert SECRET not in done.out + done.err


def test_a_good_installation_is_checked_and_left_as_it_is(run: Run, home: Path) -> None:
    before = files(home)
    done = run("config", "check", "--home", home, "--json")
    assert done.code == 0, done.out
    assert [(one["part"], one["state"]) for one in done.document["checks"]] == [
        (part, "ok") for part in PARTS
    ]
    assert files(home) == before
    assert run("config", "check", "--home", home).out.count("good:") == len(PARTS)


def test_the_check_runs_beside_the_service(run: Run, home: Path) -> None:
    with open_gateway(Settings(home=home), chores=False):
        done = run("config", "check", "--home", home, "--json")
        assert done.code == 0, done.out


@pytest.mark.parametrize(
    ("setting", "value", "part", "code"),
    [
        ("PORT", "many", "settings", "settings.invalid"),
        ("WITNESSES", '{"http://127.0.0.1:9": "no key"}', "settings", "settings.invalid"),
        ("HOME", "/nowhere", "home", "home.invalid"),
        ("PUBLIC_URL", "https://other.example", None, None),
        ("PASSPHRASE", "another", "keys", "keystore.wrong-passphrase"),
        ("PASSPHRASE", "", "keys", "home.invalid"),
        ("PASSPHRASE_FILE", "/nowhere", "keys", "home.invalid"),
        ("DATABASE_URL", "mysql://x/y", "home", "settings.invalid"),
        ("DATABASE_URL", "postgresql://u@127.0.0.1:9/x", "home", "home.contradicted"),
        ("RPC_URL", "http://127.0.0.1:9", "chain", "chain.unreachable"),
        ("TIMESTAMP_ROOTS", "/nowhere.pem", "timestamps", "settings.timestamps"),
        ("RETENTION_FILE", "/nowhere.json", "retention", "home.invalid"),
    ],
)  # fmt: skip
def test_a_wrong_setting_is_named_with_its_code_and_next_step(
    run: Run,
    home: Path,
    monkeypatch: pytest.MonkeyPatch,
    setting: str,
    value: str,
    part: str | None,
    code: str | None,
) -> None:
    monkeypatch.setenv(f"CIVIC_{setting}", value)
    place = () if setting == "HOME" else ("--home", home)
    done = run("config", "check", *place, "--json")
    assert failed(done) == ({(part, code)} if part else set())
    assert done.code == (1 if part else 0)
    assert all(one["hint"] for one in done.document["checks"] if one["state"] == "failed")


def test_what_is_missing_in_the_home_is_named(run: Run, home: Path) -> None:
    (home / "ledger.sqlite").unlink()
    (home / "chain.sqlite").write_bytes(b"no chain")
    (home / "keys" / "attest.json").unlink()
    done = run("config", "check", "--home", home, "--json")
    assert failed(done) == {("database", "home.database-missing"), ("keys", "keystore.invalid")}
    assert {one["part"] for one in done.document["checks"] if one["state"] == "not-checked"} == {"chain"}
    assert not (home / "ledger.sqlite").exists()


def test_a_broken_chain_is_named(run: Run, home: Path) -> None:
    (home / "chain.sqlite").write_bytes(b"no chain")
    assert failed(run("config", "check", "--home", home, "--json")) == {("chain", "chain.corrupt")}


def test_a_demo_home_is_refused_in_production(run: Run, home: Path) -> None:
    facts = json.loads((home / "civic.json").read_text()) | {"mode": "demo"}
    (home / "civic.json").write_text(json.dumps(facts))
    assert failed(run("config", "check", "--home", home, "--production", "--json")) == {
        ("home", "home.invalid")
    }


@pytest.mark.parametrize("host", ["0.0.0.0", "::", "192.0.2.7", "city.example"])
@pytest.mark.parametrize("command", [("serve",), ("config", "check")], ids=" ".join)
def test_production_beyond_loopback_needs_the_public_address(
    run: Run, home: Path, monkeypatch: pytest.MonkeyPatch, host: str, command: tuple[str, ...]
) -> None:
    done = run(*command, "--home", home, "--production", "--host", host, "--port", 0, "--json")
    assert done.code == 1
    if command == ("serve",):
        assert done.error["code"] == "settings.public-url"
        return
    assert failed(done) == {("public-url", "settings.public-url")}
    monkeypatch.setenv("CIVIC_PUBLIC_URL", "https://city.example")
    assert run(*command, "--home", home, "--production", "--host", host, "--json").code == 0


@pytest.mark.parametrize("host", ["127.0.0.1", "127.0.0.9", "::1", "localhost"])
def test_on_loopback_the_public_address_may_be_left_out(run: Run, home: Path, host: str) -> None:
    assert run("config", "check", "--home", home, "--production", "--host", host, "--json").code == 0


def test_the_recorded_public_address_counts(run: Run, home: Path) -> None:
    facts = json.loads((home / "civic.json").read_text()) | {"public_url": "https://city.example"}
    (home / "civic.json").write_text(json.dumps(facts))
    assert run("config", "check", "--home", home, "--production", "--host", "0.0.0.0", "--json").code == 0
