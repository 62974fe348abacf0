"""The changes of a new version of a dataset, for its signer: file, rows, columns, and grants that it breaks."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from access_policy.privacy.execution.inference import InferredColumn, infer_columns, schema_of_columns
from access_policy.privacy.schema import AssetSchema, parse_schema
from api.terminal.language import language, say
from languages.texts import in_language

if TYPE_CHECKING:
    from api.cli.inspection import Corrections
    from api.documents.datasets import ColumnChange
    from api.documents.facts import Finding
    from api.files import Prepared


@dataclass(frozen=True, slots=True)
class KeptSchema:
    """The schema of the new file: recorded columns as declared, other columns as inferred.

    ``otherwise`` lists columns whose values look like another type than the declared one: name, declared, found.
    """

    schema: dict[str, Any]
    otherwise: tuple[tuple[str, str, str], ...]


def kept_schema(prepared: Prepared, recorded: Mapping[str, Any], corrections: Corrections) -> KeptSchema:
    """The columns of a prepared file under the recorded schema; SourceError if it cannot be read."""
    known = parse_schema(recorded)
    missing = corrections.null_texts() if corrections.missing else known.missing_values
    zone = known.zone or corrections.chosen_zone()
    columns = infer_columns(prepared.path, zone, missing)
    return KeptSchema(_carried_over(columns, known), tuple(_otherwise(columns, known)))


def _carried_over(columns: Sequence[InferredColumn], known: AssetSchema) -> dict[str, Any]:
    inferred = {str(one["name"]): one for one in _fields(schema_of_columns(columns))}
    declared = {str(one["name"]): one for one in _fields(known)}
    document = dict(known.to_json())
    document["fields"] = [declared.get(name, field) for name, field in inferred.items()]
    if known.person_key not in inferred:
        document.pop("personKey", None)
    return document


def _fields(schema: AssetSchema) -> Sequence[Mapping[str, Any]]:
    found = schema.to_json()["fields"]
    assert isinstance(found, list)
    return found


def _otherwise(columns: Sequence[InferredColumn], known: AssetSchema) -> Iterator[tuple[str, str, str]]:
    for one in columns:
        declared = known.column(one.name)
        if declared is not None and declared.type != one.type and (one.values or one.declared):
            yield one.name, declared.type, one.type


@dataclass(frozen=True, slots=True)
class VersionChanges:
    """``before`` and ``after`` are rows, bytes and SHA-256 of the files; those before are empty if they are not
    known."""

    before: Mapping[str, Any]
    after: Mapping[str, Any]
    columns: Sequence[ColumnChange]
    breaks: Sequence[Finding]
    pinned: Sequence[Finding]
    otherwise: Sequence[tuple[str, str, str]]

    def to_json(self) -> dict[str, Any]:
        """For programs."""
        return {
            **{
                name: {"before": self.before.get(name), "after": self.after[name]}
                for name in ("rows", "bytes", "sha256")
            },
            "columns": [
                {"column": one.column, "change": one.what, "before": one.before, "after": one.after}
                for one in self.columns
            ],
            "breaks": [{"grant": one.grant, "detail": one.detail} for one in self.breaks],
            "pinned": [{"grant": one.grant, "detail": one.detail} for one in self.pinned],
        }

    def in_words(self) -> Iterator[str]:
        """In words, without the grants that break: these are warnings of the act."""
        for name, label in (("rows", say("rows")), ("bytes", say("bytes")), ("sha256", "SHA-256")):
            before, after = self.before.get(name), self.after[name]
            if before == after:
                yield say("{name}: {after}, as before", name=label, after=after)
            elif before is None:
                yield say("{name}: {after}", name=label, after=after)
            else:
                yield say("{name}: {before} -> {after}", name=label, before=before, after=after)
        yield from (in_language(one.words, language()) for one in self.columns)
        if not self.columns:
            yield say("columns: as before")
        for name, declared, found in self.otherwise:
            yield say(
                "question: {name} stays {declared}, and its values look like {found}: is that meant? (--type)",
                name=name,
                declared=declared,
                found=found,
            )
        count = len(self.breaks)
        if count:
            yield say("live grants that can give nothing any more: {count}, named below", count=count)
        else:
            yield say("no live grant breaks")
        if self.pinned:
            yield say(
                "live grants that go on reading an earlier version, whose file is kept: {pinned}, named below",
                pinned=len(self.pinned),
            )
