"""The reasons for which no data may be released at present, for any caller."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

from api.runtime.errors import RefusedError
from api.runtime.following import Following
from api.runtime.newer_heads import NewerHeads
from languages.texts import in_both
from ledger.audit.formats.errors import RollbackDetected
from ledger.audit.outside.anchor import Anchorer
from ledger.clock import Timekeeper


@dataclass(frozen=True, slots=True)
class Withholding:
    """Decides whether data may be released, and whether the log may be written."""

    newer: NewerHeads
    anchorer: Anchorer
    following: Following
    clock: Timekeeper

    def why(self) -> RefusedError | None:
        """The code of the reason for which no data may be released now; None if they may. A call is refused with
        it, and a running answer ends with it."""
        return next((reason for _, reason in self.reasons()), None)

    def reasons(self) -> Iterator[tuple[str, RefusedError]]:
        """Every reason for which no data may be released now, each with the part of the service that it concerns; the
        first one is that of `why`.

        ``audit.rollback`` (log) if a caller has shown a head of this log that is newer than the log; the chain's
        codes (`must_reach_chain`); ``projection.behind`` if the projection was not level with the chain for too
        long; ``clock.behind`` or ``clock.ahead`` while the machine's clock is in doubt; ``anchor.failing`` if the log
        was not anchored for too long.
        """
        if (older := self._why_older()) is not None:
            yield "log", older
        if (unreached := self._why_unreached()) is not None:
            yield "chain", unreached
        if (behind := self.following.why_behind()) is not None:
            yield "projection", behind
        if (doubt := self.clock.doubt()) is not None:
            yield "clock", RefusedError(doubt.code, f"{doubt}; nothing is released")
        if self.anchorer.overdue():
            yield (
                "anchors",
                RefusedError(
                    "anchor.failing",
                    in_both("the log could not be anchored for too long; nothing is released"),
                ),
            )

    def must_be_able_to_release(self) -> None:
        """Raise the error of `why` if there is one."""
        if (withheld := self.why()) is not None:
            raise withheld

    def must_be_newest(self) -> None:
        """RefusedError ``audit.rollback`` if a caller has shown a head of this log that is newer than the log."""
        if (older := self._why_older()) is not None:
            raise older

    def must_reach_chain(self) -> None:
        """RefusedError ``chain.unreachable`` if the chain was unreachable for too long, or contradicts the log."""
        if (unreached := self._why_unreached()) is not None:
            raise unreached

    def _why_older(self) -> RefusedError | None:
        try:
            self.newer.must_be_none()
        except RollbackDetected as older:
            return RefusedError(older.code, older.message)
        return None

    def _why_unreached(self) -> RefusedError | None:
        if self.anchorer.releases_allowed():
            return None
        return RefusedError(
            "chain.unreachable",
            in_both("the chain is out of reach or contradicts the log; nothing new is released"),
        )
