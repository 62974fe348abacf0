"""Witnesses: the protocol's answers one by one, and that a witness never signs two histories."""

from __future__ import annotations

import threading
from pathlib import Path
from typing import Any

import pytest

from ledger.audit.formats.checkpoint import SignedCheckpoint, sign_checkpoint
from ledger.audit.formats.errors import AuditError
from ledger.audit.formats.merkle import EMPTY_ROOT, leaf_hash, root_of_hashes
from ledger.audit.formats.note import COSIGNATURE, Signer
from ledger.audit.log.log import AuditLog
from ledger.audit.log.publish import publish
from ledger.audit.outside.witness import SIZE_TYPE, AddCheckpoint, Answer, Witness, WitnessState, collect
from ledger.audit.verify.keychain import KeyChain


@pytest.fixture
def database_url(tmp_path: Path) -> str:
    return f"sqlite:///{tmp_path / 'ledger.db'}"


@pytest.fixture
def grown(log: AuditLog, make: Any) -> AuditLog:
    append(log, make, 9)
    return log


def append(log: AuditLog, make: Any, count: int) -> None:
    with log.engine.begin() as conn:
        appended = log.append(conn, [make.entry() for _ in range(count)])
    log.committed(appended)


@pytest.fixture
def witness(log: AuditLog, tmp_path: Path) -> Witness:
    signer = Signer.generate("witness.example/health", COSIGNATURE)
    return Witness(
        signer,
        {log.origin: KeyChain.of(log.signer.key)},
        WitnessState(tmp_path / "witness"),
        clock=lambda: 1_762_000_000,
    )


def ask(witness: Witness, log: AuditLog, old: int, size: int) -> Answer:
    signed = sign_checkpoint(log.signer, size, log.root_at(size))
    return witness.add_checkpoint(str(AddCheckpoint(old, tuple(log.consistency(old, size)), signed)))


def test_witness_cosigns_an_extension(witness: Witness, grown: AuditLog) -> None:
    for old, size in ((0, 3), (3, 7), (7, 7), (7, 9)):
        answer = ask(witness, grown, old, size)
        assert answer.status == 200
        signed = sign_checkpoint(grown.signer, size, grown.root_at(size))
        cosigned = SignedCheckpoint(signed.checkpoint, signed.note.with_signature(answer.body))
        assert cosigned.cosigned_by([witness.key]) == {witness.key: 1_762_000_000}


def test_size_zero_is_its_own_path(witness: Witness, grown: AuditLog) -> None:
    assert ask(witness, grown, 0, 0).status == 200
    assert ask(witness, grown, 0, 5).status == 200
    assert ask(witness, grown, 0, 0).status == 409, "it has seen five entries"
    wrong = sign_checkpoint(grown.signer, 0, b"\x01" * 32)
    fresh = AddCheckpoint(0, (), wrong)
    assert witness.add_checkpoint(str(fresh)).status == 409


def test_witness_answers_409_with_its_size(witness: Witness, grown: AuditLog) -> None:
    ask(witness, grown, 0, 5)
    for old in (0, 3, 6):
        answer = ask(witness, grown, old, 9)
        assert (answer.status, answer.body, answer.content_type) == (409, "5\n", SIZE_TYPE)


def test_a_fork_and_a_wrong_proof_are_refused(witness: Witness, grown: AuditLog) -> None:
    ask(witness, grown, 0, 5)
    fork = sign_checkpoint(grown.signer, 5, leaf_hash(b"another history"))
    assert witness.add_checkpoint(str(AddCheckpoint(5, (), fork))).status == 422
    proof = tuple(grown.consistency(5, 9))
    head = sign_checkpoint(grown.signer, 9, grown.root)
    for wrong in (proof[:-1], (), (*proof, proof[0]), (proof[0], *proof[:0:-1])):
        assert witness.add_checkpoint(str(AddCheckpoint(5, wrong, head))).status == 422
    other = sign_checkpoint(grown.signer, 9, root_of_hashes([leaf_hash(b"%d" % i) for i in range(9)]))
    assert witness.add_checkpoint(str(AddCheckpoint(5, proof, other))).status == 422
    assert ask(witness, grown, 5, 9).status == 200, "and none of it was remembered"


def test_unknown_logs_and_signers_are_refused(witness: Witness, grown: AuditLog) -> None:
    origin = "civicledger.example/log/1/0x" + "00" * 20 + "/1"
    elsewhere = sign_checkpoint(Signer.generate(origin), 1, leaf_hash(b""))
    assert witness.add_checkpoint(str(AddCheckpoint(0, (), elsewhere))).status == 404
    forged = sign_checkpoint(Signer.generate(grown.origin), 1, leaf_hash(b""))
    assert witness.add_checkpoint(str(AddCheckpoint(0, (), forged))).status == 403
    honest = sign_checkpoint(grown.signer, 5, grown.root_at(5))
    assert witness.add_checkpoint(str(AddCheckpoint(6, (), honest))).status == 400
    body = str(AddCheckpoint(0, (), honest))
    broken = body.replace("\n5\n", "\n6\n")
    assert witness.add_checkpoint(broken).status == 403, "the signature is over another size"
    for malformed in ("", "old 0", "old 00\n\n" + str(honest), "old -1\n\n" + str(honest), body + "x", "new" + body,
                      "old 0\nAAAA\n\n" + str(honest), "old 0\n" + "A" * 44 + "\n\n" + str(honest),
                      "old 0\n" * 70 + "\n" + str(honest), "old 0\n\n" + "x" * 200_000):  # fmt: skip
        assert witness.add_checkpoint(malformed).status == 400


def test_witness_state_survives_a_restart_and_damage_is_refused(
    witness: Witness, grown: AuditLog, tmp_path: Path
) -> None:
    ask(witness, grown, 0, 5)
    again = Witness(
        Signer.generate("witness.example/health", COSIGNATURE),
        {grown.origin: KeyChain.of(grown.signer.key)},
        WitnessState(tmp_path / "witness"),
    )
    assert ask(again, grown, 0, 9).body == "5\n"
    (memory,) = (tmp_path / "witness").glob("*.checkpoint")
    memory.write_bytes(memory.read_bytes()[:-20])
    with pytest.raises(AuditError, match="unreadable"):
        ask(again, grown, 5, 9)


def test_concurrent_requests_cannot_roll_back_a_witness(
    witness: Witness, grown: AuditLog, tmp_path: Path
) -> None:
    ask(witness, grown, 0, 1)
    answers: list[tuple[int, Answer]] = []
    barrier = threading.Barrier(8)

    def race(size: int) -> None:
        mine = Witness(
            witness._signer, {grown.origin: KeyChain.of(grown.signer.key)}, WitnessState(tmp_path / "witness")
        )
        barrier.wait()
        answers.append((size, ask(mine, grown, 1, size)))

    threads = [threading.Thread(target=race, args=(2 + i,)) for i in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    won = [size for size, answer in answers if answer.status == 200]
    assert len(won) == 1
    assert ask(witness, grown, 0, 9).body == f"{won[0]}\n"


def test_the_log_collects_a_quorum(grown: AuditLog, make: Any, tmp_path: Path) -> None:
    witnesses = [
        Witness(
            Signer.generate(f"witness.example/{name}", COSIGNATURE),
            {grown.origin: KeyChain.of(grown.signer.key)},
            WitnessState(tmp_path / name),
        )
        for name in ("health", "education")
    ]
    for _ in range(3):
        signed = grown.checkpoint()
        for witness in witnesses:
            signed = collect(signed, witness.key, witness.add_checkpoint, grown.consistency)
        assert len(signed.cosigned_by([w.key for w in witnesses])) == 2
        publish(grown, signed)
        assert str(grown.published()) == str(signed)
        append(grown, make, 4)


@pytest.mark.parametrize("told", ["", "many\n", "-5\n", "9" * 30, "1\n2\n", "١\n"])
def test_unreadable_witness_answer_is_a_refusal(grown: AuditLog, witness: Witness, told: str) -> None:
    with pytest.raises(AuditError, match="does not cosign"):
        collect(
            grown.checkpoint(),
            witness.key,
            lambda _: Answer(409, told, SIZE_TYPE),
            grown.consistency,
        )


def test_witness_cosigns_one_of_two_concurrent_forks(
    witness: Witness, grown: AuditLog, tmp_path: Path
) -> None:
    """Both are signed by the log's key and are valid first heads: the witness may sign only one of them."""
    barrier = threading.Barrier(8)
    answers: list[tuple[int, Answer]] = []
    roots = [bytes([number % 2]) * 32 for number in range(8)]

    def race(number: int) -> None:
        mine = Witness(
            witness._signer, {grown.origin: KeyChain.of(grown.signer.key)}, WitnessState(tmp_path / "witness")
        )
        fork = sign_checkpoint(grown.signer, 7, roots[number])
        barrier.wait()
        answers.append((number % 2, mine.add_checkpoint(str(AddCheckpoint(0, (), fork)))))

    threads = [threading.Thread(target=race, args=(number,)) for number in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    [won] = [fork for fork, answer in answers if answer.status == 200]
    again = sign_checkpoint(grown.signer, 7, roots[1 - won])
    assert witness.add_checkpoint(str(AddCheckpoint(7, (), again))).status == 422


def test_log_reports_a_witness_with_another_history(grown: AuditLog, witness: Witness) -> None:
    fork = sign_checkpoint(grown.signer, 4, leaf_hash(b"another history"))
    witness.add_checkpoint(str(AddCheckpoint(0, (), fork)))
    with pytest.raises(AuditError, match="does not cosign: 422"):
        collect(grown.checkpoint(), witness.key, witness.add_checkpoint, grown.consistency)
    ahead = sign_checkpoint(grown.signer, 4_000, leaf_hash(b"later"))
    empty = Witness(
        witness._signer,
        {grown.origin: KeyChain.of(grown.signer.key)},
        WitnessState(Path(str(witness._state._folder) + "2")),
    )
    empty.add_checkpoint(str(AddCheckpoint(0, (), ahead)))
    with pytest.raises(AuditError, match="409 4000"):
        collect(grown.checkpoint(), witness.key, empty.add_checkpoint, grown.consistency)
    assert grown.root != EMPTY_ROOT
