"""A grant that a service shows is recomputed: its id from its terms, its terms' hash from its agreement."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Any

import pytest

from access_policy.terms.templates import agreement
from api.cli.commands.grant_register import must_match_hashes
from api.cli.failures import CommandError
from api.cli.terms import grant_of
from ledger.ids import IdError


def shown() -> tuple[str, dict[str, Any]]:
    """A grant as an honest service shows it."""
    draft = grant_of(
        agreement(
            "urn:civic:dept:7",
            "urn:civic:dept:9",
            "urn:civic:asset:7.12",
            columns=("pm25",),
            purposes=("dpv:PublicBenefit",),
            expiry=datetime(2030, 1, 1, tzinfo=UTC),
        )
    )
    return draft.id, {"terms": dict(draft.message), "agreement": dict(draft.documents[0])}


def test_correct_answer_is_accepted() -> None:
    must_match_hashes(*shown())


@pytest.mark.parametrize("member", ["expiry", "maxUses", "grantee", "asset", "salt"])
def test_other_terms_under_the_same_id_are_refused(member: str) -> None:
    grant, said = shown()
    said["terms"][member] -= 1
    with pytest.raises(CommandError) as refused:
        must_match_hashes(grant, said)
    assert refused.value.code == "grant.tampered"


def test_another_agreement_under_the_same_terms_is_refused() -> None:
    grant, said = shown()
    said["agreement"]["description"] = "anything goes"
    with pytest.raises(CommandError) as refused:
        must_match_hashes(grant, said)
    assert refused.value.code == "terms.tampered"


def test_missing_agreement_is_refused() -> None:
    grant, said = shown()
    with pytest.raises(CommandError) as refused:
        must_match_hashes(grant, said | {"agreement": None})
    assert refused.value.code == "terms.tampered"


def test_a_malformed_id_is_refused() -> None:
    with pytest.raises(IdError):
        must_match_hashes("0x12", shown()[1])
