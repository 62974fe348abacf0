"""The second part of a call: nonce, charge, release and entries in one commit. The first byte is sent after
it.

If the charge fails, the commit records a refusal instead.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import TypeAlias
from uuid import UUID, uuid4

from sqlalchemy import Connection

from access_policy.privacy.execution.encoding import AnswerFormat
from api.calls.buffering import Broken, Buffered
from api.calls.candidate_grants import GrantSources
from api.calls.decisions import Denied, Permitted, denial_entry, permit_entry
from api.calls.evidence import Evidence, commit_to
from api.calls.releases import Charged, ended
from api.calls.repeats import Again, Before, Repeats
from api.runtime.call_nonces import CallNonces
from api.runtime.commits import Commits
from api.runtime.errors import RefusedError
from api.runtime.signed_call import SignedCall
from api.runtime.withholding import Withholding
from languages.texts import in_both
from ledger import releases
from ledger.audit.log.append import NewEntry
from ledger.audit.log.writer import JobResult
from ledger.clock import Timekeeper
from ledger.ids import asset_text
from ledger.outbox.denials import REVOKED
from ledger.projection.call_grants import ended_grants
from ledger.projection.queries import service_key
from ledger.releases import Release


@dataclass(frozen=True, slots=True)
class Refused:
    """An attempt whose decision is a refusal; it is logged."""

    decision: Denied


@dataclass(frozen=True, slots=True)
class Replayed:
    """A permitted call whose nonce was already used: no data were read for it."""

    decision: Permitted


@dataclass(frozen=True, slots=True)
class Prepared:
    """A permitted call with its answer as far as it was read, or with the failure of the answer."""

    decision: Permitted
    answer: Buffered | Broken


Attempt: TypeAlias = Refused | Replayed | Prepared


@dataclass(frozen=True, slots=True)
class NotCharged:
    """The outcome of a call that was refused; the refusal is logged."""

    denied: Denied
    evidence: Evidence


@dataclass(frozen=True, slots=True)
class _Opened:
    """The committed state of a call that may be answered."""

    release: Release
    answer: Buffered
    outcomes: int = 0
    repeated: bool = False


@dataclass(frozen=True, slots=True)
class Charging:
    """Commits attempts."""

    commits: Commits
    nonces: CallNonces
    withholding: Withholding
    grants: GrantSources
    repeats: Repeats
    clock: Timekeeper

    def charge(
        self, call: SignedCall, attempt: Attempt, entry_id: UUID, media: AnswerFormat, again: Again | None
    ) -> Charged | NotCharged:
        """Commit an attempt. ``entry_id`` is the id of its entry, ``again`` its idempotency key.

        RefusedError, without an entry, if the key was removed meanwhile or no data may be released;
        ``release.in-progress`` while the first call with the idempotency key is being answered.
        """
        charge = _Charge(self, call, attempt, entry_id, media, again)
        done = self.commits.commit(charge.job)
        evidence, value = Evidence(done.receipts[0], charge.about), done.value
        if isinstance(value, Denied):
            return NotCharged(value, evidence)
        return Charged(value.release, evidence, value.answer, value.outcomes, value.repeated)


class _Charge:
    """One commit of a call; ``about`` is the commitment to the call in its entry."""

    def __init__(
        self,
        parts: Charging,
        call: SignedCall,
        attempt: Attempt,
        entry_id: UUID,
        media: AnswerFormat,
        again: Again | None,
    ) -> None:
        self._parts, self._call, self._attempt = parts, call, attempt
        self._entry_id, self._media, self._again = entry_id, media, again
        self._release_id = str(uuid4())
        self.about = commit_to(call)

    def job(self, connection: Connection) -> JobResult[Denied | _Opened]:
        """Nonce, charge, release and entries, or the entry of the refusal."""
        attempt = self._attempt
        self._must_be_registered(connection)
        if isinstance(attempt, Prepared):  # The state may have changed while the answer was read.
            self._parts.withholding.must_be_able_to_release()
        spent = not self._parts.nonces.claim(connection, self._call)
        if spent or isinstance(attempt, Replayed):
            return self._refused(attempt.decision.denied("call.replayed"))
        self._must_not_be_in_progress(connection, attempt.decision.considered.before)
        if isinstance(attempt, Refused):
            return self._refused(attempt.decision)
        return self._prepared(connection, attempt.decision, attempt.answer)

    def _must_be_registered(self, connection: Connection) -> None:
        """Check the key again at commit, so that no entry of a key follows the entry of its removal."""
        key = bytes.fromhex(self._call.public_key)
        if service_key(connection, self._call.department, key, self._parts.clock.utc()) is None:
            raise RefusedError(
                "signature.unknown-key",
                in_both("the key was removed, or its department suspended, meanwhile"),
            )

    def _must_not_be_in_progress(self, connection: Connection, before: Before | None) -> None:
        if self._again is None:
            return
        now = releases.find_by_idempotency(connection, self._call.key_id, self._again.key)
        if now != (before.release if before else None) or (now and now.state == "streaming"):
            raise RefusedError(
                "release.in-progress",
                in_both("the first call with this idempotency key is still being answered"),
            )

    def _prepared(
        self, connection: Connection, permitted: Permitted, answer: Buffered | Broken
    ) -> JobResult[Denied | _Opened]:
        considered, grant = permitted.considered, permitted.grant
        above = tuple(one for one, _ in considered.grants.ancestors.get(grant, ()))
        denied = self._parts.grants.revocations.of(connection, committed=False)
        why = next((denied[one] for one in (grant, *above) if one in denied), None)
        if why is not None or ended_grants(connection, grant, above):
            return self._refused(permitted.denied(f"grant.{why or REVOKED}"))
        if isinstance(answer, Broken):
            return self._refused(permitted.denied(considered.source.gone or answer.code))
        if considered.before is not None:
            return self._resumed(connection, permitted, answer, considered.before)
        bound, uses = considered.grants.bounds[grant], self._parts.grants.uses
        if not self._still_permitted(connection, permitted) or not uses.charge(
            connection, grant, bound.max_uses, considered.context.now, bound.uses
        ):
            return self._refused(permitted.denied("uses.taken"))
        return self._opened(connection, permitted, answer)

    def _still_permitted(self, connection: Connection, permitted: Permitted) -> bool:
        """Whether the decision is still the same with the uses recorded since it was made.

        The slot counts all uses of the grant together. Only the engine knows the other limits of the terms:
        those of one permission and those of the ancestors of a delegated grant.
        """
        considered = permitted.considered
        context, grants = considered.context, considered.grants
        charges = self._parts.grants.charges(connection, [grants.standing[permitted.grant]])
        newer = {grant: one for grant, one in charges.items() if one.used != context.used.get(grant, 0)}
        if not newer:
            return True
        used = {**context.used, **{grant: one.used for grant, one in newer.items()}}
        now = context.now  # Of two first uses, the later one may have been committed first.
        first = {**context.first_used, **{grant: min(one.first, now) for grant, one in newer.items()}}
        later = replace(context, used=used, first_used=first)
        return grants.engine.decide(considered.request, later) == permitted.outcome

    def _opened(
        self, connection: Connection, permitted: Permitted, answer: Buffered
    ) -> JobResult[Denied | _Opened]:
        """Open a new release: its decision, and its outcome if the answer is complete."""
        considered, again = permitted.considered, self._again
        binding = () if again is None else (permitted.bound(again.request).opening(answer.subject),)
        release = Release(
            id=self._release_id,
            key_id=self._call.key_id,
            idempotency_key=again.key if again else self._own_key(),
            request_hash=binding[0].digest if binding else "",
            department=self._call.department,
            asset=asset_text(considered.asset),
            grant_id=permitted.grant,
            purpose=considered.ask.purpose,
            action=considered.ask.action,
            plan_hash=permitted.plan.hash,
            media_type=self._media,
            state="streaming",
            entry_id=str(self._entry_id),
            charged_at=considered.context.now,
            version=considered.source.version,
            metadata_hash=considered.source.metadata_hash,
        )
        entries = [
            permit_entry(self._entry_id, self._call, permitted, self.about, *binding, release_id=release.id)
        ]
        if answer.complete:
            release, outcome = ended(release, answer, self._parts.clock.utc(), 0)
            entries.append(outcome)
        releases.open_release(connection, release)
        return JobResult(_Opened(release, answer), entries)

    def _own_key(self) -> str:
        """The release's own id, hashed like an idempotency key, so that no caller can use it as one."""
        return self._parts.repeats.kept_key(self._call.key_id, self._release_id)

    def _resumed(
        self, connection: Connection, permitted: Permitted, answer: Buffered, before: Before
    ) -> JobResult[Denied | _Opened]:
        """The release of a repeated idempotency key: done, or resumed after it was aborted. It is not charged
        again."""
        release = before.release
        entries: list[NewEntry] = [
            permit_entry(
                self._entry_id, self._call, permitted, self.about, release_id=release.id, repeated=True
            )
        ]
        if release.state == "done":
            return JobResult(_Opened(release, answer, before.outcomes, repeated=True), entries)
        again = replace(release, state="streaming")
        releases.move(connection, release.id, "streaming")
        if not answer.complete:
            return JobResult(_Opened(again, answer, before.outcomes), entries)
        over, outcome = ended(again, answer, self._parts.clock.utc(), before.outcomes)
        releases.end(connection, over)
        return JobResult(_Opened(over, answer, before.outcomes), [*entries, outcome])

    def _refused(self, denied: Denied) -> JobResult[Denied | _Opened]:
        return JobResult(denied, [denial_entry(self._entry_id, self._call, denied, self.about)])
