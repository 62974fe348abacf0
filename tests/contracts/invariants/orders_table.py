"""What an attacker with one or two stolen keys may obtain in the end, what it may stop, and which keys can
act nevertheless.

The table (docs/powers.md) is about one state; here it is checked for every order of acts: ``entitled`` is its
closure under the seats that a seat may give. It models the table and not the contracts, so it does not check
which acts are refused.
"""

from __future__ import annotations

import itertools
from collections.abc import Sequence
from typing import Any, ClassVar

from contracts_harness import (
    ADMIN,
    ATTEST,
    BUREAU,
    CDO,
    CONDITIONAL,
    CORE,
    DAY,
    EMERGENCY,
    FINANCE,
    FOREVER,
    GENERAL,
    HOUR,
    IMPORTANT,
    OVERSIGHT,
    ROLES,
    STEWARD,
    UNLIMITED,
    USE,
    ZERO,
    City,
    Key,
    Reverted,
)
from hypothesis.stateful import invariant

from tests.contracts.settling import POOL, Settling

from .machine import CityMachine
from .rebuild import ACTIVE, RATIFIED, REMOVED, ROTATED
from .rebuild import EMERGENCY as EMERGENCY_GRANT
from .switch import choose

DELAY = 3 * DAY
PAID = 1_000
DERIVE = 128
SUSPENDED, BARRED, RETIRED, BOTH = 2, 3, 4, 5
"""States of an asset (types/Codes.sol)."""
GRADES = {1: GENERAL, 2: IMPORTANT, 3: CORE, 4: GENERAL, 5: GENERAL}
SEATS = tuple(f"{d} {role}" for d in (1, 2, 3) for role in (*ROLES, "recovery"))
LABELS = (*SEATS, "council 0", "council 1", "guardian")
PAIRS = [
    ["council 0", "council 1"],
    ["1 admin", "1 cdo"],
    ["1 admin", "1 oversight"],
    ["1 steward", "1 cdo"],
    ["2 bureau", "3 bureau"],
    ["1 emergency", "2 bureau"],
    ["1 steward", "2 steward"],
    ["1 recovery", "council 0"],
    ["guardian", "1 bureau"],
]


def prepare(city: City) -> None:
    """Department 1 has assets of each grade and one more, which the bureau of 3 barred."""
    for sequence, class_ in GRADES.items():
        city.register(city.asset_id(1, sequence), class_)
    city.suspend(city.asset_id(1, 4), city.departments[3].bureau, by=2)


class ThiefMachine(CityMachine):
    """Three departments, a pool that 1 runs, a grant of 1 to 2; the attacker signs everything that is not a
    repair."""

    always: ClassVar[tuple[str, ...]] = (
        "seats_and_keys_are_the_tables",
        "data_and_money_are_the_tables",
        "stops_are_the_tables",
        "the_right_people_are_not_stopped",
    )
    code: ClassVar[bytes | None] = None
    mutant: ClassVar[int] = 0

    def __init__(self) -> None:
        super().__init__()
        self.pools = Settling(self.city, self.code)
        if self.code:
            choose(self.chain, self.pools.contract, self.mutant)
        for department in (1, 2, 3):
            self.pools.set_budget(self.pools.budget(department, PAID))
        terms = self.city.terms(
            self.city.asset_id(1, 1), 2, expiry=self.now + 300 * DAY, maxUses=UNLIMITED, depth=1 | DERIVE
        )
        self.given, self.given_terms = self.city.grant(terms), terms
        self._catch_up()
        self._known = self.rebuilt.words()
        self.first = set(self.rebuilt.seats)
        self.stolen: tuple[str, ...] = ()
        self.mine: list[Key] = []
        self.repaired = False
        self.stolen_at = self.now
        self.roots: dict[int, int] = {}
        self._names = itertools.count()

    # ---- the table, closed under what its own acts give ----------------------------------------------------------

    def has(self, department: int, role: int) -> bool:
        names = {f"{department} {name}" for name, bit in ROLES.items() if bit & role}
        return bool(names & set(self.stolen))

    @property
    def council(self) -> bool:
        """A quorum; it can seat any key after the delay."""
        return {"council 0", "council 1"} <= set(self.stolen)

    def entitled(self, department: int, role: int) -> bool:
        """Whether the table gives the attacker this role, by some order of acts."""
        admin = self.has(department, ADMIN)
        seconds = sum(self.has(department, bit) for bit in (ADMIN, STEWARD, CDO))
        return (
            self.has(department, role)
            or (admin and role in (FINANCE, ATTEST))
            or (admin and role == STEWARD and seconds > 1)
            or (self.council and self.now >= self.stolen_at + DELAY)
        )

    # ---- pieces --------------------------------------------------------------------------------------------------

    def key_of(self, label: str) -> Key:
        department, _, role = label.partition(" ")
        if department.isdigit():
            return self.city.departments[int(department)].keys[role]
        return Key(label)

    def honest(self, label: str) -> Key | None:
        """The key of this seat if it was not stolen and is still in office."""
        key = self.key_of(label)
        return key if label not in self.stolen and self.sits(key) else None

    def sits(self, key: Key) -> bool:
        seat = self.rebuilt.seats.get(key.address)
        return bool(seat) and not seat["flags"] & (REMOVED | ROTATED)  # type: ignore[index]

    def new(self) -> Key:
        key = Key(f"thief {next(self._names)}")
        self.mine.append(key)
        return key

    def keys(self, chosen: Sequence[int]) -> list[Key]:
        return [self.mine[i % len(self.mine)] for i in chosen]

    def joint(self, function: str, kind: str, by: Sequence[int], /, **members: Any) -> str:
        message = self.city.message(kind, **members)
        return self.attempt(function, message, self.city.sign(kind, message, *self.keys(by)))

    def sole(self, function: str, kind: str, by: Sequence[int], /, **members: Any) -> str:
        message = self.city.message(kind, **members)
        return self.attempt(function, message, *self.city.sign(kind, message, *self.keys(by[:1])))

    def money(self, function: str, kind: str, by: Sequence[int], message: Any, *between: Any) -> str:
        signed = [self.pools.sign(kind, message, key) for key in self.keys(by)]
        return self.attempt(function, message, *between, *signed, contract=self.pools.contract)

    # ---- it obtains no more than the table -----------------------------------------------------------------------

    @invariant()
    def seats_and_keys_are_the_tables(self) -> None:
        """Every seat existed before, or the table gives it; a seat that the council alone gives waits."""
        mine = {key.address for key in self.mine}
        for holder, seat in self.rebuilt.seats.items():
            if holder in self.first or self.repaired:
                continue
            assert holder in mine
            if self.council:
                assert seat["notBefore"] >= self.stolen_at + DELAY
                continue
            bits = [bit for bit in ROLES.values() if seat["roles"] & bit]
            assert all(self.entitled(seat["department"], bit) for bit in bits), (self.stolen, seat)
        for (department, _), key in self.rebuilt.service_keys.items():
            giver = {1: ADMIN, 2: OVERSIGHT}.get(key["roles"], 0)
            if not self.has(department, giver):
                assert self.council, (self.stolen, key)
                assert key["notBefore"] >= self.stolen_at + DELAY
        assert self.council or self.rebuilt.council.get("epoch", 1) == 1

    @invariant()
    def data_and_money_are_the_tables(self) -> None:
        """The grants, the emergency accesses, and the withdrawals."""
        mine_open: dict[int, int] = {}
        for name, grant in self.rebuilt.grants.items():
            if name == self.given or self.repaired:
                continue
            assert self._may_open(grant), (self.stolen, grant)
            if grant["status"] & EMERGENCY_GRANT and not grant["status"] & RATIFIED:
                mine_open[grant["grantee"]] = mine_open.get(grant["grantee"], 0) + 1
        for department, acts in mine_open.items():
            assert acts <= 2 or self.council, (self.stolen, department, acts)
        settles = self.entitled(1, FINANCE) and self.entitled(1, OVERSIGHT)
        for department in (1, 2, 3):
            held = self.pools.call("account", POOL, department)
            if not self.entitled(department, FINANCE):
                assert held["withdrawn"] == 0
                assert settles or held["balance"] == PAID, (self.stolen, department, held)

    def _may_open(self, grant: dict[str, int]) -> bool:
        asset, grantee = grant["asset"], grant["grantee"]
        class_ = GENERAL if asset in self.roots else GRADES[asset & 0xFF]
        bureaus = [d for d in (1, 2, 3) if self.entitled(d, BUREAU)]
        if grant["status"] & EMERGENCY_GRANT:
            hours = grant["expiry"] - grant["notBefore"] <= 12 * HOUR
            independent = class_ < CORE or any(d != grantee for d in bureaus)
            return hours and independent and self.entitled(grantee, EMERGENCY)
        owner = self.roots.get(asset, 1)
        if self.entitled(2, STEWARD) and grantee == 3 and asset == self.given_terms["asset"]:
            return True
        return (
            self.entitled(owner, STEWARD)
            and (class_ < IMPORTANT or self.entitled(1, CDO))
            and (class_ < CORE or any(d != 1 for d in bureaus))
        )

    @invariant()
    def stops_are_the_tables(self) -> None:
        """A bar, a suspension, a pause: the keys that may set it and end it."""
        if self.repaired:
            return
        bureaus = [d for d in (1, 2, 3) if self.entitled(d, BUREAU)]
        assert bureaus or self.rebuilt.assets[self.city.asset_id(1, 4)]["status"] in (BARRED, BOTH, RETIRED)
        for number, standing in self.rebuilt.standings.items():
            own = any(self.entitled(number, bit) for bit in (ADMIN, CDO, OVERSIGHT))
            if standing != 1:
                assert own or self.council or len(set(bureaus) - {number}) > 1, (self.stolen, number)
        if self.rebuilt.guard[0]:
            assert "guardian" in self.stolen or self.council
        assert self.rebuilt.guard[0] <= self.now + 72 * HOUR

    # ---- and blocks no officer ---------------------------------------------------------------------------------

    @invariant()
    def the_right_people_are_not_stopped(self) -> None:
        """Withdrawals, revocations and the removal of the attacker work at once, whatever acts came
        before."""
        if self.council or not self.stolen or self.repaired:
            return
        if key := self.honest("2 finance"):
            held = self.pools.call("account", POOL, 2)
            message = self.pools.budget(2, held["deposited"], held["withdrawn"] + held["balance"])
            if held["balance"]:
                self._passes("setBudget", message, self.pools.sign("SetBudget", message, key), pools=True)
        if key := self.honest("1 steward"):
            message = self.city.message("Revoke", grant=self.given, reason=1)
            holder = self.rebuilt.assets[self.given_terms["asset"]][f"holder{USE}"]
            if self.rebuilt.grants[self.given]["status"] == ACTIVE and holder == 1:
                self._passes("revoke", message, *self.city.sign("Revoke", message, key))
        for label in self.stolen:
            seat = self.rebuilt.seats.get(self.key_of(label).address)
            if seat and not seat["flags"] & REMOVED and self._last(self.key_of(label)):
                self._passes(*self._removal(self.key_of(label).address, seat["roles"]))

    def _last(self, key: Key) -> bool:
        """Whether what this key held is held still."""
        address = key.address
        while self.rebuilt.seats[address]["flags"] & ROTATED:
            address = str(self.rebuilt.recoveries[address]["to"])
        return not self.rebuilt.seats[address]["flags"] & REMOVED

    def _removal(self, address: str, roles: int) -> tuple[str, Any, Any]:
        machine = roles >= ATTEST
        kind, holder = ("RemoveAttestKey", "key") if machine else ("RemoveOfficer", "officer")
        message = self.city.message(kind, **{holder: address})
        function = "removeAttestKey" if machine else "removeOfficer"
        return function, message, self._council(kind, message)

    def _council(self, kind: str, message: Any) -> list[bytes]:
        """The members whose keys were not stolen."""
        honest = [member for member in self.city.members if member.label not in self.stolen]
        return self.city.sign(kind, message, *honest[:2])

    def _passes(self, function: str, *arguments: Any, pools: bool = False) -> None:
        contract = self.pools.contract if pools else self.city.ledger
        try:
            self.chain.call(contract, function, *arguments)
        except Reverted as refusal:
            raise AssertionError(f"{function} of the right people: {refusal}, {self.stolen}") from refusal

    def teardown(self) -> None:
        """After whatever the thief did, the city works again within the admission delay."""
        try:
            if self.stolen and not self.council:
                self.repair()
        finally:
            super().teardown()

    def done_by(self, function: str, *arguments: Any) -> None:
        outcome = self.attempt(function, *arguments)
        assert outcome == "ok", f"{function} of the right people: {outcome}, {self.stolen}"

    def repair(self) -> None:
        """The council removes the thief and seats anew; bureau and steward lift; then the steward grants."""
        self.repaired = True
        if self.now <= self.rebuilt.guard[0]:
            message = self.city.message("Unpause")
            self.done_by("unpause", message, self._council("Unpause", message))
        for stolen in map(self.key_of, self.stolen):
            seat = self.rebuilt.seats.get(stolen.address)
            if seat and self._last(stolen):
                self.done_by(*self._removal(stolen.address, seat["roles"]))
                assert not self._last(stolen), f"removed, and sits on: {self.stolen}"
        for key in self.mine:
            if self.sits(key):
                self.done_by(*self._removal(key.address, self.rebuilt.seats[key.address]["roles"]))
        for number, standing in list(self.rebuilt.standings.items()):
            if standing == 2:
                message = self.city.message("LiftDepartment", department=number, reason=ZERO)
                self.done_by("liftDepartment", message, self._council("LiftDepartment", message))
        steward, cdo, bureau = self._anew(1, "steward"), self._anew(1, "cdo"), self._anew(3, "bureau")
        self.chain.travel(DELAY)
        asset = self.city.asset_id(1, 1)
        for bit, key, states in ((2, bureau, (BARRED, BOTH)), (1, steward, (SUSPENDED, BOTH))):
            if self.rebuilt.assets[asset]["status"] in states:
                message = self.city.message("LiftAsset", asset=asset, by=bit, reason=ZERO)
                self.done_by("liftAsset", message, *self.city.sign("LiftAsset", message, key))
        found = self.rebuilt.assets[asset]
        if found["status"] == RETIRED or found[f"holder{USE}"] != 1:
            return
        if (found["class"], found["sharing"]) != (GENERAL, CONDITIONAL):
            members = {"asset": asset, "class": GENERAL, "sharing": CONDITIONAL}
            message = self.city.message("Reclassify", **members)
            keys = [steward, cdo, bureau]
            signed = self.city.sign("Reclassify", message, *keys[: found["class"]])
            self.done_by("reclassify", message, signed)
        terms = self.city.terms(asset, 2)
        self.done_by("grant", terms, self.city.sign("Terms", terms, steward))

    def _anew(self, department: int, role: str) -> Key:
        """The honest key of a seat; a new one where it is the thief's or was removed."""
        key = self.honest(f"{department} {role}")
        if key:
            return key
        key = Key(f"anew {department} {role}")
        term = {"roles": ROLES[role], "notBefore": 0, "notAfter": FOREVER}
        message = self.city.message("AddOfficer", department=department, officer=key.address, **term)
        signed = self._council("AddOfficer", message)
        self.done_by("addOfficer", message, signed, *self.city.sign("AddOfficer", message, key))
        return key
