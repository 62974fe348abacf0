"""What a received revocation denies before the chain has heard of it, and what a lost one still denies.

A valid signed Revoke takes effect on reads when it is received, and holds until its event is recorded (then the
grant itself is dead) or the contract refuses it. It holds also when its deadline passed before the chain could be
reached: the officer's will is known, and only a message that the chain never saw is too old. Suspensions of an
asset or department and removals of keys hold while they are on their way. What an act took away that is lost with a
chain is denied until it is signed again (`ledger.outbox.holds`).
"""

from __future__ import annotations

from collections.abc import Mapping
from types import MappingProxyType

from sqlalchemy import Connection, Table, or_, select

from ledger.ids import asset_text
from ledger.outbox.acts import SignedAct
from ledger.outbox.holds import held_targets
from ledger.store.prepared import Prepared
from ledger.store.tables.outbox import OutboxActRow, OutboxDenialRow
from ledger.store.tables.projection import AssetParentRow, AssetRow, GrantRow, ProjectionCursorRow

_acts: Table = OutboxActRow.__table__  # type: ignore[attr-defined]
_denials: Table = OutboxDenialRow.__table__  # type: ignore[attr-defined]
_grants: Table = GrantRow.__table__  # type: ignore[attr-defined]
_assets: Table = AssetRow.__table__  # type: ignore[attr-defined]
_parents: Table = AssetParentRow.__table__  # type: ignore[attr-defined]
_cursors: Table = ProjectionCursorRow.__table__  # type: ignore[attr-defined]

GRANT_ACTIVE = 1

REVOCATIONS = ("Revoke", "RevokeBatch")

REVOKED, LOST_ACT = "revoked", "lost-act"
"""Why a grant must not be used: a revocation is on its way, or an act about it is lost."""

_NOTHING: Mapping[str, str] = MappingProxyType({})

_PENDING = Prepared(
    select(_denials.c.kind, _denials.c.target)
    .join(_acts, _acts.c.digest == _denials.c.digest)
    .where(
        _acts.c.state.in_(("received", "submitted", "mined"))
        | ((_acts.c.state == "expired") & _acts.c.type.in_(REVOCATIONS))
    )
)
"""Every call asks this at least twice."""

_VERSION = Prepared(select(_cursors.c.version).where(_cursors.c.id == 1))


def denials_of(act: SignedAct) -> list[tuple[str, str]]:
    """What an act denies: pairs of kind (grant, asset, department, key) and target; empty where it denies nothing."""
    message = act.message
    match act.type:
        case "Revoke" | "Cancel":
            return [("grant", message["grant"])]
        case "RevokeBatch":
            return [("grant", grant) for grant in dict.fromkeys(message["grants"])]
        case "SuspendAsset" | "RetireAsset":
            return [("asset", asset_text(message["asset"]))]
        case "SuspendDepartment":
            return [("department", str(message["department"]))]
        case "RemoveServiceKey":
            return [("key", f"{message['department']}:{message['key']}")]
    return []


def pending_revocations(connection: Connection) -> Mapping[str, str]:
    """Ids of the grants that must not be used although the chain still calls them live, and why (`REVOKED`, `LOST_ACT`).

    Those named by a revocation on its way, those on an asset, to a department or under a department's right whose
    suspension is on its way, and everything that was delegated or derived from them; and the same for acts that are lost.
    """
    return _denied(connection, _pending(connection), _held(connection))


def _denied(
    connection: Connection, pending: dict[str, set[str]], held: dict[str, set[str]]
) -> Mapping[str, str]:
    found = dict.fromkeys(_reach(connection, held), LOST_ACT) if held else {}
    return found | dict.fromkeys(_reach(connection, pending), REVOKED) if pending else found


class PendingRevocations:
    """`pending_revocations` for the call path of one database: worked out once for each state of outbox and
    projection. Thread-safe."""

    def __init__(self) -> None:
        self._known: tuple[object, Mapping[str, str]] = (None, _NOTHING)

    def of(self, connection: Connection, *, committed: bool = True) -> Mapping[str, str]:
        """Ids of the grants that must not be used although the chain still calls them live, and why.

        ``committed``: the connection sees nothing that may still be undone; otherwise the answer is not kept.
        """
        pending, held = _pending(connection), _held(connection)
        if not pending and not held:
            return _NOTHING
        state = (pending, held, _VERSION.rows(connection))
        known, found = self._known
        if known != state:
            found = _denied(connection, pending, held)
            if committed:
                self._known = (state, found)
        return found


def _reach(connection: Connection, pending: dict[str, set[str]]) -> frozenset[str]:
    """The grants that denials touch, directly or through what stands between."""
    assets = _derived(connection, pending.get("asset", set()))
    departments = [int(number) for number in pending.get("department", ())]
    found = set(pending.get("grant", ()))
    if assets or departments:
        holding = [
            (_grants.c.right == right) & _assets.c[column].in_(departments)
            for right, column in enumerate(("holder", "processor", "operator"), 1)
        ]
        found |= set(
            connection.execute(
                select(_grants.c.id)
                .join(_assets, _assets.c.id == _grants.c.asset)
                .where(
                    _grants.c.state == GRANT_ACTIVE,
                    or_(_grants.c.asset.in_(assets), _grants.c.grantee.in_(departments), *holding),
                )
            ).scalars()
        )
    return frozenset(_delegated(connection, found))


def pending_callers(connection: Connection) -> tuple[frozenset[int], frozenset[tuple[int, str]]]:
    """Departments whose suspension, and service keys (department, key) whose removal, is on its way or lost: whoever
    calls as one of them is refused."""
    pending, held = _pending(connection), _held(connection)
    keys = (target.split(":") for denied in (pending, held) for target in denied.get("key", ()))
    return (
        frozenset(int(number) for denied in (pending, held) for number in denied.get("department", ())),
        frozenset((int(department), key) for department, key in keys),
    )


def _pending(connection: Connection) -> dict[str, set[str]]:
    """Targets by kind of every denial whose act is not decided yet."""
    found: dict[str, set[str]] = {}
    for kind, target in _PENDING.rows(connection):
        found.setdefault(kind, set()).add(target)
    return found


def _held(connection: Connection) -> dict[str, set[str]]:
    """Targets by kind of everything that an act took away which is lost."""
    return {kind: set(targets) for kind, targets in held_targets(connection).items()}


def _derived(connection: Connection, assets: set[str]) -> set[str]:
    """These assets and all that were derived from them."""
    found, edge = set(assets), set(assets)
    while edge:
        children = connection.execute(select(_parents.c.asset).where(_parents.c.parent.in_(edge))).scalars()
        edge = set(children) - found
        found |= edge
    return found


def _delegated(connection: Connection, grants: set[str]) -> set[str]:
    """These grants and all that were delegated from them."""
    found, edge = set(grants), set(grants)
    while edge:
        children = connection.execute(select(_grants.c.id).where(_grants.c.parent.in_(edge))).scalars()
        edge = set(children) - found
        found |= edge
    return found
