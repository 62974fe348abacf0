"""Access requests by signed calls: a department asks, the provider refuses or the requester withdraws.

Each step is committed with the call's nonce and an entry about this call. A provider approves a request by
signing the grant itself.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Literal
from uuid import UUID

from sqlalchemy import Connection, Engine

from api.calls.dataset_sources import DatasetSources
from api.calls.evidence import Evidence, commit_to, entry_about
from api.calls.looks import Looks
from api.runtime.callers import Callers
from api.runtime.commits import Commits
from api.runtime.errors import RefusedError
from api.runtime.signed_call import SignedCall
from languages.texts import in_both
from ledger import requests
from ledger.audit.log.writer import JobResult
from ledger.clock import Timekeeper
from ledger.ids import asset_text
from ledger.pages import Page
from ledger.projection.queries import asset as find_asset
from ledger.requests import AccessRequest, Draft, Step
from ledger.requests.workflow import State

Side = Literal["requester", "provider"]


@dataclass(frozen=True, slots=True)
class TakenRequest:
    """A request after a call, with the evidence of the call."""

    request: AccessRequest
    evidence: Evidence


@dataclass(frozen=True, slots=True)
class AccessRequests:
    """Records the steps of access requests. ``reading`` is the database without a write lock."""

    reading: Engine
    sources: DatasetSources
    callers: Callers
    commits: Commits
    looks: Looks
    clock: Timekeeper

    def submit(self, call: SignedCall, draft: Draft) -> TakenRequest:
        """Submit a request to the provider of a dataset, on behalf of the calling department.

        RefusedError ``asset.unknown``, ``asset.retired``, ``column.unknown``, ``caller.not-reader``; RequestError.
        """
        named = asset_text(draft.asset)
        with self.reading.connect() as connection:
            row = find_asset(connection, draft.asset)
            if row is None:
                raise RefusedError("asset.unknown", in_both("no asset {asset} is registered", asset=named))
            if row.status == "retired":
                raise RefusedError(
                    "asset.retired", in_both("{asset} is retired: nobody can grant it any more", asset=named)
                )
            columns = self.sources.stored(connection, draft.asset).schema.names()
        if any(name not in columns for name in draft.columns):
            raise RefusedError(
                "column.unknown", in_both("the asset has no such column"), {"pointer": "/columns"}
            )

        def step(connection: Connection) -> Step:
            return requests.submit(
                connection, draft, provider=row.holder, actor=call.key_id, now=self.clock.utc()
            )

        return self._taken(call, step)

    def refuse(self, call: SignedCall, request_id: UUID, reason: str, explanation: str) -> TakenRequest:
        """Refuse a request, for its provider.

        RefusedError ``not-found.request``, ``caller.not-party``, ``caller.not-reader``; RequestError.
        """
        _must_be_party(call, self._known(request_id).provider)

        def step(connection: Connection) -> Step:
            return requests.refuse(
                connection,
                request_id,
                reason=reason,
                explanation=explanation,
                actor=call.key_id,
                now=self.clock.utc(),
            )

        return self._taken(call, step)

    def withdraw(self, call: SignedCall, request_id: UUID) -> TakenRequest:
        """Withdraw a request, for its requester; refused as in `refuse`."""
        _must_be_party(call, self._known(request_id).draft.requester)

        def step(connection: Connection) -> Step:
            return requests.withdraw(connection, request_id, actor=call.key_id, now=self.clock.utc())

        return self._taken(call, step)

    def listed(
        self, call: SignedCall, side: Side, state: State | None, *, after: str | None, limit: int
    ) -> Page[AccessRequest]:
        """The requests in which the calling department is on this side; with an auditor's key this is a
        logged look."""
        if self.looks.audits(call):
            self.looks.note(call, "requests")
        mine = {side: call.department}
        with self.reading.connect() as connection:
            return requests.list_requests(connection, state=state, after=after, limit=limit, **mine)

    def _known(self, request_id: UUID) -> AccessRequest:
        with self.reading.connect() as connection:
            known = requests.find_request(connection, request_id)
        if known is None:
            raise RefusedError("not-found.request", in_both("no such request is recorded"))
        return known

    def _taken(self, call: SignedCall, step: Callable[[Connection], Step]) -> TakenRequest:
        """Commit a step of a request with its entry about this call. A repeated step is a call of its own,
        with its own entry."""
        self.callers.must_read(call)
        about = commit_to(call)

        def job(connection: Connection) -> JobResult[AccessRequest]:
            done = step(connection)
            event = (
                done.event if done.new else requests.repeated(done, actor=call.key_id, now=self.clock.utc())
            )
            return JobResult(done.request, [entry_about(event, about, *done.openings, fresh=not done.new)])

        committed = self.commits.commit_call(call, job)
        return TakenRequest(committed.value, Evidence(committed.receipts[0], about))


def _must_be_party(call: SignedCall, entitled: int) -> None:
    if call.department != entitled:
        raise RefusedError(
            "caller.not-party", in_both("only the provider refuses and only the requester withdraws")
        )
