"""What the acts deny that were taken and are not decided yet: the log's entries that say so, and those that close them.

An act that takes something away denies it from the commit that takes the act. That commit has an entry (`TAKEN`): who
writes the database changes or deletes the act's rows, and the denial stands. It is closed by the entry of the act's
event on the chain, or by one that says that the chain did not take the act (`REFUSED`), which is written only after that
was proven.
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
"""Targets in one entry: each has about a hundred bytes, and an entry at most 65,535."""

_TAKEN_AGAIN = UUID("0f1d9a0c-58c4-5a2e-9b55-6c1f6f0d7a43")

_FOR_GOOD = frozenset({"Revoked", "Cancelled", "ConditionEnded", "AssetRetired"})
"""Events after which nothing needs a denial, whichever act caused them."""


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
    """The entries of an act (its id, type, call data and deadline) that denies something; none where it denies nothing."""
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
    """The entry that an act denies which was taken in a lost part of the log, for the log of this origin that goes on."""
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
    """What such an entry says is denied: ``kind:target``."""
    return [str(value) for name, value in entry["facts"].items() if name.startswith(DENIES)]


def refused_entry(act: str, code: str, tx_hash: str | None, now: datetime) -> NewEntry:
    """The entry that the chain did not take an act; ``tx_hash`` is the transaction that it reverted."""
    facts: dict[str, str | int | bool] = {"refused_act": act, "code": code}
    event = Event(
        id=new_event_id(), type=REFUSED, time=now, facts=facts | ({"tx": tx_hash} if tx_hash else {})
    )
    return NewEntry(event, fresh=True)


@dataclass(slots=True)
class TakenAct:
    """One act: its type, the hash of the call that carries it, its deadline (unix seconds), what it denies
    (``kind:target``), and the entries that closed each of that."""

    kind: str
    call: str
    deadline: int | None
    denies: set[str] = field(default_factory=set)
    closed: dict[str, set[str]] = field(default_factory=dict)

    @property
    def open(self) -> set[str]:
        """What it denies now."""
        return {target for target in self.denies if not self.closed.get(target)}

    @property
    def closers(self) -> set[str]:
        """The entries that closed any of it."""
        return set[str]().union(*self.closed.values())


@dataclass(slots=True)
class TakenInLog:
    """Takes the entries of one log in their order."""

    _acts: dict[str, TakenAct] = field(default_factory=dict)
    """Those that are not decided for good: see `settle`."""
    _open: dict[str, set[str]] = field(default_factory=dict)
    _by: dict[str, set[str]] = field(default_factory=dict)
    """The acts that an entry closed, by the entry's id: only those may be open when its event is taken back."""
    _denied: Mapping[str, frozenset[str]] = field(default_factory=dict)
    """Made anew with each change: other threads read it."""

    def take(self, event: Mapping[str, Any]) -> None:
        """The next entry."""
        kind, facts = str(event["type"]), event.get("facts", {})
        if kind == TAKEN:
            self._take(event, facts)
        elif not self._acts:
            return
        elif kind == REFUSED:
            self._forget(str(facts["refused_act"]))  # no entry takes a refusal back
        elif kind == REVERTED:
            self._reopen(str(facts.get("reverts")))
        elif kind.startswith(CHAIN):
            self._chain(event, facts)

    def denied(self) -> Mapping[str, frozenset[str]]:
        """What is denied now: targets by kind."""
        return self._denied

    def acts(self) -> tuple[str, ...]:
        """The acts that deny something now."""
        return tuple(self._open)

    def act(self, identity: str) -> TakenAct | None:
        """An act that denies something now; None for every other act."""
        one = self._acts.get(identity)  # a thread that reads the log may forget it meanwhile
        return one if identity in self._open else None

    def settle(self, entry: str) -> None:
        """The event of this entry lies so deep in the chain that it is not kept for being taken back: what it closed is
        decided for good. `restore` is for the chain that takes it back all the same."""
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
        """Take over what is denied by a reading of the whole log that settled nothing."""
        for act in whole.acts():
            self._unlink(act)
            self._acts[act] = whole._acts[act]
            self._link(act)
            self._look_again(act)

    def to_json(self) -> dict[str, Any]:
        """For `from_json`."""
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
        """What `to_json` wrote; ValueError, KeyError or TypeError for anything else. What was closed by an entry that is
        not among the ``recent`` is decided for good."""
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
        one.closed = {}  # an act that was decided and comes again denies again
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
            # An event whose act is not named may be this act's; after the deadline another act took its place.
            if some & same and (name in _FOR_GOOD or carried is None or (due is not None and moment > due)):
                self._close(act, some & same, identity)

    def _close(self, act: str, targets: Iterable[str], by: str) -> None:
        """These targets are closed by this entry."""
        for target in targets:
            self._acts[act].closed.setdefault(target, set()).add(by)
        self._by.setdefault(by, set()).add(act)
        self._look_again(act)

    def _reopen(self, by: str) -> None:
        """What this entry closed is as it was before it."""
        for act in self._by.pop(by, ()):
            for closers in self._acts[act].closed.values():
                closers.discard(by)
            self._look_again(act)

    def _forget(self, act: str) -> None:
        """Keep nothing about this act: it denies nothing."""
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
