"""Witnesses and notes of other projects: what C2SP allows is supported, ignored, or reported as a problem."""

from __future__ import annotations

import base64
import os
import time
from collections.abc import Iterator
from hashlib import sha256
from pathlib import Path
from typing import Any

import pytest
from fastapi.testclient import TestClient
from hypothesis import given, settings
from hypothesis import strategies as st

from api.runtime.cosigners import Cosigners
from api.witness import witness_app
from ledger.audit.formats.checkpoint import SignedCheckpoint, read_checkpoint, sign_checkpoint
from ledger.audit.formats.errors import NoteInvalid
from ledger.audit.formats.merkle import leaf_hash
from ledger.audit.formats.note import COSIGNATURE, Note, Signer, VerifierKey
from ledger.audit.keeping.export import export_bundle
from ledger.audit.log.log import AuditLog
from ledger.audit.log.publish import publish
from ledger.audit.outside.witness import AddCheckpoint, Witness, WitnessState
from ledger.audit.verify import Trust, verify_bundle
from ledger.audit.verify.keychain import KeyChain
from ledger.audit.verify.trust import TrustInvalid
from tests.simulators.foreign_witness import RUBBISH, ForeignWitness


@pytest.fixture
def database_url(tmp_path: Path) -> str:
    return f"sqlite:///{tmp_path / 'ledger.db'}"


@pytest.fixture
def grown(log: AuditLog, make: Any) -> AuditLog:
    append(log, make, 9)
    return log


@pytest.fixture
def foreign() -> Iterator[ForeignWitness]:
    with ForeignWitness() as witness:
        yield witness


def append(log: AuditLog, make: Any, count: int) -> None:
    with log.engine.begin() as conn:
        appended = log.append(conn, [make.entry() for _ in range(count)])
    log.committed(appended)


def cosigners(log: AuditLog, *witnesses: ForeignWitness, wait_s: float = 5.0) -> Cosigners:
    keys = {witness.url: VerifierKey.parse(witness.vkey) for witness in witnesses}
    return Cosigners(log, keys, wait_s=wait_s)


# -- the log's side


@pytest.mark.parametrize("mood", ["well", "twice"])
def test_cosignature_after_a_post_quantum_line_is_found(
    grown: AuditLog, foreign: ForeignWitness, mood: str
) -> None:
    foreign.mood = mood
    ask = cosigners(grown, foreign)
    key = VerifierKey.parse(foreign.vkey)
    signed = ask(grown.checkpoint())
    assert abs(signed.cosigned_by([key])[key] - time.time()) < 60
    assert [s.name for s in signed.note.signatures] == [grown.origin, foreign.name], (
        "unknown keys are left out"
    )
    [state] = ask.status()
    assert (state["name"], state["cosigned"]["size"], state["problem"]) == (foreign.name, 9, None)


def test_log_retries_with_the_size_from_a_409_answer(
    grown: AuditLog, foreign: ForeignWitness, make: Any
) -> None:
    cosigners(grown, foreign)(grown.checkpoint())
    append(grown, make, 4)
    restarted = cosigners(grown, foreign)
    assert len(restarted(grown.checkpoint()).note.signatures) == 2
    assert restarted.status()[0]["cosigned"]["size"] == 13


@pytest.mark.parametrize(
    ("mood", "problem"),
    [
        *((mood, "audit.witness_malformed") for mood in RUBBISH),
        ("wrong signature", "audit.witness_malformed"),
        ("no time", "audit.witness_malformed"),
        ("next week", "audit.witness_malformed"),
        ("no date", "audit.witness_malformed"),
        ("post-quantum only", "audit.witness_key"),
        ("fork", "audit.witness_conflict"),
    ],
)
def test_answer_without_a_valid_cosignature_is_reported(
    grown: AuditLog, foreign: ForeignWitness, mood: str, problem: str
) -> None:
    ask = cosigners(grown, foreign)
    foreign.mood = mood
    assert ask(grown.checkpoint()) == grown.checkpoint()
    [state] = ask.status()
    assert (state["problem"], state["cosigned"]) == (problem, None)
    foreign.mood = "well"
    assert len(ask(grown.checkpoint()).note.signatures) == 2, "one bad answer is not for ever"
    assert ask.status()[0]["problem"] is None


def test_slow_witness_delays_neither_log_nor_other_witnesses(grown: AuditLog) -> None:
    with ForeignWitness("slow.example") as slow, ForeignWitness("quick.example") as quick:
        slow.mood = "drip"
        ask = cosigners(grown, slow, quick, wait_s=1.0)
        began = time.monotonic()
        signed = ask(grown.checkpoint())
        assert time.monotonic() - began < 3
        assert [s.name for s in signed.note.signatures] == [grown.origin, "quick.example"]
        states = {state["name"]: state["problem"] for state in ask.status()}
        assert states == {"slow.example": "audit.witness_unreachable", "quick.example": None}
        for _ in range(3):
            ask(grown.checkpoint())
        assert slow.asked <= 2, "it is not asked again while it has not answered"


def test_unreachable_witness_is_reported(grown: AuditLog) -> None:
    with ForeignWitness() as gone:
        ask = cosigners(grown, gone)
    assert ask.status()[0]["problem"] is None
    assert ask.status()[0]["asked"] is None
    ask(grown.checkpoint())
    assert ask.status()[0]["problem"] == "audit.witness_unreachable"


def test_a_bundle_cosigned_by_a_foreign_witness_reaches_its_quorum(
    grown: AuditLog, foreign: ForeignWitness, trust_of: Any, tmp_path: Path
) -> None:
    ask = cosigners(grown, foreign)
    publish(grown, ask(grown.checkpoint()))
    export_bundle(grown, tmp_path / "bundle", witnesses=ask.keys)
    keys = (VerifierKey.parse(foreign.vkey), VerifierKey.parse(foreign.post_quantum_vkey))
    trust = Trust.parse(trust_of(grown, witnesses=keys, quorum=1).to_json())
    verdict = verify_bundle(tmp_path / "bundle", trust)
    assert verdict.word == "verified", verdict.lines()
    assert verdict.held_elsewhere == (f"witnesses {foreign.name}",)
    with pytest.raises(TrustInvalid, match="quorum"):
        trust_of(grown, witnesses=keys, quorum=2)


def test_bundle_contains_only_verifiable_signatures(
    grown: AuditLog, foreign: ForeignWitness, tmp_path: Path
) -> None:
    """A line of an unknown type in a stored note is left out at export; inserted by hand, it is refused."""
    signed = grown.checkpoint()
    line = foreign.post_quantum_line(grown.origin, signed.size, signed.root, int(time.time()))
    publish(grown, SignedCheckpoint(signed.checkpoint, signed.note.with_signature(line)))
    export_bundle(grown, tmp_path / "bundle")
    assert verify_bundle(tmp_path / "bundle").ok
    file = tmp_path / "bundle" / "checkpoint"
    plain = file.read_text()
    for added in (line, plain.partition("\n\n")[2]):
        file.write_text(plain + added)
        verdict = verify_bundle(tmp_path / "bundle")
        assert [finding.code for finding in verdict.findings] == ["checkpoint.signature"]


# -- notes and keys


def test_a_note_has_room_for_sixteen_post_quantum_signatures(grown: AuditLog) -> None:
    lines = ""
    for number in range(16):
        material = base64.b64encode(os.urandom(4 + 5000)).decode()
        lines += f"— {'w' * 200}.example/{number} {material}\n"
    signed = read_checkpoint(str(grown.checkpoint()) + lines)
    assert signed.note.verified_by([grown.signer.key]) == {grown.signer.key: 0}
    body = str(AddCheckpoint(0, (), signed))
    witness = our_witness(grown, Path(str(grown.engine.url.database) + ".witness"))
    assert witness.add_checkpoint(body).status == 200


def test_the_same_line_twice_is_no_error_and_both_are_checked(grown: AuditLog) -> None:
    signed = grown.checkpoint()
    line = signed.note.signatures[0].line
    doubled = Note.parse(str(signed) + line)
    assert bytes(doubled).decode() == str(signed) + line
    assert doubled.verified_by([grown.signer.key]) == {grown.signer.key: 0}
    forged = base64.b64encode(grown.signer.key.key_id + bytes(64)).decode()
    with pytest.raises(NoteInvalid):
        Note.parse(str(signed) + f"— {grown.origin} {forged}\n").verified_by([grown.signer.key])


@given(kind=st.integers(0, 255).filter(lambda kind: kind not in (1, 4, 6)), public=st.binary(max_size=2000))
@settings(max_examples=60, deadline=None)
def test_key_of_an_unknown_type_is_parsed_and_never_trusted(kind: int, public: bytes) -> None:
    name, material = "w.example", bytes([kind]) + public
    for key_id in (sha256(name.encode() + b"\n" + material).digest()[:4], sha256(public).digest()[:4]):
        key = VerifierKey.parse(f"{name}+{key_id.hex()}+{base64.b64encode(material).decode()}")
        assert key.key_id == key_id
        assert str(key) == f"{name}+{key_id.hex()}+{base64.b64encode(material).decode()}"
        line = f"— {name} {base64.b64encode(key_id + bytes(80)).decode()}\n"
        assert Note.parse("text\n\n" + line).verified_by([key]) == {}


def test_a_key_of_a_known_type_must_have_its_length_and_its_hash(foreign: ForeignWitness) -> None:
    for vkey in (foreign.vkey, foreign.post_quantum_vkey):
        assert str(VerifierKey.parse(vkey)) == vkey
        name, key_id, material = vkey.split("+", 2)
        short = base64.b64encode(base64.b64decode(material)[:-1]).decode()
        other = f"{int(key_id, 16) ^ 1:08x}"
        for bad in (
            f"{name}+{key_id}+{short}",
            f"{name}+{other}+{material}",
            f"{name}+{key_id.upper()}x+{material}",
        ):
            with pytest.raises(NoteInvalid):
                VerifierKey.parse(bad)


# -- our witness with foreign requests


def our_witness(log: AuditLog, state: Path) -> Witness:
    return Witness(
        Signer.generate("witness.example/ours", COSIGNATURE),
        {log.origin: KeyChain.of(log.signer.key)},
        WitnessState(state),
    )


def test_our_witness_follows_the_tlog_witness_protocol(grown: AuditLog, tmp_path: Path) -> None:
    witness = our_witness(grown, tmp_path / "witness")
    client = TestClient(witness_app(witness))
    path = f"/{sha256(grown.origin.encode()).hexdigest()}/checkpoint"

    def add(old: int, size: int, root: bytes, proof: list[bytes]) -> Any:
        body = f"old {old}\n" + "".join(base64.b64encode(one).decode() + "\n" for one in proof)
        return client.post("/add-checkpoint", content=body + f"\n{sign_checkpoint(grown.signer, size, root)}")

    assert client.get(path).status_code == 404, "nothing was cosigned yet"
    assert add(0, 0, b"\1" * 32, []).status_code == 422, "size zero has the root of the empty tree"
    assert add(0, 5, grown.root_at(5), [b"\1" * 32]).status_code == 422, "from zero there is no proof"
    assert client.get(path).status_code == 404, "and none of it was remembered"
    first = add(0, 5, grown.root_at(5), [])
    assert first.status_code == 200
    assert add(5, 5, leaf_hash(b"another history"), []).status_code == 422
    told = add(0, 9, grown.root, [])
    assert (told.status_code, told.text, told.headers["content-type"]) == (409, "5\n", "text/x.tlog.size")
    served = client.get(path)
    assert served.headers["content-type"] == "text/plain; charset=utf-8"
    note = read_checkpoint(served.text)
    assert note.size == 5
    assert first.text in served.text, "with the very cosignature that was returned"
    assert set(note.note.verified_by([grown.signer.key, witness.key])) == {grown.signer.key, witness.key}
    for unknown in ("0" * 64, path.upper().split("/")[1], "x"):
        assert client.get(f"/{unknown}/checkpoint").status_code == 404


def test_served_checkpoint_has_no_foreign_signature_lines(
    grown: AuditLog, foreign: ForeignWitness, tmp_path: Path
) -> None:
    witness = our_witness(grown, tmp_path / "witness")
    client = TestClient(witness_app(witness))
    signed = grown.checkpoint()
    line = foreign.post_quantum_line(grown.origin, signed.size, signed.root, int(time.time()))
    answer = client.post("/add-checkpoint", content=f"old 0\n\n{signed}{line}{line}".encode())
    assert answer.status_code == 200, answer.text
    served = client.get(f"/{sha256(grown.origin.encode()).hexdigest()}/checkpoint").text
    assert served == str(signed) + answer.text


def test_foreign_signature_lines_do_not_stop_a_witness(grown: AuditLog, tmp_path: Path) -> None:
    """Everyone may submit a public head with any lines under it; the witness continues with the next head."""
    signed = sign_checkpoint(grown.signer, 5, grown.root_at(5))
    one_line = f"— x {base64.b64encode(os.urandom(180_000)).decode()}\n"
    many = "".join(f"— x{n} {base64.b64encode(os.urandom(72)).decode()}\n" for n in range(63))
    again = signed.note.signatures[0].line
    for place, junk in enumerate((many, one_line, again * 63)):
        witness = our_witness(grown, tmp_path / f"witness-{place}")
        assert witness.add_checkpoint(f"old 0\n\n{signed}{junk}").status == 200
        following = AddCheckpoint(5, tuple(grown.consistency(5, 9)), grown.checkpoint())
        assert witness.add_checkpoint(str(following)).status == 200


def test_a_cosignature_without_a_time_is_not_counted(grown: AuditLog, trust_of: Any, tmp_path: Path) -> None:
    """Time 0 makes no statement about the largest head seen (tlog-cosignature)."""
    witness = Signer.generate("witness.example/silent", COSIGNATURE)
    trust = trust_of(grown, witnesses=(witness.key,), quorum=1)
    signed = grown.checkpoint()
    for moment, word in ((0, "failed"), (1, "verified")):
        line = witness.sign(signed.note.text, at=moment)
        publish(grown, SignedCheckpoint(signed.checkpoint, signed.note.with_signature(line)))
        export_bundle(grown, tmp_path / f"bundle-{moment}", witnesses=(witness.key,))
        verdict = verify_bundle(tmp_path / f"bundle-{moment}", trust)
        assert verdict.word == word, verdict.lines()
