"""A small city for the policy tests: departments, an asset, an instant, and short forms of terms."""

from __future__ import annotations

from collections.abc import Callable
from datetime import UTC, datetime
from typing import Any

import pytest

from access_policy.decision.answers import Context, Request
from access_policy.terms.agreement import CONTEXT, PROFILE, Agreement, parse_terms
from access_policy.terms.templates import agreement

HEALTH, ELDER_CARE, PLANNING = "urn:civic:dept:3", "urn:civic:dept:9", "urn:civic:dept:1"
REGISTER = "urn:civic:asset:3.12"
NOON = datetime(2026, 6, 1, 12, tzinfo=UTC)
COLUMNS = ["id", "name", "state", "born"]


@pytest.fixture
def noon() -> datetime:
    return NOON


@pytest.fixture
def context() -> Callable[..., Context]:
    return lambda **more: Context(**{"now": NOON, **more})


@pytest.fixture
def request_for() -> Callable[..., Request]:
    """A read of the register by elder care for research, with the test's changes."""

    def build(**changes: Any) -> Request:
        usual = {
            "assignee": ELDER_CARE,
            "asset": REGISTER,
            "action": "read",
            "purpose": "dpv:ScientificResearch",
            "columns": ("id", "state"),
        }
        return Request(**{**usual, **changes})

    return build


@pytest.fixture
def document() -> Callable[..., dict[str, Any]]:
    """An agreement of health with elder care about the register, in JSON-LD; ``permission`` members may be changed."""

    def build(*, permission: dict[str, Any] | None = None, **members: Any) -> dict[str, Any]:
        rule = {
            "target": {
                "@type": "AssetCollection",
                "source": REGISTER,
                "refinement": [{"leftOperand": "columns", "operator": "isAnyOf", "rightOperand": COLUMNS}],
            },
            "action": ["read"],
            **(permission or {}),
        }
        return {
            "@context": list(CONTEXT),
            "@type": "Agreement",
            "uid": "urn:civic:terms:test",
            "profile": PROFILE,
            "conflict": "prohibit",
            "assigner": HEALTH,
            "assignee": ELDER_CARE,
            "permission": [rule],
            **members,
        }

    return build


@pytest.fixture
def granted() -> Callable[..., Agreement]:
    """A parsed agreement about the register from ``templates.agreement``, with the test's changes."""

    def build(**changes: Any) -> Agreement:
        usual: dict[str, Any] = {"columns": COLUMNS, "purposes": ("dpv:ResearchAndDevelopment",)}
        parsed = parse_terms(agreement(HEALTH, ELDER_CARE, REGISTER, **{**usual, **changes}))
        assert isinstance(parsed, Agreement)
        return parsed

    return build
