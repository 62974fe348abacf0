"""The description of the interface is whole: every operation, every refusal, every way to sign."""

from __future__ import annotations

from types import SimpleNamespace
from typing import Any

import pytest

from api.advice.client import CLIENT
from api.advice.files import FILES
from api.app import create_app
from api.http.described import CODES
from api.http.openapi import operations
from api.http.problems import advice_for
from api.runtime.settings import Settings
from docs.codes import codes

NEVER_ANSWERED = {
    "audit.no_entry", "client.error", "command.failed", "file.invalid", "heads.invalid", "keystore.invalid",
    "not-found.key", "profile.invalid", "word.unknown",
    "chain.not_restored",
    "membership.invalid", "record.invalid", "schema.invalid", "source.invalid", "release.state",
}  # fmt: skip
"""Codes below 500 that only commands show, or that stay inside: no call can bring them about."""


@pytest.fixture(scope="module")
def document() -> dict[str, Any]:
    return create_app(SimpleNamespace(settings=Settings())).openapi()  # type: ignore[arg-type] - described, not served


def refusals(document: dict[str, Any], operation: dict[str, Any]) -> dict[str, list[str]]:
    """The codes of an operation by status."""
    shared = document["components"]["responses"]
    answers = {
        status: shared[answer["$ref"].rpartition("/")[2]] if "$ref" in answer else answer
        for status, answer in operation["responses"].items()
    }
    return {status: answer[CODES] for status, answer in answers.items() if CODES in answer}


def test_every_code_that_a_call_can_bring_about_is_described(document: dict[str, Any]) -> None:
    said = {
        code
        for _, _, operation in operations(document)
        for some in refusals(document, operation).values()
        for code in some
    }
    every = {code for code in codes() if advice_for(code).status < 500}
    assert every - said - CLIENT.keys() - FILES.keys() == NEVER_ANSWERED


def test_every_refusal_is_described_under_the_status_of_its_code(document: dict[str, Any]) -> None:
    for path, method, operation in operations(document):
        for status, some in refusals(document, operation).items():
            assert {advice_for(code).status for code in some} <= {int(status)}, (method, path)
        assert "422" not in operation["responses"] or refusals(document, operation)["422"]


def test_what_is_signed_says_so(document: dict[str, Any]) -> None:
    """A call that can be refused for its signature has the three headers of the security scheme."""
    for path, method, operation in operations(document):
        signed = "401" in operation["responses"]
        schemes = [scheme for scheme in operation.get("security", ()) if scheme]
        assert bool(schemes) == signed, (method, path)
        assert all(set(one) == {"Signature", "Signature-Input", "Content-Digest"} for one in schemes)
        if signed:
            answer = operation["responses"]["401"]
            if "$ref" in answer:
                answer = document["components"]["responses"][answer["$ref"].rpartition("/")[2]]
            assert {"WWW-Authenticate", "Accept-Signature"} <= answer["headers"].keys(), (method, path)


def test_every_operation_has_a_name_and_a_form_of_its_answer(document: dict[str, Any]) -> None:
    names = [operation["operationId"] for _, _, operation in operations(document)]
    assert len(names) == len(set(names))
    for path, method, operation in operations(document):
        for kind, answer in operation["responses"]["200"]["content"].items():
            assert answer["schema"], (method, path, kind)
        for parameter in operation["parameters"]:
            assert "$ref" in parameter or parameter["schema"].get("type"), (method, path, parameter)
