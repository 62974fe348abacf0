"""Page parameters that every list shares: ``limit`` (1 to 200, default 50) and an opaque ``cursor``."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from typing import Annotated, Any, TypeVar

from fastapi import Query

from api.v1.parameters import Number

T = TypeVar("T")

Cursor = Annotated[str | None, Query(max_length=200, description="from the `next` of the page before")]
Limit = Annotated[Number, Query(ge=1, le=200, description="items on a page")]


def page(items: Iterable[T], following: str | None, render: Callable[[T], dict[str, Any]]) -> dict[str, Any]:
    """``{"items": [...], "next": cursor or null}``."""
    return {"items": [render(item) for item in items], "next": following}
