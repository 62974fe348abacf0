"""The signed acts in a bundle: every change, addition, repetition or removal is named."""

from __future__ import annotations

import json
import shutil
import tarfile
import time
from collections.abc import Callable
from hashlib import sha256
from pathlib import Path
from typing import Any

import pytest

from api.demo.participants import AUDIT
from ledger.audit.formats.checkpoint import Checkpoint
from ledger.audit.formats.note import Note, Signer, unb64
from ledger.audit.verify import Trust, Verdict, verify_bundle
from ledger.audit.verify.acts import ACTS, MAX_ACT, act_line, acts_text
from ledger.audit.verify.strict import write_json
from ledger.chain.messages import fields
from tests.simulators.city import open_city

Lines = list[dict[str, Any]]


@pytest.fixture(scope="module")
def exported(founded: Path, tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, Trust]:
    """The bundle of a founded city in a folder, and the auditors' trust file."""
    work = tmp_path_factory.mktemp("signed-acts")
    home = Path(shutil.copytree(founded, work / "city"))
    city = open_city(home)
    city.of(AUDIT).civic.export(work / "bundle.tar")
    city.service.stop()
    with tarfile.open(work / "bundle.tar") as tar:
        tar.extractall(work / "bundle", filter="data")
    return work / "bundle", Trust.load(home / "trust.json")


@pytest.fixture
def bundle(exported: tuple[Path, Trust], tmp_path: Path) -> Path:
    return Path(shutil.copytree(exported[0], tmp_path / "bundle"))


@pytest.fixture
def trust(exported: tuple[Path, Trust]) -> Trust:
    return exported[1]


def lines_of(bundle: Path) -> Lines:
    return [json.loads(line) for line in (bundle / ACTS).read_bytes().splitlines()]


def code(verdict: Verdict) -> str:
    return verdict.findings[0].code if verdict.findings else verdict.word


def signed_by(bundle: Path, signer: Signer, data: bytes) -> None:
    """Another acts file with a note by this key, as a holder of the key would write them."""
    (bundle / ACTS).write_bytes(data)
    manifest = json.loads((bundle / "manifest.json").read_bytes())
    last = Checkpoint(manifest["origin"], manifest["size"], unb64(manifest["root"], "root"))
    text = acts_text(last, sha256(data).digest())
    manifest["acts"] = str(Note(text, ()).with_signature(signer.sign(text)))
    (bundle / "manifest.json").write_bytes(write_json(manifest))


def test_a_bundle_has_the_signed_message_of_every_act(bundle: Path, trust: Trust) -> None:
    verdict = verify_bundle(bundle, trust)
    assert verdict.word == "verified"
    assert not any("signed messages" in remark for remark in verdict.remarks)
    named = {
        entry["facts"]["act"]
        for file in (bundle / "entries").iterdir()
        for entry in map(json.loads, file.read_bytes().splitlines())
        if "act" in entry.get("facts", {}) and entry["facts"]["event"] not in ("Used", "LogOpened")
    }
    acts = lines_of(bundle)[1:]
    assert {act["act"] for act in acts} == named
    assert len(named) > 20


def test_no_act_in_a_bundle_has_free_text(bundle: Path) -> None:
    """Only ids, hashes, numbers and signatures: the bundle contains no documents."""

    def kinds(name: str) -> set[str]:
        found: set[str] = set()
        for one in fields(name):
            inner = one.type.removesuffix("[]")
            found |= kinds(inner) if inner[0].isupper() else {inner}
        return found

    acts = lines_of(bundle)[1:]
    assert not any("string" in kinds(act["type"]) or "bytes" in kinds(act["type"]) for act in acts)
    assert {name for act in acts for name in act} == {
        "act", "arguments", "entry", "message", "signatures", "type"
    }  # fmt: skip


def test_bundle_without_acts_is_valid_with_a_remark(bundle: Path, trust: Trust) -> None:
    (bundle / ACTS).unlink()
    assert code(verify_bundle(bundle, trust)) == "bundle.missing"
    manifest = json.loads((bundle / "manifest.json").read_bytes())
    del manifest["acts"]
    (bundle / "manifest.json").write_bytes(write_json(manifest))
    verdict = verify_bundle(bundle, trust)
    assert verdict.word == "verified"
    assert any("signed messages of" in remark for remark in verdict.remarks)


def test_a_file_that_the_log_did_not_sign_is_refused(bundle: Path, trust: Trust) -> None:
    data = (bundle / ACTS).read_bytes()
    signed_by(bundle, Signer.generate(trust.origin), data)
    assert code(verify_bundle(bundle, trust)) == "acts.changed"
    assert code(verify_bundle(bundle)) == "acts.changed"


def _signature(lines: Lines, kind: str = "Admission") -> None:
    """A changed digit in a signature makes it a signature by some other key."""
    act = next(line for line in lines[1:] if line["type"] == kind)
    slot = next(iter(act["signatures"]))
    last = act["signatures"][slot][0]
    act["signatures"][slot][0] = last[:10] + ("0" if last[10] != "0" else "1") + last[11:]


def _another_signer(lines: Lines) -> None:
    lines[3]["signatures"] = {"signature": ["0x" + "11" * 64 + "1b"]}


FORGED: dict[str, tuple[Callable[[Lines], Any], set[str]]] = {
    "another message": (lambda ls: ls[4]["message"].update(deadline=1), {"acts.changed"}),
    "another type": (lambda ls: ls[4].update(type="Revoke"), {"acts.changed"}),
    "an unknown type": (lambda ls: ls[4].update(type="Nothing"), {"acts.changed"}),
    "a member too many": (lambda ls: ls[4].update(more=1), {"bundle.malformed"}),
    "a truth value": (lambda ls: ls[4].update(entry=True), {"bundle.malformed"}),
    "a negative entry": (lambda ls: ls[4].update(entry=-1), {"acts.repeated", "acts.foreign"}),
    "another entry": (lambda ls: ls[-1].update(entry=10**9), {"acts.foreign"}),
    "an act that no entry names": (lambda ls: ls[4].update(act="0x" + "ab" * 32), {"acts.foreign"}),
    "an act twice": (lambda ls: ls.insert(5, dict(ls[4])), {"acts.repeated"}),
    "another order": (lambda ls: ls.reverse() or ls.insert(0, ls.pop()), {"acts.repeated"}),
    "no act but one left out": (lambda ls: ls.pop(4), {"acts.changed"}),
    "a member's signature": (_signature, {"acts.signature", "acts.changed"}),
    "the officer's signature": (lambda ls: _signature(ls, "Terms"), {"acts.signature"}),
    "no signature": (lambda ls: ls[4].update(signatures={}), {"acts.signature"}),
    "signatures of another shape": (lambda ls: ls[4].update(signatures={"a": 7}), {"acts.signature"}),
    "a signature that is none": (_another_signer, {"acts.signature"}),
    "other call data": (lambda ls: ls[4].update(arguments={"chain": []}), {"acts.changed"}),
    "another salt": (lambda ls: ls[0].update(salt="0x" + "00" * 32), {"acts.changed"}),
    "another chain": (lambda ls: ls[0].update(chain_id=1), {"acts.foreign"}),
    "another contract": (
        lambda ls: ls[0]["addresses"].update(AuditAnchor="0x" + "00" * 20), {"acts.foreign"}
    ),
    "no deployment": (lambda ls: ls.pop(0), {"bundle.malformed"}),
    "addresses that are none": (lambda ls: ls[0].update(addresses={}), {"acts.foreign"}),
}  # fmt: skip


@pytest.mark.parametrize("how", FORGED)
def test_a_forged_act_is_named(bundle: Path, trust: Trust, how: str) -> None:
    """A foreign file: the note of the log covers another one."""
    change, codes = FORGED[how]
    lines = lines_of(bundle)
    change(lines)
    (bundle / ACTS).write_bytes(b"".join(act_line(line) for line in lines))
    assert code(verify_bundle(bundle, trust)) in codes
    assert code(verify_bundle(bundle)) in codes


GARBAGE = {
    "nothing": b"",
    "an empty line": b"\n",
    "no end": b"{}",
    "deep": b"[" * 100_000 + b"\n",
    "a number": b"7\n",
    "two members of one name": b'{"a":1,"a":1}\n',
    "two members of one name behind many": (
        b"{" + b"".join(b'"%x":0,' % number for number in range(200_000)) + b'"30d3f":0}\n'
    ),
    "spaces": b'{ "addresses":{},"chain_id":1,"salt":""}\n',
    "half a surrogate": b'{"addresses":{},"chain_id":1,"salt":"\\ud800"}\n',
    "no text": bytes(range(256)) + b"\n",
    "a line without end": b"x" * (MAX_ACT + 10),
    "a huge number": b'{"addresses":{},"chain_id":' + b"9" * 5000 + b',"salt":""}\n',
}


@pytest.mark.parametrize("what", GARBAGE)
def test_invalid_acts_file_is_refused(bundle: Path, trust: Trust, what: str) -> None:
    (bundle / ACTS).write_bytes(GARBAGE[what])
    began = time.process_time()
    assert code(verify_bundle(bundle, trust)) in ("bundle.malformed", "acts.changed", "acts.foreign")
    assert time.process_time() - began < 30, "however a line is made, it is read in the time of its length"


def test_overlong_acts_file_is_refused_after_one_line(bundle: Path, trust: Trust) -> None:
    """A sparse file of 40 GB is refused because of its length; a file of the maximum length is refused after
    its first megabytes."""
    with (bundle / ACTS).open("r+b") as file:
        file.truncate(40 << 30)
    assert code(verify_bundle(bundle, trust)) == "bundle.malformed"
    with (bundle / ACTS).open("r+b") as file:
        file.truncate(64 << 20)
    assert code(verify_bundle(bundle, trust)) == "bundle.malformed"


def test_every_byte_of_the_acts_matters(bundle: Path, trust: Trust) -> None:
    file = bundle / ACTS
    data = file.read_bytes()
    for at in range(0, len(data), max(1, len(data) // 150)):
        file.write_bytes(data[:at] + bytes([data[at] ^ (1 << (at % 8))]) + data[at + 1 :])
        assert not verify_bundle(bundle, trust).ok, f"byte {at} may be anything"
