"""Queries of the projection for conditions and the grants that are bound to them."""

from __future__ import annotations

from collections.abc import Iterable

from sqlalchemy import Connection, select, tuple_

from ledger.ids import condition_text
from ledger.pages import Page, check_limit, number_cursor, page_of
from ledger.projection.views import Condition, condition_of
from ledger.store.tables import projection as rows
from ledger.store.tables import table_of

_conditions = table_of(rows.ConditionRow)
_bindings = table_of(rows.GrantConditionRow)


def condition(connection: Connection, number: int) -> Condition | None:
    """The condition with this number on chain; None when it is not recorded."""
    query = select(_conditions).where(_conditions.c.id == condition_text(number))
    row = connection.execute(query).mappings().one_or_none()
    return None if row is None else condition_of(row)


def conditions(
    connection: Connection, *, keeper: int | None = None, after: str | None = None, limit: int = 50
) -> Page[Condition]:
    """One page of conditions, ordered by keeper and by the keeper's own sequence."""
    order = (_conditions.c.keeper, _conditions.c.sequence)
    query = select(_conditions).order_by(*order).limit(check_limit(limit) + 1)
    if keeper is not None:
        query = query.where(_conditions.c.keeper == keeper)
    if after is not None:
        first, _, second = after.partition(".")
        query = query.where(tuple_(*order) > tuple_(number_cursor(first), number_cursor(second)))
    found = [condition_of(row) for row in connection.execute(query).mappings()]
    return page_of(found, limit, lambda one: one.id)


def conditions_of(connection: Connection, grant: str) -> list[Condition]:
    """The conditions of a grant, in the order in which they were bound to it."""
    query = (
        select(_conditions)
        .join(_bindings, _bindings.c.condition == _conditions.c.id)
        .where(_bindings.c.grant == grant)
        .order_by(_bindings.c.place)
    )
    return [condition_of(row) for row in connection.execute(query).mappings()]


def bound_to(connection: Connection, texts: Iterable[str]) -> list[str]:
    """The ids of the grants that are bound to any of these conditions (texts such as ``3.1``)."""
    query = (
        select(_bindings.c.grant).where(_bindings.c.condition.in_(list(texts))).order_by(_bindings.c.grant)
    )
    return [str(grant) for grant in connection.execute(query).scalars()]
