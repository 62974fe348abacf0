"""The Merkle tree of RFC 6962 and RFC 9162: hashes, proofs, and growth by appending.

The functions are pure and work on bytes and ints. Proof builders take a function ``node(level, index)`` that returns
the hash of the perfect subtree over the leaves ``[index << level, (index + 1) << level)``; the caller stores these
hashes. Standard library only: the offline verifier uses this module.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from hashlib import sha256

from ledger.errors import LedgerError

HASH_SIZE = 32
EMPTY_ROOT = sha256(b"").digest()
"""The root of the tree without leaves (RFC 9162, 2.1.1)."""

MAX_PROOF = 64
"""The most hashes of a proof: trees have fewer than 2^64 leaves."""

Node = Callable[[int, int], bytes]


class ProofError(LedgerError):
    """A Merkle proof is malformed, or does not give the expected root."""

    code = "audit.proof"


def leaf_hash(data: bytes) -> bytes:
    """SHA-256(0x00 || data): the hash of one leaf."""
    return sha256(b"\x00" + data).digest()


def node_hash(left: bytes, right: bytes) -> bytes:
    """SHA-256(0x01 || left || right): the hash over two subtrees."""
    return sha256(b"\x01" + left + right).digest()


def tree_root(leaves: Iterable[bytes]) -> bytes:
    """The Merkle tree hash MTH(D) over the leaves' *data* (not their hashes), in order."""
    return root_of_hashes([leaf_hash(leaf) for leaf in leaves])


def root_of_hashes(hashes: Sequence[bytes]) -> bytes:
    """The root over leaf hashes already computed."""
    if not hashes:
        return EMPTY_ROOT
    row = list(hashes)
    while len(row) > 1:
        row = parents(row)
    return row[0]


def parents(row: Sequence[bytes]) -> list[bytes]:
    """The next level of the tree. A last node without a sibling moves up unchanged."""
    hasher = sha256
    above = [hasher(b"\x01" + row[i] + row[i + 1]).digest() for i in range(0, len(row) - 1, 2)]
    if len(row) & 1:
        above.append(row[-1])
    return above


def verify_inclusion(root: bytes, size: int, index: int, leaf_hash: bytes, proof: Sequence[bytes]) -> None:
    """Check that the leaf with this hash is at ``index`` in the tree of ``size`` leaves with ``root``.

    RFC 9162, 2.1.3.2. Raises `ProofError`, also for an index outside the tree, an empty tree and a proof of the
    wrong length.
    """
    _check_hashes(root, leaf_hash, *proof)
    if not 0 <= index < size < 1 << 64:
        raise ProofError(f"index {index} does not lie in a tree of size {size}")
    fn, sn = index, size - 1
    running = leaf_hash
    for sibling in proof:
        if sn == 0:
            raise ProofError("the inclusion proof is too long")
        if fn & 1 or fn == sn:
            running = node_hash(sibling, running)
            while not fn & 1 and fn:
                fn >>= 1
                sn >>= 1
        else:
            running = node_hash(running, sibling)
        fn >>= 1
        sn >>= 1
    if sn:
        raise ProofError("the inclusion proof is too short")
    if running != root:
        raise ProofError(f"the inclusion proof of entry {index} does not lead to the root")


def verify_consistency(
    old_size: int, new_size: int, old_root: bytes, new_root: bytes, proof: Sequence[bytes]
) -> None:
    """Check that the tree of ``new_size`` begins with all leaves of the tree of ``old_size``, in their order.

    RFC 9162, 2.1.4.2. Raises `ProofError`. From size 0 the proof is empty and the old root must be `EMPTY_ROOT`.
    Between equal sizes the proof is empty and both roots must be the same.
    """
    _check_hashes(old_root, new_root, *proof)
    if not 0 <= old_size <= new_size < 1 << 64:
        raise ProofError(f"a tree of size {new_size} cannot extend one of size {old_size}")
    if old_size in (0, new_size):
        if proof:
            raise ProofError("the consistency proof should be empty")
        if old_size == 0 and old_root != EMPTY_ROOT:
            raise ProofError("a tree of size 0 has the root SHA-256 of nothing")
        if new_size == 0 and new_root != EMPTY_ROOT:
            raise ProofError("a tree of size 0 has the root SHA-256 of nothing")
        if old_size == new_size and old_root != new_root:
            raise ProofError(f"two different trees of the same size {new_size}: a fork")
        return
    if not proof:
        raise ProofError("the consistency proof is missing")
    path = list(proof)
    if old_size & (old_size - 1) == 0:
        path.insert(0, old_root)
    fn, sn = old_size - 1, new_size - 1
    while fn & 1:
        fn >>= 1
        sn >>= 1
    old_running = new_running = path[0]
    for sibling in path[1:]:
        if sn == 0:
            raise ProofError("the consistency proof is too long")
        if fn & 1 or fn == sn:
            old_running = node_hash(sibling, old_running)
            new_running = node_hash(sibling, new_running)
            while not fn & 1 and fn:
                fn >>= 1
                sn >>= 1
        else:
            new_running = node_hash(new_running, sibling)
        fn >>= 1
        sn >>= 1
    if sn:
        raise ProofError("the consistency proof is too short")
    if old_running != old_root:
        raise ProofError(f"the consistency proof does not start from the old tree of size {old_size}")
    if new_running != new_root:
        raise ProofError(f"the tree of size {new_size} does not extend the one of size {old_size}")


def _check_hashes(*hashes: bytes) -> None:
    if len(hashes) > MAX_PROOF + 2:
        raise ProofError("the proof is too long for any tree")
    for value in hashes:
        if len(value) != HASH_SIZE:
            raise ProofError(f"a hash has 32 bytes, not {len(value)}")


def peaks(size: int) -> list[tuple[int, int]]:
    """The perfect subtrees of which a tree of ``size`` leaves consists: (level, index) from left to right."""
    found = []
    for level in range(size.bit_length() - 1, -1, -1):
        if size >> level & 1:
            found.append((level, (size >> level) - 1))
    return found


def fold(hashes: Sequence[bytes]) -> bytes:
    """The root over the peaks of a tree, given from left to right."""
    if not hashes:
        return EMPTY_ROOT
    running = hashes[-1]
    for left in reversed(hashes[:-1]):
        running = node_hash(left, running)
    return running


def root_at(size: int, node: Node) -> bytes:
    """The root of the first ``size`` leaves."""
    return fold([node(level, index) for level, index in peaks(size)])


def inclusion_proof(index: int, size: int, node: Node) -> list[bytes]:
    """The audit path of leaf ``index`` in the tree of ``size`` leaves (RFC 9162, 2.1.3.1)."""
    if not 0 <= index < size:
        raise ProofError(f"index {index} does not lie in a tree of size {size}")
    path = []
    level = 0
    while (size - 1) >> level:
        sibling = (index >> level) ^ 1
        if (sibling + 1) << level <= size:
            path.append(node(level, sibling))
        elif sibling << level < size:
            path.append(_range_root(sibling << level, size, node))
        level += 1
    return path


def consistency_proof(old_size: int, new_size: int, node: Node) -> list[bytes]:
    """The proof that the tree of ``new_size`` extends that of ``old_size`` (RFC 9162, 2.1.4.1)."""
    if not 0 <= old_size <= new_size:
        raise ProofError(f"a tree of size {new_size} cannot extend one of size {old_size}")
    if old_size in (0, new_size):
        return []
    # RFC 9162 defines SUBPROOF recursively from the top; this loop collects the same hashes in reverse order.
    path: list[bytes] = []
    begin, end, whole = 0, new_size, True
    while old_size != end:
        split = begin + _largest_power_below(end - begin)
        if old_size <= split:
            path.append(_range_root(split, end, node))
            end = split
        else:
            path.append(_range_root(begin, split, node))
            begin, whole = split, False
    if not whole:
        path.append(_range_root(begin, end, node))
    path.reverse()
    return path


def _largest_power_below(count: int) -> int:
    return 1 << ((count - 1).bit_length() - 1)


def _range_root(begin: int, end: int, node: Node) -> bytes:
    """The hash over ``[begin, end)``, where ``begin`` is a multiple of a power of two >= end - begin."""
    parts = []
    at = begin
    for level in range((end - begin).bit_length() - 1, -1, -1):
        if (end - begin) >> level & 1:
            parts.append(node(level, at >> level))
            at += 1 << level
    return fold(parts)


@dataclass(frozen=True, slots=True)
class Growth:
    """The result of appending leaves to a tree: the new nodes, peaks and root.

    ``frontier`` holds the new peaks from left to right. ``rows[level]`` is (first index, hashes): the new perfect
    nodes of that level, preceded by the old peak of that level if there was one.
    """

    old_size: int
    size: int
    root: bytes
    frontier: tuple[bytes, ...]
    rows: tuple[tuple[int, list[bytes]], ...]

    def node(self, level: int, index: int) -> bytes:
        """The hash of a new node or of an old peak; raises `ProofError` for any other node."""
        if level < len(self.rows):
            first, hashes = self.rows[level]
            if first <= index < first + len(hashes):
                return hashes[index - first]
        raise ProofError(f"node {index} of level {level} lies outside the appended run")


def grow(size: int, frontier: Sequence[bytes], hashes: Sequence[bytes]) -> Growth:
    """Append leaf hashes to a tree of which only the size and the peaks (left to right) are known.

    Raises ValueError when the number of peaks does not fit the size.
    """
    old_peaks = {level: value for (level, _), value in zip(peaks(size), frontier, strict=True)}
    new_size = size + len(hashes)
    rows: list[tuple[int, list[bytes]]] = []
    carried: list[bytes] = list(hashes)
    level = 0
    hasher = sha256
    while new_size >> level:
        first = size >> level
        if level in old_peaks:
            first -= 1
            row = [old_peaks[level], *carried]
        else:
            row = carried
        rows.append((first, row))
        # ``first`` is even: the row begins with the old peak of this level, or with the left node of a pair.
        carried = [hasher(b"\x01" + row[i] + row[i + 1]).digest() for i in range(0, len(row) - 1, 2)]
        level += 1
    new_frontier = tuple(rows[lvl][1][idx - rows[lvl][0]] for lvl, idx in peaks(new_size))
    return Growth(size, new_size, fold(new_frontier), new_frontier, tuple(rows))
