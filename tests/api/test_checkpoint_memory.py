"""A client remembers the newest checkpoint and refuses a log that is not its extension."""

from __future__ import annotations

from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from api.sdk.errors import AnswerRefused, RollbackDetected
from api.sdk.memory import CheckpointMemory
from ledger.audit.formats.checkpoint import Origin, sign_checkpoint
from ledger.audit.formats.merkle import consistency_proof, leaf_hash, root_of_hashes
from ledger.audit.formats.note import Signer

SIGNER = Signer.generate(str(Origin(77, "0x" + "ab" * 20)))


class Log:
    """The smallest honest log: leaves in a list."""

    def __init__(self, *leaves: bytes) -> None:
        self.hashes = [leaf_hash(leaf) for leaf in leaves]

    def note(self, size: int) -> str:
        return str(sign_checkpoint(SIGNER, size, root_of_hashes(self.hashes[:size])))

    def proof(self, old: int, new: int) -> list[bytes]:
        def node(level: int, index: int) -> bytes:
            width = 1 << level
            return root_of_hashes(self.hashes[index * width : (index + 1) * width])

        return consistency_proof(old, new, node)


HONEST = Log(*(b"entry %d" % n for n in range(40)))
FORKED = Log(*(b"entry %d" % n for n in range(5)), *(b"rewritten %d" % n for n in range(35)))


@given(st.lists(st.integers(min_value=1, max_value=40), min_size=1, max_size=12))
@settings(max_examples=30)
def test_an_honest_log_is_accepted_in_any_order(
    tmp_path_factory: pytest.TempPathFactory, sizes: list[int]
) -> None:
    memory = CheckpointMemory(tmp_path_factory.mktemp("state"), SIGNER.key)
    for size in sizes:
        memory.accept(HONEST.note(size), HONEST.proof)
    assert memory.seen is not None
    assert memory.seen.size == max(sizes)


def test_what_was_seen_survives_a_restart(tmp_path: Path) -> None:
    CheckpointMemory(tmp_path, SIGNER.key).accept(HONEST.note(9), HONEST.proof)
    again = CheckpointMemory(tmp_path, SIGNER.key)
    with pytest.raises(RollbackDetected):
        again.accept(FORKED.note(9), FORKED.proof)


def test_a_shorter_log_is_a_rollback(tmp_path: Path) -> None:
    memory = CheckpointMemory(tmp_path, SIGNER.key)
    memory.accept(HONEST.note(20), HONEST.proof)
    with pytest.raises(RollbackDetected):
        memory.accept(HONEST.note(12), HONEST.proof, at_least=20)


@pytest.mark.parametrize("size", [20, 21, 40])
def test_a_fork_is_refused_at_the_same_and_at_a_larger_size(tmp_path: Path, size: int) -> None:
    memory = CheckpointMemory(tmp_path, SIGNER.key)
    memory.accept(HONEST.note(20), HONEST.proof)
    with pytest.raises(RollbackDetected):
        memory.accept(FORKED.note(size), FORKED.proof)
    assert memory.seen is not None
    assert memory.seen.size == 20


def test_a_checkpoint_of_another_key_is_refused(tmp_path: Path) -> None:
    stranger = Signer.generate(SIGNER.key.name)
    memory = CheckpointMemory(tmp_path, SIGNER.key)
    with pytest.raises(AnswerRefused):
        memory.accept(str(sign_checkpoint(stranger, 1, HONEST.hashes[0])), HONEST.proof)


def test_a_damaged_memory_is_not_forgotten_silently(tmp_path: Path) -> None:
    CheckpointMemory(tmp_path, SIGNER.key).accept(HONEST.note(3), HONEST.proof)
    [file] = tmp_path.glob("checkpoint-*.note")
    file.write_text(file.read_text().replace("3", "2", 1))
    with pytest.raises(AnswerRefused):
        CheckpointMemory(tmp_path, SIGNER.key)
