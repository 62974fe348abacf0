"""An attacker submits acts in any order over days (what it may obtain: ``orders_table``)."""

from __future__ import annotations

import itertools

from contracts_harness import (
    ATTEST,
    CONDITIONAL,
    DAY,
    FOREVER,
    GENERAL,
    HOUR,
    ROLES,
    UNLIMITED,
    USE,
    ZERO,
    Key,
    keccak,
    struct_hash,
)
from hypothesis import strategies as st
from hypothesis.stateful import initialize, precondition, rule

from tests.contracts.settling import POOL, line

from .orders_table import LABELS, PAIRS, SEATS, ThiefMachine
from .rebuild import EMERGENCY as EMERGENCY_GRANT

signers = st.lists(st.integers(0, 7), min_size=1, max_size=3)
departments = st.sampled_from([1, 1, 2, 3])
assets = st.sampled_from([1, 1, 2, 3, 4, 5])


class OrdersMachine(ThiefMachine):
    """The attacker signs everything, with each key that it stole or created."""

    # ---- the thief -----------------------------------------------------------------------------------------------

    @initialize(
        labels=st.lists(st.sampled_from(LABELS), min_size=1, max_size=2, unique=True) | st.sampled_from(PAIRS)
    )
    def steal(self, labels: list[str]) -> None:
        """One key or two; the pairs that obtain most are chosen more often than at random."""
        self.stolen = tuple(labels)
        self.mine = [self.key_of(label) for label in labels]
        self.stolen_at = self.now

    @rule(role=st.sampled_from(list(ROLES)), department=departments, by=signers)
    def seat(self, role: str, department: int, by: list[int]) -> None:
        machine = ROLES[role] >= ATTEST
        kind, holder = ("AddAttestKey", "key") if machine else ("AddOfficer", "officer")
        keys, to = self.keys(by), self.new()
        term = {"roles": ROLES[role], "notBefore": 0, "notAfter": FOREVER}
        message = self.city.message(kind, **{"department": department, holder: to.address, **term})
        signed = self.city.sign(kind, message, *keys), *self.city.sign(kind, message, to)
        if self.attempt("addAttestKey" if machine else "addOfficer", message, *signed) != "ok":
            self.mine.remove(to)

    @rule(who=st.integers(0, 7))
    def rotate(self, who: int) -> None:
        old, to = self.mine[who % len(self.mine)], self.new()
        message = self.city.message("RotateKey", **{"from": old.address, "to": to.address})
        if self.attempt("rotateKey", message, self.city.sign("RotateKey", message, old, to)) != "ok":
            self.mine.remove(to)

    @rule(label=st.sampled_from(SEATS), by=signers)
    def remove(self, label: str, by: list[int]) -> None:
        machine = label.endswith(("attest", "witness", "gateway"))
        kind, holder = ("RemoveAttestKey", "key") if machine else ("RemoveOfficer", "officer")
        function = "removeAttestKey" if machine else "removeOfficer"
        self.joint(function, kind, by, **{holder: self.key_of(label).address})

    @rule(department=departments, roles=st.integers(1, 7), by=signers)
    def service_key(self, department: int, roles: int, by: list[int]) -> None:
        key = keccak(b"key %d" % next(self._names))
        term = {"roles": roles, "notBefore": 0, "notAfter": FOREVER}
        self.joint("addServiceKey", "AddServiceKey", by, department=department, key=key, hpke=ZERO, **term)

    @rule(asset=assets, grantee=departments, by=signers)
    def grant(self, asset: int, grantee: int, by: list[int]) -> None:
        terms = self.city.terms(self.city.asset_id(1, asset), grantee, expiry=self.now + 30 * DAY)
        self.attempt("grant", terms, self.city.sign("Terms", terms, *self.keys(by)))

    @rule(by=signers)
    def delegate(self, by: list[int]) -> None:
        terms = {**self.city.terms(self.city.asset_id(1, 1), 3, maxUses=UNLIMITED), "parent": self.given}
        signed = self.city.sign("Terms", terms, *self.keys(by))
        self.attempt("delegate", terms, [self.given_terms], signed)

    @rule(by=signers, under=st.booleans(), department=departments)
    def derive(self, by: list[int], under: bool, department: int) -> None:
        """A delegation or grant of the general asset, granted to 3 at once."""
        asset = self.city.asset_id(department, 100 + next(self._names))
        members = {"asset": asset, "class": GENERAL, "sharing": CONDITIONAL, "metadata": ZERO}
        parents = {"parents": [self.city.asset_id(1, 1)], "under": [self.given if under else ZERO]}
        if self.sole("deriveAsset", "DeriveAsset", by, **members, **parents) == "ok":
            self.roots[asset] = department
            terms = self.city.terms(asset, 3)
            self.attempt("grant", terms, self.city.sign("Terms", terms, *self.keys(by)))

    @rule(asset=assets, grades=st.sampled_from([(1, 1), (1, 2), (2, 2), (3, 3)]), by=signers)
    def reclassify(self, asset: int, grades: tuple[int, int], by: list[int]) -> None:
        members = {"asset": self.city.asset_id(1, asset), "class": grades[0], "sharing": grades[1]}
        self.joint("reclassify", "Reclassify", by, **members)

    @rule(
        function=st.sampled_from(["suspendAsset", "liftAsset"]),
        asset=assets,
        bit=st.sampled_from([1, 2]),
        by=signers,
    )
    def stop(self, function: str, asset: int, bit: int, by: list[int]) -> None:
        kind = function[0].upper() + function[1:]
        self.sole(function, kind, by, asset=self.city.asset_id(1, asset), by=bit, reason=ZERO)

    @rule(
        function=st.sampled_from(["suspendDepartment", "liftDepartment"]), department=departments, by=signers
    )
    def stand(self, function: str, department: int, by: list[int]) -> None:
        self.joint(function, function[0].upper() + function[1:], by, department=department, reason=ZERO)

    @rule(asset=assets, to=st.sampled_from([2, 3]), by=signers)
    def transfer(self, asset: int, to: int, by: list[int]) -> None:
        members = {"asset": self.city.asset_id(1, asset), "right": USE, "from": 1, "to": to}
        message = self.city.message("TransferRight", **members)
        *giver, taker = self.city.sign("TransferRight", message, *self.keys([*by, by[0] + 1]))
        self.attempt("transferRight", message, giver, taker)

    @rule(hours=st.sampled_from([1, 72]), end=st.booleans(), by=signers)
    def pause(self, hours: int, end: bool, by: list[int]) -> None:
        if end:
            self.joint("unpause", "Unpause", by)
        else:
            self.sole("pause", "Pause", by, duration=hours * HOUR)

    @rule(asset=assets, grantee=departments, hours=st.sampled_from([12, 12, 13]), by=signers)
    def break_glass(self, asset: int, grantee: int, hours: int, by: list[int]) -> None:
        members = {"asset": self.city.asset_id(1, asset), "grantee": grantee, "reasonHash": ZERO}
        self.joint("breakGlass", "BreakGlass", by, **members, until=self.now + hours * HOUR)

    @precondition(lambda self: any(g["status"] & EMERGENCY_GRANT for g in self.rebuilt.grants.values()))
    @rule(which=st.integers(0, 5), by=signers)
    def ratify(self, which: int, by: list[int]) -> None:
        opened = [i for i, g in self.rebuilt.grants.items() if g["status"] & EMERGENCY_GRANT]
        self.sole("ratify", "Ratify", by, grant=opened[which % len(opened)])

    @rule(department=departments, by=signers)
    def withdraw(self, department: int, by: list[int]) -> None:
        held = self.pools.call("account", POOL, department)
        message = self.pools.budget(department, held["deposited"], held["withdrawn"] + 10)
        self.money("setBudget", "SetBudget", by[:1], message)

    @rule(by=signers, period=st.integers(1, 3))
    def settle(self, by: list[int], period: int) -> None:
        """A statement by the attacker, and after its window the settlement."""
        lines = [line(2, 1, 50), line(3, 1, 50)]
        statement = self.pools.statement(lines, period=period)
        if self.money("commitStatement", "CommitStatement", by[:1], statement) != "ok":
            return
        self.pools.wait()
        for pair in itertools.product(range(len(self.mine)), repeat=2):
            message = {"statement": struct_hash("CommitStatement", statement), "deadline": FOREVER}
            if self.money("finalise", "Finalise", pair, message, statement, lines) == "ok":
                return

    @rule(label=st.sampled_from(SEATS), by=signers)
    def recover(self, label: str, by: list[int]) -> None:
        """The first key is that of the recovery."""
        keys, to, old = self.keys(by), self.new(), self.key_of(label)
        members = {"department": int(label[0]), "from": old.address, "to": to.address}
        message = self.city.message("Recover", **members)
        first, *council = self.city.sign("Recover", message, *keys)
        pair = [first, *self.city.sign("Recover", message, to)]
        if self.attempt("startRecovery", message, pair, council) != "ok":
            self.mine.remove(to)

    @rule(by=signers)
    def replace_council(self, by: list[int]) -> None:
        to = Key(f"thief {next(self._names)}")
        members = {"members": [to.address], "threshold": 1, "guardian": to.address, "epoch": 2}
        message = self.city.message("ReplaceCouncil", **members)
        signed = self.city.sign("ReplaceCouncil", message, *self.keys(by))
        incoming = self.city.sign("ReplaceCouncil", message, to)
        self.attempt("replaceCouncil", message, signed, incoming)

    @rule(seconds=st.sampled_from([60, HOUR, 13 * HOUR, 72 * HOUR + 60, 8 * DAY]))
    def travel(self, seconds: int) -> None:
        self.chain.travel(seconds)
