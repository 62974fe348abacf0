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

SEATS, STANDINGS, ASSETS, GRANTS, GUARD = range(5)
EMERGENCIES, COUNCIL, RECOVERY_KEYS = 7, 8, 11
"""Positions of the mappings and words in LedgerState."""

ACTIVE, REVOKED, CANCELLED = 1, 2, 3
DELEGATED, EMERGENCY, RATIFIED = 1 << 4, 1 << 5, 1 << 6
REMOVED, ROTATED, VETO_SPENT = 1, 2, 4
NO_LIMIT: Final = 2**32 - 1
COOLDOWN: Final = 7 * 86_400


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

    def apply(self, events: Iterable[Event], now: int) -> None:
        """Events of one transaction in a block of time ``now``."""
        for event in events:
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

    def _SeatRotated(self, a: dict[str, Any], _: int) -> None:
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

    def _DepartmentAdmitted(self, a: dict[str, Any], _: int) -> None:
        self.standings[a["department"]] = 1
        self.recovery_keys[a["department"]] = a["recovery"]

    def _DepartmentSuspended(self, a: dict[str, Any], _: int) -> None:
        self.standings[a["department"]] = 2

    def _DepartmentLifted(self, a: dict[str, Any], _: int) -> None:
        self.standings[a["department"]] = 1

    def _RecoveryKeySet(self, a: dict[str, Any], _: int) -> None:
        self.recovery_keys[a["department"]] = a["recovery"]

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
        }

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
        return words


@cache
def at(key: int | bytes, position: int) -> int:
    """The slot of ``mapping[key]`` for the mapping at ``position``."""
    word = key.rjust(32, b"\0") if isinstance(key, bytes) else key.to_bytes(32, "big")
    return int.from_bytes(keccak(word + position.to_bytes(32, "big")), "big")


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
    """types/AssetWord.sol, of an original."""
    holders = [(a[f"holder{right}"], 24) for right in (HOLD, USE, OPERATE)]
    grades = [(a["class"], 8), (a["sharing"], 8)]
    return packed(*holders, *grades, (a["since"], 40), (a["version"], 32), (a["status"], 8))


def grant_word(g: dict[str, int]) -> int:
    """types/GrantWord.sol."""
    parties = [(g["status"], 8), (g["right"], 8), (g["grantee"], 24), (g["asset"], 64)]
    term = [(g["notBefore"], 40), (g["expiry"], 40)]
    return packed(*parties, *term, (g["maxUses"], 32), (g["uses"], 32), (g["depth"], 8))
