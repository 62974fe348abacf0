"""An external client: an external generator makes it from /openapi.json, in an environment without this
project.

`make generator` installs the generator (`tests/generator/requirements.txt`).
"""

from __future__ import annotations

import json
import subprocess
from pathlib import Path

import httpx
import pytest

from api.demo.city import City
from api.http.examples import examples
from api.http.openapi import operations
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
    """The folder with the client, generated without a warning."""
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


PARSES = f"""
import importlib, json, httpx
from {PACKAGE} import Client

def plain(parsed):
    return [one.to_dict() for one in parsed] if isinstance(parsed, list) else parsed.to_dict()

for tag, name, status, answer in json.load(open("answers.json")):
    operation = importlib.import_module(f"{PACKAGE}.api.{{tag}}.{{name}}")
    response = httpx.Response(status, json=answer)
    again = plain(operation._parse_response(client=Client("http://service"), response=response))
    same = [json.dumps(one, sort_keys=True).replace('Z"', '+00:00"') for one in (answer, again)]
    assert same[0] == same[1], (name, *same)
    print(name, status)
"""
"""Reads every example of an answer with the client's own models and writes it again."""


def test_the_models_of_the_client_read_every_example_and_lose_nothing(
    generated: Path, shared_city: City
) -> None:
    document = httpx.get(f"{shared_city.service.url}/openapi.json").json()
    named = {f"{method.upper()} {path}": one for path, method, one in operations(document)}
    answers = [
        (named[label]["tags"][0].replace(" ", "_"), named[label]["operationId"], int(status), answer)
        for label, example in examples().items()
        for status, answer in example.get("answers", {}).items()
        if not isinstance(answer, str)
    ]
    (generated / "answers.json").write_text(json.dumps(answers))
    (generated / "parse.py").write_text(PARSES)
    done = run(generated, "python", "parse.py")
    assert done.returncode == 0, done.stderr
    assert len(done.stdout.splitlines()) == len(answers) > 34


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
