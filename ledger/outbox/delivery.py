"""The transactions of acts: signed with one key, stored, sent, and replaced with a higher fee when they are not mined.

A transaction is signed and stored before it is sent. After a crash at any point the same bytes are sent again, and the
chain mines them once. A transaction that is not mined is signed again with the same nonce and a higher fee, so only one of
the two can be mined.
"""

from __future__ import annotations

import logging
from collections.abc import Mapping, Sequence
from typing import Any

from sqlalchemy import Connection

from ledger.acts.act import SignedAct
from ledger.chain.client import ChainClient, Fees
from ledger.chain.deployment import Deployment
from ledger.chain.errors import FeeCeilingReached, InvalidTransaction, TransactionRefused
from ledger.chain.transactions import address_of, fees_of, sign_transaction, transaction_hash
from ledger.clock import Clock
from ledger.outbox.open_acts import OpenActs
from ledger.outbox.store import move
from ledger.outbox.transactions import Sent, forget, start_over, store

_log = logging.getLogger(__name__)

LONGEST_PAUSE_S = 60.0
"""The longest pause in seconds before an act whose transaction was refused is tried again."""

GAS_BASE, GAS_PER_BYTE, GAS_PER_ITEM, GAS_MOST = 400_000, 40, 80_000, 28_000_000
"""The gas limit is a generous bound, not an estimate: an act may depend on one that waits before it, so that an estimate
would fail. Unused gas is not paid."""


class Delivery:
    """Sends acts with the key ``secret``, which pays at most ``most_fee`` wei per gas.

    A transaction that is unmined for ``stuck_after_s`` seconds is replaced. ``failure`` is the error for which an act could
    not be sent; it remains set while the act is postponed.
    """

    def __init__(
        self,
        acts: OpenActs,
        client: ChainClient,
        deployment: Deployment,
        secret: bytes,
        clock: Clock,
        *,
        stuck_after_s: float,
        most_fee: int,
    ) -> None:
        self.address = address_of(secret)
        self.failure: Exception | None = None
        self._acts = acts
        self._client = client
        self._deployment = deployment
        self._secret = secret
        self._clock = clock
        self._stuck_after_s = stuck_after_s
        self._most_fee = most_fee
        self._handed_over: set[str] = set()
        self._postponed: dict[str, tuple[int, float]] = {}

    def begin(self) -> None:
        """Begin a round: clear ``failure``, unless acts are postponed."""
        moment = self._clock.elapsed()
        if all(until <= moment for _, until in self._postponed.values()):
            self.failure = None

    # -- when

    @property
    def postponed(self) -> int:
        """An upper bound of the number of postponed acts."""
        return len(self._postponed)

    def is_due(self, digest: str) -> bool:
        """Whether an act may be tried now: true unless it is postponed to a later time."""
        return self._postponed.get(digest, (0, 0.0))[1] <= self._clock.elapsed()

    def postpone(self, digest: str) -> None:
        """Postpone an act; each time the pause is longer."""
        tries, _ = self._postponed.get(digest, (0, 0.0))
        pause = min(LONGEST_PAUSE_S, 0.2 * 2**tries)
        self._postponed[digest] = (tries + 1, self._clock.elapsed() + pause)

    # -- sending

    def send(self, found: Sequence[tuple[str, SignedAct]]) -> None:
        """Sign, store, then send these acts, in this order. No other process may send with the key at the same time."""
        nonce = self._client.nonce(self.address)
        fees = self._client.fees().at_most(self._most_fee)
        signed = [self._signed(act, identity, nonce + n, fees) for n, (identity, act) in enumerate(found)]

        def job(connection: Connection) -> int:
            store(connection, signed)
            return move(connection, [s.digest for s in signed], "submitted", only_from=("received",))

        self._acts.write(job)
        refused = next(
            (at for at, sent in enumerate(signed) if not self.hand_over(sent.digest, [sent])), None
        )
        if refused is not None:
            # The later transactions were not sent. They are deleted, because their nonces would follow a gap.
            self._acts.write(lambda connection: forget(connection, signed[refused + 1 :]))

    def hand_over(self, digest: str, sent_ones: Sequence[Sent]) -> bool:
        """Send the act's transactions that this process has not sent yet, replace a stuck one, or give up.

        Returns whether a transaction of the act may still be mined.
        """
        newest = max(sent_ones, key=lambda s: s.signed_at)
        try:
            if newest.tx_hash not in self._handed_over:
                self._client.send(newest.raw)
                self._handed_over.add(newest.tx_hash)
            elif self._clock.now() - newest.signed_at > self._stuck_after_s:
                self._sign_again(newest)
        except TransactionRefused as refusal:
            # The nonce was used by another transaction, the account is empty, or the node refuses for another reason.
            # If one of ours was mined, its receipt shows it. If the node has one of ours, it may still be mined, and the
            # act keeps its nonce. Otherwise none can be mined, and the act waits for a new transaction until its
            # deadline: a revocation must not be dropped because the relayer has no funds.
            self.failure = refusal
            if self._in_the_pool(sent_ones):
                self._handed_over.add(newest.tx_hash)
                _log.warning("transaction %s does not replace the one before it: %s", newest.tx_hash, refusal)
            elif not any(self._client.receipt(s.tx_hash) for s in sent_ones):
                self._handed_over -= {s.tx_hash for s in sent_ones}
                self.postpone(digest)
                _log.warning("transaction %s was refused: %s", newest.tx_hash, refusal)
                self._acts.write(lambda connection: start_over(connection, digest))
                return False
        except InvalidTransaction as refusal:
            self._acts.give_up(digest, str(refusal))
            return False
        return True

    def _in_the_pool(self, sent_ones: Sequence[Sent]) -> bool:
        """Whether a node has an older transaction of the act, with a nonce that is not used yet."""
        return len(sent_ones) > 1 and self._client.mined_nonce(self.address) <= sent_ones[0].nonce

    def _sign_again(self, stuck: Sent) -> None:
        act = self._acts.load(stuck.digest)
        if act is None:
            return
        fees = fees_of(stuck.raw).raised(self._client.fees())
        if fees.at_most(self._most_fee) != fees:
            self.failure = FeeCeilingReached(
                f"the act {stuck.digest} waits: its next transaction would pay {fees.max_fee} wei per gas",
                hint="raise CIVIC_MOST_FEE_GWEI, or wait until the chain asks for less",
            )
            return
        again = self._signed(act, stuck.digest, stuck.nonce, fees)
        self._acts.write(lambda connection: store(connection, [again]))
        self.hand_over(stuck.digest, [stuck, again])

    def _signed(self, act: SignedAct, digest: str, nonce: int, fees: Fees) -> Sent:
        call = act.call(self._deployment)
        raw = sign_transaction(
            self._secret,
            self._client.chain_id,
            nonce,
            call.to,
            call.data,
            gas_bound(act.message, act.arguments, len(call.data)),
            fees,
        )
        return Sent(transaction_hash(raw), nonce, digest, raw, fees.max_fee, self._clock.now())


def gas_bound(message: Mapping[str, Any], arguments: Mapping[str, Any], size: int) -> int:
    """An upper bound of the gas of an act, from the size of the call in bytes and the number of its list items."""
    values = [*message.values(), *arguments.values()]
    items = sum(len(value) for value in values if isinstance(value, list))
    return min(GAS_MOST, GAS_BASE + GAS_PER_BYTE * size + GAS_PER_ITEM * items)
