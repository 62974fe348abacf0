"""A node that accepts transactions and mines none while it is held, as if they waited in its pool."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from ledger.chain.client import TxHash
from ledger.chain.embedded import EmbeddedChain, random_chain_id
from ledger.chain.embedded.serve import serve_chain
from ledger.chain.transactions import address_of, transaction_hash


class HeldChain(EmbeddedChain):
    """An embedded chain whose pool can be held."""

    holding: bool = False

    def send(self, raw_signed_tx: bytes) -> TxHash:
        """Accept a transaction; while `holding`, drop it."""
        return transaction_hash(raw_signed_tx) if self.holding else super().send(raw_signed_tx)


@contextmanager
def held_node(folder: Path, relayer: bytes) -> Iterator[tuple[HeldChain, str]]:
    """A chain on which this relayer has funds, and the URL of its node."""
    path = folder / "node.sqlite"
    with HeldChain.create(path, random_chain_id(), address_of(relayer)) as chain:
        assert isinstance(chain, HeldChain)
        node = serve_chain(chain, port=0)
        try:
            yield chain, node.url
        finally:
            node.close()
