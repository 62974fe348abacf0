"""The query of a read in the description of the interface, so that a generated client has types for it.

It only describes. `access_policy.privacy.query.parse_query` parses the query, with codes and pointers of its
own.
"""

from __future__ import annotations

from typing import Annotated, Any, Literal

from pydantic import BaseModel, ConfigDict, Field, GetJsonSchemaHandler, WithJsonSchema
from pydantic.json_schema import JsonSchemaValue
from pydantic_core import CoreSchema
from typing_extensions import TypeAliasType

from access_policy.privacy.query import MAX_COLUMNS, MAX_LIMIT, MAX_NAME, MAX_ORDER
from access_policy.terms.rows import MAX_TEXT, MAX_VALUES, Operator

Name = Annotated[str, Field(min_length=1, max_length=MAX_NAME)]
Compared = Annotated[str, Field(min_length=1, max_length=MAX_TEXT)]
Scalar = Annotated[
    str | int | float | bool,
    WithJsonSchema({"type": ["string", "number", "boolean"], "maxLength": MAX_TEXT}),
]
"""A text, a number or a truth value; a date or a time is a text (ISO 8601)."""


class _Form(BaseModel):
    model_config = ConfigDict(extra="forbid")


class ColumnCompared(_Form):
    """Rows whose value is equal to, other than, below or above this one. A row without a value never
    matches."""

    column: Compared
    op: Operator
    value: Scalar


class ColumnIn(_Form):
    """Rows whose value is one of these."""

    column: Compared
    op: Literal["in"]
    value: Annotated[list[Scalar], Field(min_length=1, max_length=MAX_VALUES)]


class ColumnIsNull(_Form):
    """Rows without a value."""

    column: Compared
    op: Literal["isNull"]


class AllOf(_Form):
    """Rows that match all of these."""

    parts: Annotated[list[RowPredicate], Field(min_length=1, alias="and")]


class AnyOf(_Form):
    """Rows that match one of these."""

    parts: Annotated[list[RowPredicate], Field(min_length=1, alias="or")]


class NotOf(_Form):
    """Rows that do not match this."""

    part: Annotated[RowPredicate, Field(alias="not")]


RowPredicate = TypeAliasType(
    "RowPredicate", "ColumnCompared | ColumnIn | ColumnIsNull | AllOf | AnyOf | NotOf"
)


class OrderKey(_Form):
    """A column to order by; rows without a value come last."""

    column: Name
    descending: bool = False


class Query(_Form):
    """The columns, the rows, their order and their number. Every member is optional; without ``columns`` the
    query means every granted column."""

    columns: Annotated[
        list[Name] | None, Field(max_length=MAX_COLUMNS, json_schema_extra={"uniqueItems": True})
    ] = None
    where: RowPredicate | None = None
    order: Annotated[list[OrderKey] | None, Field(max_length=MAX_ORDER)] = None
    limit: Annotated[int | None, Field(ge=1, le=MAX_LIMIT)] = None


for _model in (AllOf, AnyOf, NotOf, Query):
    _model.model_rebuild()


class _LikeQuery:
    """Describes a document as a `Query`."""

    def __get_pydantic_json_schema__(self, _: CoreSchema, handler: GetJsonSchemaHandler) -> JsonSchemaValue:
        return handler(Query.__pydantic_core_schema__)


QueryDocument = Annotated[dict[str, Any], _LikeQuery()]
"""The document of a query, not yet read."""
