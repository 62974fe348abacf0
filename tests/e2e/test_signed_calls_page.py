"""The programs of docs/signed-calls.md do what the page says: they call, verify the answer, and refuse one that was changed."""

from __future__ import annotations

import json
import re
import subprocess
import sys
from pathlib import Path

import pytest
from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat

from api.cli.main import main
from api.demo.city import City
from api.demo.participants import PLANNING

ROOT = Path(__file__).parents[2]
BLOCKS = re.findall(r"```(python|js|sh)\n(.*?)```", (ROOT / "docs" / "signed-calls.md").read_text(), re.S)
OTHERS = re.compile("ethers|civic_ledger_client")
"""Programs that need packages: an act from a wallet here, a generated client in `test_generated_client`."""
RUNS = {"python": [sys.executable], "js": ["node"], "sh": ["bash", "-e"]}
NAMES = {"python": "call.py", "js": "call.mjs", "sh": "call.sh"}
LANGUAGES = [
    pytest.param("python"),
    pytest.param("js", marks=pytest.mark.needs("node")),
    pytest.param("sh", marks=pytest.mark.needs("openssl")),
]


def program(language: str, city: City, **other: str) -> str:
    """The programs of the page in this language, with this city's address, keys and dataset."""
    text = "".join(code for kind, code in BLOCKS if kind == language and not OTHERS.search(code))
    return values_for(text, city, **other)


def values_for(text: str, city: City, **other: str) -> str:
    """A program of the page with this city's address, keys and dataset."""
    values = {
        "http://127.0.0.1:8600": city.service.url,
        "2:HEX": city.of(PLANNING).service.key_id,
        "1.1": "6.1",
        **({"GATEWAY": str(city.trust.document["gateway_key"])} if "GATEWAY" in text else {}),
        **other,
    }
    for name, value in values.items():
        assert name in text
        text = re.sub(
            rf"(?<![\d.]){re.escape(name)}(?![\d.])" if name == "1.1" else re.escape(name), value, text
        )
    return text


def run(language: str, text: str, place: Path, **environment: str) -> subprocess.CompletedProcess[str]:
    file = place / NAMES[language]
    file.write_text(text)
    return subprocess.run(
        [*RUNS[language], file.name],
        cwd=place,
        capture_output=True,
        text=True,
        timeout=60,
        env={"PATH": "/usr/local/bin:/usr/bin:/bin", **environment},
    )


def pem(city: City) -> bytes:
    private = city.of(PLANNING).service.private
    return private.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption())


@pytest.mark.parametrize("language", LANGUAGES)
def test_a_program_of_the_page_reads_and_verifies(language: str, shared_city: City, tmp_path: Path) -> None:
    (tmp_path / "my.pem").write_bytes(pem(shared_city))
    done = run(language, program(language, shared_city), tmp_path)
    assert done.returncode == 0, done.stderr
    rows = json.loads(done.stdout[done.stdout.index("[") :])
    assert len(rows) == 5
    assert all(row.keys() == {"district"} for row in rows)
    if language != "sh":
        receipt, trust = tmp_path / "receipt.tlog-proof", shared_city.home / "trust.json"
        assert main(["audit", "receipt", "verify", str(receipt), "--trust", str(trust), "--json"]) in (0, 3)


@pytest.mark.parametrize("language", LANGUAGES)
def test_a_program_of_the_page_refuses_another_gateways_answer(
    language: str, shared_city: City, tmp_path: Path
) -> None:
    (tmp_path / "my.pem").write_bytes(pem(shared_city))
    done = run(
        language,
        program(
            language, shared_city, GATEWAY="d75a980182b10ab7d54bfed3c964073a0ee172f3daa62325af021a68f707511a"
        ),
        tmp_path,
    )
    assert done.returncode != 0
    assert "district" not in done.stdout


CHANGES = {
    ("rows", "python"): ("rows = answer.read()\n", "rows = answer.read() + b' '\n"),
    ("rows", "js"): ("Buffer.from(await answer.arrayBuffer())", "Buffer.from(await answer.text() + ' ')"),
    ("rows", "sh"): ('-H "Signature: $SIGNATURE"\n', '-H "Signature: $SIGNATURE"\necho >> rows\n'),
    ("call", "python"): (
        "rows = answer.read()\n",
        "rows = answer.read()\nsignature = signature[:-8] + 'AAAAA=:'\n",
    ),
    ("call", "js"): ('"signature;req": signature', '"signature;req": signature.slice(0, -8) + "AAAAA=:"'),
    ("call", "sh"): ("value=$SIGNATURE", "value=$(echo $SIGNATURE | sed 's/........$/AAAAAA=:/')"),
    ("age", "python"): ("time.time() - int", "time.time() + 600 - int"),
    ("age", "js"): ("Date.now() / 1000 - Number", "Date.now() / 1000 + 600 - Number"),
    ("age", "sh"): ("$(date +%s) - CREATED", "$(date +%s) + 600 - CREATED"),
}
"""Changes between the answer and its check: other bytes, an answer to another call, an answer from ten
minutes ago."""


@pytest.mark.parametrize("what", ["rows", "call", "age"])
@pytest.mark.parametrize("language", LANGUAGES)
def test_a_program_of_the_page_refuses_an_answer_that_is_not_this_calls(
    language: str, what: str, shared_city: City, tmp_path: Path
) -> None:
    (tmp_path / "my.pem").write_bytes(pem(shared_city))
    text = program(language, shared_city)
    old, new = CHANGES[what, language]
    assert text.count(old) == 1
    done = run(language, text.replace(old, new), tmp_path)
    assert done.returncode != 0
    assert "district" not in done.stdout


@pytest.mark.needs("node")
def test_a_wallet_signs_an_act_and_hands_it_in(city: City, tmp_path: Path) -> None:
    known = next(one for one in city.of(PLANNING).civic.grants(grantee=PLANNING.number) if one["left"] != 0)
    owner = city.actors[known["grantor"]]
    (tmp_path / "node_modules").symlink_to(ROOT / "contracts" / "node_modules")
    (tmp_path / "eip712.json").write_bytes((ROOT / "contracts" / "artifacts" / "eip712.json").read_bytes())
    (tmp_path / "trust.json").write_text(json.dumps(city.trust.document))
    [text] = [code for kind, code in BLOCKS if kind == "js" and "ethers" in code]
    text = text.replace("http://127.0.0.1:8600", city.service.url).replace("GRANT", known["id"])
    done = run("js", text, tmp_path, STEWARD_KEY="0x" + owner.secrets["steward"].hex())
    assert done.returncode == 0, done.stderr
    assert done.stdout.startswith(("200 ", "202 ")), done.stdout
    digest = json.loads(done.stdout[4:])["digest"]
    assert owner.civic.act_status(digest, wait_s=20)["state"] == "recorded"
    assert owner.civic.grant(known["id"])["status"] == "revoked"
