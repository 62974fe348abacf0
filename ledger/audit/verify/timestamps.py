"""RFC 3161 timestamps in a bundle: the heads that they cover, and whether a service that the auditor trusts signed them."""

from __future__ import annotations

from dataclasses import dataclass

from ledger.audit.formats.errors import NoteInvalid
from ledger.audit.formats.note import unb64
from ledger.audit.verify.bundle import TIMESTAMPS, Bundle
from ledger.audit.verify.strict import take
from ledger.audit.verify.tokens import TimestampInvalid, TimestampsUnavailable, check_token, must_be_over
from ledger.audit.verify.trust import Trust
from ledger.audit.verify.verdict import TimestampWord, tampered
from ledger.counts import counted


@dataclass(frozen=True, slots=True)
class TimestampOutcome:
    """The result of checking the tokens: the word of the verdict, the matched services, and remarks."""

    word: TimestampWord
    matched: tuple[str, ...] = ()
    remarks: tuple[str, ...] = ()


def check_timestamps(bundle: Bundle, trust: Trust | None = None) -> TimestampOutcome:
    """Check that each token covers the head of its size; raises `Tampered`.

    When the trust file pins services (``timestamp_roots``), each token must be signed by one of them and there must be
    at least one token: an operator could otherwise leave out a token that contradicts him. Without pinned services, or
    without the extra ``timestamps``, the result is *timestamp not checked*.
    """
    heads = {signed.size: signed for signed, _ in bundle.history} | {bundle.size: bundle.checkpoint}
    tokens: list[tuple[int, bytes]] = []
    for item in bundle.timestamps:
        take(item, {"size": int, "token": str}, TIMESTAMPS, "a timestamp")
        if item["size"] not in heads:
            raise tampered("timestamp.changed", "a timestamp of a head that is not here", TIMESTAMPS)
        if tokens and tokens[-1][0] >= item["size"]:
            raise tampered("timestamp.changed", "timestamps are not in order", TIMESTAMPS)
        try:
            tokens.append((item["size"], unb64(item["token"], "a timestamp token")))
        except NoteInvalid as error:
            raise tampered("timestamp.changed", str(error), TIMESTAMPS) from error
    roots = trust.timestamp_roots if trust else ()
    if not tokens:
        if roots:
            raise tampered("trust.timestamp", "no head has a timestamp of a pinned service", TIMESTAMPS)
        return TimestampOutcome("no timestamp")
    present = f"{len(tokens)} RFC 3161 timestamps present, not checked"
    matched: list[str] = []
    for size, token in tokens:
        text = heads[size].note.text
        try:
            moment = check_token(text, token, roots) if roots else must_be_over(text, token)
        except TimestampsUnavailable as absent:
            return TimestampOutcome("timestamp not checked", remarks=(f"{present}: {absent.hint}",))
        except TimestampInvalid as error:
            raise tampered(
                "trust.timestamp" if roots else "timestamp.changed",
                f"the timestamp of the head of size {size}: {error.message}",
                TIMESTAMPS,
            ) from error
        matched.append(
            f"a timestamp of {moment.isoformat()} over the first {counted(size, 'entry', 'entries')}"
        )
    if not roots:
        remark = f"{present}: the trust file pins no timestamp service" if trust else present
        return TimestampOutcome("timestamp not checked", remarks=(remark,))
    more = [f"{len(matched) - 1} earlier timestamps"] if len(matched) > 1 else []
    return TimestampOutcome("timestamp checked", (matched[-1], *more))
