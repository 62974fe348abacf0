"""The target of a rule: an asset (or a collection of assets) and the part of it that the rule concerns.

The refinements are row predicates and transforms as JSON literals in ODRL, so that other RDF tools preserve them and this
package can type them::

    {"@type": "AssetCollection", "source": "urn:civic:asset:7.12", "refinement": [
      {"leftOperand": "columns", "operator": "isAnyOf", "rightOperand": ["given_name", "state"]},
      {"leftOperand": "rows", "operator": "eq", "rightOperand": {"@type": "@json", "@value": {...}}},
      {"leftOperand": "transforms", "operator": "eq", "rightOperand": {"@type": "@json", "@value": {...}}},
      {"leftOperand": "cohort", "operator": "gteq", "rightOperand": 10},
      {"leftOperand": "epsilon", "operator": "lteq", "rightOperand": {"@type": "xsd:decimal", "@value": "0.5"}}]}
"""

from __future__ import annotations

from dataclasses import dataclass
from decimal import Decimal, InvalidOperation
from typing import Any

from access_policy.errors import TermsError, TransformError
from access_policy.terms.constraints import read_name
from access_policy.terms.documents import Reader, escape
from access_policy.terms.rows import RowPredicate, parse_rows, rows_to_json
from access_policy.terms.transforms import Transform, parse_transform, transform_to_json

REFINEMENTS: dict[str, str] = {
    "columns": "isAnyOf",
    "rows": "eq",
    "transforms": "eq",
    "cohort": "gteq",
    "epsilon": "lteq",
}
MAX_COLUMNS = 1_000
MAX_COHORT = 1_000_000
MAX_EPSILON = Decimal(100)


@dataclass(frozen=True, slots=True)
class Target:
    """The part of an asset that a rule concerns.

    ``columns`` are in the order of release (None: the whole asset, in prohibitions only). ``rows`` selects rows (None: all).
    ``transforms`` are applied to columns before release. ``cohort`` is the least number of persons in a published group.
    ``epsilon`` is the privacy budget (differential privacy) over the life of the grant.
    """

    asset: str
    columns: tuple[str, ...] | None = None
    rows: RowPredicate | None = None
    transforms: tuple[tuple[str, Transform], ...] = ()
    cohort: int | None = None
    epsilon: Decimal | None = None


def read_target(reader: Reader) -> Target:
    """Read an asset's IRI, or an asset with refinements; raises TermsError."""
    value = reader.value
    if isinstance(value, str) or (isinstance(value, dict) and set(value) == {"@id"}):
        return Target(reader.iri("an asset"))
    reader.members(("@type", "source", "uid", "refinement"))
    if "@type" in reader and reader.value["@type"] not in ("AssetCollection", "Asset"):
        reader["@type"].fail("an Asset or AssetCollection belongs here", known=("AssetCollection", "Asset"))
    if ("source" in reader) == ("uid" in reader):
        reader.fail("an asset is named by 'source' (or by 'uid'), once")
    asset = reader["source" if "source" in reader else "uid"].iri("an asset")
    fields: dict[str, Any] = {}
    for item in reader["refinement"].items() if "refinement" in reader else ():
        name, read = _refinement(item)
        if name in fields:
            item.fail(f"the refinement {name!r} occurs twice")
        fields[name] = read
    target = Target(asset, **fields)
    _check(target, reader)
    return target


def _refinement(item: Reader) -> tuple[str, Any]:
    item.members(
        ("leftOperand", "operator", "rightOperand", "@type"),
        required=("leftOperand", "operator", "rightOperand"),
    )
    name = read_name(item["leftOperand"], "refinement of an asset", tuple(REFINEMENTS))
    operator = read_name(item["operator"], "operator", (REFINEMENTS[name],))
    assert operator == REFINEMENTS[name]
    right = item["rightOperand"]
    match name:
        case "columns":
            return name, _columns(right)
        case "rows":
            inner = right.literal("@json")
            return name, parse_rows(inner.value, pointer=inner.pointer, error=TermsError)
        case "transforms":
            return name, _transforms(right.literal("@json"))
        case "cohort":
            return name, _cohort(right.literal("xsd:integer"))
        case _:
            return name, _epsilon(right.literal("xsd:decimal"))


def _columns(right: Reader) -> tuple[str, ...]:
    names = tuple(r.text("the name of a column") for r in right.items())
    if not names or len(names) > MAX_COLUMNS or len(set(names)) != len(names):
        right.fail(f"1 to {MAX_COLUMNS} different columns belong here")
    return names


def _transforms(inner: Reader) -> tuple[tuple[str, Transform], ...]:
    if not isinstance(inner.value, dict) or not inner.value:
        inner.fail("transforms are an object from column to transform")
    found = []
    for column, document in sorted(inner.value.items()):
        pointer = f"{inner.pointer}/{escape(column)}"
        try:
            found.append((column, parse_transform(document, pointer=pointer)))
        except TransformError as error:
            raise TermsError(error.message, pointer=error.pointer, matches=error.matches) from None
    return tuple(found)


def _cohort(inner: Reader) -> int:
    value = inner.value
    if isinstance(value, bool) or not isinstance(value, int) or not 2 <= value <= MAX_COHORT:
        inner.fail(f"a cohort is an integer from 2 to {MAX_COHORT}")
    return value


def _epsilon(inner: Reader) -> Decimal:
    value = inner.value
    if isinstance(value, bool) or not isinstance(value, int | float | str) or len(str(value)) > 32:
        inner.fail("epsilon is a decimal number")
    try:
        epsilon = Decimal(str(value))
    except InvalidOperation:
        inner.fail("epsilon is a decimal number")
    if not epsilon.is_finite() or not 0 < epsilon <= MAX_EPSILON:
        inner.fail(f"epsilon is above 0 and at most {MAX_EPSILON}")
    if int(epsilon.as_tuple().exponent) < -9:
        inner.fail("epsilon has at most nine decimal places")
    return epsilon.normalize()


def _check(target: Target, reader: Reader) -> None:
    if target.transforms:
        names = set(target.columns or ())
        for column, _ in target.transforms:
            if column not in names:
                reader.fail(f"a transform is given for {column[:80]!r}, which is not among the columns")


def write_target(target: Target) -> str | dict[str, object]:
    """The normal form: ``read_target(write_target(t)) == t``."""
    refinement: list[dict[str, object]] = []

    def add(name: str, right: object) -> None:
        refinement.append({"leftOperand": name, "operator": REFINEMENTS[name], "rightOperand": right})

    if target.columns is not None:
        add("columns", list(target.columns))
    if target.rows is not None:
        add("rows", {"@type": "@json", "@value": rows_to_json(target.rows)})
    if target.transforms:
        add(
            "transforms",
            {"@type": "@json", "@value": {c: transform_to_json(t) for c, t in target.transforms}},
        )
    if target.cohort is not None:
        add("cohort", target.cohort)
    if target.epsilon is not None:
        add("epsilon", {"@type": "xsd:decimal", "@value": format(target.epsilon, "f")})
    if not refinement:
        return target.asset
    return {"@type": "AssetCollection", "source": target.asset, "refinement": refinement}
