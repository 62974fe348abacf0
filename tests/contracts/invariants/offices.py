"""Seats, roles, rotation, recovery and break-glass: what each key alone can never obtain.

Covers invariants 5 (across rotations), 10 (recovery), 11 (the council), 13, 14 and 15 of the ledger.
"""

from __future__ import annotations

import itertools
import random
from dataclasses import dataclass
from typing import Any, ClassVar

from contracts_harness import (
    ADMIN,
    ATTEST,
    CDO,
    DAY,
    EMERGENCY,
    FINANCE,
    FOREVER,
    GATEWAY,
    HOUR,
    OVERSIGHT,
    ROLES,
    STEWARD,
    WITNESS,
    ZERO,
    Key,
    struct_hash,
)
from eth_hash.auto import keccak
from hypothesis import strategies as st
from hypothesis.stateful import invariant, precondition, rule

from .machine import CityMachine, allowed
from .rebuild import GRANTS, REMOVED, ROTATED, VETO_SPENT, at

PEOPLE = ("admin", "steward", "finance", "cdo", "oversight", "emergency", "bureau")
GIVEN_BY_ADMIN = STEWARD | FINANCE | ATTEST
MACHINES = ATTEST | WITNESS | GATEWAY
RECOVERY_DELAY, RECOVERY_WINDOW = 72 * HOUR, 7 * DAY
BREAK_GLASS_MAX, RATIFY_WINDOW = 12 * HOUR, 72 * HOUR
OPEN_ACTS, OPEN_ACTS_OF_ONE = 6, 2
USE_GRACE = 72 * HOUR

seeds = st.integers(0, 2**32)


@dataclass
class Seat:
    """The model's state of a key."""

    key: Key
    department: int
    roles: int
    flags: int = 0
    heir: Seat | None = None
    """The key that holds it since a rotation."""
    first: Key | None = None
    """The key that held it before the first rotation."""

    @property
    def last(self) -> Seat:
        """The key that now holds what this key held."""
        return self if self.heir is None else self.heir.last

    @property
    def alive(self) -> bool:
        return self.flags & (REMOVED | ROTATED) == 0


@dataclass
class Recovery:
    """One that was started."""

    message: dict[str, Any]
    to: Key
    ready: int
    vetoed: bool = False
    over: bool = False

    @property
    def id(self) -> bytes:
        return struct_hash("Recover", self.message)


@dataclass
class Glass:
    """A break-glass act."""

    id: bytes
    asset: int
    department: int
    key: Key
    begun: int
    until: int
    ratified: bool = False
    forgiven: bool = False


class OfficesMachine(CityMachine):
    """Three departments with a separate key for every role."""

    always: ClassVar[tuple[str, ...]] = ("seats_are_the_models", "emergencies_last_hours")

    def __init__(self) -> None:
        super().__init__()
        self.seats = [
            Seat(key, number, ROLES[role])
            for number, department in self.city.departments.items()
            for role, key in department.keys.items()
            if role in ROLES
        ]
        self.recoveries: dict[str, Recovery] = {}
        self.broken: list[Glass] = []
        self._names = itertools.count()

    @property
    def running(self) -> bool:
        return self.now > self.rebuilt.guard[0]

    def new_key(self) -> Key:
        return Key(f"newcomer {next(self._names)}")

    def seat_of(self, department: int, role: str) -> Seat:
        """The seat, in force or not, that last had exactly this role."""
        return next(s for s in reversed(self.seats) if s.department == department and s.roles == ROLES[role])

    def pick(self, seed: int) -> Seat:
        return self.seats[seed % len(self.seats)]

    # ---- roles -----------------------------------------------------------------------------------------------

    @precondition(allowed("add"))
    @rule(
        roles=st.sampled_from(
            [*ROLES.values(), STEWARD | FINANCE, STEWARD | CDO, EMERGENCY | OVERSIGHT, ATTEST | WITNESS]
        ),
        by=st.sampled_from(
            [*PEOPLE, "attest", "council", "council", "admin", "admin", "one councillor", "same councillor"]
        ),
        department=st.sampled_from([1, 2]),
        whose=st.sampled_from([1, 1, 2]),
        possession=st.sampled_from([True, True, True, False]),
        second=st.sampled_from(["", "", *PEOPLE, "attest", "steward", "cdo"]),
    )
    def add(
        self, roles: int, by: str, department: int, whose: int, possession: bool, second: str = ""
    ) -> None:
        """Any key tries to seat a newcomer with any roles (invariants 15 and 11)."""
        newcomer = self.new_key()
        kind, holder = ("AddAttestKey", "key") if roles & MACHINES else ("AddOfficer", "officer")
        members = {
            "department": department,
            holder: newcomer.address,
            "roles": roles,
            "notBefore": 0,
            "notAfter": FOREVER,
        }
        message = self.city.message(kind, **members)
        council = self.city.members
        keys = {
            "council": council[:2],
            "one councillor": council[:1],
            "same councillor": [council[0], council[0]],
        }.get(by) or [self.seat_of(whose, by).key]
        beside = self.seat_of(whose, second) if second and "counc" not in by else None
        authority = self.city.sign(kind, message, *keys, *([beside.key] if beside else []))
        proof = self.city.sign(kind, message, newcomer if possession else council[2])[0]
        giver = None if "counc" in by else self.seat_of(whose, by)
        by_admin = (
            giver is not None
            and giver.alive
            and by == "admin"
            and whose == department
            and not roles & ~GIVEN_BY_ADMIN
            and (self.seconds(beside, giver) if roles & STEWARD else beside is None)
        )
        may = self.running and possession and (by == "council" or by_admin)
        function = "addAttestKey" if roles & MACHINES else "addOfficer"
        if self.expect(may, function, message, authority, proof):
            self.seats.append(Seat(newcomer, department, roles))

    @staticmethod
    def seconds(beside: Seat | None, giver: Seat) -> bool:
        """Another officer of the department, with a role that an ADMIN alone cannot give."""
        may = ADMIN | STEWARD | CDO
        return beside is not None and beside.alive and beside.key != giver.key and bool(beside.roles & may)

    @precondition(allowed("add_service_key"))
    @rule(roles=st.integers(1, 7), by=st.sampled_from([*PEOPLE, "council"]))
    def add_service_key(self, roles: int, by: str) -> None:
        """An ADMIN gives READER, an OVERSIGHT gives AUDITOR, the council gives all; every other attempt is
        refused."""
        key = keccak(b"service key %d" % next(self._names))
        members = {
            "department": 1,
            "key": key,
            "hpke": key,
            "roles": roles,
            "notBefore": 0,
            "notAfter": FOREVER,
        }
        message = self.city.message("AddServiceKey", **members)
        keys = self.city.members[:2] if by == "council" else [self.seat_of(1, by).key]
        giver = by == "council" or (
            self.seat_of(1, by).alive and (by, roles) in (("admin", 1), ("oversight", 2))
        )
        self.expect(
            self.running and giver, "addServiceKey", message, self.city.sign("AddServiceKey", message, *keys)
        )

    @precondition(allowed("remove"))
    @rule(seed=seeds, by=st.sampled_from(["admin", "itself", "council", "cdo"]))
    def remove(self, seed: int, by: str) -> None:
        """A seat is removed by itself, by the keys that may give its roles, or by the council, also during a
        pause or after a rotation."""
        named = self.pick(seed)
        seat = named.last
        kind, holder = ("RemoveAttestKey", "key") if seat.roles & MACHINES else ("RemoveOfficer", "officer")
        message = self.city.message(kind, **{holder: named.key.address})
        signer = seat if by == "itself" else self.seat_of(seat.department, by) if by != "council" else None
        keys = [signer.key] if signer else self.city.members[:2]
        itself = signer is not None and signer.key == seat.key
        by_admin = by == "admin" and signer is not None and signer.alive and not seat.roles & ~GIVEN_BY_ADMIN
        may = seat.alive and (itself or by == "council" or by_admin)
        function = "removeAttestKey" if seat.roles & MACHINES else "removeOfficer"
        if self.expect(may, function, message, self.city.sign(kind, message, *keys)):
            seat.flags |= REMOVED

    @precondition(allowed("other_epoch"))
    @rule(seed=seeds, epoch=st.sampled_from([0, 2]))
    def other_epoch(self, seed: int, epoch: int) -> None:
        """Signatures for an earlier or a later council are invalid."""
        seat = self.pick(seed).last
        kind, holder = ("RemoveAttestKey", "key") if seat.roles & MACHINES else ("RemoveOfficer", "officer")
        message = self.city.message(kind, **{holder: seat.key.address, "epoch": epoch})
        function = "removeAttestKey" if seat.roles & MACHINES else "removeOfficer"
        self.expect(False, function, message, self.city.council(kind, message))

    # ---- rotation and recovery -------------------------------------------------------------------------------

    def pending(self, seat: Seat) -> Recovery | None:
        recovery = self.recoveries.get(seat.key.label)
        if recovery is None or recovery.over or self.now > recovery.ready + RECOVERY_WINDOW:
            return None
        return recovery

    def passed(self, seat: Seat, to: Key) -> None:
        seat.flags |= ROTATED
        seat.heir = Seat(
            to, seat.department, seat.roles, seat.flags & VETO_SPENT, first=seat.first or seat.key
        )
        self.seats.append(seat.heir)

    @precondition(allowed("rotate"))
    @rule(seed=seeds, forged=st.sampled_from(["", "", "old", "new", "taken"]))
    def rotate(self, seed: int, forged: str) -> None:
        """Both keys sign; a key that has or had a seat cannot get another one."""
        seat = self.pick(seed)
        to = self.pick(seed + 1).key if forged == "taken" else self.new_key()
        message = self.city.message("RotateKey", **{"from": seat.key.address, "to": to.address})
        thief = Key("thief")
        keys = [thief if forged == "old" else seat.key, thief if forged == "new" else to]
        pending = self.pending(seat)
        may = not forged and seat.alive and (pending is None or pending.vetoed)
        if self.expect(may, "rotateKey", message, self.city.sign("RotateKey", message, *keys)):
            self.passed(seat, to)

    @precondition(allowed("old_key"))
    @rule(seed=seeds)
    def old_key(self, seed: int) -> None:
        """A key that was rotated out or removed can no longer sign (invariant 5)."""
        dead = [s for s in self.seats if not s.alive and s.roles == STEWARD and s.department == 1]
        if not dead:
            return
        terms = self.city.terms(self.city.asset_id(1, 1), 2)
        self.expect(False, "grant", terms, self.city.sign("Terms", terms, dead[seed % len(dead)].key))

    @precondition(allowed("recover"))
    @rule(seed=seeds, forged=st.sampled_from(["", "", "recovery", "council", "new"]))
    def recover(self, seed: int, forged: str) -> None:
        """Recovery key, new key and council together, also during a pause (invariant 10)."""
        named, to, thief = self.pick(seed), self.new_key(), Key("thief")
        seat = named.last
        members = {"department": seat.department, "from": named.key.address, "to": to.address}
        message = self.city.message("Recover", **members)
        recovery_key = self.city.departments[seat.department].recovery
        keys = [thief if forged == "recovery" else recovery_key, thief if forged == "new" else to]
        council = self.city.members[: 1 if forged == "council" else 2]
        pending = self.pending(seat)
        may = not forged and seat.alive and (pending is None or pending.vetoed)
        ready = self.now + RECOVERY_DELAY
        signatures = self.city.sign("Recover", message, *keys)
        if self.expect(
            may, "startRecovery", message, signatures, self.city.sign("Recover", message, *council)
        ):
            self.recoveries[seat.key.label] = Recovery(message, to, ready)

    @precondition(lambda self: self.recoveries and allowed("veto_or_override")(self))
    @rule(seed=seeds, override=st.booleans())
    def veto_or_override(self, seed: int, override: bool) -> None:
        """The old key may veto once; the council may overrule it."""
        label = list(self.recoveries)[seed % len(self.recoveries)]
        seat = next(s for s in self.seats if s.key.label == label)
        recovery = self.recoveries[label]
        pending = self.pending(seat) is not None
        if override:
            message = self.city.message("OverrideVeto", recovery=recovery.id)
            council = self.city.council("OverrideVeto", message)
            if self.expect(pending and recovery.vetoed, "overrideVeto", seat.key.address, message, council):
                recovery.vetoed = False
            return
        message = self.city.message("VetoRecovery", recovery=recovery.id)
        may = pending and seat.alive and not seat.flags & VETO_SPENT
        signature = self.city.sign("VetoRecovery", message, seat.key)[0]
        if self.expect(may, "vetoRecovery", seat.key.address, message, signature):
            recovery.vetoed = True
            seat.flags |= VETO_SPENT

    @precondition(lambda self: self.recoveries and allowed("finish")(self))
    @rule(seed=seeds)
    def finish(self, seed: int) -> None:
        """Not before the delay, not against a veto, not after the window."""
        label = list(self.recoveries)[seed % len(self.recoveries)]
        seat = next(s for s in self.seats if s.key.label == label)
        recovery = self.recoveries[label]
        may = (
            self.pending(seat) is not None
            and not recovery.vetoed
            and self.now >= recovery.ready
            and seat.alive
        )
        if self.expect(may, "finishRecovery", seat.key.address):
            recovery.over = True
            self.passed(seat, recovery.to)

    # ---- break-glass -----------------------------------------------------------------------------------------

    def overdue(self, department: int) -> bool:
        return any(
            g.department == department
            and not g.ratified
            and not g.forgiven
            and g.begun + RATIFY_WINDOW < self.now
            for g in self.broken
        )

    def waiting(self, department: int) -> list[Glass]:
        return [g for g in self.broken if g.department == department and not g.ratified and not g.forgiven]

    @precondition(allowed("break_glass"))
    @rule(
        department=st.sampled_from([2, 2, 3]),
        hours=st.sampled_from([1, 11, 12, 13, 0]),
        role=st.sampled_from(["emergency", "emergency", "emergency", "steward", "cdo"]),
        asset=st.sampled_from([1, 1, 2, 3, 4]),
        bureau=st.booleans(),
    )
    def break_glass(self, department: int, hours: int, role: str, asset: int, bureau: bool) -> None:
        """An EMERGENCY officer opens an asset for hours; for core data with the bureau (invariant 14)."""
        core = asset == 3
        now = self.now
        message = self.city.message(
            "BreakGlass",
            asset=self.city.asset_id(1, asset),
            grantee=department,
            reasonHash=keccak(b"flood"),
            until=now + hours * HOUR,
        )
        breaker, co_signer = self.seat_of(department, role), self.seat_of(1, "bureau")
        keys = [breaker.key, co_signer.key] if core and bureau else [breaker.key]
        waiting = self.waiting(department)
        may = (
            self.running
            and role == "emergency"
            and breaker.alive
            and (not core or (bureau and co_signer.alive))
            and 0 < hours * HOUR <= BREAK_GLASS_MAX
            and not self.overdue(department)
            and len(waiting) < OPEN_ACTS
            and sum(g.key == (breaker.first or breaker.key) for g in waiting) < OPEN_ACTS_OF_ONE
            and asset not in [g.asset for g in waiting]
        )
        if self.expect(may, "breakGlass", message, self.city.sign("BreakGlass", message, *keys)):
            identifier = struct_hash("BreakGlass", message)
            self.broken.append(
                Glass(identifier, asset, department, breaker.first or breaker.key, now, now + hours * HOUR)
            )

    @precondition(lambda self: self.broken and allowed("ratify")(self))
    @rule(
        seed=seeds,
        by=st.sampled_from([1, 1, 2, 3]),
        role=st.sampled_from(["oversight", "oversight", "admin"]),
    )
    def ratify(self, seed: int, by: int, role: str) -> None:
        """By another department's oversight, in time."""
        glass = self.broken[seed % len(self.broken)]
        signer = self.seat_of(by, role)
        message = self.city.message("Ratify", grant=glass.id)
        may = (
            role == "oversight"
            and signer.alive
            and by != glass.department
            and not glass.ratified
            and self.now <= glass.begun + RATIFY_WINDOW
        )
        if self.expect(may, "ratify", message, self.city.sign("Ratify", message, signer.key)[0]):
            glass.ratified = True

    @precondition(lambda self: self.broken and allowed("restore")(self))
    @rule(department=st.sampled_from([2, 3]), signers=st.sampled_from([2, 1]), count=st.integers(0, 3))
    def restore(self, department: int, signers: int, count: int = 3) -> None:
        """Only the council restores a lost privilege, act by act, and not for an act that can still be
        ratified."""
        named = [glass for glass in self.broken if glass.department == department][:count]
        message = self.city.message(
            "RestorePrivilege", department=department, grants=[glass.id for glass in named]
        )
        signatures = self.city.council("RestorePrivilege", message)[:signers]
        now = self.now
        lost = all(
            glass.begun + RATIFY_WINDOW < now and not glass.ratified and not glass.forgiven for glass in named
        )
        if self.expect(self.running and signers == 2 and lost, "restorePrivilege", message, signatures):
            for glass in named:
                glass.forgiven = True

    @precondition(lambda self: self.broken and allowed("use_glass")(self))
    @rule(seed=seeds, step=st.sampled_from([1, 1, 0]))
    def use_glass(self, seed: int, step: int) -> None:
        """Uses are recorded until three days after the emergency, ratified or not."""
        glass = self.broken[seed % len(self.broken)]
        gateway = self.seat_of(3, "gateway")
        uses = self.rebuilt.grants[glass.id]["uses"]
        message = self.city.message("Use", grant=glass.id, total=uses + step, logHead=ZERO)
        may = self.now < glass.until + USE_GRACE and step > 0 and gateway.alive
        self.expect(may, "use", message, self.city.sign("Use", message, gateway.key)[0])

    # ---- the city around -------------------------------------------------------------------------------------

    @precondition(lambda self: self.done and allowed("replay")(self))
    @rule(seed=seeds)
    def replay(self, seed: int) -> None:
        """Invariant 5."""
        self.replay_one(random.Random(seed))

    @precondition(allowed("pause"))
    @rule(
        by=st.sampled_from(["guardian", "guardian", "council", "admin"]),
        hours=st.sampled_from([1, 71, 72, 73]),
    )
    def pause(self, by: str, hours: int) -> None:
        """The guardian alone, for at most 72 hours, and not again within 7 days."""
        message = self.city.message("Pause", duration=hours * HOUR)
        key = {
            "guardian": self.city.guardian,
            "council": self.city.members[0],
            "admin": self.seat_of(1, "admin").key,
        }[by]
        may = by == "guardian" and hours <= 72 and self.now >= self.rebuilt.guard[1]
        self.expect(may, "pause", message, self.city.sign("Pause", message, key)[0])

    @precondition(allowed("travel"))
    @rule(seconds=st.sampled_from([60, HOUR, 11 * HOUR, 72 * HOUR + 60, 7 * DAY]))
    def travel(self, seconds: int) -> None:
        """Time passes."""
        self.chain.travel(seconds)

    # ---- always ----------------------------------------------------------------------------------------------

    @invariant()
    def seats_are_the_models(self) -> None:
        """Invariant 15, from the words that the events rebuilt and storage confirmed: there are no other
        seats."""
        found = {
            holder: (s["department"], s["roles"], s["flags"]) for holder, s in self.rebuilt.seats.items()
        }
        assert found == {seat.key.address: (seat.department, seat.roles, seat.flags) for seat in self.seats}

    @invariant()
    def emergencies_last_hours(self) -> None:
        """Invariant 14, from storage."""
        words = self.words_of([at(glass.id, GRANTS) for glass in self.broken])
        for glass, word in zip(self.broken, words, strict=True):
            begun, until = word >> 104 & 2**40 - 1, word >> 144 & 2**40 - 1
            assert 0 < until - begun <= BREAK_GLASS_MAX
            assert (begun, until) == (glass.begun, glass.until)
