"""The stored transactions of acts: signed by the relayer, kept before they are sent; and which act one carries.

A row says which act its transaction carries, and whoever writes the database changes it. The bytes say it themselves: they
are those of the transaction's hash, and the message in them is the one whose digest was signed.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from functools import cache

from eth_abi.abi import decode
from eth_abi.exceptions import DecodingError
from sqlalchemy import Connection, delete, select, update
from sqlalchemy.dialects import postgresql, sqlite

from ledger.chain.abi import abi_type
from ledger.chain.calls import ActFunction, act_types, functions_of
from ledger.chain.deployment import Deployment, act_digest
from ledger.chain.errors import InvalidTransaction
from ledger.chain.events import friendly
from ledger.chain.messages import MessageError, normalise
from ledger.chain.transactions import called, transaction_hash
from ledger.ids import ACTIVATION
from ledger.outbox.store import move
from ledger.store.tables import table_of
from ledger.store.tables.outbox import OutboxTransactionRow

transactions = table_of(OutboxTransactionRow)


@dataclass(frozen=True, slots=True)
class Sent:
    """A stored transaction."""

    tx_hash: str
    nonce: int
    digest: str
    raw: bytes
    fee: int
    signed_at: float


def act_in(raw: object, tx_hash: str, deployment: Deployment) -> str | None:
    """The id of the act that a transaction of this hash carries; None where the bytes are not those of the hash, or carry
    no act of this deployment."""
    raw = (
        bytes(raw) if isinstance(raw, bytes | memoryview) else b""
    )  # SQLite keeps texts in a column of bytes
    if transaction_hash(raw) != tx_hash:
        return None
    try:
        to, data = called(raw)
        function = _functions().get(data[:4])
        if function is None or to != deployment.address(function.contract):
            return None
        values = decode([abi_type(one) for one in function.inputs], data[4:])
        at = function.message_at
        message = normalise(function.type_name, friendly(function.inputs[at], values[at]))
        digest = "0x" + act_digest(deployment, function.type_name, message).hex()
    except (InvalidTransaction, DecodingError, MessageError, LookupError):
        return None
    return digest + ACTIVATION if function.name == "activate" else digest


def acts_of(connection: Connection, deployment: Deployment, tx_hashes: Iterable[str]) -> dict[str, str]:
    """The id of the act that each of these transactions carried, for those that this installation sent."""
    sent = list(set(tx_hashes))
    found: dict[str, str] = {}
    for at in range(0, len(sent), 500):
        rows = connection.execute(
            select(transactions.c.tx_hash, transactions.c.raw).where(
                transactions.c.tx_hash.in_(sent[at : at + 500])
            )
        ).all()
        for tx_hash, raw in rows:
            act = act_in(raw, str(tx_hash), deployment)
            if act is not None:
                found[str(tx_hash)] = act
    return found


def open_transactions(connection: Connection, deployment: Deployment) -> list[Sent]:
    """Those that are neither mined nor replaced, by nonce; a row that is not what its bytes say is left out."""
    rows = (
        connection.execute(select(transactions).where(transactions.c.open).order_by(transactions.c.nonce))
        .mappings()
        .all()
    )
    return [
        Sent(
            row["tx_hash"], row["nonce"], row["digest"], bytes(row["raw"]), row["fee"], row["signed_at"] / 1e6
        )
        for row in rows
        if act_in(row["raw"], row["tx_hash"], deployment) == row["digest"]
    ]


def store(connection: Connection, signed: Sequence[Sent]) -> int:
    """Keep transactions before they are sent. The same act at the same nonce and fee is the same transaction: one
    that was refused is then opened again."""
    module = postgresql if connection.dialect.name == "postgresql" else sqlite
    statement = module.insert(transactions)
    again = {
        name: statement.excluded[name] for name in ("nonce", "digest", "raw", "fee", "signed_at", "open")
    }
    connection.execute(
        statement.on_conflict_do_update(index_elements=["tx_hash"], set_=again),
        [
            {
                "tx_hash": s.tx_hash,
                "nonce": s.nonce,
                "digest": s.digest,
                "raw": s.raw,
                "fee": s.fee,
                "signed_at": int(s.signed_at * 1_000_000),
                "open": True,
            }
            for s in signed
        ],
    )
    return len(signed)


def close(connection: Connection, digest: str) -> None:
    """None of an act's transactions is waited for any more."""
    connection.execute(update(transactions).where(transactions.c.digest == digest).values(open=False))


def start_over(connection: Connection, digest: str) -> int:
    """None of the act's transactions can be mined: it waits for a new one."""
    close(connection, digest)
    return move(connection, [digest], "received", only_from=("submitted", "mined"), tx_hash=None)


def give_up(connection: Connection, digest: str, reason: str) -> int:
    """No transaction can carry the act."""
    close(connection, digest)
    return move(connection, [digest], "failed", code="act.undeliverable", detail=reason)


def forget(connection: Connection, unsent: Sequence[Sent]) -> int:
    """Transactions that never left this process."""
    connection.execute(delete(transactions).where(transactions.c.tx_hash.in_([s.tx_hash for s in unsent])))
    return move(connection, [s.digest for s in unsent], "received", only_from=("submitted",))


@cache
def _functions() -> dict[bytes, ActFunction]:
    return {function.selector: function for name in act_types() for function in functions_of(name)}
