"""A city in which every kind of act is possible at the same moment, so that each is tried without changing anything."""

from __future__ import annotations

from typing import Any

from contracts_harness import (
    ADMIN,
    AUDITOR,
    CITY_AUDITOR,
    CORE,
    DAY,
    FOREVER,
    HOUR,
    IMPORTANT,
    READER,
    ROLES,
    STEWARD,
    UNLIMITED,
    ZERO,
    City,
    Contract,
    Key,
    Reverted,
    keccak,
    struct_hash,
)

from tests.contracts.anchoring import Anchoring, origin_of
from tests.contracts.conditioning import Conditioning
from tests.contracts.invariants.pending import PendingChain
from tests.contracts.settling import Settling, line

DELAY = 3 * DAY
"""Of admissions, in seconds."""
WINDOW = 30 * DAY
"""Of the statement that can still be disputed."""
DERIVE = 128
NEW = Key("newcomer")
"""A key of the attacker, used for the new key of each act."""


class ReadyCity:
    """Department 1 holds the data and runs the log and the pool; 2 is a grantee, delegates and pays; 3 is a
    third one.

    Department 1 has two keys of each role, department 4 is suspended, 9 was proposed.
    """

    def __init__(self, chain: PendingChain | None = None) -> None:
        self.chain = chain or PendingChain()
        self.city = City(self.chain, admission_delay=DELAY)
        for number in (1, 2, 3, 4):
            self.city.admit(number)
        self.keys = {
            f"{n} {role}": key for n in (1, 2, 3) for role, key in self.city.departments[n].keys.items()
        }
        self.keys |= {key.label: key for key in (*self.city.members, self.city.guardian, Key("nobody"))}
        self._second_keys()
        self._data()
        self._offices()
        self.anchor, self.pools = Anchoring(self.city), Settling(self.city)
        self.conditions = Conditioning(self.city)
        self._beside()
        self.successor = self.city.successor()
        self.contracts = {
            "ledger": self.city.ledger,
            "anchor": self.anchor.contract,
            "pools": self.pools.contract,
            "conditions": self.conditions.contract,
        }

    def key(self, label: str) -> Key:
        return self.keys[label]

    def pause(self) -> None:
        """By the guardian, for an hour."""
        message = self.city.message("Pause", duration=HOUR)
        self.city.send("pause", message, *self.city.sign("Pause", message, self.city.guardian))

    def hand_over(self) -> None:
        """Announced by the council."""
        self.city.hand_over(self.successor, freeze=DELAY + HOUR, then=DAY)

    def does(self, contract: Contract, function: str, *arguments: Any) -> bool:
        """Whether the chain would accept the call now; the chain is not changed."""
        try:
            self.chain.call(contract, function, *arguments)
        except Reverted:
            return False
        return True

    def asset(self, sequence: int, department: int = 1) -> int:
        return department << 40 | sequence

    def _second_keys(self) -> None:
        one = self.city.departments[1]
        for role in ROLES:
            key = Key(f"1 {role} b")
            self.city.seat([*self.city.members[:2], one.admin], 1, key, ROLES[role])
            self.keys[key.label] = key

    def _data(self) -> None:
        city, one = self.city, self.city.departments[1]
        for sequence, class_ in ((1, 1), (2, IMPORTANT), (3, CORE), (4, 1), (5, 1)):
            city.register(self.asset(sequence), class_)
        for sequence, class_ in ((10, 1), (11, CORE), (12, 1)):
            city.register(self.asset(sequence, 2), class_)
        city.suspend(self.asset(4), one.steward)
        city.suspend(self.asset(5), city.departments[3].bureau, by=2)
        end = city.now + 300 * DAY
        self.open = city.terms(self.asset(1), 2, expiry=end, maxUses=UNLIMITED, depth=1 | DERIVE)
        self.counted = city.terms(self.asset(1), 2, expiry=end, depth=1)
        self.newer = city.terms(self.asset(1), 2, expiry=end, maxUses=UNLIMITED, depth=1 | DERIVE)
        self.grants = {name: city.grant(getattr(self, name)) for name in ("open", "counted", "newer")}
        city.use(self.grants["counted"], 10, one.attest)
        self.below = city.terms(
            self.asset(1), 3, expiry=end, maxUses=UNLIMITED, parent=self.grants["open"], notBefore=city.now
        )
        self.grants["below"] = city.delegate(self.below, [self.open])
        derived = city.message(
            "DeriveAsset",
            **{
                "asset": self.asset(1, 2),
                "class": 1,
                "sharing": 2,
                "metadata": keccak(b"derived"),
                "parents": [self.asset(1)],
                "under": [self.grants["open"]],
            },
        )
        city.send("deriveAsset", derived, *city.sign("DeriveAsset", derived, city.departments[2].steward))

    def _offices(self) -> None:
        city, one, council = self.city, self.city.departments[1], self.city.members[:2]
        self.service_keys = {
            READER: keccak(b"reader"),
            AUDITOR: keccak(b"auditor"),
            CITY_AUDITOR: keccak(b"city"),
        }
        givers = {READER: [one.admin], AUDITOR: [one.oversight], CITY_AUDITOR: [*council, one.admin]}
        for roles, key in self.service_keys.items():
            self._service_key(key, roles, givers[roles])
        city.joint("suspendDepartment", "SuspendDepartment", *council, department=4, reason=ZERO)
        city.chain.travel(DELAY)
        self.pending = Key("pending")
        city.seat(council, 1, self.pending, STEWARD)
        self.pending_key = keccak(b"pending reader")
        self._service_key(self.pending_key, READER, council)
        self.recoveries = {name: self._recovery(f"1 {name} b") for name in ("finance", "emergency")}
        veto = city.message("VetoRecovery", recovery=self.recoveries["emergency"])
        lost = self.keys["1 emergency b"]
        city.send("vetoRecovery", lost.address, veto, *city.sign("VetoRecovery", veto, lost))
        seat = {"holder": NEW.address, "roles": ADMIN, "notBefore": 0, "notAfter": FOREVER}
        proposal = self.admission(9)
        assert proposal["seats"] == [seat]
        city.send("proposeAdmission", proposal, city.council("Admission", proposal))
        self.proposed = struct_hash("Admission", proposal)
        glass = city.message(
            "BreakGlass",
            asset=self.asset(12, 2),
            grantee=1,
            reasonHash=keccak(b"flood"),
            until=city.now + HOUR,
        )
        city.send("breakGlass", glass, city.sign("BreakGlass", glass, one.emergency))
        self.glass = struct_hash("BreakGlass", glass)

    def _service_key(self, key: bytes, roles: int, givers: list[Key]) -> None:
        term = {"notBefore": 0, "notAfter": FOREVER}
        self.city.joint(
            "addServiceKey", "AddServiceKey", *givers, department=1, key=key, hpke=ZERO, roles=roles, **term
        )

    def _recovery(self, label: str) -> bytes:
        heir = Key(f"heir of {label}")
        message = self.city.message(
            "Recover", **{"department": 1, "from": self.keys[label].address, "to": heir.address}
        )
        recovery = self.city.departments[1].recovery
        signatures = self.city.sign("Recover", message, recovery, heir)
        self.city.send("startRecovery", message, signatures, self.city.council("Recover", message))
        return struct_hash("Recover", message)

    def admission(self, number: int) -> dict[str, Any]:
        """The admission of a department with the new key as its only officer."""
        seat = {"holder": NEW.address, "roles": ADMIN, "notBefore": 0, "notAfter": FOREVER}
        return self.city.message(
            "Admission", department=number, recovery=NEW.address, profile=ZERO, seats=[seat], serviceKeys=[]
        )

    def _beside(self) -> None:
        for name, quorum in (("alone", 0), ("watched", 1)):
            self.anchor.open(origin_of(name), quorum=quorum)
        pools = self.pools
        for department in (1, 2, 3):
            pools.set_budget(pools.budget(department, 1_000))
        self.lines = [line(2, 1, 100), line(3, 1, 50)]
        self.due = pools.statement(self.lines, period=1)
        pools.commit(self.due)
        pools.wait()
        self.fresh = pools.statement(self.lines, period=2, window=WINDOW)
        pools.commit(self.fresh)
        pools.raise_dispute(self.fresh, self.lines, self.lines[0], self.city.departments[2].finance)
        self.conditions.open(self.conditions.id(1, keeper=1))
        self.conditions.open(self.conditions.id(1, keeper=3))
