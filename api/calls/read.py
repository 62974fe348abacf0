"""A read: it is decided, buffered, charged and logged before the first byte is sent.

The order is essential: grants recomputed and live, decision, plan, the answer in the buffer, then nonce,
charge, release and entries in one commit, and then the first byte.
"""

from __future__ import annotations

from contextlib import ExitStack
from dataclasses import dataclass
from uuid import UUID

from access_policy.privacy.execution.encoding import AnswerFormat, media_type
from api.calls.buffering import Buffered, Buffering
from api.calls.charge import Attempt, Charging, NotCharged, Prepared, Refused, Replayed
from api.calls.decide import Decisions
from api.calls.decisions import Ask, Decision, Denied
from api.calls.persons import subject_of
from api.calls.releases import Charged
from api.calls.repeats import CHANGED, Again, request_digest
from api.runtime.errors import RefusedError
from api.runtime.signed_call import SignedCall
from api.runtime.withholding import Withholding
from languages.texts import in_both
from ledger.audit.formats.events import new_event_id


@dataclass(frozen=True, slots=True)
class Reads:
    """The parts of a read."""

    decisions: Decisions
    buffering: Buffering
    charging: Charging
    withholding: Withholding

    def charge(
        self, call: SignedCall, ask: Ask, media: AnswerFormat, idempotency_key: str | None
    ) -> Charged | NotCharged:
        """Decide, buffer the answer, and commit nonce, charge, release and entries together.

        `NotCharged` with a receipt for a denial, also for ``source.changed`` (the file is not the signed one)
        and ``scan.failed`` (the data cannot be read): a call that fails before the first byte is never
        charged. RefusedError, without an entry: ``scan.busy`` if no scanning process is free,
        ``request.format`` if the call states another format than ``media``.
        """
        _must_be_stated(ask, media)
        self.withholding.must_be_able_to_release()
        again = None
        if idempotency_key is not None:
            kept = self.decisions.repeats.kept_key(call.key_id, idempotency_key)
            again = Again(kept, _request(ask, media))
        decision, entry_id = self.decisions.decide(call, ask, again), new_event_id()
        with ExitStack() as unsent:
            attempt = self._attempt(call, decision, media, entry_id, unsent)
            outcome = self.charging.charge(call, attempt, entry_id, media, again)
            if isinstance(outcome, Charged):
                unsent.pop_all()
            return outcome

    def _attempt(
        self, call: SignedCall, decision: Decision, media: AnswerFormat, entry_id: UUID, unsent: ExitStack
    ) -> Attempt:
        """The attempt to commit, with the answer of a permitted call, which ``unsent`` closes."""
        if isinstance(decision, Denied):
            return Refused(decision)
        considered = decision.considered
        considered.source.must_be_readable()
        if considered.replayed:
            return Replayed(decision)
        before = considered.before
        subject = subject_of(considered.asset, considered.source.schema, considered.query, entry_id)
        must_give = before.response if before is not None else None
        answer = self.buffering.buffer(call, decision, media, subject, must_give)
        if isinstance(answer, Buffered):
            unsent.callback(answer.close)
            if before is not None and not answer.fits(before):
                answer.close()
                return Refused(decision.denied(CHANGED))
        return Prepared(decision, answer)


def _must_be_stated(ask: Ask, answer: AnswerFormat) -> None:
    """A call states its own attributes, but the service knows the format of the answer. Without this check a
    call could state CSV to satisfy the terms and receive JSON."""
    stated = ask.attributes.get("fileFormat")
    if stated is not None and (not isinstance(stated, str) or stated.lower() != media_type(answer)):
        raise RefusedError(
            "request.format",
            in_both(
                "the call states another fileFormat than its answer has: {answer}", answer=media_type(answer)
            ),
        )


def _request(ask: Ask, media: AnswerFormat) -> str:
    """The digest of all members of a request."""
    return request_digest(
        {
            "asset": ask.asset,
            "purpose": ask.purpose,
            "action": ask.action,
            "query": dict(ask.query),
            "grant": ask.grant,
            "attributes": dict(ask.attributes),
            "media_type": media,
            **({} if ask.version is None else {"version": ask.version}),
        }
    )
