"""What all answers share: no member that the model does not have, none of another type."""

from __future__ import annotations

from typing import Annotated, Any, Generic, TypeVar

from pydantic import BaseModel, ConfigDict, Field, WithJsonSchema
from pydantic.json_schema import SkipJsonSchema
from typing_extensions import TypeAliasType

from api.http.spellings import Moment

T = TypeVar("T")

Absent = SkipJsonSchema[None]
"""In a union: the member may be missing. It is never null then; its route leaves out what was not set."""


class Answer(BaseModel):
    """A part of an answer."""

    model_config = ConfigDict(extra="forbid", strict=True)


class Page(Answer, Generic[T]):
    """A part of a list, and where it goes on."""

    items: list[T]
    next: str | None = Field(description="the `cursor` of the next page; null behind the last one")


class Evidence(Answer):
    """What shows that an entry of the log is about this very call."""

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
"""A signed document: what is in it was checked by the rules for it, and its hash is on the chain."""

Rows = Annotated[int | None, Field(ge=0)]
Since = Annotated[Moment, Field(description="when it came into force")]
