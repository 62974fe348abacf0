"""The tree against an oracle: RFC 9162's definitions written down recursively, for every size up to 70."""

from __future__ import annotations

import hashlib

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from ledger.audit.formats.merkle import (
    EMPTY_ROOT,
    ProofError,
    consistency_proof,
    grow,
    inclusion_proof,
    leaf_hash,
    node_hash,
    peaks,
    root_at,
    root_of_hashes,
    tree_root,
    verify_consistency,
    verify_inclusion,
)

SIZES = 71
LEAVES = [b"leaf %d" % i for i in range(SIZES)]


def split(n: int) -> int:
    k = 1
    while k * 2 < n:
        k *= 2
    return k


def mth(leaves: list[bytes]) -> bytes:
    """MTH(D) of RFC 9162, 2.1.1."""
    if not leaves:
        return hashlib.sha256(b"").digest()
    if len(leaves) == 1:
        return hashlib.sha256(b"\x00" + leaves[0]).digest()
    k = split(len(leaves))
    return hashlib.sha256(b"\x01" + mth(leaves[:k]) + mth(leaves[k:])).digest()


def path(m: int, leaves: list[bytes]) -> list[bytes]:
    """PATH(m, D) of 2.1.3.1."""
    if len(leaves) == 1:
        return []
    k = split(len(leaves))
    if m < k:
        return [*path(m, leaves[:k]), mth(leaves[k:])]
    return [*path(m - k, leaves[k:]), mth(leaves[:k])]


def subproof(m: int, leaves: list[bytes], whole: bool) -> list[bytes]:
    """SUBPROOF(m, D, b) of 2.1.4.1."""
    if m == len(leaves):
        return [] if whole else [mth(leaves)]
    k = split(len(leaves))
    if m <= k:
        return [*subproof(m, leaves[:k], whole), mth(leaves[k:])]
    return [*subproof(m - k, leaves[k:], False), mth(leaves[:k])]


def nodes(level: int, index: int) -> bytes:
    return mth(LEAVES[index << level : (index + 1) << level])


ROOTS = [mth(LEAVES[:n]) for n in range(SIZES)]


def flips(proof: list[bytes]) -> list[list[bytes]]:
    """The proof with each of its bits flipped, one at a time."""
    changed = []
    for at, value in enumerate(proof):
        for bit in range(256):
            wrong = (int.from_bytes(value, "big") ^ (1 << bit)).to_bytes(32, "big")
            changed.append([*proof[:at], wrong, *proof[at + 1 :]])
    return changed


def refuse_inclusion(*args: object) -> None:
    with pytest.raises(ProofError):
        verify_inclusion(*args)  # type: ignore[arg-type]


def refuse_consistency(*args: object) -> None:
    with pytest.raises(ProofError):
        verify_consistency(*args)  # type: ignore[arg-type]


def test_the_known_vectors_of_rfc_6962_hold() -> None:
    assert EMPTY_ROOT.hex() == "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855"
    assert leaf_hash(b"").hex() == "6e340b9cffb37a989ca544e6bb780a2c78901d3fb33738768511a30617afa01d"
    data = [
        "",
        "00",
        "10",
        "2021",
        "3031",
        "40414243",
        "5051525354555657",
        "606162636465666768696a6b6c6d6e6f",
    ]
    assert (
        tree_root([bytes.fromhex(d) for d in data]).hex()
        == "5dc9da79a70659a9ad559cb701ded9a2ab9d823aad2f4960cfe370eff4604328"
    )


@pytest.mark.parametrize("size", range(SIZES))
def test_roots_and_growth_agree_with_the_definition(size: int) -> None:
    assert tree_root(LEAVES[:size]) == ROOTS[size]
    assert root_of_hashes([leaf_hash(leaf) for leaf in LEAVES[:size]]) == ROOTS[size]
    assert root_at(size, nodes) == ROOTS[size]
    for new in range(size, SIZES):
        frontier = [nodes(level, index) for level, index in peaks(size)]
        growth = grow(size, frontier, [leaf_hash(leaf) for leaf in LEAVES[size:new]])
        assert (growth.size, growth.root) == (new, ROOTS[new])
        assert list(growth.frontier) == [nodes(level, index) for level, index in peaks(new)]
        for index in range(size, new):
            assert inclusion_proof(index, new, growth.node) == path(index, LEAVES[:new])


@pytest.mark.parametrize("size", range(1, SIZES))
def test_inclusion_for_every_index_and_every_bit_flipped(size: int) -> None:
    for index in range(size):
        leaf, proof = leaf_hash(LEAVES[index]), path(index, LEAVES[:size])
        assert inclusion_proof(index, size, nodes) == proof
        verify_inclusion(ROOTS[size], size, index, leaf, proof)
        refuse_inclusion(ROOTS[size], size, index, leaf, [*proof, leaf])
        refuse_inclusion(ROOTS[size], size, size, leaf, proof)
        refuse_inclusion(ROOTS[size], 0, index, leaf, proof)
        refuse_inclusion(ROOTS[size], size, -1, leaf, proof)
        refuse_inclusion(ROOTS[size], size, index, leaf_hash(b"another"), proof)
        if proof:
            refuse_inclusion(ROOTS[size], size, index, leaf, proof[:-1])
            refuse_inclusion(ROOTS[size], size, index, leaf, proof[1:])
            refuse_inclusion(ROOTS[size], size, index, leaf, [proof[0][:-1], *proof[1:]])
        for other in range(size):
            if other != index:
                refuse_inclusion(ROOTS[size], size, other, leaf, proof)
    chosen = {0, size - 1, size // 2}
    for index in chosen:
        leaf = leaf_hash(LEAVES[index])
        for wrong in flips(path(index, LEAVES[:size])):
            refuse_inclusion(ROOTS[size], size, index, leaf, wrong)


@pytest.mark.parametrize("size", range(SIZES))
def test_consistency_for_every_pair_of_sizes(size: int) -> None:
    for old in range(size + 1):
        proof = subproof(old, LEAVES[:size], True) if old else []
        assert consistency_proof(old, size, nodes) == proof
        verify_consistency(old, size, ROOTS[old], ROOTS[size], proof)
        refuse_consistency(old, size, ROOTS[old], ROOTS[size], [*proof, ROOTS[size]])
        refuse_consistency(size + 1, size, ROOTS[old], ROOTS[size], proof)
        refuse_consistency(old, size, leaf_hash(b"other"), ROOTS[size], proof)
        if size > old > 0 or old == size:
            refuse_consistency(old, size, ROOTS[old], leaf_hash(b"other"), proof)
        if proof:
            refuse_consistency(old, size, ROOTS[old], ROOTS[size], proof[:-1])
            refuse_consistency(old, size, ROOTS[old], ROOTS[size], proof[1:])
            refuse_consistency(old, size, ROOTS[old], ROOTS[size], [])
    for old in {1, size // 2, size - 1} & set(range(1, size)):
        for wrong in flips(subproof(old, LEAVES[:size], True)):
            refuse_consistency(old, size, ROOTS[old], ROOTS[size], wrong)


def test_every_flipped_bit_is_refused_at_an_uneven_size() -> None:
    size = 37
    for index in range(size):
        for wrong in flips(path(index, LEAVES[:size])):
            refuse_inclusion(ROOTS[size], size, index, leaf_hash(LEAVES[index]), wrong)
    for old in range(1, size):
        for wrong in flips(subproof(old, LEAVES[:size], True)):
            refuse_consistency(old, size, ROOTS[old], ROOTS[size], wrong)


@pytest.mark.drill
@pytest.mark.timeout(1800)
@pytest.mark.parametrize("size", range(1, SIZES))
def test_every_bit_of_every_proof_of_every_size(size: int) -> None:
    for index in range(size):
        for wrong in flips(path(index, LEAVES[:size])):
            refuse_inclusion(ROOTS[size], size, index, leaf_hash(LEAVES[index]), wrong)
    for old in range(1, size):
        for wrong in flips(subproof(old, LEAVES[:size], True)):
            refuse_consistency(old, size, ROOTS[old], ROOTS[size], wrong)


def test_size_zero_is_its_own_path() -> None:
    verify_consistency(0, 0, EMPTY_ROOT, EMPTY_ROOT, [])
    verify_consistency(0, 9, EMPTY_ROOT, ROOTS[9], [])
    refuse_consistency(0, 9, ROOTS[1], ROOTS[9], [])
    refuse_consistency(0, 9, EMPTY_ROOT, ROOTS[9], [ROOTS[1]])
    refuse_consistency(0, 0, EMPTY_ROOT, ROOTS[1], [])
    refuse_inclusion(EMPTY_ROOT, 0, 0, leaf_hash(b""), [])


def test_a_fork_of_the_same_size_is_refused() -> None:
    with pytest.raises(ProofError, match="fork"):
        verify_consistency(5, 5, ROOTS[5], ROOTS[6], [])


def test_a_proof_of_absurd_length_is_refused_at_once() -> None:
    refuse_inclusion(ROOTS[9], 9, 1, leaf_hash(LEAVES[1]), [ROOTS[1]] * 10_000)
    refuse_consistency(3, 9, ROOTS[3], ROOTS[9], [ROOTS[1]] * 10_000)


@settings(max_examples=60, deadline=None)
@given(st.lists(st.integers(0, 600), min_size=1, max_size=6), st.data())
def test_growing_in_any_steps_gives_the_same_tree(steps: list[int], data: st.DataObject) -> None:
    hashes = [leaf_hash(b"%d" % i) for i in range(sum(steps))]
    size, frontier = 0, ()
    for step in steps:
        growth = grow(size, frontier, hashes[size : size + step])
        size, frontier = growth.size, growth.frontier
        if step:
            index = data.draw(st.integers(size - step, size - 1))
            proof = inclusion_proof(index, size, growth.node)
            verify_inclusion(growth.root, size, index, hashes[index], proof)
    assert growth.root == root_of_hashes(hashes)


def test_leaf_and_node_hashes_are_separated() -> None:
    left, right = leaf_hash(b"a"), leaf_hash(b"b")
    assert leaf_hash(left + right) != node_hash(left, right)
