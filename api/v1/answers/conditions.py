"""Conditions that grants depend on outside the chain."""

from __future__ import annotations

from typing import Annotated

from api.http.spellings import Address, Hash, Moment, one_of
from api.http.spellings import Condition as ConditionId
from api.v1.answers.form import Answer
from contracts.codes import ConditionKind, ConditionStatus


class Condition(Answer):
    """A condition, of which only the salted hash is public."""

    id: ConditionId
    keeper: int
    kind: Annotated[str, one_of(ConditionKind)]
    status: Annotated[str, one_of(ConditionStatus)]
    held: bool
    commitment: Hash
    opened_at: Moment
    officer: Address
    ended_at: Moment | None
    ended_by: str | None
    reason: int | None


class ConditionDetail(Condition):
    """A condition with the grants that are bound to it."""

    grants: list[Hash]
