"""The ledger's words rebuilt from its events alone, to be compared with what is stored.

Written from the bit tables of ``contracts/src/types`` and the events of ``contracts/src/interfaces``: what this file
cannot rebuild, an indexer could not either.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, field
from functools import cache
from typing import Any, Final

from contracts_harness import HOLD, OPERATE, USE, Event
from eth_hash.auto import keccak
from eth_utils import to_canonical_address

SEATS, STANDINGS, ASSETS, GRANTS, GUARD, DONE, LINEAGES, REPLACED_BY, EMERGENCIES, COUNCIL, MEMBERS = range(
    11
)
PLACES, RECOVERY_KEYS, SERVICE_KEYS, RECOVERIES, ADMISSIONS, OPEN_ACTS, OPEN_ACTS_OF = range(11, 18)
SUCCESSOR, HAND_OVER, FIRST_KEYS = 18, 19, 20
"""Positions of the mappings and words in LedgerState: all of them."""

ACTIVE, REVOKED, CANCELLED, REPLACED = 1, 2, 3, 4
DELEGATED, EMERGENCY, RATIFIED = 1 << 4, 1 << 5, 1 << 6
REMOVED, ROTATED, VETO_SPENT = 1, 2, 4
NO_LIMIT: Final = 2**32 - 1
FOREVER: Final = 2**40 - 1
RATIFY_WINDOW: Final = 72 * 3600
EMERGENCY_ROLE: Final = 1 << 5


@dataclass
class Rebuilt:
    """The storage according to the events."""

    seats: dict[str, dict[str, int]] = field(default_factory=dict)
    standings: dict[int, int] = field(default_factory=dict)
    assets: dict[int, dict[str, int]] = field(default_factory=dict)
    grants: dict[bytes, dict[str, int]] = field(default_factory=dict)
    guard: tuple[int, int] = (0, 0)
    hand_over: tuple[int, int] = (0, 0)
    """(freezeAt, handOverAt)"""
    open_acts: dict[int, list[int]] = field(default_factory=dict)
    recovery_keys: dict[int, str] = field(default_factory=dict)
    done: set[bytes] = field(default_factory=set)
    lineages: dict[int, tuple[list[int], list[bytes]]] = field(default_factory=dict)
    council: dict[str, Any] = field(default_factory=dict)
    places: dict[str, int] = field(default_factory=dict)
    service_keys: dict[tuple[int, bytes], dict[str, Any]] = field(default_factory=dict)
    recoveries: dict[str, dict[str, Any]] = field(default_factory=dict)
    admissions: dict[bytes, tuple[int, int]] = field(default_factory=dict)
    """(readyAt, epoch)"""
    replaced_by: dict[bytes, bytes] = field(default_factory=dict)
    waiting: dict[tuple[int, int], tuple[str, int]] = field(default_factory=dict)
    """(asset, department) -> (officer, due) of the pending or last break-glass act."""
    waiting_of: dict[str, int] = field(default_factory=dict)
    first_keys: dict[str, str] = field(default_factory=dict)
    """For a rotated EMERGENCY seat: its first holder."""
    successor: tuple[str, bytes] | None = None

    def apply(self, events: Iterable[Event], now: int) -> None:
        """Events of one transaction in a block of time ``now``."""
        for event in events:
            if "message" in event.args:
                self.done.add(event.args["message"])
            apply = getattr(self, f"_{event.name}", None)
            if apply is not None:
                apply(event.args, now)

    # -- seats --

    def _OfficerAdded(self, a: dict[str, Any], _: int) -> None:
        """An existing seat continues: a spent veto stays spent."""
        holder = a.get("officer", a.get("key", ""))
        self.seats[holder] = {
            "department": a["department"],
            "roles": a["roles"],
            "notBefore": a["notBefore"],
            "notAfter": a["notAfter"],
            "flags": self.seats.get(holder, {"flags": 0})["flags"],
        }

    _AttestKeyAdded = _OfficerAdded

    def _OfficerRemoved(self, a: dict[str, Any], _: int) -> None:
        self.seats[a.get("officer", a.get("key", ""))]["flags"] |= REMOVED

    _AttestKeyRemoved = _OfficerRemoved

    def _SeatRotated(self, a: dict[str, Any], _: int) -> None:
        """The old address names its successor, and its pending recovery ends."""
        none = {"vetoed": 0, "epoch": 0, "id": bytes(32)}
        self.recoveries[a["from"]] = self.recoveries.get(a["from"], none) | {"to": a["to"], "readyAt": 0}
        spent = self.seats[a["from"]]["flags"] & VETO_SPENT
        self.seats[a["from"]]["flags"] |= ROTATED
        self.seats[a["to"]] = {
            "department": a["department"],
            "roles": a["roles"],
            "notBefore": a["notBefore"],
            "notAfter": a["notAfter"],
            "flags": spent,
        }
        if a["roles"] & EMERGENCY_ROLE:
            self.first_keys[a["to"]] = self.first_keys.get(a["from"], a["from"])

    def _RecoveryCancelled(self, a: dict[str, Any], _: int) -> None:
        self.recoveries[a["from"]]["readyAt"] = 0

    def _RecoveryVetoed(self, a: dict[str, Any], _: int) -> None:
        self.seats[a["from"]]["flags"] |= VETO_SPENT
        self.recoveries[a["from"]]["vetoed"] = 1

    def _VetoOverridden(self, a: dict[str, Any], _: int) -> None:
        self.recoveries[a["from"]]["vetoed"] = 0

    def _RecoveryStarted(self, a: dict[str, Any], _: int) -> None:
        self.done.add(a["recovery"])
        self.recoveries[a["from"]] = {
            "to": a["to"],
            "readyAt": a["readyAt"],
            "vetoed": 0,
            "epoch": a["epoch"],
            "id": a["recovery"],
        }

    def _ServiceKeyAdded(self, a: dict[str, Any], _: int) -> None:
        self.service_keys[a["department"], a["key"]] = {**a, "flags": 0}

    def _ServiceKeyRemoved(self, a: dict[str, Any], _: int) -> None:
        self.service_keys[a["department"], a["key"]]["flags"] = REMOVED

    # -- departments and the council --

    def _AdmissionProposed(self, a: dict[str, Any], _: int) -> None:
        self.admissions[a["admission"]] = (a["readyAt"], a["epoch"])

    def _AdmissionCancelled(self, a: dict[str, Any], _: int) -> None:
        """The epoch of the council in office."""
        self.admissions[a["admission"]] = (FOREVER, self.council.get("epoch", 1))

    def _DepartmentAdmitted(self, a: dict[str, Any], _: int) -> None:
        self.admissions[a["admission"]] = (FOREVER, self.council.get("epoch", 1))
        self.standings[a["department"]] = 1
        self.recovery_keys[a["department"]] = a["recovery"]

    def _DepartmentSuspended(self, a: dict[str, Any], _: int) -> None:
        self.standings[a["department"]] = 2

    def _DepartmentLifted(self, a: dict[str, Any], _: int) -> None:
        self.standings[a["department"]] = 1

    def _RecoveryKeySet(self, a: dict[str, Any], _: int) -> None:
        self.recovery_keys[a["department"]] = a["recovery"]

    def _CouncilReplaced(self, a: dict[str, Any], _: int) -> None:
        self.places |= dict.fromkeys(self.places, 0)
        self.places |= {member: place for place, member in enumerate(a["members"], 1)}
        self.council = a

    def _HandOverAnnounced(self, a: dict[str, Any], _: int) -> None:
        self.successor = (a["successor"], a["message"])
        self.hand_over = (a["freezeAt"], a["handOverAt"])

    def _HandOverCalledOff(self, a: dict[str, Any], _: int) -> None:
        self.hand_over = (0, 0)

    def _Paused(self, a: dict[str, Any], _: int) -> None:
        self.guard = (a["until"], a["pauseAllowedAt"])

    def _Unpaused(self, a: dict[str, Any], now: int) -> None:
        self.guard = (now - 1, self.guard[1])

    # -- assets --

    def _AssetRegistered(self, a: dict[str, Any], now: int) -> None:
        department = a["asset"] >> 40
        holders = {HOLD: department, USE: department, OPERATE: department}
        self.assets[a["asset"]] = {
            **{f"holder{right}": who for right, who in holders.items()},
            "class": a["class"],
            "sharing": a["sharing"],
            "since": now,
            "version": 1,
            "status": 1,
            "parents": 0,
            "lineage": 0,
            "nodes": 0,
        }

    def _AssetDerived(self, a: dict[str, Any], _: int) -> None:
        self.lineages[a["asset"]] = (a["parents"], a["under"])
        steps = max(self.assets[parent]["lineage"] for parent in a["parents"]) + 1
        nodes = 1 + sum(self.assets[parent]["nodes"] or 1 for parent in a["parents"])
        self.assets[a["asset"]] |= {"parents": len(a["parents"]), "lineage": steps, "nodes": nodes}

    def _ParentRenewed(self, a: dict[str, Any], _: int) -> None:
        parents, under = self.lineages[a["asset"]]
        place = parents.index(a["parent"])
        self.lineages[a["asset"]] = (parents, [*under[:place], a["under"], *under[place + 1 :]])

    def _AssetVersioned(self, a: dict[str, Any], _: int) -> None:
        self.assets[a["asset"]]["version"] = a["version"]

    def _AssetReclassified(self, a: dict[str, Any], _: int) -> None:
        self.assets[a["asset"]] |= {"class": a["class"], "sharing": a["sharing"]}

    def _AssetSuspended(self, a: dict[str, Any], _: int) -> None:
        self.assets[a["asset"]]["status"] = a["status"]

    _AssetLifted = _AssetSuspended

    def _AssetRetired(self, a: dict[str, Any], _: int) -> None:
        self.assets[a["asset"]]["status"] = 4

    def _RightTransferred(self, a: dict[str, Any], _: int) -> None:
        self.assets[a["asset"]][f"holder{a['right']}"] = a["to"]

    # -- grants --

    def _Granted(self, a: dict[str, Any], _: int) -> None:
        flags = DELEGATED if a["parent"] != bytes(32) else 0
        self.grants[a["grant"]] = {"status": ACTIVE | flags, "uses": 0} | {
            name: a[name] for name in ("right", "grantee", "asset", "notBefore", "expiry", "maxUses", "depth")
        }

    def _GlassBroken(self, a: dict[str, Any], _: int) -> None:
        self.grants[a["grant"]] = {
            "status": ACTIVE | EMERGENCY,
            "uses": 0,
            "right": USE,
            "maxUses": NO_LIMIT,
        } | {name: a[name] for name in ("grantee", "asset", "notBefore", "expiry")}
        self.grants[a["grant"]]["depth"] = 0
        acts = self.open_acts.setdefault(a["grantee"], [0] * 6)
        acts[acts.index(0)] = a["ratifyBy"]
        key = self.first_keys.get(a["officer"], a["officer"])
        self.waiting[a["asset"], a["grantee"]] = (key, a["ratifyBy"])
        self.waiting_of[key] = self.waiting_of.get(key, 0) + 1

    def _Ratified(self, a: dict[str, Any], _: int) -> None:
        self.grants[a["grant"]]["status"] |= RATIFIED
        self._waits_no_more(a["grant"])

    def _PrivilegeRestored(self, a: dict[str, Any], _: int) -> None:
        for grant in a["grants"]:
            self._waits_no_more(grant)

    def _waits_no_more(self, name: bytes) -> None:
        grant = self.grants[name]
        acts = self.open_acts[grant["grantee"]]
        acts[acts.index(grant["notBefore"] + RATIFY_WINDOW)] = 0
        key, _ = self.waiting[grant["asset"], grant["grantee"]]
        self.waiting[grant["asset"], grant["grantee"]] = (key, 0)
        self.waiting_of[key] -= 1

    def _Deducted(self, a: dict[str, Any], _: int) -> None:
        self.grants[a["parent"]]["maxUses"] = a["maxUses"]

    def _Revoked(self, a: dict[str, Any], now: int) -> None:
        self._end(a["grant"], REVOKED, now)

    def _Replaced(self, a: dict[str, Any], now: int) -> None:
        self._end(a["grant"], REPLACED, now)
        self.replaced_by[a["grant"]] = a["by"]

    def _end(self, name: bytes, state: int, now: int) -> None:
        grant = self.grants[name]
        grant["status"] = grant["status"] & ~15 | state
        grant["expiry"] = min(grant["expiry"], now)

    def _Cancelled(self, a: dict[str, Any], _: int) -> None:
        nothing = dict.fromkeys(("right", "grantee", "notBefore", "expiry", "maxUses", "uses", "depth"), 0)
        self.grants[a["grant"]] = {"status": CANCELLED, "asset": a["asset"], **nothing}

    def _Used(self, a: dict[str, Any], _: int) -> None:
        self.grants[a["grant"]]["uses"] = a["total"]

    _UsesCorrected = _Used

    # -- words --

    def words(self) -> dict[int, int]:
        """Slot -> word, for everything in the events."""
        words: dict[int, int] = {GUARD: packed(*[(at, 40) for at in (*self.guard, *self.hand_over)])}
        for holder, seat in self.seats.items():
            words[at(to_canonical_address(holder), SEATS)] = seat_word(seat)
        for department, standing in self.standings.items():
            group = at(department >> 6, STANDINGS)
            words[group] = words.get(group, 0) | standing << (department & 63) * 4
        for asset, state in self.assets.items():
            words[at(asset, ASSETS)] = asset_word(state)
        for grant, terms in self.grants.items():
            words[at(grant, GRANTS)] = grant_word(terms)
        for department, acts in self.open_acts.items():
            words[at(department, EMERGENCIES)] = packed(*[(due, 40) for due in acts])
        for department, key in self.recovery_keys.items():
            words[at(department, RECOVERY_KEYS)] = int(key, 16)
        return words | self._rarer_words()

    def _rarer_words(self) -> dict[int, int]:
        words: dict[int, int] = {at(message, DONE): 1 for message in self.done}
        for asset, (parents, under) in self.lineages.items():
            slot = at(asset, LINEAGES)
            words[slot], words[slot + 1] = len(parents), len(under)
            for i in range(0, len(parents), 4):
                words[items(slot) + i // 4] = packed(*[(parent, 64) for parent in parents[i : i + 4]])
            words |= {items(slot + 1) + i: number(grant) for i, grant in enumerate(under)}
        if self.council:
            c = self.council
            words[COUNCIL] = packed(
                (int(c["guardian"], 16), 160),
                (c["threshold"], 8),
                (c["epoch"], 32),
                (c["admissionDelay"], 32),
            )
            words[MEMBERS] = len(c["members"])
            words |= {items(MEMBERS) + i: int(member, 16) for i, member in enumerate(c["members"])}
        for member, place in self.places.items():
            words[at(to_canonical_address(member), PLACES)] = place
        for (department, key), k in self.service_keys.items():
            slot = at(key, at(department, SERVICE_KEYS))
            words[slot] = packed((k["roles"], 8), (k["notBefore"], 40), (k["notAfter"], 40), (k["flags"], 8))
            words[slot + 1] = number(k["hpke"])
        for holder, r in self.recoveries.items():
            slot = at(to_canonical_address(holder), RECOVERIES)
            words[slot] = packed(
                (int(r["to"], 16), 160), (r["readyAt"], 40), (r["vetoed"], 8), (r["epoch"], 32)
            )
            words[slot + 1] = number(r["id"])
        for admission, (ready, epoch) in self.admissions.items():
            words[at(admission, ADMISSIONS)] = packed((ready, 40), (epoch, 32))
        words |= {at(grant, REPLACED_BY): number(by) for grant, by in self.replaced_by.items()}
        for (asset, department), (key, due) in self.waiting.items():
            words[at(asset << 24 | department, OPEN_ACTS)] = packed((int(key, 16), 160), (due, 40))
        for key, count in self.waiting_of.items():
            words[at(to_canonical_address(key), OPEN_ACTS_OF)] = count
        for key, first in self.first_keys.items():
            words[at(to_canonical_address(key), FIRST_KEYS)] = int(first, 16)
        if self.successor is not None:
            words |= {SUCCESSOR: int(self.successor[0], 16), HAND_OVER: number(self.successor[1])}
        return words


@cache
def at(key: int | bytes, position: int) -> int:
    """The slot of ``mapping[key]`` for the mapping at ``position``."""
    word = key.rjust(32, b"\0") if isinstance(key, bytes) else key.to_bytes(32, "big")
    return int.from_bytes(keccak(word + position.to_bytes(32, "big")), "big")


@cache
def items(slot: int) -> int:
    """The first slot of the items of the dynamic array at ``slot``."""
    return number(keccak(slot.to_bytes(32, "big")))


def number(word: bytes) -> int:
    """32 bytes as a word."""
    return int.from_bytes(word, "big")


def packed(*fields: tuple[int, int]) -> int:
    """(value, bits) from the lowest bit up."""
    word = shift = 0
    for value, bits in fields:
        word |= value << shift
        shift += bits
    return word


def seat_word(s: dict[str, int]) -> int:
    """types/OfficerWord.sol."""
    return packed(
        (s["department"], 24), (s["roles"], 16), (s["notBefore"], 40), (s["notAfter"], 40), (s["flags"], 8)
    )


def asset_word(a: dict[str, int]) -> int:
    """types/AssetWord.sol."""
    holders = [(a[f"holder{right}"], 24) for right in (HOLD, USE, OPERATE)]
    grades = [(a["class"], 8), (a["sharing"], 8)]
    life = [(a["since"], 40), (a["version"], 32), (a["status"], 8)]
    return packed(*holders, *grades, *life, (a["parents"], 8), (a["lineage"], 8), (a["nodes"], 8))


def grant_word(g: dict[str, int]) -> int:
    """types/GrantWord.sol."""
    parties = [(g["status"], 8), (g["right"], 8), (g["grantee"], 24), (g["asset"], 64)]
    term = [(g["notBefore"], 40), (g["expiry"], 40)]
    return packed(*parties, *term, (g["maxUses"], 32), (g["uses"], 32), (g["depth"], 8))
