"""Merkle trees of transparency logs, from the definitions of RFC 6962 section 2.1 alone: recursive, slow, plain.

An oracle for the contract: nothing here follows the verification algorithm that runs on chain.
"""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from dataclasses import dataclass, field


def leaf_hash(entry: bytes) -> bytes:
    """``MTH({d}) = SHA-256(0x00 || d)``."""
    return hashlib.sha256(b"\0" + entry).digest()


def node_hash(left: bytes, right: bytes) -> bytes:
    """``SHA-256(0x01 || left || right)``."""
    return hashlib.sha256(b"\1" + left + right).digest()


def split(size: int) -> int:
    """The largest power of two below ``size``."""
    return 1 << (size - 1).bit_length() - 1


@dataclass
class Log:
    """A log of these leaf hashes."""

    leaves: Sequence[bytes]
    _roots: dict[tuple[int, int], bytes] = field(default_factory=dict)

    def root(self, size: int) -> bytes:
        """``MTH(D[0:size])``."""
        return self._root(0, size)

    def proof(self, old: int, new: int) -> list[bytes]:
        """``PROOF(old, D[0:new])`` for 0 < old <= new; there is no proof from the empty log."""
        return self._proof(old, 0, new, True) if old else []

    def _root(self, begin: int, end: int) -> bytes:
        if begin == end:
            return hashlib.sha256(b"").digest()
        if end - begin == 1:
            return self.leaves[begin]
        if (begin, end) not in self._roots:
            middle = begin + split(end - begin)
            self._roots[begin, end] = node_hash(self._root(begin, middle), self._root(middle, end))
        return self._roots[begin, end]

    def _proof(self, old: int, begin: int, end: int, known: bool) -> list[bytes]:
        if old == end - begin:
            return [] if known else [self._root(begin, end)]
        middle = begin + split(end - begin)
        if old <= middle - begin:
            return [*self._proof(old, begin, middle, known), self._root(middle, end)]
        return [*self._proof(old - (middle - begin), middle, end, False), self._root(begin, middle)]


class Uniform(Log):
    """A log of any size with equal entries, so that the hash of a million is cheap."""

    def __init__(self, entry: bytes = b"entry") -> None:
        super().__init__([])
        self._leaf = leaf_hash(entry)

    def _root(self, begin: int, end: int) -> bytes:
        if end - begin == 1:
            return self._leaf
        if begin != 0:
            return self._root(0, end - begin)
        return super()._root(begin, end)


def entries(count: int, salt: bytes = b"") -> Log:
    """A log of ``count`` different entries; another salt gives another history."""
    return Log([leaf_hash(salt + b"%d" % index) for index in range(count)])
