"""The check that every permit had authority: a valid key, and a valid grant.

The key must be added by an earlier entry and not removed. The grant must be granted by an earlier entry, not ended, and
no earlier entry may record an accepted revocation of it. The log holds the contracts' events as entries
(``chain:...``). An attacker who can write the service's database, but has no key of the log, cannot make such entries:
this check finds permits by a key that he inserted into a table or whose removal he deleted.
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any

from ledger.audit.verify.acts import DENIES, REFUSED, TAKEN, NamedActs
from ledger.audit.verify.verdict import Finding

OPEN = 2**40 - 1
"""``notAfter`` of a key without an end."""

GRACE_S = 300
"""How many seconds after the end of its key or grant an entry is accepted. The end counts from its block, which the
service may read late, and calls that were verified before are still answered."""

READER = 1
AUDITORS = 2 | 4
_MOST = 20

_CHAIN = b'"type":"chain:'
_PERMIT = b'"decision":"permit"'
_AUDIT_READ = b'"type":"auditor:log:'
_ACT = b'"type":"log:act:'
_BY = re.compile(rb'"grant":"(0x[0-9a-f]{64})","id":"[0-9a-f-]{36}",[^{}]*"service":"(\d{1,8}:[0-9a-f]{64})"')


@dataclass(slots=True)
class _Key:
    roles: int
    not_before: int
    not_after: int
    removed: float | None = None


@dataclass(slots=True)
class _Grant:
    parent: str
    ended: float | None = None
    replaced_by: str | None = None


@dataclass(slots=True)
class Authority:
    """Reads the entries of one log in order, and finds permits and audit reads without authority.

    Set ``incomplete`` when entries are archived: a key or grant that no entry names is then counted, not a finding.
    ``acts`` are the acts that the entries name.
    """

    incomplete: bool = False
    acts: NamedActs = field(default_factory=NamedActs)
    _keys: dict[str, _Key] = field(default_factory=dict)
    _grants: dict[str, _Grant] = field(default_factory=dict)
    _undo: dict[str, tuple[str, str]] = field(default_factory=dict)
    _valid: set[tuple[bytes, bytes]] = field(default_factory=set)
    """Checked (grant, service) pairs. They remain valid until the next event that ends something."""
    _governed: bool = False
    _bound: dict[str, list[str]] = field(default_factory=dict)
    _stopped: dict[str, list[str]] = field(default_factory=dict)
    """Event id of a condition's end -> the grants that it ended."""
    _taken: dict[str, tuple[float, set[str]]] = field(default_factory=dict)
    """Act -> the time of its acceptance, and the targets that it denies until the chain decides it."""
    _decided: dict[str, tuple[str, tuple[float, set[str]]]] = field(default_factory=dict)
    """Event id of the decision about an act -> the act, and its value in `_taken` before the decision."""
    _epochs: list[tuple[str, bool]] = field(default_factory=list)
    _findings: list[Finding] = field(default_factory=list)
    _more: int = 0
    _unknown: int = 0

    def watch(self, first: int, lines: Iterable[bytes], file: str) -> Iterator[bytes]:
        """Yield the same lines (consecutive entries from index ``first`` on) and check each of them."""
        for index, line in enumerate(lines, first):
            if _CHAIN in line:
                event = _parsed(line)
                self._govern(event)
                self.acts.take(index, event)
            elif _PERMIT in line:
                by = _BY.search(line)
                if by is None or by.groups() not in self._valid:
                    self._permit(index, _parsed(line), file, by)
            elif _AUDIT_READ in line:
                self._audit_read(index, _parsed(line), file)
            elif _ACT in line:
                event = _parsed(line)
                self._take(event)
                self.acts.take(index, event)
            yield line

    @property
    def findings(self) -> list[Finding]:
        """The first findings, and the number of further ones. Empty for a log without any service key."""
        if not self._governed:
            return []
        if not self._more:
            return self._findings
        return [*self._findings, Finding("authority.more", f"and {self._more} more of this kind")]

    @property
    def remarks(self) -> list[str]:
        """Remarks: what could not be checked, acts without a decision, and whether the start of each epoch is proven."""
        found = [
            f"an epoch goes on from the head of size {size}, "
            + (
                "which the chain saw proven to be part of the log before"
                if proven
                else "for which the council alone vouches: the chain saw no proof"
            )
            for size, proven in self._epochs
        ]
        if self._governed and self._unknown:
            found.append(f"{self._unknown} permits rest on keys or grants that archived entries tell of")
        if self._taken:
            found.append(f"{len(self._taken)} acts were taken, and no entry says yet what became of them")
        return found

    # -- entries that change authority

    def _take(self, event: dict[str, Any]) -> None:
        """Read the entry of an accepted denying act, or of its refusal by the chain."""
        kind, facts = event.get("type"), event.get("facts")
        if not isinstance(facts, dict):
            return
        if kind == REFUSED:
            self._taken.pop(str(facts.get("refused_act")), None)
        elif kind == TAKEN:
            _, before = self._taken.get(str(facts.get("taken_act")), (0.0, set()))
            denies = {str(target) for name, target in facts.items() if str(name).startswith(DENIES)}
            self._taken[str(facts.get("taken_act"))] = _moment(event), denies | before
            self._valid.clear()

    def _denied(self, grant: str, below: bool, moment: float) -> bool:
        """Whether an accepted act denied a grant more than `GRACE_S` before ``moment``.

        A replacement denies the replaced grant only. With ``below``, a grant delegated from it is checked, so
        replacements are not considered.
        """
        targets = {f"grant:{grant}"} if below else {f"grant:{grant}", f"replaced:{grant}"}
        return any(moment > since + GRACE_S and targets & denies for since, denies in self._taken.values())

    def _govern(self, event: dict[str, Any]) -> None:
        kind, facts = str(event.get("type")), event.get("facts")
        facts = facts if isinstance(facts, dict) else {}
        moment, identity = _moment(event), str(event.get("id"))
        if (open_act := self._taken.pop(str(facts.get("act")), None)) is not None:
            self._decided[identity] = str(facts.get("act")), open_act
        grant = str(event.get("grant"))
        key = f"{facts.get('arg.department')}:{str(facts.get('arg.key')).removeprefix('0x')}"
        if kind == "chain:service-key:added":
            term = (facts.get(name) for name in ("arg.roles", "arg.notBefore", "arg.notAfter"))
            self._keys[key] = _Key(*(value if isinstance(value, int) else 0 for value in term))
            self._undo[identity] = ("key", key)
            self._governed = True
        elif kind == "chain:service-key:removed" and key in self._keys:
            self._keys[key].removed = moment
            self._undo[identity] = ("removal", key)
            self._valid.clear()
        elif kind in ("chain:grant:granted", "chain:grant:glass-broken"):
            self._grants[grant] = _Grant(str(facts.get("arg.parent", "")))
            self._undo[identity] = ("grant", grant)
        elif kind in ("chain:grant:revoked", "chain:grant:cancelled") and grant in self._grants:
            self._grants[grant].ended = moment
            self._undo[identity] = ("end", grant)
            self._valid.clear()
        elif kind == "chain:grant:replaced" and grant in self._grants:
            self._grants[grant].ended = moment
            self._grants[grant].replaced_by = str(facts.get("arg.by"))
            self._undo[identity] = ("end", grant)
            self._valid.clear()
        elif kind == "chain:condition:bound":
            self._bound.setdefault(str(facts.get("arg.condition")), []).append(grant)
            self._undo[identity] = ("binding", str(facts.get("arg.condition")))
        elif kind == "chain:condition:ended":
            self._condition_ended(identity, str(facts.get("arg.condition")), moment)
        elif kind == "chain:log:epoch-opened":
            self._epochs.append((str(facts.get("arg.lastSize")), facts.get("arg.proven") is True))
        elif kind == "chain:reorg:reverted":
            self._revert(str(facts.get("reverts")))

    def _condition_ended(self, identity: str, condition: str, moment: float) -> None:
        """End every grant that is bound to the condition and has not ended before."""
        for grant in self._bound.get(condition, ()):
            known = self._grants.get(grant)
            if known is not None and known.ended is None:
                known.ended = moment
                self._stopped.setdefault(identity, []).append(grant)
        self._valid.clear()

    def _revert(self, identity: str) -> None:
        """Undo an event whose block is no longer in the chain."""
        what, name = self._undo.pop(identity, ("", ""))
        if identity in self._decided:
            act, before = self._decided.pop(identity)
            self._taken[act] = before
        for grant in self._stopped.pop(identity, ()):
            if grant in self._grants:
                self._grants[grant].ended = None
        self._valid.clear()
        if what == "key":
            self._keys.pop(name, None)
        elif what == "grant":
            self._grants.pop(name, None)
        elif what == "removal" and name in self._keys:
            self._keys[name].removed = None
        elif what == "binding":
            self._bound[name].pop()
        elif what == "end" and name in self._grants:
            self._grants[name].ended = self._grants[name].replaced_by = None

    # -- entries that need authority

    def _permit(self, index: int, event: dict[str, Any], file: str, by: re.Match[bytes] | None) -> None:
        if event.get("decision") != "permit":
            return
        service, grant = str(event.get("service")), str(event.get("grant"))
        valid = self._by_key(index, event, service, READER, file) and self._under(index, event, grant, file)
        if valid and by is not None and self._lasting(self._keys[service], grant):
            self._valid.add((by[1], by[2]))

    def _lasting(self, key: _Key, grant: str) -> bool:
        """Whether key and grant remain valid until another chain event: no end by time, and no accepted revocation."""
        for _ in range(256):
            known = self._grants.get(grant)
            if known is None:
                break
            if known.ended is not None or self._denied(grant, False, float("inf")):
                return False
            grant = known.parent
        return key.removed is None and key.not_after >= OPEN

    def _audit_read(self, index: int, event: dict[str, Any], file: str) -> None:
        if event.get("service") is not None:
            self._by_key(index, event, str(event["service"]), AUDITORS, file)

    def _by_key(self, index: int, event: dict[str, Any], service: str, roles: int, file: str) -> bool:
        key, moment = self._keys.get(service), _moment(event)
        if key is None:
            return self._report(
                "authority.key",
                f"entry {index} is by a key that no entry before it added: {service}",
                file,
                index,
            )
        if key.removed is not None and moment > key.removed + GRACE_S:
            return self._report("authority.key", f"entry {index} is by a removed key: {service}", file, index)
        if not key.not_before - GRACE_S <= moment <= key.not_after + GRACE_S:
            return self._report(
                "authority.key", f"entry {index} is by a key outside its term: {service}", file, index
            )
        if not key.roles & roles:
            return self._report(
                "authority.role", f"entry {index} is by a key without the role for it: {service}", file, index
            )
        return True

    def _under(self, index: int, event: dict[str, Any], grant: str, file: str) -> bool:
        at, moment, seen = grant, _moment(event), 0
        while True:
            known = self._grants.get(at)
            if known is None:
                return self._report(
                    "authority.grant",
                    f"entry {index} rests on a grant that no entry before it granted: {at}",
                    file,
                    index,
                )
            if known.replaced_by is not None and at != grant:
                # A grant that was delegated from a replaced grant continues under the replacement.
                facts = event.get("facts")
                stated = str(facts.get("replaced", "")).split() if isinstance(facts, dict) else []
                late = known.ended is not None and moment > known.ended + GRACE_S
                if late and f"{at}={known.replaced_by}" not in stated:
                    return self._report(
                        "authority.grant",
                        f"entry {index} did not ask the grant that replaced one above: {known.replaced_by}",
                        file,
                        index,
                    )
                at, seen = known.replaced_by, seen + 1
                if seen <= 256:
                    continue
            if known.ended is not None and moment > known.ended + GRACE_S:
                return self._report(
                    "authority.grant", f"entry {index} rests on a grant that had ended: {at}", file, index
                )
            if self._denied(at, at != grant, moment):
                return self._report(
                    "authority.taken",
                    f"entry {index} rests on a grant whose revocation was taken: {at}",
                    file,
                    index,
                )
            at, seen = known.parent, seen + 1
            if not at.strip("0x") or seen > 256:
                return True

    def _report(self, code: str, message: str, file: str, entry: int) -> bool:
        if self.incomplete and "no entry before it" in message:
            self._unknown += 1
        elif len(self._findings) < _MOST:
            self._findings.append(Finding(code, message, file, entry))
        else:
            self._more += 1
        return False


def _parsed(line: bytes) -> dict[str, Any]:
    """The entry in a leaf; empty when the leaf is no JSON object, which the check of the hashes reports."""
    try:
        event = json.loads(line)
    except (ValueError, RecursionError):
        return {}
    return event if isinstance(event, dict) else {}


def _moment(event: dict[str, Any]) -> float:
    try:
        return datetime.fromisoformat(str(event.get("time"))).timestamp()
    except (ValueError, OverflowError):
        return 0.0
