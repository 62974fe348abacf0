"""A stranger's client: made by somebody else's generator from /openapi.json, in an environment that has nothing of ours.

`make generator` installs the generator (`tests/generator/requirements.txt`)."""

from __future__ import annotations

import subprocess
from pathlib import Path

import pytest

from api.demo.city import City
from tests.conftest import ROOT
from tests.e2e.test_signed_calls_page import BLOCKS, pem, values_for

BIN = ROOT / ".tools" / "generator" / "bin"
PACKAGE = "civic_ledger_client"

pytestmark = pytest.mark.needs("generator")


def run(place: Path, *command: str) -> subprocess.CompletedProcess[str]:
    """Run a command of the generator's environment: no module of this repository can be imported there."""
    return subprocess.run(
        [str(BIN / command[0]), *command[1:]],
        cwd=place,
        env={"PATH": f"{BIN}:/usr/bin:/bin"},
        capture_output=True,
        text=True,
        timeout=120,
    )


@pytest.fixture(scope="module")
def generated(shared_city: City, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The folder with the client, made without a warning."""
    place = tmp_path_factory.mktemp("generated")
    made = run(
        place,
        "openapi-python-client",
        *("generate", "--url", f"{shared_city.service.url}/openapi.json"),
        *("--meta", "none", "--output-path", PACKAGE, "--fail-on-warning"),
    )
    assert made.returncode == 0, made.stdout + made.stderr
    return place


def test_the_environment_has_nothing_of_ours(generated: Path) -> None:
    done = run(generated, "python", "-c", "import api")
    assert "No module named 'api'" in done.stderr


def test_every_operation_and_every_model_can_be_imported(generated: Path) -> None:
    program = f"""
import importlib, pkgutil, {PACKAGE}
names = [one.name for one in pkgutil.walk_packages({PACKAGE}.__path__, "{PACKAGE}.")]
operations = [one for one in map(importlib.import_module, names) if hasattr(one, "sync_detailed")]
print(len(operations))
"""
    done = run(generated, "python", "-c", program)
    assert done.returncode == 0, done.stderr
    assert int(done.stdout) >= 34


def test_no_model_is_named_by_its_place(generated: Path) -> None:
    """An object without a name of its own is called ``..._type_1`` or ``..._item`` by a generator."""
    models = {path.stem for path in (generated / PACKAGE / "models").glob("*.py")}
    unnamed = {name for name in models if "_type_" in name or name.endswith(("_item", "_property"))}
    assert unnamed <= {"seat_roles_item", "service_key_roles_item"}, "words of a list have no name"


def test_the_program_of_the_page_calls_reads_and_is_refused(generated: Path, shared_city: City) -> None:
    [text] = [code for _, code in BLOCKS if PACKAGE in code]
    (generated / "my.pem").write_bytes(pem(shared_city))
    (generated / "call.py").write_text(values_for(text, shared_city))
    done = run(generated, "python", "call.py")
    assert done.returncode == 0, done.stderr
    first, *rows, refused = done.stdout.splitlines()
    assert int(first.removeprefix("entries in the log: ")) > 0
    assert len(rows) == 5
    assert all(row.startswith("row: ") for row in rows)
    assert refused.startswith("refused: signature.missing ")
    assert "签名" in refused
