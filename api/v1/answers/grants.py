"""The transparency register."""

from __future__ import annotations

from typing import Annotated

from api.calls.standings import STANDINGS
from api.http.spellings import Address, Asset, Condition, Hash, Moment, one_of
from api.v1.answers.form import Answer, Document
from contracts.codes import ConditionKind, ConditionStatus, Right

Standing = Annotated[
    str, one_of((*STANDINGS, "not-yet", *(f"ancestor-{word}" for word in (*STANDINGS, "not-yet"))))
]


class BoundCondition(Answer):
    """A condition that a grant depends on."""

    id: Condition
    kind: Annotated[str, one_of(ConditionKind)]
    status: Annotated[str, one_of(ConditionStatus)]


class Grant(Answer):
    """A grant: its signed Terms and its status. ``grantee`` 0: every department.

    ``used`` is the number of its own uses, ``left`` the number that it and all its ancestors still permit
    (null: no limit). ``terms`` are the members of the signed Terms, empty for an emergency grant; numbers
    beyond 2^53 are decimal texts. ``chain_asked``: the chain answered; if not, this is the status at
    ``as_of_block``.
    """

    id: Hash
    asset: Asset
    grantor: int
    grantee: int
    right: Annotated[str, one_of(("none", *(word.name.lower().replace("_", "-") for word in Right)))]
    kind: str
    status: Standing
    not_before: int
    expiry: int
    left: int | None
    used: int
    uses_on_chain: int
    chain_asked: bool
    as_of_block: int
    granted_at: Moment
    officer: Address
    accepted_by: Address | None
    parent: Hash | None
    replaced_by: Hash | None
    conditions: list[BoundCondition]
    ended_at: Moment | None
    terms: dict[str, str | int]
    agreement: Document | None
