"""The relations between seats, grants and assets, from the log's entries about the chain.

The projection has the same relations, but its rows can be changed by anyone who can write the database; entries cannot.
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping
from dataclasses import asdict, dataclass, field
from typing import Any, Self

from ledger.chain.limits import NOTHING
from ledger.ids import asset_text, condition_text, department_of

_USE = 2
"""The right of an emergency grant (use)."""

FORMS = frozenset(
    {
        "OfficerAdded", "AttestKeyAdded", "SeatRotated", "AssetRegistered", "AssetDerived", "ParentRenewed",
        "RightTransferred", "Granted", "GlassBroken", "Cancelled", "Replaced", "ConditionBound",
    }
)  # fmt: skip
"""The events that form a relation."""

ENDS = frozenset({"Revoked", "Cancelled", "Replaced"})
"""The events that end a grant."""


@dataclass(frozen=True, slots=True)
class KnownGrant:
    """A grant in the log. ``grantor`` is 0 when no known seat gives it."""

    asset: str
    grantee: int
    right: int
    grantor: int
    parent: str | None


@dataclass(slots=True)
class RelationsInLog:
    """Reads events in order. Unknown seats and grants are looked up in ``under``, if it is given."""

    under: RelationsInLog | None = None
    changes: int = 0
    """The number of relations formed so far."""
    _seats: dict[str, int] = field(default_factory=dict)
    _grants: dict[str, KnownGrant] = field(default_factory=dict)
    _rights: dict[str, list[int]] = field(default_factory=dict)
    _on: dict[str, set[str]] = field(default_factory=dict)
    _delegated: dict[str, set[str]] = field(default_factory=dict)
    _older: dict[str, set[str]] = field(default_factory=dict)
    _derived: dict[str, set[str]] = field(default_factory=dict)
    _derived_under: dict[str, set[str]] = field(default_factory=dict)
    _bound: dict[str, set[str]] = field(default_factory=dict)
    _ended: dict[str, str] = field(default_factory=dict)

    def take(self, event: str, args: Mapping[str, Any], entry: str = "") -> None:
        """Read the next event and its entry id. Integers may be texts, and lists may be JSON texts."""
        if event in ENDS:
            self._ended[entry or str(args["grant"])] = str(args["grant"])
            self.changes += 1
        if event not in FORMS:
            return
        self.changes += 1
        match event:
            case "OfficerAdded":
                self._seats[str(args["officer"])] = int(args["department"])
            case "AttestKeyAdded":
                self._seats[str(args["key"])] = int(args["department"])
            case "SeatRotated":
                self._seats[str(args["to"])] = int(args["department"])
            case "AssetRegistered":
                number = int(args["asset"])
                self._rights.setdefault(asset_text(number), [department_of(number)] * 3)
            case "RightTransferred":
                number = int(args["asset"])
                rights = self._rights.setdefault(asset_text(number), [department_of(number)] * 3)
                rights[int(args["right"]) - 1] = int(args["to"])
            case "AssetDerived":
                for parent, under in zip(_listed(args["parents"]), _listed(args["under"]), strict=True):
                    self._derive(int(args["asset"]), int(parent), str(under))
            case "ParentRenewed":
                self._derive(int(args["asset"]), int(args["parent"]), str(args["under"]))
            case "Replaced":
                _add(self._older, str(args["by"]), str(args["grant"]))
            case "ConditionBound":
                _add(self._bound, condition_text(int(args["condition"])), str(args["grant"]))
            case _:
                self._grant(event, args)

    def revert(self, entry: str) -> None:
        """Undo the event of this entry, which is no longer in the chain. A grant that it ended is active again. A relation
        that it formed is kept, because it can only make a denial affect more grants."""
        if self._ended.pop(entry, None) is not None:
            self.changes += 1

    def seat(self, holder: str) -> int | None:
        """The department of an address that holds, or held, a seat; None if unknown."""
        found = self._seats.get(holder)
        return found if found is not None or self.under is None else self.under.seat(holder)

    def grant(self, grant: str) -> KnownGrant | None:
        """A grant that was given, or cancelled in advance; None if unknown."""
        found = self._grants.get(grant)
        return found if found is not None or self.under is None else self.under.grant(grant)

    def revocable_by(self, department: int, grants: Iterable[str]) -> set[str]:
        """Those of these grants that are given under a right of this department."""
        return {one for one in grants if self._holder(self._grants.get(one)) == department}

    def reach(self, denied: Mapping[str, Iterable[str]]) -> frozenset[str]:
        """The grants that denials (targets by kind) affect: directly, by delegation, and as grants on assets that were
        derived under a denied grant."""
        departments = {int(number) for number in denied.get("department", ())}
        replaced = set(denied.get("replaced", ()))
        assets, grants = set(denied.get("asset", ())), set(denied.get("grant", ()))
        grants |= _all(self._bound, denied.get("condition", ()))
        ended = set(self._ended.values())
        if departments:
            grants |= {
                grant
                for grant, one in self._grants.items()
                if grant not in ended and (one.grantee in departments or self._holder(one) in departments)
            }
        while True:
            assets = _closure(assets | _all(self._derived_under, grants | replaced), self._derived)
            reached = self._below(grants | (_all(self._on, assets) - ended))
            if reached == grants:
                return frozenset(grants | replaced)
            grants = reached

    def to_json(self) -> dict[str, Any]:
        """The JSON form that `from_json` reads."""
        sets = {name: {key: sorted(some) for key, some in getattr(self, name).items()} for name in _SETS}
        grants = {grant: list(asdict(one).values()) for grant, one in self._grants.items()}
        return {
            **sets,
            "_seats": self._seats,
            "_rights": self._rights,
            "_ended": self._ended,
            "_grants": grants,
        }

    @classmethod
    def from_json(cls, document: Mapping[str, Any]) -> Self:
        """Read the form of `to_json`; raises ValueError, KeyError or TypeError."""
        made = cls()
        for name in _SETS:
            setattr(made, name, {str(key): set(map(str, some)) for key, some in document[name].items()})
        made._ended = {str(entry): str(grant) for entry, grant in document["_ended"].items()}
        made._seats = {str(holder): int(department) for holder, department in document["_seats"].items()}
        made._rights = {
            str(asset): [int(one) for one in rights] for asset, rights in document["_rights"].items()
        }
        made._grants = {str(grant): KnownGrant(*values) for grant, values in document["_grants"].items()}
        return made

    # -- inside

    def _derive(self, asset: int, parent: int, under: str) -> None:
        _add(self._derived, asset_text(parent), asset_text(asset))
        if under != NOTHING:
            _add(self._derived_under, under, asset_text(asset))

    def _grant(self, event: str, args: Mapping[str, Any]) -> None:
        grant, parent = str(args["grant"]), str(args.get("parent", NOTHING))
        one = KnownGrant(
            asset_text(int(args["asset"])),
            int(args.get("grantee", 0)),
            int(args.get("right", _USE if event == "GlassBroken" else 0)),
            self.seat(str(args["officer"])) or 0,
            None if parent == NOTHING else parent,
        )
        self._grants[grant] = one
        _add(self._on, one.asset, grant)
        if one.parent is not None:
            _add(self._delegated, one.parent, grant)

    def _holder(self, grant: KnownGrant | None) -> int | None:
        """The department under whose right a grant is given; None if unknown."""
        rights = self._rights.get(grant.asset) if grant is not None else None
        if grant is None or rights is None or not 1 <= grant.right <= 3:
            return None
        return rights[grant.right - 1]

    def _below(self, grants: set[str]) -> set[str]:
        """These grants and all grants delegated from them or from grants that they replaced."""
        found, edge = set(grants), set(grants)
        while edge:
            edge = _all(self._delegated, _closure(edge, self._older)) - found
            found |= edge
        return found


_SETS = ("_on", "_delegated", "_older", "_derived", "_derived_under", "_bound")


def _listed(value: Any) -> list[Any]:
    found = json.loads(value) if isinstance(value, str) else value
    return list(found)


def _add(where: dict[str, set[str]], key: str, value: str) -> None:
    where.setdefault(key, set()).add(value)


def _all(where: Mapping[str, set[str]], keys: Iterable[str]) -> set[str]:
    return set[str]().union(*(where[key] for key in keys if key in where))


def _closure(start: set[str], where: Mapping[str, set[str]]) -> set[str]:
    """The transitive closure: these items and all that are reachable from them."""
    found, edge = set(start), set(start)
    while edge:
        edge = _all(where, edge) - found
        found |= edge
    return found
