"""The denials of accepted and undecided acts, from the log's entries that open and close them.

An act that removes authority denies from the commit of its acceptance. That commit has an entry (`TAKEN`), so changing or
deleting the act's rows does not end the denial. It is closed by the entry of the act's event on the chain, or by an entry
that the chain refused the act (`REFUSED`), which is written only after the refusal was proven.
"""

from __future__ import annotations

from collections.abc import Container, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any, Self
from uuid import UUID, uuid5

from ledger.audit.formats.events import Event, new_event_id
from ledger.audit.log.append import NewEntry
from ledger.audit.verify.acts import DENIES, REFUSED, TAKEN, call_hash
from ledger.lost.held_in_log import CHAIN, REVERTED
from ledger.lost.lost_act import args_of, taken

_AT_ONCE = 400
"""The most targets in one entry: each needs about a hundred bytes, and an entry has at most 65,535."""

_TAKEN_AGAIN = UUID("0f1d9a0c-58c4-5a2e-9b55-6c1f6f0d7a43")

_FOR_GOOD = frozenset({"Revoked", "Cancelled", "ConditionEnded", "AssetRetired"})
"""The events that close a denial for their target, whichever act caused them, because they are permanent."""


def taken_entries(
    act: str,
    kind: str,
    data: bytes,
    deadline: int | None,
    denied: Sequence[tuple[str, str]],
    signer: str,
    department: int,
    now: datetime,
) -> list[NewEntry]:
    """The entries of the acceptance of an act (id, type, call data, deadline in unix seconds); empty when it denies
    nothing."""
    found = []
    for at in range(0, len(denied), _AT_ONCE):
        some = denied[at : at + _AT_ONCE]
        facts: dict[str, str | int | bool] = {
            "taken_act": act,
            "message": kind,
            "call": call_hash(data),
            **{f"{DENIES}{n}": f"{what}:{target}" for n, (what, target) in enumerate(some)},
        }
        grants, assets = ([t for w, t in some if w in whats] for whats in (("grant", "replaced"), ("asset",)))
        event = Event(
            id=new_event_id(),
            type=TAKEN,
            time=now,
            department=department,
            officer=signer,
            grant=grants[0] if len(denied) == len(grants) == 1 else None,
            asset=assets[0] if len(denied) == len(assets) == 1 else None,
            facts=facts | ({} if deadline is None else {"deadline": str(deadline)}),
        )
        found.append(NewEntry(event, fresh=True))
    return found


def taken_again(entry: Mapping[str, Any], origin: str, now: datetime) -> Event:
    """The entry, in the log of this new origin, for an act that was accepted in a lost part of the log and still denies."""
    return Event(
        id=uuid5(_TAKEN_AGAIN, f"{origin}:{entry['id']}"),
        type=TAKEN,
        time=now,
        department=int(entry["department"]),
        officer=entry.get("officer"),
        grant=entry.get("grant"),
        asset=entry.get("asset"),
        facts=entry["facts"],
    )


def denied_by(entry: Mapping[str, Any]) -> list[str]:
    """The denials in such an entry, as ``kind:target``."""
    return [str(value) for name, value in entry["facts"].items() if name.startswith(DENIES)]


def refused_entry(act: str, code: str, tx_hash: str | None, now: datetime) -> NewEntry:
    """The entry that the chain refused an act; ``tx_hash`` is the reverted transaction."""
    facts: dict[str, str | int | bool] = {"refused_act": act, "code": code}
    event = Event(
        id=new_event_id(), type=REFUSED, time=now, facts=facts | ({"tx": tx_hash} if tx_hash else {})
    )
    return NewEntry(event, fresh=True)


@dataclass(slots=True)
class TakenAct:
    """An accepted act: its type, the hash of its call, its deadline (unix seconds), its denials (``kind:target``), and the
    entries that closed each denial."""

    kind: str
    call: str
    deadline: int | None
    denies: set[str] = field(default_factory=set)
    closed: dict[str, set[str]] = field(default_factory=dict)

    @property
    def open(self) -> set[str]:
        """The denials that are not closed."""
        return {target for target in self.denies if not self.closed.get(target)}

    @property
    def closers(self) -> set[str]:
        """The ids of the entries that closed a denial."""
        return set[str]().union(*self.closed.values())


@dataclass(slots=True)
class TakenInLog:
    """The undecided acts from the entries of one log, which are read in order."""

    _acts: dict[str, TakenAct] = field(default_factory=dict)
    """The acts that are not finally decided (see `settle`)."""
    _open: dict[str, set[str]] = field(default_factory=dict)
    _by: dict[str, set[str]] = field(default_factory=dict)
    """Entry id -> the acts that it closed; they are reopened when its event is reverted."""
    _denied: Mapping[str, frozenset[str]] = field(default_factory=dict)
    """Replaced, not modified, at each change, because other threads read it."""

    def take(self, event: Mapping[str, Any]) -> None:
        """Read the next entry."""
        kind, facts = str(event["type"]), event.get("facts", {})
        if kind == TAKEN:
            self._take(event, facts)
        elif not self._acts:
            return
        elif kind == REFUSED:
            self._forget(str(facts["refused_act"]))  # a refusal is never reverted
        elif kind == REVERTED:
            self._reopen(str(facts.get("reverts")))
        elif kind.startswith(CHAIN):
            self._chain(event, facts)

    def denied(self) -> Mapping[str, frozenset[str]]:
        """The present denials: targets by kind."""
        return self._denied

    def acts(self) -> tuple[str, ...]:
        """The acts that deny something now."""
        return tuple(self._open)

    def act(self, identity: str) -> TakenAct | None:
        """The act with this id if it denies something now; None otherwise."""
        one = self._acts.get(identity)  # another thread may remove it at the same time
        return one if identity in self._open else None

    def settle(self, entry: str) -> None:
        """Make final what this entry closed, because its block is too deep for a normal reorganisation. If it is reverted
        nevertheless, `restore` is used."""
        for act in self._by.pop(entry, ()):
            one = self._acts[act]
            final = {target for target, by in one.closed.items() if entry in by}
            one.denies = one.denies - final
            self._unlink(act)
            one.closed = {target: by for target, by in one.closed.items() if target not in final}
            self._link(act)
            if not one.denies:
                self._forget(act)

    def restore(self, whole: TakenInLog) -> None:
        """Replace the state by that of a reading of the whole log without any `settle`."""
        for act in whole.acts():
            self._unlink(act)
            self._acts[act] = whole._acts[act]
            self._link(act)
            self._look_again(act)

    def to_json(self) -> dict[str, Any]:
        """The JSON form that `from_json` reads."""
        return {
            act: [
                one.kind,
                one.call,
                one.deadline,
                {target: sorted(one.closed.get(target, ())) for target in sorted(one.denies)},
            ]
            for act, one in self._acts.items()
        }

    @classmethod
    def from_json(cls, document: Mapping[str, Any], recent: Container[str]) -> Self:
        """Read the form of `to_json`; raises ValueError, KeyError or TypeError. What an entry outside ``recent`` closed is
        final."""
        made = cls()
        for act, (kind, call, deadline, targets) in document.items():
            one = TakenAct(str(kind), str(call), None if deadline is None else int(deadline))
            one.denies = set(map(str, targets))
            one.closed = {str(target): set(map(str, by)) for target, by in targets.items()}
            made._acts[str(act)] = one
            made._link(str(act))
            made._look_again(str(act))
        for entry in [entry for entry in made._by if entry not in recent]:
            made.settle(entry)
        return made

    # -- inside

    def _take(self, event: Mapping[str, Any], facts: Mapping[str, Any]) -> None:
        act, deadline = str(facts["taken_act"]), facts.get("deadline")
        one = self._acts.setdefault(act, TakenAct("", "", None))
        one.kind, one.call = str(facts["message"]), str(facts["call"])
        one.deadline = None if deadline is None else int(deadline)
        one.denies |= set(denied_by(event))
        self._unlink(act)
        one.closed = {}  # a decided act that is accepted again denies again
        self._look_again(act)

    def _chain(self, event: Mapping[str, Any], facts: Mapping[str, Any]) -> None:
        identity, name, carried = str(event["id"]), str(facts.get("event")), facts.get("act")
        if carried in self._acts:
            self._close(str(carried), self._acts[str(carried)].denies, identity)
        took = taken(name, args_of(facts)) if self._open else None
        if took is None:
            return
        kind = "replaced" if name == "Replaced" else took.kind
        same = {f"{kind}:{took.target}"} | ({f"replaced:{took.target}"} if name in _FOR_GOOD else set())
        moment = datetime.fromisoformat(str(event["time"])).timestamp()
        for act, some in list(self._open.items()):
            due = self._acts[act].deadline
            # An event without an act id may be of this act. An event after the deadline is of another act, which has the
            # same effect.
            if some & same and (name in _FOR_GOOD or carried is None or (due is not None and moment > due)):
                self._close(act, some & same, identity)

    def _close(self, act: str, targets: Iterable[str], by: str) -> None:
        """Record that this entry closed these targets."""
        for target in targets:
            self._acts[act].closed.setdefault(target, set()).add(by)
        self._by.setdefault(by, set()).add(act)
        self._look_again(act)

    def _reopen(self, by: str) -> None:
        """Reopen what this entry closed."""
        for act in self._by.pop(by, ()):
            for closers in self._acts[act].closed.values():
                closers.discard(by)
            self._look_again(act)

    def _forget(self, act: str) -> None:
        """Remove this act; it denies nothing any more."""
        if act in self._acts:
            self._unlink(act)
            self._acts[act].denies = set()
            self._look_again(act)
            del self._acts[act]

    def _link(self, act: str) -> None:
        for entry in self._acts[act].closers:
            self._by.setdefault(entry, set()).add(act)

    def _unlink(self, act: str) -> None:
        for entry in self._acts[act].closers if act in self._acts else ():
            self._by.get(entry, set()).discard(act)
            if not self._by.get(entry):
                self._by.pop(entry, None)

    def _look_again(self, act: str) -> None:
        now = self._acts[act].open
        if self._open.get(act, set()) == now:
            return
        if now:
            self._open[act] = now
        else:
            del self._open[act]
        every = [text.partition(":") for some in self._open.values() for text in some]
        self._denied = {
            kind: frozenset(target for what, _, target in every if what == kind) for kind, _, _ in every
        }
