"""The recorded facts of a home: no command works on something else, and every setting reaches every command."""

from __future__ import annotations

import json
import os
import re
import shutil
import socket
import sqlite3
import subprocess
import sys
import time
from collections.abc import Callable
from contextlib import suppress
from dataclasses import replace
from pathlib import Path

import pytest

from api.cli.environment import OF_DEVELOPMENT, OF_THE_COMMAND, SETTINGS
from api.operator.installation import initialise
from api.operator.wiring import open_gateway
from api.runtime.settings import Settings, read_home
from ledger.chain.embedded.chain import EmbeddedChain
from ledger.chain.embedded.serve import serve_chain
from ledger.chain.errors import WrongChain
from tests.api.cli.conftest import Run

PASSPHRASE = "a demo's passphrase is public"

OF_THE_LOG = (
    ("audit", "fsck"),
    ("audit", "publish", "--to", "{new}"),
    ("audit", "expire", "--dry-run"),
    ("audit", "erase", "--asset", "7.1", "--subject", "x", "--officer", "0x" + "11" * 20),
    ("audit", "timestamp"),
    ("serve", "--port", "0"),
)
"""Commands that open the home's log."""

OF_THE_CHAIN = (("chain", "status"), ("chain", "serve", "--port", "0"))


@pytest.fixture(scope="module")
def made(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A home that was served once."""
    home = tmp_path_factory.mktemp("made") / "city"
    initialise(Settings(home=home), PASSPHRASE, council=["0x" + "11" * 20], threshold=1, mode="demo")
    (home / "keys" / "demo-passphrase").write_text(PASSPHRASE + "\n")
    with open_gateway(Settings(home=home), chores=False):
        pass
    return home


@pytest.fixture
def home(made: Path, tmp_path: Path) -> Path:
    return Path(shutil.copytree(made, tmp_path / "city"))


@pytest.fixture
def on(
    run: Run, home: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> Callable[..., tuple[int, str]]:
    """Run a command on the home with these variables: exit code, and the code of the error."""
    monkeypatch.setenv("CIVIC_TIMESTAMP_URL", "http://127.0.0.1:9/tsr")
    monkeypatch.setenv("CIVIC_TIMESTAMP_ROOTS", str(tmp_path / "roots.pem"))
    (tmp_path / "roots.pem").write_text("")

    def with_settings(command: tuple[str, ...], **settings: str) -> tuple[int, str]:
        for name, value in settings.items():
            monkeypatch.setenv(f"CIVIC_{name}", value)
        words = [word.format(new=tmp_path / "new") for word in command]
        done = run(*words, "--home", home, "--json")
        return done.code, "" if done.code == 0 else done.error["code"]

    return with_settings


@pytest.mark.parametrize("command", OF_THE_LOG, ids=" ".join)
def test_another_database_than_the_recorded_one_is_refused(
    on: Callable[..., tuple[int, str]], home: Path, tmp_path: Path, command: tuple[str, ...]
) -> None:
    elsewhere = tmp_path / "elsewhere.sqlite"
    before = (home / "civic.json").read_bytes()
    assert on(command, DATABASE_URL=f"sqlite:///{elsewhere}") == (1, "home.contradicted")
    assert not elsewhere.exists(), "and nothing was made there"
    assert (home / "civic.json").read_bytes() == before


@pytest.mark.parametrize("command", OF_THE_LOG, ids=" ".join)
@pytest.mark.parametrize("loss", ["gone", "empty", "no log"])
def test_missing_database_is_an_error_not_an_empty_log(
    on: Callable[..., tuple[int, str]], home: Path, command: tuple[str, ...], loss: str
) -> None:
    for file in home.glob("ledger.sqlite*"):
        file.unlink()
    if loss != "gone":
        with sqlite3.connect(home / "ledger.sqlite") as database:
            database.execute("CREATE TABLE " + ("audit_state (id INTEGER)" if loss == "no log" else "x (y)"))
    kept = sorted(path.name for path in home.iterdir())
    assert on(command) == (1, "home.database-missing")
    assert sorted(path.name for path in home.iterdir() if path.name != "gateway.lock") == [
        name for name in kept if name != "gateway.lock"
    ]


def test_a_damaged_or_silent_database_is_named(on: Callable[..., tuple[int, str]], home: Path) -> None:
    (home / "ledger.sqlite").write_bytes(b"not a database" * 100)
    assert on(("audit", "fsck")) == (1, "home.database-unreachable")
    document = json.loads((home / "civic.json").read_text())
    (home / "civic.json").write_text(
        json.dumps(document | {"database": "postgresql://nobody@127.0.0.1:9/none"})
    )
    assert on(("audit", "fsck")) == (1, "home.database-unreachable")


def test_before_the_first_service_there_is_no_log(run: Run, home: Path) -> None:
    for file in home.glob("ledger.sqlite*"):
        file.unlink()
    shutil.rmtree(read_home(home).high_water_folder, ignore_errors=True)
    replace(read_home(home), begun=False).write()
    refused = run("audit", "fsck", "--home", home, "--json")
    assert (refused.code, refused.error["code"]) == (1, "home.database-missing")
    assert "civic serve" in refused.error["hint"]


@pytest.mark.parametrize("command", [*OF_THE_LOG, *OF_THE_CHAIN], ids=" ".join)
def test_every_command_respects_production_mode(
    on: Callable[..., tuple[int, str]], command: tuple[str, ...]
) -> None:
    assert on(command, PRODUCTION="1") == (1, "home.invalid")


def test_production_mode_makes_no_demo_and_opens_no_demo_key(
    run: Run, tmp_path: Path, home: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("CIVIC_PRODUCTION", "1")
    refused = run("demo", "--home", home, "--replace", "--no-serve", "--json")
    assert (refused.code, refused.error["code"]) == (1, "home.invalid")
    assert (home / "civic.json").exists(), "the old demo is still there"


def test_another_chain_than_the_recorded_one_is_refused(
    on: Callable[..., tuple[int, str]], home: Path, tmp_path: Path
) -> None:
    assert on(OF_THE_CHAIN[0], RPC_URL="http://127.0.0.1:9") == (1, "chain.unreachable")
    with EmbeddedChain.create(tmp_path / "other.sqlite", 4_242, "0x" + "11" * 20) as other:
        server = serve_chain(other, "127.0.0.1", 0)
        assert on(OF_THE_CHAIN[0], RPC_URL=server.url) == (1, WrongChain.code)
        assert on(("home", "move"), RPC_URL=server.url) == (1, WrongChain.code)
        server.close()
    with EmbeddedChain.open(home / "chain.sqlite") as own:
        server = serve_chain(own, "127.0.0.1", 0)
        assert on(OF_THE_CHAIN[0], RPC_URL=server.url) == (0, ""), "the same chain at another address"
        server.close()


def test_several_nodes_are_recorded_without_secrets_and_each_once(
    on: Callable[..., tuple[int, str]], home: Path
) -> None:
    with EmbeddedChain.open(home / "chain.sqlite") as own:
        one, two = serve_chain(own, "127.0.0.1", 0), serve_chain(own, "127.0.0.1", 0)
        urls = [url.replace("//", "//city:hush@") for url in (one.url, two.url)]
        assert on(OF_THE_CHAIN[0], RPC_URL=", ".join(urls)) == (0, "")
        assert on(OF_THE_CHAIN[0], RPC_URL=f"{one.url} {urls[0]}") == (1, "settings.invalid")
        assert on(OF_THE_CHAIN[0], RPC_URL=f"{one.url} http://127.0.0.1:9") == (1, "chain.nodes-disagree")
        assert on(("home", "move"), RPC_URL=" ".join(urls)) == (0, "")
        assert read_home(home).rpc_url == f"{one.url} {two.url}"
        assert on(OF_THE_CHAIN[0]) == (0, ""), "as they are recorded"
        one.close()
        two.close()


def test_another_public_address_than_the_recorded_one_is_refused(
    on: Callable[..., tuple[int, str]], home: Path
) -> None:
    document = json.loads((home / "civic.json").read_text())
    (home / "civic.json").write_text(json.dumps(document | {"public_url": "https://data.city.example"}))
    assert on(("audit", "fsck")) == (0, "")
    assert on(("audit", "fsck"), PUBLIC_URL="https://data.city.example") == (0, "")
    assert on(("audit", "fsck"), PUBLIC_URL="https://other.example") == (1, "home.contradicted")


def test_the_same_database_in_another_spelling_is_no_contradiction(
    on: Callable[..., tuple[int, str]], home: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(home)
    for url in (
        f"sqlite:///{home}/ledger.sqlite",
        "sqlite:///ledger.sqlite",
        f"sqlite:///{home}/keys/../ledger.sqlite",
    ):
        assert on(("audit", "fsck"), DATABASE_URL=url) == (0, "")
    for bad in ("mysql://x/y", "no url", "sqlite://"):
        assert on(("audit", "fsck"), DATABASE_URL=bad) == (1, "settings.invalid")


def test_the_database_is_recorded_without_secrets_and_used_without_being_named(
    run: Run, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    home, elsewhere = tmp_path / "city", tmp_path / "elsewhere.sqlite"
    monkeypatch.setenv("CIVIC_PASSPHRASE", PASSPHRASE)
    monkeypatch.setenv(
        "CIVIC_DATABASE_URL", "postgresql://city:hush@db.example/log?password=hush&connect_timeout=1"
    )
    made = run("init", "--home", home, "--council", "0x" + "11" * 20, "--json")
    assert made.code == 0, made.err
    assert "hush" not in (home / "civic.json").read_text()
    recorded = "postgresql://city@db.example/log?connect_timeout=1"
    assert run("home", "show", "--home", home, "--json").document["database"] == recorded
    document = json.loads((home / "civic.json").read_text())
    (home / "civic.json").write_text(json.dumps(document | {"database": ""}))
    monkeypatch.setenv("CIVIC_DATABASE_URL", f"sqlite:///{elsewhere}")
    with open_gateway(Settings(home=home), chores=False):
        pass
    assert read_home(home).database == f"sqlite:///{elsewhere}"
    monkeypatch.delenv("CIVIC_DATABASE_URL")
    checked = run("audit", "fsck", "--home", home, "--json")
    assert checked.code == 0, checked.out
    assert not (home / "ledger.sqlite").exists()


def test_a_moved_log_is_recorded_only_if_it_is_the_same_log(
    run: Run, home: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    nothing = run("home", "move", "--home", home, "--json")
    assert (nothing.code, nothing.error["code"]) == (2, "usage")
    other, moved = tmp_path / "other.sqlite", tmp_path / "moved.sqlite"
    with sqlite3.connect(other) as database:
        database.execute("CREATE TABLE x (y)")
    monkeypatch.setenv("CIVIC_DATABASE_URL", f"sqlite:///{other}")
    refused = run("home", "move", "--home", home, "--json")
    assert (refused.code, refused.error["code"]) == (1, "home.database-missing")
    (home / "ledger.sqlite").rename(moved)
    monkeypatch.setenv("CIVIC_DATABASE_URL", f"sqlite:///{moved}")
    assert run("audit", "fsck", "--home", home, "--json").error["code"] == "home.contradicted"
    assert run("home", "move", "--home", home, "--json").document["database"] == f"sqlite:///{moved}"
    assert run("audit", "fsck", "--home", home, "--json").code == 0


def test_a_log_of_another_home_is_not_recorded(
    run: Run, home: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    second = tmp_path / "second"
    initialise(Settings(home=second), PASSPHRASE, council=["0x" + "11" * 20], threshold=1, mode="demo")
    (second / "keys" / "demo-passphrase").write_text(PASSPHRASE + "\n")
    with open_gateway(Settings(home=second), chores=False):
        pass
    monkeypatch.setenv("CIVIC_DATABASE_URL", f"sqlite:///{second / 'ledger.sqlite'}")
    refused = run("home", "move", "--home", home, "--json")
    assert (refused.code, refused.error["code"]) == (1, "home.contradicted")


@pytest.mark.parametrize("named", ["PASSPHRASE", "PASSPHRASE_FILE"])
def test_the_passphrase_reaches_init_and_the_witness(
    run: Run, home: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, named: str
) -> None:
    (tmp_path / "secret").write_text("correct horse\r\n")
    monkeypatch.setenv(
        f"CIVIC_{named}", "correct horse" if named == "PASSPHRASE" else str(tmp_path / "secret")
    )
    state = tmp_path / "witness"
    made = run(
        "witness", "init", "--state", state, "--trust", home / "trust.json", "--name", "w.example", "--json"
    )
    assert made.code == 0, made.out
    again = run("init", "--home", home, "--council", "0x" + "11" * 20, "--json")
    assert again.error["code"] == "home.exists", "the passphrase was found before"


def test_init_uses_the_node_from_the_environment(
    run: Run, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("CIVIC_RPC_URL", "http://127.0.0.1:9")
    monkeypatch.setenv("CIVIC_PASSPHRASE", PASSPHRASE)
    refused = run("init", "--home", tmp_path / "city", "--council", "0x" + "11" * 20, "--json")
    assert refused.code == 1
    assert "--relayer-key" in refused.error["hint"], "it does not make a chain of its own"


@pytest.mark.parametrize("command", [("serve",), ("chain", "serve"), ("witness", "serve")], ids=" ".join)
def test_host_and_port_come_from_the_environment(
    run: Run, home: Path, tmp_path: Path, command: tuple[str, ...]
) -> None:
    place = ("--home", str(home))
    if command[0] == "witness":
        place = ("--state", str(tmp_path / "witness"))
        os.environ["CIVIC_PASSPHRASE"] = PASSPHRASE
        run("witness", "init", *place, "--trust", home / "trust.json", "--name", "w.example", "--json")
        del os.environ["CIVIC_PASSPHRASE"]
    with socket.socket() as free:
        free.bind(("127.0.0.2", 0))
        port = free.getsockname()[1]
    settings = {"CIVIC_HOST": "127.0.0.2", "CIVIC_PORT": str(port), "CIVIC_PASSPHRASE": PASSPHRASE}
    process = subprocess.Popen(
        [sys.executable, "-m", "api.cli.main", *command, *place, "--json"],
        stdout=subprocess.PIPE,
        stderr=subprocess.DEVNULL,
        text=True,
        env=os.environ | settings,
    )
    try:
        assert process.stdout is not None
        assert json.loads(process.stdout.readline())["url"].rstrip("/") == f"http://127.0.0.2:{port}"
    finally:
        process.kill()
        process.wait()


def test_only_unknown_variables_are_reported(run: Run, monkeypatch: pytest.MonkeyPatch) -> None:
    for name in (*SETTINGS, *OF_THE_COMMAND):
        monkeypatch.delenv(f"CIVIC_{name}", raising=False)
    monkeypatch.setenv("CIVIC_CPUS", "one")
    assert "CIVIC_CPUS" not in run("--version").err
    monkeypatch.setenv("CIVIC_PROT", "8600")
    assert "CIVIC_PROT is not a setting and is ignored; is CIVIC_PORT meant?" in run("--version").err


READS_A_VARIABLE = re.compile(
    r"""environ(?:\.get\(|\[|\.pop\()\s*["']CIVIC_(\w+)["']|getenv\(\s*["']CIVIC_(\w+)["']"""
    r"""|^(?:export )?CIVIC_(\w+) ?(?:=|\?=|:=)""",
    re.MULTILINE,
)


def variables_of_the_sources() -> set[str]:
    """The names, without their prefix, of what Makefile, builds, tests and code read or set of the environment."""
    root = Path(__file__).parents[3]
    rooms = ("api", "ledger", "access_policy", "contracts", "languages", "tests", "benchmarks", "docs")
    files = [
        file for room in rooms for file in (root / room).rglob("*.py") if "node_modules" not in file.parts
    ]
    files += [root / "Makefile", root / ".ci" / "run"]
    return {
        next(filter(None, found.groups()))
        for file in files
        for found in READS_A_VARIABLE.finditer(file.read_text("utf-8"))
    }


def test_a_variable_of_makefile_and_tests_is_not_called_unknown(
    run: Run, monkeypatch: pytest.MonkeyPatch
) -> None:
    assert variables_of_the_sources() <= {*SETTINGS, *OF_THE_COMMAND, *OF_DEVELOPMENT}
    for name in ("REQUIRE", "WORKERS", "TEST_POSTGRES", "WRITE_DOCS", "WRITE_GAS"):
        monkeypatch.setenv(f"CIVIC_{name}", "all")
    assert "is not a setting" not in run("--version").err


def test_the_known_variables_are_the_settings() -> None:
    assert set(SETTINGS) == {name.upper() for name in Settings.model_fields}


def test_an_operators_command_starts_no_scanning_processes(home: Path) -> None:
    """It scans nothing. Each such command started two, and said in English that they were not warm."""
    of_others = scan_workers()
    with open_gateway(Settings(home=home), chores=False):
        until = time.monotonic() + 2
        while time.monotonic() < until:
            assert scan_workers() <= of_others
            time.sleep(0.1)


def scan_workers() -> set[tuple[int, str]]:
    """Process number and command line of each scan worker that this process has started. A service that another
    fixture keeps in this process has some of its own."""
    found = set()
    for status in Path("/proc").glob("[0-9]*/stat"):
        with suppress(OSError):
            if status.read_text().rpartition(")")[2].split()[1] == str(os.getpid()):
                line = (status.parent / "cmdline").read_text().replace("\0", " ")
                found.add((int(status.parent.name), line))
    return {(number, line) for number, line in found if "execution.worker" in line}
