"""Officers' acts in a lost part of the log: those that are no longer on the chain, and what they denied.

Acts that are still on the chain need no hold. The acts of an embedded chain that was lost with its home are known only from
entries in a bundle.
"""

from __future__ import annotations

from collections.abc import Container, Mapping, Sequence
from dataclasses import dataclass
from typing import Any
from uuid import UUID

from sqlalchemy import Connection

from ledger.audit.keeping.erasure import ERASED
from ledger.audit.log.reading import known_entries
from ledger.audit.verify.acts import NO_ACTS, REFUSED, TAKEN
from ledger.chain.client import ChainClient
from ledger.chain.errors import UnknownBlock
from ledger.lost.held_in_log import CHAIN, HELD, REVERTED, HeldInLog
from ledger.lost.lost_act import NOTHING, Args, LostAct, args_of, still_taken, taken
from ledger.lost.taken_in_log import TakenInLog

_NOT_ON_CHAIN = (TAKEN, REFUSED, HELD)
"""The types of entries about acts that have no event on the chain."""


@dataclass(frozen=True, slots=True)
class LostEntry:
    """An entry of the lost log and its index there."""

    index: int
    event: Mapping[str, Any]


def is_act(event: Mapping[str, Any]) -> bool:
    """Whether an entry is about an officer's act and must be checked when it is lost."""
    return str(event["type"]).startswith(CHAIN) or event["type"] in (ERASED, *_NOT_ON_CHAIN)


def lost_acts(
    connection: Connection,
    client: ChainClient,
    entries: Sequence[LostEntry],
    applied: Container[str | None] = (),
) -> list[LostAct]:
    """The acts that are neither in this log nor on this chain, in the order of their recording, followed by acts that were
    lost earlier and are still held. ``applied`` are the acts that the chain has accepted again."""
    ids = [UUID(entry.event["id"]) for entry in entries]
    known = known_entries(connection, [identity.bytes for identity in ids])
    undone = {entry.event["facts"].get("reverts") for entry in entries if entry.event["type"] == REVERTED}
    blocks: dict[int, str | None] = {}
    holds = HeldInLog()
    found: list[tuple[LostAct, Args]] = []
    for entry, identity in zip(entries, ids, strict=True):
        holds.take(entry.event)
        facts = entry.event.get("facts", {})
        name = str(facts.get("event", ""))
        if identity.bytes in known or str(identity) in undone:
            continue
        if entry.event["type"] in (REVERTED, ERASED, *_NOT_ON_CHAIN):
            continue
        if name in NO_ACTS or _on_chain(client, facts, blocks):
            continue
        took = taken(name, args_of(facts)) or NOTHING
        act = LostAct(
            entry=str(identity),
            position=entry.index,
            event=name,
            kind=took.kind,
            target=took.target,
            detail=took.detail,
            department=int(entry.event["department"]),
            act=facts.get("act"),
        )
        found.append((act, args_of(facts)))
    return [*still_taken(found, applied), *_still_held(connection, holds, {act.entry for act, _ in found})]


def _still_held(connection: Connection, holds: HeldInLog, found: Container[str]) -> list[LostAct]:
    """The holds of the lost part that were not lifted there; their acts were lost earlier."""
    held = [one for one in holds.held() if one.entry not in found]
    known = known_entries(connection, [UUID(one.entry).bytes for one in held])
    return [one for one in held if UUID(one.entry).bytes not in known]


def undecided(connection: Connection, entries: Sequence[LostEntry]) -> list[LostEntry]:
    """The entries, missing in this log, of accepted denying acts that were not decided when they were lost."""
    told = TakenInLog()
    for entry in entries:
        told.take(entry.event)
    acts = frozenset(told.acts())
    found = [one for one in entries if one.event["type"] == TAKEN and one.event["facts"]["taken_act"] in acts]
    known = known_entries(connection, [UUID(one.event["id"]).bytes for one in found])
    return [one for one in found if UUID(one.event["id"]).bytes not in known]


def lost_erasures(connection: Connection, entries: Sequence[LostEntry]) -> list[dict[str, Any]]:
    """The erasures that are missing in this log, with their times. Entries do not name the data subject."""
    erased = [entry for entry in entries if entry.event["type"] == ERASED]
    known = known_entries(connection, [UUID(entry.event["id"]).bytes for entry in erased])
    return [
        {"entry": entry.index, "time": entry.event["time"], "officer": entry.event.get("officer")}
        for entry in erased
        if UUID(entry.event["id"]).bytes not in known
    ]


def _on_chain(client: ChainClient, facts: Mapping[str, Any], blocks: dict[int, str | None]) -> bool:
    """Whether the block in the entry is in the chain."""
    number = int(facts["block"])
    if number not in blocks:
        try:
            blocks[number] = client.block(number).hash
        except UnknownBlock:
            blocks[number] = None
    return blocks[number] == str(facts["block_hash"])
