"""The signer of a grant below another, or of a new version, is told which pins end with their version, as the
service decides it."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import Any

import pytest

from access_policy.terms.agreement import Agreement, parse_terms
from access_policy.terms.templates import agreement
from api.cli.document_checks import NoCatalogue
from api.documents.datasets import version_keeps_live_grants
from api.documents.facts import ActWithDocuments, Entry, Finding, Granting, Recorded
from api.documents.grants import pins_last_below
from ledger.chain.limits import NOTHING

ASSET = (6 << 40) + 1
SCHEMA = {"fields": [{"name": "district", "type": "string"}]}
ROOT, MIDDLE, NEWER, LEAF = ("0x" + digit * 64 for digit in "1234")


def terms(version: int | None) -> Agreement:
    read = parse_terms(
        agreement(
            "urn:civic:dept:6",
            "urn:civic:dept:7",
            "urn:civic:asset:6.1",
            columns=("district",),
            purposes=(),
            version=version,
        )
    )
    assert isinstance(read, Agreement)
    return read


def recorded(
    grant: str, version: int | None, parent: str = NOTHING, replaced_by: str | None = None
) -> Recorded:
    return Recorded(grant, 6, 7, {"parent": parent}, terms(version), replaced_by)


class Known(NoCatalogue):
    """One dataset whose second version is the current one, and these grants; the last one is live."""

    def __init__(self, *grants: Recorded) -> None:
        self._grants = {one.id: one for one in grants}

    def dataset(self, asset: int) -> Entry:
        return Entry(asset, (6, 6, 6), "general", "conditional", "active", {"schema": SCHEMA}, version=2)

    def grant(self, grant_id: str) -> Recorded | None:
        return self._grants.get(grant_id)

    def live_grants(self, asset: int) -> Sequence[Recorded]:
        return list(self._grants.values())[-1:]


ENDS = {
    "the grant above does not pin it": [recorded(ROOT, None)],
    "one further above does not pin it": [recorded(ROOT, None), recorded(MIDDLE, 2, ROOT)],
    "what replaced the grant above does not pin it": [
        recorded(NEWER, None),
        recorded(ROOT, 2, replaced_by=NEWER),
    ],
    "what replaced one further above does not pin it": [
        recorded(NEWER, None),
        recorded(ROOT, 2, replaced_by=NEWER),
        recorded(MIDDLE, 2, ROOT),
    ],
}


def told(grants: Sequence[Recorded], parent: str) -> tuple[list[Finding], list[Finding]]:
    """Of who signs the leaf below these grants, and of who signs the third version when it is on record."""
    slot: Mapping[str, Any] = {"asset": ASSET, "parent": parent}
    signed = list(pins_last_below(Granting(slot, "/message", terms(2), "/documents/0", Known(*grants))))
    leaf = recorded(LEAF, 2, parent)
    act = ActWithDocuments("NewVersion", {"asset": ASSET}, [{"schema": SCHEMA}], {}, Known(*grants, leaf))
    return signed, list(version_keeps_live_grants(act))


@pytest.mark.parametrize("grants", ENDS.values(), ids=list(ENDS))
def test_signer_is_warned_of_a_pin_missing_above(grants: list[Recorded]) -> None:
    signed, renewed = told(grants, grants[-1].id)
    assert [one.code for one in signed] == ["terms.version-ends"]
    assert [one.code for one in renewed] == ["version.breaks-grant"]


def test_no_warning_for_a_pin_in_every_grant_above() -> None:
    above = [recorded(NEWER, 2), recorded(ROOT, 2, replaced_by=NEWER), recorded(MIDDLE, 2, ROOT)]
    signed, renewed = told(above, MIDDLE)
    assert signed == []
    assert [one.code for one in renewed] == ["version.pinned-grant"]


def test_circular_replacements_are_read_once_each() -> None:
    """A service with such answers cannot make the command loop."""
    circle = [recorded(ROOT, 2, replaced_by=NEWER), recorded(NEWER, 2, replaced_by=ROOT)]
    signed, _ = told([replace(circle[1]), circle[0]], ROOT)
    assert signed == []
