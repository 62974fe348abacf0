"""The stored transactions of acts, which the relayer signs and stores before sending, and the act in each of them.

A row names the act of its transaction, but anyone who can write the database can change that name. The act is therefore
read from the bytes: they must have the transaction's hash, and they contain the message with the signed digest.
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
    """A stored transaction: ``digest`` is the id of its act, ``fee`` in wei per gas, ``signed_at`` in POSIX seconds."""

    tx_hash: str
    nonce: int
    digest: str
    raw: bytes
    fee: int
    signed_at: float


def act_in(raw: object, tx_hash: str, deployment: Deployment) -> str | None:
    """The id of the act in a transaction; None when the bytes do not have this hash, or contain no act of this
    deployment."""
    raw = (
        bytes(raw) if isinstance(raw, bytes | memoryview) else b""
    )  # SQLite may hold a text in a column of bytes
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
    """The id of the act in each of these transactions, for those that this installation sent."""
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
    """The transactions that are neither mined nor replaced, by nonce. Rows that contradict their bytes are left out."""
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
    """Store transactions before they are sent; returns the number of rows. The same act with the same nonce and fee is the
    same transaction; if it was refused before, it becomes open again."""
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
    """Mark all transactions of an act as no longer open."""
    connection.execute(update(transactions).where(transactions.c.digest == digest).values(open=False))


def start_over(connection: Connection, digest: str) -> int:
    """Close the act's transactions, because none can be mined, and set the act back to received. Returns a row count."""
    close(connection, digest)
    return move(connection, [digest], "received", only_from=("submitted", "mined"), tx_hash=None)


def give_up(connection: Connection, digest: str, reason: str) -> int:
    """Close the act's transactions and mark the act as failed for this reason. Returns a row count."""
    close(connection, digest)
    return move(connection, [digest], "failed", code="act.undeliverable", detail=reason)


def forget(connection: Connection, unsent: Sequence[Sent]) -> int:
    """Delete transactions that were never sent; returns a row count."""
    connection.execute(delete(transactions).where(transactions.c.tx_hash.in_([s.tx_hash for s in unsent])))
    return move(connection, [s.digest for s in unsent], "received", only_from=("submitted",))


@cache
def _functions() -> dict[bytes, ActFunction]:
    return {function.selector: function for name in act_types() for function in functions_of(name)}
