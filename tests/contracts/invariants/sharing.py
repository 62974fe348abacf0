"""Grants, delegation, use, revocation, quorum and batches, with a model that predicts every outcome.

Covers invariants 2, 3, 4, 5, 6, 7, 8, 10, 11, 12, 13, 16 and 18 of the ledger.
"""

from __future__ import annotations

import random
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, ClassVar

from contracts_harness import (
    CONDITIONAL,
    DAY,
    FOREVER,
    HOLD,
    HOUR,
    OPERATE,
    UNCONDITIONAL,
    UNLIMITED,
    USE,
    ZERO,
    City,
    Key,
    separator,
    struct_hash,
)
from eth_hash.auto import keccak
from hypothesis import strategies as st
from hypothesis.stateful import invariant, precondition, rule

from .machine import CityMachine, allowed
from .rebuild import ACTIVE, CANCELLED, GRANTS, REVOKED, at

ASSETS = {
    (1, 1): (1, CONDITIONAL),
    (1, 2): (2, CONDITIONAL),
    (1, 3): (3, CONDITIONAL),
    (1, 4): (1, UNCONDITIONAL),
}
"""(department, sequence) -> (class, sharing): what ``found`` registers."""

TERMS = (
    "asset",
    "grantee",
    "right",
    "notBefore",
    "expiry",
    "maxUses",
    "depth",
    "deadline",
    "termsHash",
    "parent",
    "salt",
)


def found(city: City) -> None:
    """The assets that the machine shares."""
    for (department, sequence), (class_, sharing) in ASSETS.items():
        city.register(city.asset_id(department, sequence), class_, sharing)


@dataclass
class Grant:
    """The model's state of a grant."""

    terms: dict[str, Any]
    grantor: int
    state: int = ACTIVE
    uses: int = 0
    left: int = 0
    ended: int = FOREVER
    """When it was revoked."""

    @property
    def id(self) -> bytes:
        return struct_hash("Terms", self.terms)


USE_GRACE, USE_STEP_MAX = 72 * HOUR, 100_000
EXPIRY = (2**40 - 1) << 144
"""Of a grant's word."""

windows = st.sampled_from(
    [(0, DAY), (0, HOUR), (-100, HOUR), (2000, HOUR), (0, 10 * DAY), (-DAY, HOUR), (0, 0)]
)
"""(begin, length) in seconds from now; most are live for a while."""
rights = st.sampled_from([USE, USE, USE, HOLD, OPERATE])
bounds = st.sampled_from([1, 3, 10, 100, UNLIMITED])
seeds = st.integers(0, 2**32)


class SharingMachine(CityMachine):
    """Department 1 holds the assets; 2 and 3 receive, delegate and use."""

    always: ClassVar[tuple[str, ...]] = ("nobody_uses_more_than_was_granted", "holders_are_the_models")

    assets: ClassVar[dict[int, tuple[int, int]]] = {d << 40 | s: grades for (d, s), grades in ASSETS.items()}

    def __init__(self) -> None:
        super().__init__()
        self.grants: dict[bytes, Grant] = {}
        self.holders = {
            (asset, right): asset >> 40 for asset in self.assets for right in (HOLD, USE, OPERATE)
        }
        self.suspended: set[int] = set()
        self.stopped: set[int] = set()
        self.paused_until = self.pause_allowed_at = 0
        self.successor = ""
        self.hand_over: dict[str, Any] | None = None
        """The message of the announced or completed hand-over."""

    # ---- the rules as the model has them -------------------------------------------------------------------

    @property
    def running(self) -> bool:
        return self.now > self.paused_until

    @property
    def open(self) -> bool:
        """Whether an asset or a grant may begin here (invariant 18)."""
        return self.running and not (self.hand_over and self.now >= self.hand_over["freezeAt"])

    def active(self, department: int) -> bool:
        return department not in self.stopped

    def live(self, grant: Grant) -> bool:
        return grant.state == ACTIVE and grant.terms["notBefore"] <= self.now < grant.terms["expiry"]

    def lineage(self, grant: Grant) -> list[Grant]:
        """The grant, its parent, ... up to the root."""
        line = [grant]
        while line[-1].terms["parent"] != ZERO:
            line.append(self.grants[line[-1].terms["parent"]])
        return line

    def sound(self, terms: dict[str, Any]) -> bool:
        """The requirements of all terms, for every grantor."""
        offer = (
            terms["maxUses"] == UNLIMITED
            and terms["depth"] == 0
            and self.assets[terms["asset"]][1] == UNCONDITIONAL
        )
        return (
            self.open
            and terms["asset"] not in self.suspended
            and terms["expiry"] > max(terms["notBefore"], self.now)
            and (self.active(terms["grantee"]) if terms["grantee"] else offer)
            and struct_hash("Terms", terms) not in self.grants
        )

    def bureau_signs(self, asset: int, department: int) -> bool:
        """For core data the bureau of another department signs, which must be active (`City.quorum`)."""
        return self.assets[asset][0] < 3 or self.active(2 if department == 1 else 1)

    def grantable(self, terms: dict[str, Any]) -> bool:
        holder = self.holders[terms["asset"], terms["right"]]
        return self.sound(terms) and self.active(holder) and self.bureau_signs(terms["asset"], holder)

    def narrower(self, terms: dict[str, Any], parent: Grant, total: int) -> bool:
        p = parent.terms
        enough = p["maxUses"] == UNLIMITED or terms["maxUses"] <= parent.left - total
        return (
            (terms["asset"], terms["right"]) == (p["asset"], p["right"])
            and terms["notBefore"] >= p["notBefore"]
            and terms["expiry"] <= p["expiry"]
            and terms["depth"] < p["depth"]
            and enough
        )

    def usable(self, grant: Grant, total: int, key: Key) -> bool:
        """A record only requires that the grant was in force and has not ended too long ago (invariant 2)."""
        holder = self.holders[grant.terms["asset"], grant.terms["right"]]
        department, role = key.label.split()
        attests = role == "gateway" or (role == "attest" and int(department) == holder)
        end = min(grant.terms["expiry"], grant.ended)
        return (
            grant.state != CANCELLED
            and grant.terms["notBefore"] <= self.now < end + USE_GRACE
            and attests
            and self.active(int(department))
            and grant.uses < total <= grant.left
            and total - grant.uses <= USE_STEP_MAX
        )

    def took(self, terms: dict[str, Any], grantor: int) -> None:
        """Add an accepted grant to the model."""
        grant = Grant(dict(terms), grantor, left=terms["maxUses"])
        self.grants[grant.id] = grant
        parent = self.grants.get(terms["parent"])
        if parent is not None and parent.terms["maxUses"] != UNLIMITED:
            parent.left -= terms["maxUses"]

    # ---- pieces of acts --------------------------------------------------------------------------------------

    def draw_terms(
        self, asset: int, grantee: int, right: int, window: tuple[int, int], uses: int, depth: int
    ) -> dict[str, Any]:
        begin = self.now + window[0]
        return self.city.terms(
            asset,
            grantee,
            right=right,
            notBefore=begin,
            expiry=begin + window[1],
            maxUses=uses,
            depth=depth,
            deadline=FOREVER,
        )

    def plain_terms(self, seed: int) -> dict[str, Any]:
        """Terms that are valid except, perhaps, for the state of the city."""
        asset = list(self.assets)[seed % 3]
        return self.draw_terms(asset, 2 + seed % 2, USE, (0, DAY), 10, 1)

    def quorum(self, terms: dict[str, Any], department: int) -> list[bytes]:
        return self.city.quorum("Terms", terms, department, self.assets[terms["asset"]][0])

    def chain_of(self, grant: Grant) -> list[dict[str, Any]]:
        return [one.terms for one in self.lineage(grant)]

    def pick(self, seed: int) -> Grant:
        return list(self.grants.values())[seed % len(self.grants)]

    # ---- granting --------------------------------------------------------------------------------------------

    @precondition(allowed("grant"))
    @rule(
        asset=st.integers(0, 3),
        grantee=st.sampled_from([2, 3, 2, 3, 1, 0]),
        right=rights,
        window=windows,
        uses=bounds,
        depth=st.integers(0, 2),
    )
    def grant(
        self, asset: int, grantee: int, right: int, window: tuple[int, int], uses: int, depth: int
    ) -> None:
        """A steward's quorum grants."""
        terms = self.draw_terms(list(self.assets)[asset], grantee, right, window, uses, depth)
        holder = self.holders[terms["asset"], right]
        if self.expect(self.grantable(terms), "grant", terms, self.quorum(terms, holder)):
            self.took(terms, holder)

    @precondition(lambda self: self.grants and allowed("delegate")(self))
    @rule(
        seed=seeds,
        grantee=st.sampled_from([1, 2, 3]),
        wider=st.sampled_from(["", "", "", "notBefore", "expiry", "maxUses", "depth", "right", "asset"]),
        share=st.sampled_from([1, 2, 5, 10]),
        late=st.sampled_from([0, 0, 1, 3]),
        stale=st.sampled_from([False, False, False, True]),
    )
    def delegate(
        self, seed: int, grantee: int, wider: str, share: int, late: int = 0, stale: bool = False
    ) -> None:
        """A grantee delegates a part; it may ask for more than it has in one of several ways."""
        deep = [g for g in self.grants.values() if g.terms["depth"] and g.state != CANCELLED] or list(
            self.grants.values()
        )
        parent = deep[seed % len(deep)]
        p = parent.terms
        terms = self.city.terms(
            p["asset"],
            grantee,
            right=p["right"],
            notBefore=p["notBefore"],
            expiry=p["expiry"],
            maxUses=min(share, p["maxUses"]),
            depth=max(p["depth"], 1) - 1,
            deadline=FOREVER,
            parent=parent.id,
        )
        other = next(a for a in self.assets if a != p["asset"])
        widened = {
            "notBefore": p["notBefore"] - 1,
            "expiry": p["expiry"] + 1,
            "maxUses": parent.left - parent.uses + 1 if p["maxUses"] != UNLIMITED else UNLIMITED,
            "depth": p["depth"],
            "right": OPERATE if p["right"] != OPERATE else USE,
            "asset": other,
        }
        if wider:
            terms[wider] = widened[wider]
        holder = self.holders[p["asset"], p["right"]]
        total = parent.uses + late
        may = (
            parent.state != CANCELLED
            and all(self.live(one) for one in self.lineage(parent))
            and all(self.active(one.terms["grantee"]) for one in self.lineage(parent))
            and self.narrower(terms, parent, total)
            and self.sound(terms)
            and self.active(holder)
            and self.bureau_signs(terms["asset"], p["grantee"])
        )
        grantor = p["grantee"] or 2
        chain, signatures = self.chain_of(parent), self.quorum(terms, grantor)
        if p["maxUses"] == UNLIMITED:
            if self.expect(may, "delegate", terms, chain, signatures):
                self.took(terms, grantor)
            return
        attest = self.city.departments[holder].attest
        last = self.city.message(
            "Use", grant=parent.id, total=total, logHead=ZERO if stale else struct_hash("Terms", terms)
        )
        may = may and not stale and (late == 0 or self.usable(parent, total, attest))
        signed = self.city.sign("Use", last, attest)[0]
        if self.expect(may, "delegateCounted", terms, chain, last, signatures, signed):
            parent.uses = total
            self.took(terms, grantor)

    @precondition(allowed("short_quorum"))
    @rule(asset=st.integers(0, 2), wrong=st.integers(0, 6), seed=seeds)
    def short_quorum(self, asset: int, wrong: int, seed: int) -> None:
        """Signatures that look like a quorum and are not one."""
        terms = {**self.plain_terms(seed), "asset": list(self.assets)[asset]}
        own, other = self.city.departments[1].keys, self.city.departments[2].keys
        class_ = self.assets[terms["asset"]][0]
        right_ones = [own["steward"], own["cdo"], other["bureau"]][:class_]
        wrong_ones: list[list[Key]] = [
            right_ones[:-1],
            [own["steward"]] * class_ if class_ > 1 else [own["cdo"]],
            [*right_ones[:-1], other[("steward", "cdo", "emergency")[class_ - 1]]],
            [*right_ones, own["oversight"]],
            right_ones[::-1] if class_ > 1 else [own["admin"]],
            [own["steward"], own["cdo"], own["cdo"]][:class_]
            if class_ > 2
            else [own["finance"], own["finance"]][:class_],
            [own["steward"], own["cdo"], own["bureau"]] if class_ > 2 else [own["cdo"]] * class_,
        ]
        self.expect(False, "grant", terms, self.city.sign("Terms", terms, *wrong_ones[wrong]))

    # ---- ending ----------------------------------------------------------------------------------------------

    @precondition(lambda self: self.grants and allowed("revoke")(self))
    @rule(
        seed=seeds,
        who=st.sampled_from(["steward", "cdo", "admin"]),
        by=st.sampled_from(["holder", "holder", "parent", "other"]),
    )
    def revoke(self, seed: int, who: str, by: str) -> None:
        """By the right's holder, by the delegating department, or by a key without the right."""
        grant = self.pick(seed)
        holder = self.holders[grant.terms["asset"], grant.terms["right"]]
        delegated = grant.terms["parent"] != ZERO
        department = {"holder": holder, "parent": grant.grantor, "other": 3 if holder != 3 else 2}[by]
        key = self.city.departments[department].keys[who]
        message = self.city.message("Revoke", grant=grant.id, reason=1)
        signature = self.city.sign("Revoke", message, key)[0]
        may = grant.state == ACTIVE and who != "admin"
        now = self.now
        if by == "parent" and delegated:
            done = self.expect(may, "revokeDelegated", message, grant.terms, signature)
        else:
            done = self.expect(may and department == holder, "revoke", message, signature)
        if done:
            grant.state, grant.ended = REVOKED, now

    @precondition(allowed("cancel"))
    @rule(seed=seeds, who=st.sampled_from([1, 1, 2]))
    def cancel(self, seed: int, who: int) -> None:
        """Terms that were signed and not sent become invalid, with their signatures."""
        terms = self.plain_terms(seed)
        message = self.city.message("Cancel", grant=struct_hash("Terms", terms))
        holder = self.holders[terms["asset"], USE]
        signature = self.city.sign("Cancel", message, self.city.departments[who].steward)[0]
        if self.expect(who == holder, "cancel", message, terms, signature):
            grant = Grant(terms, holder, state=CANCELLED)
            self.grants[grant.id] = grant
            self.expect(False, "grant", terms, self.quorum(terms, holder))

    @precondition(lambda self: self.grants and allowed("regrant")(self))
    @rule(seed=seeds)
    def regrant(self, seed: int) -> None:
        """The same signed terms again, above all after a revocation: the slot remembers (invariant 8)."""
        grant = self.pick(seed)
        if grant.terms["parent"] == ZERO:
            self.expect(False, "grant", grant.terms, self.quorum(grant.terms, grant.grantor))
            return
        parent = self.grants[grant.terms["parent"]]
        chain, signatures = self.chain_of(parent), self.quorum(grant.terms, grant.grantor)
        if parent.terms["maxUses"] == UNLIMITED:
            self.expect(False, "delegate", grant.terms, chain, signatures)
            return
        attest = self.city.departments[self.holders[grant.terms["asset"], grant.terms["right"]]].attest
        last = self.city.message("Use", grant=parent.id, total=parent.uses, logHead=grant.id)
        signed = self.city.sign("Use", last, attest)[0]
        self.expect(False, "delegateCounted", grant.terms, chain, last, signatures, signed)

    # ---- use -------------------------------------------------------------------------------------------------

    @precondition(lambda self: self.grants and allowed("use")(self))
    @rule(
        seed=seeds,
        step=st.sampled_from([1, 1, 1, 0, -1, 3, 20, 100_000, 100_001]),
        who=st.sampled_from(["holder attest", "2 gateway", "holder attest", "3 attest", "1 witness"]),
    )
    def use(self, seed: int, step: int, who: str) -> None:
        """A total is reported: higher, equal, lower, or beyond the bound."""
        grant = self.pick(seed)
        if grant.state == CANCELLED:
            return
        holder = self.holders[grant.terms["asset"], grant.terms["right"]]
        department, role = who.replace("holder", str(holder)).split()
        key = self.city.departments[int(department)].keys[role]
        total = max(grant.uses + step, 0)
        message = self.city.message("Use", grant=grant.id, total=total, logHead=keccak(b"head"))
        signature = self.city.sign("Use", message, key)[0]
        if self.expect(self.usable(grant, total, key), "use", message, signature):
            grant.uses = total

    # ---- batches ---------------------------------------------------------------------------------------------

    @precondition(allowed("grant_batch"))
    @rule(seed=seeds, count=st.integers(1, 3), flaw=st.sampled_from(["", "", "window", "grantee", "twice"]))
    def grant_batch(self, seed: int, count: int, flaw: str) -> None:
        """A batch has the effect of its single acts, all or nothing (invariant 12)."""
        batch = [self.plain_terms(seed + i) for i in range(count)]
        if flaw == "window":
            batch[-1]["expiry"] = batch[-1]["notBefore"]
        if flaw == "grantee":
            batch[-1]["grantee"] = 9
        if flaw == "twice" and count > 1:
            batch[-1] = batch[0]
        if len({self.holders[t["asset"], USE] for t in batch}) > 1:
            return
        holder = self.holders[batch[0]["asset"], USE]
        slots = [at(struct_hash("Terms", t), GRANTS) for t in batch]
        with self.chain.rewound():
            outcomes = [self._quietly("grant", t, self.quorum(t, holder)) for t in batch]
            singles = self.words_of(slots)
        message = {"grants": batch, "deadline": FOREVER}
        class_ = max(self.assets[t["asset"]][0] for t in batch)
        if self.expect(
            all(outcomes), "grantBatch", message, self.city.quorum("GrantBatch", message, holder, class_)
        ):
            assert self.words_of(slots) == singles
            for terms in batch:
                self.took(terms, holder)

    @precondition(lambda self: len(self.grants) > 1 and allowed("revoke_batch")(self))
    @rule(seed=seeds, count=st.integers(1, 3))
    def revoke_batch(self, seed: int, count: int) -> None:
        """A batch revokes what its single acts would revoke, and skips the rest."""
        chosen = list({self.pick(seed + i).id: self.pick(seed + i) for i in range(count)}.values())
        slots = [at(grant.id, GRANTS) for grant in chosen]
        steward = self.city.departments[1].steward
        with self.chain.rewound():
            outcomes = []
            for grant in chosen:
                message = {"grant": grant.id, "reason": 2, "deadline": FOREVER}
                outcomes.append(
                    self._quietly("revoke", message, self.city.sign("Revoke", message, steward)[0])
                )
            singles = self.words_of(slots)
        batch = {"grants": [grant.id for grant in chosen], "reason": 2, "deadline": FOREVER}
        now = self.now
        if self.expect(any(outcomes), "revokeBatch", batch, self.city.sign("RevokeBatch", batch, steward)[0]):
            # The single acts were mined one after another, so each ended its grant some seconds later.
            assert [word & ~EXPIRY for word in self.words_of(slots)] == [word & ~EXPIRY for word in singles]
            for grant, done in zip(chosen, outcomes, strict=True):
                if done:
                    grant.state, grant.ended = REVOKED, now

    @precondition(lambda self: self.grants and allowed("use_batch")(self))
    @rule(seed=seeds, count=st.integers(1, 3), step=st.sampled_from([1, 2, 0, 50]))
    def use_batch(self, seed: int, count: int, step: int) -> None:
        """The same for use, of whatever grants."""
        chosen = list({self.pick(seed + i).id: self.pick(seed + i) for i in range(count)}.values())
        totals = [{"grant": grant.id, "total": grant.uses + step} for grant in chosen]
        slots = [at(grant.id, GRANTS) for grant in chosen]
        key = self.city.departments[2].gateway
        head = keccak(b"head")
        with self.chain.rewound():
            outcomes = []
            for one in totals:
                message = {**one, "logHead": head, "deadline": FOREVER}
                outcomes.append(self._quietly("use", message, self.city.sign("Use", message, key)[0]))
            singles = self.words_of(slots)
        batch = {"uses": totals, "logHead": head, "deadline": FOREVER}
        if self.expect(any(outcomes), "useBatch", batch, self.city.sign("UseBatch", batch, key)[0]):
            assert self.words_of(slots) == singles
            for grant, done in zip(chosen, outcomes, strict=True):
                grant.uses += step if done else 0

    def _quietly(self, function: str, *arguments: Any) -> bool:
        """Submit an act that will be undone, without a change of the model."""
        return self.submit(self.city.ledger, function, *arguments) == "ok"

    # ---- the relayer can only submit
    # -------------------------------------------------------------------------

    @precondition(allowed("tamper"))
    @rule(seed=seeds, member=st.sampled_from(TERMS))
    def tamper(self, seed: int, member: str) -> None:
        """The relayer changes one member of freshly signed terms (invariant 7)."""
        terms = self.plain_terms(seed)
        holder = self.holders[terms["asset"], USE]
        signatures = self.quorum(terms, holder)
        same_class = {1: list(self.assets)[3]}
        altered = {
            "asset": same_class.get(self.assets[terms["asset"]][0], terms["asset"] + 1),
            "grantee": 5 - terms["grantee"],
            "right": OPERATE,
            "termsHash": keccak(terms["termsHash"]),
            "parent": keccak(b"parent"),
        }
        value = altered.get(
            member,
            terms[member] - 1
            if member == "deadline"
            else terms.get(member, 0) + 1
            if member not in altered
            else None,
        )
        self.expect(False, "grant", {**terms, member: value}, signatures)

    @precondition(allowed("foreign"))
    @rule(seed=seeds, elsewhere=st.sampled_from(["chain", "contract", "salt"]))
    def foreign(self, seed: int, elsewhere: str) -> None:
        """Signed for another chain, contract or deployment (invariant 5)."""
        terms = {**self.plain_terms(seed), "asset": next(iter(self.assets))}
        city, ledger = self.city, self.city.ledger
        other = separator(
            "SharingLedger",
            city.chain.chain_id + (elsewhere == "chain"),
            city.guardian.address if elsewhere == "contract" else ledger.address,
            keccak(city.salt) if elsewhere == "salt" else city.salt,
        )
        digest = keccak(b"\x19\x01" + other + struct_hash("Terms", terms))
        holder = self.holders[terms["asset"], USE]
        self.expect(False, "grant", terms, [city.departments[holder].steward.sign(digest)])

    @precondition(lambda self: self.done and allowed("replay")(self))
    @rule(seed=seeds)
    def replay(self, seed: int) -> None:
        """Invariant 5."""
        self.replay_one(random.Random(seed))

    # ---- the city around -------------------------------------------------------------------------------------

    @precondition(allowed("travel"))
    @rule(seconds=st.sampled_from([1, 60, 1900, 3000, 4000, DAY, 8 * DAY]))
    def travel(self, seconds: int) -> None:
        """Time passes."""
        self.chain.travel(seconds)

    @precondition(allowed("suspend_or_lift_asset"))
    @rule(asset=st.integers(0, 3))
    def suspend_or_lift_asset(self, asset: int) -> None:
        """The holder stops an asset at once, also during a pause, and lifts it."""
        chosen = list(self.assets)[asset]
        holder = self.holders[chosen, HOLD]
        kind = "LiftAsset" if chosen in self.suspended else "SuspendAsset"
        message = self.city.message(kind, asset=chosen, by=1, reason=ZERO)
        signature = self.city.sign(kind, message, self.city.departments[holder].steward)[0]
        if kind == "SuspendAsset":
            self.expect(True, "suspendAsset", message, signature)
            self.suspended.add(chosen)
        elif self.expect(self.running and self.active(holder), "liftAsset", message, signature):
            self.suspended.discard(chosen)

    @precondition(allowed("suspend_or_lift_department"))
    @rule(department=st.sampled_from([1, 2, 3]))
    def suspend_or_lift_department(self, department: int) -> None:
        """Its oversight stops a department at once; the council lifts it."""
        kind = "LiftDepartment" if department in self.stopped else "SuspendDepartment"
        message = self.city.message(kind, department=department, reason=ZERO)
        if kind == "SuspendDepartment":
            oversight = self.city.departments[department].oversight
            self.expect(True, "suspendDepartment", message, self.city.sign(kind, message, oversight))
            self.stopped.add(department)
        elif self.expect(self.running, "liftDepartment", message, self.city.council(kind, message)):
            self.stopped.discard(department)

    @precondition(allowed("pause_or_unpause"))
    @rule(hours=st.sampled_from([1, 1, 30]))
    def pause_or_unpause(self, hours: int) -> None:
        """The guardian pauses; revocation, suspension and use continue (invariant 10, by prediction)."""
        city = self.city
        if self.running:
            message = city.message("Pause", duration=hours * HOUR)
            now = self.now
            if self.expect(
                now >= self.pause_allowed_at, "pause", message, city.sign("Pause", message, city.guardian)[0]
            ):
                self.paused_until = now + hours * HOUR
                self.pause_allowed_at = self.paused_until + 7 * DAY
        else:
            message = city.message("Unpause")
            now = self.now
            self.expect(True, "unpause", message, city.sign("Unpause", message, city.guardian))
            self.paused_until = now - 1

    @precondition(allowed("hand_over_or_call_off"))
    @rule(
        freeze=st.sampled_from([0, 1, HOUR]),
        then=st.sampled_from([HOUR, 2 * HOUR, HOUR - 1]),
        of=st.sampled_from([(2, 3), (2, 2)]),
    )
    def hand_over_or_call_off(self, freeze: int, then: int, of: tuple[int, int] = (2, 3)) -> None:
        """The council announces a hand-over; until it is done two departments call it off (invariant 18)."""
        city, now = self.city, self.now
        self.successor = self.successor or city.successor()
        if self.hand_over is None:
            times = {"freezeAt": self.now + freeze, "handOverAt": self.now + freeze + then}
            message = city.message("HandOver", successor=self.successor, **times)
            signatures = city.council("HandOver", message)
            if self.expect(then >= HOUR, "announceHandOver", message, signatures):
                self.hand_over = message
        else:
            message = city.message("CallOffHandOver", handOver=struct_hash("HandOver", self.hand_over))
            oversight = [city.departments[number].oversight for number in of]
            may = now < self.hand_over["handOverAt"] and of == (2, 3) and self.active(2) and self.active(3)
            if self.expect(
                may, "callOffHandOver", message, city.sign("CallOffHandOver", message, *oversight)
            ):
                self.hand_over = None

    @precondition(allowed("transfer"))
    @rule(asset=st.integers(0, 3), right=rights, to=st.sampled_from([1, 2, 3]), claim=st.booleans())
    def transfer(self, asset: int, right: int, to: int, claim: bool) -> None:
        """Each right has one holder, and only the holder transfers it (invariant 6)."""
        chosen = list(self.assets)[asset]
        holder = self.holders[chosen, right]
        giver = holder if claim else 6 - holder - to if 0 < 6 - holder - to < 4 else holder
        message = self.city.message(
            "TransferRight", **{"asset": chosen, "right": right, "from": giver, "to": to}
        )
        signatures = self.city.quorum("TransferRight", message, giver, self.assets[chosen][0])
        taker = self.city.sign("TransferRight", message, self.city.departments[to].steward)[0]
        may = (
            self.open
            and giver == holder
            and holder != to
            and chosen not in self.suspended
            and self.active(holder)
            and self.active(to)
            and self.bureau_signs(chosen, giver)
        )
        if self.expect(may, "transferRight", message, signatures, taker):
            self.holders[chosen, right] = to

    # ---- always ----------------------------------------------------------------------------------------------

    @invariant()
    def nobody_uses_more_than_was_granted(self) -> None:
        """Invariants 3 and 16, from the words confirmed by invariant 13: a subtree stays within its root's bound."""
        used = {one: self.rebuilt.grants[one]["uses"] for one in self.grants}
        for one, grant in self.grants.items():
            if grant.terms["maxUses"] == UNLIMITED or grant.state == CANCELLED:
                continue
            below = [other for other in self.grants if one in self._above(other)]
            assert used[one] + sum(used[other] for other in below) <= grant.terms["maxUses"]

    @invariant()
    def holders_are_the_models(self) -> None:
        """Invariant 6, from the words that the events rebuilt and storage confirmed."""
        for (asset, right), holder in self.holders.items():
            assert self.rebuilt.assets[asset][f"holder{right}"] == holder

    def _above(self, grant: bytes) -> Sequence[bytes]:
        return [one.id for one in self.lineage(self.grants[grant])[1:]]
