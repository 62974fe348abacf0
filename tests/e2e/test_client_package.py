"""A department and an auditor work with the client's package only: no web3, no DuckDB, no server."""

from __future__ import annotations

import json
import re
import subprocess
import sys
from pathlib import Path

import pytest

import api.sdk
from api.demo.city import City
from api.demo.datasets import dataset_path
from api.demo.governing import AIR_POLICY
from api.demo.participants import AUDIT, ENVIRONMENT, PASSPHRASE, PLANNING, Part
from api.protocol.keystore import import_secp256k1
from tests.simulators.client_package import ClientEnvironment

ROOT = Path(__file__).parents[2]
MOST_BYTES = 60_000_000
LEFT_OUT = {"web3", "duckdb", "pyarrow", "sqlalchemy", "fastapi", "eth-utils", "py-evm", "alembic", "psycopg"}


@pytest.fixture(scope="module")
def client(tmp_path_factory: pytest.TempPathFactory) -> ClientEnvironment:
    return ClientEnvironment(tmp_path_factory.mktemp("client"))


def civic(
    client: ClientEnvironment, city: City, part: Part, *arguments: object, code: int = 0
) -> dict[str, object]:
    done = client.civic(
        *arguments,
        "--json",
        CIVIC_PROFILE=str(city.of(part).directory),
        CIVIC_URL=city.service.url,
        CIVIC_PASSPHRASE=PASSPHRASE,
    )
    assert done.returncode == code, done.stdout + done.stderr
    document: dict[str, object] = json.loads(done.stdout.splitlines()[-1])
    return document


def test_the_package_is_small_and_requires_no_server(client: ClientEnvironment) -> None:
    assert not client.names & LEFT_OUT
    assert client.bytes < MOST_BYTES


def test_every_command_has_its_help(client: ClientEnvironment) -> None:
    assert (
        client.civic("--help").stdout
        == subprocess.run(
            [sys.executable, "-m", "api.cli.main", "--help"], capture_output=True, text=True, check=True
        ).stdout
    )
    assert client.civic("--version").stdout.endswith("(civicledger-client)\n")


@pytest.mark.parametrize(
    "command",
    [("demo",), ("init",), ("dataset", "inspect", str(dataset_path("weather")))],
    ids=["demo", "init", "dataset inspect"],
)
def test_a_command_of_the_server_says_which_package_it_needs(
    client: ClientEnvironment, command: tuple[str, ...], tmp_path: Path
) -> None:
    command += ("--home", str(tmp_path / "new")) if command[0] != "dataset" else ()
    done = client.civic(*command, "--json")
    assert done.returncode == 1
    assert json.loads(done.stdout)["error"]["code"] == "install.client"
    assert "客户端软件包" in client.civic(*command, CIVIC_LANG="zh").stderr
    assert not (tmp_path / "new").exists()


def test_a_department_reads_grants_and_uploads(
    client: ClientEnvironment, shared_city: City, tmp_path: Path
) -> None:
    asset = shared_city.assets["air_quality"]
    assert civic(client, shared_city, PLANNING, "status")
    read = ("read", asset, "--purpose", AIR_POLICY, "--limit", 2)
    assert civic(client, shared_city, PLANNING, *read)
    denied = civic(client, shared_city, PLANNING, "read", asset, "--purpose", "dpv:Marketing", code=1)
    assert "purpose.mismatch" in json.dumps(denied)
    wish = (
        "--to",
        2,
        "--columns",
        "pm25",
        "--purpose",
        AIR_POLICY,
        "--until",
        "P30D",
        "--yes",
        "--key",
        "steward",
    )
    assert civic(client, shared_city, ENVIRONMENT, "grant", asset, *wish)["state"] == "recorded"
    assert civic(client, shared_city, ENVIRONMENT, "dataset", "upload", asset, dataset_path("air_quality"))
    key = civic(client, shared_city, PLANNING, "keys", "new", "second", "--kind", "officer")
    assert str(key["public"]).startswith("0x")


def test_an_auditor_exports_and_verifies(
    client: ClientEnvironment, shared_city: City, tmp_path: Path
) -> None:
    bundle = tmp_path / "log.tar"
    assert civic(client, shared_city, AUDIT, "audit", "search", "--limit", 2)["entries"]
    civic(client, shared_city, AUDIT, "audit", "export", bundle)
    trust = shared_city.home / "trust.json"
    found = civic(client, shared_city, AUDIT, "audit", "verify", bundle, "--trust", trust)
    assert "acts were not checked" not in json.dumps(found), "signatures of officers are checked here too"
    data = bytearray(bundle.read_bytes())
    at = data.index(b"gateway:")
    data[at : at + 8] = b"gatewax:"
    bundle.write_bytes(data)
    civic(client, shared_city, AUDIT, "audit", "verify", bundle, "--trust", trust, code=1)


def test_program_in_sdk_page_reads_data(client: ClientEnvironment, shared_city: City, tmp_path: Path) -> None:
    """The first program of docs/sdk.md, with this city's address."""
    [program] = re.findall(r"```python\n(.*?)```", (ROOT / "docs" / "sdk.md").read_text(), re.S)[:1]
    planning = shared_city.of(PLANNING)
    for name, value in {
        "http://127.0.0.1:8600": shared_city.service.url,
        "city/departments/planning": str(planning.directory),
    }.items():
        assert name in program
        program = program.replace(name, value)
    (tmp_path / "read.py").write_text(program)
    done = client.python(str(tmp_path / "read.py"))
    assert done.returncode == 0, done.stderr
    assert "pm25" in done.stdout
    assert "purpose.mismatch" in done.stdout


def test_the_public_names_are_typed(client: ClientEnvironment, tmp_path: Path) -> None:
    """A stranger's program is checked by mypy against the installed package (``py.typed``)."""
    assert [*api.sdk.__all__] == sorted(api.sdk.__all__)
    assert all((client.ours / room / "py.typed").is_file() for room in ("api", "ledger", "access_policy"))
    names = "\n".join(f"reveal_type({name})" for name in api.sdk.__all__)
    (tmp_path / "theirs.py").write_text(f"from api.sdk import {', '.join(api.sdk.__all__)}\n{names}\n")
    done = subprocess.run(
        [
            sys.executable,
            "-m",
            "mypy",
            "--strict",
            "--no-incremental",
            "--follow-imports=silent",
            "theirs.py",
        ],
        cwd=tmp_path,
        capture_output=True,
        text=True,
        env={"MYPYPATH": str(client.ours), "PATH": "/usr/bin:/bin"},
    )
    revealed = re.findall(r'Revealed type is "(.*)"', done.stdout)
    assert len(revealed) == len(api.sdk.__all__), done.stdout + done.stderr
    assert not [one for one in revealed if one == "Any"], done.stdout
    assert done.returncode == 0, done.stdout


def test_a_department_asks_to_come_in_and_the_council_signs(
    client: ClientEnvironment, shared_city: City, tmp_path: Path
) -> None:
    """Neither needs more than the client's package; the demo's council of three is not complete with one signature."""
    place = tmp_path / "new"
    trust = shared_city.home / "trust.json"
    words = (
        "--url",
        shared_city.service.url,
        "--trust",
        trust,
        "--name-zh",
        "档案局",
        "--name-en",
        "Archives",
    )
    enrolled = civic(client, shared_city, PLANNING, "department", "enroll", 41, *words, "--profile", place)
    assert (place / "enrolment.json").exists()
    first = tmp_path / "member.json"
    import_secp256k1(first, "council", shared_city.council[0], PASSPHRASE)
    signed = civic(
        client, shared_city, PLANNING, "department", "admit", str(enrolled["request"]), "--key", first
    )
    assert signed["missing"]
