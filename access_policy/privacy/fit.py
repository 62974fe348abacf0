"""Whether an agreement fits the schema of the data it is about: could any call that it permits be planned at all?

Asked before anybody signs. It runs the compiler that every call goes through, so that there is no second opinion.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

from access_policy.compiled import compile_grant
from access_policy.decision import Permit
from access_policy.errors import PlanError
from access_policy.privacy.plan import SUPPORTED_OPTIONS, compile_plan
from access_policy.privacy.query import Query
from access_policy.privacy.schema import AssetSchema
from access_policy.terms import Agreement


@dataclass(frozen=True, slots=True)
class Misfit:
    """A rule that does not fit. ``code`` is that of the plan's error; ``pointer`` leads into the agreement;
    ``hard``: no call under this rule can be planned here, now or later."""

    code: str
    detail: str
    pointer: str
    hard: bool = True


def misfits(agreement: Agreement, schema: AssetSchema) -> Iterator[Misfit]:
    """Columns that do not exist, row filters and transforms that do not fit, and conditions that are not enforced."""
    compiled = compile_grant("", agreement)
    for rule in compiled.rules:
        target = rule.permission.target
        columns, pointer = target.columns or (), f"{rule.pointer}/target"
        permit = Permit("", rule.id, columns, target.rows, rule.transforms)
        yield from _planned(permit, schema, pointer)
        unenforced = sorted(set(rule.options) - SUPPORTED_OPTIONS)
        if unenforced:
            said = (
                f"this engine does not enforce {', '.join(unenforced)}: it refuses every call under this rule"
            )
            yield Misfit("plan.option-unsupported", said, pointer, hard=False)
    for ban in compiled.bans:
        target = ban.prohibition.target
        permit = Permit("", ban.id, target.columns or schema.names(), target.rows, {})
        yield from _planned(permit, schema, f"{ban.pointer}/target")


def _planned(permit: Permit, schema: AssetSchema, pointer: str) -> Iterator[Misfit]:
    try:
        compile_plan(Query(), permit, schema)
    except PlanError as refused:
        near = f" (there is {', '.join(refused.matches)})" if refused.matches else ""
        yield Misfit(refused.code, refused.message + near, pointer)
