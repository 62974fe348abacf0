"""The check, before signing, that an agreement fits the schema of its data, so that permitted calls can be planned.

It uses the compiler of the calls, so both always agree.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from types import MappingProxyType

from access_policy.decision.answers import Permit
from access_policy.decision.compiled import Ban, compile_grant
from access_policy.errors import PlanError
from access_policy.privacy.plan import SUPPORTED_OPTIONS, compile_plan
from access_policy.privacy.query import Query, predicate_comparisons
from access_policy.privacy.schema import AssetSchema
from access_policy.privacy.spelling import has_other_spellings
from access_policy.terms.agreement import Agreement
from access_policy.terms.rows import RowPredicate
from languages.texts import in_both


@dataclass(frozen=True, slots=True)
class Misfit:
    """A rule that does not fit the schema.

    ``code`` is that of the plan's error; ``pointer`` is the JSON pointer in the agreement. With ``hard``, no call under this
    rule can ever be planned. ``detail`` may be a `Bilingual`.
    """

    code: str
    detail: str
    pointer: str
    hard: bool = True


def misfits(
    agreement: Agreement,
    schema: AssetSchema,
    spellings: Mapping[str, int] | None = None,
    earlier: Mapping[int, AssetSchema | None] = MappingProxyType({}),
) -> Iterator[Misfit]:
    """The columns that do not exist, row filters and transforms that do not fit, and conditions that are not enforced.

    ``spellings`` maps columns to the number of values with several spellings (`QualityReport.spellings`); None if unknown.
    ``earlier`` has the schemas of pinned versions, None for a version whose permissions are not checked; other pins are of the
    version of ``schema``. A prohibition fits when it fits one of the schemas.
    """
    compiled = compile_grant("", agreement)
    schemas = list(dict.fromkeys(earlier.get(rule.pin or 0, schema) for rule in compiled.rules)) or [schema]
    for rule in compiled.rules:
        own = earlier.get(rule.pin or 0, schema)
        if own is None:
            continue
        target = rule.permission.target
        columns, pointer = target.columns or (), f"{rule.pointer}/target"
        permit = Permit("", rule.id, columns, target.rows, rule.transforms)
        yield from _planned(permit, own, pointer)
        yield from _spellings(target.rows, own, pointer, (spellings or {}) if own is schema else {})
        unenforced = sorted(set(rule.options) - SUPPORTED_OPTIONS)
        if unenforced:
            said = (
                f"this engine does not enforce {', '.join(unenforced)}: it refuses every call under this rule"
            )
            yield Misfit("plan.option-unsupported", said, pointer, hard=False)
    for ban in compiled.bans:
        target = ban.prohibition.target
        found = [_banned(ban, one) for one in schemas if one is not None]
        if found and all(found):
            yield from found[0]
        yield from _spellings(target.rows, schema, f"{ban.pointer}/target", spellings or {})


def _banned(ban: Ban, schema: AssetSchema) -> list[Misfit]:
    target = ban.prohibition.target
    permit = Permit("", ban.id, target.columns or schema.names(), target.rows, {})
    return list(_planned(permit, schema, f"{ban.pointer}/target"))


def _spellings(
    rows: RowPredicate | None, schema: AssetSchema, pointer: str, spellings: Mapping[str, int]
) -> Iterator[Misfit]:
    """Columns whose texts are compared exactly although they have several spellings: according to the report on the data, or
    because the compared text has other spellings."""
    compared: dict[str, list[str]] = {}
    for name, value in predicate_comparisons(rows) if rows is not None else ():
        if isinstance(value, str):
            compared.setdefault(name, []).append(value)
    for name, texts in sorted(compared.items()):
        column = schema.column(name)
        if column is None or column.type != "string":
            continue
        several = spellings.get(name, 0)
        if several:
            yield Misfit(
                "plan.spelling",
                in_both(
                    "values of column {name!r} that are written in several ways in the data: {several}. The filter"
                    " compares every character: declare 'normalise' for the column, or name every spelling",
                    name=name,
                    several=several,
                ),
                pointer,
                hard=False,
            )
        elif not {"width", "nfc", "trim"} <= {*column.normalise} and any(map(has_other_spellings, texts)):
            yield Misfit(
                "plan.spelling",
                in_both(
                    "column {name!r} is compared with a text that has other spellings; declare 'normalise' for it",
                    name=name,
                ),
                pointer,
                hard=False,
            )


def _planned(permit: Permit, schema: AssetSchema, pointer: str) -> Iterator[Misfit]:
    try:
        compile_plan(Query(), permit, schema)
    except PlanError as refused:
        near = f" (there is {', '.join(refused.matches)})" if refused.matches else ""
        yield Misfit(refused.code, refused.message + near, pointer)
