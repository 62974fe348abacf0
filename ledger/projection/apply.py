"""The effect of an event: a pure function from an event and the rows before it to the rows after it.

`apply` does no I/O: it reads rows by key from a reader and returns whole rows. The follower uses it with the database, a
rebuild with rows in memory; the results are the same. Codes are those of ``contracts/src/types/Codes.sol``.
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
"""Events of the cost pools. They are stored in the history only and change no row."""

RULES: Mapping[str, Rule] = {
    **offices.RULES,
    **council.RULES,
    **assets.RULES,
    **grants.RULES,
    **anchors.RULES,
    **conditions.RULES,
    **dict.fromkeys(COST_POOLS, history),
}
"""The rule for every event of the contracts; a test compares it with the ABI."""


def apply(event: Event, state: StateReader) -> Changes:
    """The rows that ``event`` changes, with all columns; empty for an event that is stored in the history only.

    Raises `ProjectionError` for an event that this version does not know, or when a row is missing.
    """
    try:
        rule = RULES[event.name]
    except KeyError:
        raise ProjectionError(f"no rule for the event {event.name}", hint="upgrade the ledger") from None
    return rule(event, event.args, state)
