"""The base of all answers: strict models without additional members."""

from __future__ import annotations

from typing import Annotated, Any, Generic, TypeVar

from pydantic import BaseModel, ConfigDict, Field, WithJsonSchema
from pydantic.json_schema import SkipJsonSchema
from typing_extensions import TypeAliasType

from api.http.spellings import Moment

T = TypeVar("T")

Absent = SkipJsonSchema[None]
"""In a union: the member may be missing, but it is never null. The route leaves out members that were not
set."""


class Answer(BaseModel):
    """A part of an answer."""

    model_config = ConfigDict(extra="forbid", strict=True)


class Page(Answer, Generic[T]):
    """A part of a list, and the cursor of the next part."""

    items: list[T]
    next: str | None = Field(description="the `cursor` of the next page; null behind the last one")


class Evidence(Answer):
    """Evidence that an entry of the log is about this call."""

    receipt: str = Field(description="c2sp.org/tlog-proof@v1: the entry with its proof up to a signed head")
    call: str = Field(description="opens the entry's commitment to the call")


Document = TypeAliasType(
    "Document",
    Annotated[
        dict[str, Any],
        WithJsonSchema(
            {"type": "object", "additionalProperties": True, "description": "a document by itself"}
        ),
    ],
)
"""A signed document: its content was checked by its own rules, and its hash is on the chain."""

Rows = Annotated[int | None, Field(ge=0)]
Since = Annotated[Moment, Field(description="when it came into force")]
