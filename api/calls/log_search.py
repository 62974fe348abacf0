"""An auditor's search of the log: first a logged look, then its pages.

A cursor is bound to the look that began its search: to the key and to the filters. So no page is shown
without a logged look. A search shows only entries before its look, so it ends even while the log grows.
"""

from __future__ import annotations

import hmac
import json
from collections.abc import Sequence
from dataclasses import asdict, dataclass, field
from datetime import datetime, timedelta

import orjson

from api.calls.looks import LOOK, Looks
from api.runtime.errors import RefusedError
from api.runtime.signed_call import SignedCall
from languages.texts import in_both
from ledger.audit.formats.errors import NoSuchEntry
from ledger.audit.formats.events import Decision
from ledger.audit.log.log import AuditLog
from ledger.audit.log.search import CursorInvalid, Found, Query
from ledger.clock import Timekeeper
from ledger.ids import IdError, parse_number

SEARCH_LASTS = timedelta(hours=1)
"""How long after its look a search may be continued; after that a new look is needed."""

_WHAT = "search"


@dataclass(frozen=True, slots=True)
class SearchPage:
    """A page of hits, and the cursor of the next page; None after the last one."""

    hits: Sequence[Found]
    next: str | None


@dataclass(frozen=True, slots=True)
class LogSearch:
    """Searches the log for auditors. ``secret`` (32 bytes) authenticates the cursors."""

    log: AuditLog
    looks: Looks
    clock: Timekeeper
    secret: bytes = field(repr=False)

    def page(
        self,
        call: SignedCall,
        cursor: str | None,
        limit: int,
        *,
        department: int | None = None,
        actor: str | None = None,
        asset: str | None = None,
        grant: str | None = None,
        purpose: str | None = None,
        decision: Decision | None = None,
        type_prefix: str | None = None,
        since: datetime | None = None,
        until: datetime | None = None,
    ) -> SearchPage:
        """The entries that match all these filters (`Query`); a department's auditor finds only those of the
        own department.

        RefusedError ``caller.not-auditor``; CursorInvalid for a cursor of another search or of an expired
        one.
        """
        own = self.looks.must_audit(call)
        if own is not None and department not in (None, own):
            raise RefusedError("caller.not-auditor", in_both("this key audits its own department only"))
        query = Query(
            department=own if own is not None else department,
            actor=actor,
            asset=asset,
            grant=grant,
            purpose=purpose,
            decision=decision,
            type_prefix=type_prefix,
            since=since,
            until=until,
        )
        if cursor is None:
            after, look = None, self.looks.note(call, _WHAT)
        else:
            after, look = self._continued(call, query, cursor)
        found = self.log.search(query, cursor=after, limit=limit)
        hits = [hit for hit in found.hits if hit.index < look]
        more = found.cursor is not None and len(hits) == len(found.hits)
        return SearchPage(hits, f"{found.cursor}-{look}-{self._bound(call, query, look)}" if more else None)

    def _bound(self, call: SignedCall, query: Query, look: int) -> str:
        """The MAC that binds a cursor to one look: over the key, the entry of the look and the filters."""
        content = json.dumps([call.key_id, look, asdict(query)], default=str).encode()
        return hmac.digest(self.secret, b"civic search cursor" + content, "sha256").hex()[:32]

    def _continued(self, call: SignedCall, query: Query, cursor: str) -> tuple[str, int]:
        """The entry after which a search continues, and the entry of its look, which must be by this key, for
        the same filters, and not older than `SEARCH_LASTS`."""
        after, _, rest = cursor.partition("-")
        look, _, bound = rest.partition("-")
        try:
            entry = parse_number(look)
            if not hmac.compare_digest(bound.encode(), self._bound(call, query, entry).encode()):
                raise IdError("a cursor of another search")
            event = orjson.loads(self.log.entry(entry).leaf or b"{}")
        except (IdError, NoSuchEntry) as missing:
            raise CursorInvalid(
                "not a cursor of this search", hint="start again without a cursor"
            ) from missing
        if (event.get("type"), event.get("service")) != (f"{LOOK}{_WHAT}", call.key_id):
            raise CursorInvalid("not a cursor of a search by this key", hint="start again without a cursor")
        if self.clock.utc() - datetime.fromisoformat(str(event["time"])) > SEARCH_LASTS:
            raise CursorInvalid("the search is over", hint="start again without a cursor")
        return after, entry
