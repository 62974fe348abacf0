"""Every code has a title and a next step. tests/languages checks their Chinese."""

from __future__ import annotations

import ast
import re
from pathlib import Path

import pytest

import access_policy
import api
import ledger
from access_policy.explain.phrases import NEXT, PHRASES, next_step
from api.advice.acts import ACTS
from api.advice.calls import CALLS
from api.advice.chain import CHAIN
from api.advice.client import CLIENT
from api.advice.doctor import DOCTOR
from api.advice.edge import EDGE
from api.advice.files import FILES
from api.advice.log import LOG
from api.advice.service import SERVICE
from api.http.problems import _FALLBACK, ADVICE, advice_for
from docs.codes import codes, codes_of_reasons
from languages.texts import translated


def texts_of_the_source() -> set[str]:
    """Every text that is written in the source, outside the tables of messages."""
    found = set()
    for package in (access_policy, ledger, api):
        root = Path(package.__path__[0])
        for path in root.rglob("*.py"):
            if path.parent.name != "advice" and path.name != "phrases.py":
                nodes = ast.walk(ast.parse(path.read_text()))
                found |= {str(node.value) for node in nodes if isinstance(node, ast.Constant)}
    return found


@pytest.mark.parametrize("code", sorted(codes()))
def test_every_code_has_a_title_and_a_next_step(code: str) -> None:
    advice = advice_for(code)
    assert advice is not _FALLBACK
    assert all((advice.title, advice.next))


def test_every_listed_code_is_used() -> None:
    used = texts_of_the_source() | codes_of_reasons()
    assert [code for code in ADVICE if not any(f"{text}.".startswith(f"{code}.") for text in used)] == []


GENERAL = re.compile(r"\.(error|invalid|failed|unknown)$")
"""Codes that say no more than their family does."""


@pytest.mark.parametrize("code", sorted(codes()))
def test_every_code_has_words_of_its_own(code: str) -> None:
    """The general text of a code's family does not help: only the general codes are answered with it."""
    assert code in ADVICE or code in PHRASES or GENERAL.search(code)


def test_no_code_is_listed_twice() -> None:
    assert len(ADVICE) == sum(map(len, (EDGE, CALLS, ACTS, SERVICE, CHAIN, LOG, CLIENT, FILES, DOCTOR)))


@pytest.mark.parametrize("code", sorted(codes_of_reasons()))
def test_every_reason_has_words_of_its_own(code: str) -> None:
    assert code in PHRASES
    assert next_step(code) != NEXT[""] or code.partition(".")[0] not in ("grant", "asset", "uses", "column")


def test_an_acceptance_that_is_missing_is_asked_for_by_its_command() -> None:
    assert "civic accept" in advice_for("grant.not-accepted").next
    assert "civic accept" in translated(advice_for("grant.not-accepted").next, "zh")
    assert advice_for("asset.suspended").title == PHRASES["asset.suspended"][1]
    assert advice_for("asset.suspended").status == 403
