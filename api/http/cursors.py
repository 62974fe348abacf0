"""Page parameters that every list shares: ``limit`` (1 to 200, default 50) and an opaque ``cursor``."""

from __future__ import annotations

from typing import Annotated

from annotated_types import Ge, Le
from fastapi import Query

from api.http.parameters import NUMBER

Cursor = Annotated[str | None, Query(max_length=200, description="from the `next` of the page before")]
Limit = Annotated[Annotated[int, Ge(1), Le(200), NUMBER], Query(description="items on a page")]
