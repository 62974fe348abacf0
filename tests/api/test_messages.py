"""Every code that a caller can meet has a title and a next step, in English and in Chinese."""

from __future__ import annotations

import ast
import importlib
import pkgutil
import re
from collections.abc import Iterator
from pathlib import Path

import pytest

import access_policy
import api
import ledger
from access_policy.errors import PolicyError
from access_policy.phrases import (
    ABOVE,
    AREA_WORDS,
    EN,
    EXACT_WORDS,
    NEXT,
    OPERATOR_WORDS,
    PARTY_WORDS,
    TIME_WORDS,
    ZH,
    next_step,
)
from access_policy.reasons import CODES
from api.problems import _FALLBACK, ADVICE, advice_for
from ledger.errors import LedgerError
from ledger.projection.views import ASSET_STATUS

NAMES = re.compile(
    r"\{[a-z0-9]*\}|--[a-z-]+|civic( [a-z]+)+|`[a-z-]+`|assigner|assignee|Reclassify|CIVIC_[A-Z_]+|Content-Digest(?:: sha-256=:BASE64:)?|SHA-256|RFC \d+|Ed25519|@[a-z-]+|"
    r"content-digest|idempotency-key|Accept|accept|created|nonce|keyid|pointer|Host|JSON|CSV|Arrow|Parquet|DPV 2\.3|"
    r"ASCII|Idempotency-Key"
)
"""What stays Latin in a Chinese text: the names of headers, members, formats and commands."""


def every_class(root: type[Exception]) -> Iterator[type[Exception]]:
    for below in root.__subclasses__():
        yield below
        yield from every_class(below)


def codes_of_errors() -> set[str]:
    """The code of every error class of ours that the service can turn into an answer."""
    for package in (access_policy, ledger, api):
        for module in pkgutil.walk_packages(package.__path__, f"{package.__name__}."):
            if ".cli" not in module.name and ".demo" not in module.name:
                importlib.import_module(module.name)
    classes = [*every_class(LedgerError), *every_class(PolicyError)]
    return {str(vars(one)["code"]) for one in classes if "code" in vars(one)} | {
        "ledger.error",
        "policy.error",
    }


def codes_of_problems() -> set[str]:
    """The code of every problem and reason that is written in the source."""
    found = set()
    for package in (access_policy, ledger, api):
        for path in Path(package.__path__[0]).rglob("*.py"):
            for node in ast.walk(ast.parse(path.read_text())):
                if isinstance(node, ast.Call) and isinstance(node.func, ast.Name) and node.args:
                    code = node.args[0]
                    if node.func.id in ("Problem", "Reason") and isinstance(code, ast.Constant):
                        found.add(str(code.value))
    return found


def codes_of_reasons() -> set[str]:
    """The code of every reason for which a call is refused."""
    assets = {f"asset.{word}" for word in ASSET_STATUS.values() if word != "active"}
    grant = {"unknown", "revoked", "cancelled", "not-yet", "expired", "ancestors-unknown"}
    grant |= {f"asset-{word}" for word in ("unknown", "suspended", "barred", "retired")}
    grant |= {f"department-{word}" for word in ("unknown", "suspended")}
    return set(CODES) | assets | {f"grant.{word}" for word in grant}


@pytest.mark.parametrize("code", sorted(codes_of_errors() | codes_of_problems() | codes_of_reasons()))
def test_every_code_has_a_title_and_a_next_step(code: str) -> None:
    advice = advice_for(code)
    assert advice is not _FALLBACK
    assert all((advice.title_en, advice.title_zh, advice.next_en, advice.next_zh))


@pytest.mark.parametrize("code", sorted(codes_of_reasons()))
def test_every_reason_has_words_of_its_own(code: str) -> None:
    assert code in EN
    assert code in ZH
    assert next_step(code) != NEXT[""] or code.partition(".")[0] not in ("grant", "asset", "uses", "column")


def chinese() -> list[str]:
    texts = [text for pair in ZH.values() for text in pair]
    texts += [
        pair[1]
        for table in (NEXT, OPERATOR_WORDS, TIME_WORDS, AREA_WORDS, PARTY_WORDS, EXACT_WORDS)
        for pair in table.values()
    ]
    texts += [text for advice in (*ADVICE.values(), _FALLBACK) for text in (advice.title_zh, advice.next_zh)]
    return [*texts, ABOVE[1]]


@pytest.mark.parametrize("text", sorted(set(chinese())))
def test_a_chinese_text_has_no_latin_words_but_names(text: str) -> None:
    assert not re.search("[A-Za-z]", NAMES.sub("", text)), text
    assert re.search(r"[\u4e00-\u9fff]|^\{0\}", text)


@pytest.mark.parametrize("pair", [*EN.values(), *ABOVE[:1]])
def test_an_english_text_has_no_chinese(pair: tuple[str, str] | str) -> None:
    assert not re.search(r"[\u4e00-\u9fff]", "".join(pair))


def test_an_acceptance_that_is_missing_is_asked_for_by_its_command() -> None:
    assert "civic accept" in advice_for("grant.not-accepted").next_en
    assert "civic accept" in advice_for("grant.not-accepted").next_zh
    assert advice_for("asset.suspended").title_zh == ZH["asset.suspended"][1]
    assert advice_for("asset.suspended").status == 403
