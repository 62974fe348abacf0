"""The acts of officers in a part of the log that is lost: which of them no chain has any more, and what they took away.

A chain that is not lost still has its events: what stands on it needs no hold. What an embedded chain lost with its home
is known from nothing but the entries that somebody else kept.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any
from uuid import UUID

from sqlalchemy import Connection

from ledger.audit.erasure import ERASED
from ledger.audit.reading import known_entries
from ledger.chain.client import ChainClient
from ledger.chain.errors import UnknownBlock
from ledger.outbox.holds import LostAct, args_of, taken

GOVERNANCE = "chain:"
REVERTED = "chain:reorg:reverted"
NO_ACTS = frozenset({"Used", "Deducted", "LogOpened", "EpochOpened"})
"""Events that no officer is asked to sign again: counted elsewhere, or about the log itself."""


@dataclass(frozen=True, slots=True)
class LostEntry:
    """An entry of the log that was lost, at its index there."""

    index: int
    event: Mapping[str, Any]


def is_act(event: Mapping[str, Any]) -> bool:
    """Whether an entry is about what officers did: to be looked at when it is lost."""
    return str(event["type"]).startswith(GOVERNANCE) or event["type"] == ERASED


def lost_acts(connection: Connection, client: ChainClient, entries: Sequence[LostEntry]) -> list[LostAct]:
    """Those that neither this log nor this chain has, in the order in which they were recorded."""
    ids = [UUID(entry.event["id"]) for entry in entries]
    known = known_entries(connection, [identity.bytes for identity in ids])
    undone = {entry.event["facts"].get("reverts") for entry in entries if entry.event["type"] == REVERTED}
    blocks: dict[int, str | None] = {}
    found: list[LostAct] = []
    for entry, identity in zip(entries, ids, strict=True):
        facts = entry.event.get("facts", {})
        name = str(facts.get("event", ""))
        if identity.bytes in known or str(identity) in undone or entry.event["type"] in (REVERTED, ERASED):
            continue
        if name in NO_ACTS or _on_chain(client, facts, blocks):
            continue
        took = taken(name, args_of(facts))
        found.append(
            LostAct(
                entry=str(identity),
                position=entry.index,
                event=name,
                kind=took.kind if took else "",
                target=took.target if took else "",
                detail=took.detail if took else "",
                department=int(entry.event["department"]),
                act=facts.get("act"),
            )
        )
    return found


def lost_erasures(connection: Connection, entries: Sequence[LostEntry]) -> list[dict[str, Any]]:
    """The erasures that this log does not have: when each was; whom it was about no entry says."""
    erased = [entry for entry in entries if entry.event["type"] == ERASED]
    known = known_entries(connection, [UUID(entry.event["id"]).bytes for entry in erased])
    return [
        {"entry": entry.index, "time": entry.event["time"], "officer": entry.event.get("officer")}
        for entry in erased
        if UUID(entry.event["id"]).bytes not in known
    ]


def _on_chain(client: ChainClient, facts: Mapping[str, Any], blocks: dict[int, str | None]) -> bool:
    """Whether the block that the entry names is in the chain."""
    number = int(facts["block"])
    if number not in blocks:
        try:
            blocks[number] = client.block(number).hash
        except UnknownBlock:
            blocks[number] = None
    return blocks[number] == str(facts["block_hash"])
