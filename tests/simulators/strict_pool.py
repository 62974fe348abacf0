"""A node's pool with geth's rule: a replacement of a waiting transaction must pay a tenth more, in both
fees."""

from __future__ import annotations

from typing import Any

from ledger.chain.client import Fees, TxHash
from ledger.chain.errors import FeeTooLow
from ledger.chain.rpc import RpcChain
from ledger.chain.transactions import address_of, fees_of, nonce_of, transaction_hash


class StrictPool:
    """A node with another `send` and other suggested fees. ``bump`` is in percent (geth: txpool.pricebump);
    ``asked`` are the suggested fees, None for the node's own."""

    def __init__(self, node: RpcChain, key: bytes, bump: int = 10) -> None:
        self._node, self._sender = node, address_of(key)
        self.bump, self.asked = bump, None
        self.taken: dict[int, bytes] = {}
        self.refused: list[TxHash] = []

    asked: Fees | None

    def __getattr__(self, name: str) -> Any:
        return getattr(self._node, name)

    def fees(self) -> Fees:
        return self.asked or self._node.fees()

    def send(self, raw: bytes) -> TxHash:
        nonce = nonce_of(raw)
        before = self.taken.get(nonce)
        if before is not None and before != raw and self._node.mined_nonce(self._sender) <= nonce:
            old, new = fees_of(before), fees_of(raw)
            for was, now in ((old.max_fee, new.max_fee), (old.max_priority, new.max_priority)):
                if 100 * now < (100 + self.bump) * was:
                    self.refused.append(transaction_hash(raw))
                    raise FeeTooLow("replacement transaction underpriced")
        self.taken[nonce] = raw
        return self._node.send(raw)
