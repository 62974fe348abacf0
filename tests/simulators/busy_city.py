"""A busy city while its chain has failures: grants are given, read and revoked all the time, and every answer
is recorded."""

from __future__ import annotations

import random
import threading
import time
from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from typing import Any

from access_policy.terms.agreement import Agreement, parse_terms
from access_policy.terms.slots import slot_bounds
from access_policy.terms.templates import agreement
from api.demo.city import City
from api.demo.governing import AIR_POLICY
from api.demo.participants import AUDIT, EDUCATION, ENVIRONMENT, HEALTH, PLANNING, Part
from api.protocol.errors import ClientError
from api.sdk.acts import ActDraft, sign_act
from api.sdk.drafts import acceptance_of, draft_grant, draft_revocation
from api.sdk.errors import ServiceProblem
from ledger.ids import asset_iri, department_iri, parse_asset

GRANTEES = (PLANNING, HEALTH, EDUCATION)
PAUSE_S = 0.1
PATIENCE_S = 150.0
"""The time limit, in seconds, for an act to be recorded despite failures of the network."""

OVER = ("act.expired", "act.refused")
REVOKED = "grant.revoked"


@dataclass
class Act:
    """An act that the service has acknowledged. Times are those of `time.monotonic`."""

    draft: ActDraft
    id: str
    acknowledged_at: float
    recorded_at: float | None = None


@dataclass
class Look:
    """One attempt to read with one grant."""

    began_at: float
    ended_at: float
    code: str
    """The code; empty if data were returned."""


@dataclass
class Life:
    """One grant, from its creation until long after its revocation."""

    grantee: Part
    given: Act
    revocation: Act | None = None
    looks: list[Look] = field(default_factory=list)

    @property
    def grant(self) -> str:
        return self.given.draft.id

    @property
    def denied_after_s(self) -> float | None:
        """Seconds from the acknowledgement of the revocation to the end of the first call that it denied."""
        if self.revocation is None:
            return None
        for look in self.looks:
            if look.began_at >= self.revocation.acknowledged_at and look.code == REVOKED:
                return look.ended_at - self.revocation.acknowledged_at
        return None

    @property
    def served_after_s(self) -> float:
        """Seconds from the acknowledgement to the start of the last call that was still served; 0 if there is
        none."""
        since = self.revocation.acknowledged_at if self.revocation is not None else float("inf")
        return max((look.began_at - since for look in self.looks if not look.code), default=0.0)


class BusyCity:
    """Each grantee has a thread that runs through one grant after the other, and a thread that reads with the
    revoked ones."""

    def __init__(self, city: City) -> None:
        self.city = city
        self.lives: list[Life] = []
        self.refusals: Counter[str] = Counter()
        """The reasons for retries."""
        self.faults: list[str] = []
        self._stop = threading.Event()
        self._threads = [
            threading.Thread(target=self._guarded, args=(work, part), daemon=True)
            for part in GRANTEES
            for work in (self._live, self._look_back)
        ]

    @contextmanager
    def at_work(self) -> Iterator[None]:
        """Run until the block ends, then wait for the pending acts."""
        for thread in self._threads:
            thread.start()
        try:
            yield
        finally:
            self._stop.set()
            for thread in self._threads:
                thread.join(2 * PATIENCE_S)

    @property
    def acts(self) -> list[Act]:
        return [act for life in list(self.lives) for act in (life.given, life.revocation) if act is not None]

    def newest(self, *states: str) -> dict[str, Any] | None:
        """The status of the newest of the last acts that is in one of these states; None if there is none."""
        for act in sorted(self.acts, key=lambda one: -one.acknowledged_at)[:8]:
            found = self.status(act)
            if found["state"] in states:
                return found
        return None

    def status(self, act: Act) -> dict[str, Any]:
        return self._insist(lambda: self.city.of(ENVIRONMENT).civic.act_status(act.id))

    def recorded(self) -> dict[str, int]:
        """How often each act is in the log: the number of its entries that no later entry undoes."""
        civic = self.city.of(AUDIT).civic
        entries = [one["entry"] for one in civic.entries()]
        taken_back = {one["facts"]["reverts"] for one in entries if one["type"] == "chain:reorg:reverted"}
        found = Counter(
            one["facts"]["act"]
            for one in entries
            if one["type"] in ("chain:grant:granted", "chain:grant:revoked")
            and "act" in one["facts"]
            and one["id"] not in taken_back
        )
        return dict(found)

    def looks(self) -> Counter[str]:
        """The number of answers by code; the empty code means data."""
        return Counter(look.code for life in self.lives for look in life.looks)

    # -- inside

    def _guarded(self, work: Any, part: Part) -> None:
        try:
            work(part)
        except BaseException as fault:
            self.faults.append(f"{part.slug}: {fault!r}")
            raise

    def _live(self, grantee: Part) -> None:
        while not self._stop.is_set():
            life = Life(grantee, self._hand_in(self._draft(grantee)))
            self.lives.append(life)
            self._until_recorded(life.given)
            self._accept(life)
            until = time.monotonic() + random.uniform(0.5, 2.0)
            while time.monotonic() < until or not any(not look.code for look in life.looks):
                self._look(life)
                if time.monotonic() > until + PATIENCE_S:
                    raise AssertionError(f"{life.grant} is recorded, and nothing can be read with it")
            life.revocation = self._hand_in(draft_revocation(life.grant))
            while life.denied_after_s is None:
                self._look(life)
            self._until_recorded(life.revocation)

    def _look_back(self, grantee: Part) -> None:
        while not self._stop.is_set():
            over = [one for one in self.lives if one.grantee is grantee and one.denied_after_s is not None]
            if over:
                self._look(random.choice(over))
            self._stop.wait(PAUSE_S)

    def _look(self, life: Life) -> None:
        began = time.monotonic()
        code = ""
        try:
            self.city.of(life.grantee).civic.read(
                self.city.assets["air_quality"], AIR_POLICY, {"limit": 1}, grant=life.grant
            )
        except ServiceProblem as refused:
            code = refused.reasons[0] if refused.reasons else refused.code
        except ClientError as failed:
            code = failed.code
        life.looks.append(Look(began, time.monotonic(), code))
        time.sleep(PAUSE_S)

    def _draft(self, grantee: Part) -> ActDraft:
        asset = self.city.assets["air_quality"]
        now = datetime.now(UTC).replace(microsecond=0)
        document = agreement(
            department_iri(ENVIRONMENT.number),
            department_iri(grantee.number),
            asset_iri(parse_asset(asset)),
            columns=("station_id", "pm25"),
            purposes=(AIR_POLICY,),
            not_before=now - timedelta(minutes=5),
            expiry=now + timedelta(days=1),
        )
        parsed = parse_terms(document)
        assert isinstance(parsed, Agreement)
        bounds = slot_bounds(parsed)
        assert bounds.not_before is not None
        assert bounds.expiry is not None
        return draft_grant(
            asset,
            grantee.number,
            document,
            not_before=int(bounds.not_before.timestamp()),
            expiry=int(bounds.expiry.timestamp()),
        )

    def _hand_in(self, draft: ActDraft) -> Act:
        steward = self.city.of(ENVIRONMENT)
        signed = sign_act(draft, self.city.trust, [steward.secrets["steward"]])
        self._insist(
            lambda: steward.civic.act(
                signed.type, signed.message, signed.signatures, documents=signed.documents, wait_s=0.0
            )
        )
        return Act(draft, "0x" + draft.digest(self.city.trust).hex(), time.monotonic())

    def _accept(self, life: Life) -> None:
        grantee = self.city.of(life.grantee)
        terms = self._insist(lambda: grantee.civic.grant(life.grant))["terms"]
        accepted = sign_act(acceptance_of(terms), self.city.trust, [grantee.secrets["steward"]])
        self._insist(lambda: grantee.civic.accept(life.grant, accepted.signatures[0]))

    def _until_recorded(self, act: Act) -> None:
        until = act.acknowledged_at + PATIENCE_S
        while self.status(act)["state"] != "recorded":
            assert time.monotonic() < until, self.status(act)
            time.sleep(PAUSE_S)
        act.recorded_at = time.monotonic()

    def _insist(self, what: Any) -> Any:
        """The answer; failures of the chain are retried. A grant that a reorganisation removed is submitted
        again."""
        until = time.monotonic() + PATIENCE_S
        while True:
            try:
                return what()
            except ClientError as failed:
                self.refusals[failed.code] += 1
                if failed.code in OVER or time.monotonic() > until:
                    raise
                time.sleep(PAUSE_S)
