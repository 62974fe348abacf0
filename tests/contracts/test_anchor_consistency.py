"""The consistency proof on chain, compared with an oracle that uses only RFC 6962's definitions."""

from __future__ import annotations

import itertools
import random

import pytest
from contracts_harness import City, Reverted

from .anchoring import Anchoring, origin_of
from .rfc6962 import Uniform, entries

LARGEST = 40
ORIGIN = origin_of("civic.example/log")


@pytest.fixture
def anchoring(city: City) -> Anchoring:
    anchoring = Anchoring(city)
    anchoring.open(ORIGIN)
    return anchoring


def test_every_pair_of_sizes_has_one_proof_that_is_accepted(anchoring: Anchoring) -> None:
    """For all old <= new <= 40 the RFC's proof is valid; with a hash more or less it is not (tested up to
    17)."""
    log = entries(LARGEST)
    for new in range(1, LARGEST + 1):
        anchoring.grow(ORIGIN, log, new - 1, new)
        for old in range(new + 1):
            proof = log.proof(old, new)
            assert holds(anchoring, old, log.root(old), proof), (old, new)
            if new > 17:
                continue
            assert not holds(anchoring, old, log.root(old), [*proof, log.root(new)]), (old, new)
            if proof:
                assert not holds(anchoring, old, log.root(old), proof[:-1]), (old, new)


def test_no_changed_bit_of_a_proof_or_root_is_accepted(anchoring: Anchoring) -> None:
    log = entries(LARGEST)
    chosen = random.Random(6962)
    size = 0
    for new in (2, 3, 8, 21, 31, 40):
        anchoring.grow(ORIGIN, log, size, new)
        size = new
        for old in chosen.sample(range(1, new), k=min(6, new - 1)):
            proof = log.proof(old, new)
            for position in range(len(proof)):
                changed = list(proof)
                changed[position] = flipped(changed[position], chosen.randrange(256))
                assert not holds(anchoring, old, log.root(old), changed), (old, new, position)
            assert not holds(anchoring, old, flipped(log.root(old), chosen.randrange(256)), proof), (old, new)
            assert not holds(anchoring, old, log.root(old), proof[::-1] if len(set(proof)) > 1 else []), (
                old,
                new,
            )


def test_a_proof_between_other_sizes_is_refused(anchoring: Anchoring) -> None:
    """A proof is for its two sizes: it is refused for every other old size of the same log."""
    log = entries(24)
    anchoring.grow(ORIGIN, log, 0, 23)
    for old in range(1, 23):
        for other in range(1, 23):
            if other != old:
                assert not holds(anchoring, other, log.root(other), log.proof(old, 23)), (old, other)


def test_a_checkpoint_ahead_of_the_anchor_is_checked_the_other_way(anchoring: Anchoring) -> None:
    log, forged = entries(20), entries(20, salt=b"forged")
    anchoring.grow(ORIGIN, log, 0, 7)
    assert holds(anchoring, 19, log.root(19), log.proof(7, 19))
    assert not holds(anchoring, 19, forged.root(19), forged.proof(7, 19))


@pytest.mark.parametrize("old", [1, 2**19, 2**20 - 1, 2**20, 999_999, 990_000, 2**33 + 7])
def test_large_logs(anchoring: Anchoring, old: int) -> None:
    """Sizes around powers of two, too large to test them all."""
    log = Uniform()
    new = old + 123_457
    steps = [*range(0, old, 2**32), old]  # A log cannot grow by more at once.
    for one, other in itertools.pairwise(steps):
        anchoring.grow(ORIGIN, log, one, other)
    proof = log.proof(old, new)
    with pytest.raises(Reverted, match="Inconsistent"):
        anchoring.anchor(anchoring.head(ORIGIN, new, log.root(new)), proof[:-1])
    anchoring.grow(ORIGIN, log, old, new)
    assert anchoring.call("logState", ORIGIN)["size"] == new


def holds(anchoring: Anchoring, size: int, root: bytes, proof: list[bytes]) -> bool:
    answer: bool = anchoring.call("isConsistent", ORIGIN, size, root, proof)
    return answer


def flipped(word: bytes, bit: int) -> bytes:
    """The word with one bit changed."""
    return (int.from_bytes(word, "big") ^ 1 << bit).to_bytes(32, "big")
