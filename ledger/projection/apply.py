"""What an event changes: a pure function from an event and the rows it touches to the rows after it.

`apply` does no I/O: it asks a reader for rows by key and answers with whole rows. The follower runs it over the
database, a rebuild over memory; both get the same rows. Numbers are those of ``contracts/src/types/Codes.sol``.
"""

from __future__ import annotations

from collections.abc import Mapping

from ledger.chain.events import Event
from ledger.projection.rows import Changes, ProjectionError, Rule, StateReader, history
from ledger.projection.rules import anchors, assets, conditions, council, grants, offices

COST_POOLS = (
    "Budgeted",
    "StatementCommitted",
    "StatementSuperseded",
    "Objected",
    "LinesShown",
    "DisputeRaised",
    "DisputeClosed",
    "Settled",
    "StatementFinal",
)
"""The cost pools' books are `ledger.costs`' matter; here their events only make history."""

RULES: Mapping[str, Rule] = {
    **offices.RULES,
    **council.RULES,
    **assets.RULES,
    **grants.RULES,
    **anchors.RULES,
    **conditions.RULES,
    **dict.fromkeys(COST_POOLS, history),
}
"""The rule for every event of the contracts; a test holds it against the ABI."""


def apply(event: Event, state: StateReader) -> Changes:
    """The rows that ``event`` changes, whole; empty for an event that only makes history.

    Raises `ProjectionError` for an event that this version does not know, or of a row that is missing.
    """
    try:
        rule = RULES[event.name]
    except KeyError:
        raise ProjectionError(f"no rule for the event {event.name}", hint="upgrade the ledger") from None
    return rule(event, event.args, state)
