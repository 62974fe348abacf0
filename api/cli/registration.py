"""A file becomes a catalogue entry: its columns inferred, classed by its steward, described and hashed."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from access_policy.privacy.inference import infer_schema
from access_policy.privacy.schema import COLUMN_CLASSES, SchemaError, parse_schema
from api.cli.failures import UsageError
from api.cli.json_input import pairs
from api.cli.language import say
from api.sdk.drafts import metadata_document, source_of
from ledger.catalogue.metadata import parse_metadata


def schema_of(path: Path, classes: Sequence[str] = (), person_key: str = "") -> dict[str, Any]:
    """The inferred schema of a CSV or Parquet file with the classes ``column=class`` that the steward gives."""
    inferred = infer_schema(path)
    document: dict[str, Any] = dict(inferred.to_json())
    fields = {str(field["name"]): field for field in document["fields"]}
    for column, named in pairs(classes, "--class").items():
        if column not in fields:
            raise SchemaError(f"the file has no column {column[:60]!r}", matches=inferred.close_to(column))
        if named not in COLUMN_CLASSES:
            raise SchemaError(f"there is no column class {named[:40]!r}", matches=COLUMN_CLASSES)
        fields[column]["class"] = named
    if person_key:
        if person_key not in fields:
            raise SchemaError(
                f"the file has no column {person_key[:60]!r}", matches=inferred.close_to(person_key)
            )
        document["personKey"] = person_key
    return dict(parse_schema(document).to_json())


def catalogue_entry(
    path: Path,
    schema: Mapping[str, Any],
    *,
    title: Mapping[str, str],
    description: Mapping[str, str],
    sharing: str,
    grade: str,
    department: int,
    **more: Any,
) -> dict[str, Any]:
    """The catalogue entry of a file, checked; MetadataError with a JSON pointer when it is not of its form."""
    titles = {name: text for name, text in title.items() if text}
    if not titles:
        raise UsageError(say("a dataset needs a title", "数据集需要标题"), hint="--title-zh, --title-en")
    words = {name: text for name, text in description.items() if text} or titles
    document = metadata_document(
        title=titles,
        description=words,
        schema=schema,
        source=source_of(path),
        sharing=sharing,
        grade=grade,
        department=department,
        **more,
    )
    parse_metadata(document)
    return document
