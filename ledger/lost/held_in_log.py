"""The holds in the log: the entries of holds, and later events of the chain that lift them.

Every hold is an entry. The table of holds is a copy, so deleting its rows lifts nothing.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import asdict, dataclass, field, replace
from datetime import datetime
from typing import Any, Self
from uuid import UUID, uuid5

from ledger.audit.formats.events import Event
from ledger.lost.lost_act import LostAct, args_of, lifts, taken

HELD = "log:act:held"
CHAIN = "chain:"
REVERTED = "chain:reorg:reverted"
_HELD_ENTRIES = UUID("b5a3c0d2-3f53-5e0b-9c43-58c0a3f7b6a1")


def held_entry(of: str, one: LostAct, now: datetime) -> Event:
    """The entry of a hold. ``of`` names its occasion: an epoch's origin, or a reorganisation."""
    facts: dict[str, str | int | bool] = {
        "lost_entry": one.entry,
        "lost_index": one.position,
        "event": one.event,
        "kind": one.kind,
        "target": one.target,
        "detail": one.detail,
        "since_block": one.since_block,
    }
    return Event(
        id=uuid5(_HELD_ENTRIES, f"{of}:{one.entry}"),
        type=HELD,
        time=now,
        department=one.department,
        grant=one.target if one.kind == "grant" else None,
        asset=one.target if one.kind == "asset" else None,
        facts=facts | ({"lost_act": one.act} if one.act else {}),
    )


@dataclass(slots=True)
class HeldInLog:
    """The holds from the entries of one log, which are read in order."""

    _holds: dict[str, LostAct] = field(default_factory=dict)
    _lifted: dict[str, dict[str, int]] = field(default_factory=dict)

    def take(self, event: Mapping[str, Any]) -> None:
        """Read the next entry."""
        kind, facts = str(event["type"]), event.get("facts", {})
        if kind == HELD:
            one = _hold(event, facts)
            self._holds[one.entry] = one
            self._lifted[one.entry] = {}
        elif kind == REVERTED:
            for lifting in self._lifted.values():
                lifting.pop(str(facts.get("reverts")), None)
        elif kind.startswith(CHAIN):
            self._lift(str(event["id"]), facts)

    def _lift(self, identity: str, facts: Mapping[str, Any]) -> None:
        name, block = str(facts.get("event")), int(facts.get("block", 0))
        now = taken(name, args_of(facts))
        if now is None:
            return
        for entry, one in self._holds.items():
            if block > one.since_block and lifts(one, name, now):
                self._lifted[entry][identity] = block

    def every(self) -> list[LostAct]:
        """All holds, the lifted ones included, in the order of their entries."""
        return [
            replace(one, lifted_block=min(self._lifted[entry].values(), default=None))
            for entry, one in self._holds.items()
        ]

    def held(self) -> list[LostAct]:
        """The holds that are not lifted."""
        return [one for entry, one in self._holds.items() if not self._lifted[entry]]

    def to_json(self) -> list[dict[str, Any]]:
        """The JSON form that `from_json` reads."""
        return [asdict(one) | {"lifted": self._lifted[entry]} for entry, one in self._holds.items()]

    @classmethod
    def from_json(cls, document: Iterable[Mapping[str, Any]]) -> Self:
        """Read the form of `to_json`; raises ValueError, KeyError or TypeError."""
        made = cls()
        for item in document:
            values = dict(item)
            lifted = {str(name): int(block) for name, block in values.pop("lifted").items()}
            one = LostAct(**values)
            made._holds[one.entry], made._lifted[one.entry] = one, lifted
        return made


def _hold(event: Mapping[str, Any], facts: Mapping[str, Any]) -> LostAct:
    return LostAct(
        entry=str(facts["lost_entry"]),
        position=int(facts["lost_index"]),
        event=str(facts["event"]),
        kind=str(facts["kind"]),
        target=str(facts["target"]),
        detail=str(facts.get("detail", "")),
        department=int(event["department"]),
        act=facts.get("lost_act"),
        since_block=int(facts.get("since_block", 0)),
    )
