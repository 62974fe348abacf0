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

SEATS, STANDINGS, ASSETS, GRANTS, GUARD, DONE, LINEAGES, EMERGENCIES, COUNCIL, MEMBERS, PLACES = range(11)
RECOVERY_KEYS, SERVICE_KEYS, RECOVERIES, ADMISSIONS, SUCCESSOR, SNAPSHOT = range(11, 17)
"""Positions of the mappings and words in LedgerState: all of them."""

ACTIVE, REVOKED, CANCELLED = 1, 2, 3
DELEGATED, EMERGENCY, RATIFIED = 1 << 4, 1 << 5, 1 << 6
REMOVED, ROTATED, VETO_SPENT = 1, 2, 4
NO_LIMIT: Final = 2**32 - 1
FOREVER: Final = 2**40 - 1
RECOVERY_WINDOW: Final = 7 * 86_400


@dataclass
class Rebuilt:
    """Storage as the events tell it."""

    seats: dict[str, dict[str, int]] = field(default_factory=dict)
    standings: dict[int, int] = field(default_factory=dict)
    assets: dict[int, dict[str, int]] = field(default_factory=dict)
    grants: dict[bytes, dict[str, int]] = field(default_factory=dict)
    guard: tuple[int, int] = (0, 0)
    open_acts: dict[int, list[int]] = field(default_factory=dict)
    recovery_keys: dict[int, str] = field(default_factory=dict)
    done: set[bytes] = field(default_factory=set)
    lineages: dict[int, tuple[list[int], list[bytes]]] = field(default_factory=dict)
    council: dict[str, Any] = field(default_factory=dict)
    places: dict[str, int] = field(default_factory=dict)
    service_keys: dict[tuple[int, bytes], dict[str, Any]] = field(default_factory=dict)
    recoveries: dict[str, dict[str, Any]] = field(default_factory=dict)
    admissions: dict[bytes, int] = field(default_factory=dict)
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
        self.seats[a.get("officer", a.get("key", ""))] = {
            "department": a["department"],
            "roles": a["roles"],
            "notBefore": a["notBefore"],
            "notAfter": a["notAfter"],
            "flags": 0,
        }

    _AttestKeyAdded = _OfficerAdded

    def _OfficerRemoved(self, a: dict[str, Any], _: int) -> None:
        self.seats[a.get("officer", a.get("key", ""))]["flags"] |= REMOVED

    _AttestKeyRemoved = _OfficerRemoved

    def _SeatRotated(self, a: dict[str, Any], now: int) -> None:
        """A rotation is refused while a recovery waits: where one waited, this was its end."""
        recovery = self.recoveries.get(a["from"])
        if recovery is not None and now <= recovery["readyAt"] + RECOVERY_WINDOW:
            recovery["readyAt"] = 0
        self.seats[a["from"]]["flags"] |= ROTATED
        self.seats[a["to"]] = {
            "department": a["department"],
            "roles": a["roles"],
            "notBefore": a["notBefore"],
            "notAfter": a["notAfter"],
            "flags": 0,
        }

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
            "id": a["recovery"],
        }

    def _ServiceKeyAdded(self, a: dict[str, Any], _: int) -> None:
        self.service_keys[a["department"], a["key"]] = {**a, "flags": 0}

    def _ServiceKeyRemoved(self, a: dict[str, Any], _: int) -> None:
        self.service_keys[a["department"], a["key"]]["flags"] = REMOVED

    # -- departments and the council --

    def _AdmissionProposed(self, a: dict[str, Any], _: int) -> None:
        self.admissions[a["admission"]] = a["readyAt"]

    def _AdmissionCancelled(self, a: dict[str, Any], _: int) -> None:
        self.admissions[a["admission"]] = FOREVER

    def _DepartmentAdmitted(self, a: dict[str, Any], _: int) -> None:
        self.admissions[a["admission"]] = FOREVER
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

    def _Superseded(self, a: dict[str, Any], _: int) -> None:
        self.successor = (a["successor"], a["snapshotRoot"])
        self.guard = (FOREVER, FOREVER)

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
        }

    def _AssetDerived(self, a: dict[str, Any], _: int) -> None:
        self.lineages[a["asset"]] = (a["parents"], a["under"])
        steps = max(self.assets[parent]["lineage"] for parent in a["parents"]) + 1
        self.assets[a["asset"]] |= {"parents": len(a["parents"]), "lineage": steps}

    def _AssetVersioned(self, a: dict[str, Any], _: int) -> None:
        self.assets[a["asset"]]["version"] = a["version"]

    def _AssetReclassified(self, a: dict[str, Any], _: int) -> None:
        self.assets[a["asset"]] |= {"class": a["class"], "sharing": a["sharing"]}

    def _AssetSuspended(self, a: dict[str, Any], _: int) -> None:
        self.assets[a["asset"]]["status"] = a["status"]

    def _AssetLifted(self, a: dict[str, Any], _: int) -> None:
        self.assets[a["asset"]]["status"] = 1

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

    def _Ratified(self, a: dict[str, Any], _: int) -> None:
        grant = self.grants[a["grant"]]
        grant["status"] |= RATIFIED
        acts = self.open_acts[grant["grantee"]]
        due = grant["notBefore"] + 72 * 3600
        if due in acts:
            acts[acts.index(due)] = 0

    def _PrivilegeRestored(self, a: dict[str, Any], now: int) -> None:
        acts = self.open_acts.setdefault(a["department"], [0] * 6)
        self.open_acts[a["department"]] = [0 if due < now else due for due in acts]

    def _Deducted(self, a: dict[str, Any], _: int) -> None:
        self.grants[a["parent"]]["maxUses"] = a["maxUses"]

    def _Revoked(self, a: dict[str, Any], _: int) -> None:
        self.grants[a["grant"]]["status"] = self.grants[a["grant"]]["status"] & ~15 | REVOKED

    def _Cancelled(self, a: dict[str, Any], _: int) -> None:
        nothing = dict.fromkeys(("right", "grantee", "notBefore", "expiry", "maxUses", "uses", "depth"), 0)
        self.grants[a["grant"]] = {"status": CANCELLED, "asset": a["asset"], **nothing}

    def _Used(self, a: dict[str, Any], _: int) -> None:
        self.grants[a["grant"]]["uses"] = a["total"]

    # -- words --

    def words(self) -> dict[int, int]:
        """Slot -> word, of everything that the events speak of."""
        words: dict[int, int] = {GUARD: packed((self.guard[0], 40), (self.guard[1], 40))}
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
            words[slot] = packed((int(r["to"], 16), 160), (r["readyAt"], 40), (r["vetoed"], 8))
            words[slot + 1] = number(r["id"])
        words |= {at(admission, ADMISSIONS): ready for admission, ready in self.admissions.items()}
        if self.successor is not None:
            words |= {SUCCESSOR: int(self.successor[0], 16), SNAPSHOT: number(self.successor[1])}
        return words


@cache
def at(key: int | bytes, position: int) -> int:
    """The slot of ``mapping[key]`` for the mapping at ``position``."""
    word = key.rjust(32, b"\0") if isinstance(key, bytes) else key.to_bytes(32, "big")
    return int.from_bytes(keccak(word + position.to_bytes(32, "big")), "big")


@cache
def items(slot: int) -> int:
    """Where the items of the dynamic array at ``slot`` begin."""
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
    return packed(*holders, *grades, *life, (a["parents"], 8), (a["lineage"], 8))


def grant_word(g: dict[str, int]) -> int:
    """types/GrantWord.sol."""
    parties = [(g["status"], 8), (g["right"], 8), (g["grantee"], 24), (g["asset"], 64)]
    term = [(g["notBefore"], 40), (g["expiry"], 40)]
    return packed(*parties, *term, (g["maxUses"], 32), (g["uses"], 32), (g["depth"], 8))
